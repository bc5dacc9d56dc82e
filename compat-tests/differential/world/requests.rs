//! Sending requests and reading what comes back.

use std::time::Duration;

use crate::codec::frame;
use crate::conn::{Conn, Got};
use crate::op::{CLOSE, Op};
use crate::program::Slot;
use crate::tamper::Fate;
use crate::view::Seen;

use super::{MONITOR, PATIENCE, World, bad_length};

impl World {
    pub(super) fn next_xid(&mut self, slot: Slot) -> i32 {
        self.clients[slot].xid += 1;
        self.clients[slot].xid
    }

    pub(super) fn send(
        &mut self,
        slot: Slot,
        batch: &[Op],
        xid: Option<i32>,
        chunk: Option<usize>,
    ) -> Vec<Seen> {
        let Some(mut conn) = self.clients[slot].conn.take() else {
            return vec![Seen::NotConnected];
        };
        let last = self.memory.last_zxid;
        let mut bytes = Vec::new();
        for op in batch {
            let xid = xid.unwrap_or_else(|| self.next_xid(slot));
            bytes.extend(frame(&op.encode(xid, last)));
        }
        match chunk {
            Some(chunk) => conn.send_chunks(&bytes, chunk),
            None => conn.send(&bytes),
        }
        let mut seen = Vec::new();
        let open = self.replies(slot, &mut conn, batch, &mut seen);
        self.clients[slot].conn = open.then_some(conn);
        seen
    }

    /// Reads until each request is answered or the connection ends. False when it ended.
    pub(super) fn replies(
        &mut self,
        slot: Slot,
        conn: &mut Conn,
        ops: &[Op],
        seen: &mut Vec<Seen>,
    ) -> bool {
        for op in ops {
            match self.reply(slot, conn, op, seen) {
                Some(err) if op.closes_after(err) => {
                    seen.extend(self.until_closed(conn));
                    return false;
                }
                Some(_) => {}
                None => return false,
            }
        }
        true
    }

    /// Reads events up to the reply to one request. `None` when the connection ended instead.
    pub(super) fn reply(
        &mut self,
        slot: Slot,
        conn: &mut Conn,
        op: &Op,
        seen: &mut Vec<Seen>,
    ) -> Option<i32> {
        loop {
            let frame = match self.next(conn, false, PATIENCE) {
                Got::Frame(frame) => frame,
                Got::Closed => {
                    seen.push(Seen::Closed);
                    return None;
                }
                Got::Silent => {
                    seen.push(Seen::Silent);
                    return None;
                }
                Got::BadLength(n) => {
                    seen.push(bad_length(n));
                    return None;
                }
            };
            if is_event(&frame) {
                seen.push(self.memory.event(&frame));
                continue;
            }
            let (reply, err) = self.memory.reply(op, &frame);
            if let Seen::Reply { zxid, err: 0, .. } = reply
                && op.code() == CLOSE
            {
                self.unordered.insert(zxid);
                if slot != MONITOR {
                    self.clients[slot].alive = false;
                }
            }
            seen.push(reply);
            return err;
        }
    }

    pub(super) fn garbage(&mut self, slot: Slot, bytes: &[u8]) -> Vec<Seen> {
        let Some(mut conn) = self.clients[slot].conn.take() else {
            return vec![Seen::NotConnected];
        };
        conn.send(bytes);
        self.until_closed(&mut conn)
    }

    /// Reads frames until the end. Replies are decoded as those of an opcode without a body.
    pub(super) fn until_closed(&mut self, conn: &mut Conn) -> Vec<Seen> {
        let mut seen = Vec::new();
        loop {
            match self.next(conn, false, PATIENCE) {
                Got::Frame(frame) if is_event(&frame) => seen.push(self.memory.event(&frame)),
                Got::Frame(frame) => {
                    seen.push(self.memory.reply(&Op::Bare { code: 0 }, &frame).0);
                }
                Got::Closed => {
                    seen.push(Seen::Closed);
                    return seen;
                }
                Got::Silent => {
                    seen.push(Seen::Silent);
                    return seen;
                }
                Got::BadLength(n) => {
                    seen.push(bad_length(n));
                    return seen;
                }
            }
        }
    }

    pub(super) fn next(&mut self, conn: &mut Conn, hello: bool, wait: Duration) -> Got {
        let Some(tamper) = &mut self.tamper else {
            return conn.next(wait);
        };
        match conn.next(wait) {
            Got::Frame(frame) => match tamper.pass(frame, hello) {
                Fate::Keep(frame) => Got::Frame(frame),
                Fate::Drop => conn.next(Duration::from_millis(300)),
                Fate::Later(frame) => {
                    let next = conn.next(wait);
                    conn.unread(&frame);
                    next
                }
            },
            other => other,
        }
    }
}

fn is_event(frame: &[u8]) -> bool {
    frame.starts_with(&[0xff; 4])
}
