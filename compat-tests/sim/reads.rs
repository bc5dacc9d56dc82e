//! What clients read: answered at once from the tree, merged with what waits, as connections do
//! (rules R3 and R4), and compared with the model.

use std::collections::BTreeSet;
use std::sync::Arc;

use zabra::base::{Perms, Zxid};
use zabra::jute::Input;
use zabra::proto::Code;
use zabra::tree::query::{Access, ReadKind, ReadResult, WatchLists};
use zabra::tree::{AclList, DataTree, Inbox, Item};

use crate::client::Client;
use crate::mutation::Mutation;
use crate::requests::SHARED;
use crate::world::{Fail, World};

/// Longest time after which a server that lost the others may still answer reads from what it has,
/// ms: syncLimit, what a slow disk takes, and some room.
const STALE_MS: i64 = 8000;

struct Everybody;

impl Access for Everybody {
    fn allows(&self, _: &AclList, _: Perms) -> bool {
        true
    }
}

impl World {
    /// Takes what waits for a client and is tagged `upto` or less.
    pub fn drain(&mut self, id: usize, upto: Zxid) -> Fail {
        while let Some((_, _, inbox)) = self.clients[id].at.clone() {
            let Some(item) = inbox.pop(upto) else {
                if inbox.is_closed() && self.mutation != Some(Mutation::TailVisible) {
                    self.clients[id].disconnect();
                }
                return Ok(());
            };
            if let Some(item) = self.tamper(id, item) {
                self.take(id, item)?;
                if let Some(held) = self.clients[id].held.take() {
                    self.take(id, held)?;
                }
            }
        }
        Ok(())
    }

    /// Gives a client an item.
    pub fn take(&mut self, id: usize, item: Item) -> Fail {
        let now = self.now;
        let reply = self.clients[id].take(&self.model, item, now);
        let checked = match reply {
            Ok(Some(reply)) => self.check_reply(&reply),
            Ok(None) => Ok(()),
            Err(e) => Err(e),
        };
        checked.map_err(|e| format!("client {id}: {e}"))
    }

    /// What a bad connection does to an item.
    fn tamper(&mut self, id: usize, item: Item) -> Option<Item> {
        let event = matches!(item, Item::Event(..));
        match self.mutation {
            Some(Mutation::LostEvent) if event && self.rng.chance(5) => None,
            Some(Mutation::EventAfterReply) if event => {
                self.clients[id].held = Some(item);
                None
            }
            _ => Some(item),
        }
    }

    /// A read of some kind.
    pub fn read(&mut self, id: usize, tree: &DataTree, inbox: &Arc<Inbox>) -> Fail {
        let client = self.rng.below(self.clients.len());
        let mut paths = vec![format!("/c{client}"), format!("/q/n{}", self.rng.below(7))];
        paths.extend(SHARED.iter().map(|p| (*p).to_owned()));
        let path = self.rng.pick(&paths).clone();
        let watch = self.rng.chance(40).then_some(inbox);
        let done = match self.rng.below(12) {
            0..=3 => self.get_data(id, tree, &path, watch),
            4..=5 => self.exists(id, tree, &path, watch),
            6..=8 => self.get_children(id, tree, &path, watch),
            9..=10 => self.multi_read(id, tree),
            _ if self.rng.chance(30) => {
                let recursive = self.rng.chance(50);
                let at = tree.add_watch(&path, inbox, recursive);
                self.answered(id, at, |c, w| {
                    c.watches.arm(&w.model, &path, at, |m| match recursive {
                        true => m.recursive = true,
                        false => m.persistent = true,
                    });
                    Ok(())
                })
            }
            _ => self.answered(id, tree.applied(), |_, _| Ok(())),
        };
        done.map_err(|e| format!("client {id}: {e}"))
    }

    /// An answer tagged `at` is on its way: what must come before it does, then `then` looks at it.
    pub fn answered(
        &mut self,
        id: usize,
        at: Zxid,
        then: impl FnOnce(&mut Client, &Self) -> Fail,
    ) -> Fail {
        self.drain(id, at)?;
        if self.clients[id].at.is_none() {
            return Ok(());
        }
        if !self.clients[id].sent.is_empty() {
            return Err("a read overtook a write".into());
        }
        if at > self.model.last && !self.opens(at) {
            return Err(format!("reads at {at}, which is not committed"));
        }
        let old = self.told_before(self.now - STALE_MS);
        if at < old {
            return Err(format!("reads at {at}, {old} was answered long ago"));
        }
        self.told(at)?;
        let mut client = std::mem::take(&mut self.clients[id]);
        let done = client
            .sees(&self.model, at)
            .and_then(|()| then(&mut client, self));
        self.clients[id] = client;
        done
    }

