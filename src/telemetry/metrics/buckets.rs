//! The buckets of a log-linear histogram: exact below 16, then 16 to an octave.

/// Values below this have a bucket each.
pub(super) const EXACT: usize = 16;
/// log2 of [`EXACT`].
const EXACT_BITS: u32 = 4;
/// Octaves above the exact part: up to 2^32, i.e. 49 days in ms or 4 GiB in bytes.
const OCTAVES: usize = 28;
/// Buckets for values from 16 up.
pub(super) const TAIL: usize = OCTAVES * EXACT;
/// All buckets.
pub(super) const BUCKETS: usize = EXACT + TAIL;

/// The bucket of `value`, below [`BUCKETS`]. Values past the last octave share the last bucket.
#[inline]
pub(super) fn index(value: u64) -> usize {
    if value < EXACT as u64 {
        return value as usize;
    }
    let msb = 63 - value.leading_zeros();
    let octave = (msb - EXACT_BITS) as usize;
    let step = (value >> (msb - EXACT_BITS)) as usize - EXACT;
    (EXACT + octave * EXACT + step).min(BUCKETS - 1)
}

/// The value that stands for a bucket: the value itself below 16, the middle above. It is off by at
/// most 1/32 (3.1 %) of any value of that bucket.
pub(super) fn representative(index: usize) -> u64 {
    if index < EXACT {
        return index as u64;
    }
    let octave = (index - EXACT) / EXACT;
    let step = (index - EXACT) % EXACT;
    let low = ((EXACT + step) as u64) << octave;
    low + ((1u64 << octave) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_close() {
        let mut last = 0;
        for value in (0..4096u64).chain((12..32).flat_map(|b| [1 << b, (1 << b) + 7, (2 << b) - 1]))
        {
            let i = index(value);
            assert!(i >= last || value < 4096, "{value}");
            last = last.max(i);
            let off = representative(i).abs_diff(value);
            assert!(off * 32 <= value, "{value}: {}", representative(i));
        }
    }

    #[test]
    fn huge_values_share_the_last_bucket() {
        assert_eq!(index(u64::MAX), BUCKETS - 1);
        assert_eq!(index((1 << 32) - 1), BUCKETS - 1);
    }
}
