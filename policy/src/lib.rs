//! What is allowed, where it goes, what it leaves behind: keys, routing, retries, breakers, the snapshot, the record.
//!
//! Pure: time comes in as `now`, randomness as a parameter. No socket, clock, file, lock or environment.

pub mod breaker;
pub mod config;
pub mod counters;
pub mod endpoint;
pub mod facts;
pub mod key;
mod near;
pub mod pattern;
pub mod pipeline;
pub mod plan;
pub mod record;
pub mod retry;
pub mod snapshot;
pub mod tuning;
mod window;
