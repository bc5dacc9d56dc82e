//! What goes into a peer and what comes out.

use std::sync::Arc;

use super::data::Data;
use crate::base::{Epoch, ServerId, Zxid};
use crate::config::Ensemble;
use crate::pipeline::{self, SnapshotJob};
use crate::proto::quorum::QuorumPacket;
use crate::session::SessionTracker;
use crate::tree::{DataTree, Inbox};
use crate::zab::election::Notification;
use crate::zab::reconfig::Views;
use crate::zab::{LinkId, Logged};

/// What happens to a peer.
#[derive(Debug)]
pub enum Input {
    /// Another server's notification.
    Notification(ServerId, Notification),
    /// The election link with a server ended.
    ElectionLinkLost(ServerId),
    /// From a client, of the role instance it belongs to; later ones ignore it.
    Client(u64, pipeline::Input),
    /// As leader, or as follower that serves observers: a learner connected.
    LearnerConnected(LinkId),
    /// Packets of a learner.
    LearnerPackets(LinkId, Vec<QuorumPacket>),
    /// A learner is gone.
    LearnerGone(LinkId),
    /// As learner: the leader is reached.
    LeaderConnected(LinkId),
    /// As learner: packets of the leader.
    LeaderPackets(LinkId, Vec<QuorumPacket>),
    /// As learner: the leader's snapshot, at the zxid of its SNAP packet.
    LeaderSnapshot(LinkId, Zxid, Box<Data>),
    /// As learner: the leader cannot be reached, or is gone.
    LeaderGone(LinkId),
    /// `acceptedEpoch` is durable.
    EpochAccepted(Epoch),
    /// `currentEpoch` is durable.
    EpochEntered(Epoch),
    /// The log is durable up to here.
    Logged(Zxid),
    /// [`DiskOp::Flush`] is done.
    Flushed,
    /// [`DiskOp::Truncate`] is done, or could not be: the database as the disk has it now.
    Truncated(Zxid, Box<Data>),
    /// [`DiskOp::Reload`] is done.
    Reloaded(Box<Data>),
    /// [`DiskOp::SaveSnapshot`] is done.
    SnapshotSaved,
    /// What [`DiskOp::ReadLog`] found.
    LogRead(LinkId, Option<Vec<Logged>>),
    /// A background snapshot has ended.
    SnapshotDone,
    /// An operator wants leadership handed over, to this server or to whoever is best; the number
    /// comes back with the answer.
    HandOver(u64, Option<ServerId>),
    /// Time passed.
    Tick,
}

/// What the disk must do, in order.
#[derive(Debug)]
pub enum DiskOp {
    /// Append and roll; then say [`Input::Logged`].
    Log(pipeline::LogOp),
    /// Write `acceptedEpoch`.
    AcceptEpoch(Epoch),
    /// Write `currentEpoch`.
    EnterEpoch(Epoch),
    /// Keep a configuration as the last one seen, durably.
    SaveSeen(Box<Ensemble>),
    /// A configuration is committed: keep it as the one to start with, and forget the last seen one
    /// unless it is newer.
    ActivateConfig(Box<Views>),
    /// Say [`Input::Flushed`] when everything before is durable.
    Flush,
    /// Cut log and snapshots behind this zxid, and load the database again. If no snapshot and log
    /// lead exactly there (of counter 0: to the last one before), nothing may be cut, and the
    /// database is loaded as it is.
    Truncate(Zxid),
    /// Load the database again.
    Reload,
    /// Write this snapshot, durably, in the place of everything there is: no older snapshot and no
    /// log may be used again, also those that end before it, since what they hold need never have
    /// been decided.
    SaveSnapshot(Zxid, SnapshotJob),
    /// Read what is behind `from`, which must be there, up to `upto`. Not in order with the others.
    ReadLog {
        /// For whom.
        link: LinkId,
        /// The transaction before the first one wanted.
        from: Zxid,
        /// The last one wanted.
        upto: Zxid,
    },
}

/// A role instance that takes clients.
#[derive(Clone)]
pub struct Serving {
    /// Its number.
    pub instance: u64,
    /// The data.
    pub tree: Arc<DataTree>,
    /// The sessions.
    pub sessions: Arc<SessionTracker>,
    /// Syncs go through the leader.
    pub learner: bool,
    /// Clients are let in.
    pub clients: bool,
    /// There is no leader: reads only, for clients that said that this is enough.
    pub read_only: bool,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Serving({})", self.instance)
    }
}

/// What the network must do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Send a notification.
    Notify(ServerId, Notification),
    /// Connect the election links that are missing.
    ConnectAll,
    /// The members are others, or elsewhere.
    Members(Box<Views>),
    /// Take learners.
    Listen,
    /// Take observers on this port.
    ListenObservers(u16),
    /// Take none, and close the links of those that are there.
    StopListening,
    /// Take none; those that are there end their links themselves.
    Retire,
    /// Connect to this server's quorum port; the link gets this id.
    ConnectLeader(LinkId, ServerId),
    /// As observer: wait so many ms, then try a few times to connect to this server, on this port
    /// if one is given and its quorum port otherwise; the link gets this id.
    ConnectMaster {
        /// Its id.
        link: LinkId,
        /// Whom to.
        to: ServerId,
        /// Of a follower that serves observers.
        port: Option<u16>,
        /// The pause, ms.
        delay_ms: u32,
    },
    /// Close the link to the leader.
    DropLeader(LinkId),
    /// Send a packet.
    Send(LinkId, QuorumPacket),
    /// Send a snapshot behind everything sent so far.
    SendSnapshot(LinkId, SnapshotJob),
    /// Close a learner's link.
    Close(LinkId, &'static str),
    /// Take clients.
    Serve(Serving),
    /// The instance that serves is another role now: true for a learner's. Its clients stay.
    Turn(bool),
    /// The answer to [`Input::HandOver`]: who leads now, or why nothing changed.
    HandoverDone(u64, Result<ServerId, String>),
    /// Take none, and close their connections. Done before the next input.
    StopServing,
    /// End the process.
    Exit(i32, &'static str),
}

/// What the world must do.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the network. Nothing here waits for the disk: what must wait comes out later.
    pub net: Vec<Effect>,
    /// For the disk.
    pub disk: Vec<DiskOp>,
    /// Connections whose inbox got something.
    pub wakes: Vec<Arc<Inbox>>,
    /// A snapshot to write in the background.
    pub snapshot: Option<SnapshotJob>,
}
