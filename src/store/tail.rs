//! What lies behind the last good record of a log: nothing, a write that did not finish, or damage.
//!
//! A write that did not finish loses nothing that was acknowledged; damage may. They are told apart
//! by what an interrupted write can leave behind:
//!
//! * *Torn*: the record's first bytes are there, and from some point on the file is zeros or over
//!   (a killed process, a short write).
//! * *Hole*: one batch is in flight at a time and its sectors reach the disk in any order, so after
//!   a power cut a record may miss a whole sector while later records of the batch are there. Zeros
//!   in place of a sector, and nothing valid further on than a batch is long.
//! * Anything else is *damage*: bytes that were complete are wrong.
//!
//! Differs: Apache takes a wrong end byte or a length of 0 for the end of the file wherever they
//! are, and any wrong checksum for fatal.

use std::io;

use crate::base::Zxid;
use crate::base::limits::BATCH_BYTES_MAX;

use super::dir::{ReadAt, read_full};
use super::txnlog::{ENTRY_MIN, Frame, PREFIX_LEN, entry_zxid, record_len};

/// Smallest unit a disk writes whole, bytes.
const SECTOR: u64 = 512;
/// Bytes looked at together.
const CHUNK: usize = 64 * 1024;
/// How far behind a damaged record the next good one is looked for, bytes; for the message only.
const LOOK_AHEAD: u64 = 2 * BATCH_BYTES_MAX as u64;
/// Furthest that a transaction found by chance may be from the last one, in zxids of one epoch.
const PLAUSIBLE_STEP: i64 = 1 << 24;

/// What a stop means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing but zeros: the regular end.
    Clean,
    /// An unfinished write; what is before it is everything.
    Torn,
    /// An unfinished batch with a sector missing; what is before it is everything.
    Hole,
    /// Damage.
    Damaged {
        /// The next good record, if one is near: its offset and zxid.
        next: Option<(u64, Zxid)>,
    },
}

/// Judges the bytes from `at`, where the record behind `last` should be and is not.
///
/// # Errors
/// What the device says.
pub fn classify<R: ReadAt + ?Sized>(
    file: &R,
    at: u64,
    last: Zxid,
    length_max: usize,
) -> io::Result<Tail> {
    let Some(data_end) = data_end(file, at)? else {
        return Ok(Tail::Clean);
    };
    let announced = announced(file, at, length_max)?;
    let prefix_end = at.saturating_add(PREFIX_LEN as u64);
    let record_end = match announced {
        Some(len) => at.saturating_add(record_len(len) as u64),
        None => prefix_end,
    };
    let whole = match announced {
        Some(_) => data_end >= record_end,
        None => data_end > prefix_end,
    };
    if !whole {
        return Ok(Tail::Torn);
    }
    let far = at.saturating_add(BATCH_BYTES_MAX as u64);
    let seen = Seen { last, length_max };
    if has_hole(file, at, record_end)? && seen.next_record(file, far, data_end)?.is_none() {
        return Ok(Tail::Hole);
    }
    let near = data_end.min(at.saturating_add(LOOK_AHEAD));
    let next = seen.next_record(file, at.saturating_add(1), near)?;
    Ok(Tail::Damaged { next })
}

/// The length field of the record at `at`, if it can be one.
fn announced<R: ReadAt + ?Sized>(
    file: &R,
    at: u64,
    length_max: usize,
) -> io::Result<Option<usize>> {
    let mut prefix = [0; PREFIX_LEN];
    read_full(file, &mut prefix, at)?;
    let [.., a, b, c, d] = prefix;
    let len = usize::try_from(i32::from_be_bytes([a, b, c, d])).ok();
    Ok(len.filter(|n| (1..=length_max).contains(n)))
}

/// Behind the last byte at or after `from` that is not zero; `None` when all are.
fn data_end<R: ReadAt + ?Sized>(file: &R, from: u64) -> io::Result<Option<u64>> {
    let mut buf = vec![0; CHUNK];
    let (mut at, mut end) = (from, None);
    while let Some(data) = file.next_data(at)? {
        let n = read_full(file, &mut buf, data)?;
        if n == 0 {
            break;
        }
        let read = buf.get(..n).unwrap_or_default();
        if let Some(i) = read.iter().rposition(|b| *b != 0) {
            end = Some(data.saturating_add(i as u64).saturating_add(1));
        }
        at = data.saturating_add(n as u64);
    }
    Ok(end)
}

