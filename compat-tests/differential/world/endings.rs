//! The end of sessions: expiry and closing, and waiting for what the server does by itself.

use std::time::{Duration, Instant};

use crate::op::{CLOSE, Op, PING, ZxidRef};
use crate::program::{Hello, Password, Slot};
use crate::view::Seen;

use super::{LONG_TIMEOUT_MS, MONITOR, Outcome, PATIENCE, Place, World};

impl World {
    /// Brings the session back with the shortest timeout, then lets it run out.
    pub(super) fn expire(&mut self, slot: Slot, keep_open: bool) -> Outcome {
        let hello = Hello::again(1, Password::Right, ZxidRef::Last(0));
        let then: Vec<Op> = self.opening.clone().into_iter().collect();
        self.clients[slot].conn = None;
        let mut seen = self.connect(slot, &hello, &then);
        let Some(mut conn) = self.clients[slot].conn.take() else {
            return vec![(Place::Slot(slot), seen)];
        };
        let from = self.memory.last_zxid;
        if keep_open {
            seen.extend(self.until_closed(&mut conn));
        } else {
            drop(conn);
        }
        seen.push(self.await_txns(from, 1));
        self.clients[slot].alive = false;
        self.unordered.insert(from + 1);
        vec![(Place::Slot(slot), seen)]
    }

    /// Asks the monitor until the server's zxid is `txns` above `from`.
    pub(super) fn await_txns(&mut self, from: i64, txns: i64) -> Seen {
        let deadline = Instant::now() + PATIENCE;
        let ping = [Op::Bare { code: PING }];
        while self.memory.last_zxid < from + txns && Instant::now() < deadline {
            let mut seen = self.send(MONITOR, &ping, Some(-2), None);
            if !matches!(seen.pop(), Some(Seen::Reply { .. })) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Seen::Txns(self.memory.last_zxid - from)
    }

    pub(super) fn finish(&mut self, slot: Slot) -> Outcome {
        let mut ops: Vec<Op> = self.opening.clone().into_iter().collect();
        ops.push(Op::Bare { code: CLOSE });
        let client = &mut self.clients[slot];
        let seen = if !client.alive {
            client.conn = None;
            return Vec::new();
        } else if client.conn.is_some() {
            self.send(slot, &ops, None, None)
        } else {
            let hello = Hello::again(LONG_TIMEOUT_MS, Password::Right, ZxidRef::Last(0));
            self.connect(slot, &hello, &ops)
        };
        vec![(Place::Slot(slot), seen)]
    }
}
