//! The replies of the four-letter words, byte for byte as Apache's
//! `org.apache.zookeeper.server.command` classes print them.

use std::fmt::{Display, Write as _};

use super::address::JavaSocketAddress;
use super::mntr as monitor;
use super::view::{
    ConnectionInfo, ExpiryBucket, GlobalSessions, Mode, QuorumConfiguration, ServerView,
};
use crate::base::ids::SessionId;
use crate::telemetry::java_num::JavaDouble;
use crate::telemetry::metrics::METRICS;
use crate::telemetry::zone::Zone;

/// Appends a line. Writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{
        let _ = writeln!($out, $($arg)*);
    }};
}

pub(super) fn srvr(view: &dyn ServerView, out: &mut String) {
    version(view, out);
    numbers(view, out);
}

/// Datadog and others read the lines after the empty one by position.
pub(super) fn stat(view: &dyn ServerView, out: &mut String) {
    version(view, out);
    line!(out, "Clients:");
    for connection in view.connections() {
        line!(out, "{})", brief(&connection));
    }
    line!(out, "");
    numbers(view, out);
}

fn version(view: &dyn ServerView, out: &mut String) {
    line!(out, "Zookeeper version: {}", view.version());
    if view.mode() == Mode::ReadOnly {
        line!(out, "READ-ONLY mode; serving only read-only clients");
    }
}

/// Apache: `ServerStats.toString`, `StatCommand`.
fn numbers(view: &dyn ServerView, out: &mut String) {
    let stats = view.stats();
    let average = JavaDouble(stats.latency_avg_ms);
    let (min, max) = (stats.latency_min_ms, stats.latency_max_ms);
    line!(out, "Latency min/avg/max: {min}/{average}/{max}");
    line!(out, "Received: {}", stats.received);
    line!(out, "Sent: {}", stats.sent);
    line!(out, "Connections: {}", stats.connections);
    line!(out, "Outstanding: {}", stats.outstanding);
    line!(out, "Zxid: {}", stats.zxid);
    line!(out, "Mode: {}", view.mode().name());
    line!(out, "Node count: {}", stats.node_count);
    if let Some(sizes) = stats.proposal_sizes {
        line!(
            out,
            "Proposal sizes last/min/max: {}/{}/{}",
            sizes.last,
            sizes.min,
            sizes.max
        );
    }
}

pub(super) fn cons(view: &dyn ServerView, out: &mut String) {
    for connection in view.connections() {
        out.push_str(&brief(&connection));
        if let Some(session) = &connection.session {
            let _ = write!(out, ",sid={},lop={}", session.id, session.last_operation);
            let _ = write!(
                out,
                ",est={},to={}",
                session.established_ms, session.timeout_ms
            );
            if session.last_cxid >= 0 {
                let _ = write!(out, ",lcxid=0x{:x}", session.last_cxid);
            }
            let _ = write!(out, ",lzxid={}", session.last_zxid);
            let _ = write!(out, ",lresp={}", session.last_response_ms);
            let _ = write!(out, ",llat={}", session.latency_last_ms);
            let _ = write!(out, ",minlat={}", session.latency_min_ms);
            let _ = write!(out, ",avglat={}", session.latency_avg_ms);
            let _ = write!(out, ",maxlat={}", session.latency_max_ms);
        }
        line!(out, ")");
    }
    line!(out, "");
}

/// The start that `stat` and `cons` share.
fn brief(connection: &ConnectionInfo) -> String {
    let ConnectionInfo {
        remote,
        interest_ops,
        queued,
        received,
        sent,
        ..
    } = connection;
    let remote = JavaSocketAddress(*remote);
    format!(" {remote}[{interest_ops:x}](queued={queued},recved={received},sent={sent}")
}

pub(super) fn conf(view: &dyn ServerView, out: &mut String) {
    let conf = view.configuration();
    line!(out, "clientPort={}", conf.client_port);
    line!(out, "secureClientPort={}", conf.secure_client_port);
    line!(out, "dataDir={}", conf.data_dir);
    line!(out, "dataDirSize={}", conf.data_dir_size);
    line!(out, "dataLogDir={}", conf.data_log_dir);
    line!(out, "dataLogSize={}", conf.data_log_size);
    line!(out, "tickTime={}", conf.tick_time_ms);
    line!(out, "maxClientCnxns={}", conf.max_client_cnxns);
    line!(out, "minSessionTimeout={}", conf.min_session_timeout_ms);
    line!(out, "maxSessionTimeout={}", conf.max_session_timeout_ms);
    line!(
        out,
        "clientPortListenBacklog={}",
        conf.client_port_listen_backlog
    );
    line!(out, "serverId={}", conf.server_id.0);
    if let Some(quorum) = &conf.quorum {
        conf_quorum(quorum, out);
    }
}

fn conf_quorum(quorum: &QuorumConfiguration, out: &mut String) {
    line!(out, "initLimit={}", quorum.init_limit);
    line!(out, "syncLimit={}", quorum.sync_limit);
    line!(out, "electionAlg={}", quorum.election_alg);
    line!(out, "electionPort={}", ports(&quorum.election_ports));
    line!(out, "quorumPort={}", ports(&quorum.quorum_ports));
    line!(out, "peerType={}", i32::from(quorum.is_observer));
    if let Some(membership) = &quorum.membership {
        // The blank is Apache's, and so is the missing newline at the end.
        line!(out, "membership: ");
        out.push_str(membership);
    }
}

