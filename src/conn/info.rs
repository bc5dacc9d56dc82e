//! What the server's commands tell about connections (Apache: `ServerCnxn`, `ServerStats`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use dashmap::DashMap;

use crate::base::hash::PathState;
use crate::base::{ConnId, SessionId};
use crate::proto::OpCode;
use crate::tree::Inbox;

/// Counters of one connection; written by its task alone, read by whoever asks.
#[derive(Debug)]
pub struct ConnInfo {
    /// The connection.
    pub id: ConnId,
    /// Its client's address.
    pub peer: SocketAddr,
    /// When it was accepted, wall ms.
    pub established_ms: i64,
    /// Its session; 0 until it has one.
    pub session: AtomicI64,
    /// Negotiated timeout, ms.
    pub timeout_ms: AtomicI64,
    /// Packets received.
    pub received: AtomicU64,
    /// Packets sent.
    pub sent: AtomicU64,
    /// Requests received and not answered.
    pub queued: AtomicU64,
    /// Bytes that wait to be written.
    pub unsent: AtomicU64,
    /// Operation code of the last request answered.
    pub last_op: AtomicI64,
    /// Its xid.
    pub last_xid: AtomicI64,
    /// zxid of the last reply.
    pub last_zxid: AtomicI64,
    /// When it was sent, monotonic ms.
    pub last_response_ms: AtomicI64,
    /// Its latency, ms.
    pub last_latency: AtomicI64,
    /// Latencies of this connection.
    pub latency: Latency,
    /// True for the TLS port.
    pub secure: bool,
    /// Set by commands that close connections.
    pub close_wanted: AtomicBool,
}

/// Minimum, maximum and mean of latencies, ms.
#[derive(Debug)]
pub struct Latency {
    min: AtomicI64,
    max: AtomicI64,
    sum: AtomicI64,
    count: AtomicI64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            min: AtomicI64::new(i64::MAX),
            max: AtomicI64::new(0),
            sum: AtomicI64::new(0),
            count: AtomicI64::new(0),
        }
    }
}

impl Latency {
    /// Notes `n` requests of `ms` each.
    pub fn record(&self, ms: i64, n: i64) {
        if ms < self.min.load(Relaxed) {
            self.min.fetch_min(ms, Relaxed);
        }
        if ms > self.max.load(Relaxed) {
            self.max.fetch_max(ms, Relaxed);
        }
        if ms > 0 {
            self.sum.fetch_add(ms * n, Relaxed);
        }
        self.count.fetch_add(n, Relaxed);
    }

    /// Shortest; 0 when there was none.
    pub fn min(&self) -> i64 {
        match self.min.load(Relaxed) {
            i64::MAX => 0,
            n => n,
        }
    }

    /// Longest.
    pub fn max(&self) -> i64 {
        self.max.load(Relaxed)
    }

    /// Mean; 0 when there was none.
    pub fn mean(&self) -> f64 {
        match self.count.load(Relaxed) {
            0 => 0.0,
            n => self.sum.load(Relaxed) as f64 / n as f64,
        }
    }

    /// Starts over.
    pub fn reset(&self) {
        self.min.store(i64::MAX, Relaxed);
        self.max.store(0, Relaxed);
        self.sum.store(0, Relaxed);
        self.count.store(0, Relaxed);
    }
}

impl ConnInfo {
    /// A connection just accepted.
    pub fn new(id: ConnId, peer: SocketAddr, established_ms: i64, secure: bool) -> Self {
        Self {
            id,
            peer,
            established_ms,
            session: AtomicI64::new(0),
            timeout_ms: AtomicI64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            last_op: AtomicI64::new(i64::from(OpCode::Notification as i32)),
            last_xid: AtomicI64::new(-1),
            last_zxid: AtomicI64::new(-1),
            last_response_ms: AtomicI64::new(0),
            last_latency: AtomicI64::new(0),
            latency: Latency::default(),
            secure,
            close_wanted: AtomicBool::new(false),
        }
    }

    /// Its session.
    pub fn session(&self) -> SessionId {
        SessionId(self.session.load(Relaxed))
    }

    /// `crst`.
    pub fn reset(&self) {
        self.received.store(0, Relaxed);
        self.sent.store(0, Relaxed);
        self.last_op
            .store(i64::from(OpCode::Notification as i32), Relaxed);
        self.last_xid.store(-1, Relaxed);
        self.last_zxid.store(-1, Relaxed);
        self.last_response_ms.store(0, Relaxed);
        self.last_latency.store(0, Relaxed);
        self.latency.reset();
    }
}

