//! `log.<zxid>`: the frame around an entry (Apache: `FileTxnLog`).
//!
//! ```text
//! header   "ZKLG" version=2 dbid=0                                   16 bytes
//! record   checksum:8  length:4  entry:length  0x42                  13 + length bytes
//! padding  zeros
//! ```
//!
//! The checksum is the Adler-32 of the entry bytes alone (Apache's class comment says otherwise).
//! Apache never appends to a file it finds; neither do we.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)
)]

use crate::base::Zxid;
use crate::base::limits::MAX_BUFFER_DEFAULT;

/// First four bytes: `ZKLG`.
pub const MAGIC: [u8; 4] = *b"ZKLG";
/// Bytes of a file's header.
pub const HEADER_LEN: usize = 16;
/// Bytes of a record before its entry.
pub const PREFIX_LEN: usize = 12;
/// Bytes a record adds to its entry.
pub const OVERHEAD: usize = PREFIX_LEN + 1;
/// Last byte of a record.
pub const END: u8 = 0x42;
/// Shortest entry: a transaction header.
pub const ENTRY_MIN: usize = 32;
/// Longest string, buffer or entry accepted by default (`jute.maxbuffer` plus the equal extra size).
pub const LENGTH_MAX_DEFAULT: usize = 2 * MAX_BUFFER_DEFAULT;

/// The header of a new file: version 2, database 0.
pub const HEADER: [u8; HEADER_LEN] = [b'Z', b'K', b'L', b'G', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];

/// Bytes of a record with an entry of this length.
pub fn record_len(entry_len: usize) -> usize {
    entry_len.saturating_add(OVERHEAD)
}

/// The checksum field of an entry's record.
pub fn checksum(entry: &[u8]) -> i64 {
    i64::from(simd_adler32::adler32(&entry))
}

/// The twelve bytes in front of an entry.
///
/// # Panics
/// When the entry is 2 GiB or more; everything logged came in under `jute.maxbuffer`.
pub fn prefix(entry: &[u8]) -> [u8; PREFIX_LEN] {
    let len = i32::try_from(entry.len()).expect("an entry below 2 GiB");
    let mut out = [0; PREFIX_LEN];
    let (sum, length) = out.split_at_mut(8);
    sum.copy_from_slice(&checksum(entry).to_be_bytes());
    length.copy_from_slice(&len.to_be_bytes());
    out
}

/// Appends the record of an entry.
///
/// # Panics
/// As [`prefix`].
pub fn encode_record(entry: &[u8], out: &mut Vec<u8>) {
    out.reserve(record_len(entry.len()));
    out.extend_from_slice(&prefix(entry));
    out.extend_from_slice(entry);
    out.push(END);
}

/// The zxid in an entry's header; `None` when the entry is too short to have one.
pub fn entry_zxid(entry: &[u8]) -> Option<Zxid> {
    let bytes = entry.get(12..20)?.try_into().ok()?;
    (entry.len() >= ENTRY_MIN).then(|| Zxid(i64::from_be_bytes(bytes)))
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Negative, or longer than the limit.
    #[error("Unreasonable length = {0}")]
    Length(i32),
    /// The last byte is not [`END`].
    #[error("the end byte is {0:#04x}")]
    EndByte(u8),
    /// The entry does not have the checksum stored with it.
    #[error("CRC check failed: stored {stored:#x}, computed {computed:#x}")]
    Checksum {
        /// In the record.
        stored: i64,
        /// Of the entry.
        computed: i64,
    },
    /// The checksum holds and the entry cannot be read.
    #[error("{0}")]
    Entry(crate::jute::DecodeError),
}

/// The record that begins a run of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Whole and right; the entry follows [`PREFIX_LEN`] bytes of prefix.
    Entry {
        /// Bytes of the entry.
        len: usize,
    },
    /// The bytes end inside it.
    More {
        /// Bytes it takes, as far as that is known.
        need: usize,
    },
    /// Its length is 0.
    Padding,
    /// It is not one.
    Bad(Bad),
}

