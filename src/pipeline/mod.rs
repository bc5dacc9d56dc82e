//! L3: the straight line from a request to its effects; pure.
//!
//! `request -> prep (checks, transaction, zxid) -> log and propose -> commit -> apply -> reply`.
//! [`Server::step`] is the one entry point: inputs and the time come in, effects go out. Nothing is
//! acknowledged before the input that says it is durable.

mod change;
mod commit;
mod connect;
mod event;
mod leader;
mod learner;
mod local;
mod owners;
mod prep;
mod prep_multi;
mod prep_ops;
mod read_only;
mod reaper;
mod reconfig;
mod reply;
mod roll;
mod server;
mod snap_stream;
mod throttle;
mod turn;

pub use event::{
    ConnectRequest, Effects, Forward, Input, LogOp, Now, Owner, Request, Role, ServerOptions,
    SnapshotJob,
};
pub use reconfig::Membership;
pub use reply::{FRAME_HEAD, finish_frame, frame, read_reply};
pub use server::{Server, ServerCounters};
pub use snap_stream::{SnapStreamReader, SnapStreamWriter};
