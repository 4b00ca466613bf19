//! Counters that one thread writes and any thread reads: a load and a store, no locked instruction.

use std::sync::atomic::{AtomicU64, Ordering};

/// Adds; only from the counter's own shard.
pub fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// Subtracts; only from the counter's own shard.
pub fn subtract(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_sub(amount), Ordering::Relaxed);
}

/// Sets; only from the counter's own shard.
pub fn set(counter: &AtomicU64, value: u64) {
    counter.store(value, Ordering::Relaxed);
}
