//! An address a listener binds to, and how Java prints it.

use std::net::IpAddr;

/// An address to listen on: what the operator wrote and the IP it resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    /// Host name as written, `0.0.0.0` when only a port was given, `None` for an IP literal.
    pub host: Option<String>,
    /// The resolved address. `0.0.0.0` means any address; the JVM then also accepts IPv6 connections.
    pub ip: IpAddr,
    /// TCP port; 0 asks the system for a free one.
    pub port: u16,
}

impl ListenAddr {
    /// A listener on a numeric address.
    pub fn numeric(ip: IpAddr, port: u16) -> ListenAddr {
        ListenAddr {
            host: None,
            ip,
            port,
        }
    }

    /// Text of `InetSocketAddress.toString`: `host/ip:port`, or `/ip:port` without a name.
    pub fn java_text(&self) -> String {
        let host = self.host.as_deref().unwrap_or("");
        match self.ip {
            IpAddr::V4(ip) => format!("{host}/{ip}:{}", self.port),
            IpAddr::V6(ip) => format!("{host}/[{}]:{}", java_ipv6(ip), self.port),
        }
    }

    /// Text of `NetUtils.formatInetAddr`: `ip:port`, IPv6 in brackets.
    pub fn formatted(&self) -> String {
        match self.ip {
            IpAddr::V4(ip) => format!("{ip}:{}", self.port),
            IpAddr::V6(ip) => format!("[{}]:{}", java_ipv6(ip), self.port),
        }
    }
}

/// An IPv6 address as Java prints it: eight groups, no compression.
pub fn java_ipv6(ip: std::net::Ipv6Addr) -> String {
    let groups: Vec<String> = ip.segments().iter().map(|s| format!("{s:x}")).collect();
    groups.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_java_does() {
        let any = ListenAddr::numeric("0.0.0.0".parse().unwrap(), 2181);
        assert_eq!(any.formatted(), "0.0.0.0:2181");
        assert_eq!(any.java_text(), "/0.0.0.0:2181");
        let v6 = ListenAddr {
            host: Some("h".into()),
            ip: "::1".parse().unwrap(),
            port: 1,
        };
        assert_eq!(v6.formatted(), "[0:0:0:0:0:0:0:1]:1");
        assert_eq!(v6.java_text(), "h/[0:0:0:0:0:0:0:1]:1");
    }
}
