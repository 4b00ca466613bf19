//! Where a shard leaves its records for the control plane: bounded, without a lock, and with memory as it fills.
//!
//! A ring of fixed places would touch all of them: 1,024 records take 0.8 MiB a shard, of which an idle gateway needs nothing.
//! Estimate: a move of the record and one compare-and-swap for each end; an allocation for 31 records.

use crossbeam::queue::SegQueue;

use super::Record;

/// A bounded queue of records.
#[derive(Debug)]
pub struct Outbox {
    records: SegQueue<Record>,
    records_max: usize,
}

/// The outbox holds as many records as it may; the one that was to be left is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Outbox {
    pub fn new(records_max: usize) -> Outbox {
        Outbox { records: SegQueue::new(), records_max }
    }

    /// Leaves a record. One thread pushes: of several, each might go beyond the bound by one.
    ///
    /// # Errors
    /// Where it is full.
    pub fn push(&self, record: Record) -> Result<(), Full> {
        if self.records.len() >= self.records_max {
            return Err(Full);
        }
        self.records.push(record);
        Ok(())
    }

    /// The oldest record.
    pub fn pop(&self) -> Option<Record> {
        self.records.pop()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;

    #[test]
    fn records_come_out_in_order_and_no_more_than_fit() {
        let outbox = Outbox::new(100);
        for round in 0..3 {
            for at_ms in 0..100 {
                assert_eq!(outbox.push(Record { at_ms, ..record() }), Ok(()), "round {round}");
            }
            assert_eq!((outbox.push(record()), outbox.len()), (Err(Full), 100));
            let times: Vec<u64> = std::iter::from_fn(|| outbox.pop()).map(|record| record.at_ms).collect();
            assert!(times.iter().copied().eq(0..100) && outbox.is_empty());
        }
    }
}