fn ports(ports: &[u16]) -> String {
    ports
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join("|")
}

pub(super) fn envi(view: &dyn ServerView, out: &mut String) {
    line!(out, "Environment:");
    for (key, value) in view.environment() {
        line!(out, "{key}={value}");
    }
}

/// Apache: `DumpCommand`, `SessionTrackerImpl`, `LearnerSessionTracker`, `DataTree.dumpEphemerals`.
pub(super) fn dump(view: &dyn ServerView, out: &mut String) {
    line!(out, "SessionTracker dump:");
    let sessions = view.sessions();
    if let Some(local) = &sessions.local {
        out.push_str("Local ");
        buckets("Session", local, SessionId::to_string, view.zone(), out);
    }
    match &sessions.global {
        GlobalSessions::Tracked(global) => {
            if sessions.local.is_some() {
                out.push_str("Global ");
            }
            buckets("Session", global, SessionId::to_string, view.zone(), out);
        }
        GlobalSessions::Known(global) => {
            line!(out, "Global Sessions({}):", global.len());
            for (id, timeout_ms) in global {
                line!(out, "{id}\t{timeout_ms}ms");
            }
        }
    }
    line!(out, "ephemeral nodes dump:");
    let ephemerals = view.ephemerals();
    line!(out, "Sessions with Ephemerals ({}):", ephemerals.len());
    for (id, paths) in &ephemerals {
        line!(out, "{id}:");
        indented(paths, out);
    }
    line!(out, "Connections dump:");
    if let Some(expiry) = view.connection_expiry() {
        let text = |c: &super::view::ConnectionRef| {
            format!(
                "ip: {} sessionId: {}",
                JavaSocketAddress(c.remote),
                c.session
            )
        };
        buckets("Connections", &expiry, text, view.zone(), out);
    }
}

/// Apache: `ExpiryQueue.dump`.
fn buckets<T>(
    what: &str,
    buckets: &[ExpiryBucket<T>],
    text: impl Fn(&T) -> String,
    zone: &Zone,
    out: &mut String,
) {
    let members: usize = buckets.iter().map(|bucket| bucket.members.len()).sum();
    line!(out, "{what} Sets ({})/({members}):", buckets.len());
    for bucket in buckets {
        let date = zone.java_date(bucket.expires_at_ms);
        line!(out, "{} expire at {date}:", bucket.members.len());
        indented(bucket.members.iter().map(&text), out);
    }
}

fn indented(items: impl IntoIterator<Item = impl Display>, out: &mut String) {
    for item in items {
        line!(out, "\t{item}");
    }
}

pub(super) fn wchs(view: &dyn ServerView, out: &mut String) {
    let summary = view.watch_summary();
    line!(
        out,
        "{} connections watching {} paths",
        summary.connections,
        summary.paths
    );
    line!(out, "Total watches:{}", summary.watches);
}

pub(super) fn wchc(view: &dyn ServerView, out: &mut String) {
    for (id, paths) in view.watches_by_session() {
        line!(out, "{id}");
        indented(paths, out);
    }
    line!(out, "");
}

pub(super) fn wchp(view: &dyn ServerView, out: &mut String) {
    for (path, ids) in view.watches_by_path() {
        line!(out, "{path}");
        indented(ids, out);
    }
    line!(out, "");
}

pub(super) fn dirs(view: &dyn ServerView, out: &mut String) {
    line!(out, "datadir_size: {}", view.data_dir_size());
    line!(out, "logdir_size: {}", view.log_dir_size());
}

pub(super) fn hash(view: &dyn ServerView, out: &mut String) {
    for (zxid, digest) in view.digests() {
        line!(out, "{:x}: {digest}", zxid.0);
    }
}

pub(super) fn isro(view: &dyn ServerView, out: &mut String) {
    out.push_str(if view.mode() == Mode::ReadOnly {
        "ro"
    } else {
        "rw"
    });
}

pub(super) fn gtmk(view: &dyn ServerView, out: &mut String) {
    let _ = write!(out, "{}", view.trace_mask());
}

pub(super) fn stmk(view: &dyn ServerView, mask: Option<i64>, out: &mut String) {
    if let Some(mask) = mask {
        view.set_trace_mask(mask);
        let _ = write!(out, "{mask}");
    }
}

pub(super) fn crst(view: &dyn ServerView, out: &mut String) {
    view.reset_connection_stats();
    line!(out, "Connection stats reset.");
}

pub(super) fn srst(view: &dyn ServerView, out: &mut String) {
    reset_server(view);
    line!(out, "Server stats reset.");
}

/// What `srst` and the admin command `stat_reset` do.
pub(crate) fn reset_server(view: &dyn ServerView) {
    view.reset_server_stats();
    if view.resets_metrics() {
        METRICS.reset();
    }
}

pub(super) fn mntr(view: &dyn ServerView, out: &mut String) {
    out.push_str(&monitor::render(view, &METRICS));
}
