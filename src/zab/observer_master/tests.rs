//! Conversations with an observer master: scripted observers.

use super::*;
use crate::proto::quorum::PacketType as P;
use crate::proto::quorum::payload::encode_touches;

const TICK: i64 = 1000;
const EPOCH: i32 = 3;

fn z(epoch: i32, counter: u32) -> Zxid {
    Zxid::of(Epoch(epoch), counter)
}

fn bytes(n: u32) -> Arc<[u8]> {
    Arc::from(n.to_be_bytes())
}

/// A master and its database, with what it did since it was last asked.
struct Talk {
    master: ObserverMaster,
    recent: CommittedLog,
    now: i64,
}

impl Talk {
    /// Applied are 3:1..=`last`, of which those behind 3:`base` are kept.
    fn new(base: u32, last: u32) -> Self {
        let options = MasterOptions {
            tick_ms: TICK,
            init_limit: 10,
            sync_limit: 5,
            config: Arc::from(*b"version=0"),
            config_version: 0,
            force_snapshot: false,
        };
        let mut talk = Self {
            master: ObserverMaster::new(options, Epoch(EPOCH), 0),
            recent: CommittedLog::new(z(EPOCH, base), 500, 0),
            now: 0,
        };
        for n in base + 1..=last {
            talk.apply(n);
        }
        talk
    }

    fn apply(&mut self, n: u32) {
        let (zxid, bytes) = (z(EPOCH, n), bytes(n));
        self.recent.push(zxid, bytes.clone());
        self.master.applied(self.now, zxid, &bytes, &self.recent);
    }

    fn hear(&mut self, link: u64, packet: QuorumPacket) {
        self.master
            .packet(self.now, LinkId(link), packet, &self.recent);
    }

    fn hello(&mut self, link: u64, sid: i64) {
        self.master.connected(self.now, LinkId(link));
        let info = LearnerInfo::new(ServerId(sid), 0).encode();
        self.hear(
            link,
            QuorumPacket::new(P::ObserverInfo, z(2, 0)).with_data(info),
        );
    }

    fn ack_epoch(&mut self, link: u64, last: Zxid) {
        let packet = QuorumPacket::new(P::AckEpoch, last).with_data(encode_int(2));
        self.hear(link, packet);
    }

    /// An observer that has all we have, and knows it.
    fn synced(&mut self, link: u64) {
        self.hello(link, link as i64);
        self.ack_epoch(link, self.recent.last());
        self.hear(link, QuorumPacket::new(P::Ack, z(EPOCH, 0)));
        self.said();
    }

    /// Effects in short.
    fn said(&mut self) -> Vec<String> {
        let effects = self.master.take_effects();
        effects
            .into_iter()
            .map(|e| match e {
                MasterEffect::Send(l, p) => {
                    let kind = p.packet_type().expect("a known type");
                    format!(
                        "{} {kind:?} {}:{}",
                        l.0,
                        p.zxid.epoch().0,
                        p.zxid.counter() as i32
                    )
                }
                MasterEffect::SendSnapshot(l) => format!("{} snapshot", l.0),
                MasterEffect::ReadLog { link, from, upto } => {
                    format!(
                        "{} read {}..={}",
                        link.0,
                        from.counter() as i32,
                        upto.counter()
                    )
                }
                MasterEffect::Close(l, why) => format!("{} close: {why}", l.0),
                MasterEffect::Forward(p) => format!("forward {:?}", p.packet_type()),
            })
            .collect()
    }
}

fn request(session: i64, op: i32) -> QuorumPacket {
    let request = LearnerRequest {
        session: SessionId(session),
        cxid: 1,
        op,
        body: b"x",
    };
    QuorumPacket::new(P::Request, Zxid(-1)).with_data(request.encode())
}

fn revalidate(session: i64) -> QuorumPacket {
    let data = RevalidateRequest {
        session: SessionId(session),
        timeout: 4000,
    };
    QuorumPacket::new(P::Revalidate, Zxid(-1)).with_data(data.encode())
}

