//! Gauges and counters of one shard, written by the data plane and read by the control plane.

use std::sync::atomic::AtomicU64;

/// One shard's figures. Each field is written by its shard alone (but for `connections`, which a hand-off also raises),
/// relaxed, and read by anyone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardCounters {
    /// Open downstream connections, those being handed over included.
    pub connections: AtomicU64,
    /// Exchanges under way.
    pub in_flight: AtomicU64,
    /// Of them, those that wait in a queue: of high, normal and low priority.
    pub queued: [AtomicU64; 3],
    pub accepted: AtomicU64,
    pub refused_connections: AtomicU64,
    /// Idle upstream connections in the pools.
    pub pool_idle: AtomicU64,
    pub upstream_connects: AtomicU64,
    /// Records that the full outbox dropped.
    pub records_dropped: AtomicU64,
    /// Exchanges whose spend the full journal did not take.
    pub charges_dropped: AtomicU64,
    pub downstream_read_bytes: AtomicU64,
    pub downstream_written_bytes: AtomicU64,
    pub upstream_read_bytes: AtomicU64,
    pub upstream_written_bytes: AtomicU64,
}
