//! Zabra.

pub mod config;
