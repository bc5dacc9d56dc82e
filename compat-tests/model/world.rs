//! A server, its disk and its clients, driven one step at a time and compared at each with the
//! reference.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use zabra::base::{ConnId, Id, SessionId, Zxid};
use zabra::jute::Input as Bytes;
use zabra::pipeline::{
    ConnectRequest, Effects, Input, LogOp, Now, Owner, Request, Server, ServerOptions, SnapshotJob,
};
use zabra::proto::txn::{Entry, Txn};
use zabra::proto::{Code, OpCode};
use zabra::session::{Authorizer, AuthorizerOptions, SessionTracker, password_of};
use zabra::store::txnlog::{HEADER, encode_record};
use zabra::store::{Compression, SnapshotDigest, SnapshotWriter, log_name, snapshot_name};
use zabra::tree::{DataTree, Inbox, Item};

use super::disk::Disk;
use super::reference::{Asking, History, Op, State, user_id};
use super::rng::Rng;
use super::wire;

/// What a client is to hear next.
enum Expected {
    Frame(Vec<u8>),
    Opened(i64),
}

/// A client's connection.
struct Client {
    inbox: Arc<Inbox>,
    session: i64,
    user: Option<usize>,
    expected: VecDeque<Expected>,
}

/// The request just submitted, until its transaction is seen in the log.
enum Asked {
    One(Op),
    Multi(Vec<Op>),
    Close,
    Open,
}

/// See the module.
pub struct World {
    pub rng: Rng,
    history: History,
    disk: Disk,
    tree: Arc<DataTree>,
    sessions: Arc<SessionTracker>,
    server: Server,
    clients: Vec<Client>,
    /// Sessions whose end is on its way.
    closing: Vec<i64>,
    effects: Effects,
    now: i64,
    xid: i32,
    next_conn: u64,
    /// Appended and not yet reported as durable.
    in_flight: VecDeque<i64>,
    /// Reported to the server as durable.
    durable: i64,
    job: Option<SnapshotJob>,
    walking: bool,
    roll: bool,
    /// Steps until the process is killed.
    pub left: usize,
    /// Snapshots finished.
    pub snapshots: usize,
}

/// Ends a walk: the server is gone.
pub struct Crashed;

impl World {
    /// A server over what a directory held, which is `state`.
    pub fn new(
        rng: Rng,
        disk: Disk,
        tree: DataTree,
        sessions: &BTreeMap<i64, i32>,
        history: History,
        now: i64,
    ) -> Self {
        let tree = Arc::new(tree);
        let tracker = Arc::new(SessionTracker::new(2000));
        for (id, timeout) in sessions {
            tracker.track(SessionId(*id), *timeout, now);
        }
        let authorizer = Authorizer::new(AuthorizerOptions {
            digest_enabled: true,
            ..AuthorizerOptions::default()
        });
        let options = ServerOptions {
            extended_types: true,
            snap_count: 24,
            reap_interval_ms: 500,
            seed: now as u64,
            authorizer: Arc::new(authorizer),
            ..ServerOptions::default()
        };
        let at = Now {
            mono_ms: now,
            wall_ms: now,
        };
        let server = Server::new(tree.clone(), tracker.clone(), options, at);
        let durable = history.last();
        Self {
            rng,
            history,
            disk,
            tree,
            sessions: tracker,
            server,
            clients: Vec::new(),
            closing: Vec::new(),
            effects: Effects::default(),
            now,
            xid: 0,
            next_conn: 0,
            in_flight: VecDeque::new(),
            durable,
            job: None,
            walking: false,
            roll: true,
            left: 0,
            snapshots: 0,
        }
    }

    fn at(&self) -> Now {
        Now {
            mono_ms: self.now,
            wall_ms: self.now,
        }
    }

    /// Gives the server an input and looks at everything it did.
    fn step(&mut self, input: Input, mut asked: Option<(Asked, i32, usize)>) {
        let at = self.at();
        self.server.step(at, input, &mut self.effects);
        for op in std::mem::take(&mut self.effects.log) {
            match op {
                LogOp::Append(zxid, bytes) => self.appended(zxid.0, &bytes, &mut asked),
                LogOp::Roll => self.roll = true,
            }
        }
        assert!(asked.is_none(), "a request without a transaction");
        if let Some(job) = self.effects.snapshot.take() {
            assert!(self.job.is_none() && !self.walking, "two snapshots at once");
            self.job = Some(job);
        }
        self.effects.wakes.clear();
        self.listen();
    }