/// True when a whole sector (or the part of the first one from `at` on) that the record covers is
/// zeros. Four bytes are no evidence: a checksum's upper half is always zero.
fn has_hole<R: ReadAt + ?Sized>(file: &R, at: u64, record_end: u64) -> io::Result<bool> {
    let mut piece = [0; SECTOR as usize];
    let mut from = at;
    while from < record_end {
        let to = (from / SECTOR).saturating_add(1).saturating_mul(SECTOR);
        let width = usize::try_from(to.saturating_sub(from)).unwrap_or_default();
        let room = piece.get_mut(..width).unwrap_or_default();
        let n = read_full(file, room, from)?;
        let read = room.get(..n).unwrap_or_default();
        if width > 4 && n > 4 && read.iter().all(|b| *b == 0) {
            return Ok(true);
        }
        from = to;
    }
    Ok(false)
}

/// What a record that follows must look like.
struct Seen {
    last: Zxid,
    length_max: usize,
}

impl Seen {
    /// The first valid record that begins in `from..to`.
    fn next_record<R: ReadAt + ?Sized>(
        &self,
        file: &R,
        from: u64,
        to: u64,
    ) -> io::Result<Option<(u64, Zxid)>> {
        let mut buf = vec![0; CHUNK + PREFIX_LEN];
        let mut base = from;
        while base < to {
            let Some(data) = file.next_data(base)? else {
                break;
            };
            base = base.max(data.saturating_sub(PREFIX_LEN as u64));
            let n = read_full(file, &mut buf, base)?;
            let read = buf.get(..n).unwrap_or_default();
            for (i, window) in read.windows(PREFIX_LEN).enumerate().take(CHUNK) {
                let offset = base.saturating_add(i as u64);
                if offset >= to {
                    break;
                }
                if let Some(len) = self.plausible_prefix(window)
                    && let Some(zxid) = self.record_at(file, offset, len)?
                {
                    return Ok(Some((offset, zxid)));
                }
            }
            base = base.saturating_add(CHUNK as u64);
        }
        Ok(None)
    }

    fn plausible_prefix(&self, prefix: &[u8]) -> Option<usize> {
        let [0, 0, 0, 0, s0, s1, s2, s3, a, b, c, d] = prefix else {
            return None;
        };
        let len = usize::try_from(i32::from_be_bytes([*a, *b, *c, *d])).ok()?;
        let fits = (ENTRY_MIN..=self.length_max).contains(&len);
        (fits && [*s0, *s1, *s2, *s3] != [0; 4]).then_some(len)
    }

    /// The zxid of the record at `offset`, if there is a valid one with a believable zxid there.
    fn record_at<R: ReadAt + ?Sized>(
        &self,
        file: &R,
        offset: u64,
        len: usize,
    ) -> io::Result<Option<Zxid>> {
        let mut head = [0; PREFIX_LEN + ENTRY_MIN];
        let n = read_full(file, &mut head, offset)?;
        let entry = head.get(PREFIX_LEN..n).unwrap_or_default();
        let Some(zxid) = entry_zxid(entry).filter(|z| self.believable(*z)) else {
            return Ok(None);
        };
        let end = offset.saturating_add(record_len(len) as u64);
        if end > file.len()? {
            return Ok(None);
        }
        let mut record = vec![0; record_len(len)];
        let n = read_full(file, &mut record, offset)?;
        let frame = Frame::of(record.get(..n).unwrap_or_default(), self.length_max);
        Ok(matches!(frame, Frame::Entry { .. }).then_some(zxid))
    }

