//! The control plane: admin listener, ledger, metrics, names, reload. It shares no thread with the data plane.
//!
//! It publishes snapshots, takes records, and a shard never waits for it.

pub mod admin;
pub mod certificates;
pub mod cluster;
pub mod environment;
pub mod health;
pub mod ledger;
pub mod own_providers;
pub mod proxies;
pub mod publish;
pub mod quotas;
pub mod reload;
pub mod resolve;
pub mod spend;
pub mod tokens;
pub mod vocabulary;
pub mod watch;
