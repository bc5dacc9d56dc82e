import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;

import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** Exercises a server through ZooKeeper's own Java client: {@code JavaClient HOST:PORT}. */
public final class JavaClient {
    private static final String DIGEST_OF_DAVE = "dave:" + digest("dave:secret");

    /** A connection and the events that came to it, in order. */
    private static final class Client implements AutoCloseable, Watcher {
        final BlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
        final ZooKeeper zk;

        Client(String hosts, int timeout) throws Exception {
            zk = new ZooKeeper(hosts, timeout, this);
            Harness.await("connection", () -> zk.getState().isConnected());
        }

        Client(String hosts, long session, byte[] password) throws Exception {
            zk = new ZooKeeper(hosts, 10000, this, session, password);
            Harness.await("connection", () -> zk.getState().isConnected());
        }

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() != EventType.None) {
                events.add(event);
            }
        }

        void expect(EventType type, String path) throws InterruptedException {
            WatchedEvent event = events.poll(Harness.LIMIT_SECONDS, TimeUnit.SECONDS);
            Harness.check(event != null, "no event", type, path);
            Harness.same(event.getType() + " " + event.getPath(), type + " " + path);
        }

        String create(String path, String data) throws Exception {
            return create(path, data, CreateMode.PERSISTENT);
        }

        String create(String path, String data, CreateMode mode) throws Exception {
            return zk.create(path, data.getBytes(UTF_8), Ids.OPEN_ACL_UNSAFE, mode);
        }

        String get(String path) throws Exception {
            byte[] data = zk.getData(path, false, null);
            return data == null ? null : new String(data, UTF_8);
        }

        boolean has(String path) throws Exception {
            return zk.exists(path, false) != null;
        }

        @Override
        public void close() throws InterruptedException {
            zk.close();
        }
    }

    private final String hosts;
    private final Harness harness = new Harness();
    private final Client main;

    private JavaClient(String hosts) throws Exception {
        this.hosts = hosts;
        main = new Client(hosts, 15000);
    }

    private Client connect() throws Exception {
        return new Client(hosts, 10000);
    }

    private interface Call {
        void run() throws Exception;
    }

    private static void fails(Code code, Call call) throws Exception {
        try {
            call.run();
        } catch (KeeperException error) {
            Harness.same(error.code(), code);
            return;
        }
        throw new AssertionError("no " + code);
    }

    private static String digest(String idPassword) {
        try {
            return org.apache.zookeeper.server.auth.DigestAuthenticationProvider
                .generateDigest(idPassword).split(":", 2)[1];
        } catch (java.security.NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    // --- tests -----------------------------------------------------------------------

    private void session() throws Exception {
        Harness.check(main.zk.getSessionId() != 0, "no session");
        Harness.same(main.zk.getSessionTimeout(), 15000);
        Harness.same(main.zk.getSessionPasswd().length, 16);
        // the limits are 2 and 20 ticks of 2 s
        try (Client low = new Client(hosts, 10); Client high = new Client(hosts, 10_000_000)) {
            Harness.same(low.zk.getSessionTimeout(), 4000);
            Harness.same(high.zk.getSessionTimeout(), 40000);
        }
    }

    private void createGetSetDelete() throws Exception {
        Stat made = new Stat();
        Harness.same(main.zk.create("/java", "one".getBytes(UTF_8), Ids.OPEN_ACL_UNSAFE,
            CreateMode.PERSISTENT, made), "/java");
        Harness.same(made.getCzxid(), made.getMzxid());
        Harness.same(made.getCzxid(), made.getPzxid());
        Harness.same(made.getDataLength(), 3);
        fails(Code.NODEEXISTS, () -> main.create("/java", ""));
        fails(Code.NONODE, () -> main.create("/java-none/child", ""));
        Stat stat = new Stat();
        Harness.same(new String(main.zk.getData("/java", false, stat), UTF_8), "one");
        Harness.same(stat, made);
        fails(Code.BADVERSION, () -> main.zk.setData("/java", new byte[0], 1));
        Stat changed = main.zk.setData("/java", "two!".getBytes(UTF_8), 0);
        Harness.same(changed.getVersion(), 1);
        Harness.same(changed.getDataLength(), 4);
        Harness.check(changed.getMzxid() > changed.getCzxid(), "mzxid");
        Harness.check(changed.getMtime() >= changed.getCtime(), "mtime");
        main.create("/java/child", "");
        Stat parent = main.zk.exists("/java", false);
        Harness.same(parent.getNumChildren(), 1);
        Harness.same(parent.getCversion(), 1);
        Harness.same(main.zk.exists("/java/child", false).getCzxid(), parent.getPzxid());
        fails(Code.NOTEMPTY, () -> main.zk.delete("/java", -1));
        main.zk.delete("/java/child", 0);
        fails(Code.BADVERSION, () -> main.zk.delete("/java", 0));
        Harness.same(main.zk.exists("/java", false).getCversion(), 2);
        main.zk.delete("/java", 1);
        Harness.check(!main.has("/java"), "still there");
        fails(Code.NONODE, () -> main.zk.delete("/java", -1));
        fails(Code.BADARGUMENTS, () -> main.zk.delete("/zookeeper/quota", -1));
    }

    private void nullData() throws Exception {
        main.zk.create("/java-null", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Harness.same(main.get("/java-null"), null);
        main.zk.setData("/java-null", new byte[0], -1);
        Harness.same(main.get("/java-null"), "");
        main.zk.setData("/java-null", null, -1);
        Harness.same(main.get("/java-null"), null);
    }

    private void unicodePaths() throws Exception {
        String path = "/java-\u4f60\u597d-\u00e9";
        main.create(path, "\u20ac");
        Harness.same(main.get(path), "\u20ac");
        Harness.check(main.zk.getChildren("/", false).contains(path.substring(1)), "not listed");
    }

    private void sequence() throws Exception {
        main.create("/java-seq", "");
        for (int i = 0; i < 5; i++) {
            CreateMode mode = i % 2 == 0 ? CreateMode.PERSISTENT_SEQUENTIAL
                : CreateMode.EPHEMERAL_SEQUENTIAL;
            Harness.same(main.create("/java-seq/n-", "", mode),
                String.format("/java-seq/n-%010d", i));
        }
        main.zk.delete("/java-seq/n-0000000004", -1);
        Harness.same(main.create("/java-seq/", "", CreateMode.PERSISTENT_SEQUENTIAL),
            "/java-seq/0000000005");
    }

    private void containerAndTtl() throws Exception {
        main.create("/java-container", "", CreateMode.CONTAINER);
        main.create("/java-container/child", "");
        main.zk.create("/java-ttl", new byte[0], Ids.OPEN_ACL_UNSAFE,
            CreateMode.PERSISTENT_WITH_TTL, null, 1000);
        main.zk.create("/java-ttl-seq-", new byte[0], Ids.OPEN_ACL_UNSAFE,
            CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, null, 1000);
        // both go: the container with its last child, the other ones with time
        main.zk.delete("/java-container/child", -1);
        Harness.await("removal of the container", () -> !main.has("/java-container"));
        Harness.await("removal of the TTL node", () -> !main.has("/java-ttl"));
    }

    private void children() throws Exception {
        main.create("/java-list", "");
        List<String> want = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            want.add(String.format("%04d", i));
            main.zk.create("/java-list/" + want.get(i), null, Ids.OPEN_ACL_UNSAFE,
                CreateMode.PERSISTENT, (rc, path, context, name) -> { }, null);
        }
        Stat stat = new Stat();
        List<String> got = new ArrayList<>(main.zk.getChildren("/java-list", false, stat));
        Collections.sort(got);
        Harness.same(got, want);
        Harness.same(stat.getNumChildren(), 500);
        Harness.same(main.zk.getAllChildrenNumber("/java-list"), 500);
    }

    private void ephemerals() throws Exception {
        try (Client other = connect()) {
            other.create("/java-eph-1", "", CreateMode.EPHEMERAL);
            other.create("/java-eph-2", "", CreateMode.EPHEMERAL);
            fails(Code.NOCHILDRENFOREPHEMERALS, () -> main.create("/java-eph-1/child", ""));
            List<String> own = new ArrayList<>(other.zk.getEphemerals());
            Collections.sort(own);
            Harness.same(own, Arrays.asList("/java-eph-1", "/java-eph-2"));
            Harness.same(other.zk.getEphemerals("/java-eph-2"),
                Collections.singletonList("/java-eph-2"));
            Harness.same(main.zk.exists("/java-eph-1", main).getEphemeralOwner(),
                other.zk.getSessionId());
        }
        main.expect(EventType.NodeDeleted, "/java-eph-1");
        Harness.check(!main.has("/java-eph-2"), "the second one is still there");
    }

    private void sessionExpiry() throws Exception {
        // a session that nobody keeps alive, but whose owner did not say goodbye
        Client lost = new Client(hosts, 4000);
        lost.create("/java-expiry", "", CreateMode.EPHEMERAL);
        long session = lost.zk.getSessionId();
        byte[] password = lost.zk.getSessionPasswd();
        main.zk.exists("/java-expiry", main);
        // only the connection goes
        new TestableClose(lost.zk).drop();
        main.expect(EventType.NodeDeleted, "/java-expiry");
        CountDownLatch expired = new CountDownLatch(1);
        ZooKeeper late = new ZooKeeper(hosts, 4000, event -> {
            if (event.getState() == KeeperState.Expired) {
                expired.countDown();
            }
        }, session, password);
        Harness.check(expired.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "not expired");
        late.close();
    }

    /** Reaches into the client to end its connection as a crash would. */
    private static final class TestableClose {
        private final ZooKeeper zk;

        TestableClose(ZooKeeper zk) {
            this.zk = zk;
        }

        void drop() throws Exception {
            java.lang.reflect.Field field = ZooKeeper.class.getDeclaredField("cnxn");
            field.setAccessible(true);
            Object cnxn = field.get(zk);
            java.lang.reflect.Method disconnect = cnxn.getClass().getDeclaredMethod("disconnect");
            disconnect.setAccessible(true);
            disconnect.invoke(cnxn);
        }
    }

    private void reattach() throws Exception {
        Client first = connect();
        first.create("/java-attach", "", CreateMode.EPHEMERAL);
        long session = first.zk.getSessionId();
        byte[] password = first.zk.getSessionPasswd();
        new TestableClose(first.zk).drop();
        try (Client second = new Client(hosts, session, password)) {
            Harness.same(second.zk.getSessionId(), session);
            Harness.check(second.has("/java-attach"), "the ephemeral is gone");
        }
        Harness.check(!main.has("/java-attach"), "the ephemeral is still there");
        // a wrong password gets no session
        CountDownLatch expired = new CountDownLatch(1);
        try (Client third = connect()) {
            ZooKeeper thief = new ZooKeeper(hosts, 10000, event -> {
                if (event.getState() == KeeperState.Expired) {
                    expired.countDown();
                }
            }, third.zk.getSessionId(), new byte[16]);
            Harness.check(expired.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "got a session");
            thief.close();
            // the owner may lose its connection by this, but not its session
            long owner = third.zk.getSessionId();
            Harness.await("connection", () -> reachable(third));
            Harness.same(third.zk.getSessionId(), owner);
        }
    }

    private void oneTimeWatches() throws Exception {
        try (Client c = connect()) {
            Harness.same(c.zk.exists("/java-watch", true), null);
            main.create("/java-watch", "1");
            c.expect(EventType.NodeCreated, "/java-watch");
            c.zk.getData("/java-watch", true, null);
            main.zk.setData("/java-watch", new byte[0], -1);
            main.zk.setData("/java-watch", new byte[1], -1);
            c.expect(EventType.NodeDataChanged, "/java-watch");
            c.zk.getChildren("/java-watch", true);
            main.create("/java-watch/child", "");
            main.create("/java-watch/other", "");
            c.expect(EventType.NodeChildrenChanged, "/java-watch");
            c.zk.getData("/java-watch/child", true, null);
            c.zk.getChildren("/java-watch/child", true);
            main.zk.delete("/java-watch/child", -1);
            // a data and a child watch on one path give one event
            c.expect(EventType.NodeDeleted, "/java-watch/child");
            c.has("/");
            Harness.check(c.events.isEmpty(), c.events);
        }
    }

    private void eventsComeBeforeTheChangeIsSeen() throws Exception {
        main.create("/java-order", "0");
        try (Client c = connect()) {
            for (int i = 1; i <= 50; i++) {
                AtomicInteger seen = new AtomicInteger();
                c.zk.getData("/java-order", event -> seen.incrementAndGet(), null);
                String want = Integer.toString(i);
                main.zk.setData("/java-order", want.getBytes(UTF_8), -1, (rc, p, x, s) -> { }, null);
                CountDownLatch done = new CountDownLatch(1);
                List<String> wrong = new ArrayList<>();
                Object[] again = new Object[1];
                org.apache.zookeeper.AsyncCallback.DataCallback reader = (rc, p, x, data, s) -> {
                    boolean fresh = new String(data, UTF_8).equals(want);
                    if (fresh && seen.get() == 0) {
                        wrong.add("value " + want + " before its event");
                    }
                    if (fresh) {
                        done.countDown();
                    } else {
                        ((Runnable) again[0]).run();
                    }
                };
                again[0] = (Runnable) () -> c.zk.getData("/java-order", false, reader, null);
                ((Runnable) again[0]).run();
                Harness.check(done.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "no value", want);
                Harness.check(wrong.isEmpty(), wrong);
            }
        }
    }

    private void persistentWatches() throws Exception {
        main.create("/java-persist", "");
        try (Client c = connect(); Client r = connect()) {
            c.zk.addWatch("/java-persist", c, AddWatchMode.PERSISTENT);
            r.zk.addWatch("/java-persist", r, AddWatchMode.PERSISTENT_RECURSIVE);
            for (int i = 0; i < 3; i++) {
                main.zk.setData("/java-persist", new byte[i], -1);
            }
            main.create("/java-persist/a", "");
            main.create("/java-persist/a/b", "");
            main.zk.setData("/java-persist/a/b", new byte[1], -1);
            main.zk.delete("/java-persist/a/b", -1);
            main.zk.delete("/java-persist/a", -1);
            for (int i = 0; i < 3; i++) {
                c.expect(EventType.NodeDataChanged, "/java-persist");
                r.expect(EventType.NodeDataChanged, "/java-persist");
            }
            c.expect(EventType.NodeChildrenChanged, "/java-persist");
            c.expect(EventType.NodeChildrenChanged, "/java-persist");
            r.expect(EventType.NodeCreated, "/java-persist/a");
            r.expect(EventType.NodeCreated, "/java-persist/a/b");
            r.expect(EventType.NodeDataChanged, "/java-persist/a/b");
            r.expect(EventType.NodeDeleted, "/java-persist/a/b");
            r.expect(EventType.NodeDeleted, "/java-persist/a");
            c.has("/");
            r.has("/");
            Harness.check(c.events.isEmpty() && r.events.isEmpty(), c.events, r.events);
        }
    }

    private void removeWatches() throws Exception {
        main.create("/java-unwatch", "");
        try (Client c = connect()) {
            c.zk.getData("/java-unwatch", c, null);
            c.zk.getChildren("/java-unwatch", c);
            c.zk.removeWatches("/java-unwatch", c, Watcher.WatcherType.Data, false);
            c.expect(EventType.DataWatchRemoved, "/java-unwatch");
            main.zk.setData("/java-unwatch", new byte[1], -1);
            main.create("/java-unwatch/child", "");
            c.expect(EventType.NodeChildrenChanged, "/java-unwatch");
            fails(Code.NOWATCHER, () ->
                c.zk.removeWatches("/java-unwatch", c, Watcher.WatcherType.Any, false));
            c.zk.addWatch("/java-unwatch", c, AddWatchMode.PERSISTENT_RECURSIVE);
            c.zk.removeAllWatches("/java-unwatch", Watcher.WatcherType.Any, false);
            c.expect(EventType.PersistentWatchRemoved, "/java-unwatch");
            main.zk.setData("/java-unwatch", new byte[2], -1);
            c.has("/");
            Harness.check(c.events.isEmpty(), c.events);
        }
    }

    private void multi() throws Exception {
        List<OpResult> results = main.zk.multi(Arrays.asList(
            Op.create("/java-multi", "a".getBytes(UTF_8), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/java-multi/n-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
            Op.setData("/java-multi", "b".getBytes(UTF_8), 0),
            Op.check("/java-multi", 1),
            Op.delete("/java-multi/n-0000000000", 0)));
        Harness.same(((OpResult.CreateResult) results.get(1)).getPath(), "/java-multi/n-0000000000");
        Harness.same(((OpResult.SetDataResult) results.get(2)).getStat().getVersion(), 1);
        Stat stat = main.zk.exists("/java-multi", false);
        // one transaction, one zxid
        Harness.same(stat.getCzxid(), stat.getMzxid());
        Harness.same(stat.getCversion(), 2);
        try {
            main.zk.multi(Arrays.asList(
                Op.setData("/java-multi", new byte[9], -1),
                Op.delete("/java-multi/none", -1),
                Op.delete("/java-multi", -1)));
            throw new AssertionError("a failing multi passed");
        } catch (KeeperException error) {
            Harness.same(error.code(), Code.NONODE);
            List<Integer> codes = error.getResults().stream()
                .map(r -> ((OpResult.ErrorResult) r).getErr()).collect(Collectors.toList());
            Harness.same(codes, Arrays.asList(Code.OK.intValue(), Code.NONODE.intValue(),
                Code.RUNTIMEINCONSISTENCY.intValue()));
        }
        Harness.same(main.get("/java-multi"), "b");
        Harness.same(main.zk.multi(Collections.emptyList()).size(), 0);
    }

    private void multiRead() throws Exception {
        main.create("/java-read", "data");
        main.create("/java-read/child", "");
        List<OpResult> results = main.zk.multi(Arrays.asList(
            Op.getData("/java-read"), Op.getChildren("/java-read"), Op.getData("/java-read/none")));
        Harness.same(new String(((OpResult.GetDataResult) results.get(0)).getData(), UTF_8), "data");
        Harness.same(((OpResult.GetChildrenResult) results.get(1)).getChildren(),
            Collections.singletonList("child"));
        Harness.same(((OpResult.ErrorResult) results.get(2)).getErr(), Code.NONODE.intValue());
    }

    private void acl() throws Exception {
        try (Client owner = connect()) {
            fails(Code.INVALIDACL, () ->
                main.zk.create("/java-acl", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
            fails(Code.INVALIDACL, () -> main.zk.create("/java-acl", null,
                Collections.singletonList(new ACL(Perms.ALL, new Id("no-such", "x"))),
                CreateMode.PERSISTENT));
            owner.zk.addAuthInfo("digest", "dave:secret".getBytes(UTF_8));
            owner.zk.create("/java-acl", "x".getBytes(UTF_8), Ids.CREATOR_ALL_ACL,
                CreateMode.PERSISTENT);
            Stat stat = new Stat();
            Harness.same(owner.zk.getACL("/java-acl", stat), Collections.singletonList(
                new ACL(Perms.ALL, new Id("digest", DIGEST_OF_DAVE))));
            fails(Code.NOAUTH, () -> main.get("/java-acl"));
            fails(Code.NOAUTH, () -> main.zk.setData("/java-acl", null, -1));
            fails(Code.NOAUTH, () -> main.zk.getChildren("/java-acl", false));
            fails(Code.NOAUTH, () -> main.create("/java-acl/child", ""));
            fails(Code.NOAUTH, () -> main.zk.setACL("/java-acl", Ids.OPEN_ACL_UNSAFE, -1));
            fails(Code.NOAUTH, () -> main.zk.getACL("/java-acl", stat));
            owner.create("/java-acl/child", "");
            fails(Code.NOAUTH, () -> main.zk.delete("/java-acl/child", -1));
            // the id of a digest is not shown to who may only read
            owner.zk.setACL("/java-acl", Arrays.asList(
                new ACL(Perms.READ, Ids.ANYONE_ID_UNSAFE),
                new ACL(Perms.ALL, new Id("digest", DIGEST_OF_DAVE))), 0);
            List<ACL> shown = main.zk.getACL("/java-acl", stat);
            Harness.same(stat.getAversion(), 1);
            Harness.same(shown.get(1).getId(), new Id("digest", "dave:x"));
            Harness.same(main.get("/java-acl"), "x");
            fails(Code.BADVERSION, () -> owner.zk.setACL("/java-acl", Ids.OPEN_ACL_UNSAFE, 0));
            List<ClientInfo> who = owner.zk.whoAmI();
            Harness.check(who.contains(new ClientInfo("digest", "dave")), who);
            Harness.check(who.contains(new ClientInfo("ip", "127.0.0.1")), who);
        }
    }

    private void wrongAuthScheme() throws Exception {
        CountDownLatch failed = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(hosts, 10000, event -> {
            if (event.getState() == KeeperState.AuthFailed) {
                failed.countDown();
            }
        });
        Harness.await("connection", () -> zk.getState().isConnected());
        zk.addAuthInfo("no-such-scheme", new byte[0]);
        Harness.check(failed.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "no AuthFailed");
        zk.close();
    }

    private void quota() throws Exception {
        main.create("/java-quota", "");
        org.apache.zookeeper.StatsTrack limits = new org.apache.zookeeper.StatsTrack();
        limits.setCount(3);
        org.apache.zookeeper.cli.SetQuotaCommand.createQuota(main.zk, "/java-quota", limits);
        main.create("/java-quota/1", "");
        // a soft limit only warns
        main.create("/java-quota/2", "");
        main.create("/java-quota/3", "");
        org.apache.zookeeper.StatsTrack stats = new org.apache.zookeeper.StatsTrack(
            main.get("/zookeeper/quota/java-quota/zookeeper_stats"));
        Harness.same(stats.getCount(), 4L);
    }

    private void largeData() throws Exception {
        byte[] data = new byte[1_000_000];
        Arrays.fill(data, (byte) 7);
        main.zk.create("/java-large", data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Harness.check(Arrays.equals(data, main.zk.getData("/java-large", false, null)), "changed");
        // past jute.maxbuffer the server ends the connection
        try (Client c = connect()) {
            fails(Code.CONNECTIONLOSS, () -> c.zk.create("/java-huge", new byte[2_000_000],
                Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
            Harness.await("connection", () -> c.zk.getState().isConnected());
        }
        Harness.check(!main.has("/java-huge"), "created");
    }

    private void pipelinedRequests() throws Exception {
        int count = 5000;
        main.create("/java-pipe", "");
        CountDownLatch done = new CountDownLatch(count);
        AtomicInteger wrong = new AtomicInteger();
        for (int i = 0; i < count; i++) {
            int want = i + 1;
            main.zk.setData("/java-pipe", new byte[0], -1, (rc, path, context, stat) -> {
                if (rc != 0 || stat.getVersion() != want) {
                    wrong.incrementAndGet();
                }
                done.countDown();
            }, null);
        }
        Harness.check(done.await(60, TimeUnit.SECONDS), done.getCount(), "replies are missing");
        Harness.same(wrong.get(), 0);
    }

    private void chroot() throws Exception {
        main.create("/java-root", "");
        try (Client c = new Client(hosts + "/java-root", 10000)) {
            Harness.same(c.create("/inside", "x"), "/inside");
            c.zk.exists("/inside", c);
            main.zk.setData("/java-root/inside", new byte[0], -1);
            c.expect(EventType.NodeDataChanged, "/inside");
        }
    }

    private void sync() throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        String[] got = new String[1];
        main.zk.sync("/java-sync", (rc, path, context) -> {
            got[0] = rc + " " + path;
            done.countDown();
        }, null);
        Harness.check(done.await(Harness.LIMIT_SECONDS, TimeUnit.SECONDS), "no reply");
        Harness.same(got[0], "0 /java-sync");
    }

    private void config() throws Exception {
        Harness.same(new String(main.zk.getConfig(false, null), UTF_8), "");
    }

    private void survivesAKilledServer() throws Exception {
        try (Client c = connect()) {
            c.create("/java-kill", "kept");
            c.create("/java-kill-eph", "", CreateMode.EPHEMERAL);
            c.zk.getData("/java-kill", true, null);
            c.zk.addWatch("/java-kill", c, AddWatchMode.PERSISTENT_RECURSIVE);
            Stat before = c.zk.exists("/java-kill", false);
            long session = c.zk.getSessionId();
            harness.killServer();
            Harness.await("connection", () -> reachable(c) && reachable(main));
            Harness.same(c.zk.getSessionId(), session);
            Harness.same(c.zk.exists("/java-kill", false), before);
            Harness.same(c.zk.exists("/java-kill-eph", false).getEphemeralOwner(), session);
            Stat after = main.zk.setData("/java-kill", "new".getBytes(UTF_8), 0);
            Harness.check(after.getMzxid() > before.getMzxid(), "zxid went back");
            c.expect(EventType.NodeDataChanged, "/java-kill");
            main.create("/java-kill/child", "");
            c.expect(EventType.NodeCreated, "/java-kill/child");
        }
    }

    /** A change that a client missed while it was away is told when it comes back. */
    private void missedEventsAreToldOnReconnect() throws Exception {
        main.create("/java-missed", "");
        try (Client c = connect()) {
            c.zk.getData("/java-missed", true, null);
            c.zk.exists("/java-missed-new", true);
            // its reconnect races with the changes; either way each event comes once
            new Thread(() -> {
                try {
                    new TestableDisconnect(c.zk).run();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }).start();
            main.zk.setData("/java-missed", new byte[1], -1);
            main.create("/java-missed-new", "");
            List<String> got = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                WatchedEvent event = c.events.poll(Harness.LIMIT_SECONDS, TimeUnit.SECONDS);
                Harness.check(event != null, "only", got);
                got.add(event.getType() + " " + event.getPath());
            }
            Collections.sort(got);
            Harness.same(got, Arrays.asList("NodeCreated /java-missed-new",
                "NodeDataChanged /java-missed"));
        }
    }

    /** Closes the socket under the client; it connects again by itself. */
    private static final class TestableDisconnect {
        private final ZooKeeper zk;

        TestableDisconnect(ZooKeeper zk) {
            this.zk = zk;
        }

        void run() throws Exception {
            java.lang.reflect.Field field = ZooKeeper.class.getDeclaredField("cnxn");
            field.setAccessible(true);
            Object cnxn = field.get(zk);
            field = cnxn.getClass().getDeclaredField("sendThread");
            field.setAccessible(true);
            Object thread = field.get(cnxn);
            java.lang.reflect.Method method =
                thread.getClass().getDeclaredMethod("testableCloseSocket");
            method.setAccessible(true);
            method.invoke(thread);
        }
    }

    private static boolean reachable(Client c) {
        try {
            c.has("/");
            return true;
        } catch (KeeperException.ConnectionLossException error) {
            return false;
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private boolean run() throws Exception {
        harness.add("session", this::session);
        harness.add("create_get_set_delete", this::createGetSetDelete);
        harness.add("null_data", this::nullData);
        harness.add("unicode_paths", this::unicodePaths);
        harness.add("sequence", this::sequence);
        harness.add("container_and_ttl", this::containerAndTtl);
        harness.add("children", this::children);
        harness.add("ephemerals", this::ephemerals);
        harness.add("session_expiry", this::sessionExpiry);
        harness.add("reattach", this::reattach);
        harness.add("one_time_watches", this::oneTimeWatches);
        harness.add("events_come_before_the_change_is_seen", this::eventsComeBeforeTheChangeIsSeen);
        harness.add("persistent_watches", this::persistentWatches);
        harness.add("remove_watches", this::removeWatches);
        harness.add("missed_events_are_told_on_reconnect", this::missedEventsAreToldOnReconnect);
        harness.add("multi", this::multi);
        harness.add("multi_read", this::multiRead);
        harness.add("acl", this::acl);
        harness.add("wrong_auth_scheme", this::wrongAuthScheme);
        harness.add("quota", this::quota);
        harness.add("large_data", this::largeData);
        harness.add("pipelined_requests", this::pipelinedRequests);
        harness.add("chroot", this::chroot);
        harness.add("sync", this::sync);
        harness.add("config", this::config);
        harness.add("survives_a_killed_server", this::survivesAKilledServer);
        boolean good = harness.run();
        main.close();
        return good;
    }

    /** Arguments: HOST:PORT. */
    public static void main(String[] arguments) throws Exception {
        System.exit(new JavaClient(arguments[0]).run() ? 0 : 1);
    }
}
