//! The request that ends each step on each connection, and the order of events before it.

use crate::codec::frame;
use crate::op::{Op, PING, SYNC};
use crate::view::Seen;

use super::{BARRIER_XID, MONITOR, Outcome, Place, World};

impl World {
    /// Ends the step on each open connection and appends what came before the barrier's reply.
    pub(super) fn barriers(&mut self, out: &mut Outcome) {
        let op = match self.steps % 3 {
            0 => Op::Bare { code: PING },
            1 => Op::Path {
                code: SYNC,
                path: Some(b"/".to_vec()),
            },
            _ => Op::PathWatch {
                code: 3,
                path: Some(b"/".to_vec()),
                watch: false,
            },
        };
        // A ping with another xid would be answered all the same, but Apache would count it as
        // outstanding for ever.
        let xid = match op.code() {
            PING => -2,
            _ => BARRIER_XID + i32::try_from(self.steps).expect("fewer steps than xids"),
        };
        let bytes = frame(&op.encode(xid, 0));
        for client in &mut self.clients {
            if let Some(conn) = &mut client.conn {
                conn.send(&bytes);
            }
        }
        for slot in 0..=MONITOR {
            let Some(mut conn) = self.clients[slot].conn.take() else {
                continue;
            };
            let mut seen = Vec::new();
            let err = self.reply(slot, &mut conn, &op, &mut seen);
            match seen.pop() {
                Some(Seen::Reply {
                    xid: got,
                    zxid,
                    err,
                    body,
                }) if got == xid => {
                    seen.push(Seen::Barrier { zxid, err, body });
                }
                other => seen.extend(other),
            }
            match err {
                Some(err) if op.closes_after(err) => seen.extend(self.until_closed(&mut conn)),
                Some(_) => self.clients[slot].conn = Some(conn),
                None => {}
            }
            let place = if slot == MONITOR {
                Place::Monitor
            } else {
                Place::Slot(slot)
            };
            match out.iter_mut().find(|(p, _)| *p == place) {
                Some((_, list)) => list.extend(seen),
                None => out.push((place, seen)),
            }
        }
    }

    /// Within a closeSession the order of ephemerals is the server's choice: sorts the events of
    /// such a transaction by path, keeping the order of events with the same path.
    pub(super) fn sort_unordered(&self, out: &mut Outcome) {
        let free = |seen: &Seen| match seen {
            Seen::Event { zxid, path, .. } if self.unordered.contains(zxid) => Some(path.clone()),
            _ => None,
        };
        for (_, list) in out {
            let mut at = 0;
            while at < list.len() {
                let run = list[at..].iter().take_while(|s| free(s).is_some()).count();
                list[at..at + run].sort_by_key(free);
                at += run.max(1);
            }
        }
    }
}