impl Frame {
    /// Reads the record at the start of `bytes`.
    pub fn of(bytes: &[u8], length_max: usize) -> Self {
        let Some((sum, rest)) = bytes.split_first_chunk::<8>() else {
            return Self::More { need: PREFIX_LEN };
        };
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Self::More { need: PREFIX_LEN };
        };
        let length = i32::from_be_bytes(*length);
        let len = match usize::try_from(length) {
            Ok(0) => return Self::Padding,
            Ok(n) if n <= length_max => n,
            _ => return Self::Bad(Bad::Length(length)),
        };
        let (Some(entry), Some(end)) = (rest.get(..len), rest.get(len)) else {
            return Self::More {
                need: record_len(len),
            };
        };
        if *end != END {
            return Self::Bad(Bad::EndByte(*end));
        }
        let (stored, computed) = (i64::from_be_bytes(*sum), checksum(entry));
        if stored != computed {
            return Self::Bad(Bad::Checksum { stored, computed });
        }
        Self::Entry { len }
    }
}

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A header; version and database id may be anything, as in Apache.
    Whole,
    /// Fewer than 16 bytes: creation was cut short.
    Short,
    /// 16 zero bytes: the name reached the disk and the header did not.
    Zero,
    /// Something else.
    Wrong([u8; 4]),
}

impl Head {
    /// Reads the first bytes of a file.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.first_chunk::<HEADER_LEN>() {
            None => Self::Short,
            Some(h) if h.starts_with(&MAGIC) => Self::Whole,
            Some([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Self::Zero,
            Some([a, b, c, d, ..]) => Self::Wrong([*a, *b, *c, *d]),
        }
    }
}

/// Why there is no further record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The file ends after the last record.
    End,
    /// A record of length 0.
    Padding,
    /// The file ends inside a record.
    Cut,
    /// A record is wrong. Whether it was torn or damaged shows only in what follows:
    /// `tail::classify`.
    Bad(Bad),
}

impl Stop {
    /// In words, for messages.
    pub fn why(self) -> String {
        match self {
            Self::End => "the file ends".to_owned(),
            Self::Padding => "a record of length 0".to_owned(),
            Self::Cut => "the file ends inside a record".to_owned(),
            Self::Bad(bad) => bad.to_string(),
        }
    }
}

/// Walks the records of bytes in memory, header first.
#[derive(Clone, Debug)]
pub struct LogScanner<'a> {
    rest: &'a [u8],
    offset: u64,
    length_max: usize,
    stop: Option<Stop>,
}

impl<'a> LogScanner<'a> {
    /// Starts behind the header.
    ///
    /// # Errors
    /// What the bytes begin with instead of a header.
    pub fn new(bytes: &'a [u8], length_max: usize) -> Result<Self, Head> {
        match Head::of(bytes) {
            Head::Whole => Ok(Self {
                rest: bytes.get(HEADER_LEN..).unwrap_or_default(),
                offset: HEADER_LEN as u64,
                length_max,
                stop: None,
            }),
            other => Err(other),
        }
    }

    /// Where the next record would begin, and why there is none; `None` while there may be one.
    pub fn stop(&self) -> Option<(u64, Stop)> {
        self.stop.map(|why| (self.offset, why))
    }

    fn ends(&mut self, why: Stop) -> Option<(u64, &'a [u8])> {
        self.stop = Some(why);
        None
    }
}

