//! Spend that outlives the process: the journal's format, and what a journal adds up to.
//!
//! A shard appends one frame per exchange to its own file; a compaction adds frames up into a checkpoint. A frame whose
//! sequence the checkpoint has is skipped, so that nothing counts twice, whenever the process ends.

pub mod checkpoint;
pub mod crc;
pub mod frame;

use std::collections::BTreeMap;

pub use frame::replay;

/// What one exchange cost one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Stable: a hash of the account's own name, the same in every process.
    pub account_id: u64,
    pub window_start_ms: u64,
    pub amount: u64,
}

/// The journal took no more: the compaction lags. The charges are counted in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Where a shard leaves what its exchanges cost.
pub trait Sink: Send {
    /// All charges of one exchange. Neither waits nor allocates.
    ///
    /// # Errors
    /// `Full`, where they will not survive the process.
    fn append(&mut self, charges: &[Charge]) -> Result<(), Full>;
}

/// What was spent in the last window of each account that a journal names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    accounts: BTreeMap<u64, Sum>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    window_start_ms: u64,
    amount: u64,
}

impl Spent {
    /// A charge of an older window than the account's last one is of no account any more.
    pub fn add(&mut self, charge: Charge) {
        let Charge { account_id, window_start_ms, amount } = charge;
        let sum = self.accounts.entry(account_id).or_insert(Sum { window_start_ms, amount: 0 });
        if window_start_ms > sum.window_start_ms {
            *sum = Sum { window_start_ms, amount: 0 };
        }
        if window_start_ms == sum.window_start_ms {
            sum.amount = sum.amount.saturating_add(amount);
        }
    }

    pub fn find(&self, account_id: u64) -> Option<Charge> {
        self.accounts.get(&account_id).map(|sum| charge(account_id, *sum))
    }

    /// By account.
    pub fn iter(&self) -> impl Iterator<Item = Charge> {
        self.accounts.iter().map(|(account_id, sum)| charge(*account_id, *sum))
    }

    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Forgets windows that began before `start_ms`.
    pub fn forget_before(&mut self, start_ms: u64) {
        self.accounts.retain(|_, sum| sum.window_start_ms >= start_ms);
    }
}

fn charge(account_id: u64, sum: Sum) -> Charge {
    Charge { account_id, window_start_ms: sum.window_start_ms, amount: sum.amount }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_window_of_an_account_counts() {
        let mut spent = Spent::default();
        for (account_id, window_start_ms, amount) in [(1, 100, 5), (1, 100, 6), (2, 100, 1), (1, 200, 7), (1, 100, 9), (2, 100, u64::MAX)] {
            spent.add(Charge { account_id, window_start_ms, amount });
        }
        assert_eq!(spent.find(1), Some(Charge { account_id: 1, window_start_ms: 200, amount: 7 }));
        assert_eq!(spent.find(2).map(|charge| charge.amount), Some(u64::MAX));
        spent.forget_before(101);
        assert_eq!((spent.len(), spent.find(2)), (1, None));
    }
}