#[test]
fn an_observer_gets_what_it_lacks_and_then_all_that_is_applied() {
    let mut talk = Talk::new(0, 3);
    talk.hello(1, 9);
    assert_eq!(talk.said(), ["1 LeaderInfo 3:0"]);
    talk.ack_epoch(1, z(EPOCH, 1));
    assert_eq!(
        talk.said(),
        [
            "1 Diff 3:3",
            "1 Proposal 3:2",
            "1 Commit 3:2",
            "1 Proposal 3:3",
            "1 Commit 3:3",
            "1 NewLeader 3:0"
        ]
    );
    talk.apply(4);
    assert_eq!(talk.said(), ["1 Inform 3:4"]);
    talk.hear(1, QuorumPacket::new(P::Ack, z(EPOCH, 0)));
    assert_eq!(talk.said(), ["1 UpToDate -1:-1"]);
    talk.hear(1, QuorumPacket::new(P::Ack, z(EPOCH, 0)));
    talk.apply(5);
    assert_eq!(talk.said(), ["1 Inform 3:5"]);
    assert_eq!(talk.master.synced(), 1);
}

#[test]
fn an_observer_from_another_time_gets_the_log_or_everything() {
    let mut talk = Talk::new(10, 12);
    talk.hello(1, 9);
    talk.ack_epoch(1, z(EPOCH, 9));
    assert_eq!(talk.said(), ["1 LeaderInfo 3:0", "1 read 9..=10"]);
    talk.apply(13);
    assert!(talk.said().is_empty(), "it gets nothing live yet");
    let found = vec![(z(EPOCH, 10), bytes(10))];
    talk.master.log_read(LinkId(1), Some(found), &talk.recent);
    let said = talk.said();
    assert_eq!(said.first().map(String::as_str), Some("1 Diff 3:13"));
    assert_eq!(said.len(), 1 + 2 * 4 + 1, "{said:?}");

    talk.hello(2, 8);
    talk.ack_epoch(2, Zxid(-1));
    let want = [
        "2 LeaderInfo 3:0",
        "2 Snap 3:13",
        "2 snapshot",
        "2 NewLeader 3:0",
    ];
    assert_eq!(talk.said(), want);
    for found in [None, Some(vec![(z(EPOCH, 8), bytes(8))])] {
        talk.hello(3, 7);
        talk.ack_epoch(3, z(EPOCH, 5));
        talk.said();
        talk.master.log_read(LinkId(3), found, &talk.recent);
        let want = ["3 Snap 3:13", "3 snapshot", "3 NewLeader 3:0"];
        assert_eq!(talk.said(), want);
        talk.master.gone(LinkId(3));
    }
}

#[test]
fn one_that_is_ahead_waits_until_its_transactions_come() {
    let mut talk = Talk::new(0, 3);
    talk.hello(1, 9);
    talk.ack_epoch(1, z(EPOCH, 5));
    assert_eq!(talk.said(), ["1 LeaderInfo 3:0"]);
    talk.apply(4);
    assert!(talk.said().is_empty());
    talk.apply(5);
    assert_eq!(talk.said(), ["1 Diff 3:5", "1 NewLeader 3:0"]);
    // They never come: it has what was never decided.
    talk.hello(2, 8);
    talk.ack_epoch(2, z(EPOCH, 9));
    talk.said();
    talk.now = 5 * TICK + 1;
    talk.master.tick(talk.now, &talk.recent);
    let said = talk.said();
    assert!(said.contains(&"2 Trunc 3:5".to_owned()), "{said:?}");
}

#[test]
fn followers_newer_configurations_and_old_protocols_are_refused() {
    let mut talk = Talk::new(0, 1);
    let info = |version| LearnerInfo::new(ServerId(9), version).encode();
    let old = LearnerInfo {
        server: Some(ServerId(9)),
        protocol_version: 1,
        config_version: 0,
    };
    for (kind, data) in [
        (P::FollowerInfo, info(0)),
        (P::ObserverInfo, info(7)),
        (P::ObserverInfo, old.encode()),
        (P::Ping, vec![]),
    ] {
        talk.master.connected(0, LinkId(1));
        talk.hear(1, QuorumPacket::new(kind, z(2, 0)).with_data(data));
        let said = talk.said();
        let closed = said.len() == 1 && said.iter().all(|s| s.starts_with("1 close"));
        assert!(closed, "{kind:?}: {said:?}");
    }
}

#[test]
fn the_same_server_again_takes_the_place_of_its_older_link() {
    let mut talk = Talk::new(0, 1);
    talk.hello(1, 9);
    talk.said();
    talk.hello(2, 9);
    let want = ["1 close: its server connected again", "2 LeaderInfo 3:0"];
    assert_eq!(talk.said(), want);
}

