//! The `digest` scheme (Apache: `DigestAuthenticationProvider`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha512};

use crate::base::text::java_utf8;

/// Hash behind digest ids (`zookeeper.DigestAuthenticationProvider.digestAlg`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// The default.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// The algorithm with this JCA name; `None` when we do not have it.
    pub fn of(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "SHA1" | "SHA-1" | "SHA" => Some(Self::Sha1),
            "SHA-256" => Some(Self::Sha256),
            "SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// The id of a credential `user:password`: `user:base64(hash(user:password))`.
pub fn digest_id(algorithm: DigestAlgorithm, credential: &[u8]) -> String {
    let text = java_utf8(credential);
    let user = text.split(':').next().unwrap_or_default();
    format!(
        "{user}:{}",
        STANDARD.encode(algorithm.hash(text.as_bytes()))
    )
}

/// An ACL id of this scheme has exactly two parts, trailing empty ones not counted.
pub(super) fn is_valid_id(id: &str) -> bool {
    let mut parts: Vec<&str> = id.split(':').collect();
    while parts.last() == Some(&"") {
        parts.pop();
    }
    parts.len() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_ids() {
        let id = |c: &str| digest_id(DigestAlgorithm::Sha1, c.as_bytes());
        assert_eq!(id("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        assert_eq!(id("user:password"), "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY=");
    }

    #[test]
    fn ids_have_two_parts() {
        for good in ["u:h", ":h", "u:h:"] {
            assert!(is_valid_id(good), "{good}");
        }
        for bad in ["u", "u:", "a:b:c", ""] {
            assert!(!is_valid_id(bad), "{bad}");
        }
    }
}
