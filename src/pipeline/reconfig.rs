//! A reconfig request becomes the next configuration (Apache: `PrepRequestProcessor`, the case
//! `reconfig`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::{Perms, ServerId};
use crate::config::properties::Properties;
use crate::config::server_line::QuorumServer;
use crate::config::{ConfigError, Ensemble};
use crate::proto::request::ReconfigRequest;
use crate::proto::txn::{SetDataTxn, Txn, some};
use crate::proto::{Code, OpCode};
use crate::tree::{CONFIG_PATH, content_crc};
use crate::zab::QuorumVerifier;

use super::event::Input;
use super::prep::{Context, Prep, Refused};
use super::server::Server;

/// What a leader knows of the ensemble.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Version of the committed configuration.
    pub committed: i64,
    /// The configuration that was proposed last.
    pub last_seen: Arc<Ensemble>,
    /// The leader and the followers in time.
    pub synced: BTreeSet<ServerId>,
    /// `standaloneEnabled`: an ensemble has two voters at least.
    pub standalone_enabled: bool,
}

impl Server {
    /// True when a reconfig request may be prepared with this input, so that
    /// [`Server::set_membership`] must come first.
    pub fn may_reconfigure(&self, input: &Input) -> bool {
        self.options.reconfig
            && (self.throttler.is_on()
                || matches!(input, Input::Request(r) if r.op == OpCode::Reconfig))
    }

    /// The ensemble as the leader knows it at this moment.
    pub fn set_membership(&mut self, membership: Membership) {
        self.prep.membership = Some(membership);
    }
}

impl Prep {
    /// The checks in Apache's order. On a standalone server there is no ensemble to change.
    pub(super) fn reconfig(
        &mut self,
        r: &ReconfigRequest<'_>,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        if !self.options.reconfig {
            tracing::error!("Reconfig operation requested but reconfig feature is disabled.");
            return Err(Code::ReconfigDisabled.into());
        }
        self.check_session(ctx)?;
        let Some(membership) = &self.membership else {
            return Err(Code::Unimplemented.into());
        };
        let config = membership.next(r, ctx.zxid.0)?;
        let mut node = self.node(CONFIG_PATH)?;
        self.permitted(&node, Perms::WRITE, ctx)?;
        let text = config.text();
        let data = Some(text.as_bytes());
        Txn::SetData(SetDataTxn {
            path: some(CONFIG_PATH),
            data,
            version: -1,
        })
        .encode(body);
        node.stat.version = -1;
        node.stat.mzxid = ctx.zxid.0;
        node.stat.mtime = ctx.time;
        node.data_len = text.len();
        node.content_crc = content_crc(CONFIG_PATH, data);
        self.outstanding.put(CONFIG_PATH, node, ctx.zxid);
        // One at a time, also when a second request is prepared in the same step.
        if let Some(membership) = &mut self.membership {
            membership.last_seen = Arc::new(config);
        }
        Ok(OpCode::Reconfig)
    }
}

/// Apache answers what it calls a configuration error with BADARGUMENTS; what a number or a port
/// cannot be ends as a failure of the request.
fn refused(e: &ConfigError) -> Code {
    tracing::warn!("Reconfig failed - {}", e.cause());
    match e.is_direct() {
        true => Code::BadArguments,
        false => Code::MarshallingError,
    }
}

