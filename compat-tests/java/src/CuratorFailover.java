import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/**
 * Curator's recipes in an ensemble, whose leader and then a follower are killed and started again
 * while they go on: {@code CuratorFailover HOST:PORT,HOST:PORT,...}.
 */
public final class CuratorFailover {
    private static final int CLIENTS = 3;

    private final String hosts;
    private final Harness harness = new Harness();
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final AtomicInteger suspensions = new AtomicInteger();
    private final AtomicInteger lost = new AtomicInteger();
    private final List<CuratorFramework> clients = new ArrayList<>();

    private CuratorFailover(String hosts) {
        this.hosts = hosts;
        for (int i = 0; i < CLIENTS; i++) {
            clients.add(connect());
        }
    }

    private CuratorFramework connect() {
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(hosts)
            .sessionTimeoutMs(20000)
            .connectionTimeoutMs(10000)
            .retryPolicy(new ExponentialBackoffRetry(100, 12, 1000))
            .build();
        client.getConnectionStateListenable().addListener((one, state) -> {
            if (state == ConnectionState.SUSPENDED) {
                suspensions.incrementAndGet();
            } else if (state == ConnectionState.LOST) {
                lost.incrementAndGet();
            }
        });
        client.start();
        return client;
    }

    private interface Work {
        void run(CuratorFramework client, int index) throws Exception;
    }

    private interface Progress {
        int done();
    }

