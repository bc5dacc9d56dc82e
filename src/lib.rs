//! Zabra: a ZooKeeper server in one native binary.
//!
//! Modules in layer order; each imports only from those above it in this list
//! (`compat-tests/layers.rs` holds them to it).

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod base;

pub mod config;
pub mod jute;
pub mod proto;
pub mod telemetry;

pub mod session;
pub mod store;
pub mod tree;
pub mod zab;

pub mod pipeline;

pub mod quorum;

pub mod admin;
pub mod conn;
pub mod peer;

pub mod bench;
pub mod runtime;
