//! Bytes of a client, through the protocol and the pipeline, up to the replies.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::Receiver;
use zabra::admin::words;
use zabra::base::ConnId;
use zabra::base::limits::CONN_UNSENT_BYTES_MAX;
use zabra::conn::{
    Clock, Edge, EdgeLimits, FourLetterWords, LargeRequests, Offline, Registry, WordReply,
};
use zabra::pipeline::{Effects, Input, LogOp, Now, Server, ServerOptions};
use zabra::proto::OpCode;
use zabra::session::{Authorizer, AuthorizerOptions, SessionTracker};
use zabra::tree::{DataTree, TreeOptions};

use crate::bound::bounded;

/// What a connection may hold whatever it sends: replies that wait, and the tables of a tree.
const CONNECTION: usize = 2 * CONN_UNSENT_BYTES_MAX + 2 * 1024 * 1024;
const NOW: i64 = 1_700_000_000_000;
/// A connect request for a new session.
const HELLO: [u8; 45 + 4] = {
    let mut hello = [0; 49];
    hello[3] = 45;
    hello[18] = 0x75;
    hello[19] = 0x30;
    hello[31] = 16;
    hello
};

struct Still;

impl Clock for Still {
    fn mono_ms(&self) -> i64 {
        NOW
    }
    fn wall_ms(&self) -> i64 {
        NOW
    }
}

/// Looks words up as the server does, and answers with their names.
struct Words;

impl FourLetterWords for Words {
    fn run(&self, word: [u8; 4], behind: &[u8], _: ConnId) -> Option<WordReply> {
        let word = words::find(i32::from_be_bytes(word))?;
        match word.takes_argument() && behind.len() < 8 {
            true => Some(WordReply::Needs(8)),
            false => Some(WordReply::Text(word.name.as_bytes().to_vec())),
        }
    }
}

/// A server with one connection.
struct World {
    server: Server,
    inputs: Receiver<Input>,
    conn: Offline,
    effects: Effects,
    out: Vec<u8>,
    /// Bytes of replies.
    answered: usize,
}

impl World {
    fn new() -> Self {
        let tree = Arc::new(DataTree::fresh(TreeOptions::default()));
        let sessions = Arc::new(SessionTracker::new(2000));
        let authorizer = Arc::new(Authorizer::new(AuthorizerOptions {
            digest_enabled: true,
            x509: true,
            sasl: true,
            super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".to_owned()),
            ensemble: Some(vec![]),
            ..AuthorizerOptions::default()
        }));
        let options = ServerOptions {
            extended_types: true,
            enforce_quota: true,
            authorizer: authorizer.clone(),
            ..ServerOptions::default()
        };
        let now = Now {
            mono_ms: NOW,
            wall_ms: NOW,
        };
        let server = Server::new(tree.clone(), sessions.clone(), options, now);
        let (sender, inputs) = crossbeam_channel::unbounded();
        let edge = Arc::new(Edge {
            tree,
            sessions,
            authorizer,
            inputs: sender,
            clock: Arc::new(Still),
            words: Arc::new(Words),
            registry: Arc::new(Registry::default()),
            stats: Arc::default(),
            limits: EdgeLimits {
                frame_max: 0xf_ffff,
                value_max: 2 * 0xf_ffff,
                outstanding_max: 1000,
                outstanding_bytes_max: 1 << 20,
                per_ip_max: 0,
                total_max: 0,
                sessionless_ms: 1000,
                keep_alive: false,
            },
            outstanding: Arc::default(),
            outstanding_bytes: Default::default(),
            large: LargeRequests::new(None, usize::MAX),
            connect_throttle: None,
            serving: AtomicBool::new(true),
            ordered_syncs: AtomicBool::new(false),
            read_only: false,
            local_sessions: false,
            auth_failed: Default::default(),
        });
        Self {
            server,
            inputs,
            conn: Offline::new(edge, ConnId(1)),
            effects: Effects::default(),
            out: Vec::new(),
            answered: 0,
        }
    }

    /// The client sends `bytes`, and everything runs until nothing moves. While it is `slow`, the log
    /// is not written, so that requests meet others that are not applied yet.
    fn receive(&mut self, bytes: &[u8], slow: bool) {
        let now = Now {
            mono_ms: NOW,
            wall_ms: NOW,
        };
        let mut bytes = bytes;
        loop {
            self.conn.turn(std::mem::take(&mut bytes), &mut self.out);
            let wrote = self.out.len();
            self.answered += wrote;
            self.out.clear();
            let mut moved = wrote > CONN_UNSENT_BYTES_MAX;
            while let Ok(input) = self.inputs.try_recv() {
                self.server.step(now, input, &mut self.effects);
                moved = true;
            }
            moved |= !slow && self.make_durable(now);
            if !moved {
                break;
            }
        }
    }

    fn make_durable(&mut self, now: Now) -> bool {
        let mut last = None;
        for op in self.effects.log.drain(..) {
            if let LogOp::Append(zxid, _) = op {
                last = Some(zxid);
            }
        }
        self.effects.wakes.clear();
        if let Some(zxid) = last {
            self.server
                .step(now, Input::Durable(zxid), &mut self.effects);
        }
        last.is_some()
    }
}

/// A connection from its first byte on, as it comes from the socket; the first byte of the input
/// says in what pieces.
pub fn first_bytes(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else {
        return;
    };
    let mut world = World::new();
    bounded(bytes, CONNECTION, |bytes| {
        let size = match piece {
            0 => bytes.len().max(1),
            n => usize::from(*n),
        };
        for part in bytes.chunks(size) {
            world.receive(part, false);
        }
        world.conn.close();
    });
}

/// Requests of a session: each is an operation (by its place in the table), a length and a body.
pub fn requests(data: &[u8]) {
    let mut world = World::new();
    world.receive(&HELLO, false);
    assert_eq!(world.answered, 41, "a session");
    bounded(data, CONNECTION, |data| {
        let mut rest = data;
        let mut xid = 0_i32;
        while let Some(([op, flags, len @ ..], behind)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_be_bytes(*len)).min(behind.len());
            let (body, behind) = behind.split_at(len);
            xid += 1;
            let code = OpCode::ALL
                .get(usize::from(*op))
                .map_or(50, |op| *op as i32);
            let mut frame = ((len + 8) as i32).to_be_bytes().to_vec();
            frame.extend_from_slice(&xid.to_be_bytes());
            frame.extend_from_slice(&code.to_be_bytes());
            frame.extend_from_slice(body);
            world.receive(&frame, flags % 2 == 1);
            rest = behind;
        }
        world.receive(&[], false);
        world.conn.close();
    });
}
