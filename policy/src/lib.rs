//! What is allowed, where it goes, what it leaves behind: keys, routing, retries, breakers, the snapshot, the record.
//!
//! Pure: time comes in as `now`, randomness as a parameter. No socket, clock, file, lock or environment.

pub mod audit;
pub mod breaker;
pub mod catalog;
pub mod condition;
pub mod config;
pub mod cors;
pub mod cost;
pub mod counters;
pub mod endpoint;
pub mod explain;
pub mod facts;
pub mod health;
pub mod key;
pub mod key_state;
pub mod lease;
pub mod money;
mod near;
pub mod networks;
pub mod pattern;
pub mod pipeline;
pub mod plan;
pub mod priority;
pub mod queue;
pub mod quota;
pub mod record;
pub mod retry;
pub mod snapshot;
pub mod spend;
mod sync;
pub mod tags;
pub mod trace;
pub mod tuning;
mod window;
