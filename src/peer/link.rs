//! A connection between a leader and a learner: packets both ways, in order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::meter::QueueMeter;
use super::secured::Secured;
use crate::base::limits::{PEER_UNREAD_BYTES_MAX, PEER_UNSENT_BYTES_MAX};
use crate::pipeline::{SnapStreamReader, SnapStreamWriter, SnapshotJob};
use crate::proto::quorum::{PacketType, Progress, QuorumPacket};
use crate::store::SnapProgress;
use crate::tree::{DataTree, TreeOptions};

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// Bytes written to a socket at once, about.
const WRITE_BYTES: usize = 256 * 1024;

/// Most packets handed on at once.
const BATCH_MAX: usize = 1024;

/// What goes out on a link.
#[derive(Debug)]
pub enum Outgoing {
    /// A packet.
    Packet(QuorumPacket),
    /// A snapshot, as a stream of its own.
    Snapshot(SnapshotJob),
}

impl Outgoing {
    /// Bytes that it holds while it waits. Pieces of a snapshot are made when they are written.
    fn weight(&self) -> usize {
        match self {
            Self::Packet(packet) => weight(packet),
            Self::Snapshot(_) => 0,
        }
    }
}

fn weight(packet: &QuorumPacket) -> usize {
    size_of::<QuorumPacket>() + packet.data.as_ref().map_or(0, |d| d.len())
}

/// The place that packets take up until they were looked at; it is free when this is dropped.
#[derive(Debug)]
pub struct Room {
    _permit: OwnedSemaphorePermit,
}

/// What comes in on a link.
pub enum Incoming {
    /// Packets, at least one, and the place they take up.
    Packets(Vec<QuorumPacket>, Room),
    /// The snapshot behind a SNAP packet: the zxid of the packet, the tree, the sessions.
    Snapshot(
        crate::base::Zxid,
        Box<DataTree>,
        std::collections::BTreeMap<i64, i32>,
    ),
    /// The link is at its end.
    Gone,
}

/// How a link reads.
#[derive(Clone, Copy, Debug)]
pub struct LinkOptions {
    /// Longest string or buffer, bytes.
    pub length_max: usize,
    /// For trees that come as snapshots; only learners take them.
    pub tree: Option<TreeOptions>,
}

/// The sending side of a link.
#[derive(Clone, Debug)]
pub struct LinkSender {
    queue: mpsc::UnboundedSender<Waiting>,
    unsent: Arc<Unsent>,
    meter: Arc<QueueMeter>,
}

/// What waits to be written; of some it is known since when.
type Waiting = (Outgoing, Option<Instant>);

/// Bytes that wait to be written.
#[derive(Debug, Default)]
struct Unsent {
    bytes: AtomicUsize,
    overflow: Notify,
}

impl LinkSender {
    /// Queues it; lost when the link is gone, which is told where packets come in. A link on which
    /// too much waits ends.
    pub fn send(&self, out: Outgoing) {
        let weight = out.weight();
        let before = self.unsent.bytes.fetch_add(weight, Ordering::Relaxed);
        if before + weight > PEER_UNSENT_BYTES_MAX {
            self.unsent.overflow.notify_one();
            return;
        }
        let _ = self.queue.send((out, self.meter.entered()));
    }
}

/// Takes over a connection: writes what is sent, and calls `deliver` with what comes in, the last
/// time with [`Incoming::Gone`]. It ends when the sender is dropped. `meter` looks at what waits.
pub fn run(
    stream: Secured,
    options: LinkOptions,
    meter: Arc<QueueMeter>,
    deliver: impl Fn(Incoming) + Send + Sync + 'static,
) -> LinkSender {
    match stream {
        Secured::Plain(tcp) => {
            let (reader, writer) = tcp.into_split();
            start(reader, writer, options, meter, deliver)
        }
        Secured::Wrapped(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            start(reader, writer, options, meter, deliver)
        }
    }
}

fn start(
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    options: LinkOptions,
    meter: Arc<QueueMeter>,
    deliver: impl Fn(Incoming) + Send + Sync + 'static,
) -> LinkSender {
    let (sender, queue) = mpsc::unbounded_channel();
    let unsent = Arc::<Unsent>::default();
    let (waiting, looks) = (unsent.clone(), meter.clone());
    tokio::spawn(async move {
        // Whichever side ends first ends the link, and the end is always told: a link that only
        // cannot be written to any more is as gone as one that is closed.
        let ended = tokio::select! {
            read = read(reader, options, &deliver) => read,
            written = write(writer, queue, &waiting, &looks) => written,
            () = waiting.overflow.notified() => Err(too_slow()),
        };
        if let Err(e) = ended {
            tracing::warn!(target: "o.a.z.s.q.Learner", "link between servers: {e}");
        }
        deliver(Incoming::Gone);
    });
    LinkSender {
        queue: sender,
        unsent,
        meter,
    }
}

