//! Idle upstream connections of a shard, kept for the next exchange: last in, first out.
//!
//! Estimate per reuse: one hash of the endpoint's name, one `recv(MSG_PEEK)` to see that it is alive; no allocation.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use ahash::{AHashMap, RandomState};
use ringway_adapters::fault::Fault;
use ringway_policy::counters::ShardCounters;
use ringway_policy::snapshot::{Endpoint, Proxy, TlsMaterial, Upstream};
use ringway_policy::tuning::Tuning;

use crate::connect;
use crate::count;
use crate::rt::{Io, Rt};
use crate::shard::Shard;
use crate::tls::Stream;

/// Pools of one shard; endpoints beyond it (after very many reloads) are not pooled until empty pools are swept.
const POOLS_MAX: usize = 4096;
/// Pools kept although empty.
const POOLS_KEPT: usize = 256;

/// A connection to an upstream, checked out. Dropped, it closes.
pub struct Connection<R: Rt> {
    pub stream: Stream<R>,
    /// It carried an exchange before: an error before the first answer byte may mean that it was stale.
    pub reused: bool,
    pub opened_ns: u64,
    expires_ns: u64,
    pooling: Pooling,
}

#[derive(Clone, Copy)]
enum Pooling {
    By(u64),
    Never,
}

/// An idle connection to the upstream, or a fresh one.
///
/// # Errors
/// `UpstreamConnect` where none can be had, `UpstreamTimeout` at `deadline_ns`, `Overloaded` where this process is out of
/// descriptors.
pub async fn checkout<R: Rt>(shard: &Shard<R>, upstream: &Upstream, now_ns: u64, deadline_ns: u64) -> Result<Connection<R>, Fault> {
    let key = shard.pools.key(upstream);
    if let Some(connection) = shard.pools.take(key, upstream, now_ns) {
        return Ok(connection);
    }
    open(shard, upstream, deadline_ns, key).await
}

/// A fresh connection, for the repeat of a request that a stale one swallowed.
///
/// # Errors
/// As `checkout`.
pub async fn checkout_fresh<R: Rt>(shard: &Shard<R>, upstream: &Upstream, deadline_ns: u64) -> Result<Connection<R>, Fault> {
    open(shard, upstream, deadline_ns, shard.pools.key(upstream)).await
}

async fn open<R: Rt>(shard: &Shard<R>, upstream: &Upstream, deadline_ns: u64, key: u64) -> Result<Connection<R>, Fault> {
    // Boxed: connecting is rare, and an exchange's future should not hold room for it.
    let stream = Box::pin(connect::connect(shard, upstream, deadline_ns)).await?;
    count::add(&shard.counters.upstream_connects, 1);
    let opened_ns = shard.now_ns();
    let age_ns = shard.tuning.pool_age_max.as_nanos() as u64;
    // Between three quarters of the age and all of it, so that connections opened together do not close together.
    let expires_ns = opened_ns + age_ns - shard.rt.random() % (age_ns / 4).max(1);
    let pooling = shard.pools.prepare(key, upstream);
    Ok(Connection { stream, reused: false, opened_ns, expires_ns, pooling })
}

impl<R: Rt> Connection<R> {
    /// Gives it back for the next exchange: only after a whole answer with nothing left to read, and with keep-alive.
    pub fn checkin(self, shard: &Shard<R>) {
        if !shard.draining() {
            shard.pools.put(self);
        }
    }
}

/// The pools of one shard, by endpoint.
pub struct Pools<R: Rt> {
    pools: RefCell<AHashMap<u64, Pool<R>>>,
    hasher: RandomState,
    idle_max: usize,
    counters: Arc<ShardCounters>,
}

struct Pool<R: Rt> {
    identity: Identity,
    idle: Vec<Connection<R>>,
}

/// What makes two connections interchangeable.
struct Identity {
    endpoint: Endpoint,
    proxy: Proxy,
    tls: Arc<TlsMaterial>,
}

