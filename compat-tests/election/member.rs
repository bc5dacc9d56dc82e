//! The third member: our election on our mesh, driven by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use zabra::base::ServerId;
use zabra::config::Ensemble as Config;
use zabra::peer::election::{Addresses, ElectionMesh, MeshEvent, MeshOptions, Plain};
use zabra::zab::election::{
    Effect, Election, ElectionOptions, InitialVote, Members, Notification, ServerState, Vote,
};

use crate::EMPTY;
use crate::apache::{Apache, Ensemble};

const PATIENCE: Duration = Duration::from_secs(90);

pub struct Member {
    mesh: ElectionMesh,
    election: Election,
    events: UnboundedReceiver<MeshEvent>,
    began: Instant,
    elected: Option<(Vote, ServerState)>,
    heard: Vec<(i64, Notification)>,
}

impl Member {
    pub async fn start(ensemble: &Ensemble, me: i64) -> Result<Self, String> {
        let config = Config::parse(&ensemble.text, false).map_err(|e| e.to_string())?;
        let addresses = Addresses::of(&config, None);
        let own = addresses.0.get(&ServerId(me)).cloned().unwrap_or_default();
        let options = MeshOptions {
            me: ServerId(me),
            own,
            listen_on_all_ips: false,
            multi_address: false,
            connect_timeout: Duration::from_secs(5),
            opening_timeout: Duration::from_secs(10),
            keep_alive: false,
            bind_retry: 3,
            guard: Arc::new(Plain),
        };
        let (tell, events) = unbounded_channel();
        let on_event = move |event| {
            let _ended = tell.send(event);
        };
        let mesh = ElectionMesh::start(options, addresses, on_event)
            .await
            .map_err(|e| e.to_string())?;
        let members = Members::new(config, None);
        Ok(Self {
            mesh,
            election: Election::new(ServerId(me), members, ElectionOptions::default()),
            events,
            began: Instant::now(),
            elected: None,
            heard: Vec::new(),
        })
    }

    fn now(&self) -> i64 {
        self.began.elapsed().as_millis() as i64
    }

    pub fn look(&mut self, own: InitialVote) {
        let mut out = Vec::new();
        self.election.look_for_leader(self.now(), own, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, n) => self.mesh.send(to, n.encode()),
                Effect::ConnectAll => self.mesh.connect_all(),
                Effect::Elected(vote, state) => self.elected = Some((vote, state)),
                Effect::AdoptConfig(_) | Effect::VoterLooking(_) => {}
            }
        }
    }

    /// Handles one event or deadline.
    async fn step(&mut self) -> Result<(), String> {
        let due = self.election.next_deadline().unwrap_or(i64::MAX);
        let wait = due.saturating_sub(self.now()).clamp(0, 50);
        let event = timeout(Duration::from_millis(wait as u64), self.events.recv()).await;
        let (now, mut out) = (self.now(), Vec::new());
        match event {
            Ok(Some(MeshEvent::Notification(from, n))) => {
                self.election.receive(now, from, &n, &mut out);
                self.heard.push((from.0, n));
            }
            Ok(Some(MeshEvent::Lost(sid))) => self.election.peer_lost(now, sid, &mut out),
            Ok(None) => return Err("the mesh ended".to_owned()),
            Err(_) => self.election.tick(now, &mut out),
        }
        self.perform(out);
        Ok(())
    }

    async fn until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Result<bool, String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self)? {
            if Instant::now() > deadline {
                return Err(format!(
                    "{what}: not within {PATIENCE:?}; heard {:?}",
                    self.last()
                ));
            }
            self.step().await?;
        }
        Ok(())
    }

    fn last(&self) -> Vec<(i64, ServerState, i64, i64)> {
        let short =
            |(from, n): &(i64, Notification)| (*from, n.state, n.leader.0, n.election_epoch);
        self.heard.iter().rev().take(6).map(short).collect()
    }

    /// The outcome of the round.
    pub async fn elected(
        &mut self,
        mut alive: impl FnMut() -> bool,
    ) -> Result<(Vote, ServerState), String> {
        self.until("an outcome", |m| match alive() {
            true => Ok(m.elected.is_some()),
            false => Err("an Apache server ended".to_owned()),
        })
        .await?;
        self.elected.ok_or_else(|| "no outcome".to_owned())
    }

    /// Notifications of all of them have come, with a configuration that can be read.
    pub async fn heard_from(&mut self, all: &[i64]) -> Result<(), String> {
        self.until("notifications of all", |m| {
            Ok(all
                .iter()
                .all(|id| m.heard.iter().any(|(from, _)| from == id)))
        })
        .await?;
        for (from, n) in &self.heard {
            let text = n.config.as_deref().unwrap_or("(none)");
            let config = Config::parse(text, false)
                .map_err(|e| format!("the configuration of {from}: {e}: {text}"))?;
            if n.version != 2 || config.members.len() != 3 {
                return Err(format!("{from} sent {n:?}"));
            }
        }
        Ok(())
    }

    /// `from` has said that it is in `state` under `leader`.
    pub async fn told(&mut self, from: i64, state: ServerState, leader: i64) -> Result<(), String> {
        let mut ask = Instant::now() + Duration::from_millis(500);
        self.until("its word", |m| {
            // A leader says so only when it is asked, and only once it has found out.
            if Instant::now() > ask {
                ask = Instant::now() + Duration::from_millis(500);
                m.look(EMPTY);
            }
            let says = |(f, n): &(i64, Notification)| {
                *f == from && n.state == state && n.leader.0 == leader
            };
            Ok(m.heard.iter().any(says))
        })
        .await
    }

    /// Answers elections until `server` has a role.
    pub async fn until_serving(&mut self, mut server: Apache) -> Result<Apache, String> {
        let waiting = tokio::task::spawn_blocking(move || {
            server.await_serving()?;
            Ok::<_, String>(server)
        });
        while !waiting.is_finished() {
            self.step().await?;
        }
        waiting.await.map_err(|e| e.to_string())?
    }

    pub async fn stop(self) {
        self.mesh.shutdown().await;
    }
}