fn too_slow() -> io::Error {
    let why = format!(
        "the other server does not read: more than {PEER_UNSENT_BYTES_MAX} bytes wait for it, and its link ends"
    );
    io::Error::new(io::ErrorKind::TimedOut, why)
}

async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut queue: mpsc::UnboundedReceiver<Waiting>,
    unsent: &Unsent,
    meter: &QueueMeter,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(WRITE_BYTES);
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        let mut weight = 0;
        meter.length(queue.len());
        while let Some((out, since)) = next.take() {
            meter.left(since);
            weight += out.weight();
            match out {
                Outgoing::Packet(packet) => packet.encode(&mut buffer),
                Outgoing::Snapshot(job) => {
                    to.write_all(&buffer).await?;
                    buffer.clear();
                    snapshot(&mut to, job).await?;
                }
            }
            if buffer.len() < WRITE_BYTES {
                next = queue.try_recv().ok();
            }
        }
        to.write_all(&buffer).await?;
        unsent.bytes.fetch_sub(weight, Ordering::Relaxed);
        buffer.clear();
        buffer.shrink_to(WRITE_BYTES);
    }
    to.shutdown().await
}

/// A snapshot is made in pieces, each written before the next is made.
async fn snapshot(to: &mut (impl AsyncWrite + Unpin), job: SnapshotJob) -> io::Result<()> {
    let mut writer = SnapStreamWriter::new(job.tree.clone(), job);
    let mut chunk = Vec::with_capacity(WRITE_BYTES);
    loop {
        let more = writer.next_chunk(&mut chunk);
        to.write_all(&chunk).await?;
        chunk.clear();
        if !more {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    options: LinkOptions,
    deliver: &(dyn Fn(Incoming) + Send + Sync),
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(READ_BYTES);
    let mut need = 1;
    let room = Arc::new(Semaphore::new(PEER_UNREAD_BYTES_MAX));
    loop {
        while buffer.len() < need {
            if from.read_buf(&mut buffer).await? == 0 {
                return match buffer.is_empty() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
        let found = packets(&buffer, options)?;
        buffer.drain(..found.used);
        need = found.need;
        for batch in found.batches {
            // While too much waits the socket is not read either.
            let all: usize = batch.iter().map(weight).sum();
            let n = u32::try_from(all.min(PEER_UNREAD_BYTES_MAX)).unwrap_or(u32::MAX);
            let permit = room.clone().acquire_many_owned(n).await;
            let permit = permit.map_err(|_| io::Error::from(io::ErrorKind::Interrupted))?;
            deliver(Incoming::Packets(batch, Room { _permit: permit }));
        }
        if let Some(zxid) = found.snap {
            let tree = options
                .tree
                .ok_or_else(|| bad("a snapshot from a learner"))?;
            let (data, sessions) =
                snapshot_in(&mut from, &mut buffer, tree, options.length_max, zxid).await?;
            deliver(Incoming::Snapshot(zxid, Box::new(data), sessions));
            need = 1;
        }
    }
}

fn bad(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What stands at the start of a buffer.
struct Found {
    batches: Vec<Vec<QuorumPacket>>,
    /// Bytes of it.
    used: usize,
    /// Bytes that the next packet needs.
    need: usize,
    /// The zxid of a SNAP packet, behind which no packet follows.
    snap: Option<crate::base::Zxid>,
}

/// The packets at the start of `buffer`.
fn packets(buffer: &[u8], options: LinkOptions) -> io::Result<Found> {
    let mut found = Found {
        batches: Vec::new(),
        used: 0,
        need: 1,
        snap: None,
    };
    let mut batch = Vec::new();
    while let Some(rest) = buffer.get(found.used..).filter(|r| !r.is_empty()) {
        match QuorumPacket::decode(rest, options.length_max) {
            // What came before is looked at all the same.
            Err(_) if !(batch.is_empty() && found.batches.is_empty()) => break,
            Err(e) => return Err(bad(e)),
            Ok(Progress::Need(n)) => {
                found.need = n;
                break;
            }
            Ok(Progress::Done(packet, used)) => {
                found.used += used;
                if packet.packet_type() == Some(PacketType::Snap) && options.tree.is_some() {
                    found.snap = Some(packet.zxid);
                    break;
                }
                batch.push(packet);
            }
        }
        if batch.len() == BATCH_MAX {
            found.batches.push(std::mem::take(&mut batch));
        }
    }
    if !batch.is_empty() {
        found.batches.push(batch);
    }
    Ok(found)
}

type Snapshot = (DataTree, std::collections::BTreeMap<i64, i32>);

async fn snapshot_in(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    tree: TreeOptions,
    length_max: usize,
    zxid: crate::base::Zxid,
) -> io::Result<Snapshot> {
    let mut reader = SnapStreamReader::new(tree, length_max);
    loop {
        match reader.push(buffer).map_err(|e| bad(e.to_string()))? {
            SnapProgress::Done(used) => {
                buffer.drain(..used);
                break;
            }
            SnapProgress::More => buffer.clear(),
        }
        if from.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tokio::task::yield_now().await;
    }
    reader.finish(zxid).ok_or_else(|| bad("half a snapshot"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Zxid;
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};

    const OPTIONS: LinkOptions = LinkOptions {
        length_max: 1 << 20,
        tree: None,
    };

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let out = TcpStream::connect(listener.local_addr().unwrap());
        let (out, accepted) = tokio::join!(out, listener.accept());
        (out.unwrap(), accepted.unwrap().0)
    }

    fn linked(stream: TcpStream) -> (LinkSender, mpsc::UnboundedReceiver<Incoming>) {
        let (to, from) = mpsc::unbounded_channel();
        let sender = run(
            Secured::Plain(stream),
            OPTIONS,
            Arc::default(),
            move |incoming| {
                let _ = to.send(incoming);
            },
        );
        (sender, from)
    }

    async fn next(from: &mut mpsc::UnboundedReceiver<Incoming>) -> Incoming {
        let soon = tokio::time::timeout(Duration::from_secs(20), from.recv());
        soon.await
            .expect("something comes")
            .expect("the link is told of")
    }

    #[tokio::test]
    async fn packets_arrive_in_order_and_the_end_is_told_on_both_sides() {
        let (a, b) = pair().await;
        let ((a, mut at_a), (_b, mut at_b)) = (linked(a), linked(b));
        for n in 1..=3 {
            let packet = QuorumPacket::new(PacketType::Ping, Zxid(n));
            a.send(Outgoing::Packet(packet));
        }
        let mut got = Vec::new();
        while got.len() < 3 {
            match next(&mut at_b).await {
                Incoming::Packets(packets, _) => got.extend(packets.iter().map(|p| p.zxid.0)),
                _ => panic!("no packets"),
            }
        }
        assert_eq!(got, [1, 2, 3]);
        drop(a);
        assert!(matches!(next(&mut at_b).await, Incoming::Gone));
        assert!(matches!(next(&mut at_a).await, Incoming::Gone));
    }

    #[tokio::test]
    async fn a_link_that_cannot_be_written_is_gone_too() {
        let (a, b) = pair().await;
        let (a, mut at_a) = linked(a);
        socket2::SockRef::from(&b)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(b);
        for n in 0..100 {
            a.send(Outgoing::Packet(QuorumPacket::new(
                PacketType::Ping,
                Zxid(n),
            )));
        }
        assert!(matches!(next(&mut at_a).await, Incoming::Gone));
    }

    #[tokio::test]
    async fn garbage_ends_the_link_and_nothing_else() {
        let (a, mut b) = pair().await;
        let (_a, mut at_a) = linked(a);
        b.write_all(&[0x7f; 64]).await.unwrap();
        let mut ended = false;
        while !ended {
            ended = matches!(next(&mut at_a).await, Incoming::Gone);
        }
    }

    #[tokio::test]
    async fn a_link_that_is_not_read_ends_when_too_much_waits() {
        let (a, b) = pair().await;
        let (a, mut at_a) = linked(a);
        let data: Arc<[u8]> = vec![0; 1 << 20].into();
        for n in 0..(PEER_UNSENT_BYTES_MAX >> 20) as i64 + 16 {
            // The bytes are shared: only their count is large.
            let packet = QuorumPacket::new(PacketType::Proposal, Zxid(n)).with_data(data.clone());
            a.send(Outgoing::Packet(packet));
        }
        assert!(matches!(next(&mut at_a).await, Incoming::Gone));
        drop(b);
    }

    #[tokio::test]
    async fn what_is_not_looked_at_stays_in_the_socket() {
        let (a, b) = pair().await;
        let ((a, _at_a), (_b, mut at_b)) = (linked(a), linked(b));
        let each = OPTIONS.length_max / 2;
        let all = PEER_UNREAD_BYTES_MAX / each + 8;
        for n in 0..all as i64 {
            let packet = QuorumPacket::new(PacketType::Proposal, Zxid(n)).with_data(vec![0; each]);
            a.send(Outgoing::Packet(packet));
        }
        let (mut got, mut rooms) = (0, Vec::new());
        while got < all {
            // As long as nothing was looked at, it is no more than the bound.
            match next(&mut at_b).await {
                Incoming::Packets(packets, room) => {
                    got += packets.len();
                    rooms.push(room);
                }
                _ => panic!("no packets"),
            }
            let held = rooms.iter().map(|r| r._permit.num_permits()).sum::<usize>();
            assert!(held <= PEER_UNREAD_BYTES_MAX);
            if held + 2 * each > PEER_UNREAD_BYTES_MAX {
                rooms.clear();
            }
        }
    }
}
