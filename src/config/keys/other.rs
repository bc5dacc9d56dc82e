//! Audit, AdminServer, words, logging, and settings of clients.

use super::Kind::{Bool, Class, Host, Int, List, Path, Text};
use super::{Row, bare, sys};

const ADMIN: &str = "the AdminServer is not part of this version yet";
const AUDIT: &str = "the audit log is not part of this version yet";
const CLIENT: &str = "a setting of clients";
const JMX: &str = "there is no JMX; use /metrics or mntr";
const LOGBACK: &str = "the log's layout is fixed";

pub(super) const ROWS: &[Row] = &[
    sys!("audit.enable", Bool, "", "false", "audit log").planned(AUDIT),
    sys!(
        "audit.impl.class",
        Class,
        "",
        "org.apache.zookeeper.audit.Slf4jAuditLogger",
        "audit implementation"
    )
    .warned("a Java class cannot run here"),
    sys!(
        "admin.enableServer",
        Bool,
        "",
        "true",
        "AdminServer; off only for false"
    )
    .fine(&["false"])
    .planned(ADMIN),
    sys!("admin.serverAddress", Host, "", "0.0.0.0", "its address").planned(ADMIN),
    sys!("admin.serverPort", Int, "port", "8080", "its port").planned(ADMIN),
    sys!(
        "admin.commandURL",
        Text,
        "",
        "/commands",
        "prefix of its commands"
    )
    .planned(ADMIN),
    sys!("admin.idleTimeout", Int, "ms", "30000", "idle connections").planned(ADMIN),
    sys!("admin.httpVersion", Int, "", "11", "HTTP version").silent("HTTP/1.1 is spoken"),
    sys!(
        "admin.portUnification",
        Bool,
        "",
        "false",
        "http and https on one port"
    )
    .planned(ADMIN),
    sys!("admin.forceHttps", Bool, "", "false", "https only").planned(ADMIN),
    sys!(
        "admin.needClientAuth",
        Bool,
        "",
        "false",
        "client certificates"
    )
    .planned(ADMIN),
    sys!(
        "admin.rateLimiterIntervalInMS",
        Int,
        "ms",
        "300000",
        "snapshot and restore pace"
    )
    .planned(ADMIN),
    sys!(
        "admin.snapshot.enabled",
        Bool,
        "",
        "true",
        "snapshot command"
    )
    .planned(ADMIN),
    sys!("admin.restore.enabled", Bool, "", "true", "restore command").planned(ADMIN),
    sys!(
        "4lw.commands.whitelist",
        List,
        "",
        "",
        "words that may run; * = all; srvr always may"
    )
    .seen(),
    sys!("log.dir", Path, "", ".", "directory of the log file"),
    sys!(
        "log.file",
        Text,
        "",
        "zookeeper.log",
        "log file, when root.logger names a file appender"
    ),
    sys!(
        "root.logger",
        Text,
        "",
        "INFO, CONSOLE",
        "level and appenders"
    ),
    sys!(
        "console.threshold",
        Text,
        "",
        "INFO",
        "level, when root.logger gives none"
    ),
    sys!("log.threshold", Text, "", "INFO", "level of the file").silent(LOGBACK),
    sys!("log.maxfilesize", Text, "", "256MB", "size of the file").silent(LOGBACK),
    sys!("log.maxbackupindex", Int, "files", "20", "old files").silent(LOGBACK),
    sys!("tracelog.dir", Path, "", "", "trace log").silent(LOGBACK),
    sys!("tracelog.file", Text, "", "", "trace log").silent(LOGBACK),
    sys!("jmx.log4j.disable", Bool, "", "false", "JMX of log4j").silent(JMX),
    sys!("jmx.log4j.mbean", Text, "", "", "JMX of log4j").silent(JMX),
    sys!("sasl.client*", Text, "", "", "SASL of clients").silent(CLIENT),
    sys!("clientCnxnSocket", Class, "", "", "socket of clients").silent(CLIENT),
    sys!("client.secure", Bool, "", "false", "TLS of clients").silent(CLIENT),
    sys!("request.timeout", Int, "ms", "0", "time-out of clients").silent(CLIENT),
    sys!(
        "disableAutoWatchReset",
        Bool,
        "",
        "false",
        "watches of clients"
    )
    .silent(CLIENT),
    sys!("server.principal", Text, "", "", "principal of the server").silent(CLIENT),
    sys!("server.realm", Text, "", "", "realm of the server").silent(CLIENT),
    sys!("hostProvider.*", Text, "", "", "server list of clients").silent(CLIENT),
    sys!(
        "shuffleDnsResponse",
        Bool,
        "",
        "false",
        "server list of clients"
    )
    .silent(CLIENT),
    bare!("log4j.*", Text, "", "", "log4j settings").silent(LOGBACK),
    bare!("logback.*", Text, "", "", "logback settings").silent(LOGBACK),
];
