//! What the server tells the outside about itself: metrics and the log.
//!
//! Write-only: any layer above may call it, and nothing here changes what the server does.

pub mod facade;
pub mod java_num;
pub mod log;
pub mod metrics;
pub mod prometheus;
pub mod zone;
