//! A shard: one core's data plane and everything that its tasks share.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use ringway_policy::audit;
use ringway_policy::counters::ShardCounters;
use ringway_policy::lease::Now;
use ringway_policy::quota::Bill;
use ringway_policy::record::{Outbox, Record};
use ringway_policy::snapshot::Snapshot;
use ringway_policy::spend::{Charge, Sink};
use ringway_policy::trace::Sampler;
use ringway_policy::tuning::Tuning;

use crate::buffers::Buffers;
use crate::count;
use crate::networks::Networks;
use crate::pool::Pools;
use crate::queue::{Lobby, Seated};
use crate::rt::Rt;
use crate::signal::{Signal, Wait};
use crate::wheel::Wheel;

/// So many connections fewer than there were are worth a look for unused memory.
const CROWD: u64 = 64;
/// Rounds that give memory back after a crowd has left: another shard may be at it at the same moment, and an allocator may
/// let one thread at a time do it.
const PURGES: u8 = 2;
/// The longest that a request waits for the store that limits and budgets are shared through; then it is refused.
const ANSWER_WAIT: Duration = Duration::from_millis(250);
/// How often it looks.
const ANSWER_LOOK: Duration = Duration::from_millis(1);
/// How often idle resources are looked after.
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
    pub outbox: Arc<Outbox>,
    /// Whose X-Forwarded-For is believed; see `forwarded`.
    pub trusted: Arc<Networks>,
    snapshot: RefCell<Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    /// Most connections since memory was last given back.
    crowd: Cell<u64>,
    /// Rounds in which memory is still to be given back.
    purges_left: Cell<u8>,
    /// Keeps what exchanges cost beyond the process's end.
    spend: RefCell<Option<Box<dyn Sink>>>,
    /// Gives the thread's unused memory back to the system.
    purge: Cell<fn()>,
    /// Has the shared store asked.
    ask: Cell<fn()>,
    /// Which exchanges are traced; `None`: tracing is off.
    tracing: Cell<Option<Sampler>>,
    /// The audit log, where one is kept.
    pub(crate) audit: RefCell<Option<Arc<dyn audit::Sink>>>,
    /// `/readyz` says no, although everything is served as before.
    retired: Cell<bool>,
    drain: Signal,
    cut: Signal,
    /// Copies of requests under way.
    pub(crate) mirrors: Cell<usize>,
    /// Who waits for room, in the whole process; and those of this shard.
    pub(crate) lobby: Arc<Lobby>,
    pub(crate) seated: RefCell<Seated>,
    me: Weak<Shard<R>>,
}

impl<R: Rt> Shard<R> {
    /// Makes the shard inside its runtime; its wheel starts to tick.
    pub fn new(
        rt: R,
        index: u16,
        tuning: Arc<Tuning>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        outbox: Arc<Outbox>,
        counters: Arc<ShardCounters>,
    ) -> Rc<Shard<R>> {
        Shard::trusting(rt, index, tuning, snapshot, outbox, counters, Arc::default(), Arc::default())
    }

