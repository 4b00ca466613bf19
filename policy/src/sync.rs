//! The atomics that the lease protocol runs on: one name for them, so that a model checker can put its own in their place.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How often a refusal looks again while units are being moved: some tens of microseconds.
pub(crate) const SPINS_MAX: u32 = 4_096;
