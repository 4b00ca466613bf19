//! Two counters over the last ten seconds, in atomics alone.
//!
//! One compare-and-swap loop on one cache line a call; a sum reads `BUCKETS` words. No allocation, no lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// The window covers ten whole seconds and the running one, so that no ten seconds can slip between two buckets.
const BUCKETS: usize = 11;
const SECOND_NS: u64 = 1_000_000_000;
/// A bucket packs its second (24 bits) and two counters (20 bits each), which saturate.
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const SECOND_MASK: u64 = (1 << 24) - 1;

/// Counts of two kinds of things in the last 10 to 11 seconds.
#[derive(Debug, Default)]
pub(crate) struct Window {
    buckets: [AtomicU64; BUCKETS],
}

/// Sums over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub first: u64,
    pub second: u64,
}

impl Window {
    /// Adds to the running second.
    pub fn add(&self, first: u64, second: u64, now_ns: u64) {
        self.update(now_ns, |counts| Counts {
            first: counts.first.saturating_add(first).min(COUNT_MAX),
            second: counts.second.saturating_add(second).min(COUNT_MAX),
        });
    }

    /// Takes one of the second kind back that was added just now.
    pub fn undo_second(&self, now_ns: u64) {
        self.update(now_ns, |counts| Counts { first: counts.first, second: counts.second.saturating_sub(1) });
    }

    pub fn sum(&self, now_ns: u64) -> Counts {
        let second = now_ns / SECOND_NS;
        let mut sum = Counts::default();
        for bucket in &self.buckets {
            let (stamp, counts) = unpack(bucket.load(Ordering::Relaxed));
            let age = second.wrapping_sub(stamp) & SECOND_MASK;
            if age < BUCKETS as u64 {
                sum.first += counts.first;
                sum.second += counts.second;
            }
        }
        sum
    }

    pub fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }

    fn update(&self, now_ns: u64, change: impl Fn(Counts) -> Counts) {
        let second = now_ns / SECOND_NS;
        let bucket = &self.buckets[(second % BUCKETS as u64) as usize];
        let mut current = bucket.load(Ordering::Relaxed);
        loop {
            let (stamp, counts) = unpack(current);
            let counts = if stamp == second & SECOND_MASK { counts } else { Counts::default() };
            let new = pack(second, change(counts));
            match bucket.compare_exchange_weak(current, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => current = seen,
            }
        }
    }
}

fn pack(second: u64, counts: Counts) -> u64 {
    (second & SECOND_MASK) << (2 * COUNT_BITS) | counts.first << COUNT_BITS | counts.second
}

fn unpack(word: u64) -> (u64, Counts) {
    (word >> (2 * COUNT_BITS), Counts { first: (word >> COUNT_BITS) & COUNT_MAX, second: word & COUNT_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_leave_the_window_after_ten_seconds() {
        let window = Window::default();
        window.add(5, 1, 100 * SECOND_NS);
        window.add(2, 1, 105 * SECOND_NS);
        assert_eq!(window.sum(105 * SECOND_NS), Counts { first: 7, second: 2 });
        assert_eq!(window.sum(110 * SECOND_NS), Counts { first: 7, second: 2 });
        assert_eq!(window.sum(111 * SECOND_NS), Counts { first: 2, second: 1 });
        assert_eq!(window.sum(200 * SECOND_NS), Counts::default());
    }

    #[test]
    fn a_bucket_is_used_again_and_undone() {
        let window = Window::default();
        window.add(3, 3, SECOND_NS);
        window.add(1, 1, 12 * SECOND_NS);
        assert_eq!(window.sum(12 * SECOND_NS), Counts { first: 1, second: 1 });
        window.undo_second(12 * SECOND_NS);
        assert_eq!(window.sum(12 * SECOND_NS), Counts { first: 1, second: 0 });
        window.clear();
        assert_eq!(window.sum(12 * SECOND_NS), Counts::default());
    }

    #[test]
    fn counters_saturate_instead_of_spilling_over() {
        let window = Window::default();
        window.add(u64::MAX, u64::MAX, 0);
        window.add(1, 1, 0);
        assert_eq!(window.sum(0), Counts { first: COUNT_MAX, second: COUNT_MAX });
    }
}
