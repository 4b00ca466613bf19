//! What waits to be exported: bounded; what finds no room is dropped and counted, and nobody waits for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_policy::record::Record;
use tokio::sync::Notify;

use super::settings::Bounds;

/// Records of one signal.
pub struct Queue {
    records: Mutex<VecDeque<Arc<Record>>>,
    bounds: Bounds,
    /// A whole batch is there, or the end has come.
    full: Notify,
    pub counts: Counts,
}

/// How a signal fares.
#[derive(Debug, Default)]
pub struct Counts {
    pub sent: AtomicU64,
    pub dropped: AtomicU64,
}

impl Queue {
    pub fn new(bounds: Bounds) -> Queue {
        Queue { records: Mutex::default(), bounds, full: Notify::new(), counts: Counts::default() }
    }

    /// Takes a record, or counts it as dropped. Never waits.
    pub fn push(&self, record: &Arc<Record>) {
        let mut records = self.records();
        if records.len() >= self.bounds.queue_max {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        records.push_back(record.clone());
        if records.len() == self.bounds.batch_max {
            self.full.notify_one();
        }
    }

    /// The next batch: as soon as it is full, or after the delay with what is there.
    pub async fn batch(&self) -> Vec<Arc<Record>> {
        if self.waiting() < self.bounds.batch_max {
            let _ = tokio::time::timeout(self.bounds.delay, self.full.notified()).await;
        }
        self.take()
    }

    /// What is there, up to a batch.
    pub fn take(&self) -> Vec<Arc<Record>> {
        let mut records = self.records();
        let count = records.len().min(self.bounds.batch_max);
        records.drain(..count).collect()
    }

    /// Ends a wait for a batch.
    pub fn wake(&self) {
        self.full.notify_one();
    }

    /// Records that wait.
    pub fn waiting(&self) -> usize {
        self.records().len()
    }

    fn records(&self) -> MutexGuard<'_, VecDeque<Arc<Record>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the `attempt`-th repeat waits: doubling from a second, up to half a minute, at least half of it (jitter: `draw` is
/// any number).
pub fn back_off(attempt: u32, draw: u64) -> Duration {
    const FIRST_MS: u64 = 1_000;
    const LAST_MS: u64 = 30_000;
    let whole = FIRST_MS.saturating_mul(1 << attempt.min(10)).min(LAST_MS);
    Duration::from_millis(whole / 2 + draw % (whole / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sample;

    #[test]
    fn what_finds_no_room_is_counted() {
        let queue = Queue::new(Bounds { queue_max: 5, batch_max: 2, delay: Duration::from_secs(60) });
        (0..8).for_each(|_| queue.push(&Arc::new(sample())));
        assert_eq!((queue.waiting(), queue.counts.dropped.load(Ordering::Relaxed)), (5, 3));
        assert_eq!((queue.take().len(), queue.take().len(), queue.take().len(), queue.take().len()), (2, 2, 1, 0));
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        for attempt in 0..40 {
            for draw in [0, 7, u64::MAX] {
                let wait = back_off(attempt, draw).as_millis();
                assert!((500..=30_000).contains(&wait), "{attempt} {wait}");
            }
        }
        assert!(back_off(5, 0) > back_off(0, u64::MAX));
    }
}
