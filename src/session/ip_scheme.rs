//! The `ip` scheme (Apache: `IPAuthenticationProvider`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The identity text of a peer address: dotted, or eight uncompressed groups in lower-case hex.
pub fn ip_text(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => v6.segments().map(|g| format!("{g:x}")).join(":"),
        },
    }
}

/// An address with the number of leading bits that count.
fn parse(expr: &str) -> Option<(Vec<u8>, usize)> {
    let (addr, bits) = match expr.split_once('/') {
        Some((a, b)) => (a, Some(b.parse::<usize>().ok()?)),
        None => (expr, None),
    };
    let bytes = parse_v4(addr)
        .map(|a| a.to_vec())
        .or_else(|| parse_v6(addr).map(|a| a.to_vec()))?;
    let all = bytes.len() * 8;
    let bits = bits.unwrap_or(all);
    (bits <= all).then_some((bytes, bits))
}

/// Four decimal numbers, with leading zeros or a plus sign if somebody likes them.
fn parse_v4(addr: &str) -> Option<[u8; 4]> {
    let parts: Vec<u8> = addr
        .split('.')
        .map(|p| p.parse::<u8>().ok())
        .collect::<Option<_>>()?;
    parts
        .try_into()
        .ok()
        .map(|a: [u8; 4]| Ipv4Addr::from(a).octets())
}

/// Eight groups, or fewer with one `::` for at least one; no embedded IPv4, no zone.
fn parse_v6(addr: &str) -> Option<[u8; 16]> {
    if addr.contains('.') || addr.contains('%') {
        return None;
    }
    addr.parse::<Ipv6Addr>().ok().map(|a| a.octets())
}

pub(super) fn is_valid_id(expr: &str) -> bool {
    parse(expr).is_some()
}

/// True when the connection's address lies in the ACL's range; families never mix.
pub(super) fn matches(id: &str, expr: &str) -> bool {
    let (Some((have, _)), Some((want, bits))) = (parse(id), parse(expr)) else {
        return false;
    };
    if have.len() != want.len() {
        return false;
    }
    let (whole, rest) = (bits / 8, bits % 8);
    let mask = !(0xff_u8.checked_shr(rest as u32).unwrap_or(0));
    have.get(..whole) == want.get(..whole)
        && (rest == 0
            || have
                .get(whole)
                .zip(want.get(whole))
                .is_some_and(|(h, w)| h & mask == w & mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert!(matches("127.0.0.1", "127.0.0.1"));
        assert!(matches("10.1.2.3", "10.1.0.0/16"));
        assert!(!matches("10.2.2.3", "10.1.0.0/16"));
        assert!(matches("10.129.0.1", "10.128.0.0/9"));
        assert!(matches("1.2.3.4", "0.0.0.0/0"));
        assert!(matches("0:0:0:0:0:0:0:1", "::1"));
        assert!(!matches("0:0:0:0:0:0:0:1", "127.0.0.1"));
    }

    #[test]
    fn validity() {
        for good in [
            "1.2.3.4",
            "1.2.3.4/32",
            "::1",
            "fe80::/10",
            "0:0:0:0:0:0:0:1",
        ] {
            assert!(is_valid_id(good), "{good}");
        }
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4.5",
            "256.1.1.1",
            "::1.2.3.4",
            "fe80::1%lo",
            "x",
        ] {
            assert!(!is_valid_id(bad), "{bad}");
        }
    }

    #[test]
    fn loopback_v6_is_uncompressed() {
        assert_eq!(ip_text(IpAddr::V6(Ipv6Addr::LOCALHOST)), "0:0:0:0:0:0:0:1");
    }
}
