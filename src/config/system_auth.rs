//! Who may log in how: the properties of authentication (classes ProviderRegistry and
//! AuthenticationHelper).

use super::error::ConfigError;
use super::load::warn;
use super::settings::{Auth, AuthProviderKind, DigestAlgorithm};
use super::system::Reader;
use super::value::comma_list;
use std::path::PathBuf;

pub(super) fn auth(reader: &mut Reader<'_>) -> Result<Auth, ConfigError> {
    let digest_enabled = reader.flag("zookeeper.DigestAuthenticationProvider.enabled");
    let providers = providers(reader, digest_enabled);
    let super_users = reader
        .properties
        .iter()
        .filter(|(name, _)| {
            name.strip_prefix("zookeeper.superUser")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .map(|(_, user)| user.clone())
        .collect();
    Ok(Auth {
        super_digest: reader.some_text("zookeeper.DigestAuthenticationProvider.superDigest"),
        digest_enabled,
        digest_algorithm: digest_algorithm(reader)?,
        x509_super_user: reader.some_text("zookeeper.X509AuthenticationProvider.superUser"),
        super_users,
        enforced_schemes: enforced_schemes(reader, &providers)?,
        providers,
        ensemble_names: comma_list(reader.text_or_default("zookeeper.ensembleAuthName")),
        allow_sasl_failed_clients: reader.flag("zookeeper.allowSaslFailedClients"),
        use_x_forwarded_for: reader.flag("zookeeper.IPAuthenticationProvider.usexforwardedfor"),
        jaas_file: reader
            .some_text("java.security.auth.login.config")
            .map(PathBuf::from),
        sasl_server_section: reader
            .text_or_default("zookeeper.sasl.serverconfig")
            .to_string(),
        fips_mode: reader.flag("zookeeper.fips-mode"),
    })
}

impl AuthProviderKind {
    /// Scheme of its identities.
    pub fn scheme(self) -> &'static str {
        match self {
            AuthProviderKind::Digest => "digest",
            AuthProviderKind::Ip => "ip",
            AuthProviderKind::Sasl => "sasl",
            AuthProviderKind::X509 => "x509",
            AuthProviderKind::Ensemble => "ensemble",
        }
    }

    fn of_class(class: &str) -> Option<AuthProviderKind> {
        let kinds = [
            ("SASLAuthenticationProvider", AuthProviderKind::Sasl),
            ("X509AuthenticationProvider", AuthProviderKind::X509),
            ("EnsembleAuthenticationProvider", AuthProviderKind::Ensemble),
            ("IPAuthenticationProvider", AuthProviderKind::Ip),
            ("DigestAuthenticationProvider", AuthProviderKind::Digest),
        ];
        kinds
            .iter()
            .find(|(name, _)| class.ends_with(name))
            .map(|(_, kind)| *kind)
    }
}

/// Class ProviderRegistry: `ip` and `digest` are built in, the others come from `authProvider.*`.
fn providers(reader: &mut Reader<'_>, digest_enabled: bool) -> Vec<AuthProviderKind> {
    let mut found = vec![AuthProviderKind::Ip];
    found.extend(digest_enabled.then_some(AuthProviderKind::Digest));
    for (name, class) in reader.properties {
        if !name.starts_with("zookeeper.authProvider.") {
            continue;
        }
        match AuthProviderKind::of_class(class) {
            Some(kind) => found.push(kind),
            None => {
                let text = format!(
                    "{name}: the class {class} cannot run here; its scheme is not \
                                    available"
                );
                warn(reader.messages, text);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Class AuthenticationHelper.
fn enforced_schemes(
    reader: &Reader<'_>,
    providers: &[AuthProviderKind],
) -> Result<Option<Vec<String>>, ConfigError> {
    const ENABLED: &str = "zookeeper.enforce.auth.enabled";
    const SCHEMES: &str = "zookeeper.enforce.auth.schemes";
    let schemes = if reader.flag("zookeeper.sessionRequireClientSASLAuth") {
        vec!["sasl".to_string()]
    } else if reader.flag(ENABLED) {
        comma_list(reader.text_or_default(SCHEMES))
    } else {
        return Ok(None);
    };
    if schemes.is_empty() {
        let cause = format!("{ENABLED} is true {SCHEMES} must be  configured.");
        return Err(ConfigError::arguments(cause).at_key(SCHEMES, 0));
    }
    for scheme in &schemes {
        if !providers.iter().any(|provider| provider.scheme() == scheme) {
            let cause = format!("Authentication scheme {scheme} is not available.");
            return Err(ConfigError::arguments(cause).at_key(SCHEMES, 0));
        }
    }
    Ok(Some(schemes))
}

fn digest_algorithm(reader: &Reader<'_>) -> Result<DigestAlgorithm, ConfigError> {
    const KEY: &str = "zookeeper.DigestAuthenticationProvider.digestAlg";
    let name = reader.text_or_default(KEY);
    match name.to_ascii_uppercase().as_str() {
        "SHA1" | "SHA-1" | "SHA" => Ok(DigestAlgorithm::Sha1),
        "SHA256" | "SHA-256" => Ok(DigestAlgorithm::Sha256),
        "SHA512" | "SHA-512" => Ok(DigestAlgorithm::Sha512),
        _ => {
            let cause = format!(
                "don't support this ACL digest algorithm: {name} in the current environment"
            );
            Err(ConfigError::unexpected("java.lang.RuntimeException", cause).at_key(KEY, 0))
        }
    }
}
