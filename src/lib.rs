//! Zabra: a ZooKeeper server in one native binary.
//!
//! Modules in layer order; each imports only from those above it in this list
//! (`compat-tests/layers.rs` holds them to it).

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod base;

pub mod jute;
pub mod proto;

pub mod store;