impl Membership {
    /// The configuration that `r` asks for, under version `zxid`.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn next(&self, r: &ReconfigRequest<'_>, zxid: i64) -> Result<Ensemble, Code> {
        if self.last_seen.version != self.committed {
            return Err(Code::ReconfigInProgress);
        }
        if r.config_id != -1 && r.config_id != self.last_seen.version {
            return Err(Code::BadVersion);
        }
        let mut config = match r.new_members.as_deref() {
            Some(members) => self.whole(members)?,
            None => self.incremental(r)?,
        };
        config.version = zxid;
        let voters = config.voters().count();
        if voters < 1 || (self.standalone_enabled && voters < 2) {
            tracing::warn!(
                "Reconfig failed - new configuration must include at least {} followers",
                if self.standalone_enabled { 2 } else { 1 }
            );
            return Err(Code::BadArguments);
        }
        let synced = QuorumVerifier::of(&config).is_quorum(|s| self.synced.contains(&s));
        if !synced {
            tracing::warn!(
                "Reconfig failed - there must be a connected and synced quorum in new configuration"
            );
            return Err(Code::NewConfigNoQuorum);
        }
        Ok(config)
    }

    fn whole(&self, members: &str) -> Result<Ensemble, Code> {
        let lines = members.replace(',', "\n");
        // Escapes that are none are a runtime exception, like numbers that are none.
        let properties = Properties::parse_text(&lines).map_err(|e| refused(&e))?;
        let config = Ensemble::from_properties(&properties, true, true).map_err(|e| refused(&e))?;
        let (voters, observers) = (config.voters().count(), config.observers().count());
        let no_voter = voters == 0 && (observers > 0 || !self.standalone_enabled);
        let one_voter = voters == 1 && self.standalone_enabled && observers > 0;
        match no_voter || one_voter {
            // An IllegalArgumentException in Apache.
            true => Err(Code::MarshallingError),
            false => Ok(config),
        }
    }

    fn incremental(&self, r: &ReconfigRequest<'_>) -> Result<Ensemble, Code> {
        if self.last_seen.hierarchical {
            tracing::warn!(
                "Incremental reconfiguration requested but last configuration seen has a non-majority quorum system"
            );
            return Err(Code::BadArguments);
        }
        let mut next = (*self.last_seen).clone();
        for leaving in listed(r.leaving.as_deref()) {
            let sid: i64 = leaving.parse().map_err(|_| Code::MarshallingError)?;
            next.members.remove(&sid);
        }
        for joining in listed(r.joining.as_deref()) {
            let server = joiner(joining)?;
            let clash = next
                .members
                .values()
                .filter(|other| other.id != server.id)
                .any(|other| shares_address(&server, other));
            if clash {
                return Err(Code::BadArguments);
            }
            next.members.insert(server.id, server);
        }
        Ok(next)
    }
}

/// The items of a list, trimmed, without empty ones (Apache: `StringUtils.split`).
fn listed(list: Option<&str>) -> impl Iterator<Item = &str> {
    let items = list.unwrap_or_default().split(',');
    items.map(str::trim).filter(|i| !i.is_empty())
}

/// `server.N=<addresses>;<client address>`.
fn joiner(text: &str) -> Result<QuorumServer, Code> {
    let parts: Vec<&str> = text
        .split('=')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .collect();
    let [key, value] = parts.as_slice() else {
        return Err(Code::BadArguments);
    };
    let sid = key.rsplit('.').next().unwrap_or_default();
    let sid: i64 = sid.parse().map_err(|_| Code::MarshallingError)?;
    let server = QuorumServer::parse(sid, value, true).map_err(|e| refused(&e))?;
    match server.client {
        Some(_) => Ok(server),
        None => Err(Code::BadArguments),
    }
}

/// Do two servers name the same address? Loopback and wildcard addresses mean another machine for
/// each of them (Apache: `checkAddressDuplicate`).
fn shares_address(a: &QuorumServer, b: &QuorumServer) -> bool {
    let of_a = addresses(a);
    addresses(b).iter().any(|b| of_a.contains(b))
}

