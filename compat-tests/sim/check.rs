//! What must hold: always, when a client is answered, and when all is quiet.

use zabra::base::{SessionId, Zxid};
use zabra::quorum::PeerState;
use zabra::session::SessionTracker;
use zabra::tree::DataTree;
use zabra::zab::Logged;

use crate::client::{Ask, Client, Reply, TIMEOUT};
use crate::world::{Fail, World};

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
        let applied = p.serving.as_ref().map_or(Zxid::ZERO, |s| s.tree.applied());
        let opens = applied.counter() == 0 || applied.counter() == self.opening;
        if !opens && !node.disk.holds(applied) {
            return Err(format!("{sid} applied {applied}, which it has not logged"));
        }
        // What was dropped again in this very step is in the log.
        let dropped = node.disk.log.iter().take_while(|_| from < recent.base());
        let log = dropped.filter(|l| l.0 > from && l.0 <= recent.base());
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
        let more = more.to_vec();
        self.commit(from, more)
    }

    /// These were decided; `from` was before them, and everything up to it.
    fn commit(&mut self, from: Zxid, more: Vec<Logged>) -> Fail {
        let mut all = Vec::new();
        let mut at = from;
        // Whoever took a snapshot has never had what is in it.
        while at > self.model.last {
            if let Some(bytes) = self.bytes.get(&at).filter(|_| !self.opens(at)) {
                all.push((at, bytes.clone()));
            }
            let opening = Zxid::of(at.epoch(), self.opening);
            let first = at.counter() == self.opening + 1;
            let before = self.before.get(&at);
            at = *before
                .or_else(|| self.before.get(&opening).filter(|_| first))
                .ok_or_else(|| format!("nobody knows what is before {at}"))?;
        }
        all.reverse();
        all.extend(more);
        for (zxid, bytes) in all {
            self.model.apply(zxid, &bytes)?;
            self.committed.insert(zxid, bytes);
            self.check_expiry(zxid)?;
        }
        Ok(())
    }

    /// No session ends on its own while its client is there and nothing is wrong.
    fn check_expiry(&self, zxid: Zxid) -> Fail {
        let Some(deed) = self.model.deed(zxid).filter(|d| d.closes && d.cxid == 0) else {
            return Ok(());
        };
        let long = i64::from(TIMEOUT) + 2000;
        let calm = !self.faults && self.now - self.calm_since > long;
        let there = |c: &&Client| {
            c.session == deed.session
                && c.connected
                && self.now - c.connected_at > 1000
                && self.now - c.touched < 200
        };
        match self.clients.iter().find(there).filter(|_| calm) {
            Some(c) => Err(format!("the session of client {} ends at {zxid}", c.id)),
            None => Ok(()),
        }
    }

    /// A reply came: it says what the transaction did, and its place is in real time.
    pub fn check_reply(&mut self, r: &Reply) -> Fail {
        let (zxid, sent) = (r.zxid, &r.sent);
        self.say(|| format!("reply {} to {}: {}, {zxid}", sent.xid, r.session, r.err));
        self.told(zxid)?;
        if matches!(sent.ask, Ask::Sync) {
            // A leader that has been replaced and does not know it answers from what it has.
            let epoch = self.clients.iter().find(|c| c.session == r.session);
            let known = epoch.is_some_and(|c| c.epoch >= sent.since.epoch());
            let late = zxid < sent.since && (known || self.strict_sync);
            return match r.err == 0 && !late {
                true => Ok(()),
                false => Err(format!("{} at {zxid}: {sent:?}", r.err)),
            };
        }
        // The end of a local session is no transaction.
        let local = self.model.local && !self.model.lives(r.session);
        if local && matches!(sent.ask, Ask::Close) && r.err == 0 {
            return Ok(());
        }
        let deed = self.model.deed(zxid);
        let Some(deed) = deed.filter(|d| d.session == r.session && d.cxid == sent.xid) else {
            return Err(format!(
                "{sent:?} is answered with {zxid}, that is {deed:?}"
            ));
        };
        if zxid <= sent.since {
            return Err(format!("{sent:?} is answered with {zxid}"));
        }
        let multi = matches!(sent.ask, Ask::Multi(_));
        let verdict = self.model.verdict(&sent.ask, zxid);
        let expired = matches!(deed.err, -112 | -118);
        let right = match multi {
            true => r.err == 0 && (deed.err == 0) == (verdict == 0),
            false => r.err == deed.err && deed.err == verdict,
        };
        if deed.err == 0 && !self.shows(r) {
            return Err(format!("{sent:?} at {zxid} shows {:?}", r.body));
        }
        match right || expired {
            true => Ok(()),
            false => Err(format!("{sent:?} at {zxid}: {} {deed:?} {verdict}", r.err)),
        }
    }

    /// The body of a reply shows what the transaction did.
    fn shows(&self, r: &Reply) -> bool {
        let body = &r.body;
        let long = |at: usize| i64::from_be_bytes(body[at..at + 8].try_into().unwrap());
        match &r.sent.ask {
            Ask::Create { path, .. } => body.get(4..) == Some(path.as_bytes()),
            Ask::Set { path, .. } => {
                let state = self.model.node(path, r.zxid);
                let stat = state.map(|s| (s.czxid, s.mzxid));
                body.len() == 68 && stat == Some((long(0), long(8)))
            }
            _ => true,
        }
    }

    /// A client was told of `zxid`: it is on the disks of a quorum, dead or alive.
    pub fn told(&mut self, zxid: Zxid) -> Fail {
        if self.opens(zxid) || !self.acked.insert(zxid) {
            return Ok(());
        }
        if !self.committed.contains_key(&zxid) {
            return Err(format!("{zxid} is answered and not committed"));
        }
        if !self.decides(|s| self.held(s, zxid)) {
            return Err(format!(
                "{zxid} is answered and not on the disks of a quorum"
            ));
        }
        if zxid > self.told_before(self.now) {
            self.told.push((self.now, zxid));
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
        self.check_trees()?;
        for id in 0..self.clients.len() {
            let at = self.clients[id].at.clone();
            if let Some(s) = at.and_then(|(sid, _, _)| self.door(sid))
                && self.clients[id].rearmed
            {
                self.answered(id, s.tree.applied(), |_, _| Ok(()))
                    .map_err(|e| format!("client {id}, at the end: {e}"))?;
            }
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
            let state = self.model.node(&c.home(), self.model.last);
            let value = state.and_then(|s| String::from_utf8(s.data.clone()).ok());
            let value: u64 = value.and_then(|v| v.parse().ok()).unwrap_or(0);
            if value < c.acked {
                let home = c.home();
                return Err(format!("{home} is {value}, {} was answered", c.acked));
            }
        }
        Ok(())
    }

    /// The tree of all is the model's.
    fn check_trees(&self) -> Fail {
        let served = self.nodes.values().next();
        let served = served.and_then(|n| n.up.as_ref()?.serving.as_ref());
        let Some(tree) = served.map(|s| &s.tree) else {
            return Ok(());
        };
        let mut count = 0;
        let walked = tree.walk(&tree.walk_start(), |n| {
            let p = n.path.text();
            if p.is_empty() || p.starts_with("/zookeeper") {
                return Ok(());
            }
            count += 1;
            let at = self.model.last;
            match self.model.node(p, at) {
                Some(s) if n.data.as_deref().unwrap_or_default() == s.data => Ok(()),
                other => Err(format!("{p} should be {other:?}")),
            }
        });
        walked?;
        match count == self.model.count() {
            true => Ok(()),
            false => Err(format!("{count} nodes, not {}", self.model.count())),
        }
    }
}
