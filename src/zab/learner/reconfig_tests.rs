//! Reconfigurations: a learner with a scripted leader.

use super::*;
use crate::proto::OpCode;
use crate::proto::txn::{SetDataTxn, some};

fn text(version: Zxid) -> String {
    format!("server.1=h:1:2\nserver.2=i:1:2\nversion={:x}", version.0)
}

fn reconfig(zxid: Zxid) -> Vec<u8> {
    let header = TxnHeader {
        zxid: zxid.0,
        op: OpCode::Reconfig as i32,
        ..TxnHeader::default()
    };
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    Txn::SetData(SetDataTxn {
        path: some("/zookeeper/config"),
        data: Some(text(zxid).as_bytes()),
        version: -1,
    })
    .encode(&mut bytes);
    bytes
}

fn hear(t: &mut Talk, kind: P, zxid: Zxid, data: Vec<u8>) {
    let packet = QuorumPacket::new(kind, zxid).with_data(data);
    t.0.packet(0, packet);
}

fn did(t: &mut Talk) -> Vec<String> {
    let effects = std::mem::take(&mut t.0.out);
    let mut words = Vec::new();
    for effect in effects {
        words.push(match effect {
            LearnerEffect::Seen(c) => format!("seen {}", Zxid(c.version).counter()),
            LearnerEffect::LeaderSeen(c) => format!("leader seen {}", Zxid(c.version).counter()),
            LearnerEffect::Activate {
                config, designated, ..
            } => {
                let of = designated.map_or(0, |s| s.0);
                format!("activate {} under {of}", Zxid(config.version).counter())
            }
            LearnerEffect::Serve => "serve".into(),
            other => {
                t.0.out.push(other);
                t.did().concat()
            }
        });
    }
    words
}

/// Serves in epoch 2 with reconfiguration on, after NEWLEADER with configuration 1:7.
fn serving(kind: LearnerKind) -> Talk {
    let mut t = Talk::promised(kind, 0);
    t.0.options.reconfig = true;
    t.hear(P::Diff, z(1, 0));
    hear(&mut t, P::NewLeader, z(2, 0), text(z(1, 7)).into_bytes());
    assert_eq!(
        did(&mut t),
        ["leader seen 7", "enter 2"],
        "stored before the epoch"
    );
    t.0.epoch_entered(0);
    t.hear(P::UpToDate, Zxid(-1));
    assert_eq!(
        did(&mut t),
        ["ACK 2:0", "ACK 2:0", "activate 7 under 0", "serve"]
    );
    t
}

#[test]
fn what_is_proposed_is_stored_before_it_is_logged() {
    let mut t = serving(Follower);
    hear(&mut t, P::Proposal, z(2, 1), reconfig(z(2, 1)));
    assert_eq!(did(&mut t), ["seen 1", "log 2:1"]);
    hear(
        &mut t,
        P::CommitAndActivate,
        z(2, 1),
        encode_activate(ServerId(3), &[]),
    );
    assert_eq!(did(&mut t), [""; 0], "not in our log yet");
    t.0.logged(0, z(2, 1));
    assert_eq!(did(&mut t), ["ACK 2:1", "apply 2:1", "activate 1 under 3"]);
}

#[test]
fn an_observer_hears_all_of_it_at_once() {
    let mut t = serving(Observer);
    let data = encode_activate(ServerId(3), &reconfig(z(2, 1)));
    hear(&mut t, P::InformAndActivate, z(2, 1), data);
    assert_eq!(did(&mut t), ["seen 1", "log 2:1"]);
    t.0.logged(0, z(2, 1));
    assert_eq!(did(&mut t), ["apply 2:1", "activate 1 under 3"]);
    // Apache's observer takes the next one for out of order.
    t.hear(P::Inform, z(2, 2));
    assert_eq!(did(&mut t), ["log 2:2"]);
}

#[test]
fn a_reconfiguration_of_the_past_is_not_acted_upon() {
    let mut t = Talk::promised(Follower, 0);
    t.0.options.reconfig = true;
    t.hear(P::Diff, z(1, 0));
    hear(&mut t, P::Proposal, z(1, 1), reconfig(z(1, 1)));
    t.hear(P::Commit, z(1, 1));
    hear(&mut t, P::NewLeader, z(2, 0), text(z(1, 7)).into_bytes());
    assert_eq!(did(&mut t), ["seen 1", "leader seen 7", "log 1:1"]);
    t.0.logged(0, z(1, 1));
    assert_eq!(did(&mut t), ["apply 1:1", "enter 2"]);
}

#[test]
fn with_reconfiguration_off_configurations_are_passed_over() {
    let mut t = Talk::serving(Follower, 0);
    hear(&mut t, P::Proposal, z(2, 1), reconfig(z(2, 1)));
    hear(
        &mut t,
        P::CommitAndActivate,
        z(2, 1),
        encode_activate(ServerId(3), &[]),
    );
    t.0.logged(0, z(2, 1));
    assert_eq!(did(&mut t), ["log 2:1", "ACK 2:1", "apply 2:1"]);
}

#[test]
fn an_activation_without_a_leader_is_none() {
    let mut t = serving(Follower);
    hear(&mut t, P::Proposal, z(2, 1), reconfig(z(2, 1)));
    did(&mut t);
    t.hear(P::CommitAndActivate, z(2, 1));
    assert_eq!(did(&mut t), ["leave"]);
}
