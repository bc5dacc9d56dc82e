//! The client protocol of one connection, without its socket: bytes in, bytes out.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::base::limits::CONN_UNSENT_BYTES_MAX;
use crate::base::{SessionId, Zxid};
use crate::jute::Input as Bytes;
use crate::pipeline::{ConnectRequest, Input, Owner, Request, frame};
use crate::proto::event::XID_PING;
use crate::proto::op::Class;
use crate::proto::{Code, OpCode, request};
use crate::session::{ConnectKind, Session};
use crate::telemetry::metrics::METRICS;
use crate::tree::{Inbox, Item};

use super::auth::{self, After};
use super::edge::{Edge, WordReply};
use super::handshake;
use super::in_flight::{InFlight, Write};
use super::info::ConnInfo;
use super::local_read::Reader;
use super::op_counts;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing but perhaps a part of the first frame.
    Hello,
    /// The sequencer has the connect request.
    Connecting,
    /// It has a session.
    Open,
    /// Nothing more is read; what is written goes out, then it closes.
    Closing,
}

/// What a frame did.
enum Done {
    /// It is dealt with.
    Yes,
    /// It must wait until an earlier write is answered.
    Wait,
}

/// See the module.
pub(super) struct Protocol {
    pub(super) edge: Arc<Edge>,
    pub(super) info: Arc<ConnInfo>,
    pub(super) inbox: Arc<Inbox>,
    session: Option<Arc<Session>>,
    stage: Stage,
    /// The client's connect request carried the readOnly byte.
    with_read_only: bool,
    in_flight: InFlight,
    /// Clock of this turn, monotonic ms.
    now: i64,
    /// A frame needs bytes that have not come; only then may the backlog grow past its bound.
    wants_more: bool,
    /// Processing stopped because enough replies wait to be written.
    paused: bool,
    answered: i64,
}

