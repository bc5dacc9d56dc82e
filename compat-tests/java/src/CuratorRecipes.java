import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.CachedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.strategies.RoundRobinStrategy;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.data.Stat;

/** Exercises a server through Curator's recipes: {@code CuratorRecipes HOST:PORT}. */
public final class CuratorRecipes {
    private final String hosts;
    private final Harness harness = new Harness();
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final CuratorFramework main;

    private CuratorRecipes(String hosts) {
        this.hosts = hosts;
        main = connect();
    }

    private CuratorFramework connect() {
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(hosts)
            .sessionTimeoutMs(10000)
            .connectionTimeoutMs(10000)
            .retryPolicy(new ExponentialBackoffRetry(100, 8, 1000))
            .build();
        client.start();
        return client;
    }

    /** Ends all tasks and throws what went wrong in one. */
    private static void join(List<Future<?>> tasks) throws Exception {
        for (Future<?> task : tasks) {
            task.get(60, TimeUnit.SECONDS);
        }
    }

    private Future<?> start(Harness.Body body) {
        return threads.submit((Callable<Void>) () -> {
            body.run();
            return null;
        });
    }

    // --- the framework ---------------------------------------------------------------

    private void framework() throws Exception {
        Harness.same(main.create().creatingParentContainersIfNeeded().forPath("/cu/a/b", "x".getBytes(UTF_8)),
            "/cu/a/b");
        Harness.same(new String(main.getData().forPath("/cu/a/b"), UTF_8), "x");
        Stat stat = main.setData().withVersion(0).forPath("/cu/a/b", "y".getBytes(UTF_8));
        Harness.same(stat.getVersion(), 1);
        String made = main.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
            .forPath("/cu/a/n-");
        Harness.check(made.matches("/cu/a/_c_.*-n-\\d{10}"), made);
        Harness.same(main.create().orSetData().forPath("/cu/a/b", "z".getBytes(UTF_8)), "/cu/a/b");
        CountDownLatch done = new CountDownLatch(1);
        main.getChildren().inBackground((client, event) -> {
            if (event.getChildren().size() == 2) {
                done.countDown();
            }
        }).forPath("/cu/a");
        Harness.check(done.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "no background reply");
        main.delete().deletingChildrenIfNeeded().forPath("/cu");
        Harness.same(main.checkExists().forPath("/cu"), null);
    }

    private void transactions() throws Exception {
        Collection<CuratorTransactionResult> results = main.transaction().forOperations(
            main.transactionOp().create().forPath("/cu-tx", "a".getBytes(UTF_8)),
            main.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/cu-tx/n-"),
            main.transactionOp().setData().withVersion(0).forPath("/cu-tx", "b".getBytes(UTF_8)),
            main.transactionOp().check().withVersion(1).forPath("/cu-tx"));
        Harness.same(results.size(), 4);
        try {
            main.transaction().forOperations(
                main.transactionOp().delete().forPath("/cu-tx/n-0000000000"),
                main.transactionOp().create().forPath("/cu-tx"));
            throw new AssertionError("a failing transaction passed");
        } catch (KeeperException.NodeExistsException expected) {
            Harness.check(main.checkExists().forPath("/cu-tx/n-0000000000") != null, "half done");
        }
    }

    // --- locks -----------------------------------------------------------------------

