//! The start-up failures captured from Apache 3.9.4, replayed: texts and exit codes.

use super::*;

const FAILURES: &str = include_str!("../../../compat-tests/golden/config/startup-failures.txt");
const PORTS: &str = include_str!("../../../compat-tests/golden/config/startup-failures-ports.txt");

/// Captured cases by name: exit text and lines.
fn golden(text: &'static str) -> BTreeMap<&'static str, (&'static str, Vec<&'static str>)> {
    let mut cases = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some((case, exit)) = line
            .strip_prefix("== ")
            .and_then(|head| head.split_once(": exit="))
        {
            name = case;
            cases.insert(name, (exit, Vec::new()));
        } else if let Some((_, lines)) = cases.get_mut(name) {
            lines.push(line.trim());
        }
    }
    cases
}

/// Name, zoo.cfg (none: no file) and other files of a captured configuration error.
type Case = (
    &'static str,
    Option<String>,
    Vec<(&'static str, &'static str)>,
);

fn failing_cases() -> Vec<Case> {
    let one = |name, text: &str| (name, Some(text.to_string()), vec![]);
    let base = |name, text: &str| (name, Some(format!("{BASE}{text}")), vec![]);
    let quorum = |name, text: &str, myid: &'static str| {
        let files = if myid.is_empty() {
            vec![]
        } else {
            vec![("/d/myid", myid)]
        };
        (name, Some(format!("{BASE}{text}")), files)
    };
    vec![
        ("no-such-file", None, vec![]),
        one("empty-file", ""),
        one("no-dataDir", "clientPort=2181\n"),
        one("bad-int", "dataDir=/d\nclientPort=abc\n"),
        base("bad-bool", "standaloneEnabled=yes"),
        base("tickTime-0", "tickTime=0"),
        base("min-gt-max", "minSessionTimeout=10\nmaxSessionTimeout=5"),
        one(
            "portaddr-no-port",
            "dataDir=/d\nclientPortAddress=127.0.0.1",
        ),
        base(
            "metrics-class",
            "metricsProvider.className=com.example.Nope",
        ),
        base("electionAlg-1", "electionAlg=1"),
        base("peerType-bad", "peerType=boss"),
        quorum("quorum-no-myid", &format!("{THREE}{LIMITS}"), ""),
        quorum("quorum-myid-nan", &format!("{THREE}{LIMITS}"), "abc\n"),
        quorum("quorum-no-initLimit", THREE, "1\n"),
        quorum("quorum-myid-not-in-list", &format!("{THREE}{LIMITS}"), "9"),
        quorum("server-bad", "server.3=127.0.0.1:29883", "1"),
        quorum("server-same-ports", "server.3=127.0.0.1:29883:29883", "1"),
        base(
            "server-and-dynamic",
            "server.2=127.0.0.1:1:2\ndynamicConfigFile=/d/dyn",
        ),
        quorum("observers-only", "server.1=127.0.0.1:1:2:observer", "1"),
        base(
            "sasl-required-not-enabled",
            "quorum.auth.serverRequireSasl=true",
        ),
        base(
            "unresolvable-addr",
            "clientPortAddress=no.such.host.invalid",
        ),
        base("purge-bad", "autopurge.purgeInterval=x"),
    ]
}

#[test]
fn captured_configuration_errors() {
    let golden = golden(FAILURES);
    for (name, text, files) in failing_cases() {
        let (exit, lines) = &golden[name];
        let path = format!("/x/{name}.cfg");
        let mut world = World::default();
        if let Some(text) = &text {
            world = world.file(&path, text);
        }
        for (file, content) in files {
            world = world.file(file, content);
        }
        let error = world.run(&path).map(|_| ()).expect_err(name);
        assert_eq!(error.exit_code().code().to_string(), *exit, "{name}");
        assert!(
            lines.iter().any(|line| line.ends_with(error.headline())),
            "{name}: {lines:?}"
        );
        assert!(
            error.stderr_line().is_empty() || lines.contains(&error.stderr_line()),
            "{name}"
        );
        for line in error.exception_lines() {
            assert!(
                lines.contains(&line.as_str()),
                "{name}: {line} is not in {lines:#?}"
            );
        }
    }
}

#[test]
fn every_captured_case_is_checked_somewhere() {
    let runs = [
        ("no-clientPort", "dataDir=/d\n"),
        (
            "one-server",
            "dataDir=/d\nclientPort=2181\nserver.1=127.0.0.1:1:2\n",
        ),
        ("secure-no-keystore", "dataDir=/d\nsecureClientPort=2281\n"),
        // Differs: there is one connection layer, so this is no failure.
        (
            "secure-nio",
            "dataDir=/d\nclientPort=2181\nsecureClientPort=2281\n",
        ),
        ("backslash", "dataDir=C:\\data\nclientPort=2181\n"),
    ];
    for (name, text) in runs {
        let config = load(text);
        assert_eq!(config.mode, Mode::Standalone, "{name}");
        for line in &golden(FAILURES)[name].1 {
            let words =
                "Either no config or no quorum defined in config, running in standalone mode";
            if line.ends_with(words) {
                assert!(logged(&config, Level::Warn, words), "{name}");
            }
        }
    }
    let mut checked: Vec<&str> = failing_cases().iter().map(|case| case.0).collect();
    checked.extend(runs.iter().map(|run| run.0));
    checked.extend(["datadir-no-autocreate", "datadir-is-file"]);
    let mut captured: Vec<&str> = golden(FAILURES).into_keys().collect();
    checked.sort_unstable();
    captured.sort_unstable();
    assert_eq!(checked, captured);
}

#[test]
fn captured_failures_after_the_configuration() {
    let (failures, ports) = (golden(FAILURES), golden(PORTS));
    let address = || "127.0.0.1".to_string();
    let cases = [
        (
            &failures["datadir-no-autocreate"],
            StartFailure::MissingDataDirectory("/x/nonexist/version-2".into()),
        ),
        (
            &failures["datadir-is-file"],
            StartFailure::UnableToCreateDataDirectory("/x/afile/version-2".into()),
        ),
        (
            &ports["client-port-busy"],
            StartFailure::ClientPortBusy("Address already in use".into()),
        ),
        (
            &ports["admin-port-busy"],
            StartFailure::AdminPortBusy(address(), 28083, "/commands".into()),
        ),
    ];
    for ((exit, lines), failure) in cases {
        assert_eq!(failure.exit_code().code().to_string(), *exit, "{failure}");
        assert!(
            lines.iter().any(|line| line.ends_with(failure.headline())),
            "{failure}"
        );
        let line = format!("{}: {}", failure.class(), failure.text());
        assert!(
            lines.contains(&line.as_str()),
            "{line} is not in {lines:#?}"
        );
    }
    let metrics = StartFailure::MetricsPortBusy(
        "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider".into(),
    );
    let election = StartFailure::ElectionPortBusy("/127.0.0.1:29981".into());
    for (name, failure) in [
        ("metrics-port-busy", metrics),
        ("election-port-busy", election),
    ] {
        let (exit, lines) = &ports[name];
        assert_eq!(failure.exit_code().code().to_string(), *exit, "{failure}");
        assert!(
            lines.iter().any(|line| line.ends_with(&failure.text())),
            "{failure}"
        );
    }
}
