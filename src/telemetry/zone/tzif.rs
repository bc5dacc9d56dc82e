//! Reader of compiled time zone files (TZif, RFC 8536), versions 1 to 4.

use super::posix::PosixRule;
use super::{LocalType, Zone};

/// No zone has more; the largest real ones have a few hundred.
const TRANSITIONS_MAX: usize = 10_000;

/// The six counts of a header.
struct Header {
    version: u8,
    isutc: usize,
    isstd: usize,
    leap: usize,
    times: usize,
    types: usize,
    chars: usize,
}

/// Parses a whole file; `None` if it is not a sound TZif file.
pub(super) fn parse(bytes: &[u8]) -> Option<Zone> {
    let mut rest = bytes;
    let header = header(&mut rest)?;
    if header.version == 0 {
        return block(&mut rest, &header, 4);
    }
    // Version 2 and later repeat everything with 8-byte times after the 4-byte block.
    take(&mut rest, block_len(&header, 4)?)?;
    let header = self::header(&mut rest)?;
    let mut zone = block(&mut rest, &header, 8)?;
    let footer = std::str::from_utf8(rest).ok()?.strip_prefix('\n')?;
    let rule = footer.split_once('\n')?.0;
    zone.rule = PosixRule::parse(rule);
    Some(zone)
}

fn header(rest: &mut &[u8]) -> Option<Header> {
    if take(rest, 4)? != b"TZif" {
        return None;
    }
    let version = *take(rest, 1)?.first()?;
    take(rest, 15)?;
    let mut count = || {
        Some(
            usize::try_from(number(take(rest, 4)?)?)
                .ok()?
                .min(TRANSITIONS_MAX),
        )
    };
    let (isutc, isstd, leap) = (count()?, count()?, count()?);
    let (times, types, chars) = (count()?, count()?, count()?);
    Some(Header {
        version,
        isutc,
        isstd,
        leap,
        times,
        types,
        chars,
    })
}

fn block_len(h: &Header, time: usize) -> Option<usize> {
    // Each count is at most TRANSITIONS_MAX, so this is far from overflowing.
    Some(h.times * (time + 1) + h.types * 6 + h.chars + h.leap * (time + 4) + h.isstd + h.isutc)
}

fn block(rest: &mut &[u8], h: &Header, time: usize) -> Option<Zone> {
    let times = take(rest, h.times * time)?;
    let kinds = take(rest, h.times)?;
    let types = take(rest, h.types * 6)?;
    let names = take(rest, h.chars)?;
    take(rest, h.leap * (time + 4) + h.isstd + h.isutc)?;
    let types: Vec<LocalType> = types
        .chunks_exact(6)
        .map(|entry| local_type(entry, names))
        .collect::<Option<_>>()?;
    let transitions = times
        .chunks_exact(time)
        .zip(kinds)
        .map(|(at, kind)| Some((number(at)?, types.get(usize::from(*kind))?.clone())))
        .collect::<Option<Vec<_>>>()?;
    if !transitions.is_sorted_by_key(|(at, _)| *at) {
        return None;
    }
    Some(Zone {
        transitions,
        first: types.first()?.clone(),
        rule: None,
    })
}

/// Offset (4 bytes), daylight flag (1), index of the name (1).
fn local_type(entry: &[u8], names: &[u8]) -> Option<LocalType> {
    let offset_s = i32::try_from(number(entry.get(..4)?)?).ok()?;
    let name = names.get(usize::from(*entry.get(5)?)..)?;
    let name = name.split(|byte| *byte == 0).next()?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    // RFC 8536: -25 to +26 hours.
    (-90_000..=93_600)
        .contains(&offset_s)
        .then_some(LocalType { offset_s, name })
}

/// A big-endian signed number of up to 8 bytes.
fn number(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.first()? & 0x80 != 0;
    let start = if negative { -1i64 } else { 0 };
    Some(
        bytes
            .iter()
            .fold(start, |value, byte| (value << 8) | i64::from(*byte)),
    )
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_bytes(version: u8, times: u32, types: u32, chars: u32) -> Vec<u8> {
        let mut out = b"TZif".to_vec();
        out.push(version);
        out.extend([0; 15]);
        for count in [0, 0, 0, times, types, chars] {
            out.extend(count.to_be_bytes());
        }
        out
    }

    fn file(footer: &str) -> Vec<u8> {
        let mut out = header_bytes(b'2', 0, 1, 4);
        out.extend([0, 0, 0, 0, 0, 0]);
        out.extend(b"UTC\0");
        out.extend(header_bytes(b'2', 1, 2, 8));
        out.extend(1_000_000i64.to_be_bytes());
        out.push(1);
        out.extend([0, 0, 0, 0, 0, 0]);
        out.extend(3_600i32.to_be_bytes());
        out.extend([0, 4]);
        out.extend(b"UTC\0CET\0");
        out.extend(footer.as_bytes());
        out
    }

    #[test]
    fn a_table_and_then_a_rule() {
        let zone = parse(&file("\nCET-1CEST,M3.5.0,M10.5.0/3\n")).expect("a zone");
        assert_eq!(zone.at(0).name, "UTC");
        assert_eq!(zone.at(1_000_000).name, "CET");
        assert_eq!(zone.at(1_782_864_000).name, "CEST");
        let zone = parse(&file("\n\n")).expect("a zone");
        assert_eq!(zone.at(1_782_864_000).name, "CET");
    }

    #[test]
    fn damaged_files_are_refused_at_any_length() {
        let whole = file("\nUTC0\n");
        for len in 0..whole.len() - 1 {
            assert!(parse(whole.get(..len).expect("shorter")).is_none(), "{len}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            let _ = parse(&broken);
        }
    }
}