    /// A transaction goes to the log: the reference does the same, and foretells the reply.
    fn appended(&mut self, zxid: i64, bytes: &Arc<[u8]>, asked: &mut Option<(Asked, i32, usize)>) {
        let entry = Entry::decode(&mut Bytes::trusted(bytes)).expect("a whole entry");
        assert_eq!(entry.header.zxid, zxid);
        let mut state = self.history.now().clone();
        let (session, op) = (entry.header.client_id, entry.header.op);
        let own = asked.take_if(|(_, xid, _)| entry.header.cxid == *xid);
        match own {
            Some((what, xid, client)) => {
                let reply = self.own(&mut state, &what, xid, client, &entry);
                self.clients[client].expected.extend(reply);
            }
            None if op == OpCode::CloseSession as i32 => {
                state.close(session, zxid);
                self.closing.push(session);
            }
            None => match &entry.txn {
                Txn::Delete(t) => state.reap(t.path.as_deref().expect("a path"), zxid, self.now),
                Txn::Error(_) => {}
                other => panic!("the server made {other:?} by itself"),
            },
        }
        if let Some(digest) = &entry.digest {
            assert_eq!(
                digest.digest as u64,
                state.digest(),
                "digest of {zxid}: {:?}",
                entry.txn
            );
        }
        self.history.push(zxid, state);
        let name = self
            .disk
            .log_for(zxid, std::mem::take(&mut self.roll), log_name, &HEADER);
        let mut record = Vec::new();
        encode_record(bytes, &mut record);
        self.disk.append(&name, zxid, &record);
        self.in_flight.push_back(zxid);
    }

    fn own(
        &mut self,
        state: &mut State,
        what: &Asked,
        xid: i32,
        client: usize,
        entry: &Entry<'_>,
    ) -> Vec<Expected> {
        let (session, zxid) = (entry.header.client_id, entry.header.zxid);
        let who = Asking {
            session,
            user: self.clients[client].user,
            closing: self.closing.contains(&session),
            zxid,
            time: self.now,
        };
        let frame = match what {
            Asked::One(op) => wire::reply(xid, zxid, op, &state.apply(op, &who)),
            Asked::Multi(ops) => wire::multi_reply(xid, zxid, ops, &state.multi(ops, &who)),
            Asked::Close => {
                state.close(session, zxid);
                self.closing.push(session);
                wire::plain_reply(xid, zxid, 0)
            }
            Asked::Open => {
                let Txn::CreateSession(t) = &entry.txn else {
                    panic!("not a createSession: {:?}", entry.txn);
                };
                state.sessions.insert(session, t.timeout);
                self.clients[client].session = session;
                return vec![Expected::Opened(session)];
            }
        };
        vec![Expected::Frame(frame)]
    }

    /// Every client hears what it is to hear, in order, and nothing before it is durable.
    fn listen(&mut self) {
        for client in &mut self.clients {
            while let Some(item) = client.inbox.pop(Zxid(i64::MAX)) {
                assert!(
                    item.zxid().0 <= self.durable,
                    "{item:?} before it is durable"
                );
                if let Item::Close(_) = item {
                    // Answers to what was asked behind the end may follow; the client is gone.
                    assert!(
                        self.closing.contains(&client.session),
                        "closed without a reason"
                    );
                    continue;
                }
                match (item, client.expected.pop_front()) {
                    (Item::Reply(_, got), Some(Expected::Frame(wanted))) => {
                        assert_eq!(got, wanted, "reply of session {:#x}", client.session);
                    }
                    (Item::Connected(_, c), Some(Expected::Opened(session))) => {
                        assert_eq!(c.session.0, session);
                    }
                    (got, _) => panic!("{got:?} out of turn"),
                }
            }
        }
    }

    fn client(&mut self, user: Option<usize>, session: i64) -> usize {
        self.next_conn += 1;
        let ids = [Id::new("ip", "127.0.0.1")]
            .into_iter()
            .chain(user.map(user_id))
            .collect();
        let inbox = Inbox::new(ConnId(self.next_conn), ids, Arc::new(|_, _| true));
        let expected = VecDeque::new();
        self.clients.push(Client {
            inbox,
            session,
            user,
            expected,
        });
        self.clients.len() - 1
    }

    /// A client opens a session.
    pub fn open(&mut self) {
        let user = [None, Some(0), Some(1)][self.rng.below(3)];
        let client = self.client(user, 0);
        let request = ConnectRequest {
            inbox: self.clients[client].inbox.clone(),
            session: SessionId::NONE,
            password: Box::default(),
            timeout: [4000, 6000, 10_000][self.rng.below(3)],
        };
        self.step(Input::Connect(request), Some((Asked::Open, 0, client)));
    }

    /// A client comes back to a session that survived.
    pub fn resume(&mut self, session: i64) {
        let user = [None, Some(0), Some(1)][self.rng.below(3)];
        let client = self.client(user, session);
        self.clients[client]
            .expected
            .push_back(Expected::Opened(session));
        let request = ConnectRequest {
            inbox: self.clients[client].inbox.clone(),
            session: SessionId(session),
            password: password_of(SessionId(session)).into(),
            timeout: 6000,
        };
        self.step(Input::Connect(request), None);
    }

    /// A client that has (or had) a session; `None` when there is none yet.
    fn pick_client(&mut self) -> Option<usize> {
        if self.clients.is_empty() {
            return None;
        }
        let n = self.rng.below(self.clients.len());
        let gone = !self
            .history
            .now()
            .sessions
            .contains_key(&self.clients[n].session);
        // Requests of sessions that ended are tried too, but seldom.
        (!gone || self.rng.chance(5)).then_some(n)
    }

