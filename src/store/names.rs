//! Names in a `version-2` directory (Apache: `Util.getZxidFromName`).
//!
//! Differs: Apache looks at the first two parts of a name only, so `snapshot.22.tmp` and
//! `log.1f.bak` count there; a complete image left under such a name can replace the database.
//! Here a name is exactly what a writer would give, or it is nobody's.

use crate::base::Zxid;

use super::snapshot::Compression;

/// What a file name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName {
    /// `log.<hex>`, the zxid of its first record.
    Log(Zxid),
    /// `snapshot.<hex>[.gz|.snappy]`, the zxid when writing began.
    Snapshot(Zxid, Compression),
    /// Begins like a log or a snapshot and is neither; reported and left alone.
    Lookalike,
    /// Anything else.
    Other,
}

impl FileName {
    /// Reads a name.
    pub fn of(name: &str) -> Self {
        if let Some(rest) = name.strip_prefix("log.") {
            return hex(rest).map_or(Self::Lookalike, Self::Log);
        }
        let Some(rest) = name.strip_prefix("snapshot.") else {
            return Self::Other;
        };
        let (digits, compression) = match rest.split_once('.') {
            None => (rest, Some(Compression::None)),
            Some((digits, suffix)) => (digits, Compression::of_suffix(suffix)),
        };
        match (hex(digits), compression) {
            (Some(zxid), Some(compression)) => Self::Snapshot(zxid, compression),
            _ => Self::Lookalike,
        }
    }
}

/// Up to 16 hexadecimal digits without a sign, below 2^63.
fn hex(digits: &str) -> Option<Zxid> {
    let plain = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain
        .then(|| i64::from_str_radix(digits, 16).ok().map(Zxid))
        .flatten()
}

/// The name of a log whose first record is `zxid`.
pub fn log_name(zxid: Zxid) -> String {
    format!("log.{:x}", zxid.0)
}

/// The name of a snapshot begun when `zxid` was the last applied transaction.
pub fn snapshot_name(zxid: Zxid, compression: Compression) -> String {
    format!("snapshot.{:x}{}", zxid.0, compression.suffix())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_count() {
        let none = Compression::None;
        for (name, want) in [
            ("log.1f", FileName::Log(Zxid(0x1f))),
            ("log.100000001", FileName::Log(Zxid(0x1_0000_0001))),
            ("snapshot.0", FileName::Snapshot(Zxid(0), none)),
            (
                "snapshot.b.gz",
                FileName::Snapshot(Zxid(11), Compression::Gz),
            ),
            (
                "snapshot.b.snappy",
                FileName::Snapshot(Zxid(11), Compression::Snappy),
            ),
            ("snapshot.22.tmp", FileName::Lookalike),
            ("snapshot.22.gz.tmp", FileName::Lookalike),
            ("log.1f.bak", FileName::Lookalike),
            ("log.-1", FileName::Lookalike),
            ("log.+1", FileName::Lookalike),
            ("log.", FileName::Lookalike),
            ("log.8000000000000000", FileName::Lookalike),
            ("log.00000000000000001", FileName::Lookalike),
            ("prealloc.3", FileName::Other),
            ("currentEpoch", FileName::Other),
        ] {
            assert_eq!(FileName::of(name), want, "{name}");
        }
    }

    #[test]
    fn written_names_read_back() {
        for zxid in [0, 1, 0x1_0000_0001, i64::MAX].map(Zxid) {
            assert_eq!(FileName::of(&log_name(zxid)), FileName::Log(zxid));
            for c in [Compression::None, Compression::Gz, Compression::Snappy] {
                assert_eq!(
                    FileName::of(&snapshot_name(zxid, c)),
                    FileName::Snapshot(zxid, c)
                );
            }
        }
    }
}
