//! What must hold: always, when a client is answered, and when all is quiet.

use zabra::base::{SessionId, Zxid};
use zabra::quorum::PeerState;
use zabra::session::SessionTracker;
use zabra::tree::DataTree;

use crate::world::{Fail, World};

fn data_of(tree: &DataTree, path: &str) -> Option<Vec<u8>> {
    let mut found = None;
    let walked: Result<(), ()> = tree.walk(&tree.walk_start(), |n| {
        if n.path.text() == path {
            found = n.data.as_deref().map(<[u8]>::to_vec);
        }
        Ok(())
    });
    walked.ok()?;
    found
}

impl World {
    /// After every step of `sid`: what it has committed is what everybody has.
    pub fn check(&mut self, sid: i64) -> Fail {
        let Some(node) = self.nodes.get_mut(&sid) else {
            return Ok(());
        };
        let Some(p) = &mut node.up else {
            return Ok(());
        };
        let history = p.peer.history();
        if history.current > history.accepted {
            return Err(format!("{sid}: {history:?}"));
        }
        if p.serving.is_none() {
            return Ok(());
        }
        let recent = &p.peer.data().recent;
        let first = p.looked.is_none();
        let from = p.looked.unwrap_or(recent.base());
        if recent.last() == from && !first {
            return Ok(());
        }
        p.looked = Some(recent.last());
        let last = recent.last();
        // What was dropped again in this very step is in the log.
        let log = node
            .disk
            .log
            .iter()
            .filter(|l| l.0 > from && l.0 <= recent.base());
        let new: Vec<_> = log.cloned().chain(recent.after(from)).collect();
        let leads = matches!(p.peer.state(), PeerState::Leading(_));
        let highest = self
            .committed
            .last_key_value()
            .map_or(Zxid::ZERO, |(z, _)| *z);
        if first && leads && last < highest {
            return Err(format!("{sid} leads at {last}, {highest} is committed"));
        }
        let known: Vec<_> = self
            .committed
            .range(Zxid(from.0 + 1)..Zxid(last.0.max(from.0) + 1))
            .collect();
        for (i, (zxid, bytes)) in known.iter().enumerate() {
            match new.get(i) {
                Some((z, b)) if z == *zxid && b == *bytes => {}
                other => {
                    let has = other.map(|o| o.0);
                    return Err(format!("{sid} has {has:?} where {zxid} is committed"));
                }
            }
        }
        let more = new.get(known.len()..).unwrap_or_default();
        if more.first().is_some_and(|(z, _)| *z < highest) {
            return Err(format!("{sid} has {:?}, {highest} is committed", more[0].0));
        }
        self.committed.extend(more.iter().cloned());
        Ok(())
    }

    /// A client was told of `zxid`: it is on the disks of a quorum, dead or alive.
    pub fn replied(&mut self, zxid: Zxid) -> Fail {
        if zxid.counter() == 0 || !self.acked.insert(zxid) {
            return Ok(());
        }
        if !self.committed.contains_key(&zxid) {
            return Err(format!("{zxid} is answered and not committed"));
        }
        let holds = (1..=self.voters)
            .filter(|s| self.nodes[s].disk.holds(zxid))
            .count();
        if holds as i64 <= self.voters / 2 {
            return Err(format!("{zxid} is answered and on {holds} disks"));
        }
        Ok(())
    }

    pub fn all_serve(&self) -> bool {
        self.nodes
            .values()
            .all(|n| n.up.as_ref().is_some_and(|p| p.serving.is_some()))
    }

    /// All servers are the same, and hold what was promised.
    pub fn check_quiet(&mut self) -> Fail {
        let highest = self
            .committed
            .last_key_value()
            .map_or(Zxid::ZERO, |(z, _)| *z);
        let mut digests = Vec::new();
        for (sid, node) in &self.nodes {
            let Some((p, s)) = node
                .up
                .as_ref()
                .and_then(|p| Some((p, p.serving.as_ref()?)))
            else {
                return Err(format!("{sid} does not serve after healing"));
            };
            let last = p.peer.data().last();
            if last.max(highest) != last {
                return Err(format!("{sid} is at {last}, {highest} is committed"));
            }
            digests.push((*sid, s.tree.digest().digest, s.tree.node_count()));
            let (_, replayed) = node.disk.recover().map_err(|e| format!("{sid}: {e}"))?;
            if replayed.tree.digest().digest != s.tree.digest().digest {
                return Err(format!(
                    "{sid}: memory and disk differ at {last} {}",
                    replayed.last()
                ));
            }
            self.check_sessions(*sid, &s.tree, &s.sessions)?;
        }
        if digests
            .windows(2)
            .any(|w| (w[0].1, w[0].2) != (w[1].1, w[1].2))
        {
            return Err(format!("digests differ: {digests:?}"));
        }
        if let Some(lost) = self.acked.iter().find(|z| !self.committed.contains_key(z)) {
            return Err(format!("{lost} was answered and is not there"));
        }
        Ok(())
    }

    fn check_sessions(&self, sid: i64, tree: &DataTree, sessions: &SessionTracker) -> Fail {
        for owner in tree.ephemeral_sessions() {
            if sessions.get(owner).is_none() {
                return Err(format!("{sid}: ephemerals of {owner}, which is over"));
            }
        }
        for c in &self.clients {
            if let Some(s) = c
                .ended
                .iter()
                .find(|s| **s != SessionId::NONE && !tree.ephemerals_of(**s).is_empty())
            {
                return Err(format!("{sid}: session {s} ended and has ephemerals"));
            }
            let has = tree.ephemerals_of(c.session);
            for path in &c.ephemerals {
                if c.session != SessionId::NONE
                    && c.connected
                    && !has.iter().any(|p| p.text() == path)
                {
                    return Err(format!("{sid}: {path} is gone, its session lives"));
                }
            }
            let value = data_of(tree, &c.register()).and_then(|d| String::from_utf8(d).ok());
            let value: u64 = value.and_then(|v| v.parse().ok()).unwrap_or(0);
            if value < c.acked {
                return Err(format!(
                    "{sid}: {} is {value}, {} was answered",
                    c.register(),
                    c.acked
                ));
            }
        }
        Ok(())
    }
}