    fn ask(&mut self, client: usize, op: OpCode, body: Vec<u8>, asked: Option<Asked>) {
        self.xid += 1;
        let c = &self.clients[client];
        let session = SessionId(c.session);
        if let Some(s) = self.sessions.get(session) {
            s.touch(self.now);
        }
        let request = Request {
            owner: Owner::Here,
            received_ms: self.now,
            session,
            xid: self.xid,
            op,
            body: body.into(),
            ids: c.inbox.identities(),
            origin: Some(c.inbox.clone()),
        };
        let asked = asked.map(|a| (a, self.xid, client));
        self.step(Input::Request(request), asked);
    }

    /// One step of the program: a request, or something else that happens to a server.
    pub fn random_step(&mut self) {
        self.left = self.left.saturating_sub(1);
        match self.rng.weighted(&[4, 50, 12, 2, 3, 25, 8, 1]) {
            0 => self.open(),
            1 => {
                if let Some(client) = self.pick_client() {
                    let op = super::program::operation(&mut self.rng, self.history.now());
                    self.ask(
                        client,
                        wire::opcode(&op),
                        wire::body(&op),
                        Some(Asked::One(op)),
                    );
                }
            }
            2 => {
                if let Some(client) = self.pick_client() {
                    let n = 1 + self.rng.below(5);
                    let now = self.history.now();
                    let ops: Vec<Op> = (0..n)
                        .map(|_| super::program::part(&mut self.rng, now))
                        .collect();
                    let body = wire::multi_body(&ops);
                    self.ask(client, OpCode::Multi, body, Some(Asked::Multi(ops)));
                }
            }
            3 => {
                if let Some(client) = self.pick_client() {
                    self.ask(client, OpCode::CloseSession, vec![], Some(Asked::Close));
                }
            }
            4 => self.unreadable(),
            5 => self.sync(),
            6 => self.pass_time(),
            _ => self.now += 2500,
        }
    }

    /// A request whose body cannot be decoded: -5 in its turn, under no zxid of its own.
    fn unreadable(&mut self) {
        let Some(client) = self.pick_client() else {
            return;
        };
        // It carries the zxid of what was applied when its turn came: everything before it.
        let last = self.history.last();
        let reply = wire::plain_reply(self.xid + 1, last, Code::MarshallingError as i32);
        let expected = &mut self.clients[client].expected;
        expected.push_back(Expected::Frame(reply));
        self.ask(client, OpCode::SetData, vec![0, 0, 0, 9], None);
    }

    /// The disk has some of what was appended, in order; the server hears of it.
    fn sync(&mut self) {
        let n = self.rng.below(self.in_flight.len() + 1);
        let last = self.in_flight.drain(..n).next_back();
        if let Some(last) = last {
            self.durable = last;
            self.step(Input::Durable(Zxid(last)), None);
        }
    }

    fn pass_time(&mut self) {
        self.now += self.rng.below(400) as i64;
        if self.server.next_tick().is_some_and(|due| due <= self.now) {
            self.step(Input::Tick, None);
        }
    }

    /// Takes the snapshot that waits, if one does, while the program goes on.
    ///
    /// # Errors
    /// When the life ends in the middle of it.
    pub fn maybe_snapshot(&mut self) -> Result<(), Crashed> {
        if self.walking || self.job.is_none() || self.rng.chance(60) {
            return Ok(());
        }
        let Some(job) = self.job.take() else {
            return Ok(());
        };
        self.walking = true;
        let compression =
            [Compression::None, Compression::Gz, Compression::Snappy][self.rng.below(3)];
        let mut out = SnapshotWriter::new(Vec::new(), compression);
        out.sessions(&job.sessions).expect("memory");
        out.acls(job.start.acls.iter().map(|(id, list)| (*id, &list[..])))
            .expect("memory");
        let tree = self.tree.clone();
        tree.walk(&job.start, |n| {
            out.node(n.path.text(), n.data.as_deref(), n.acl, &n.stat)
                .expect("memory");
            for _ in 0..self.rng.below(3) {
                if self.left == 0 {
                    return Err(Crashed);
                }
                self.random_step();
            }
            Ok(())
        })?;
        let at = tree.digest();
        let digest = SnapshotDigest {
            zxid: at.zxid,
            version: 2,
            digest: at.digest,
        };
        let (bytes, _) = out
            .finish(Some(digest), Some(tree.applied()))
            .expect("memory");
        self.disk
            .put(&snapshot_name(job.start.zxid, compression), bytes);
        self.snapshots += 1;
        self.walking = false;
        self.step(Input::SnapshotDone, None);
        Ok(())
    }

    /// The process is killed: what the disk has up to `zxid`, and perhaps a part of the next record.
    pub fn crash(mut self) -> (Rng, Disk, State, i64, i64) {
        let kept = self.durable + self.rng.below(self.in_flight.len() + 1) as i64;
        self.disk.cut(kept, &mut self.rng);
        let state = self.history.at(kept).clone();
        (self.rng, self.disk, state, kept, self.now)
    }
}
