//! The last records, for the admin API.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringway_policy::record::Record;

/// Most records that are kept: what a person looks through, about 1 MiB.
pub const RECENT_MAX: usize = 1_000;

/// A ring of the last `RECENT_MAX` records. Clones share one.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    records: VecDeque<Record>,
    /// All that ever came.
    count: u64,
}

impl Recent {
    /// Takes a batch, oldest first, and empties it. Old records are freed by the caller's thread.
    pub fn push(&self, batch: &mut Vec<Record>) {
        let skipped = batch.len().saturating_sub(RECENT_MAX);
        let mut ring = self.ring();
        ring.count += batch.len() as u64;
        let records = &mut ring.records;
        let over = (records.len() + batch.len() - skipped).saturating_sub(RECENT_MAX);
        records.drain(..over);
        records.extend(batch.drain(..).skip(skipped));
    }

    /// Shows the newest `limit` records, newest first, and says how many ever came. The lock is held meanwhile, so `show` does no I/O.
    pub fn newest(&self, limit: usize, mut show: impl FnMut(&Record)) -> u64 {
        let ring = self.ring();
        ring.records.iter().rev().take(limit).for_each(&mut show);
        ring.count
    }

    /// Records that are kept now.
    pub fn len(&self) -> usize {
        self.ring().records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sample;

    #[test]
    fn only_the_newest_stay() {
        let recent = Recent::default();
        let mut batch: Vec<Record> = (0..RECENT_MAX as u64 + 5).map(|at_ms| Record { at_ms, ..sample() }).collect();
        recent.push(&mut batch);
        recent.push(&mut vec![Record { at_ms: 9_999, ..sample() }]);
        assert!(batch.is_empty());
        let mut seen = Vec::new();
        recent.newest(usize::MAX, |record| seen.push(record.at_ms));
        assert_eq!(seen.len(), RECENT_MAX);
        assert_eq!(seen[..2], [9_999, RECENT_MAX as u64 + 4]);
        assert_eq!(seen.last(), Some(&6));
    }
}
