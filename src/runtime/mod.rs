//! L5: drives the real world: threads, sockets, files, clocks, signals.

mod client_door;
mod clock;
mod config_files;
mod control;
mod database;
mod doors;
mod ensemble;
mod fatal;
mod io_threads;
mod load;
mod options;
mod quorum_disk;
mod quorum_net;
mod sequencer;
mod signals;
mod snap_thread;
mod start;
mod view;
mod words;

pub use control::handover;
pub use database::Database;
pub use start::run;
pub use view::VERSION;