impl Identity {
    fn is_of(&self, upstream: &Upstream) -> bool {
        same_place(&self.endpoint, &upstream.endpoint)
            && match (&self.proxy, &upstream.proxy) {
                (Proxy::Via(ours), Proxy::Via(theirs)) => same_place(ours, theirs),
                (Proxy::Via(_), _) | (_, Proxy::Via(_)) => false,
                _ => true,
            }
            && (Arc::ptr_eq(&self.tls, &upstream.tls) || self.tls == upstream.tls)
    }
}

fn same_place(left: &Endpoint, right: &Endpoint) -> bool {
    left.tls == right.tls && left.port == right.port && left.host == right.host && left.unix == right.unix
}

impl<R: Rt> Pools<R> {
    pub fn new(tuning: &Tuning, counters: Arc<ShardCounters>) -> Pools<R> {
        Pools { pools: RefCell::default(), hasher: RandomState::new(), idle_max: tuning.pool_idle_max, counters }
    }

    /// Closes all idle connections.
    pub fn clear(&self) {
        let pools = std::mem::take(&mut *self.pools.borrow_mut());
        drop(pools);
        count::set(&self.counters.pool_idle, 0);
    }

    /// Closes what is too old or was closed by its peer.
    pub fn sweep(&self, now_ns: u64) {
        let mut idle_count = 0;
        let mut pools = self.pools.borrow_mut();
        // An empty pool's connections may all be out: it goes only where reloads have piled up many.
        let crowded = pools.len() > POOLS_KEPT;
        pools.retain(|_, pool| {
            pool.idle.retain(|connection| connection.expires_ns > now_ns && connection.stream.is_idle_and_open());
            idle_count += pool.idle.len();
            !(crowded && pool.idle.is_empty())
        });
        count::set(&self.counters.pool_idle, idle_count as u64);
    }

    fn key(&self, upstream: &Upstream) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        upstream.endpoint.host.hash(&mut hasher);
        (upstream.endpoint.port, upstream.endpoint.tls, matches!(upstream.proxy, Proxy::Via(_))).hash(&mut hasher);
        upstream.endpoint.unix.hash(&mut hasher);
        hasher.finish()
    }

    fn take(&self, key: u64, upstream: &Upstream, now_ns: u64) -> Option<Connection<R>> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(&key)?;
        if !pool.identity.is_of(upstream) {
            return None;
        }
        while let Some(mut connection) = pool.idle.pop() {
            count::subtract(&self.counters.pool_idle, 1);
            if connection.expires_ns > now_ns && connection.stream.is_idle_and_open() {
                connection.reused = true;
                return Some(connection);
            }
        }
        None
    }

    /// Makes the pool that a later checkin finds by its key alone. Two endpoints of one hash do not share it: the first
    /// one has it.
    fn prepare(&self, key: u64, upstream: &Upstream) -> Pooling {
        let mut pools = self.pools.borrow_mut();
        if pools.len() >= POOLS_MAX && !pools.contains_key(&key) {
            return Pooling::Never;
        }
        let pool = pools.entry(key).or_insert_with(|| Pool {
            identity: Identity { endpoint: upstream.endpoint.clone(), proxy: upstream.proxy.clone(), tls: upstream.tls.clone() },
            idle: Vec::new(),
        });
        if pool.identity.is_of(upstream) { Pooling::By(key) } else { Pooling::Never }
    }

    /// Its age is looked at when it is taken.
    fn put(&self, connection: Connection<R>) {
        let mut pools = self.pools.borrow_mut();
        let Pooling::By(key) = connection.pooling else { return };
        let Some(pool) = pools.get_mut(&key) else { return };
        if pool.idle.len() < self.idle_max {
            pool.idle.push(connection);
            count::add(&self.counters.pool_idle, 1);
        }
    }
}

#[cfg(test)]
mod tests;
