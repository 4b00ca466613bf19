//! The publisher: the one place that swaps the snapshot, and that frees old ones off the data threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ringway_policy::snapshot::Snapshot;

/// Old snapshots that are kept until no exchange reads them any more. Beyond it the oldest is let go, and the shard
/// that holds it last frees it: a pause there is better than memory without a bound.
const RETIRED_MAX: usize = 32;

/// Swaps snapshots. Clones share one.
#[derive(Clone, Debug)]
pub struct Publisher {
    snapshot: Arc<ArcSwap<Snapshot>>,
    retired: Arc<Mutex<Vec<Arc<Snapshot>>>>,
}

impl Publisher {
    pub fn new(first: Snapshot) -> Publisher {
        Publisher { snapshot: Arc::new(ArcSwap::from_pointee(first)), retired: Arc::default() }
    }

    /// What the data plane reads.
    pub fn shared(&self) -> Arc<ArcSwap<Snapshot>> {
        self.snapshot.clone()
    }

    pub fn current(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes the next snapshot from the current one and swaps it in; `None` leaves all as it is. Changes from several
    /// sides (the file, names) run one after the other, so that none undoes another.
    ///
    /// # Errors
    /// What `change` returns; nothing is swapped then.
    pub fn change<E>(&self, change: impl FnOnce(&Snapshot) -> Result<Option<Snapshot>, E>) -> Result<(), E> {
        let mut retired = self.retired();
        let current = self.snapshot.load_full();
        if let Some(next) = change(&current)? {
            drop(current);
            retired.push(self.snapshot.swap(Arc::new(next)));
        }
        sweep(&mut retired);
        Ok(())
    }

    /// Frees old snapshots that nobody reads any more.
    pub fn sweep(&self) {
        sweep(&mut self.retired());
    }

    fn retired(&self) -> MutexGuard<'_, Vec<Arc<Snapshot>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(retired: &mut Vec<Arc<Snapshot>>) {
    retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    let over = retired.len().saturating_sub(RETIRED_MAX);
    retired.drain(..over);
}
