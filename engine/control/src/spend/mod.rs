//! The spend store: shards append what exchanges cost to mapped files, a thread syncs and adds them up, a start reads them.
//!
//! | file of a node's directory | what |
//! |---|---|
//! | `lock` | held while a process uses the directory |
//! | `checkpoint` | what all older frames add up to; replaced whole |
//! | `shard-N.0`, `shard-N.1` | journals of one shard: one is written, the other one added up |
//!
//! A shard's append is a copy into its own mapping: no system call, no allocation, no wait. The kernel keeps what a killed
//! process wrote; a sync each `SYNC_EVERY` keeps it over the machine's end, too. Each process takes a node directory of its
//! own, and starts from what all of them say.

mod directory;
mod files;
mod keeper;
mod sink;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ringway_policy::lease::Now;
use ringway_policy::quota::Quotas;
use ringway_policy::spend::{Sink, Spent};

use crate::health::{Health, Part};
use files::ShardFiles;
use keeper::Keeper;
use sink::FileSink;

/// Where the store is, where nothing else is said.
pub const DEFAULT_DIRECTORY: &str = "ringway-data";
/// Group commit: what a shard appended is on the disk after this and the sync itself.
const SYNC_EVERY: Duration = Duration::from_millis(25);
/// A journal that is not half full is added up so often.
const COMPACT_EVERY: Duration = Duration::from_secs(60);
/// Windows are at most a year.
const KEPT: Duration = Duration::from_secs(367 * 86_400);

/// Which directory, and who chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `--no-store`.
    Nowhere,
    /// Where it cannot be used, the process goes on without.
    Default(PathBuf),
    /// `--data-dir`: where it cannot be used, that is an error.
    Chosen(PathBuf),
}

/// One process's spend store. Opened on first need.
pub struct Store {
    place: Place,
    shared: Arc<Shared>,
    shards: usize,
    health: Arc<Health>,
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    restored: Arc<Spent>,
    /// `None` where the process goes on without a store.
    keeper: Option<Keeper>,
}

/// What the sinks and the keeper share.
#[derive(Default)]
pub(crate) struct Shared {
    files: OnceLock<Vec<ShardFiles>>,
}

impl Store {
    pub fn new(place: Place, shards: usize, health: Arc<Health>) -> Store {
        Store { place, shared: Arc::default(), shards, health, opened: Mutex::new(None) }
    }

    /// Nothing is kept.
    pub fn is_nowhere(&self) -> bool {
        matches!(self.place, Place::Nowhere)
    }

    /// Somebody chose the directory.
    pub fn is_chosen(&self) -> bool {
        matches!(self.place, Place::Chosen(_))
    }

    /// One per shard, once. Before the store is open they take everything and keep nothing.
    pub fn sinks(&self) -> Vec<Box<dyn Sink>> {
        (0..self.shards).map(|shard| Box::new(FileSink::new(self.shared.clone(), shard)) as Box<dyn Sink>).collect()
    }

    /// Opens the store if it is not open; says what was spent before. Called where a budget is configured.
    ///
    /// # Errors
    /// Where a chosen directory cannot be used.
    pub fn open(&self) -> Result<Arc<Spent>, String> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            return Ok(opened.restored.clone());
        }
        let (directory, is_chosen) = match &self.place {
            Place::Nowhere => return Ok(Arc::default()),
            Place::Default(path) => (path, false),
            Place::Chosen(path) => (path, true),
        };
        let new = match self.open_in(directory) {
            Ok(opened) => opened,
            Err(error) if is_chosen => return Err(format!("--data-dir {}: {error}", directory.display())),
            Err(error) => {
                let reason = format!("{}: {error}; spend of this process ends with it (choose --data-dir)", directory.display());
                tracing::warn!(reason, "no spend store");
                self.health.degrade(Part::SpendStore, reason);
                Opened { restored: Arc::default(), keeper: None }
            }
        };
        Ok(opened.insert(new).restored.clone())
    }

    fn open_in(&self, directory: &Path) -> io::Result<Opened> {
        let node = directory::take_node(directory)?;
        let mut restored = directory::spent_by_others(directory, &node)?;
        let (checkpoint, files) = files::open(&node.path, self.shards)?;
        checkpoint.spent.iter().for_each(|charge| restored.add(charge));
        tracing::info!(directory = %node.path.display(), accounts = restored.len(), "spend store");
        // Only this call sets it, under the lock.
        let _ = self.shared.files.set(files);
        let keeper = Keeper::start(node, checkpoint, self.shared.clone(), self.health.clone())?;
        Ok(Opened { restored: Arc::new(restored), keeper: Some(keeper) })
    }

    /// Counts on budgets that are new since `before` what the store said was spent of them when it was opened. Before their first
    /// request.
    pub fn restore(&self, quotas: &Quotas, before: Option<&Quotas>, now: Now) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = &*opened else { return };
        quotas.restore(&opened.restored, before, now);
    }

    /// Adds everything up and syncs it. After the shards have ended.
    pub fn close(&self) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(opened.and_then(|opened| opened.keeper));
    }
}

#[cfg(test)]
mod tests;