    /// As `new`, with proxies whose word about the client is believed, and the lobby that all shards share.
    #[allow(clippy::too_many_arguments)]
    pub fn trusting(
        rt: R,
        index: u16,
        tuning: Arc<Tuning>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        outbox: Arc<Outbox>,
        counters: Arc<ShardCounters>,
        trusted: Arc<Networks>,
        lobby: Arc<Lobby>,
    ) -> Rc<Shard<R>> {
        let wheel = Wheel::new(rt.clone());
        let shard = Rc::new_cyclic(|me| Shard {
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
            crowd: Cell::new(0),
            purges_left: Cell::new(0),
            spend: RefCell::default(),
            purge: Cell::new(|| {}),
            ask: Cell::new(|| {}),
            tracing: Cell::new(None),
            audit: RefCell::default(),
            retired: Cell::new(false),
            drain: Signal::default(),
            cut: Signal::default(),
            mirrors: Cell::new(0),
            lobby,
            seated: RefCell::default(),
            me: me.clone(),
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

    /// A connection has come; it is counted already.
    pub(crate) fn arrived(&self) {
        self.crowd.set(self.crowd.get().max(self.counters.connections.load(Ordering::Relaxed)));
    }

    /// Gives memory back once many connections have left, at once or little by little.
    fn shrink(&self) {
        let connections = self.counters.connections.load(Ordering::Relaxed);
        if connections + CROWD <= self.crowd.get() {
            self.crowd.set(connections);
            self.purges_left.set(PURGES);
        }
        if let Some(left) = self.purges_left.get().checked_sub(1) {
            self.purges_left.set(left);
            self.wheel.shrink();
            self.drain.shrink();
            self.cut.shrink();
            (self.purge.get())();
        }
    }

    /// Sets what has the shared store asked for units.
    pub fn ask_with(&self, ask: fn()) {
        self.ask.set(ask);
    }

    /// Turns tracing on.
    pub fn trace_with(&self, sampler: Option<Sampler>) {
        self.tracing.set(sampler);
    }

    pub(crate) fn tracing(&self) -> Option<Sampler> {
        self.tracing.get()
    }

    /// Waits until the shared store has answered what `bill` asks, or for `ANSWER_WAIT`. False where there is nothing to wait for,
    /// or no answer came.
    pub async fn asked(&self, bill: &Bill) -> bool {
        if !bill.is_asking() {
            return false;
        }
        (self.ask.get())();
        let until_ns = self.now_ns().saturating_add(ANSWER_WAIT.as_nanos() as u64);
        while !bill.is_answered(Now { mono_ns: self.now_ns(), unix_ms: self.rt.unix_ms() }) {
            if self.now_ns() >= until_ns {
                return false;
            }
            self.wheel.sleep(ANSWER_LOOK).await;
        }
        true
    }

    /// Sets where exchanges are noted that the audit log must hold.
    pub fn audit_into(&self, sink: Option<Arc<dyn audit::Sink>>) {
        *self.audit.borrow_mut() = sink;
    }

    /// Sets where the shard leaves what its exchanges cost.
    pub fn spend_into(&self, sink: Option<Box<dyn Sink>>) {
        *self.spend.borrow_mut() = sink;
    }

    /// Leaves what one exchange cost, all of it at once, before the exchange ends. A full journal is counted.
    pub fn append(&self, charges: &[Charge]) {
        let mut sink = self.spend.borrow_mut();
        if let Some(sink) = sink.as_mut().filter(|_| !charges.is_empty())
            && sink.append(charges).is_err()
        {
            count::add(&self.counters.charges_dropped, 1);
        }
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

    /// For tasks that outlive the caller.
    pub(crate) fn shared(&self) -> Option<Rc<Shard<R>>> {
        self.me.upgrade()
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
    loop {
        wheel.sleep(TEND_EVERY).await;
        let Some(shard) = shard.upgrade() else { return };
        shard.pools.sweep(shard.now_ns());
        shard.buffers.shrink();
        shard.shrink();
    }
}

#[cfg(test)]
mod tests {
    use ringway_policy::spend::Full;

    use super::*;
    use crate::rt::sim;

    /// Takes so many appends.
    struct Room(usize);

    impl Sink for Room {
        fn append(&mut self, _: &[Charge]) -> Result<(), Full> {
            self.0 = self.0.checked_sub(1).ok_or(Full)?;
            Ok(())
        }
    }

    #[test]
    fn charges_that_the_journal_does_not_take_are_counted() {
        let config = ringway_policy::config::parse("{}", &|_| None).unwrap();
        let snapshot = Snapshot::compile(&config, ringway_adapters::provider::builtins(), None, 1).unwrap();
        let dropped = sim::run(1, |rt| async move {
            let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
            let shard = Shard::new(rt, 0, Arc::default(), snapshot, Arc::new(Outbox::new(1)), Arc::default());
            let charge = Charge { account_id: 1, window_start_ms: 0, amount: 1 };
            // Without a sink nothing is kept, and nothing is missing.
            shard.append(&[charge]);
            shard.spend_into(Some(Box::new(Room(2))));
            for _ in 0..5 {
                shard.append(&[charge]);
                shard.append(&[]);
            }
            shard.counters.charges_dropped.load(Ordering::Relaxed)
        });
        assert_eq!(dropped, 3);
    }
}
