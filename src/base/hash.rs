//! Hash maps of the pure layers.
//!
//! Clients choose paths, so the seed differs from process to process; nothing that leaves the
//! server may depend on iteration order (the protocol leaves the order of children open).

use std::hash::BuildHasher;

/// The hasher of every map keyed by what clients send.
pub type PathState = foldhash::fast::RandomState;

/// A hash map with the house hasher.
pub type Map<K, V> = hashbrown::HashMap<K, V, PathState>;

/// A hash set with the house hasher.
pub type Set<K> = hashbrown::HashSet<K, PathState>;

/// One hash of `bytes` under `state`.
pub fn hash_bytes(state: &PathState, bytes: &[u8]) -> u64 {
    state.hash_one(bytes)
}