impl Protocol {
    pub(super) fn new(edge: Arc<Edge>, info: Arc<ConnInfo>, inbox: Arc<Inbox>) -> Self {
        Self {
            edge,
            info,
            inbox,
            session: None,
            stage: Stage::Hello,
            with_read_only: false,
            in_flight: InFlight::default(),
            now: 0,
            wants_more: true,
            paused: false,
            answered: 0,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// True when the client is owed nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.stage != Stage::Connecting && self.in_flight.is_empty()
    }

    pub(super) fn wants_more(&self) -> bool {
        self.wants_more
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The role that served this client has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Connecting)
            && !self.edge.serving.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(super) fn start_turn(&mut self) {
        self.now = self.edge.clock.mono_ms();
        if self.info.close_wanted.load(Relaxed) {
            self.stage = Stage::Closing;
        }
    }

    /// Processes frames from the start of `bytes`; how many bytes are dealt with.
    pub(super) fn process(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        self.wants_more = false;
        self.paused = false;
        self.answered = 0;
        while let Some(rest) = bytes.get(at..)
            && self.stage != Stage::Closing
            && self.stage != Stage::Connecting
        {
            let Some((head, behind)) = rest.split_first_chunk::<4>() else {
                self.wants_more = true;
                break;
            };
            if out.len() > CONN_UNSENT_BYTES_MAX {
                self.paused = true;
                break;
            }
            if self.stage == Stage::Hello && self.four_letter_word(*head, behind, out) {
                break;
            }
            let len = match usize::try_from(i32::from_be_bytes(*head)) {
                Ok(len) if len <= self.edge.limits.frame_max => len,
                _ => {
                    self.refuse_length(i32::from_be_bytes(*head));
                    break;
                }
            };
            if !self.edge.large.has_room(len) {
                self.refuse_large();
                break;
            }
            let Some(body) = behind.get(..len) else {
                self.wants_more = true;
                break;
            };
            match self.frame(body, out) {
                Done::Yes => at += 4 + len,
                Done::Wait => break,
            }
        }
        if self.stage == Stage::Closing {
            return bytes.len();
        }
        self.note_answered();
        at
    }

    fn refuse_length(&mut self, len: i32) {
        tracing::warn!(
            target: "o.a.z.s.NIOServerCnxn",
            "Len error. A message from {} with advertised length of {len} is either a malformed message or too large to process (length is greater than jute.maxbuffer={})",
            self.info.peer, self.edge.limits.frame_max
        );
        self.stage = Stage::Closing;
    }

    fn refuse_large(&mut self) {
        tracing::warn!(
            target: "o.a.z.s.NIOServerCnxn",
            "Close of session {}: Rejecting large request", self.info.session()
        );
        self.stage = Stage::Closing;
    }

    /// True when the connection begins with a word (or may turn out to); it is answered then.
    fn four_letter_word(&mut self, word: [u8; 4], behind: &[u8], out: &mut Vec<u8>) -> bool {
        match self.edge.words.run(word, behind, self.info.id) {
            None => false,
            Some(WordReply::Needs(n)) if behind.len() < n => {
                self.wants_more = true;
                true
            }
            Some(WordReply::Needs(_)) => false,
            Some(WordReply::Text(text)) => {
                self.count_received();
                self.count_sent(1);
                out.extend_from_slice(&text);
                self.stage = Stage::Closing;
                true
            }
        }
    }

    fn frame(&mut self, body: &[u8], out: &mut Vec<u8>) -> Done {
        match self.stage {
            Stage::Hello => self.hello(body),
            Stage::Open => return self.request(body, out),
            Stage::Connecting | Stage::Closing => {}
        }
        Done::Yes
    }

    fn hello(&mut self, body: &[u8]) {
        self.count_received();
        self.stage = Stage::Closing;
        let Ok(hello) = handshake::decode(body, self.edge.limits.value_max) else {
            return;
        };
        if !self.edge.serving.load(Relaxed) {
            METRICS.cnxn_closed_without_zk_server_running.inc();
            return;
        }
        let kind = match hello.session {
            SessionId::NONE if self.edge.local_sessions => ConnectKind::Local,
            SessionId::NONE => ConnectKind::Global,
            _ => ConnectKind::Renewed,
        };
        if !self.edge.admits(kind, self.now) {
            METRICS.connection_rejected.inc();
            tracing::warn!(
                target: "o.a.z.s.NIOServerCnxn",
                "Closing session {}: Connection throttle rejected connection", hello.session
            );
            return;
        }
        METRICS.connection_request_count.inc();
        if self.edge.read_only && hello.read_only != Some(true) {
            tracing::info!(
                target: "o.a.z.s.ZooKeeperServer",
                "Refusing session request for not-read-only client /{}", self.info.peer
            );
            return;
        }
        let applied = self.edge.tree.applied();
        if hello.last_zxid_seen > applied {
            tracing::info!(
                target: "o.a.z.s.ZooKeeperServer",
                "Refusing session({}) request for client {} as it has seen zxid {} our last zxid is {applied} client must try another server",
                hello.session, self.info.peer, hello.last_zxid_seen
            );
            return;
        }
        self.with_read_only = hello.read_only.is_some();
        let request = ConnectRequest {
            inbox: self.inbox.clone(),
            session: hello.session,
            password: hello.password,
            timeout: hello.timeout,
        };
        if self.edge.inputs.send(Input::Connect(request)).is_ok() {
            self.stage = Stage::Connecting;
        }
    }

    fn request(&mut self, body: &[u8], out: &mut Vec<u8>) -> Done {
        let mut input = Bytes::with_limit(body, self.edge.limits.value_max);
        let Ok(header) = request::header(&mut input) else {
            self.stage = Stage::Closing;
            return Done::Yes;
        };
        let op = OpCode::of(header.op);
        let class = match op {
            Some(OpCode::Sync) if self.edge.ordered_syncs.load(Relaxed) => Class::Write,
            op => op.map_or(Class::Internal, OpCode::class),
        };
        let must_wait = match class {
            // A sync may have to wait where a write does not, and is answered before it.
            Class::Write if op != Some(OpCode::Sync) && self.in_flight.has_sync() => true,
            Class::Write => !self.in_flight.is_empty() && self.edge.is_full(),
            Class::Read | Class::Connection | Class::Internal => !self.in_flight.is_empty(),
        };
        if must_wait {
            return Done::Wait;
        }
        self.count_received();
        match (class, op) {
            (Class::Connection, Some(op)) => self.connection_op(op, header.xid, &input, out),
            _ if !self.may_proceed(header.xid, out) => {}
            (Class::Read, Some(op)) => self.read(op, header.xid, input.rest(), out),
            (Class::Write, Some(op)) => self.write(op, header.xid, input.rest()),
            _ => {
                frame(
                    out,
                    header.xid,
                    Zxid(-1),
                    Code::Unimplemented as i32,
                    |_| {},
                );
                self.count_sent(1);
                self.stage = Stage::Closing;
            }
        }
        Done::Yes
    }

    /// auth and sasl: for this connection alone, and no sign of life of the session.
    fn connection_op(&mut self, op: OpCode, xid: i32, input: &Bytes<'_>, out: &mut Vec<u8>) {
        let after = match op {
            OpCode::Auth => auth::auth(&self.edge, &self.inbox, xid, input.rest(), out),
            _ => auth::sasl(&self.edge, xid, input.rest(), out),
        };
        self.count_sent(1);
        if after == After::Close {
            self.stage = Stage::Closing;
        }
    }

    /// Touches the session; false when the request must not be executed.
    fn may_proceed(&mut self, xid: i32, out: &mut Vec<u8>) -> bool {
        if !self
            .edge
            .authorizer
            .meets_enforcement(&self.inbox.identities())
        {
            let code = Code::SessionClosedRequireSaslAuth as i32;
            frame(out, xid, Zxid::ZERO, code, |_| {});
            self.count_sent(1);
            self.stage = Stage::Closing;
            return false;
        }
        match &self.session {
            // A session that is ending takes no more requests; its connection closes with it.
            Some(s) if s.is_closing() => false,
            Some(s) => {
                s.touch(self.now);
                true
            }
            None => false,
        }
    }

    fn read(&mut self, op: OpCode, xid: i32, body: &[u8], out: &mut Vec<u8>) {
        self.answered += 1;
        if op == OpCode::Ping {
            let zxid = self.edge.tree.applied();
            self.drain_upto(zxid, out);
            frame(out, XID_PING, zxid, 0, |_| {});
            // Not among the response bytes, as in Apache.
            self.edge.stats.last_response.record(16);
            self.note_reply(op, XID_PING, zxid);
            return;
        }
        let reader = Reader {
            edge: &self.edge.clone(),
            inbox: &self.inbox.clone(),
            session: self.info.session(),
            ids: self.inbox.identities(),
            xid,
        };
        let start = out.len();
        let mut tagged = Zxid::ZERO;
        reader.answer(op, body, out, &mut |zxid, out| {
            tagged = zxid;
            self.drain_upto(zxid, out);
        });
        self.note_size(out.len() - start);
        self.note_reply(op, xid, tagged);
    }

    fn write(&mut self, op: OpCode, xid: i32, body: &[u8]) {
        let Some(session) = self.session.as_ref().map(|s| s.id) else {
            return;
        };
        let Some(large) = self.edge.large.take(body.len()) else {
            self.refuse_large();
            return;
        };
        let request = Request {
            owner: Owner::Here,
            session,
            xid,
            op,
            body: body.into(),
            ids: self.inbox.identities(),
            origin: Some(self.inbox.clone()),
            received_ms: self.now,
        };
        if self.edge.inputs.send(Input::Request(request)).is_err() {
            self.stage = Stage::Closing;
            return;
        }
        let write = Write {
            since_ms: self.now,
            bytes: body.len(),
            large,
            op,
            xid,
        };
        self.in_flight.push(write, &self.edge);
        self.info.queued.store(self.in_flight.len() as u64, Relaxed);
    }

    /// Writes out what waits, up to what a client may leave unread.
    pub(super) fn drain(&mut self, out: &mut Vec<u8>) {
        while out.len() <= CONN_UNSENT_BYTES_MAX && self.tell_next(Zxid(i64::MAX), out) {}
    }

    /// Writes out what waits and is tagged `upto` or less: the rule of merging (R3).
    fn drain_upto(&mut self, upto: Zxid, out: &mut Vec<u8>) {
        while self.tell_next(upto, out) {}
    }

    /// Writes out the next item if it is tagged `upto` or less.
    fn tell_next(&mut self, upto: Zxid, out: &mut Vec<u8>) -> bool {
        if self.stage == Stage::Closing {
            return false;
        }
        let Some(item) = self.inbox.pop(upto) else {
            return false;
        };
        match item {
            Item::Event(_, bytes) => {
                // As with replies, the length prefix does not count.
                METRICS
                    .watch_bytes
                    .add(bytes.len().saturating_sub(4) as u64);
                out.extend_from_slice(&bytes);
                self.count_sent(1);
            }
            Item::Reply(zxid, bytes) => {
                out.extend_from_slice(&bytes);
                self.note_size(bytes.len());
                self.write_answered(zxid, is_refused(&bytes));
            }
            Item::Connected(_, connected) => {
                let byte = self.with_read_only.then_some(self.edge.read_only);
                handshake::encode(out, &connected, byte);
                self.count_sent(1);
                self.opened(&connected);
            }
            Item::Close(_) => self.stage = Stage::Closing,
        }
        true
    }

    fn opened(&mut self, connected: &crate::tree::inbox::Connected) {
        self.info.session.store(connected.session.0, Relaxed);
        self.info
            .timeout_ms
            .store(i64::from(connected.timeout), Relaxed);
        self.session = self.edge.sessions.get(connected.session);
        if self.session.is_some() {
            self.stage = Stage::Open;
            self.info
                .last_op
                .store(i64::from(OpCode::CreateSession as i32), Relaxed);
            tracing::debug!(
                target: "o.a.z.s.ZooKeeperServer",
                "Established session {} with negotiated timeout {} for client {}",
                connected.session, connected.timeout, self.info.peer
            );
        } else if connected.timeout > 0 {
            // Opened, and ended before its client could hear of it.
            self.stage = Stage::Closing;
        }
    }

    fn write_answered(&mut self, zxid: Zxid, refused: bool) {
        let Some(write) = self.in_flight.pop(&self.edge) else {
            return;
        };
        self.info.queued.store(self.in_flight.len() as u64, Relaxed);
        let ms = self.now - write.since_ms;
        self.edge.stats.latency.record(ms, 1);
        self.info.latency.record(ms, 1);
        self.info.last_latency.store(ms, Relaxed);
        self.note_reply(write.op, write.xid, zxid);
        // A server without a quorum ends no session of the ensemble.
        if write.op == OpCode::CloseSession && !refused {
            self.stage = Stage::Closing;
        }
    }

    /// Notes the size of a reply frame; what is counted leaves its length prefix out.
    fn note_size(&self, frame: usize) {
        let bytes = frame.saturating_sub(4);
        METRICS.response_bytes.add(bytes as u64);
        self.edge.stats.last_response.record(bytes);
    }

    fn note_reply(&mut self, op: OpCode, xid: i32, zxid: Zxid) {
        op_counts::count(op);
        self.info.last_op.store(i64::from(op as i32), Relaxed);
        // Pings and the other special xids leave the last one standing.
        if xid >= 0 {
            self.info.last_xid.store(i64::from(xid), Relaxed);
        }
        self.info.last_zxid.store(zxid.0, Relaxed);
        self.info.last_response_ms.store(self.now, Relaxed);
        self.count_sent(1);
    }

    /// Reads are answered in the turn that received them: their latency is below a millisecond.
    fn note_answered(&mut self) {
        if self.answered > 0 {
            self.edge.stats.latency.record(0, self.answered);
            self.info.latency.record(0, self.answered);
            (0..self.answered).for_each(|_| METRICS.readlatency.record(0));
        }
    }

    fn count_received(&self) {
        self.info.received.fetch_add(1, Relaxed);
        self.edge.stats.received.fetch_add(1, Relaxed);
    }

    fn count_sent(&self, n: u64) {
        self.info.sent.fetch_add(n, Relaxed);
        self.edge.stats.sent.fetch_add(n, Relaxed);
    }

    /// What this connection has in the pipeline no longer counts against the server: it ends, or it
    /// does not read its replies, and others must not wait for it.
    pub(super) fn give_back(&mut self) {
        self.in_flight.give_back(&self.edge);
    }

    /// The client has closed its side.
    pub(super) fn note_end(&self) {
        METRICS.connection_drop_count.inc();
        tracing::info!(
            target: "o.a.z.s.NIOServerCnxn",
            "Unable to read additional data from client, it probably closed the socket: address = /{}, session = {}",
            self.info.peer, self.info.session()
        );
    }
}

/// True for a reply frame that says that nothing is written here.
fn is_refused(frame: &[u8]) -> bool {
    frame.get(16..20) == Some(&(Code::NotReadOnly as i32).to_be_bytes())
}
