//! Opening connections, with and without a session to come back to.

use crate::codec::frame;
use crate::conn::{Conn, Got};
use crate::op::Op;
use crate::program::{Hello, Slot};
use crate::view::{Credentials, Seen};

use super::{MONITOR, Outcome, PATIENCE, Place, World, bad_length};

impl World {
    pub(super) fn reconnect(
        &mut self,
        slot: Slot,
        hello: &Hello,
        take_over: bool,
        then: &[Op],
    ) -> Outcome {
        let old = self.clients[slot].conn.take();
        if take_over {
            self.clients[slot].old = old;
        }
        let mut out = vec![(Place::Slot(slot), self.connect(slot, hello, then))];
        if let Some(mut old) = self.clients[slot].old.take() {
            out.push((Place::Old(slot), self.until_closed(&mut old)));
        }
        out
    }

    /// Opens a connection for a client. It is kept when the server granted a session.
    pub(super) fn connect(&mut self, slot: Slot, hello: &Hello, then: &[Op]) -> Vec<Seen> {
        self.clients[slot].conn = None;
        let Ok(mut conn) = Conn::open(self.addr) else {
            return vec![Seen::Closed];
        };
        let last = self.memory.last_zxid;
        let mut bytes = frame(&hello.encode(last, self.clients[slot].session));
        self.clients[slot].xid = 0;
        for op in then {
            let xid = self.next_xid(slot);
            bytes.extend(frame(&op.encode(xid, last)));
        }
        conn.send(&bytes);
        let mut seen = Vec::new();
        let Some(own) = self.read_hello(&mut conn, &mut seen) else {
            seen.extend(self.until_closed(&mut conn));
            return seen;
        };
        self.clients[slot].session = own;
        self.clients[slot].alive = true;
        let open = self.replies(slot, &mut conn, then, &mut seen);
        self.clients[slot].conn = open.then_some(conn);
        seen
    }

    /// Reads the ConnectResponse; returns the session when there is one.
    pub(super) fn read_hello(
        &mut self,
        conn: &mut Conn,
        seen: &mut Vec<Seen>,
    ) -> Option<Credentials> {
        match self.next(conn, true, PATIENCE) {
            Got::Frame(frame) => {
                let (hello, own) = self.memory.hello(&frame);
                seen.push(hello);
                own
            }
            Got::Closed => None,
            Got::Silent => {
                seen.push(Seen::Silent);
                None
            }
            Got::BadLength(n) => {
                seen.push(bad_length(n));
                None
            }
        }
    }

    pub(super) fn lonely(&mut self, hello: Option<&Hello>, raw: &[u8], then: &[Op]) -> Vec<Seen> {
        let Ok(mut conn) = Conn::open(self.addr) else {
            return vec![Seen::Closed];
        };
        let last = self.memory.last_zxid;
        let mut bytes = Vec::new();
        if let Some(hello) = hello {
            bytes.extend(frame(&hello.encode(last, (0, [0; 16]))));
        }
        bytes.extend_from_slice(raw);
        for (op, xid) in then.iter().zip(1..) {
            bytes.extend(frame(&op.encode(xid, last)));
        }
        conn.send(&bytes);
        let mut seen = Vec::new();
        let mut open = true;
        if hello.is_some() && self.read_hello(&mut conn, &mut seen).is_some() {
            open = self.replies(MONITOR, &mut conn, then, &mut seen);
        }
        if open {
            seen.extend(self.until_closed(&mut conn));
        }
        seen
    }
}
