//! The configuration, as the layers below want it.

use std::sync::Arc;

use crate::base::ServerId;
use crate::config::{AuthProviderKind, Config, DigestAlgorithm, SnapshotCompression};
use crate::conn::{EdgeLimits, LargeRequests};
use crate::pipeline::{Role, ServerOptions};
use crate::session::{self, Authorizer, AuthorizerOptions};
use crate::store::os::{LogOptions, RegionChoice};
use crate::store::recover::OVERRIDE_PROPERTY;
use crate::store::{Compression, RecoverOptions};

/// Bytes of writes in the pipeline above which connections that have some wait.
const OUTSTANDING_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) fn authorizer(c: &Config) -> Arc<Authorizer> {
    let has = |kind| c.auth.providers.contains(&kind);
    let algorithm = match c.auth.digest_algorithm {
        DigestAlgorithm::Sha1 => session::DigestAlgorithm::Sha1,
        DigestAlgorithm::Sha256 => session::DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha512 => session::DigestAlgorithm::Sha512,
    };
    Arc::new(Authorizer::new(AuthorizerOptions {
        skip_acl: c.features.skip_acl,
        digest_enabled: c.auth.digest_enabled,
        digest_algorithm: algorithm,
        super_digest: c.auth.super_digest.clone(),
        sasl: has(AuthProviderKind::Sasl),
        x509: has(AuthProviderKind::X509) || c.listeners.secure_client.is_some(),
        x509_super: c.auth.x509_super_user.clone(),
        ensemble: has(AuthProviderKind::Ensemble).then(|| c.auth.ensemble_names.clone()),
        let_any_sasl_user: c.property("zookeeper.letAnySaslUserDoX").map(str::to_owned),
        enforced: c.auth.enforced_schemes.clone().unwrap_or_default(),
    }))
}

pub(super) fn server(c: &Config, authorizer: Arc<Authorizer>, seed: u64) -> ServerOptions {
    let ms = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    ServerOptions {
        role: Role::Alone,
        server_id: ServerId(c.server_id.unwrap_or(1)),
        local_sessions: false,
        local_upgrading: false,
        value_max: length_max(c),
        tick_ms: c.sessions.tick_time_ms,
        session_timeout_ms: (c.sessions.min_timeout_ms, c.sessions.max_timeout_ms),
        extended_types: c.features.extended_types,
        enforce_quota: c.features.enforce_quota,
        reconfig: c.features.reconfig,
        digest: c.features.digest,
        snap_count: c.storage.snap_count,
        snap_size: c.storage.snap_size_limit_bytes,
        reap_interval_ms: ms(c.features.container_check_interval_ms),
        reap_per_minute: c.features.container_max_per_minute,
        reap_never_used_ms: c.features.container_max_never_used_ms.map_or(0, ms),
        throttle: c.request_throttle.clone(),
        initial_counter: c
            .property("zookeeper.testingonly.initialZxid")
            .and_then(|n| n.parse().ok())
            .unwrap_or(0),
        linearizable_sync: c.quorum.linearizable_sync,
        seed,
        authorizer,
    }
}

pub(super) fn edge_limits(c: &Config) -> EdgeLimits {
    EdgeLimits {
        frame_max: c.limits.jute_max_buffer as usize,
        value_max: length_max(c),
        outstanding_max: c.limits.global_outstanding as usize,
        outstanding_bytes_max: OUTSTANDING_BYTES_MAX,
        per_ip_max: c.limits.max_client_cnxns,
        total_max: c.limits.max_cnxns,
        sessionless_ms: c.listeners.sessionless_timeout_ms,
        keep_alive: c.listeners.tcp_keep_alive,
    }
}

pub(super) fn large_requests(c: &Config) -> LargeRequests {
    let threshold = c.limits.large_request_threshold.map(|n| n as usize);
    let most = usize::try_from(c.limits.large_request_max_bytes).unwrap_or(usize::MAX);
    LargeRequests::new(threshold, most)
}

/// Longest string or buffer, bytes.
pub(super) fn length_max(c: &Config) -> usize {
    c.limits.jute_max_buffer as usize + c.limits.jute_extra_size as usize
}

/// As a system property by the name that messages give, or as a key of zoo.cfg.
fn accept_damage(c: &Config) -> bool {
    let in_file = format!("zookeeper.{OVERRIDE_PROPERTY}");
    [OVERRIDE_PROPERTY, &in_file]
        .iter()
        .any(|name| c.property(name) == Some("true"))
}

pub(super) fn recover(c: &Config) -> RecoverOptions {
    RecoverOptions {
        trust_empty: c.storage.trust_empty_snapshot,
        autocreate: c.storage.db_autocreate,
        length_max: length_max(c),
        accept_damage: accept_damage(c),
        ..RecoverOptions::default()
    }
}

pub(super) fn log(c: &Config) -> LogOptions {
    LogOptions {
        prealloc: c.storage.pre_alloc_bytes,
        force_sync: c.storage.force_sync,
        size_limit: c.storage.txn_log_size_limit_bytes,
        region: RegionChoice::Auto,
    }
}

pub(super) fn compression(c: &Config) -> Compression {
    match c.storage.snapshot_compression {
        SnapshotCompression::None => Compression::None,
        SnapshotCompression::Gzip => Compression::Gz,
        SnapshotCompression::Snappy => Compression::Snappy,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::IpAddr;
    use std::path::Path;

    use super::*;
    use crate::config::{Invocation, ReadFile};

    struct OneFile(&'static str);

    impl ReadFile for OneFile {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            match path.ends_with("zoo.cfg") {
                true => Ok(self.0.as_bytes().to_vec()),
                false => Err(io::ErrorKind::NotFound.into()),
            }
        }
        fn resolve(&self, _: &str) -> io::Result<IpAddr> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn config(file: &'static str, word: &str) -> Config {
        let argv = ["server", word, "zoo.cfg"].map(str::to_owned);
        let Ok(Invocation::Server(args)) = Invocation::parse(&argv) else {
            panic!("{argv:?}")
        };
        Config::load(&args, &|_| None, &OneFile(file)).unwrap()
    }

    #[test]
    fn damage_is_given_up_by_the_name_that_the_message_gives() {
        let file = "dataDir=/d\nclientPort=2181\n";
        let word = format!("-D{OVERRIDE_PROPERTY}=true");
        assert!(recover(&config(file, &word)).accept_damage);
        assert!(!recover(&config(file, "-Da=b")).accept_damage);
        let file = "dataDir=/d\nclientPort=2181\nzabra.acceptDamagedLog=true\n";
        assert!(recover(&config(file, "-Da=b")).accept_damage);
    }
}
