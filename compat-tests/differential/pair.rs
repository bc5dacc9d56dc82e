//! Two servers side by side: each step goes to both at the same time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::profiles::Profile;
use crate::program::Step;
use crate::servers::{Launcher, Server};
use crate::tamper::Tamperer;
use crate::world::{Outcome, World};

/// The two programs that are compared.
#[derive(Debug, Clone)]
pub struct Launchers {
    /// The oracle.
    pub left: Launcher,
    pub right: Launcher,
}

enum Job {
    Step(Arc<Step>),
    Tamper(Option<Tamperer>),
}

/// A thread that plays the clients of one server.
struct Player {
    jobs: Sender<Job>,
    outcomes: Receiver<Outcome>,
    /// Tells whether the tamperer that was put away had done its work.
    tampered: Receiver<bool>,
    _thread: JoinHandle<()>,
}

impl Player {
    fn start(mut world: World) -> Self {
        let (jobs, inbox) = channel();
        let (outbox, outcomes) = channel();
        let (report, tampered) = channel();
        let thread = std::thread::spawn(move || {
            for job in inbox {
                // Sending fails only when the pair is gone, and then the inbox ends as well.
                let _gone = match job {
                    Job::Step(step) => outbox.send(world.run(&step)).is_err(),
                    Job::Tamper(tamper) => {
                        let before = world.set_tamper(tamper);
                        report.send(before.is_some_and(|t| t.done)).is_err()
                    }
                };
            }
        });
        Self {
            jobs,
            outcomes,
            tampered,
            _thread: thread,
        }
    }
}

/// Both servers of one profile, with their players.
pub struct Pair {
    // Players first: their connections close before the servers are killed.
    left: Player,
    right: Player,
    pub servers: [Server; 2],
}

impl Pair {
    /// Starts both servers, at the same time, on empty directories.
    pub fn start(launchers: &Launchers, profile: &Profile) -> Result<Self, String> {
        let open = |launcher: &Launcher| {
            let server = Server::start(launcher, profile)?;
            let world = World::open(server.addr, profile.opening())
                .map_err(|e| format!("{}: {e}; {}", server.name, server.log_tail()))?;
            Ok((server, Player::start(world)))
        };
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(|| open(&launchers.left));
            let right = open(&launchers.right);
            (
                left.join().expect("starting a server does not panic"),
                right,
            )
        });
        let ((left_server, left), (right_server, right)): ((_, _), (_, _)) =
            (left.map_err(|e: String| e)?, right?);
        Ok(Self {
            left,
            right,
            servers: [left_server, right_server],
        })
    }

    /// Runs one step on both. The oracle's outcome comes first.
    pub fn step(&self, step: &Step) -> (Outcome, Outcome) {
        let step = Arc::new(step.clone());
        let gone = "a player thread lives as long as its pair";
        self.left
            .jobs
            .send(Job::Step(Arc::clone(&step)))
            .expect(gone);
        self.right.jobs.send(Job::Step(step)).expect(gone);
        (
            self.left.outcomes.recv().expect(gone),
            self.right.outcomes.recv().expect(gone),
        )
    }

    /// New clients for both servers, which must be in the same state.
    pub fn new_players(&mut self, profile: &Profile) -> Result<(), String> {
        let open = |server: &Server| World::open(server.addr, profile.opening()).map(Player::start);
        self.left = open(&self.servers[0])?;
        self.right = open(&self.servers[1])?;
        Ok(())
    }

    /// Puts a tamperer on what the second server says. Returns whether the one before it struck.
    pub fn tamper(&self, tamper: Option<Tamperer>) -> bool {
        let gone = "a player thread lives as long as its pair";
        self.right.jobs.send(Job::Tamper(tamper)).expect(gone);
        self.right.tampered.recv().expect(gone)
    }
}