    fn believable(&self, zxid: Zxid) -> bool {
        let step = zxid.0.wrapping_sub(self.last.0);
        let epochs = zxid.epoch().0.wrapping_sub(self.last.epoch().0);
        (0..=PLAUSIBLE_STEP).contains(&step)
            || ((1..=1 << 16).contains(&epochs) && i64::from(zxid.counter()) <= PLAUSIBLE_STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::super::txnlog::{HEADER, LENGTH_MAX_DEFAULT, encode_record};
    use super::*;

    fn entry(zxid: i64, body: usize) -> Vec<u8> {
        let mut e = vec![0; 12];
        e.extend_from_slice(&zxid.to_be_bytes());
        e.extend_from_slice(&[1; 12]);
        e.extend(std::iter::repeat_n(0x55, body));
        e
    }

    /// A log of three records of `body` payload bytes each; the offsets of the records and the end.
    fn three(body: usize) -> (Vec<u8>, [usize; 4]) {
        let mut bytes = HEADER.to_vec();
        let mut at = [0; 4];
        for (i, z) in (1..=3).enumerate() {
            at[i] = bytes.len();
            encode_record(&entry(z, body), &mut bytes);
        }
        at[3] = bytes.len();
        (bytes, at)
    }

    fn judge(bytes: &[u8], at: usize, last: i64) -> Tail {
        classify(&bytes.to_vec(), at as u64, Zxid(last), LENGTH_MAX_DEFAULT).unwrap()
    }

    #[test]
    fn every_prefix_is_torn_padded_or_not() {
        let (bytes, at) = three(700);
        for cut in at[2]..at[3] {
            let mut part = bytes[..cut].to_vec();
            let want = match part[at[2]..].iter().any(|b| *b != 0) {
                true => Tail::Torn,
                false => Tail::Clean,
            };
            assert_eq!(judge(&part, at[2], 2), want, "cut at {cut}");
            part.resize(cut + 5000, 0);
            assert_eq!(judge(&part, at[2], 2), want, "zeros from {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_and_the_next_record_is_named() {
        let (mut bytes, at) = three(100);
        bytes[at[1] + 60] ^= 4;
        bytes.resize(9000, 0);
        let next = Some((at[2] as u64, Zxid(3)));
        assert_eq!(judge(&bytes, at[1], 1), Tail::Damaged { next });
        let (mut bytes, at) = three(100);
        bytes[at[2] + 60] ^= 4;
        assert_eq!(judge(&bytes, at[2], 2), Tail::Damaged { next: None });
    }

    #[test]
    fn a_length_of_zero_before_records_is_damage() {
        let (mut bytes, at) = three(100);
        bytes[at[1] + 8..at[1] + 12].fill(0);
        let next = Some((at[2] as u64, Zxid(3)));
        assert_eq!(judge(&bytes, at[1], 1), Tail::Damaged { next });
    }

    #[test]
    fn a_missing_sector_of_the_last_batch_is_a_hole() {
        let (mut bytes, at) = three(2000);
        bytes[2560..3072].fill(0);
        assert!((at[1]..at[2]).contains(&2560));
        assert_eq!(judge(&bytes, at[1], 1), Tail::Hole);
    }

    #[test]
    fn a_missing_sector_that_holds_the_prefix_is_a_hole() {
        let (mut bytes, at) = three(2000);
        let end = at[1].next_multiple_of(512);
        assert!(end - at[1] > 4);
        bytes[at[1]..end].fill(0);
        assert_eq!(judge(&bytes, at[1], 1), Tail::Hole);
    }

    #[test]
    fn a_missing_sector_of_synced_bytes_is_damage() {
        let (mut bytes, at) = three(2000);
        bytes[2560..3072].fill(0);
        for z in 4..10 {
            encode_record(&entry(z, 1_900_000), &mut bytes);
        }
        assert!(matches!(judge(&bytes, at[1], 1), Tail::Damaged { .. }));
    }

    #[test]
    fn an_unreasonable_length_before_its_entry_is_damage() {
        let (bytes, at) = three(100);
        for forged in [i32::MAX, -5, -1] {
            let mut bad = bytes.clone();
            bad[at[2] + 8..at[2] + 12].copy_from_slice(&forged.to_be_bytes());
            assert_eq!(judge(&bad, at[2], 2), Tail::Damaged { next: None });
        }
    }
}
