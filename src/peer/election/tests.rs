//! The mesh over real sockets: with itself, with scripted peers, and with those who mean harm.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::base::Zxid;
use crate::peer::toy_guard::Toy;
use crate::zab::election::ServerState;

struct Peer {
    mesh: ElectionMesh,
    events: UnboundedReceiver<MeshEvent>,
}

fn at(host: &str, port: u16) -> HostPort {
    HostPort {
        host: host.to_string(),
        port,
    }
}

fn options(me: i64, own: Vec<HostPort>) -> MeshOptions {
    MeshOptions {
        me: ServerId(me),
        own,
        listen_on_all_ips: false,
        multi_address: false,
        connect_timeout: Duration::from_secs(5),
        opening_timeout: Duration::from_secs(60),
        keep_alive: true,
        bind_retry: 1,
        guard: Arc::new(Plain),
    }
}

/// Under a guard that both sides must know.
async fn guarded(me: i64, toy: &Arc<Toy>, limit: Duration) -> Peer {
    let mut options = options(me, vec![at("127.0.0.1", 0)]);
    options.guard = toy.clone();
    options.opening_timeout = limit;
    start(options, Addresses::default()).await
}

async fn start(options: MeshOptions, addresses: Addresses) -> Peer {
    let (tell, events) = unbounded_channel();
    let on_event = move |event| {
        let _ = tell.send(event);
    };
    let mesh = ElectionMesh::start(options, addresses, on_event)
        .await
        .unwrap();
    Peer { mesh, events }
}

impl Peer {
    async fn alone(me: i64) -> Self {
        start(options(me, vec![at("127.0.0.1", 0)]), Addresses::default()).await
    }

    fn port(&self) -> u16 {
        self.mesh.listening()[0].port()
    }

    async fn event(&mut self) -> MeshEvent {
        self.events.recv().await.unwrap()
    }

    /// The next notification: whose it is, and its round.
    async fn heard(&mut self) -> (i64, i64) {
        loop {
            if let MeshEvent::Notification(from, n) = self.event().await {
                return (from.0, n.election_epoch);
            }
        }
    }

    async fn lost(&mut self) -> i64 {
        loop {
            if let MeshEvent::Lost(sid) = self.event().await {
                return sid.0;
            }
        }
    }

    /// A scripted server that says it is `sid`.
    async fn raw(&self, sid: i64) -> TcpStream {
        let mut stream = self.connect().await;
        let hello = opening::encode(ServerId(sid), &[at("0.0.0.0", 1)], false);
        stream.write_all(&hello).await.unwrap();
        stream
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.mesh.listening()[0]).await.unwrap()
    }
}

/// Meshes that know each other.
async fn meshes(ids: &[i64]) -> Vec<Peer> {
    let mut all = Vec::new();
    for id in ids {
        all.push(Peer::alone(*id).await);
    }
    let here = |(id, p): (&i64, &Peer)| (ServerId(*id), vec![at("127.0.0.1", p.port())]);
    let addresses = Addresses(ids.iter().zip(&all).map(here).collect());
    for peer in &all {
        peer.mesh.update_members(addresses.clone());
    }
    all
}

fn note(round: i64) -> Vec<u8> {
    let n = Notification {
        state: ServerState::Looking,
        leader: ServerId(1),
        zxid: Zxid(0),
        election_epoch: round,
        peer_epoch: 0,
        version: 2,
        config: Some("version=0".to_string()),
    };
    n.encode()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = (message.len() as i32).to_be_bytes().to_vec();
    frame.extend_from_slice(message);
    frame
}

/// The round in the next frame.
async fn frame(stream: &mut TcpStream) -> i64 {
    let length = stream.read_i32().await.unwrap();
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await.unwrap();
    Notification::decode(&bytes).unwrap().election_epoch
}

/// Reads until the other side closes; a reset is as good.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn whoever_speaks_first_they_get_connected() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut pair = meshes(&[1, 2]).await;
        let other = ServerId(second as i64 + 1);
        pair[first].mesh.send(other, note(7));
        assert_eq!(pair[second].heard().await, (first as i64 + 1, 7));
        let back = ServerId(first as i64 + 1);
        pair[second].mesh.send(back, note(8));
        assert_eq!(pair[first].heard().await, (second as i64 + 1, 8));
        assert_eq!(pair[first].mesh.counts().0, 1);
    }
}