/// Every open connection.
#[derive(Debug, Default)]
pub struct Registry {
    by_id: DashMap<ConnId, (Arc<ConnInfo>, Arc<Inbox>), PathState>,
    by_ip: DashMap<IpAddr, u32, PathState>,
}

impl Registry {
    /// Counts a connection from `ip`; false when it would be more than `max` (0 is no limit).
    pub fn admit(&self, ip: IpAddr, max: u32) -> bool {
        let mut count = self.by_ip.entry(ip).or_insert(0);
        if max != 0 && *count >= max {
            return false;
        }
        *count += 1;
        true
    }

    /// Takes back what [`Registry::admit`] counted.
    pub fn dismiss(&self, ip: IpAddr) {
        let last = self.by_ip.get_mut(&ip).is_some_and(|mut count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
        if last {
            self.by_ip.remove_if(&ip, |_, count| *count == 0);
        }
    }

    /// Enters a connection.
    pub fn add(&self, info: Arc<ConnInfo>, inbox: Arc<Inbox>) {
        self.by_id.insert(info.id, (info, inbox));
    }

    /// Forgets a connection.
    pub fn remove(&self, id: ConnId) {
        self.by_id.remove(&id);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many `f` holds for.
    pub fn count(&self, f: impl Fn(&ConnInfo) -> bool) -> i64 {
        self.by_id.iter().filter(|e| f(&e.value().0)).count() as i64
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<(Arc<ConnInfo>, Arc<Inbox>)> {
        let mut all: Vec<_> = self.by_id.iter().map(|e| e.value().clone()).collect();
        all.sort_by_key(|(info, _)| info.id);
        all
    }

    /// One of them.
    pub fn get(&self, id: ConnId) -> Option<Arc<ConnInfo>> {
        self.by_id.get(&id).map(|e| e.value().0.clone())
    }
}

/// Counters of the whole server.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Packets received.
    pub received: AtomicU64,
    /// Packets sent.
    pub sent: AtomicU64,
    /// Latencies of all requests.
    pub latency: Latency,
    /// Size of the last reply, bytes; -1 for none.
    pub last_response: ResponseSize,
}

/// Sizes of replies: last, smallest, largest; -1 while there is none.
#[derive(Debug)]
pub struct ResponseSize {
    last: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
}

impl Default for ResponseSize {
    fn default() -> Self {
        Self {
            last: AtomicI64::new(-1),
            min: AtomicI64::new(-1),
            max: AtomicI64::new(-1),
        }
    }
}

impl ResponseSize {
    /// Notes a reply of `bytes`.
    pub fn record(&self, bytes: usize) {
        let n = bytes as i64;
        self.last.store(n, Relaxed);
        let min = self.min.load(Relaxed);
        if min < 0 || n < min {
            self.min.store(n, Relaxed);
        }
        if n > self.max.load(Relaxed) {
            self.max.store(n, Relaxed);
        }
    }

    /// Last, smallest, largest.
    pub fn get(&self) -> (i64, i64, i64) {
        (
            self.last.load(Relaxed),
            self.min.load(Relaxed),
            self.max.load(Relaxed),
        )
    }

    /// Starts over.
    pub fn reset(&self) {
        for a in [&self.last, &self.min, &self.max] {
            a.store(-1, Relaxed);
        }
    }
}

impl ServerStats {
    /// `srst`.
    pub fn reset(&self) {
        self.received.store(0, Relaxed);
        self.sent.store(0, Relaxed);
        self.latency.reset();
        self.last_response.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted() {
        let r = Registry::default();
        let ip = IpAddr::from([127, 0, 0, 1]);
        assert!(r.admit(ip, 2) && r.admit(ip, 2));
        assert!(!r.admit(ip, 2));
        r.dismiss(ip);
        assert!(r.admit(ip, 2));
        assert!(r.admit(ip, 0), "0 is no limit");
    }

    #[test]
    fn latencies() {
        let l = Latency::default();
        assert_eq!((l.min(), l.max(), l.mean()), (0, 0, 0.0));
        l.record(4, 1);
        l.record(1, 3);
        assert_eq!((l.min(), l.max(), l.mean()), (1, 4, 1.75));
    }
}
