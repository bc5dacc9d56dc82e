//! Our election among real Apache servers: two of three members are Apache's, the third is only an
//! election, without anything behind it. Prints `ok NAME` or `not ok NAME: why` for each test.
//!
//! `cargo test --test election`; needs `compat-tests/setup server`. Words on the command line choose
//! tests by name.

mod apache;
mod member;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use zabra::base::{ServerId, Zxid};
use zabra::zab::election::{InitialVote, ServerState};

use apache::{Apache, Ensemble};
use member::Member;

type Outcome = Result<(), String>;
type Test = fn() -> Pin<Box<dyn Future<Output = Outcome>>>;

const TESTS: &[(&str, Test)] = &[
    ("joins an established ensemble as the largest", || {
        Box::pin(joins(3, "participant"))
    }),
    ("joins an established ensemble as the smallest", || {
        Box::pin(joins(1, "participant"))
    }),
    ("an observer learns the leader", || {
        Box::pin(joins(3, "observer"))
    }),
    (
        "agrees when all look at once",
        || Box::pin(agrees_at_once()),
    ),
    ("its vote counts", || Box::pin(its_vote_counts())),
    ("wins among equals", || Box::pin(wins())),
    ("its answers let others join", || {
        Box::pin(its_answers_count())
    }),
];

/// The disk of a server that has seen nothing.
const EMPTY: InitialVote = InitialVote {
    zxid: Zxid::ZERO,
    epoch: 0,
    empty: false,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut failed = 0;
    for (name, test) in TESTS {
        if !words.is_empty() && !words.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        match runtime.block_on(test()) {
            Ok(()) => println!("ok {name}"),
            Err(why) => {
                failed += 1;
                println!("not ok {name}: {why}");
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

fn others(me: i64) -> [i64; 2] {
    match me {
        1 => [2, 3],
        2 => [1, 3],
        _ => [1, 2],
    }
}

/// The id of the Apache server that leads the two.
fn leader(servers: &mut [Apache]) -> Result<i64, String> {
    for server in servers.iter_mut() {
        server.await_serving()?;
    }
    let leads = servers.iter().find(|s| s.mode() == "leader");
    leads.map(|s| s.id).ok_or_else(|| "nobody leads".to_owned())
}

fn check(
    what: &str,
    is: impl PartialEq + std::fmt::Debug,
    should: impl std::fmt::Debug,
) -> Outcome {
    let (is, should) = (format!("{is:?}"), format!("{should:?}"));
    match is == should {
        true => Ok(()),
        false => Err(format!("{what}: {is}, not {should}")),
    }
}

async fn joins(me: i64, role: &str) -> Outcome {
    let ensemble = Ensemble::new(me, role)?;
    let mut servers = ensemble.start(&others(me))?;
    let leader = leader(&mut servers)?;
    let mut member = Member::start(&ensemble, me).await?;
    member.look(EMPTY);
    let (vote, state) = member
        .elected(|| servers.iter_mut().all(Apache::is_running))
        .await?;
    check("the leader", vote.leader, ServerId(leader))?;
    let learning = match role {
        "observer" => ServerState::Observing,
        _ => ServerState::Following,
    };
    check("our state", state, learning)?;
    if role != "observer" {
        member.heard_from(&others(me)).await?;
    }
    member.stop().await;
    Ok(())
}

async fn agrees_at_once() -> Outcome {
    let ensemble = Ensemble::new(3, "participant")?;
    let mut servers = ensemble.start(&[1, 2])?;
    leader(&mut servers)?;
    drop(servers);
    // They have a history now, and this server has none: one of them must win.
    let mut member = Member::start(&ensemble, 3).await?;
    member.look(EMPTY);
    let mut servers = ensemble.start(&[1, 2])?;
    let (vote, state) = member
        .elected(|| servers.iter_mut().all(Apache::is_running))
        .await?;
    check("our state", state, ServerState::Following)?;
    // The running ones stay, for a member that goes takes the quorum with it.
    let (mut leaders, mut running) = (Vec::new(), Vec::new());
    for server in servers {
        let server = member.until_serving(server).await?;
        if server.mode() == "leader" {
            leaders.push(ServerId(server.id));
        }
        running.push(server);
    }
    check("who leads", leaders, [vote.leader])?;
    member.stop().await;
    Ok(())
}

/// Server 1 alone is no quorum; with our vote it is.
async fn its_vote_counts() -> Outcome {
    let ensemble = Ensemble::new(3, "participant")?;
    let mut servers = ensemble.start(&[1, 2])?;
    leader(&mut servers)?;
    drop(servers);
    let mut servers = ensemble.start(&[1])?;
    let mut member = Member::start(&ensemble, 3).await?;
    member.look(EMPTY);
    let (vote, state) = member
        .elected(|| servers.iter_mut().all(Apache::is_running))
        .await?;
    check("our state", state, ServerState::Following)?;
    check("the leader", vote.leader, ServerId(1))?;
    member.told(1, ServerState::Leading, 1).await?;
    member.stop().await;
    Ok(())
}

/// Nobody has a history: the largest id wins, and the others say so.
async fn wins() -> Outcome {
    let ensemble = Ensemble::new(3, "participant")?;
    let mut member = Member::start(&ensemble, 3).await?;
    member.look(EMPTY);
    let mut servers = ensemble.start(&[1, 2])?;
    let (vote, state) = member
        .elected(|| servers.iter_mut().all(Apache::is_running))
        .await?;
    check("our state", state, ServerState::Leading)?;
    check("the leader", vote.leader, ServerId(3))?;
    // Gone again: they go on without us.
    member.stop().await;
    let leads = leader(&mut servers)?;
    check("who leads then", leads, 2i64)
}

/// A restarted follower finds a quorum of reports in the leader's and ours.
async fn its_answers_count() -> Outcome {
    let ensemble = Ensemble::new(3, "participant")?;
    let mut servers = ensemble.start(&[1, 2])?;
    let leads = leader(&mut servers)?;
    let mut member = Member::start(&ensemble, 3).await?;
    member.look(EMPTY);
    member.elected(|| true).await?;
    let follower = if leads == 1 { 2 } else { 1 };
    servers.retain(|s| s.id == leads);
    let again = ensemble.start_one(follower)?;
    let again = member.until_serving(again).await?;
    check("the mode of the restarted one", again.mode(), "follower")?;
    check("the mode of the leader", servers[0].mode(), "leader")?;
    member.stop().await;
    Ok(())
}
