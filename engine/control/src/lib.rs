//! The control plane: admin listener, ledger, metrics, names, reload. It shares no thread with the data plane.
//!
//! It publishes snapshots, takes records, and a shard never waits for it.

pub mod access;
pub mod admin;
pub mod alerts;
pub mod audit;
pub mod certificates;
pub mod cluster;
pub mod environment;
pub mod health;
pub mod ledger;
pub mod objects;
pub mod operator;
pub mod own_providers;
pub mod proxies;
pub mod publish;
pub mod quotas;
pub mod reload;
pub mod request_log;
pub mod resolve;
pub mod seal;
pub mod spend;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod watch;
