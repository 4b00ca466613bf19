//! A shard: one core's data plane and everything that its tasks share.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use crossbeam::queue::ArrayQueue;
use ringway_policy::counters::ShardCounters;
use ringway_policy::record::Record;
use ringway_policy::snapshot::Snapshot;
use ringway_policy::tuning::Tuning;

use crate::buffers::Buffers;
use crate::count;
use crate::networks::Networks;
use crate::pool::Pools;
use crate::rt::Rt;
use crate::signal::{Signal, Wait};
use crate::wheel::Wheel;

/// How often idle resources are looked after.
/// So many connections fewer than in the last round are worth a look for unused memory.
const CROWD: u64 = 64;
const TEND_EVERY: Duration = Duration::from_secs(5);

/// One core's data plane. Tasks hold it as `Rc<Shard<R>>`.
pub struct Shard<R: Rt> {
    pub rt: R,
    pub index: u16,
    pub tuning: Arc<Tuning>,
    pub wheel: Wheel<R>,
    pub buffers: Buffers,
    pub pools: Pools<R>,
    pub counters: Arc<ShardCounters>,
    pub outbox: Arc<ArrayQueue<Record>>,
    /// Whose X-Forwarded-For is believed; see `forwarded`.
    pub trusted: Arc<Networks>,
    snapshot: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    /// Gives the thread's unused memory back to the system.
    purge: Cell<fn()>,
    /// `/readyz` says no, although everything is served as before.
    retired: Cell<bool>,
    drain: Signal,
    cut: Signal,
}

impl<R: Rt> Shard<R> {
    /// Makes the shard inside its runtime; its wheel starts to tick.
    pub fn new(
        rt: R,
        index: u16,
        tuning: Arc<Tuning>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        outbox: Arc<ArrayQueue<Record>>,
        counters: Arc<ShardCounters>,
    ) -> Rc<Shard<R>> {
        Shard::trusting(rt, index, tuning, snapshot, outbox, counters, Arc::default())
    }

    /// As `new`, with proxies whose word about the client is believed.
    pub fn trusting(
        rt: R,
        index: u16,
        tuning: Arc<Tuning>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        outbox: Arc<ArrayQueue<Record>>,
        counters: Arc<ShardCounters>,
        trusted: Arc<Networks>,
    ) -> Rc<Shard<R>> {
        let wheel = Wheel::new(rt.clone());
        let shard = Rc::new(Shard {
            buffers: Buffers::new(tuning.buffers_max, tuning.read_buffer_bytes),
            pools: Pools::new(&tuning, counters.clone()),
            rt,
            index,
            tuning,
            wheel,
            counters,
            outbox,
            snapshot: RefCell::new(Cache::new(snapshot)),
            trusted,
            purge: Cell::new(|| {}),
            retired: Cell::new(false),
            drain: Signal::default(),
            cut: Signal::default(),
        });
        shard.rt.spawn(tend(Rc::downgrade(&shard), shard.wheel.clone()));
        shard
    }

    /// The configuration of now. One load and compare where it did not change.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow_mut().load().clone()
    }

    pub fn now_ns(&self) -> u64 {
        self.rt.now_ns()
    }

    /// Sets what gives the thread's unused memory back; the allocator is the binary's choice.
    pub fn purge_with(&self, purge: fn()) {
        self.purge.set(purge);
    }

    /// A load balancer may send traffic here.
    pub fn is_ready(&self) -> bool {
        !self.retired.get() && !self.draining()
    }

    /// Asks load balancers to look elsewhere; a drain follows.
    pub fn retire(&self) {
        self.retired.set(true);
    }

    /// The process is going down: finish what is under way, take nothing new.
    pub fn draining(&self) -> bool {
        self.drain.is_raised()
    }

    /// Completes when the drain begins; for connections that idle.
    pub fn drained(&self) -> Wait<'_> {
        self.drain.wait()
    }

    /// Begins the drain.
    pub fn drain(&self) {
        self.drain.raise();
        self.pools.clear();
    }

    /// The configuration by reference, for a look that does not outlive the call.
    pub fn with_snapshot<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(self.snapshot.borrow_mut().load())
    }

    /// The drain's patience is over: live streams end with an error event.
    pub fn is_cut(&self) -> bool {
        self.cut.is_raised()
    }

    /// Completes when the drain's patience is over; for live exchanges.
    pub fn cut_off(&self) -> Wait<'_> {
        self.cut.wait()
    }

    /// Ends the drain's patience.
    pub fn cut(&self) {
        self.cut.raise();
    }

    /// Runs a task beside the caller's, on this shard.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.rt.spawn(task);
    }

    /// Hands the record to the control plane; a full outbox drops and counts it.
    pub fn leave(&self, record: Record) {
        if self.outbox.push(record).is_err() {
            count::add(&self.counters.records_dropped, 1);
        }
    }
}

/// Closes dead pool connections, frees buffers that the last round did not need, and after many connections have gone gives
/// their memory back.
async fn tend<R: Rt>(shard: Weak<Shard<R>>, wheel: Wheel<R>) {
    let mut connections_before = 0;
    loop {
        wheel.sleep(TEND_EVERY).await;
        let Some(shard) = shard.upgrade() else { return };
        shard.pools.sweep(shard.now_ns());
        shard.buffers.shrink();
        let connections = shard.counters.connections.load(Ordering::Relaxed);
        if connections + CROWD <= connections_before {
            (shard.purge.get())();
        }
        connections_before = connections;
    }
}
