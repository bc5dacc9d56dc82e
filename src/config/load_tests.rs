//! Loading as a whole: Apache's start-up failures, precedence, and the settings that come out.

mod failures;
mod members;
mod properties;

use super::*;
use proptest::prelude::*;
use std::io::{Error, ErrorKind};

/// Files and names of a test.
#[derive(Default)]
struct World {
    files: BTreeMap<PathBuf, Vec<u8>>,
    env: BTreeMap<String, String>,
}

impl World {
    fn file(mut self, path: &str, text: &str) -> World {
        self.files
            .insert(PathBuf::from(path), text.as_bytes().to_vec());
        self
    }

    fn env(mut self, name: &str, value: &str) -> World {
        self.env.insert(name.into(), value.into());
        self
    }

    fn run(&self, line: &str) -> Result<Config, ConfigError> {
        let argv: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match Invocation::parse(&argv)? {
            Invocation::Server(args) => {
                Config::load(&args, &|name| self.env.get(name).cloned(), self)
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    fn config(&self, line: &str) -> Config {
        self.run(line)
            .unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

impl ReadFile for World {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.files
            .get(path)
            .cloned()
            .ok_or_else(|| Error::from(ErrorKind::NotFound))
    }

    fn resolve(&self, host: &str) -> std::io::Result<IpAddr> {
        match host {
            "localhost" => Ok(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
            _ => Err(Error::other(
                "failed to lookup address information: Name or service not known",
            )),
        }
    }
}

fn zoo(text: &str) -> World {
    World::default().file("/x/zoo.cfg", text)
}

fn load(text: &str) -> Config {
    zoo(text).config("/x/zoo.cfg")
}

fn fails(text: &str) -> ConfigError {
    match zoo(text).run("/x/zoo.cfg") {
        Err(error) => error,
        Ok(_) => panic!("{text:?} loads"),
    }
}

fn logged(config: &Config, level: Level, text: &str) -> bool {
    config
        .messages
        .iter()
        .any(|message| message.level == level && message.text.contains(text))
}

const THREE: &str = "server.1=127.0.0.1:29881:29891\nserver.2=127.0.0.1:29882:29892\n\
                     server.3=127.0.0.1:29883:29893\n";
const BASE: &str = "dataDir=/d\nclientPort=2181\n";
const LIMITS: &str = "initLimit=5\nsyncLimit=2\n";

#[test]
fn errors_that_were_read_in_the_sources() {
    let cases = [
        (
            "tickTime=-5\nminSessionTimeout=1\nmaxSessionTimeout=2",
            "tickTime must not be negative",
        ),
        (
            "secureClientPortAddress=::1",
            "secureClientPortAddress is set but secureClientPort is not set",
        ),
        ("clientPort=70000", "port out of range:70000"),
        ("maxClientCnxns=", "For input string: \"\""),
        (
            "quorum.auth.learnerRequireSasl=true",
            "quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.learnerRequireSasl",
        ),
        (
            "quorum.auth.enableSasl=true\nquorum.auth.serverRequireSasl=true",
            "quorum.auth.learnerRequireSasl is disabled, so cannot enable quorum.auth.serverRequireSasl",
        ),
        (
            "server.1=a:1:2\nserver.2=b:1:2:observer",
            "Observers w/o quorum is an invalid configuration",
        ),
        (
            "standaloneEnabled=false",
            "standaloneEnabled = false then number of participants should be >0",
        ),
        (
            "server.1=a:1:2|b:1:2",
            "Multiple address feature is disabled, but multiple addresses were specified for sid 1",
        ),
        ("a=\\u12", "Malformed \\uxxxx encoding."),
        (
            "oraclePath=/o",
            "oraclePath is not supported: oracle quorums are not supported",
        ),
        (
            "dynamicConfigFile=/none",
            "/none (No such file or directory)",
        ),
        (
            "enforce.auth.enabled=true",
            "zookeeper.enforce.auth.enabled is true zookeeper.enforce.auth.schemes must be  configured.",
        ),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest,sasl",
            "Authentication scheme sasl is not available.",
        ),
        (
            "sessionRequireClientSASLAuth=true",
            "Authentication scheme sasl is not available.",
        ),
        (
            "ssl.authProvider=mine",
            "zookeeper.ssl.authProvider is not supported: only x509 can judge client certificates",
        ),
    ];
    for (text, cause) in cases {
        let error = fails(&format!("{BASE}{text}"));
        assert_eq!(error.cause(), cause, "{text}");
        assert_eq!(error.exit_code(), ExitCode::InvalidInvocation, "{text}");
        assert!(error.file().is_some(), "{text}");
    }
    let error = fails(&format!("{BASE}DigestAuthenticationProvider.digestAlg=MD2"));
    assert_eq!(error.exit_code(), ExitCode::UnexpectedError);
    let error = fails(&format!(
        "{BASE}metricsProvider.className=\
         org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\n\
         metricsProvider.httpPort=x"
    ));
    assert_eq!(error.exit_code(), ExitCode::UnexpectedError);
}

#[test]
fn errors_name_file_line_and_key() {
    let error = fails("# a comment\ndataDir=/d\n\ntickTime=x\n");
    assert_eq!(
        error.to_string(),
        "/x/zoo.cfg:4: tickTime: For input string: \"x\""
    );
    let error = fails("dataDir=/d\nserver.1=h\n");
    assert!(
        error
            .to_string()
            .starts_with("/x/zoo.cfg:2: server.1: h does not have the form")
    );
}

#[test]
fn defaults_without_a_file() {
    let config = World::default().config("server -Dzookeeper.snapCount=50");
    assert_eq!(config.source, Source::Defaults);
    let client = config.listeners.client.clone().unwrap();
    assert_eq!(client.formatted(), "127.0.0.1:2181");
    assert_eq!(config.storage.data_dir, PathBuf::from("./data"));
    assert_eq!(config.storage.snap_count, 50);
    assert_eq!(config.sessions.tick_time_ms, 2000);
    assert_eq!(
        (
            config.sessions.min_timeout_ms,
            config.sessions.max_timeout_ms
        ),
        (4000, 40000)
    );
    assert_eq!(config.limits.max_client_cnxns, 60);
    assert!(!config.admin.enabled);
    assert_eq!(config.warnings().count(), 0, "{:?}", config.messages);
    assert!(
        World::default()
            .config("-Dzookeeper.admin.enableServer=true")
            .admin
            .enabled
    );
}

#[test]
fn port_and_directory() {
    let config = World::default().config("2182 /data");
    assert_eq!(
        config.listeners.client.clone().unwrap().formatted(),
        "0.0.0.0:2182"
    );
    assert_eq!(config.storage.data_log_dir, PathBuf::from("/data"));
    assert_eq!(
        (config.sessions.tick_time_ms, config.limits.max_client_cnxns),
        (3000, 0)
    );
    let config = World::default().config("0 /data 500 7");
    assert_eq!(config.listeners.client.clone().unwrap().port, 0);
    assert_eq!(
        (config.sessions.tick_time_ms, config.limits.max_client_cnxns),
        (500, 7)
    );
    for (line, cause) in [
        ("a /d", "For input string: \"a\""),
        ("1 /d x", "For input string: \"x\""),
        ("1 /d 0", "tickTime is not set"),
        ("-Da=b 70000 /d", "port out of range:70000"),
        ("1 2 3 4 5", "Invalid number of arguments:[1, 2, 3, 4, 5]"),
    ] {
        let error = World::default().run(line).unwrap_err();
        assert_eq!(error.cause(), cause);
        assert_eq!(error.exit_code(), ExitCode::InvalidInvocation);
        assert_eq!(error.stderr_line(), error::USAGE);
    }
}

#[test]
fn the_settings_of_a_file() {
    let config = load(
        "dataDir=/d\ndataLogDir=/l\nclientPort=2181\nclientPortAddress=localhost\ntickTime=2000\n\
         maxClientCnxns=0\nminSessionTimeout=100\nautopurge.snapRetainCount=1\n\
         autopurge.purgeInterval=24\nsnapCount=0x10\njute.maxbuffer=2000000\nforceSync=no\n\
         skipACL=yes\nsnapSizeLimitInKb=0\npreAllocSize=100\n4lw.commands.whitelist= stat, ruok,,*\n\
         authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n\
         authProvider.2=com.example.Mine\nsuperUser=a\nsuperUser.2=b\nensembleAuthName=x, y\n\
         enforce.auth.enabled=true\nenforce.auth.schemes=sasl, digest\n\
         snapshot.compression.method=GZ\nzookeeper.maxCnxns=9\nreadonlymode.enabled=true\n",
    );
    assert_eq!(config.storage.data_log_dir, PathBuf::from("/l"));
    let client = config.listeners.client.clone().unwrap();
    assert_eq!(client.java_text(), "localhost/127.0.0.1:2181");
    assert_eq!(
        (
            config.sessions.min_timeout_ms,
            config.sessions.max_timeout_ms
        ),
        (100, 40000)
    );
    assert_eq!(config.limits.max_client_cnxns, 0);
    assert_eq!(config.limits.max_cnxns, 9, "the prefix may be spelled out");
    assert_eq!(config.limits.jute_max_buffer, 2_000_000);
    assert_eq!(config.limits.jute_extra_size, 2_000_000);
    assert_eq!(config.property("jute.maxbuffer"), Some("2000000"));
    assert_eq!(config.storage.purge_retain_count, 3);
    assert!(logged(
        &config,
        Level::Warn,
        "Invalid autopurge.snapRetainCount: 1. Defaulting to 3"
    ));
    assert_eq!(config.storage.purge_interval_ms, Some(86_400_000));
    assert_eq!(config.storage.snap_count, 16);
    assert_eq!(config.storage.snap_size_limit_bytes, None);
    assert_eq!(config.storage.pre_alloc_bytes, 102_400);
    assert_eq!(
        config.storage.snapshot_compression,
        SnapshotCompression::Gzip
    );
    assert!(!config.storage.force_sync);
    assert!(config.features.skip_acl && config.features.read_only_mode);
    assert!(config.words.all);
    assert_eq!(config.words.words, ["stat", "ruok", "isro", "srvr"]);
    assert_eq!(
        config.auth.providers,
        [
            AuthProviderKind::Digest,
            AuthProviderKind::Ip,
            AuthProviderKind::Sasl
        ]
    );
    assert!(logged(
        &config,
        Level::Warn,
        "com.example.Mine cannot run here"
    ));
    assert_eq!(config.auth.super_users, ["a", "b"]);
    assert_eq!(config.auth.ensemble_names, ["x", "y"]);
    let enforced = config.auth.enforced_schemes.clone().unwrap();
    assert_eq!(enforced, ["sasl", "digest"]);
    assert!(config.admin.enabled, "on, as in 3.9, once there is a file");
    assert!(
        config
            .initial_text
            .starts_with("dataDir=/d\ndataLogDir=/l\n")
    );
}

#[test]
fn defaults_of_a_file() {
    let config = load(BASE);
    assert_eq!(
        config.listeners.client.clone().unwrap().formatted(),
        "0.0.0.0:2181"
    );
    assert_eq!(config.listeners.backlog, -1);
    assert_eq!(config.sessions.tick_time_ms, 3000);
    assert_eq!(config.limits.jute_max_buffer, 0xf_ffff);
    assert_eq!(config.limits.global_outstanding, 1000);
    assert_eq!(config.limits.large_request_threshold, None);
    assert_eq!(config.storage.snap_count, 100_000);
    assert_eq!(config.storage.snap_size_limit_bytes, Some(4 << 30));
    assert_eq!(config.storage.txn_log_size_limit_bytes, None);
    assert_eq!(config.storage.pre_alloc_bytes, 64 << 20);
    assert_eq!(config.storage.max_batch_size, Some(1000));
    assert_eq!(config.storage.purge_interval_ms, None);
    assert!(config.storage.force_sync && config.storage.db_autocreate);
    assert!(config.features.digest && config.features.close_session_txn);
    assert!(!config.features.extended_types && !config.features.reconfig);
    assert_eq!(config.features.container_max_never_used_ms, None);
    assert_eq!(config.connection_throttle.drop_increase, 0.02);
    assert_eq!(config.words.words, ["srvr"]);
    assert_eq!(config.auth.enforced_schemes, None);
    assert_eq!(config.metrics.provider, MetricsProvider::Default);
    assert_eq!(
        (config.metrics.http_host.as_str(), config.metrics.http_port),
        ("0.0.0.0", 7000)
    );
    assert_eq!(
        (config.admin.port, config.admin.command_url.as_str()),
        (8080, "/commands")
    );
    assert_eq!(config.logging.level, "info");
    assert_eq!(config.mode, Mode::Standalone);
}

#[test]
fn port_zero_is_a_port() {
    let config = load("dataDir=/d\nclientPort=0\nclientPortAddress=127.0.0.1\n");
    assert_eq!(
        config.listeners.client.map(|client| client.formatted()),
        Some("127.0.0.1:0".into())
    );
}

#[test]
fn the_samples_load() {
    let sample = include_str!("../../conf/zoo.cfg");
    let config = load(sample);
    assert_eq!(config.mode, Mode::Standalone);
    let unexpected: Vec<_> = config
        .warnings()
        .filter(|message| !message.text.contains("standalone mode"))
        .collect();
    assert!(
        unexpected.iter().all(|m| m.text.contains("is relative")),
        "{unexpected:?}"
    );
    let sample = include_str!("../../conf/zoo_ensemble.cfg");
    let world = zoo(sample).file("/var/lib/zookeeper/myid", "1\n");
    assert_eq!(world.config("/x/zoo.cfg").mode, Mode::Distributed);
}

proptest! {
    #[test]
    fn no_file_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut world = World::default();
        world.files.insert(PathBuf::from("/x/zoo.cfg"), bytes);
        let _ = world.run("/x/zoo.cfg");
    }

    #[test]
    fn no_values_panic(
        picks in proptest::collection::vec((any::<prop::sample::Index>(), "[-0-9a-z:;|.x]{0,12}"), 0..12),
        myid in "[0-9a-z\n]{0,3}",
    ) {
        let names: Vec<&str> = keys::rows().map(|row| row.cfg).filter(|cfg| !cfg.is_empty()).collect();
        let mut text = BASE.to_string();
        for (pick, value) in picks {
            let name = pick.get(&names).replace('*', "1");
            text.push_str(&format!("{name}={value}\n"));
        }
        if let Ok(config) = zoo(&text).file("/d/myid", &myid).run("/x/zoo.cfg") {
            prop_assert!(config.sessions.tick_time_ms > 0);
            prop_assert!(config.sessions.min_timeout_ms <= config.sessions.max_timeout_ms);
            prop_assert!(config.limits.jute_max_buffer > 0);
            prop_assert!(config.storage.snap_count >= 2);
        }
    }
}