#[tokio::test]
async fn five_hear_each_other() {
    let ids = [1, 2, 3, 4, 5];
    let mut all = meshes(&ids).await;
    for (i, peer) in all.iter().enumerate() {
        peer.mesh.connect_all();
        for to in ids {
            peer.mesh.send(ServerId(to), note(i as i64 + 1));
        }
    }
    for (i, peer) in all.iter_mut().enumerate() {
        let mut missing: Vec<i64> = ids.into_iter().filter(|o| *o != i as i64 + 1).collect();
        while !missing.is_empty() {
            let (from, round) = peer.heard().await;
            assert_eq!(from, round);
            missing.retain(|o| *o != from);
        }
    }
}

#[tokio::test]
async fn the_newest_message_wins_and_is_sent_again_on_a_new_connection() {
    let peer = Peer::alone(1).await;
    let known = Addresses([(ServerId(5), vec![at("127.0.0.1", 1)])].into());
    peer.mesh.update_members(known);
    for round in 1..4 {
        peer.mesh.send(ServerId(5), note(round));
    }
    let mut first = peer.raw(5).await;
    assert_eq!(frame(&mut first).await, 3);
    let mut second = peer.raw(5).await;
    assert_eq!(frame(&mut second).await, 3, "it may have been lost");
    closed(&mut first).await;
    peer.mesh.send(ServerId(5), note(4));
    assert_eq!(frame(&mut second).await, 4);
}

#[tokio::test]
async fn a_smaller_server_is_connected_back_where_it_says() {
    let mut peer = Peer::alone(9).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut poke = peer.connect().await;
    let hello = opening::encode(ServerId(2), &[at("127.0.0.1", port)], false);
    poke.write_all(&hello).await.unwrap();
    closed(&mut poke).await;
    let (mut back, _) = listener.accept().await.unwrap();
    let hello = opening::read(&mut back).await.unwrap();
    assert_eq!(hello.sid, ServerId(9));
    back.write_all(&framed(&note(4))).await.unwrap();
    assert_eq!(peer.heard().await, (2, 4));
    peer.mesh.send(ServerId(2), note(5));
    assert_eq!(frame(&mut back).await, 5, "no member, but connected");
    drop(back);
    assert_eq!(peer.lost().await, 2);
}

#[tokio::test]
async fn one_of_several_addresses_is_enough() {
    let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = |l: &TcpListener| l.local_addr().unwrap().port();
    let several = vec![
        at("127.0.0.1", port(&dead)),
        at("no-such-host.invalid", 1),
        at("127.0.0.1", port(&live)),
    ];
    drop(dead);
    let own = vec![at("127.0.0.1", 0), at("localhost", 0)];
    let both = MeshOptions {
        multi_address: true,
        ..options(9, own)
    };
    let peer = start(both, Addresses([(ServerId(2), several)].into())).await;
    peer.mesh.connect(ServerId(2));
    let (mut stream, _) = live.accept().await.unwrap();
    let hello = opening::read(&mut stream).await.unwrap();
    assert_eq!(hello.addresses.len(), 2, "and it announces all of its own");
}

#[tokio::test]
async fn servers_without_an_id_get_one_each_and_are_answered() {
    let mut peer = Peer::alone(3).await;
    for expected in [-1, -2] {
        let mut stream = peer.raw(i64::MAX).await;
        stream.write_all(&framed(&note(1))).await.unwrap();
        assert_eq!(peer.heard().await, (expected, 1));
        peer.mesh.send(ServerId(expected), note(2));
        assert_eq!(frame(&mut stream).await, 2);
        drop(stream);
        assert_eq!(peer.lost().await, expected);
    }
}

#[tokio::test]
async fn its_own_id_is_sent_away() {
    let peer = Peer::alone(3).await;
    closed(&mut peer.raw(3).await).await;
    peer.mesh.send(ServerId(3), note(1));
    assert_eq!(peer.mesh.counts().0, 0);
}

