//! Putting the ACL of a create or setACL in order (Apache: `PrepRequestProcessor.fixupACL`).

use super::providers::Authorizer;
use crate::base::hash::Set;
use crate::base::{Acl, Id, Perms};
use crate::proto::Code;
use crate::proto::request::AclWire;

/// Why an ACL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclError {
    /// -114.
    Invalid,
    /// -5: an id string is null.
    NullId,
}

impl AclError {
    /// The code clients get.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidAcl,
            Self::NullId => Code::MarshallingError,
        }
    }
}

impl Authorizer {
    /// Removes duplicates, expands `auth` entries to the caller's identities and checks the rest.
    ///
    /// # Errors
    /// [`AclError`] for a list that cannot be stored.
    pub fn fix_acl(&self, ids: &[Id], acl: Option<&[AclWire<'_>]>) -> Result<Vec<Acl>, AclError> {
        let list = acl.filter(|l| !l.is_empty()).ok_or(AclError::Invalid)?;
        let mut fixed: Vec<Acl> = Vec::new();
        let mut seen = Set::default();
        for entry in list {
            if !seen.insert((
                entry.perms,
                entry.id.scheme.as_deref(),
                entry.id.id.as_deref(),
            )) {
                continue;
            }
            let scheme = entry.id.scheme.as_deref().ok_or(AclError::Invalid)?;
            let perms = Perms(entry.perms);
            if scheme == "auth" {
                fixed.extend(self.expand_auth(ids, perms)?);
                continue;
            }
            let id = entry.id.id.as_deref().ok_or(AclError::NullId)?;
            let id = Id::new(scheme, id);
            if !self.is_valid(&id) {
                return Err(AclError::Invalid);
            }
            fixed.push(Acl { perms, id });
        }
        Ok(fixed)
    }

    fn expand_auth(&self, ids: &[Id], perms: Perms) -> Result<Vec<Acl>, AclError> {
        let own: Vec<Acl> = ids
            .iter()
            .filter(|i| self.authenticates(&i.scheme))
            .map(|i| Acl {
                perms,
                id: i.clone(),
            })
            .collect();
        if own.is_empty() {
            Err(AclError::Invalid)
        } else {
            Ok(own)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::providers::AuthorizerOptions;
    use super::*;
    use crate::proto::request::IdWire;

    fn entry<'a>(perms: i32, scheme: Option<&'a str>, id: Option<&'a str>) -> AclWire<'a> {
        let id = IdWire {
            scheme: scheme.map(Into::into),
            id: id.map(Into::into),
        };
        AclWire { perms, id }
    }

    fn fix(ids: &[Id], acl: &[AclWire<'_>]) -> Result<Vec<Acl>, AclError> {
        let options = AuthorizerOptions {
            digest_enabled: true,
            ..AuthorizerOptions::default()
        };
        Authorizer::new(options).fix_acl(ids, Some(acl))
    }

    #[test]
    fn duplicates_go_and_order_stays() {
        let w = entry(31, Some("world"), Some("anyone"));
        let d = entry(1, Some("digest"), Some("u:h"));
        let fixed = fix(&[], &[d.clone(), w.clone(), d]).unwrap();
        assert_eq!(fixed.iter().map(|a| a.perms.0).collect::<Vec<_>>(), [1, 31]);
    }

    #[test]
    fn auth_becomes_the_callers_identities() {
        let ids = [
            Id::new("ip", "127.0.0.1"),
            Id::new("super", ""),
            Id::new("digest", "u:h"),
        ];
        let fixed = fix(&ids, &[entry(3, Some("auth"), Some("ignored"))]).unwrap();
        assert_eq!(
            fixed,
            [Acl {
                perms: Perms(3),
                id: Id::new("digest", "u:h")
            }]
        );
        let auth = [entry(3, Some("auth"), None)];
        assert_eq!(fix(&ids[..2], &auth), Err(AclError::Invalid));
    }

    #[test]
    fn refusals() {
        assert_eq!(fix(&[], &[]), Err(AclError::Invalid));
        assert_eq!(
            fix(&[], &[entry(1, None, Some("x"))]),
            Err(AclError::Invalid)
        );
        assert_eq!(
            fix(&[], &[entry(1, Some("world"), Some("x"))]),
            Err(AclError::Invalid)
        );
        assert_eq!(
            fix(&[], &[entry(1, Some("sasl"), Some("x"))]),
            Err(AclError::Invalid)
        );
        assert_eq!(
            fix(&[], &[entry(1, Some("super"), Some(""))]),
            Err(AclError::Invalid)
        );
        assert_eq!(
            fix(&[], &[entry(1, Some("digest"), None)]),
            Err(AclError::NullId)
        );
    }
}
