//! The keeper: a thread that syncs journals, and adds up those that are sealed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringway_policy::spend::checkpoint::Checkpoint;
use ringway_policy::spend::frame::HEADER;
use ringway_policy::spend::replay;

use super::directory::{self, Node};
use super::files::{CHECKPOINT, JOURNAL_BYTES, ShardFiles, State};
use super::{COMPACT_EVERY, KEPT, SYNC_EVERY, Shared};
use crate::health::{Health, Part};

/// After the last trouble the store is called well again.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// The running thread. Dropped, it adds everything up and ends.
pub(super) struct Keeper {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub fn start(node: Node, checkpoint: Checkpoint, shared: Arc<Shared>, health: Arc<Health>) -> io::Result<Keeper> {
        let ending = Arc::new(AtomicBool::new(false));
        let shards = shared.files.get().map_or(0, Vec::len);
        let mut work = Work {
            node,
            checkpoint,
            shared,
            health,
            synced: vec![[HEADER.len() as u64; 2]; shards],
            compacted_at: Instant::now(),
            refused: 0,
            trouble_at: None,
        };
        let end = ending.clone();
        let thread = thread::Builder::new().name("spend".to_owned()).spawn(move || {
            while !end.load(Ordering::Acquire) {
                thread::park_timeout(SYNC_EVERY);
                work.round();
            }
            work.finish();
        })?;
        Ok(Keeper { ending, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in there is reported by the hook; nothing is left to save here.
            let _ = thread.join();
        }
    }
}

struct Work {
    node: Node,
    checkpoint: Checkpoint,
    shared: Arc<Shared>,
    health: Arc<Health>,
    /// By shard and journal, up to where it is on the disk.
    synced: Vec<[u64; 2]>,
    compacted_at: Instant,
    refused: u64,
    trouble_at: Option<Instant>,
}

impl Work {
    fn round(&mut self) {
        let shared = self.shared.clone();
        let shards = shared.files.get().map_or(&[][..], Vec::as_slice);
        let is_due = self.compacted_at.elapsed() >= COMPACT_EVERY;
        let outcome = self.sync(shards, is_due).and_then(|()| self.compact(shards));
        if is_due {
            self.compacted_at = Instant::now();
        }
        let refused: u64 = shards.iter().map(|shard| shard.refused.load(Ordering::Relaxed)).sum();
        if let Err(error) = outcome {
            self.trouble(format!("{}: {error}", self.node.path.display()));
        } else if refused > self.refused {
            self.trouble(format!("{refused} exchanges found the journal full; their spend ends with this process"));
        } else if self.trouble_at.is_some_and(|at| at.elapsed() >= WELL_AFTER) {
            self.trouble_at = None;
            self.health.recover(Part::SpendStore);
        }
        self.refused = refused;
    }

    fn trouble(&mut self, reason: String) {
        if self.trouble_at.is_none() {
            tracing::warn!(reason, "spend store");
        }
        self.trouble_at = Some(Instant::now());
        self.health.degrade(Part::SpendStore, reason);
    }

    fn sync(&mut self, shards: &[ShardFiles], is_due: bool) -> io::Result<()> {
        for (shard, synced) in shards.iter().zip(&mut self.synced) {
            let active = shard.active.load(Ordering::Acquire);
            let written = shard.journals[active].written.load(Ordering::Acquire);
            if written < synced[active] {
                // Begun anew.
                synced[active] = 0;
            }
            synced[active] = shard.journals[active].sync(synced[active])?;
            let is_begun = written > HEADER.len() as u64;
            if written as usize > JOURNAL_BYTES / 2 || (is_due && is_begun) {
                shard.rotate.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Adds sealed journals up. They are clean once the checkpoint that has them is on the disk.
    fn compact(&mut self, shards: &[ShardFiles]) -> io::Result<()> {
        let mut next = None;
        for (index, shard) in shards.iter().enumerate() {
            for journal in shard.journals.iter().filter(|journal| journal.state() == State::Sealed) {
                let next = next.get_or_insert_with(|| self.checkpoint.clone());
                add_up(next, index, journal.frames());
            }
        }
        let Some(mut next) = next else { return Ok(()) };
        next.spent.forget_before(unix_ms().saturating_sub(KEPT.as_millis() as u64));
        directory::replace(&self.node.path, CHECKPOINT, &next.write())?;
        self.checkpoint = next;
        for (index, shard) in shards.iter().enumerate() {
            for (half, journal) in shard.journals.iter().enumerate().filter(|(_, journal)| journal.state() == State::Sealed) {
                // One that was sealed since then is not in the checkpoint.
                if replay(journal.frames(), 0, drop).last_sequence <= self.checkpoint.applied(index) {
                    self.synced[index][half] = 0;
                    journal.enter(State::Clean);
                }
            }
        }
        Ok(())
    }

    /// The shards have ended: all that they wrote goes into the checkpoint.
    fn finish(&mut self) {
        let shared = self.shared.clone();
        for (index, shard) in shared.files.get().map_or(&[][..], Vec::as_slice).iter().enumerate() {
            let mut journals: Vec<_> = shard.journals.iter().filter(|journal| journal.state() != State::Clean).collect();
            journals.sort_by_key(|journal| ringway_policy::spend::frame::first_sequence(journal.frames()));
            for journal in journals {
                add_up(&mut self.checkpoint, index, journal.frames());
            }
        }
        if let Err(error) = directory::replace(&self.node.path, CHECKPOINT, &self.checkpoint.write()) {
            // The journals still have it all.
            tracing::warn!(%error, "spend store: no checkpoint at the end");
        }
    }
}

fn add_up(checkpoint: &mut Checkpoint, shard: usize, frames: &[u8]) {
    let replayed = replay(frames, checkpoint.applied(shard), |charge| checkpoint.spent.add(charge));
    checkpoint.set_applied(shard, replayed.last_sequence);
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