#[test]
fn answers_of_the_leader_find_who_asked() {
    let mut talk = Talk::new(0, 1);
    talk.synced(1);
    talk.synced(2);
    talk.hear(1, request(5, OpCode::Sync as i32));
    talk.master.own_sync();
    talk.hear(2, request(6, OpCode::Sync as i32));
    assert_eq!(talk.said(), ["forward Some(Request)"; 2]);
    assert_eq!(talk.master.sync_answered(), Asker::Observer);
    assert_eq!(talk.said(), ["1 Sync 0:0"]);
    assert_eq!(talk.master.sync_answered(), Asker::Own);
    // Who is gone is not answered, and takes nobody else's answer.
    talk.master.gone(LinkId(2));
    assert_eq!(talk.master.sync_answered(), Asker::Observer);
    assert!(talk.said().is_empty());

    talk.master.own_revalidation(SessionId(7));
    talk.hear(1, revalidate(8));
    talk.hear(1, revalidate(9));
    talk.said();
    assert_eq!(talk.master.revalidated(SessionId(7), true), Asker::Own);
    assert_eq!(talk.master.revalidated(SessionId(8), true), Asker::Observer);
    assert_eq!(
        talk.master.revalidated(SessionId(9), false),
        Asker::Observer
    );
    assert_eq!(talk.said(), ["1 Revalidate -1:-1"; 2]);
    let touched: Vec<_> = talk.master.take_touched().into_iter().collect();
    assert_eq!(touched, [(SessionId(8), 4000)], "what lives was touched");
}

#[test]
fn signs_of_life_are_passed_on_once() {
    let mut talk = Talk::new(0, 1);
    talk.synced(1);
    talk.master.tick(TICK / 2, &talk.recent);
    assert_eq!(talk.said(), ["1 Ping 3:1"]);
    let touches = encode_touches([(SessionId(5), 4000), (SessionId(4), 6000)]);
    talk.hear(
        1,
        QuorumPacket::new(P::Ping, z(EPOCH, 1)).with_data(touches),
    );
    let touched: Vec<_> = talk.master.take_touched().into_iter().collect();
    assert_eq!(touched, [(SessionId(4), 6000), (SessionId(5), 4000)]);
    assert!(talk.master.take_touched().is_empty());
}

#[test]
fn the_silent_and_the_wrong_lose_their_link_only() {
    let mut talk = Talk::new(0, 1);
    talk.synced(1);
    talk.synced(2);
    talk.now = 3 * TICK;
    talk.hear(2, QuorumPacket::new(P::Ping, z(EPOCH, 1)).with_data(vec![]));
    talk.now = 5 * TICK + 1;
    talk.master.tick(talk.now, &talk.recent);
    let want = ["1 close: nothing was heard of it in time", "2 Ping 3:1"];
    assert_eq!(talk.said(), want);
    let short = QuorumPacket::new(P::Request, Zxid(-1)).with_data(vec![1, 2]);
    for wrong in [
        QuorumPacket::new(P::Ack, z(EPOCH, 1)),
        QuorumPacket::new(P::Ping, z(EPOCH, 1)).with_data(vec![1]),
        QuorumPacket::new(P::Revalidate, Zxid(-1)),
        short,
        request(5, OpCode::GetData as i32),
        request(5, OpCode::DeleteContainer as i32),
        request(5, 4711),
    ] {
        talk.synced(3);
        talk.hear(3, wrong.clone());
        let said = talk.said();
        let closed = said.len() == 1 && said.iter().all(|s| s.starts_with("3 close"));
        assert!(closed, "{wrong:?}: {said:?}");
    }
    talk.synced(4);
    talk.hear(4, QuorumPacket::new(P::Proposal, z(EPOCH, 9)));
    talk.hear(4, request(5, OpCode::CreateSession as i32));
    assert_eq!(talk.said(), ["forward Some(Request)"]);
}

#[test]
fn those_who_say_nothing_take_no_more_than_their_places() {
    let mut talk = Talk::new(0, 1);
    talk.synced(1);
    for link in 2..2 + UNKNOWN_MAX as u64 {
        talk.master.connected(0, LinkId(link));
    }
    assert!(talk.said().is_empty());
    talk.master.connected(0, LinkId(1000));
    assert_eq!(talk.said(), ["2 close: too many connections say nothing"]);
    talk.apply(2);
    assert_eq!(talk.said(), ["1 Inform 3:2"], "who is known stays");
}
