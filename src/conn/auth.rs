//! auth and sasl packets (Apache: `ZooKeeperServer.processPacket`).

use crate::base::Zxid;
use crate::jute::{Input, Jute, Output};
use crate::pipeline::frame;
use crate::proto::Code;
use crate::proto::request::AuthPacket;
use crate::session::AuthOutcome;
use crate::telemetry::metrics::METRICS;
use crate::tree::Inbox;

use super::edge::Edge;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It goes on.
    GoOn,
    /// It closes once the answer is written.
    Close,
}

/// An auth packet: the identities join the connection's, or it ends.
pub(super) fn auth(edge: &Edge, inbox: &Inbox, xid: i32, body: &[u8], out: &mut Vec<u8>) -> After {
    let mut input = Input::with_limit(body, edge.limits.value_max);
    let Ok(packet) = AuthPacket::decode(&mut input) else {
        return After::Close;
    };
    let scheme = packet.scheme.as_deref().unwrap_or_default();
    match edge
        .authorizer
        .authenticate(scheme, packet.auth, &inbox.identities())
    {
        AuthOutcome::Accepted(ids) => {
            ids.into_iter().for_each(|id| inbox.add_identity(id));
            frame(out, xid, Zxid::ZERO, 0, |_| {});
            After::GoOn
        }
        AuthOutcome::Refused => {
            tracing::warn!(target: "o.a.z.s.ZooKeeperServer", "Authentication failed for scheme: {scheme}");
            edge.auth_failed
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            frame(out, xid, Zxid::ZERO, Code::AuthFailed as i32, |_| {});
            After::Close
        }
        AuthOutcome::Dropped => {
            METRICS.ensemble_auth_fail.inc();
            After::Close
        }
    }
}

/// A SASL token while no login context is configured: success with a null token, and the client
/// gives up by itself. A null token in the request ends the connection.
pub(super) fn sasl(edge: &Edge, xid: i32, body: &[u8], out: &mut Vec<u8>) -> After {
    let mut input = Input::with_limit(body, edge.limits.value_max);
    match input.buffer() {
        Ok(Some(_)) => {
            frame(out, xid, Zxid::ZERO, 0, |out| out.buffer(None));
            After::GoOn
        }
        _ => After::Close,
    }
}
