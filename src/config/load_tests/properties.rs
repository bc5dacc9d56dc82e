//! System properties: where they come from, what a bad value does, what a name may not do.

use super::*;

#[test]
fn precedence() {
    let world = zoo("dataDir=/d\nsnapCount=4\njute.maxbuffer=4\nzookeeper.preAllocSize=4\n")
        .env(
            "SERVER_JVMFLAGS",
            "-Xmx1g -Dzookeeper.maxCnxns=1 -Dzookeeper.flushDelay=1 -Da=1",
        )
        .env(
            "JVMFLAGS",
            "-Dzookeeper.maxCnxns=2 -Dzookeeper.flushDelay=2 -ea",
        );
    let config = world.config(
        "-Dzookeeper.maxCnxns=3 /x/zoo.cfg -Dzookeeper.snapCount=3 -Djute.maxbuffer=3 \
         -Dzookeeper.preAllocSize=3 -Dzookeeper.tickTime=3",
    );
    assert_eq!(
        config.limits.max_cnxns, 3,
        "the command line over the environment"
    );
    assert_eq!(
        config.storage.flush_delay_ms, 2,
        "JVMFLAGS over SERVER_JVMFLAGS"
    );
    assert_eq!(config.property("a"), Some("1"));
    assert_eq!(config.storage.snap_count, 4, "zoo.cfg over -D");
    assert_eq!(
        config.limits.jute_max_buffer, 3,
        "-D where Apache would not see zoo.cfg"
    );
    assert_eq!(config.storage.pre_alloc_bytes, 3 * 1024);
    assert_eq!(
        config.sessions.tick_time_ms, 3000,
        "parser keys are never taken from -D"
    );
    assert!(logged(
        &config,
        Level::Warn,
        "-Dzookeeper.tickTime has no effect"
    ));
    assert!(logged(
        &config,
        Level::Warn,
        "jute.maxbuffer of zoo.cfg yields"
    ));
}

#[test]
fn bad_property_values_fall_back() {
    let config = load(&format!(
        "{BASE}snapCount=many\nmaxCnxns=99999999999\ndigest.enabled=yes\ncommitLogCount=10\n\
         jute.maxbuffer=0\nsnapshotSizeFactor=NaN\nadmin.serverPort=99999\nforceSync=NO\n"
    ));
    assert_eq!(config.storage.snap_count, 100_000);
    assert!(logged(
        &config,
        Level::Warn,
        "zookeeper.snapCount: \"many\" is not an integer"
    ));
    assert_eq!(config.limits.max_cnxns, 0);
    assert!(!config.features.digest, "only true is true");
    assert_eq!(config.storage.commit_log_count, 500);
    assert_eq!(config.limits.jute_max_buffer, 0xf_ffff);
    assert_eq!(config.storage.snapshot_size_factor, 0.33);
    assert_eq!(config.admin.port, 8080);
    assert!(config.storage.force_sync, "only no is no");
}

#[test]
fn keys_nobody_knows_are_named_once() {
    let config = load(&format!(
        "{BASE}snapcount=5\nmade.up.thing=1\njdk.tls.x=1\n"
    ));
    assert_eq!(config.property("zookeeper.snapcount"), Some("5"));
    let text = "Unknown configuration key snapcount in line 3: nothing reads it. Did you mean \
                snapCount?";
    assert!(logged(&config, Level::Warn, text), "{:?}", config.messages);
    let unknown = config
        .messages
        .iter()
        .filter(|m| m.text.starts_with("Unknown"))
        .count();
    assert_eq!(unknown, 2);
    let config = World::default().config("-Dzookeeper.snapcount=5 -Dother=1");
    assert!(logged(
        &config,
        Level::Warn,
        "Unknown configuration key zookeeper.snapcount:"
    ));
}

#[test]
fn verdicts() {
    let config = load(&format!(
        "{BASE}secureClientPort=2281\nemulate353TTLNodes=true\nnio.numWorkerThreads=3\n\
         audit.enable=true\ninitLimit=5\n\
         serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"
    ));
    assert!(logged(
        &config,
        Level::Warn,
        "Accepted without effect: secureClientPort (TLS"
    ));
    assert!(logged(
        &config,
        Level::Warn,
        "Accepted without effect: zookeeper.audit.enable ("
    ));
    assert!(logged(
        &config,
        Level::Warn,
        "zookeeper.emulate353TTLNodes: the TTL layout"
    ));
    for silent in ["numWorkerThreads", "initLimit", "serverCnxnFactory"] {
        assert!(
            !config
                .warnings()
                .any(|message| message.text.contains(silent)),
            "{silent}"
        );
    }
    let class = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";
    assert_eq!(config.property("zookeeper.authProvider.x509"), Some(class));
    let config = World::default()
        .env("JVMFLAGS", "-javaagent:jmx.jar=1")
        .config("server");
    assert!(logged(
        &config,
        Level::Warn,
        "JMX and Java agents do not exist here"
    ));
}

#[test]
fn the_super_digest_is_not_printed() {
    let config = load(&format!(
        "{BASE}DigestAuthenticationProvider.superDigest=super:c2VjcmV0\n"
    ));
    assert_eq!(config.auth.super_digest.as_deref(), Some("super:c2VjcmV0"));
    assert!(!format!("{:?}", config.auth).contains("c2VjcmV0"));
    assert!(
        config
            .messages
            .iter()
            .all(|message| !message.text.contains("c2VjcmV0"))
    );
}

#[test]
fn logging_comes_from_the_old_variables() {
    let world = World::default()
        .env("ZOO_LOG4J_PROP", "DEBUG,ROLLINGFILE")
        .env("ZABRA_LOG", "zab=trace");
    let config = world.config("-Dzookeeper.log.dir=/logs -Dzookeeper.log.file=z.log");
    assert_eq!(config.logging.level, "debug");
    assert_eq!(config.logging.filter.as_deref(), Some("zab=trace"));
    assert_eq!(config.logging.file, Some(PathBuf::from("/logs/z.log")));
    let config = world.config("-Dzookeeper.root.logger=WARN,CONSOLE");
    assert_eq!(
        (config.logging.level.as_str(), config.logging.file),
        ("warn", None)
    );
    assert_eq!(
        World::default()
            .env("ZOO_LOG_LEVEL", "ERROR")
            .config("")
            .logging
            .level,
        "error"
    );
}

#[test]
fn weights_of_sessions_are_no_less_than_a_local_ones() {
    let weights = |text: &str| {
        let t = load(&format!("{BASE}{text}")).connection_throttle;
        [
            t.global_session_weight,
            t.local_session_weight,
            t.renew_session_weight,
        ]
    };
    assert_eq!(weights(""), [3, 1, 2]);
    assert_eq!(
        weights("connection_throttle_local_session_weight=5\n"),
        [5, 5, 5]
    );
    assert_eq!(
        weights(
            "connection_throttle_global_session_weight=0\n\
             connection_throttle_local_session_weight=-1\n\
             connection_throttle_renew_session_weight=7\n"
        ),
        [3, 1, 7]
    );
}