fn addresses(server: &QuorumServer) -> Vec<(&str, u16)> {
    let peers = server.addresses.iter().flat_map(|p| {
        [
            (p.host.as_str(), p.quorum_port),
            (p.host.as_str(), p.election_port),
        ]
    });
    let clients = server.client.iter().map(|c| (c.host.as_str(), c.port));
    let everybodys = |host: &str| match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    peers
        .chain(clients)
        .filter(|(host, _)| !everybodys(host))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn membership(text: &str, synced: &[i64]) -> Membership {
        let last_seen = Ensemble::parse(text, true).unwrap();
        Membership {
            committed: last_seen.version,
            last_seen: Arc::new(last_seen),
            synced: synced.iter().copied().map(ServerId).collect(),
            standalone_enabled: true,
        }
    }

    fn three(synced: &[i64]) -> Membership {
        let line = |n| format!("server.{n}=10.0.0.{n}:2888:3888:participant;0.0.0.0:2181\n");
        let text: String = (1..=3).map(line).collect();
        membership(&format!("{text}version=100000000"), synced)
    }

    fn ask<'a>(joining: &'a str, leaving: &'a str, members: &'a str) -> ReconfigRequest<'a> {
        let given = |s: &'a str| (!s.is_empty()).then_some(Cow::Borrowed(s));
        ReconfigRequest {
            joining: given(joining),
            leaving: given(leaving),
            new_members: given(members),
            config_id: -1,
        }
    }

    #[test]
    fn joining_and_leaving() {
        let m = three(&[1, 2, 3, 4]);
        let joining =
            "server.4=10.0.0.4:2888:3888;2181, server.2 = 10.0.0.2:2888:3888:observer;2182";
        let next = m.next(&ask(joining, "3", ""), 0x1_0000_0007).unwrap();
        assert_eq!(
            next.text(),
            "server.1=10.0.0.1:2888:3888:participant;0.0.0.0:2181\n\
             server.2=10.0.0.2:2888:3888:observer;0.0.0.0:2182\n\
             server.4=10.0.0.4:2888:3888:participant;0.0.0.0:2181\nversion=100000007"
        );
    }

    #[test]
    fn errors_in_order() {
        let m = three(&[1, 2]);
        let code = |r: ReconfigRequest<'_>| m.next(&r, 9).map(|e| e.text()).unwrap_err();
        let mut old = ask("nonsense", "", "");
        old.config_id = 5;
        assert_eq!(code(old), Code::BadVersion);
        for (joining, leaving, members, expected) in [
            ("nonsense", "", "", Code::BadArguments),
            ("server.4=h:1:2", "", "", Code::BadArguments),
            ("server.x=h:1:2;3", "", "", Code::MarshallingError),
            ("server.4=h:1:1;3", "", "", Code::BadArguments),
            ("server.4=10.0.0.1:2888:5;6", "", "", Code::BadArguments),
            ("server.4=10.0.0.1:5:2888;6", "", "", Code::BadArguments),
            ("", "x", "", Code::MarshallingError),
            ("", "2,3", "", Code::BadArguments),
            ("", "1", "", Code::NewConfigNoQuorum),
            (
                "",
                "",
                "server.1=h:1:2;3,version=zz",
                Code::MarshallingError,
            ),
            ("", "", "server.1=h:1:2;3,tickTime=5", Code::BadArguments),
            (
                "",
                "",
                "server.1=h:1:2;3\nserver.9=i:1:2;3",
                Code::NewConfigNoQuorum,
            ),
            (
                "",
                "",
                "server.1=h:1:2;3,server.2=i:1:2;3,group.1=1",
                Code::BadArguments,
            ),
            (
                "",
                "",
                "server.1=h:1:2;3,server.2=i:1:2;3,group.1=1:2:7",
                Code::MarshallingError,
            ),
        ] {
            let r = ask(joining, leaving, members);
            assert_eq!(code(r), expected, "{joining} {leaving} {members}");
        }
        let pending = Membership {
            committed: 1,
            ..m.clone()
        };
        let r = ask("nonsense", "", "");
        assert_eq!(pending.next(&r, 9).unwrap_err(), Code::ReconfigInProgress);
    }

    #[test]
    fn loopback_addresses_do_not_clash() {
        let m = membership(
            "server.1=127.0.0.1:1:2;3\nserver.2=localhost:1:2;3\nversion=1",
            &[1, 2],
        );
        let next = m.next(&ask("server.3=127.0.0.1:1:2;3", "", ""), 9).unwrap();
        assert_eq!(next.members.len(), 3);
    }

    #[test]
    fn one_voter_is_enough_where_standalone_is_off() {
        let mut m = three(&[1, 2]);
        m.standalone_enabled = false;
        assert_eq!(m.next(&ask("", "2,3", ""), 9).unwrap().members.len(), 1);
        assert_eq!(
            m.next(&ask("", "1,2,3", ""), 9).unwrap_err(),
            Code::BadArguments
        );
    }

    #[test]
    fn hierarchical_ones_change_as_a_whole() {
        let text = "server.1=h:1:2;3\nserver.2=i:1:2;3\ngroup.1=1:2\nversion=1";
        let m = membership(text, &[1, 2]);
        assert_eq!(
            m.next(&ask("", "2", ""), 9).unwrap_err(),
            Code::BadArguments
        );
        let members = "server.1=h:1:2;3,server.2=i:1:2;3,group.1=1:2,weight.1=2";
        let next = m.next(&ask("", "", members), 9).unwrap();
        assert!(next.text().ends_with("weight.1=2\nweight.2=1\nversion=9"));
    }
}
