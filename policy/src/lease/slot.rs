//! One shard's part of an account, on its own cache line.

use crate::sync::{AtomicI64, AtomicU64, Ordering};

/// `settled` packs the epoch of its window under the amount.
pub(super) const EPOCH_BITS: u32 = 4;
const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;

/// Counts the windows of an account, round and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(pub u64);

impl Epoch {
    pub fn next(self) -> Epoch {
        Epoch((self.0 + 1) & EPOCH_MASK)
    }

    /// The epoch that a word holds in its lowest bits.
    pub fn of_word(word: u64) -> Epoch {
        Epoch(word & EPOCH_MASK)
    }

    fn is_after(self, other: Epoch) -> bool {
        let ahead = self.0.wrapping_sub(other.0) & EPOCH_MASK;
        // A roll sweeps all slots, so a slot is seldom behind by more than one; a sweeper may be late by some.
        ahead != 0 && ahead <= EPOCH_MASK - 4
    }
}

#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    /// Units that this shard may promise; others take from it, too.
    lease: AtomicU64,
    /// Promised here less ended here: negative where an exchange ends on another shard.
    reserved: AtomicI64,
    /// Settled here since the roll (or the last fold of a rate), with the window's epoch.
    settled: AtomicU64,
    /// The lease as the last reconcile saw it.
    lease_seen: AtomicU64,
    /// When what was settled here last went into a rate's arrival time.
    folded_ns: AtomicU64,
}

impl Slot {
    pub fn new(epoch: Epoch) -> Slot {
        Slot {
            lease: AtomicU64::new(0),
            reserved: AtomicI64::new(0),
            settled: AtomicU64::new(epoch.0),
            lease_seen: AtomicU64::new(0),
            folded_ns: AtomicU64::new(0),
        }
    }

    pub fn lease(&self) -> u64 {
        self.lease.load(Ordering::Acquire)
    }

    /// Takes exactly `amount`, or nothing.
    #[inline]
    pub fn take(&self, amount: u64) -> bool {
        let mut lease = self.lease.load(Ordering::Relaxed);
        while lease >= amount {
            match self.lease.compare_exchange_weak(lease, lease - amount, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => lease = seen,
            }
        }
        false
    }

    /// Takes up to `amount`.
    pub fn take_some(&self, amount: u64) -> u64 {
        let mut lease = self.lease.load(Ordering::SeqCst);
        loop {
            let taken = lease.min(amount);
            if taken == 0 {
                return 0;
            }
            match self.lease.compare_exchange_weak(lease, lease - taken, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return taken,
                Err(seen) => lease = seen,
            }
        }
    }

    /// Takes the whole lease if it is what it was at the last call.
    pub fn take_idle(&self) -> u64 {
        let lease = self.lease.load(Ordering::Relaxed);
        if lease == 0 || self.lease_seen.load(Ordering::Relaxed) != lease {
            self.lease_seen.store(lease, Ordering::Relaxed);
            return 0;
        }
        let taken = self.lease.compare_exchange(lease, 0, Ordering::AcqRel, Ordering::Relaxed);
        taken.unwrap_or(0)
    }

    /// Sequentially consistent, as `take_some` is: who gives looks for debt afterwards, who owes looks for leases.
    #[inline]
    pub fn give(&self, amount: u64) {
        self.lease.fetch_add(amount, Ordering::SeqCst);
    }

    pub fn folded_ns(&self) -> u64 {
        self.folded_ns.load(Ordering::Relaxed)
    }

    pub fn set_folded_ns(&self, now_ns: u64) {
        self.folded_ns.store(now_ns, Ordering::Relaxed);
    }

    #[inline]
    pub fn promise(&self, amount: u64) {
        self.reserved.fetch_add(amount.cast_signed(), Ordering::Relaxed);
    }

    #[inline]
    pub fn end_promise(&self, amount: u64) {
        self.reserved.fetch_sub(amount.cast_signed(), Ordering::Relaxed);
    }

    pub fn reserved(&self) -> i64 {
        self.reserved.load(Ordering::Relaxed)
    }

    /// What was settled, and in which epoch.
    pub fn settled(&self) -> (u64, Epoch) {
        let word = self.settled.load(Ordering::Acquire);
        (word >> EPOCH_BITS, Epoch(word & EPOCH_MASK))
    }

    /// Counts `amount` in `epoch`. False where the slot is in another one.
    #[inline]
    pub fn settle(&self, amount: u64, epoch: Epoch) -> bool {
        let mut word = self.settled.load(Ordering::Relaxed);
        while word & EPOCH_MASK == epoch.0 {
            let new = word + (amount << EPOCH_BITS);
            match self.settled.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    /// Goes on to `epoch` and takes what was settled before it; 0 where the slot is there, or further.
    pub fn roll(&self, epoch: Epoch) -> u64 {
        let mut word = self.settled.load(Ordering::Acquire);
        while epoch.is_after(Epoch(word & EPOCH_MASK)) {
            match self.settled.compare_exchange_weak(word, epoch.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return word >> EPOCH_BITS,
                Err(seen) => word = seen,
            }
        }
        0
    }

    /// Takes what was settled, whenever; the slot stays in its epoch.
    pub fn unsettle(&self) -> u64 {
        let mut word = self.settled.load(Ordering::Acquire);
        while word >> EPOCH_BITS != 0 {
            match self.settled.compare_exchange_weak(word, word & EPOCH_MASK, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return word >> EPOCH_BITS,
                Err(seen) => word = seen,
            }
        }
        0
    }
}
