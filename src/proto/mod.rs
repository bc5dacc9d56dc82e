//! L1: the vocabulary on the wire and in the log.

pub mod code;
pub mod event;
pub mod op;
pub mod quorum;
pub mod request;
pub mod txn;

pub use code::Code;
pub use op::OpCode;