/// Apache: `QuorumCnxManagerSocketConnectionTimeoutTest`: one that hangs keeps nobody else waiting.
#[tokio::test]
async fn zookeeper_2164_a_peer_that_does_not_answer_holds_up_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut pair = meshes(&[2, 3]).await;
    let here = |p: &Peer| vec![at("127.0.0.1", p.port())];
    let known = Addresses(
        [
            (ServerId(1), vec![at("127.0.0.1", port)]),
            (ServerId(2), here(&pair[0])),
            (ServerId(4), vec![at("no-such-host.invalid", 1)]),
        ]
        .into(),
    );
    pair[1].mesh.update_members(known);
    for to in [1, 4, 2] {
        pair[1].mesh.send(ServerId(to), note(6));
    }
    assert_eq!(pair[0].heard().await, (3, 6));
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_apaches_exit_code() {
    let first = Peer::alone(1).await;
    let taken = options(2, vec![at("127.0.0.1", first.port())]);
    let error = ElectionMesh::start(taken, Addresses::default(), |_| {}).await;
    assert_eq!(error.err().unwrap().exit_code().code(), 14);
}

#[tokio::test]
async fn the_port_is_free_after_the_end() {
    let peer = Peer::alone(1).await;
    let mut stream = peer.raw(5).await;
    let port = peer.port();
    peer.mesh.shutdown().await;
    closed(&mut stream).await;
    let again = options(1, vec![at("127.0.0.1", port)]);
    let everywhere = MeshOptions {
        listen_on_all_ips: true,
        ..again
    };
    let again = start(everywhere, Addresses::default()).await;
    let here: SocketAddr = ([127, 0, 0, 1], port).into();
    assert!(TcpStream::connect(here).await.is_ok());
    assert!(again.mesh.listening()[0].ip().is_unspecified());
}

