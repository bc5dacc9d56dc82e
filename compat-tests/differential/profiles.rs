//! The configurations under which the two servers are compared.

use crate::op::Op;
use crate::values::s;

/// One configuration, given to both servers alike.
pub struct Profile {
    pub name: &'static str,
    pub why: &'static str,
    /// Lines of zoo.cfg beyond directories, ports and timing.
    pub config: &'static [&'static str],
    /// `-Dk=v` arguments, for what Apache reads only as a system property.
    pub properties: &'static [&'static str],
    /// Whether each connection must authenticate before anything else.
    pub enforces_auth: bool,
    /// Whether the scenarios run under it in the short run.
    pub scripted_by_default: bool,
    /// Share of the random steps that run under this profile.
    pub share: usize,
}

/// Reapers must not interfere with random programs: the first run is a day away.
const NO_REAPER: &str = "znode.container.checkIntervalMs=86400000";

const SUPER: &str = "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

pub const PROFILES: [Profile; 5] = [
    Profile {
        name: "main",
        why: "everything a client can use is switched on",
        config: &[
            "extendedTypesEnabled=true",
            "enforceQuota=true",
            SUPER,
            "4lw.commands.whitelist=*",
        ],
        properties: &[NO_REAPER],
        enforces_auth: false,
        scripted_by_default: true,
        share: 10,
    },
    Profile {
        name: "defaults",
        why: "what a plain zoo.cfg gives",
        config: &[],
        properties: &[NO_REAPER],
        enforces_auth: false,
        scripted_by_default: false,
        share: 2,
    },
    Profile {
        name: "open",
        why: "no ACLs, reconfig allowed, small frames, the other close record",
        config: &[
            "skipACL=yes",
            "reconfigEnabled=true",
            "closeSessionTxn.enabled=false",
            "extendedTypesEnabled=true",
            "emulate353TTLNodes=true",
        ],
        properties: &[NO_REAPER, "jute.maxbuffer=30000"],
        enforces_auth: false,
        scripted_by_default: false,
        share: 2,
    },
    Profile {
        name: "enforce",
        why: "nothing works before a digest auth, and digests are SHA-256",
        config: &[
            "enforce.auth.enabled=true",
            "enforce.auth.schemes=digest",
            "DigestAuthenticationProvider.digestAlg=SHA-256",
            "enforceQuota=true",
        ],
        properties: &[NO_REAPER],
        enforces_auth: true,
        scripted_by_default: false,
        share: 1,
    },
    Profile {
        name: "reaper",
        why: "container and TTL nodes are removed while we watch; scripted only",
        config: &["extendedTypesEnabled=true", SUPER],
        properties: &[
            "znode.container.checkIntervalMs=200",
            "znode.container.maxPerMinute=600000",
        ],
        enforces_auth: false,
        scripted_by_default: true,
        share: 0,
    },
];

impl Profile {
    /// The profile of that name.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        PROFILES.iter().find(|p| p.name == name).ok_or_else(|| {
            let names: Vec<_> = PROFILES.iter().map(|p| p.name).collect();
            format!("no profile {name}; there are {}", names.join(", "))
        })
    }

    /// What a connection has to send first under this profile.
    pub fn opening(&self) -> Option<Op> {
        let auth = || Op::Auth {
            kind: 0,
            scheme: s("digest"),
            auth: s("user1:pw1"),
        };
        self.enforces_auth.then(auth)
    }
}
