//! L4: the connections between servers of an ensemble.

pub mod election;
pub mod link;
pub mod meter;
pub mod secured;
#[cfg(test)]
mod toy_guard;