#[tokio::test]
async fn bytes_may_come_one_at_a_time() {
    let mut peer = Peer::alone(1).await;
    let mut stream = peer.connect().await;
    stream.set_nodelay(true).unwrap();
    let mut bytes = opening::encode(ServerId(5), &[at("h", 1)], false);
    bytes.extend_from_slice(&framed(&note(3)));
    for byte in bytes {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(peer.heard().await, (5, 3));
}

/// Apache: `FLEMalformedNotificationMessageTest`, and random input to the port (ZOOKEEPER-2186).
#[tokio::test]
async fn zookeeper_2186_garbage_harms_only_its_own_connection() {
    let mut peer = Peer::alone(1).await;
    let mut honest = peer.raw(5).await;
    let hello = opening::encode(ServerId(6), &[at("h", 1)], false);
    let with = |rest: &[u8]| [&hello[..], rest].concat();
    for bad in [
        b"GET / HTTP/1.1\r\nHost: zk\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
        vec![0xff; 64],
        vec![0; 64],
        hello[..15].to_vec(),
        with(&[0xff; 4]),
        with(&[0, 0, 0, 0]),
        with(&[0, 8, 0, 1]),
        with(&framed(&[1])[..]),
        with(&framed(&[0xee; 100])[..]),
        with(&framed(&note(9)[..45])[..]),
    ] {
        let mut stream = peer.connect().await;
        stream.write_all(&bad).await.unwrap();
        stream.shutdown().await.unwrap();
        closed(&mut stream).await;
    }
    honest.write_all(&framed(&note(2))).await.unwrap();
    assert_eq!(peer.heard().await, (5, 2));
}

/// A frame that cannot be read is passed over; the connection stays, as in Apache.
#[tokio::test]
async fn zookeeper_3769_an_unusable_notification_is_passed_over() {
    let mut peer = Peer::alone(1).await;
    let mut stream = peer.raw(5).await;
    stream.write_all(&framed(&[7; 30])).await.unwrap();
    stream.write_all(&framed(&note(2))).await.unwrap();
    assert_eq!(peer.heard().await, (5, 2));
}

#[tokio::test]
async fn a_frame_of_half_a_megabyte_is_the_limit() {
    let mut peer = Peer::alone(1).await;
    let mut stream = peer.raw(5).await;
    let mut big = note(1);
    big.resize(FRAME_MAX, b' ');
    stream.write_all(&framed(&big)).await.unwrap();
    assert_eq!(peer.heard().await, (5, 1));
    stream
        .write_all(&(FRAME_MAX as i32 + 1).to_be_bytes())
        .await
        .unwrap();
    assert_eq!(peer.lost().await, 5);
    closed(&mut stream).await;
}

#[tokio::test]
async fn silent_connections_are_bounded_and_keep_nobody_out() {
    let mut peer = Peer::alone(1).await;
    let mut silent = Vec::new();
    for _ in 0..OPENINGS_MAX + 50 {
        let mut stream = peer.connect().await;
        stream.write_all(&[0xff]).await.unwrap();
        silent.push(stream);
    }
    let mut honest = peer.raw(5).await;
    honest.write_all(&framed(&note(2))).await.unwrap();
    assert_eq!(peer.heard().await, (5, 2));
    assert!(peer.mesh.counts().1 <= OPENINGS_MAX);
    closed(&mut silent[0]).await;
}

#[tokio::test]
async fn who_does_not_say_who_it_is_in_time_is_closed() {
    let brief = MeshOptions {
        opening_timeout: Duration::from_millis(50),
        ..options(1, vec![at("127.0.0.1", 0)])
    };
    let peer = start(brief, Addresses::default()).await;
    let mut stream = peer.connect().await;
    stream.write_all(&[0xff; 6]).await.unwrap();
    closed(&mut stream).await;
    let mut quiet = peer.raw(5).await;
    peer.mesh.send(ServerId(5), note(1));
    while peer.mesh.counts() != (1, 0) {
        tokio::task::yield_now().await;
    }
    peer.mesh.send(ServerId(5), note(2));
    assert!(frame(&mut quiet).await <= 2, "silence in use is no fault");
}

#[tokio::test]
async fn strangers_are_bounded_and_members_get_in() {
    let mut peer = Peer::alone(1).await;
    peer.mesh
        .update_members(Addresses([(ServerId(5), Vec::new())].into()));
    let mut strangers = Vec::new();
    for sid in 0..STRANGERS_MAX as i64 + 1 {
        let mut stream = peer.raw(100 + sid).await;
        if sid < STRANGERS_MAX as i64 {
            stream.write_all(&framed(&note(sid))).await.unwrap();
            assert_eq!(peer.heard().await, (100 + sid, sid));
        }
        strangers.push(stream);
    }
    closed(&mut strangers[STRANGERS_MAX]).await;
    let mut member = peer.raw(5).await;
    member.write_all(&framed(&note(2))).await.unwrap();
    assert_eq!(peer.heard().await, (5, 2));
}

#[tokio::test]
async fn the_mesh_passes_through_the_guard() {
    let toy = Arc::new(Toy::default());
    let long = Duration::from_secs(60);
    let mut one = guarded(1, &toy, long).await;
    let two = guarded(2, &toy, long).await;
    let known = Addresses([(ServerId(1), vec![at("127.0.0.1", one.port())])].into());
    two.mesh.update_members(known);
    two.mesh.send(ServerId(1), note(7));
    assert_eq!(one.heard().await, (2, 7));
    assert_eq!(toy.steps(), ["dial", "accept", "word out", "word in"]);
}

#[tokio::test]
async fn who_does_not_pass_the_guard_loses_its_own_connection_only() {
    let toy = Arc::new(Toy::default());
    let mut one = guarded(1, &toy, Duration::from_millis(50)).await;
    // Not turned over, the initial message of server 9 is no initial message.
    closed(&mut one.raw(9).await).await;
    // One that says nothing is closed in time.
    closed(&mut one.connect().await).await;
    let two = guarded(2, &toy, Duration::from_secs(60)).await;
    let known = Addresses([(ServerId(1), vec![at("127.0.0.1", one.port())])].into());
    two.mesh.update_members(known);
    two.mesh.send(ServerId(1), note(8));
    assert_eq!(one.heard().await, (2, 8));
}
