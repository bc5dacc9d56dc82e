//! An 8-byte handle to a reference-counted byte string.
//!
//! A znode's path is held by the shard table and by its parent's child set, its data by the node
//! and by every reply being written; a fat pointer in each of those would be a fifth of the memory.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::{fmt, hash, slice};

#[repr(C)]
struct Header {
    refs: AtomicU32,
    len: u32,
}

const HEADER: usize = size_of::<Header>();

/// An immutable byte string, cheap to clone, eight bytes to hold (also as an `Option`).
pub struct Thin {
    block: NonNull<Header>,
}

// SAFETY: the bytes never change after construction and the count is atomic.
unsafe impl Send for Thin {}
// SAFETY: as above.
unsafe impl Sync for Thin {}

impl Thin {
    /// Copies `bytes` into a block of its own.
    ///
    /// # Panics
    /// When `bytes` is 4 GiB or more; callers hold frames, which `jute.maxbuffer` bounds below 2 GiB.
    pub fn new(bytes: &[u8]) -> Self {
        Self::concat(bytes, &[])
    }

    /// Copies `head` followed by `tail` into one block.
    ///
    /// # Panics
    /// As [`Thin::new`].
    pub fn concat(head: &[u8], tail: &[u8]) -> Self {
        let len = head.len() + tail.len();
        let len32 = u32::try_from(len).expect("a byte string is below 4 GiB");
        let layout = Self::layout(len);
        // SAFETY: the layout has a non-zero size; the block is fully initialised before use.
        unsafe {
            let Some(block) = NonNull::new(alloc(layout).cast::<Header>()) else {
                handle_alloc_error(layout)
            };
            block.write(Header {
                refs: AtomicU32::new(1),
                len: len32,
            });
            let data = block.as_ptr().cast::<u8>().add(HEADER);
            data.copy_from_nonoverlapping(head.as_ptr(), head.len());
            data.add(head.len())
                .copy_from_nonoverlapping(tail.as_ptr(), tail.len());
            Self { block }
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the block holds `len` initialised bytes after the header for as long as we do.
        unsafe {
            let len = self.block.as_ref().len as usize;
            slice::from_raw_parts(self.block.as_ptr().cast::<u8>().add(HEADER), len)
        }
    }

    /// The bytes as text; paths are valid UTF-8 by construction, anything else reads as empty.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// True when both handles share one block.
    pub fn same(&self, other: &Self) -> bool {
        self.block == other.block
    }

    /// Asks the processor to fetch the beginning of the bytes: for walks over many strings that lie
    /// anywhere, which would wait for memory at each of them. A hint; it has no other effect.
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing the program can see and never faults.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let block = self.block.as_ptr().cast::<i8>();
            _mm_prefetch::<_MM_HINT_T0>(block);
            // A short string may reach into the next line.
            _mm_prefetch::<_MM_HINT_T0>(block.wrapping_add(40));
        }
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(HEADER + len, align_of::<Header>()).expect("a layout below 4 GiB")
    }
}

impl Clone for Thin {
    fn clone(&self) -> Self {
        // SAFETY: the block is alive. Relaxed is enough to add to a count we already share.
        let before = unsafe { self.block.as_ref() }
            .refs
            .fetch_add(1, Ordering::Relaxed);
        assert!(
            before < u32::MAX / 2,
            "reference count of a byte string ran away"
        );
        Self { block: self.block }
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        // SAFETY: we own one count; whoever takes the last one frees the block, after seeing every
        // use by the others (release on the way down, acquire before the free).
        unsafe {
            if self.block.as_ref().refs.fetch_sub(1, Ordering::Release) == 1 {
                fence(Ordering::Acquire);
                let layout = Self::layout(self.block.as_ref().len as usize);
                dealloc(self.block.as_ptr().cast(), layout);
            }
        }
    }
}

impl Deref for Thin {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for Thin {
    fn eq(&self, other: &Self) -> bool {
        self.same(other) || self.bytes() == other.bytes()
    }
}

impl Eq for Thin {}

impl PartialOrd for Thin {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Thin {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl hash::Hash for Thin {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl std::borrow::Borrow<[u8]> for Thin {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl fmt::Debug for Thin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_it_was_given() {
        let a = Thin::concat(b"/app", b"/x");
        let b = a.clone();
        assert_eq!(a.bytes(), b"/app/x");
        assert!(a.same(&b));
        drop(a);
        assert_eq!(b.text(), "/app/x");
        assert_eq!(Thin::new(b"").len(), 0);
    }

    #[test]
    fn is_eight_bytes_even_when_absent() {
        assert_eq!(size_of::<Option<Thin>>(), 8);
    }

    #[test]
    fn counts_hold_across_threads() {
        let a = Thin::new(&[7; 100]);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    (0..1000)
                        .map(|_| a.clone())
                        .for_each(|c| assert_eq!(c[99], 7))
                });
            }
        });
        assert_eq!(a.len(), 100);
    }
}
