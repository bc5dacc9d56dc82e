//! Authentication schemes (Apache: `server/auth/ProviderRegistry` and its providers).

use std::collections::BTreeMap;

use super::digest_scheme::{self, DigestAlgorithm, digest_id};
use super::ip_scheme;
use crate::base::{Acl, Id, Perms};
use crate::telemetry::metrics::METRICS;

pub use super::ip_scheme::ip_text;

/// What the configuration says about identities and permissions.
#[derive(Clone, Debug, Default)]
pub struct AuthorizerOptions {
    /// `zookeeper.skipACL=yes`: everything is allowed.
    pub skip_acl: bool,
    /// Scheme `digest` is on.
    pub digest_enabled: bool,
    /// Its hash.
    pub digest_algorithm: DigestAlgorithm,
    /// `zookeeper.DigestAuthenticationProvider.superDigest`.
    pub super_digest: Option<String>,
    /// Scheme `sasl` is registered.
    pub sasl: bool,
    /// Scheme `x509` is registered.
    pub x509: bool,
    /// `zookeeper.X509AuthenticationProvider.superUser`.
    pub x509_super: Option<String>,
    /// Scheme `ensemble` is registered, with the names it accepts (none: any).
    pub ensemble: Option<Vec<String>>,
    /// `zookeeper.letAnySaslUserDoX`.
    pub let_any_sasl_user: Option<String>,
    /// `zookeeper.enforce.auth.schemes`, when enforcing is on.
    pub enforced: Vec<String>,
}

/// How an auth packet ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// These identities join the connection's.
    Accepted(Vec<Id>),
    /// -115, then close.
    Refused,
    /// Close without a readable answer (an ensemble name that does not match).
    Dropped,
}

/// Decides who somebody is and what they may do. Pure; shared by every connection.
#[derive(Debug, Default)]
pub struct Authorizer {
    options: AuthorizerOptions,
}

impl Authorizer {
    /// An authorizer of a configuration.
    pub fn new(options: AuthorizerOptions) -> Self {
        Self { options }
    }

    /// The decision of `ZooKeeperServer.checkACL`: may a connection with these identities do any of
    /// `wanted` under `acl`?
    pub fn allows(&self, ids: &[Id], acl: &[Acl], wanted: Perms) -> bool {
        self.options.skip_acl
            || acl.is_empty()
            || ids.iter().any(|i| i.scheme == "super")
            || acl
                .iter()
                .any(|a| a.perms.intersects(wanted) && self.matches_any(ids, &a.id))
    }

    fn matches_any(&self, ids: &[Id], entry: &Id) -> bool {
        if entry.scheme == "world" {
            return entry.id == "anyone";
        }
        self.is_registered(&entry.scheme)
            && ids
                .iter()
                .any(|i| i.scheme == entry.scheme && self.matches(i, &entry.id))
    }

    fn matches(&self, have: &Id, entry: &str) -> bool {
        match have.scheme.as_str() {
            "ip" => ip_scheme::matches(&have.id, entry),
            "sasl" => {
                have.id == entry
                    || have.id == "super"
                    || self.options.let_any_sasl_user.as_deref() == Some(entry)
            }
            "x509" => have.id == entry || self.options.x509_super.as_deref() == Some(&*have.id),
            "ensemble" => false,
            _ => have.id == entry,
        }
    }

    fn is_registered(&self, scheme: &str) -> bool {
        match scheme {
            "ip" => true,
            "digest" => self.options.digest_enabled,
            "sasl" => self.options.sasl,
            "x509" => self.options.x509,
            "ensemble" => self.options.ensemble.is_some(),
            _ => false,
        }
    }

    /// True when an ACL entry of this scheme may hold this id.
    pub(super) fn is_valid(&self, id: &Id) -> bool {
        if id.scheme == "world" {
            return id.id == "anyone";
        }
        self.is_registered(&id.scheme)
            && match id.scheme.as_str() {
                "ip" => ip_scheme::is_valid_id(&id.id),
                "digest" => digest_scheme::is_valid_id(&id.id),
                "sasl" => is_kerberos_name(&id.id),
                "x509" => is_x500_name(&id.id),
                _ => false,
            }
    }

    /// True for schemes whose identities `auth` ACL entries expand to.
    pub(super) fn authenticates(&self, scheme: &str) -> bool {
        self.is_registered(scheme) && matches!(scheme, "digest" | "sasl" | "x509")
    }

    /// An auth packet with these words arrives on a connection whose own identities are `ids`.
    pub fn authenticate(&self, scheme: &str, auth: Option<&[u8]>, ids: &[Id]) -> AuthOutcome {
        match scheme {
            "digest" if self.options.digest_enabled => auth.map_or(AuthOutcome::Refused, |bytes| {
                AuthOutcome::Accepted(self.digest_identities(bytes))
            }),
            "ip" => {
                let own = ids.iter().filter(|i| i.scheme == "ip").cloned().collect();
                AuthOutcome::Accepted(own)
            }
            "ensemble" => self.ensemble(auth.unwrap_or_default()),
            _ => AuthOutcome::Refused,
        }
    }