impl<'a> Iterator for LogScanner<'a> {
    type Item = (u64, &'a [u8]);

    /// The offset of a record and its entry.
    fn next(&mut self) -> Option<Self::Item> {
        if self.stop.is_some() {
            return None;
        }
        if self.rest.is_empty() {
            return self.ends(Stop::End);
        }
        let len = match Frame::of(self.rest, self.length_max) {
            Frame::Entry { len } => len,
            Frame::More { .. } => return self.ends(Stop::Cut),
            Frame::Padding => return self.ends(Stop::Padding),
            Frame::Bad(bad) => return self.ends(Stop::Bad(bad)),
        };
        let (record, rest) = self.rest.split_at_checked(record_len(len))?;
        let at = self.offset;
        self.rest = rest;
        self.offset = at.saturating_add(record.len() as u64);
        Some((at, record.get(PREFIX_LEN..PREFIX_LEN + len)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log_of(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        for e in entries {
            encode_record(e, &mut out);
        }
        out
    }

    fn scan(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<(u64, Stop)>) {
        let mut s = LogScanner::new(bytes, LENGTH_MAX_DEFAULT).unwrap();
        let all = s.by_ref().map(|(_, e)| e.to_vec()).collect();
        (all, s.stop())
    }

    /// First record of a log that Apache 3.9.5 wrote.
    #[test]
    fn golden_record() {
        let hex = "010000157ea60000000000000000000000000001000001a2039f5814fffffff6\
                   00002710000000020000000051c6d660";
        let entry: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect();
        let mut out = Vec::new();
        encode_record(&entry, &mut out);
        assert_eq!(
            out[..12],
            [0, 0, 0, 0, 0xaf, 0x2c, 0x09, 0x66, 0, 0, 0, 0x30]
        );
        assert_eq!((out.len(), out[60]), (61, END));
        assert_eq!(entry_zxid(&entry), Some(Zxid(1)));
    }

    #[test]
    fn stops_say_why_and_where() {
        let one = log_of(&[vec![7; 40]]);
        let end = one.len() as u64;
        assert_eq!(scan(&one).1, Some((end, Stop::End)));
        let mut padded = one.clone();
        padded.resize(200, 0);
        assert_eq!(scan(&padded).1, Some((end, Stop::Padding)));
        for cut in HEADER_LEN + 1..one.len() {
            assert_eq!(scan(&one[..cut]), (vec![], Some((16, Stop::Cut))), "{cut}");
        }
        let mut bad = one.clone();
        bad[40] ^= 1;
        assert!(matches!(
            scan(&bad).1,
            Some((16, Stop::Bad(Bad::Checksum { .. })))
        ));
        *bad.last_mut().unwrap() = 0;
        assert_eq!(scan(&bad).1, Some((16, Stop::Bad(Bad::EndByte(0)))));
        bad[24] = 0x7f;
        assert!(matches!(
            scan(&bad).1,
            Some((16, Stop::Bad(Bad::Length(_))))
        ));
    }

    #[test]
    fn heads() {
        assert_eq!(Head::of(&HEADER), Head::Whole);
        assert_eq!(Head::of(&HEADER[..15]), Head::Short);
        assert_eq!(Head::of(&[0; 16]), Head::Zero);
        assert_eq!(Head::of(b"ZKSN000000000000"), Head::Wrong(*b"ZKSN"));
    }

    /// The definition: two sums modulo 65521.
    fn adler32(bytes: &[u8]) -> i64 {
        let (a, b) = bytes.iter().fold((1_i64, 0_i64), |(a, b), byte| {
            let a = (a + i64::from(*byte)) % 65_521;
            (a, (a + b) % 65_521)
        });
        b << 16 | a
    }

    proptest! {
        #[test]
        fn checksums_are_adler32(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            prop_assert_eq!(checksum(&bytes), adler32(&bytes));
        }

        #[test]
        fn what_is_encoded_is_scanned(
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
            padding in 0usize..600,
        ) {
            let mut bytes = log_of(&entries);
            bytes.resize(bytes.len() + padding, 0);
            prop_assert_eq!(scan(&bytes).0, entries);
        }

        #[test]
        fn mutated_bytes_never_panic_and_never_invent(
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..80), 1..8),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = log_of(&entries);
            for (at, b) in edits {
                let n = at.index(bytes.len() - HEADER_LEN);
                bytes[HEADER_LEN + n] = b;
            }
            let (found, stop) = scan(&bytes);
            prop_assert!(stop.is_some());
            prop_assert!(found.iter().map(Vec::len).sum::<usize>() <= bytes.len());
        }
    }
}
