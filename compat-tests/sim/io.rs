//! What a server's disk is at.

use zabra::base::Zxid;
use zabra::pipeline::LogOp;
use zabra::quorum::{DiskOp, Input, PeerState};

use crate::disk::stream;
use crate::event::Event;
use crate::mutation::Mutation;
use crate::world::{Fail, World};

impl World {
    pub fn disk_op(&mut self, sid: i64, op: DiskOp) {
        if let DiskOp::ReadLog { link, from, upto } = op {
            let (boot, ms) = (self.process(sid).boot, self.rng.below(60) as i64);
            return self.later(ms, Event::Read(sid, boot, link, from, upto));
        }
        let boot = self.process(sid).boot;
        let leads = matches!(self.process(sid).peer.state(), PeerState::Leading(_));
        match (&op, self.mutation) {
            (DiskOp::Log(LogOp::Append(zxid, _)), Some(Mutation::CommitBeforeOwnDisk)) if leads => {
                self.later(0, Event::Done(sid, boot, Input::Logged(*zxid)));
            }
            (DiskOp::Flush, Some(Mutation::VoteFromMemory)) => {
                return self.later(0, Event::Done(sid, boot, Input::Flushed));
            }
            _ => {}
        }
        self.process(sid).queue.push_back(op);
        self.disk_begin(sid);
    }

    pub fn disk_begin(&mut self, sid: i64) {
        let slow = self.nodes[&sid].slow_until > self.now;
        let ms = self.rng.below(if slow { 1500 } else { 8 }) as i64 + 1;
        let node = self.nodes.get_mut(&sid).expect("a node");
        let p = node.up.as_mut().expect("it runs");
        if p.busy.is_some() || p.queue.is_empty() {
            return;
        }
        let mut batch = Vec::new();
        while let Some(op) = p.queue.pop_front_if(|op| matches!(op, DiskOp::Log(_))) {
            batch.push(op);
        }
        if batch.is_empty() {
            batch.extend(p.queue.pop_front());
        }
        p.busy = Some(batch);
        let boot = p.boot;
        self.later(ms, Event::Disk(sid, boot));
    }

    /// Appends a batch; the last zxid of it.
    pub fn append(&mut self, sid: i64, batch: &[DiskOp]) -> Result<Option<Zxid>, String> {
        let mut last = None;
        for op in batch {
            let DiskOp::Log(LogOp::Append(zxid, bytes)) = op else {
                continue;
            };
            let known = self.bytes.entry(*zxid).or_insert_with(|| bytes.clone());
            if known != bytes {
                return Err(format!("{sid} logs {zxid} with other bytes"));
            }
            let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
            let before = disk
                .append(*zxid, bytes.clone())
                .map_err(|e| format!("{sid}: {e}"))?;
            // One transaction comes behind the same one everywhere.
            let opens = before.counter() == 0 || before.counter() == self.opening;
            if !opens || before == Zxid::ZERO {
                let first = *self.before.entry(*zxid).or_insert(before);
                if first != before {
                    return Err(format!("{sid} logs {zxid} behind {before}, not {first}"));
                }
            }
            last = Some(*zxid);
        }
        Ok(last)
    }

    pub fn disk_done(&mut self, sid: i64) -> Fail {
        if self.nodes[&sid].full_until > self.now {
            // Any error of the disk ends the process.
            self.say(|| format!("{sid}: the disk is full"));
            return self.crash(sid);
        }
        let Some(batch) = self.process(sid).busy.take() else {
            return Ok(());
        };
        let mut done = None;
        let last = self.append(sid, &batch)?;
        if let Some(zxid) = last {
            let early = self.mutation == Some(Mutation::AckBeforeDurable);
            let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
            if !early || disk.log.len() - disk.durable > 20 {
                disk.durable = disk.log.len();
            }
            done = Some(Input::Logged(zxid));
        }
        for op in batch {
            done = self.finish(sid, op)?.or(done);
        }
        self.disk_begin(sid);
        match done {
            Some(input) => self.step(sid, input),
            None => Ok(()),
        }
    }

    pub fn finish(&mut self, sid: i64, op: DiskOp) -> Result<Option<Input>, String> {
        self.say(|| match &op {
            DiskOp::Log(_) => format!("{sid} logged"),
            DiskOp::SaveSnapshot(zxid, _) => format!("{sid} saves the leader's snapshot, {zxid}"),
            op => format!("{sid} disk {op:?}"),
        });
        let cuts = self.mutation != Some(Mutation::MissedTrunc);
        let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
        Ok(Some(match op {
            DiskOp::Log(_) => return Ok(None),
            DiskOp::AcceptEpoch(e) => {
                if e <= disk.accepted {
                    return Err(format!("{sid}: acceptedEpoch {:?} -> {e:?}", disk.accepted));
                }
                if self.mutation != Some(Mutation::AcceptedEpochLost) {
                    disk.accepted = e;
                }
                Input::EpochAccepted(e)
            }
            DiskOp::EnterEpoch(e) => {
                let back = e < disk.current || e > disk.accepted;
                if back {
                    return Err(format!("{sid}: currentEpoch {:?} -> {e:?}", disk.current));
                }
                disk.current = e;
                Input::EpochEntered(e)
            }
            DiskOp::Flush => {
                disk.durable = disk.log.len();
                Input::Flushed
            }
            DiskOp::Truncate(z) => {
                let data = disk.truncate(z, cuts).map_err(|e| format!("{sid}: {e}"))?;
                self.check_kept(sid)?;
                Input::Truncated(z, Box::new(data))
            }
            DiskOp::Reload => Input::Reloaded(Box::new(disk.recover()?.1)),
            DiskOp::SaveSnapshot(zxid, job) => {
                if self.mutation != Some(Mutation::SnapshotUnsaved) {
                    disk.replace(zxid, stream(job));
                }
                self.check_kept(sid)?;
                Input::SnapshotSaved
            }
            DiskOp::ReadLog { .. } | DiskOp::SaveSeen(_) | DiskOp::ActivateConfig(_) => {
                return Ok(None);
            }
        }))
    }
}
