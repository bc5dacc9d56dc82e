//! SYNC requests that wait for their place among the commits (Apache: `Leader.processSync`).

use super::{Leader, LeaderEffect};
use crate::base::Zxid;
use crate::proto::quorum::{PacketType, QuorumPacket};
use crate::zab::link::LinkId;

/// A sync that is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingSync {
    /// This must be committed.
    pub(super) upto: Zxid,
    /// The round of PINGs that must be answered.
    pub(super) round: u64,
    /// Whose; none for our own clients.
    pub(super) link: Option<LinkId>,
}

impl Leader {
    /// SYNC is answered once everything proposed before it is committed: FIFO does the rest.
    pub(super) fn sync(&mut self, link: Option<LinkId>) {
        let upto = match self.handover {
            // Behind writes that are held.
            Some(_) => Zxid(i64::MAX),
            None => self.everything(),
        };
        let round = self.confirmation();
        self.syncs.push_back(WaitingSync { upto, round, link });
        self.answer_syncs();
    }

    /// The last transaction that was proposed.
    fn everything(&self) -> Zxid {
        match self.proposals.is_empty() {
            true => self.cache.last(),
            false => self.proposals.last(),
        }
    }

    /// What was held during a handover that was given up is proposed: so syncs wait for that.
    pub fn resumed(&mut self) {
        let upto = self.everything();
        for sync in &mut self.syncs {
            sync.upto = sync.upto.min(upto);
        }
        self.answer_syncs();
    }

    /// A client of this server wants a sync; [`LeaderEffect::Synced`] answers, in order.
    pub fn sync_here(&mut self) {
        self.sync(None);
    }

    /// Answers those that have what they wait for.
    pub(super) fn answer_syncs(&mut self) {
        // Our own clients see what is applied, the others what their COMMITs have told them.
        let (committed, applied) = (self.cache.last(), self.applied);
        let confirmed = self.confirmation.done;
        let due = |s: &mut WaitingSync| {
            let there = if s.link.is_some() { committed } else { applied };
            s.upto <= there && s.round <= confirmed
        };
        while let Some(sync) = self.syncs.pop_front_if(due) {
            match sync.link {
                Some(link) => self.send(link, QuorumPacket::new(PacketType::Sync, Zxid::ZERO)),
                None => self.out.push(LeaderEffect::Synced),
            }
        }
    }
}
