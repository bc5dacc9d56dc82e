//! Which stripe of a striped counter the running thread writes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Stripes of each counter and summary. A power of two.
///
/// Enough to keep the worker threads of a common machine off each other's cache lines; more would
/// only cost memory.
pub(super) const STRIPES: usize = 8;

/// One cache line (two, on machines that fetch lines in pairs, is not worth the memory here).
#[repr(align(64))]
pub(super) struct Padded<T>(pub(super) T);

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
}

/// The stripe of this thread, below [`STRIPES`]. Threads get them in turn.
#[inline]
pub(super) fn slot() -> usize {
    // A thread that is ending has no slot left; any will do.
    SLOT.try_with(|slot| *slot).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_slot() {
        let first = slot();
        assert!(first < STRIPES);
        assert_eq!(first, slot());
    }
}
