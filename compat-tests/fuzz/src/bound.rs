//! Memory that a decoder holds is bounded by what came in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts what is allocated, and the most there was at once.
pub struct Counting;

fn add(n: usize) {
    PEAK.fetch_max(LIVE.fetch_add(n, Relaxed) + n, Relaxed);
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Bytes for each byte of input: vectors grow by doubling, and a null string is four bytes there
/// and a few words here.
const FACTOR: usize = 64;

/// Runs `f` over `input`; at no time may it hold more than [`FACTOR`] times the input's length and
/// `own` bytes more: buffers whose size a decoder documents, whatever comes in.
pub fn bounded<T>(input: &[u8], own: usize, f: impl FnOnce(&[u8]) -> T) -> T {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = f(input);
    let used = PEAK.load(Relaxed).saturating_sub(before);
    let most = FACTOR * input.len() + own;
    assert!(
        used <= most,
        "{used} bytes held for {} of input (at most {most})",
        input.len()
    );
    result
}
