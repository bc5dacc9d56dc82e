//! Socket addresses as Java prints them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Prints like `InetSocketAddress.toString` of an address that was never looked up: `/127.0.0.1:2181`,
/// `/[0:0:0:0:0:0:0:1]:2181`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JavaSocketAddress(pub SocketAddr);

/// Prints like `InetAddress.getHostAddress`: `127.0.0.1`, `0:0:0:0:0:0:0:1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JavaIp(pub IpAddr);

impl fmt::Display for JavaSocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Java turns IPv4-mapped addresses into IPv4 ones when they are made.
        let port = self.0.port();
        let ip = JavaIp(self.0.ip().to_canonical());
        match (self.0, ip.0) {
            (SocketAddr::V6(v6), IpAddr::V6(_)) if v6.scope_id() != 0 => {
                write!(f, "/[{ip}%{}]:{port}", v6.scope_id())
            }
            (_, IpAddr::V6(_)) => write!(f, "/[{ip}]:{port}"),
            (_, IpAddr::V4(_)) => write!(f, "/{ip}:{port}"),
        }
    }
}

impl fmt::Display for JavaIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => {
                // No part is left out and none is padded.
                for (i, part) in v6.segments().into_iter().enumerate() {
                    let colon = if i == 0 { "" } else { ":" };
                    write!(f, "{colon}{part:x}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_forms() {
        for (address, text) in [
            ("127.0.0.1:34782", "/127.0.0.1:34782"),
            ("[::1]:2181", "/[0:0:0:0:0:0:0:1]:2181"),
            ("[2001:db8::a0]:1", "/[2001:db8:0:0:0:0:0:a0]:1"),
            ("[fe80::1%2]:1", "/[fe80:0:0:0:0:0:0:1%2]:1"),
            ("[::ffff:10.0.0.1]:5", "/10.0.0.1:5"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(JavaSocketAddress(address).to_string(), text);
        }
    }
}