    /** The work on a thread for each client; it goes on through both kills. */
    private void throughKills(Progress progress, Work work) throws Exception {
        List<Future<?>> tasks = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            int index = i;
            tasks.add(threads.submit((Callable<Void>) () -> {
                work.run(clients.get(index), index);
                return null;
            }));
        }
        kills(progress);
        for (Future<?> task : tasks) {
            task.get(60, TimeUnit.SECONDS);
        }
    }

    /** Both kills; something is done before, between, and behind them. */
    private void kills(Progress progress) throws Exception {
        for (String which : new String[] {"leader", "follower"}) {
            goesOn(progress);
            harness.killServer(which);
        }
        goesOn(progress);
    }

    private static void goesOn(Progress progress) throws Exception {
        int goal = progress.done() + 5;
        Harness.await("progress", () -> progress.done() >= goal);
    }

    /** Both kills, with nothing of the program's own going on. */
    private void killsInSilence() throws Exception {
        harness.killServer("leader");
        harness.killServer("follower");
    }

    // --- the recipes -----------------------------------------------------------------

    private void mutex() throws Exception {
        CuratorFramework first = clients.get(0);
        first.create().orSetData().forPath("/fo-count", "0".getBytes(UTF_8));
        AtomicInteger rounds = new AtomicInteger();
        AtomicInteger inside = new AtomicInteger();
        throughKills(rounds::get, (client, index) -> {
            InterProcessMutex mutex = new InterProcessMutex(client, "/fo-mutex");
            for (int i = 0; i < 40; i++) {
                Harness.check(mutex.acquire(60, TimeUnit.SECONDS), "no lock");
                try {
                    Harness.same(inside.incrementAndGet(), 1);
                    client.sync().forPath("/fo-count");
                    int count = Integer.parseInt(
                        new String(client.getData().forPath("/fo-count"), UTF_8));
                    client.setData().forPath("/fo-count",
                        Integer.toString(count + 1).getBytes(UTF_8));
                    inside.decrementAndGet();
                } finally {
                    mutex.release();
                }
                rounds.incrementAndGet();
                Thread.sleep(20);
            }
        });
        first.sync().forPath("/fo-count");
        Harness.same(new String(first.getData().forPath("/fo-count"), UTF_8), "" + 40 * CLIENTS);
    }

    private static LeaderLatch leader(List<LeaderLatch> latches) {
        return latches.stream().filter(LeaderLatch::hasLeadership).findFirst().orElse(null);
    }

    private void leaderLatch() throws Exception {
        List<LeaderLatch> latches = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            LeaderLatch latch = new LeaderLatch(clients.get(i), "/fo-latch", "id-" + i);
            latch.start();
            latches.add(latch);
        }
        Harness.await("a leader", () -> leader(latches) != null);
        killsInSilence();
        for (int left = CLIENTS; left > 0; left--) {
            int wanted = left;
            // all agree on one that says so itself, and on who is in line
            Harness.await("one leader of " + left, () -> {
                LeaderLatch leader = leader(latches);
                boolean agreed = leader != null;
                for (LeaderLatch latch : latches) {
                    agreed = agreed && latch.getLeader().getId().equals(leader.getId())
                        && latch.getParticipants().size() == wanted
                        && latch.hasLeadership() == (latch == leader);
                }
                return agreed;
            });
            LeaderLatch leader = leader(latches);
            leader.close();
            latches.remove(leader);
        }
    }

    private void leaderSelector() throws Exception {
        AtomicInteger leaders = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        Set<String> names = ConcurrentHashMap.newKeySet();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            String name = "id-" + i;
            LeaderSelector selector = new LeaderSelector(clients.get(i), "/fo-selector",
                new LeaderSelectorListenerAdapter() {
                    @Override
                    public void takeLeadership(CuratorFramework client) throws Exception {
                        most.accumulateAndGet(leaders.incrementAndGet(), Math::max);
                        try {
                            // interrupted when the connection is lost
                            Thread.sleep(20);
                            names.add(name);
                            turns.incrementAndGet();
                        } finally {
                            leaders.decrementAndGet();
                        }
                    }
                });
            selector.setId(name);
            selector.autoRequeue();
            selector.start();
            selectors.add(selector);
        }
        kills(turns::get);
        Harness.await("a turn for each", () -> names.size() == CLIENTS);
        Harness.same(most.get(), 1);
        for (LeaderSelector selector : selectors) {
            selector.close();
        }
    }

    private void cache() throws Exception {
        Set<String> wanted = ConcurrentHashMap.newKeySet();
        try (CuratorCache cache = CuratorCache.build(clients.get(0), "/fo-cache")) {
            clients.get(0).create().forPath("/fo-cache");
            cache.start();
            throughKills(wanted::size, (client, index) -> {
                for (int i = 0; i < 60; i++) {
                    String path = "/fo-cache/" + index + "-" + i;
                    client.create().orSetData().forPath(path, path.getBytes(UTF_8));
                    wanted.add(path);
                    Thread.sleep(20);
                }
            });
            for (String path : wanted) {
                Harness.await(path, () -> cache.get(path)
                    .map(node -> new String(node.getData(), UTF_8).equals(path)).orElse(false));
            }
            Harness.same(cache.size(), wanted.size() + 1);
        }
    }

    private void ephemerals() throws Exception {
        List<Long> made = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            String path = clients.get(i).create().withMode(CreateMode.EPHEMERAL).forPath("/fo-eph" + i);
            made.add(clients.get(i).checkExists().forPath(path).getCzxid());
        }
        CuratorFramework extra = connect();
        extra.create().withMode(CreateMode.EPHEMERAL).forPath("/fo-extra");
        killsInSilence();
        for (CuratorFramework client : clients) {
            client.sync().forPath("/");
            for (int i = 0; i < CLIENTS; i++) {
                Stat stat = client.checkExists().forPath("/fo-eph" + i);
                Harness.check(stat != null && stat.getCzxid() == made.get(i), "ephemeral", i, stat);
            }
        }
        extra.checkExists().forPath("/");
        extra.close();
        for (CuratorFramework client : clients) {
            client.sync().forPath("/");
            Harness.same(client.checkExists().forPath("/fo-extra"), null);
        }
    }

    private void atomicNumbers() throws Exception {
        AtomicInteger succeeded = new AtomicInteger();
        int before = suspensions.get();
        throughKills(succeeded::get, (client, index) -> {
            DistributedAtomicLong number =
                new DistributedAtomicLong(client, "/fo-long", new RetryNTimes(1000, 5));
            for (int i = 0; i < 60; i++) {
                Harness.check(number.increment().succeeded(), "not incremented");
                succeeded.incrementAndGet();
                Thread.sleep(20);
            }
        });
        clients.get(1).sync().forPath("/fo-long");
        long value = new DistributedAtomicLong(clients.get(1), "/fo-long", new RetryNTimes(10, 10))
            .get().postValue();
        // what was under way when a connection ended may have been done once more
        int unsure = suspensions.get() - before;
        Harness.check(value >= succeeded.get() && value <= succeeded.get() + unsure,
            "value", value, "after", succeeded, "increments and", unsure, "lost connections");
    }

    private void groupMembership() throws Exception {
        List<GroupMember> members = new ArrayList<>();
        Set<String> names = new HashSet<>();
        for (int i = 0; i < CLIENTS; i++) {
            GroupMember member =
                new GroupMember(clients.get(i), "/fo-group", "m" + i, new byte[] {(byte) i});
            member.start();
            members.add(member);
            names.add("m" + i);
        }
        for (GroupMember member : members) {
            Harness.await("all members", () -> member.getCurrentMembers().keySet().equals(names));
        }
        killsInSilence();
        members.get(2).close();
        names.remove("m2");
        for (GroupMember member : members.subList(0, 2)) {
            Harness.await("two members", () -> member.getCurrentMembers().keySet().equals(names));
        }
        members.get(1).close();
        Harness.await("one", () -> members.get(0).getCurrentMembers().keySet()
            .equals(Collections.singleton("m0")));
        members.get(0).close();
    }

    private void noSessionWasLost() {
        Harness.check(suspensions.get() > 0, "no connection was lost");
        Harness.same(lost.get(), 0);
    }

    private boolean run() {
        harness.add("killed: mutex", this::mutex);
        harness.add("killed: leader_latch", this::leaderLatch);
        harness.add("killed: leader_selector", this::leaderSelector);
        harness.add("killed: cache", this::cache);
        harness.add("killed: ephemerals", this::ephemerals);
        harness.add("killed: atomic_numbers", this::atomicNumbers);
        harness.add("killed: group_membership", this::groupMembership);
        harness.add("killed: no_session_was_lost", this::noSessionWasLost);
        return harness.run();
    }

    /** Arguments: HOST:PORT,HOST:PORT,... */
    public static void main(String[] arguments) {
        System.exit(new CuratorFailover(arguments[0]).run() ? 0 : 1);
    }
}
