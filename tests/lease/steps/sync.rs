//! Atomics that let others run before each step: what the lease's source finds as `crate::sync` under the scheduler.

use std::sync::atomic;
pub(crate) use std::sync::atomic::Ordering;

use super::scheduler::{Step, step};

/// Each look of a waiting shard is one step of the schedule.
pub(crate) const SPINS_MAX: u32 = 50;

pub(crate) fn spin_loop() {
    step();
}

macro_rules! atomic {
    ($name:ident, $inner:ty, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name($inner);

        #[allow(dead_code, reason = "the lease uses what it needs of each")]
        impl $name {
            pub(crate) fn new(value: $value) -> $name {
                $name(<$inner>::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                if step() == Step::Run {
                    self.0.store(value, order);
                }
            }

            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                if step() == Step::Run { self.0.fetch_add(value, order) } else { 0 }
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                if step() == Step::Run { self.0.fetch_sub(value, order) } else { 0 }
            }

            pub(crate) fn compare_exchange(&self, old: $value, new: $value, ok: Ordering, no: Ordering) -> Result<$value, $value> {
                if step() == Step::Run { self.0.compare_exchange(old, new, ok, no) } else { Err(old) }
            }

            pub(crate) fn compare_exchange_weak(&self, old: $value, new: $value, ok: Ordering, no: Ordering) -> Result<$value, $value> {
                self.compare_exchange(old, new, ok, no)
            }
        }
    };
}

atomic!(AtomicU64, atomic::AtomicU64, u64);
atomic!(AtomicI64, atomic::AtomicI64, i64);