    fn digest_identities(&self, credential: &[u8]) -> Vec<Id> {
        let id = digest_id(self.options.digest_algorithm, credential);
        let is_super = self.options.super_digest.as_ref() == Some(&id);
        let mut ids = Vec::new();
        if is_super {
            ids.push(Id::new("super", ""));
        }
        ids.push(Id::new("digest", id));
        ids
    }

    fn ensemble(&self, auth: &[u8]) -> AuthOutcome {
        match &self.options.ensemble {
            None => AuthOutcome::Refused,
            Some(names) if names.is_empty() || auth.is_empty() => {
                METRICS.ensemble_auth_skip.inc();
                AuthOutcome::Accepted(vec![])
            }
            Some(names) if names.iter().any(|n| n.as_bytes() == auth) => {
                METRICS.ensemble_auth_success.inc();
                AuthOutcome::Accepted(vec![])
            }
            Some(_) => AuthOutcome::Dropped,
        }
    }

    /// False when authentication is enforced and no identity is of an enforced scheme.
    pub fn meets_enforcement(&self, ids: &[Id]) -> bool {
        self.options.enforced.is_empty()
            || ids
                .iter()
                .any(|i| self.options.enforced.contains(&i.scheme))
    }

    /// The user part that whoAmI shows of an identity.
    pub fn user_name(id: &Id) -> &str {
        match id.scheme.as_str() {
            "digest" => id.id.split(':').next().unwrap_or_default(),
            _ => &id.id,
        }
    }

    /// Schemes that `enforce.auth.schemes` may name and that are not registered.
    pub fn unknown_enforced(&self) -> Vec<String> {
        let unknown = |s: &&String| !self.is_registered(s);
        self.options
            .enforced
            .iter()
            .filter(unknown)
            .cloned()
            .collect()
    }

    /// Super users by scheme, for the start-up log.
    pub fn describe(&self) -> BTreeMap<&'static str, bool> {
        BTreeMap::from([
            ("digest", self.options.digest_enabled),
            ("sasl", self.options.sasl),
            ("x509", self.options.x509),
        ])
    }
}

/// `[^/@]*(/[^/@]*)?@[^/@]*`, or a name without any `@` (Apache: `KerberosName`).
fn is_kerberos_name(name: &str) -> bool {
    let Some((user, realm)) = name.split_once('@') else {
        return true;
    };
    !realm.contains(['/', '@']) && user.matches('/').count() <= 1
}

/// A loose reading of RFC 2253: comma-separated `type=value` pairs.
fn is_x500_name(name: &str) -> bool {
    name.is_empty()
        || name
            .split(',')
            .all(|part| part.contains('=') || part.ends_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorizer() -> Authorizer {
        Authorizer::new(AuthorizerOptions {
            digest_enabled: true,
            super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into()),
            ..AuthorizerOptions::default()
        })
    }

    #[test]
    fn the_super_digest_opens_everything() {
        let a = authorizer();
        let AuthOutcome::Accepted(ids) = a.authenticate("digest", Some(b"super:test"), &[]) else {
            panic!("accepted");
        };
        assert_eq!(ids[0], Id::new("super", ""));
        let locked = [Acl {
            perms: Perms::READ,
            id: Id::new("digest", "x:y"),
        }];
        assert!(a.allows(&ids, &locked, Perms::ADMIN));
        assert!(!a.allows(&ids[1..], &locked, Perms::READ));
    }

    #[test]
    fn unknown_schemes_are_refused() {
        let a = authorizer();
        for scheme in ["sasl", "x509", "super", "world", "nosuch", "ensemble"] {
            assert_eq!(
                a.authenticate(scheme, Some(b"x"), &[]),
                AuthOutcome::Refused,
                "{scheme}"
            );
        }
        assert_eq!(a.authenticate("digest", None, &[]), AuthOutcome::Refused);
    }

    #[test]
    fn entries_of_unregistered_schemes_match_nobody() {
        let a = authorizer();
        let acl = [Acl {
            perms: Perms::ALL,
            id: Id::new("sasl", "bob"),
        }];
        assert!(!a.allows(&[Id::new("sasl", "bob")], &acl, Perms::READ));
    }

    #[test]
    fn kerberos_names() {
        for good in ["bob", "a/b@R", "a@R", "a/b"] {
            assert!(is_kerberos_name(good), "{good}");
        }
        for bad in ["a@b@c", "a/b/c@R", "a@R/x"] {
            assert!(!is_kerberos_name(bad), "{bad}");
        }
    }
}
