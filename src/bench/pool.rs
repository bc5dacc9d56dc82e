//! Sessions served by one thread: an epoll loop that reads and writes in batches.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use super::clock::Clock;
use super::conn::{Class, Conn, Incoming, Phase};
use super::error::BenchError;
use super::wire;
use crate::proto::op::OpCode;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Events taken per wait.
const EVENTS: usize = 512;
/// The timer's event data; no pool has as many sessions.
const TIMER: u64 = u64::MAX;

/// What a run does with what comes in.
pub trait Handler {
    /// One message of a session; requests queued here go out together.
    ///
    /// # Errors
    /// Ends the run.
    fn incoming(&mut self, conn: &mut Conn, what: Incoming, now: u64) -> Result<(), BenchError>;

    /// All that was read at once has been handed over.
    ///
    /// # Errors
    /// Ends the run.
    fn drained(&mut self, conn: &mut Conn, now: u64) -> Result<(), BenchError> {
        let _ = (conn, now);
        Ok(())
    }
}

/// The sessions of one thread.
pub struct Pool {
    addr: SocketAddr,
    hello: Vec<u8>,
    ping: Vec<u8>,
    clock: Clock,
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    conns: Vec<Conn>,
    open: usize,
    next_keepalive: u64,
}

impl Pool {
    /// No sessions yet.
    ///
    /// # Errors
    /// When the system gives no epoll instance or timer.
    pub fn new(addr: SocketAddr, timeout_ms: i32, clock: Clock) -> Result<Self, BenchError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|e| BenchError::Io("epoll_create", e.into()))?;
        let timer = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )
        .map_err(|e| BenchError::Io("timerfd_create", e.into()))?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)
            .map_err(|e| BenchError::Io("epoll_ctl", e.into()))?;
        Ok(Self {
            addr,
            hello: wire::connect(timeout_ms),
            ping: wire::frame(-2, OpCode::Ping, &[]),
            clock,
            epoll,
            timer,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            conns: Vec::new(),
            open: 0,
            next_keepalive: 0,
        })
    }

    /// The sessions, in the order of their opening.
    pub fn conns(&mut self) -> &mut [Conn] {
        &mut self.conns
    }

    /// How many sessions have been answered.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Requests in flight over all sessions.
    pub fn in_flight(&self) -> usize {
        self.conns.iter().map(Conn::in_flight).sum()
    }

    /// Starts one more session; [`Incoming::Opened`] tells when it is there.
    ///
    /// # Errors
    /// When there are no more descriptors or ports.
    pub fn connect(&mut self) -> Result<(), BenchError> {
        let socket = connecting(self.addr).map_err(BenchError::io("connect"))?;
        let index = self.conns.len();
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN | EventFlags::OUT)
            .map_err(|e| BenchError::Io("epoll_ctl", e.into()))?;
        let mut conn = Conn::new(index, socket, self.hello.clone());
        conn.blocked = true;
        conn.last_sent = self.clock.ns();
        self.conns.push(conn);
        Ok(())
    }

    /// Sends what session `index` has queued.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self, index: usize) -> Result<(), BenchError> {
        flush(&self.epoll, &mut self.conns[index], self.addr)
    }

    /// Sends a ping on session `index`, due at `at`.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn ping(&mut self, index: usize, at: u64) -> Result<(), BenchError> {
        let ping = &self.ping;
        self.conns[index].send(Class::Ping, false, at, |out, _| out.extend_from_slice(ping));
        self.flush(index)
    }

    /// Waits until something comes in, but not beyond `until` (ns on the run's clock), and hands it on.
    ///
    /// # Errors
    /// When a connection is broken, the server breaks the protocol, or the handler says so.
    pub fn turn(&mut self, until: u64, handler: &mut impl Handler) -> Result<(), BenchError> {
        let now = self.clock.ns();
        let wait = self.arm(until.saturating_sub(now))?;
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(BenchError::Io("epoll_wait", e.into())),
        }
        for at in 0..self.events.len() {
            let event = self.events[at];
            let (data, flags) = (event.data.u64(), event.flags);
            if data == TIMER {
                let mut count = [0_u8; 8];
                let _ = rustix::io::read(&self.timer, &mut count);
                continue;
            }
            let index = data as usize;
            if flags.contains(EventFlags::OUT) {
                self.flush(index)?;
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.read(index, handler)?;
            }
        }
        self.keepalive()
    }

    /// Longest wait for `ns`: the timer is exact, the wait itself counts in milliseconds.
    fn arm(&self, ns: u64) -> Result<Timespec, BenchError> {
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if ns == 0 {
            return Ok(zero);
        }
        let coarse = Duration::from_millis(200);
        if ns < coarse.as_nanos() as u64 {
            let spec = Itimerspec {
                it_interval: zero,
                it_value: Timespec {
                    tv_sec: 0,
                    tv_nsec: ns as i64,
                },
            };
            rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)
                .map_err(|e| BenchError::Io("timerfd_settime", e.into()))?;
        }
        Ok(Timespec {
            tv_sec: 0,
            tv_nsec: coarse.as_nanos() as i64,
        })
    }

    fn read(&mut self, index: usize, handler: &mut impl Handler) -> Result<(), BenchError> {
        let conn = &mut self.conns[index];
        let n = match conn.fill(&mut self.buffer) {
            Ok(n) => n,
            Err(_) if conn.phase == Phase::Closed => {
                conn.socket = None;
                return Ok(());
            }
            Err(e) => return Err(BenchError::Closed(self.addr, e.to_string())),
        };
        let now = self.clock.ns();
        let mut bytes = &self.buffer[..n];
        while let Some(what) = conn.take(&mut bytes).map_err(BenchError::Protocol)? {
            if matches!(what, Incoming::Opened) {
                self.open += 1;
            }
            handler.incoming(conn, what, now)?;
        }
        handler.drained(conn, now)?;
        flush(&self.epoll, conn, self.addr)
    }

    /// Once a second: pings the sessions that have been silent for a third of their timeout.
    fn keepalive(&mut self) -> Result<(), BenchError> {
        let now = self.clock.ns();
        if now < self.next_keepalive {
            return Ok(());
        }
        self.next_keepalive = now + 1_000_000_000;
        for index in 0..self.conns.len() {
            let conn = &self.conns[index];
            let silent_max = conn.timeout_ms.max(0) as u64 * 1_000_000 / 3;
            if conn.phase == Phase::Open && now.saturating_sub(conn.last_sent) > silent_max {
                self.ping(index, now)?;
            }
        }
        Ok(())
    }

    /// Opens `n` sessions, at most `burst` of them on their way at a time.
    ///
    /// # Errors
    /// As [`Pool::turn`]; [`BenchError::Timeout`] when 30 s pass without a session more.
    pub fn open_sessions(
        &mut self,
        n: usize,
        burst: usize,
        handler: &mut impl Handler,
    ) -> Result<(), BenchError> {
        let target = self.conns.len() + n;
        while self.open < target {
            let wanted = burst.min(target - self.open);
            for _ in 0..wanted {
                self.connect()?;
            }
            let goal = self.conns.len();
            self.wait("opening sessions", handler, |p| p.open >= goal)?;
        }
        Ok(())
    }

    /// Turns until `done`, at most 60 s.
    ///
    /// # Errors
    /// As [`Pool::turn`], and [`BenchError::Timeout`].
    pub fn wait(
        &mut self,
        what: &'static str,
        handler: &mut impl Handler,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), BenchError> {
        let until = self.clock.after(Duration::from_secs(60));
        while !done(self) {
            if self.clock.ns() > until {
                return Err(BenchError::Timeout(60, what));
            }
            self.turn(until, handler)?;
        }
        Ok(())
    }

    /// Closes every session properly and waits for the answers.
    ///
    /// # Errors
    /// As [`Pool::wait`].
    pub fn close_sessions(mut self) -> Result<(), BenchError> {
        struct Deaf;
        impl Handler for Deaf {
            fn incoming(&mut self, _: &mut Conn, _: Incoming, _: u64) -> Result<(), BenchError> {
                Ok(())
            }
        }
        let close = wire::frame(0, OpCode::CloseSession, &[]);
        for first in (0..self.conns.len()).step_by(256) {
            let last = (first + 256).min(self.conns.len());
            for index in first..last {
                let now = self.clock.ns();
                let conn = &mut self.conns[index];
                if conn.phase == Phase::Open {
                    conn.send(Class::Write, false, now, |out, xid| {
                        let at = out.len();
                        out.extend_from_slice(&close);
                        out[at + 4..at + 8].copy_from_slice(&xid.to_be_bytes());
                    });
                    conn.phase = Phase::Closed;
                    self.flush(index)?;
                }
            }
            self.wait("closing sessions", &mut Deaf, |p| {
                p.conns[first..last]
                    .iter()
                    .all(|c| c.socket.is_none() || c.in_flight() == 0)
            })?;
        }
        Ok(())
    }
}

fn flush(epoll: &OwnedFd, conn: &mut Conn, addr: SocketAddr) -> Result<(), BenchError> {
    let done = match conn.flush() {
        Ok(done) => done,
        // Nothing was queued behind the close; what is unread still counts.
        Err(_) if conn.phase == Phase::Closed => true,
        Err(e) if e.kind() == std::io::ErrorKind::NotConnected => return Ok(()),
        Err(e) => return Err(BenchError::Closed(addr, e.to_string())),
    };
    if done != conn.blocked {
        return Ok(());
    }
    conn.blocked = !done;
    let Some(socket) = &conn.socket else {
        return Ok(());
    };
    let wanted = if done {
        EventFlags::IN
    } else {
        EventFlags::IN | EventFlags::OUT
    };
    let data = EventData::new_u64(conn.index as u64);
    epoll::modify(epoll, socket, data, wanted).map_err(|e| BenchError::Io("epoll_ctl", e.into()))
}

/// A non-blocking socket with its connect under way.
fn connecting(addr: SocketAddr) -> std::io::Result<TcpStream> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), None)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(e) => return Err(e),
    }
    Ok(socket.into())
}
