//! Names that Apache 3.9.5 has and this server has not: the list, the name, and why.

/// `compat-tests/tables.rs` holds it to be complete.
pub const TABLE: &[(&str, &str, &str)] = &[
    (
        "property",
        "zookeeper.clientPortAddress",
        "read by a test tool of Apache's (ControllerServerConfig); servers take it from zoo.cfg",
    ),
    (
        "property",
        "zookeeper.configuration",
        "a directory that Apache's embedded server makes for itself",
    ),
    (
        "property",
        "zookeeper.version",
        "a line of envi, not a setting",
    ),
    (
        "mntr name",
        "version",
        "a text, not a metric: `mntr` prints it before the table",
    ),
    ("mntr name", "server_state", "a text, likewise"),
    ("mntr name", "peer_state", "a text, of ensembles"),
    (
        "mntr name",
        "observer_master_id",
        "of observers: `mntr` prints it beside the table",
    ),
];
