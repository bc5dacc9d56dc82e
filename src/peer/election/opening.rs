//! The initial message of a connection (Apache: `QuorumCnxManager.InitialMessage`).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::ADDRESS_MAX;
use crate::base::ServerId;
use crate::config::server_line::HostPort;

/// One address follows.
const V1: i64 = -65536;
/// Several addresses may follow (since 3.6).
const V2: i64 = -65535;

/// Who the other side is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub sid: ServerId,
    pub addresses: Vec<HostPort>,
}

/// What this server announces: all its addresses if `all`, else the first.
pub(super) fn encode(me: ServerId, own: &[HostPort], all: bool) -> Vec<u8> {
    let mut text = String::new();
    for address in own.iter().take(if all { usize::MAX } else { 1 }) {
        let one = match address.host.contains(':') {
            true => format!("[{}]:{}", address.host, address.port),
            false => format!("{}:{}", address.host, address.port),
        };
        let gap = if text.is_empty() { "" } else { "|" };
        if text.len() + one.len() < ADDRESS_MAX {
            text.push_str(gap);
            text.push_str(&one);
        }
    }
    let mut message = Vec::with_capacity(20 + text.len());
    message.extend_from_slice(&(if all { V2 } else { V1 }).to_be_bytes());
    message.extend_from_slice(&me.0.to_be_bytes());
    message.extend_from_slice(&(text.len() as i32).to_be_bytes());
    message.extend_from_slice(text.as_bytes());
    message
}

/// Reads it, in however many pieces it comes.
///
/// # Errors
/// Of the connection; `InvalidData` when it is no initial message.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Hello> {
    let version = from.read_i64().await?;
    if version >= 0 {
        // The oldest form: an id and nothing else.
        return Ok(Hello {
            sid: ServerId(version),
            addresses: Vec::new(),
        });
    }
    if version != V1 && version != V2 {
        return Err(invalid(format!(
            "Got unrecognized protocol version {version}"
        )));
    }
    let sid = ServerId(from.read_i64().await?);
    let announced = from.read_i32().await?;
    let length = usize::try_from(announced).unwrap_or(0);
    if length == 0 || length > ADDRESS_MAX {
        return Err(invalid(format!("Unreasonable buffer length: {announced}")));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).await?;
    let text = String::from_utf8(text).map_err(|_| invalid("Bad address".to_string()))?;
    // Java splits in both versions.
    let addresses: Option<Vec<HostPort>> = text.split('|').map(address).collect();
    Ok(Hello {
        sid,
        addresses: addresses.ok_or_else(|| invalid(format!("Bad address: {text:?}")))?,
    })
}

fn address(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if host.is_empty() || host.contains(odd) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(HostPort {
        host: host.to_string(),
        port: port.parse().ok()?,
    })
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> HostPort {
        HostPort {
            host: host.to_string(),
            port,
        }
    }

    async fn back(bytes: &[u8]) -> io::Result<Hello> {
        let mut from = bytes;
        read(&mut from).await
    }

    #[tokio::test]
    async fn both_versions_round_trip() {
        let own = [at("zk1", 3888), at("0:0:0:0:0:0:0:1", 3889)];
        let one = encode(ServerId(1), &own, false);
        let mut expected = vec![255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        expected.extend_from_slice(b"\0\0\0\x08zk1:3888");
        assert_eq!(one, expected, "what Java sends");
        assert_eq!(back(&one).await.unwrap().addresses, own[..1]);
        let all = back(&encode(ServerId(-3), &own, true)).await.unwrap();
        assert_eq!((all.sid, &all.addresses[..]), (ServerId(-3), &own[..]));
    }

    #[tokio::test]
    async fn an_id_alone_is_enough() {
        let hello = back(&7i64.to_be_bytes()).await.unwrap();
        assert_eq!((hello.sid, hello.addresses.len()), (ServerId(7), 0));
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let message = |version: i64, length: i32, text: &[u8]| {
            let mut m = version.to_be_bytes().to_vec();
            m.extend_from_slice(&2i64.to_be_bytes());
            m.extend_from_slice(&length.to_be_bytes());
            m.extend_from_slice(text);
            m
        };
        let long = vec![b'a'; 2049];
        for (version, length, text) in [
            (-1, 3, &b"a:1"[..]),
            (V1, 0, b""),
            (V1, -1, b"a:1"),
            (V1, 2049, &long),
            (V1, 3, b"a:x"),
            (V1, 2, b":1"),
            (V1, 7, b"a:70000"),
            (V1, 4, b"a:+1"),
            (V2, 4, b"a:1|"),
            (V1, 4, b"[a:1"),
            (V1, 5, b"a b:1"),
            (V1, 3, b"\xff:1"),
        ] {
            let e = back(&message(version, length, text)).await.unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::InvalidData, "{version} {text:?}");
        }
    }
}
