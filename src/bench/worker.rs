//! One thread of a load.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clock::Clock;
use super::conn::{Conn, Incoming, Phase};
use super::error::BenchError;
use super::load::{Load, Shared, Span};
use super::pool::{Handler, Pool};
use super::stats::Stats;
use super::work::Requests;

/// Connects under way at a time while a load sets up: under the shortest listen backlog in use.
pub(super) const BURST: usize = 40;

/// Longest wait without a look at the clock, ns.
const LOOK_NS: u64 = 50_000_000;

/// A thread's sessions and its part of the load.
pub(super) struct Worker {
    pool: Pool,
    clock: Clock,
    shared: Arc<Shared>,
    thread: usize,
    sessions: usize,
    in_flight: usize,
    /// Between two requests, ns; `None` in a closed loop.
    interval: Option<f64>,
}

impl Worker {
    pub(super) fn new(
        load: &Load,
        thread: usize,
        threads: usize,
        clock: Clock,
        shared: Arc<Shared>,
    ) -> Result<Self, BenchError> {
        let extra = usize::from(thread < load.sessions % threads);
        Ok(Self {
            pool: Pool::new(load.addr, load.timeout_ms, clock)?,
            clock,
            shared,
            thread,
            sessions: load.sessions / threads + extra,
            in_flight: load.in_flight.max(1),
            interval: load.rate.map(|r| 1e9 * threads as f64 / r),
        })
    }

    /// Opens the sessions.
    pub(super) fn open(&mut self) -> Result<(), BenchError> {
        struct Waiting;
        impl Handler for Waiting {
            fn incoming(&mut self, _: &mut Conn, _: Incoming, _: u64) -> Result<(), BenchError> {
                Ok(())
            }
        }
        self.pool.open_sessions(self.sessions, BURST, &mut Waiting)
    }

    /// Works until the load is over, then closes the sessions.
    pub(super) fn work(mut self, requests: Requests) -> Result<Stats, BenchError> {
        let mut flow = Flow {
            in_flight: requests.in_flight_max(self.in_flight),
            requests,
            shared: self.shared,
            thread: self.thread,
            closed_loop: self.interval.is_none(),
            span: Span::Warmup,
            dry: false,
            done: 0,
            sent: 0,
            stats: Stats::default(),
        };
        flow.span = flow.shared.span();
        if flow.closed_loop {
            let now = self.clock.ns();
            for index in 0..self.pool.conns().len() {
                flow.refill(&mut self.pool.conns()[index], now);
                self.pool.flush(index)?;
            }
        }
        let mut due = self.clock.ns() as f64;
        let mut turn = 0;
        while !flow.over() {
            let mut until = self.clock.ns() + LOOK_NS;
            if let Some(interval) = self.interval {
                let room =
                    flow.send_due(&mut self.pool, &mut due, interval, &mut turn, self.clock)?;
                if room {
                    until = until.min(due as u64);
                }
            }
            self.pool.turn(until, &mut flow)?;
            flow.span = flow.shared.span();
            flow.shared.done[flow.thread].store(flow.done, Ordering::Relaxed);
        }
        let stats = std::mem::take(&mut flow.stats);
        self.pool.close_sessions()?;
        Ok(stats)
    }
}

/// Sends and counts.
struct Flow {
    requests: Requests,
    in_flight: usize,
    shared: Arc<Shared>,
    thread: usize,
    closed_loop: bool,
    span: Span,
    /// There is nothing left to ask for.
    dry: bool,
    done: u64,
    sent: u64,
    stats: Stats,
}

impl Flow {
    fn over(&self) -> bool {
        (self.dry || self.span == Span::Over) && self.sent == self.done
    }

    /// Takes one request off the budget.
    fn allowed(&mut self) -> bool {
        if self.dry || self.span == Span::Over {
            return false;
        }
        if let Some(budget) = &self.shared.budget
            && budget.fetch_sub(1, Ordering::Relaxed) <= 0
        {
            self.dry = true;
        }
        !self.dry
    }

    fn send(&mut self, conn: &mut Conn, at: u64) {
        if self.requests.next(conn, at) {
            self.sent += 1;
        } else {
            self.dry = true;
        }
    }

    fn refill(&mut self, conn: &mut Conn, now: u64) {
        while conn.in_flight() < self.in_flight && self.allowed() {
            self.send(conn, now);
        }
    }

    /// Open loop: sends what is due, each on the next session with room; false when none has.
    fn send_due(
        &mut self,
        pool: &mut Pool,
        due: &mut f64,
        interval: f64,
        turn: &mut usize,
        clock: Clock,
    ) -> Result<bool, BenchError> {
        let sessions = pool.conns().len();
        let now = clock.ns() as f64;
        let mut touched = Vec::new();
        let mut room = true;
        while *due <= now && room && !self.dry && self.span != Span::Over {
            let conns = pool.conns();
            let free = (0..sessions)
                .map(|ahead| (*turn + ahead) % sessions)
                .find(|&i| conns[i].in_flight() < self.in_flight);
            let Some(index) = free else {
                room = false;
                break;
            };
            if self.allowed() {
                self.send(&mut conns[index], *due as u64);
                touched.push(index);
            }
            *turn = (index + 1) % sessions;
            *due += interval;
        }
        for index in touched {
            pool.flush(index)?;
        }
        Ok(room)
    }
}

impl Handler for Flow {
    fn incoming(&mut self, _: &mut Conn, what: Incoming, now: u64) -> Result<(), BenchError> {
        match what {
            Incoming::Opened => {}
            Incoming::Event => self.stats.events += 1,
            Incoming::Reply { class, at, head } => {
                if class == super::conn::Class::Ping {
                    return Ok(());
                }
                self.done += 1;
                if head.err != 0 {
                    self.shared.errors.fetch_add(1, Ordering::Relaxed);
                    self.stats.error(head.err);
                }
                if self.span == Span::Measured {
                    self.stats.record(class, now.saturating_sub(at));
                    self.stats.bytes += head.len as u64 + 4;
                }
            }
        }
        Ok(())
    }

    fn drained(&mut self, conn: &mut Conn, now: u64) -> Result<(), BenchError> {
        if self.closed_loop && conn.phase == Phase::Open {
            self.refill(conn, now);
        }
        Ok(())
    }
}
