//! The data plane: shards, listeners, HTTP/1.1, pools, the exchange.

mod ahead;
mod answer;
mod attempt;
pub mod buffers;
mod compose;
pub mod conn;
pub mod connect;
pub mod contain;
pub mod count;
mod deliver;
mod downstream;
mod encoding;
pub mod engine;
mod events;
mod exchange;
pub mod forwarded;
mod held;
pub mod http1;
mod incoming;
mod journal;
pub mod listener;
mod local;
mod nesting;
pub mod networks;
pub mod pool;
pub mod proxy_protocol;
pub mod race;
mod relay;
mod request;
pub mod rt;
pub mod shard;
pub mod signal;
#[cfg(test)]
mod sim_tests;
mod strip;
pub mod tls;
pub mod wheel;
