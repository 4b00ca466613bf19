//! Every limit and timeout of the data plane, with its default. Flags and `RINGWAY_*` set them.

use std::time::Duration;

/// Bounds of one process's data plane.
#[derive(Clone, Debug)]
pub struct Tuning {
    pub head_bytes_max: usize,
    pub head_fields_max: usize,
    pub body_bytes_max: usize,
    pub head_timeout: Duration,
    pub body_idle: Duration,
    pub keep_alive_idle: Duration,
    pub write_stall: Duration,
    pub drain: Duration,
    /// Per shard.
    pub connections_max: usize,
    /// Per shard.
    pub in_flight_max: usize,
    /// Answers up to this size are held until complete.
    pub hold_bytes_max: usize,
    /// Idle upstream connections kept per shard and endpoint.
    pub pool_idle_max: usize,
    pub pool_age_max: Duration,
    /// Spare read buffers kept per shard.
    pub buffers_max: usize,
    pub read_buffer_bytes: usize,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            head_bytes_max: 64 * 1024,
            head_fields_max: 128,
            body_bytes_max: 32 * 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            keep_alive_idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(300),
            connections_max: 20_000,
            in_flight_max: 10_000,
            hold_bytes_max: 1024 * 1024,
            pool_idle_max: 256,
            pool_age_max: Duration::from_secs(300),
            buffers_max: 512,
            read_buffer_bytes: 16 * 1024,
        }
    }
}
