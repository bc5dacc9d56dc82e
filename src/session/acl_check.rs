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
        for entry in without_duplicates(list)? {
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

/// The entries in order, each once. Comparing an entry whose scheme or id is null with an equal one
/// before it ends in an exception in Apache, before anything is checked.
fn without_duplicates<'l, 'a>(list: &'l [AclWire<'a>]) -> Result<Vec<&'l AclWire<'a>>, AclError> {
    // Nearly every list is of one entry, and nearly every create brings one.
    if let [one] = list {
        return Ok(vec![one]);
    }
    let mut kept = Vec::new();
    let (mut whole, mut by_scheme, mut by_perms) = (Set::default(), Set::default(), Set::default());
    for entry in list {
        let (scheme, id) = (entry.id.scheme.as_deref(), entry.id.id.as_deref());
        let same_perms = by_perms.contains(&entry.perms);
        let same_scheme = scheme.is_some() && by_scheme.contains(&(entry.perms, scheme));
        if (scheme.is_none() && same_perms) || (id.is_none() && same_scheme) {
            return Err(AclError::NullId);
        }
        if whole.insert((entry.perms, scheme, id)) {
            by_perms.insert(entry.perms);
            by_scheme.insert((entry.perms, scheme));
            kept.push(entry);
        }
    }
    Ok(kept)
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
    fn nulls_behind_equals_are_another_error() {
        let anyone = entry(31, Some("world"), Some("anyone"));
        let no_scheme = entry(31, None, Some("x"));
        assert_eq!(
            fix(&[], &[anyone.clone(), no_scheme.clone()]),
            Err(AclError::NullId)
        );
        assert_eq!(fix(&[], &[no_scheme, anyone]), Err(AclError::Invalid));
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