    fn get_data(
        &mut self,
        id: usize,
        tree: &DataTree,
        path: &str,
        watch: Option<&Arc<Inbox>>,
    ) -> Fail {
        let (found, at) = tree.get_data(path, &Everybody, watch);
        self.answered(id, at, |c, w| {
            let node = found.as_ref().ok();
            let bytes = node.map(|(d, s)| (Some(d.as_deref().unwrap_or_default()), s));
            w.model.check_node(path, at, bytes)?;
            if watch.is_some() && found.is_ok() {
                c.watches.arm(&w.model, path, at, |m| m.data = true);
            }
            Ok(())
        })
    }

    fn exists(
        &mut self,
        id: usize,
        tree: &DataTree,
        path: &str,
        watch: Option<&Arc<Inbox>>,
    ) -> Fail {
        let (found, at) = tree.exists(path, &Everybody, watch);
        self.answered(id, at, |c, w| {
            let stat = found.as_ref().ok().map(|s| (None, s));
            w.model.check_node(path, at, stat)?;
            if watch.is_some() {
                c.watches.arm(&w.model, path, at, |m| match found.is_ok() {
                    true => m.data = true,
                    false => m.exist = true,
                });
            }
            Ok(())
        })
    }

    fn get_children(
        &mut self,
        id: usize,
        tree: &DataTree,
        path: &str,
        watch: Option<&Arc<Inbox>>,
    ) -> Fail {
        let mut names = Vec::new();
        let (found, at) = tree.get_children(path, &Everybody, watch, &mut names);
        self.answered(id, at, |c, w| {
            let stat = found.as_ref().ok().map(|s| (None, s));
            w.model.check_node(path, at, stat)?;
            if found.is_ok() {
                let children = full_paths(path, &names);
                check_children(w, path, at, children.iter().map(String::as_str))?;
                if path == "/q" {
                    c.queue = children;
                    c.queue.sort();
                }
            }
            if watch.is_some() && found.is_ok() {
                c.watches.arm(&w.model, path, at, |m| m.child = true);
            }
            Ok(())
        })
    }

    fn multi_read(&mut self, id: usize, tree: &DataTree) -> Fail {
        let asked = [
            (ReadKind::Data, "/m/a"),
            (ReadKind::Data, "/m/b"),
            (ReadKind::Children, "/q"),
        ];
        let (results, at) = tree.multi_read(&asked, &Everybody);
        self.answered(id, at, |_, w| {
            for ((_, path), result) in asked.iter().zip(&results) {
                match result {
                    Ok(ReadResult::Data(d, s)) => {
                        let data = Some(d.as_deref().unwrap_or_default());
                        w.model.check_node(path, at, Some((data, s)))?;
                    }
                    Ok(ReadResult::Children(c)) => {
                        let children = full_paths(path, c);
                        check_children(w, path, at, children.iter().map(String::as_str))?;
                    }
                    Err(Code::NoNode) => w.model.check_node(path, at, None)?,
                    Err(code) => return Err(format!("{path}: {code:?}")),
                }
            }
            Ok(())
        })
    }

    /// The first thing on a new connection: what is watched, and what was missed.
    pub fn rearm(&mut self, id: usize, tree: &DataTree, inbox: &Arc<Inbox>) -> Fail {
        self.clients[id].rearmed = true;
        let old = std::mem::take(&mut self.clients[id].watches);
        let since = self.clients[id].seen;
        let of = |f: fn(&crate::watches::Modes) -> bool| {
            let watched = old.all().filter(|(_, m)| f(m));
            watched.map(|(p, _)| p.as_str()).collect::<Vec<_>>()
        };
        let lists = WatchLists {
            data: of(|m| m.data),
            exist: of(|m| m.exist),
            child: of(|m| m.child),
            persistent: of(|m| m.persistent),
            recursive: of(|m| m.recursive),
        };
        let (events, at) = tree.set_watches(since, &lists, inbox);
        let told: BTreeSet<(i32, String)> = events
            .iter()
            .map(|(k, p)| (*k as i32, (*p).to_owned()))
            .collect();
        let due = old.catch_up(&self.model, since, at);
        if told != due {
            return Err(format!(
                "client {id}: setWatches from {since} at {at} says {told:?}, not {due:?}"
            ));
        }
        self.clients[id].watches = old.rearmed(at, &told);
        self.answered(id, at, |_, _| Ok(()))
            .map_err(|e| format!("client {id}: {e}"))
    }
}

/// The paths of the children in an answer.
fn full_paths(parent: &str, names: &[u8]) -> Vec<String> {
    let parent = parent.trim_end_matches('/');
    let mut input = Input::trusted(names);
    let count = input.int().unwrap_or(-1);
    let path = |_| {
        let name = input.string().ok().flatten().unwrap_or_default();
        format!("{parent}/{name}")
    };
    (0..count).map(path).collect()
}

fn check_children<'n>(
    world: &World,
    path: &str,
    at: Zxid,
    names: impl Iterator<Item = &'n str>,
) -> Fail {
    let names: BTreeSet<&str> = names.collect();
    let want = world.model.children(path, at);
    match names == want {
        true => Ok(()),
        false => Err(format!("{path} at {at} has {names:?}, not {want:?}")),
    }
}
