//! Member lists, `myid`, client addresses of server lines, dynamic files.

use super::*;

#[test]
fn one_server_line_runs_standalone() {
    let text = format!("{BASE}server.1=h:1:2;0.0.0.0:2181\n");
    let config = zoo(&text).file("/d/myid", "1\r\nx").config("/x/zoo.cfg");
    assert_eq!(config.mode, Mode::Standalone);
    assert_eq!(config.server_id, Some(1));
    let text = "Invalid configuration, only one server specified (ignoring)";
    assert!(logged(&config, Level::Error, text));
    assert_eq!(
        config.property("zookeeper.server.1"),
        Some("h:1:2;0.0.0.0:2181")
    );
}

#[test]
fn the_client_port_of_the_server_line() {
    let text = "dataDir=/d\nserver.1=h:1:2;[::1]:2182\n";
    let config = zoo(text).file("/d/myid", "1").config("/x/zoo.cfg");
    let client = config.listeners.client.unwrap();
    assert_eq!(client.formatted(), "[0:0:0:0:0:0:0:1]:2182");
    let text = "dataDir=/d\nclientPort=2181\nserver.1=h:1:2;127.0.0.1:2182\n";
    let error = zoo(text)
        .file("/d/myid", "1")
        .run("/x/zoo.cfg")
        .unwrap_err();
    assert_eq!(
        error.cause(),
        "client address for this server (id = 1) in static config file is 0.0.0.0/0.0.0.0:2181 is \
         different from client address found in dynamic file: /127.0.0.1:2182"
    );
    let text = "dataDir=/d\nserver.1=h:1:2;nowhere:2182\n";
    let error = zoo(text)
        .file("/d/myid", "1")
        .run("/x/zoo.cfg")
        .unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::UnexpectedError);
}

#[test]
fn an_ensemble() {
    let text = format!("{BASE}{LIMITS}{THREE}server.4=h:1:2:observer\npeerType=observer\n");
    let config = zoo(&text).file("/d/myid", "2").config("/x/zoo.cfg");
    assert_eq!(config.mode, Mode::Distributed);
    assert_eq!(config.server_id, Some(2));
    assert_eq!(config.quorum.peer_type, PeerType::Participant);
    assert!(logged(
        &config,
        Level::Warn,
        "Peer type from servers list (PARTICIPANT) doesn't match"
    ));
    assert_eq!(
        config.ensemble.text(),
        "server.1=127.0.0.1:29881:29891:participant\n\
         server.2=127.0.0.1:29882:29892:participant\n\
         server.3=127.0.0.1:29883:29893:participant\nserver.4=h:1:2:observer\nversion=0",
        "the client port of zoo.cfg is not part of the text"
    );
    let own = &config.ensemble.members[&2];
    assert_eq!(own.client.as_ref().map(|client| client.port), Some(2181));
    let error = zoo(&format!("{text}sslQuorum=true\n"))
        .file("/d/myid", "2")
        .run("/x/zoo.cfg")
        .unwrap_err();
    assert!(
        error.cause().starts_with("sslQuorum is not supported"),
        "{error}"
    );
    for (count, words) in [
        (2, "No server failure will be tolerated"),
        (4, "Non-optimal"),
    ] {
        let members: String = (1..=count)
            .map(|n| format!("server.{n}=h{n}:1:2\n"))
            .collect();
        let text = format!("{BASE}{LIMITS}{members}");
        let config = zoo(&text).file("/d/myid", "1").config("/x/zoo.cfg");
        assert!(logged(&config, Level::Warn, words));
    }
}

#[test]
fn the_files_that_apache_wrote_for_reconfig() {
    let dynamic = include_str!("../../../compat-tests/golden/config/zoo.cfg.dynamic.txt");
    let rewritten = include_str!("../../../compat-tests/golden/config/zoo.cfg.rewritten.txt");
    let field = |key: &str| {
        let line = rewritten.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.strip_prefix('='))
            .unwrap()
            .to_string()
    };
    let name = field("dynamicConfigFile");
    let myid = format!("{}/myid", field("dataDir"));
    let world = zoo(rewritten).file(&name, dynamic).file(&myid, "1\n");
    let config = world.config("/x/zoo.cfg");
    assert_eq!(config.mode, Mode::Distributed);
    assert!(config.features.reconfig);
    assert_eq!(
        Some(config.ensemble.version),
        ensemble::version_from_file_name(&name)
    );
    assert_eq!(config.ensemble.dynamic_file_text(), dynamic.trim_end());
    assert!(
        config.listeners.client.is_some(),
        "the client port comes from the server line"
    );
    assert_eq!(config.last_seen_ensemble, None);
    let next = format!("{dynamic}\nversion=500000000\n");
    let config = world
        .file("/x/zoo.cfg.dynamic.next", &next)
        .config("/x/zoo.cfg");
    assert_eq!(config.last_seen_ensemble.unwrap().version, 0x5_0000_0000);
}

#[test]
fn wrong_dynamic_files() {
    let text = "dataDir=/d\ndynamicConfigFile=/dyn.5\n";
    for (dynamic, cause) in [
        ("version=1\n", "dynamic file shouldn't have version inside"),
        (
            "server.1=a:1:2\ntickTime=5\n",
            "Unrecognised parameter: tickTime",
        ),
    ] {
        let error = zoo(text)
            .file("/dyn.5", dynamic)
            .run("/x/zoo.cfg")
            .unwrap_err();
        assert_eq!(error.cause(), cause);
        assert_eq!(error.file(), Some("/dyn.5"));
        assert_eq!(error.exit_code(), ExitCode::InvalidInvocation);
    }
}
