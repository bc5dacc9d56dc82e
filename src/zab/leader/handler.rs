//! What the leader knows of one learner (Apache: `LearnerHandler`).

use std::collections::VecDeque;

use crate::base::{ServerId, Zxid};
use crate::proto::quorum::{Capabilities, QuorumPacket};
use crate::zab::link::LinkId;

/// Does it vote?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LearnerKind {
    /// Gets proposals and acknowledges them (also without a vote).
    #[default]
    Follower,
    /// Gets what is committed.
    Observer,
}

/// How far a learner has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing heard yet.
    #[default]
    Hello,
    /// FOLLOWERINFO or OBSERVERINFO came.
    Known,
    /// LEADERINFO is sent.
    Invited,
    /// ACKEPOCH came.
    Promised,
    /// The log is being read for it.
    Reading,
    /// Its history and NEWLEADER are sent; live packets follow.
    Syncing,
    /// It acknowledged NEWLEADER.
    Acked,
    /// UPTODATE is sent.
    UpToDate,
}

/// One learner.
#[derive(Debug)]
pub struct Handler {
    /// Its connection.
    pub link: LinkId,
    /// Its id; negative when it told none.
    pub sid: ServerId,
    /// Voter or observer.
    pub kind: LearnerKind,
    /// Version of the configuration it knows.
    pub config_version: i64,
    /// What it can do beyond Apache's protocol.
    pub capabilities: Capabilities,
    /// Its last zxid, from ACKEPOCH; before that, the epoch it accepted.
    pub last: Zxid,
    /// Its ACKEPOCH was a promise: it had not accepted our epoch before.
    pub(super) promise: bool,
    /// A packet must come before this, monotonic ms.
    pub deadline_ms: i64,
    /// The last proposal it acknowledged.
    pub last_acked: Zxid,
    /// When it had taken over our history, monotonic ms.
    pub(super) since_ms: i64,
    pub(super) stage: Stage,
    /// Its id as metrics name it.
    pub(super) label: String,
    /// While it synchronises: true when by a snapshot.
    pub(super) syncs: Option<bool>,
    /// PINGs it will answer, and answers that came.
    pings: u64,
    pub(super) pongs: u64,
    /// The PING whose answer counts in the round under way.
    pub(super) mark: Option<u64>,
    /// Commits held back until UPTODATE is sent: Apache up to 3.9.2 dies of one that comes between
    /// NEWLEADER and UPTODATE (ZOOKEEPER-4394).
    pub(super) held: VecDeque<QuorumPacket>,
}

impl Handler {
    pub(super) fn new(link: LinkId, deadline_ms: i64) -> Self {
        Self {
            link,
            sid: ServerId(-1),
            kind: LearnerKind::default(),
            config_version: 0,
            capabilities: Capabilities::default(),
            last: Zxid::ZERO,
            promise: false,
            deadline_ms,
            last_acked: Zxid::ZERO,
            since_ms: deadline_ms,
            stage: Stage::Hello,
            label: String::new(),
            syncs: None,
            pings: 0,
            pongs: 0,
            mark: None,
            held: VecDeque::new(),
        }
    }

    /// Any packet shows that it lives.
    pub(super) fn heard(&mut self, now: i64, limit_ms: i64) {
        // While it synchronises it has the longer time it was given.
        self.deadline_ms = match self.is_acked() {
            true => now + limit_ms,
            false => self.deadline_ms.max(now + limit_ms),
        };
    }

    /// A PING goes to it. While it synchronises it answers none.
    pub(super) fn note_ping(&mut self) {
        self.pings += u64::from(self.stage == Stage::UpToDate);
    }

    pub(super) fn pinged(&self) -> u64 {
        self.pings
    }

    pub(super) fn is_known(&self) -> bool {
        self.stage != Stage::Hello
    }

    /// True once it has taken over the leader's history.
    pub fn is_acked(&self) -> bool {
        matches!(self.stage, Stage::Acked | Stage::UpToDate)
    }

    /// True while live packets go to it.
    pub(super) fn forwards(&self) -> bool {
        matches!(self.stage, Stage::Syncing | Stage::Acked | Stage::UpToDate)
    }

    /// True when commits must wait.
    pub(super) fn holds_commits(&self) -> bool {
        matches!(self.stage, Stage::Syncing | Stage::Acked)
    }
}