    /** Several clients go through the lock; `most` of them may be inside at once. */
    private void contend(int most, LockMaker maker) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger rounds = new AtomicInteger();
        List<Future<?>> tasks = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            tasks.add(start(() -> {
                try (CuratorFramework client = connect()) {
                    InterProcessLock lock = maker.make(client);
                    for (int j = 0; j < 5; j++) {
                        Harness.check(lock.acquire(60, TimeUnit.SECONDS), "no lock");
                        try {
                            Harness.check(inside.incrementAndGet() <= most, "too many inside");
                            Thread.sleep(2);
                            rounds.incrementAndGet();
                        } finally {
                            inside.decrementAndGet();
                            lock.release();
                        }
                    }
                }
            }));
        }
        join(tasks);
        Harness.same(rounds.get(), 25);
    }

    private interface LockMaker {
        InterProcessLock make(CuratorFramework client);
    }

    private void mutex() throws Exception {
        contend(1, client -> new InterProcessMutex(client, "/cu-mutex"));
        // it may be taken again by its thread, and is free after the last release
        InterProcessMutex mutex = new InterProcessMutex(main, "/cu-mutex");
        mutex.acquire();
        mutex.acquire();
        mutex.release();
        Harness.check(mutex.isAcquiredInThisProcess(), "lost");
        try (CuratorFramework other = connect()) {
            InterProcessMutex second = new InterProcessMutex(other, "/cu-mutex");
            Harness.check(!second.acquire(200, TimeUnit.MILLISECONDS), "two holders");
            mutex.release();
            Harness.check(second.acquire(10, TimeUnit.SECONDS), "not free");
            Harness.same(mutex.getParticipantNodes().size(), 1);
            second.release();
        }
        Harness.check(mutex.getParticipantNodes().isEmpty(), "left over");
    }

    private void mutexOfADeadClient() throws Exception {
        CuratorFramework dying = connect();
        new InterProcessMutex(dying, "/cu-dead").acquire();
        InterProcessMutex mutex = new InterProcessMutex(main, "/cu-dead");
        Harness.check(!mutex.acquire(200, TimeUnit.MILLISECONDS), "two holders");
        dying.close();
        Harness.check(mutex.acquire(20, TimeUnit.SECONDS), "not free");
        mutex.release();
    }

    private void semaphoreMutex() throws Exception {
        contend(1, client -> new InterProcessSemaphoreMutex(client, "/cu-semaphore-mutex"));
    }

    private void readWriteLock() throws Exception {
        try (CuratorFramework other = connect()) {
            InterProcessReadWriteLock one = new InterProcessReadWriteLock(main, "/cu-rw");
            InterProcessReadWriteLock two = new InterProcessReadWriteLock(other, "/cu-rw");
            one.readLock().acquire();
            Harness.check(two.readLock().acquire(10, TimeUnit.SECONDS), "readers exclude each other");
            start(() -> Harness.check(
                !two.writeLock().acquire(200, TimeUnit.MILLISECONDS), "a writer among readers"))
                .get(30, TimeUnit.SECONDS);
            two.readLock().release();
            Future<?> writer = start(() -> {
                Harness.check(two.writeLock().acquire(20, TimeUnit.SECONDS), "no write lock");
                two.writeLock().release();
            });
            Thread.sleep(100);
            Harness.check(!writer.isDone(), "a writer beside a reader");
            one.readLock().release();
            writer.get(30, TimeUnit.SECONDS);
            one.writeLock().acquire();
            Harness.check(!two.readLock().acquire(200, TimeUnit.MILLISECONDS), "a reader beside a writer");
            // the holder of the write lock may read
            Harness.check(one.readLock().acquire(5, TimeUnit.SECONDS), "no downgrade");
            one.writeLock().release();
            one.readLock().release();
        }
    }

    private void multiLock() throws Exception {
        InterProcessMultiLock both =
            new InterProcessMultiLock(main, Arrays.asList("/cu-multi-1", "/cu-multi-2"));
        both.acquire();
        try (CuratorFramework other = connect()) {
            InterProcessMutex second = new InterProcessMutex(other, "/cu-multi-2");
            Harness.check(!second.acquire(200, TimeUnit.MILLISECONDS), "free");
            both.release();
            Harness.check(second.acquire(10, TimeUnit.SECONDS), "not free");
            second.release();
        }
    }

    private void semaphore() throws Exception {
        try (CuratorFramework other = connect()) {
            InterProcessSemaphoreV2 one = new InterProcessSemaphoreV2(main, "/cu-semaphore", 3);
            InterProcessSemaphoreV2 two = new InterProcessSemaphoreV2(other, "/cu-semaphore", 3);
            Collection<Lease> leases = one.acquire(2);
            Lease third = two.acquire(10, TimeUnit.SECONDS);
            Harness.check(third != null, "no third lease");
            Harness.same(two.acquire(200, TimeUnit.MILLISECONDS), null);
            one.returnAll(leases);
            Lease fourth = two.acquire(10, TimeUnit.SECONDS);
            Harness.check(fourth != null, "nothing was returned");
            two.returnLease(third);
            two.returnLease(fourth);
        }
    }

    // --- leaders ---------------------------------------------------------------------

    private void leaderLatch() throws Exception {
        List<CuratorFramework> clients = new ArrayList<>();
        List<LeaderLatch> latches = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            clients.add(connect());
            latches.add(new LeaderLatch(clients.get(i), "/cu-latch", "id-" + i));
            latches.get(i).start();
        }
        for (int left = 4; left > 0; left--) {
            List<LeaderLatch> rest = latches;
            Harness.await("a leader", () -> rest.stream().anyMatch(LeaderLatch::hasLeadership));
            Harness.same(latches.stream().filter(LeaderLatch::hasLeadership).count(), 1L);
            LeaderLatch leader = latches.stream().filter(LeaderLatch::hasLeadership).findFirst().get();
            Harness.same(latches.get(0).getLeader().getId(), leader.getId());
            // start() returns before a latch has its node
            int wanted = left;
            Harness.await("all are in line", () -> rest.get(0).getParticipants().size() == wanted);
            int index = latches.indexOf(leader);
            // two go politely, two by the end of their session
            if (left % 2 == 0) {
                leader.close();
            }
            clients.remove(index).close();
            latches = new ArrayList<>(latches);
            latches.remove(index);
        }
    }

    private void leaderSelector() throws Exception {
        AtomicInteger leaders = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        Map<String, Integer> turns = new ConcurrentHashMap<>();
        List<CuratorFramework> clients = new ArrayList<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        CountDownLatch enough = new CountDownLatch(12);
        for (int i = 0; i < 3; i++) {
            String name = "id-" + i;
            clients.add(connect());
            LeaderSelector selector = new LeaderSelector(clients.get(i), "/cu-selector",
                new LeaderSelectorListenerAdapter() {
                    @Override
                    public void takeLeadership(CuratorFramework client) throws Exception {
                        most.accumulateAndGet(leaders.incrementAndGet(), Math::max);
                        Thread.sleep(5);
                        turns.merge(name, 1, Integer::sum);
                        leaders.decrementAndGet();
                        enough.countDown();
                    }
                });
            selector.setId(name);
            selector.autoRequeue();
            selector.start();
            selectors.add(selector);
        }
        Harness.check(enough.await(60, TimeUnit.SECONDS), "turns", turns);
        Harness.same(most.get(), 1);
        Harness.same(turns.keySet(), new HashSet<>(Arrays.asList("id-0", "id-1", "id-2")));
        for (int i = 0; i < 3; i++) {
            selectors.get(i).close();
            clients.get(i).close();
        }
    }

    // --- barriers, queues, counters --------------------------------------------------

    private void barrier() throws Exception {
        DistributedBarrier barrier = new DistributedBarrier(main, "/cu-barrier");
        barrier.setBarrier();
        AtomicInteger passed = new AtomicInteger();
        List<Future<?>> tasks = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            tasks.add(start(() -> {
                try (CuratorFramework client = connect()) {
                    DistributedBarrier own = new DistributedBarrier(client, "/cu-barrier");
                    Harness.check(own.waitOnBarrier(30, TimeUnit.SECONDS), "not let through");
                    passed.incrementAndGet();
                }
            }));
        }
        Thread.sleep(300);
        Harness.same(passed.get(), 0);
        barrier.removeBarrier();
        join(tasks);
        Harness.same(passed.get(), 3);
    }

    private void doubleBarrier() throws Exception {
        int count = 4;
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger left = new AtomicInteger();
        List<Future<?>> tasks = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            tasks.add(start(() -> {
                try (CuratorFramework client = connect()) {
                    DistributedDoubleBarrier own =
                        new DistributedDoubleBarrier(client, "/cu-double", count);
                    inside.incrementAndGet();
                    Harness.check(own.enter(30, TimeUnit.SECONDS), "did not enter");
                    Harness.same(inside.get(), count);
                    left.incrementAndGet();
                    Harness.check(own.leave(30, TimeUnit.SECONDS), "did not leave");
                    Harness.same(left.get(), count);
                }
            }));
        }
        join(tasks);
    }

    private void queue() throws Exception {
        SimpleDistributedQueue queue = new SimpleDistributedQueue(main, "/cu-queue");
        Harness.same(queue.poll(), null);
        int count = 60;
        Set<String> taken = ConcurrentHashMap.newKeySet();
        AtomicInteger takes = new AtomicInteger();
        List<Future<?>> tasks = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            tasks.add(start(() -> {
                try (CuratorFramework client = connect()) {
                    SimpleDistributedQueue own = new SimpleDistributedQueue(client, "/cu-queue");
                    for (int j = 0; j < count / 3; j++) {
                        byte[] task = own.poll(30, TimeUnit.SECONDS);
                        Harness.check(task != null, "nothing to take");
                        taken.add(new String(task, UTF_8));
                        takes.incrementAndGet();
                    }
                }
            }));
        }
        for (int i = 0; i < count; i++) {
            queue.offer(("task " + i).getBytes(UTF_8));
        }
        join(tasks);
        Harness.same(takes.get(), count);
        Harness.same(taken.size(), count);
        // in order for one taker
        queue.offer("1".getBytes(UTF_8));
        queue.offer("2".getBytes(UTF_8));
        Harness.same(new String(queue.peek(), UTF_8), "1");
        Harness.same(new String(queue.take(), UTF_8), "1");
        Harness.same(new String(queue.remove(), UTF_8), "2");
    }

    private void sharedCount() throws Exception {
        try (CuratorFramework other = connect();
            SharedCount one = new SharedCount(main, "/cu-count", 10);
            SharedCount two = new SharedCount(other, "/cu-count", 10)) {
            one.start();
            two.start();
            Harness.same(two.getCount(), 10);
            one.setCount(11);
            Harness.await("the new count", () -> two.getCount() == 11);
            Harness.check(two.trySetCount(two.getVersionedValue(), 12), "not set");
            Harness.await("the new count", () -> one.getCount() == 12);
        }
    }

    private void atomicNumbers() throws Exception {
        List<Future<?>> tasks = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            tasks.add(start(() -> {
                try (CuratorFramework client = connect()) {
                    DistributedAtomicLong number = new DistributedAtomicLong(client, "/cu-long",
                        new RetryNTimes(1000, 1));
                    for (int j = 0; j < 25; j++) {
                        Harness.check(number.increment().succeeded(), "not incremented");
                    }
                }
            }));
        }
        join(tasks);
        Harness.same(new DistributedAtomicLong(main, "/cu-long", new RetryNTimes(10, 10)).get()
            .postValue(), 100L);
        DistributedAtomicInteger ids =
            new DistributedAtomicInteger(main, "/cu-int", new RetryNTimes(10, 10));
        ids.forceSet(5);
        AtomicValue<Integer> wrong = ids.compareAndSet(4, 6);
        Harness.check(!wrong.succeeded(), "compared wrongly");
        CachedAtomicInteger cached = new CachedAtomicInteger(ids, 10);
        Harness.same(cached.next().postValue(), 6);
        Harness.same(cached.next().postValue(), 7);
        Harness.same(ids.get().postValue(), 15);
    }

    // --- caches, nodes, discovery ----------------------------------------------------

    private void curatorCache() throws Exception {
        try (CuratorFramework other = connect()) {
            other.create().creatingParentsIfNeeded().forPath("/cu-cache/a/b", "1".getBytes(UTF_8));
            LinkedBlockingQueue<String> events = new LinkedBlockingQueue<>();
            CountDownLatch ready = new CountDownLatch(1);
            try (CuratorCache cache = CuratorCache.build(main, "/cu-cache")) {
                cache.listenable().addListener(CuratorCacheListener.builder()
                    .forInitialized(ready::countDown)
                    .forCreates(node -> events.add("create " + node.getPath()))
                    .forChanges((old, node) -> events.add("change " + node.getPath() + " "
                        + new String(node.getData(), UTF_8)))
                    .forDeletes(node -> events.add("delete " + node.getPath()))
                    .afterInitialized().build());
                cache.start();
                Harness.check(ready.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "not ready");
                Harness.same(cache.size(), 3);
                other.setData().forPath("/cu-cache/a/b", "2".getBytes(UTF_8));
                Harness.same(events.poll(20, TimeUnit.SECONDS), "change /cu-cache/a/b 2");
                other.create().forPath("/cu-cache/c", new byte[0]);
                Harness.same(events.poll(20, TimeUnit.SECONDS), "create /cu-cache/c");
                other.delete().forPath("/cu-cache/a/b");
                Harness.same(events.poll(20, TimeUnit.SECONDS), "delete /cu-cache/a/b");
                Harness.check(!cache.get("/cu-cache/a/b").isPresent(), "still in the cache");
                for (int i = 0; i < 200; i++) {
                    other.create().inBackground().forPath("/cu-cache/n-" + i, new byte[] {1});
                }
                Harness.await("200 more nodes", () -> cache.size() == 203);
                Harness.same(cache.stream().map(ChildData::getPath).distinct().count(), 203L);
            }
        }
    }

    private void persistentWatcher() throws Exception {
        LinkedBlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
        try (PersistentWatcher watcher = new PersistentWatcher(main, "/cu-watch", true)) {
            watcher.getListenable().addListener(events::add);
            CountDownLatch set = new CountDownLatch(1);
            watcher.getResetListenable().addListener(set::countDown);
            watcher.start();
            Harness.check(set.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "not set");
            main.create().creatingParentsIfNeeded().forPath("/cu-watch/x/y");
            main.setData().forPath("/cu-watch/x/y", new byte[0]);
            List<String> got = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                WatchedEvent event = events.poll(20, TimeUnit.SECONDS);
                Harness.check(event != null, "only", got);
                got.add(event.getType() + " " + event.getPath());
            }
            Harness.same(got, Arrays.asList("NodeCreated /cu-watch", "NodeCreated /cu-watch/x",
                "NodeCreated /cu-watch/x/y", "NodeDataChanged /cu-watch/x/y"));
        }
    }

    private void persistentNodes() throws Exception {
        try (CuratorFramework other = connect();
            PersistentNode node = new PersistentNode(other, CreateMode.EPHEMERAL, false, "/cu-node",
                "x".getBytes(UTF_8))) {
            node.start();
            Harness.check(node.waitForInitialCreate(20, TimeUnit.SECONDS), "not created");
            // it comes back when somebody deletes it
            long first = main.checkExists().forPath("/cu-node").getCzxid();
            main.delete().forPath("/cu-node");
            Harness.await("the node again", () -> {
                Stat stat = main.checkExists().forPath("/cu-node");
                return stat != null && stat.getCzxid() > first;
            });
        }
        Harness.await("the end of the node", () -> main.checkExists().forPath("/cu-node") == null);
        PersistentTtlNode ttl = new PersistentTtlNode(main, "/cu-ttl", 2000, new byte[0]);
        ttl.start();
        Harness.check(ttl.waitForInitialCreate(20, TimeUnit.SECONDS), "not created");
        Thread.sleep(4000);
        // it is touched again and again, and goes when nobody does
        Harness.check(main.checkExists().forPath("/cu-ttl") != null, "gone while in use");
        ttl.close();
        Harness.await("the end of the TTL node", () -> main.checkExists().forPath("/cu-ttl") == null);
    }

    private void groupMembership() throws Exception {
        try (GroupMember one = new GroupMember(main, "/cu-group", "one", "1".getBytes(UTF_8))) {
            one.start();
            CuratorFramework other = connect();
            GroupMember two = new GroupMember(other, "/cu-group", "two", "2".getBytes(UTF_8));
            two.start();
            Harness.await("two members", () -> one.getCurrentMembers().size() == 2);
            Harness.await("its data", () ->
                Arrays.equals(one.getCurrentMembers().get("two"), "2".getBytes(UTF_8)));
            two.setThisData("3".getBytes(UTF_8));
            Harness.await("new data", () ->
                Arrays.equals(one.getCurrentMembers().get("two"), "3".getBytes(UTF_8)));
            other.close();
            Harness.await("one member", () ->
                one.getCurrentMembers().keySet().equals(Collections.singleton("one")));
        }
    }

    private static ServiceInstance<Void> instance(int port) throws Exception {
        return ServiceInstance.<Void>builder().name("web").address("127.0.0.1").port(port)
            .id("web-" + port).build();
    }

    private void serviceDiscovery() throws Exception {
        try (CuratorFramework other = connect();
            ServiceDiscovery<Void> server = ServiceDiscoveryBuilder.builder(Void.class)
                .client(other).basePath("/cu-discovery").thisInstance(instance(8001)).build();
            ServiceDiscovery<Void> seeker = ServiceDiscoveryBuilder.builder(Void.class)
                .client(main).basePath("/cu-discovery").build()) {
            server.start();
            seeker.start();
            server.registerService(instance(8002));
            Harness.same(seeker.queryForNames(), Collections.singletonList("web"));
            Harness.same(seeker.queryForInstances("web").size(), 2);
            Harness.same(seeker.queryForInstance("web", "web-8002").getPort(), 8002);
            try (ServiceCache<Void> cache = seeker.serviceCacheBuilder().name("web").build();
                ServiceProvider<Void> provider = seeker.serviceProviderBuilder().serviceName("web")
                    .providerStrategy(new RoundRobinStrategy<>()).build()) {
                cache.start();
                provider.start();
                Set<Integer> ports = new HashSet<>();
                for (int i = 0; i < 4; i++) {
                    ports.add(provider.getInstance().getPort());
                }
                Harness.same(ports, new HashSet<>(Arrays.asList(8001, 8002)));
                server.registerService(instance(8003));
                Harness.await("a third instance", () -> cache.getInstances().size() == 3);
                server.unregisterService(instance(8002));
                Harness.await("two instances", () -> cache.getInstances().size() == 2);
            }
        }
        try (ServiceDiscovery<Void> seeker = ServiceDiscoveryBuilder.builder(Void.class)
            .client(main).basePath("/cu-discovery").build()) {
            seeker.start();
            Harness.await("no instances", () -> seeker.queryForInstances("web").isEmpty());
        }
    }

    // --- a killed server -------------------------------------------------------------

    private void survivesAKilledServer() throws Exception {
        try (CuratorFramework other = connect(); CuratorFramework third = connect();
            LeaderLatch latch = new LeaderLatch(other, "/cu-kill-latch");
            CuratorCache cache = CuratorCache.build(main, "/cu-kill")) {
            LinkedBlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
            other.getConnectionStateListenable().addListener((client, state) -> states.add(state));
            other.blockUntilConnected(20, TimeUnit.SECONDS);
            InterProcessMutex mutex = new InterProcessMutex(third, "/cu-kill-lock");
            mutex.acquire();
            latch.start();
            latch.await(20, TimeUnit.SECONDS);
            main.create().forPath("/cu-kill", "before".getBytes(UTF_8));
            cache.start();
            Harness.await("the cache", () -> cache.size() == 1);
            harness.killServer();
            main.create().forPath("/cu-kill/after", new byte[0]);
            Harness.await("the cache", () -> cache.get("/cu-kill/after").isPresent());
            Harness.await("leadership", latch::hasLeadership);
            Harness.check(states.contains(ConnectionState.RECONNECTED), states);
            Harness.check(!states.contains(ConnectionState.LOST), states);
            InterProcessMutex second = new InterProcessMutex(main, "/cu-kill-lock");
            Harness.check(!second.acquire(200, TimeUnit.MILLISECONDS), "the lock was lost");
            mutex.release();
            Harness.check(second.acquire(20, TimeUnit.SECONDS), "the lock is not free");
            second.release();
        }
    }

    private boolean run() {
        harness.add("framework", this::framework);
        harness.add("transactions", this::transactions);
        harness.add("mutex", this::mutex);
        harness.add("mutex_of_a_dead_client", this::mutexOfADeadClient);
        harness.add("semaphore_mutex", this::semaphoreMutex);
        harness.add("read_write_lock", this::readWriteLock);
        harness.add("multi_lock", this::multiLock);
        harness.add("semaphore", this::semaphore);
        harness.add("leader_latch", this::leaderLatch);
        harness.add("leader_selector", this::leaderSelector);
        harness.add("barrier", this::barrier);
        harness.add("double_barrier", this::doubleBarrier);
        harness.add("queue", this::queue);
        harness.add("shared_count", this::sharedCount);
        harness.add("atomic_numbers", this::atomicNumbers);
        harness.add("curator_cache", this::curatorCache);
        harness.add("persistent_watcher", this::persistentWatcher);
        harness.add("persistent_nodes", this::persistentNodes);
        harness.add("group_membership", this::groupMembership);
        harness.add("service_discovery", this::serviceDiscovery);
        harness.add("survives_a_killed_server", this::survivesAKilledServer);
        boolean good = harness.run();
        main.close();
        return good;
    }

    /** Arguments: HOST:PORT. */
    public static void main(String[] arguments) {
        System.exit(new CuratorRecipes(arguments[0]).run() ? 0 : 1);
    }
}
