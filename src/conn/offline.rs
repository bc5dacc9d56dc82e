//! A connection without a socket, for tests and fuzzing: bytes in, bytes out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::base::{ConnId, Id};
use crate::tree::Inbox;

use super::edge::Edge;
use super::info::ConnInfo;
use super::protocol::{Protocol, Stage};

/// The protocol of one connection, driven by hand where `Conn` is driven by its socket.
pub struct Offline {
    protocol: Protocol,
    pending: Vec<u8>,
}

impl Offline {
    /// A connection just accepted from 127.0.0.1.
    pub fn new(edge: Arc<Edge>, id: ConnId) -> Self {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let inbox = Inbox::new(id, vec![Id::new("ip", "127.0.0.1")], edge.read_check());
        let info = Arc::new(ConnInfo::new(id, peer, edge.clock.wall_ms(), false));
        edge.registry.add(info.clone(), inbox.clone());
        Self {
            protocol: Protocol::new(edge, info, inbox),
            pending: Vec::new(),
        }
    }

    /// One turn: what waits for the client is written to `out`, then `received` is processed as far
    /// as it can be; the rest stays for the next turn.
    pub fn turn(&mut self, received: &[u8], out: &mut Vec<u8>) {
        self.protocol.start_turn();
        self.protocol.drain(out);
        self.pending.extend_from_slice(received);
        if self.protocol.inbox.is_empty() {
            let used = self.protocol.process(&self.pending, out);
            self.pending.drain(..used.min(self.pending.len()));
        }
    }

    /// Nothing more is read from the client.
    pub fn is_closing(&self) -> bool {
        self.protocol.stage() == Stage::Closing
    }

    /// The connection is gone.
    pub fn close(self) {
        let p = &self.protocol;
        p.inbox.close();
        p.edge.tree.forget_watches(&p.inbox);
        p.edge.registry.remove(p.info.id);
    }
}
