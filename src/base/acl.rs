//! Access control lists.

use std::borrow::Cow;

/// Permission bits (Apache: `ZooDefs.Perms`). Unknown bits are stored as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Perms(pub i32);

impl Perms {
    /// Read data and children.
    pub const READ: Self = Self(1);
    /// Set data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Set the ACL.
    pub const ADMIN: Self = Self(16);
    /// All five.
    pub const ALL: Self = Self(31);

    /// True when any bit of `wanted` is granted.
    pub fn intersects(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }
}

/// An identity: of a connection, or in an ACL entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// Scheme name, e.g. `digest`.
    pub scheme: String,
    /// Scheme-specific id.
    pub id: String,
}

impl Id {
    /// Builds an identity.
    pub fn new(scheme: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// `world:anyone`.
    pub fn anyone() -> Self {
        Self::new("world", "anyone")
    }
}

/// One entry of an ACL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl {
    /// What is granted.
    pub perms: Perms,
    /// To whom.
    pub id: Id,
}

impl Acl {
    /// The list that grants everything to everyone (Apache: `OPEN_ACL_UNSAFE`).
    pub fn open() -> Vec<Self> {
        vec![Self {
            perms: Perms::ALL,
            id: Id::anyone(),
        }]
    }

    /// The list that lets everyone read (Apache: `READ_ACL_UNSAFE`).
    pub fn read_only() -> Vec<Self> {
        vec![Self {
            perms: Perms::READ,
            id: Id::anyone(),
        }]
    }

    /// The entry as a caller without ADMIN may see it: the secret of a digest id is hidden
    /// (Apache: `FinalRequestProcessor`).
    pub fn redacted(&self) -> Cow<'_, Self> {
        match self.id.id.split_once(':') {
            Some((user, _)) if self.id.scheme == "digest" => Cow::Owned(Self {
                perms: self.perms,
                id: Id::new("digest", format!("{user}:x")),
            }),
            _ => Cow::Borrowed(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_secrets_are_hidden() {
        let a = Acl {
            perms: Perms::ALL,
            id: Id::new("digest", "bob:abc="),
        };
        assert_eq!(a.redacted().id.id, "bob:x");
        let open = &Acl::open()[0];
        assert_eq!(open.redacted().as_ref(), open);
    }
}
