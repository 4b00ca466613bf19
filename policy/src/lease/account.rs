//! An account: `reserve` and `settle`, and the moves between its shards' leases and what is free.

use std::sync::OnceLock;

use super::calendar;
use super::gcra::Gcra;
use super::marker::{Held, Marker};
use super::remote::Remote;
use super::shape::{Kind, Shape};
use super::slot::{EPOCH_BITS, Epoch, Slot};
use super::{LIMIT_MAX, Now, Short, Terms, Window};
use crate::sync::{AtomicI64, AtomicU64, Ordering, SPINS_MAX};

/// A new lease is at most what remains, divided by so much and the number of shards.
const LEASE_DIVISOR: u64 = 4;
/// A lease for fewer reservations like the one at hand is not worth a move: near the edge there are none.
const LEASE_RESERVATIONS_MIN: u64 = 4;
/// A shard's part of a rate that it may have settled before the refill of it begins; nor later than `FOLD_NS`.
const FOLD_DIVISOR: u64 = 256;
const FOLD_NS: u64 = 1_000_000;
/// The end of the window of terms that have none.
pub(super) const NO_END_MS: u64 = (1 << (64 - EPOCH_BITS)) - 1;
const TAG_BITS: u32 = 2;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;
const DEBT_MAX: i64 = LIMIT_MAX.cast_signed();

/// One limit's or budget's state.
///
/// The first line is read by every request and rarely written; the second one is the slow way's. An account that was never
/// used has no slots.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Account {
    pub(super) shape: Shape,
    /// The window's end in milliseconds, and its epoch. 0 before the first one.
    pub(super) window: AtomicU64,
    slots: OnceLock<Box<Slots>>,
    /// The limit less leases, reserved, and settled as far as it is not in `arrival`. Negative in debt.
    pub(super) free: AtomicI64,
    /// A rate's theoretical arrival time in ticks, tagged with the version of the terms that give ticks their length.
    arrival: AtomicU64,
    /// 1: what is given back goes to `free`, and not to a lease.
    pub(super) debt: AtomicU64,
    pub(super) marker: Marker,
    /// What is given back goes to the lease up to here.
    lease_max: AtomicU64,
    shard_count: u64,
    /// Of an account that a cluster shares: what its store said.
    pub(super) remote: Option<Box<Remote>>,
}

#[derive(Debug)]
pub(super) struct Slots(Box<[Slot]>);

impl Account {
    pub fn new(shard_count: usize, terms: Terms) -> Account {
        let shape = Shape::new(terms);
        let end_ms = if shape.kind().has_window() { 0 } else { NO_END_MS };
        let shard_count = shard_count.max(1) as u64;
        Account {
            shape,
            window: AtomicU64::new(end_ms << EPOCH_BITS),
            slots: OnceLock::new(),
            free: AtomicI64::new(terms.limit().cast_signed()),
            arrival: AtomicU64::new(0),
            debt: AtomicU64::new(0),
            marker: Marker::new(),
            lease_max: AtomicU64::new(terms.limit() / (LEASE_DIVISOR * shard_count)),
            shard_count,
            remote: None,
        }
    }

    /// The part of a shared account that this node may spend: nothing until the first `grant`. Refills, rolls and returns are
    /// the store's; here units are only spent.
    pub fn shared(shard_count: usize, terms: Terms) -> Account {
        let shape = match terms {
            Terms::Concurrent { .. } => terms,
            Terms::Rate { .. } | Terms::Window { .. } => {
                Terms::Window { amount: terms.limit(), window: Window::FirstSpend { per_ms: NO_END_MS } }
            }
        };
        Account {
            window: AtomicU64::new(NO_END_MS << EPOCH_BITS),
            free: AtomicI64::new(0),
            remote: Some(Box::new(Remote::new(terms))),
            ..Account::new(shard_count, shape)
        }
    }

    /// Promises `amount` to an exchange on `shard`.
    ///
    /// # Errors
    /// `Short` where it is not there; nothing was taken then.
    #[inline]
    pub fn reserve(&self, shard: usize, amount: u64, now: Now) -> Result<(), Short> {
        let slot = self.slot(shard);
        if now.unix_ms < self.window.load(Ordering::Acquire) >> EPOCH_BITS && slot.take(amount) {
            slot.promise(amount);
            return Ok(());
        }
        self.reserve_slowly(slot, amount, now)
    }

    /// Ends a promise of `reserved` with what it came to. More than was reserved becomes debt: counted at once. Any shard may
    /// end what another one promised.
    #[inline]
    pub fn settle(&self, shard: usize, reserved: u64, actual: u64, now: Now) {
        let slot = self.slot(shard);
        let kind = self.shape.kind();
        let mut actual = if kind == Kind::Concurrent { 0 } else { actual };
        if actual > reserved {
            actual = reserved + self.owe(slot, actual - reserved, now);
        }
        slot.end_promise(reserved);
        if actual > 0 {
            self.count(slot, actual, kind, now);
        }
        if reserved > actual {
            self.give_back(slot, reserved - actual);
        }
    }

    #[inline]
    fn slot(&self, shard: usize) -> &Slot {
        let slots = self.slots.get_or_init(|| {
            let epoch = self.epoch();
            Box::new(Slots((0..self.shard_count).map(|_| Slot::new(epoch)).collect()))
        });
        slots.0.get(shard).unwrap_or(&slots.0[0])
    }

    /// None before the first use.
    pub(super) fn slots(&self) -> &[Slot] {
        self.slots.get().map_or(&[], |slots| &slots.0)
    }

    pub(super) fn first_slot(&self) -> &Slot {
        self.slot(0)
    }

    pub(super) fn epoch(&self) -> Epoch {
        Epoch::of_word(self.window.load(Ordering::Acquire))
    }

    #[cold]
    fn reserve_slowly(&self, slot: &Slot, amount: u64, now: Now) -> Result<(), Short> {
        if amount > self.shape.limit() {
            return Err(self.short(amount, now));
        }
        self.roll(now);
        if slot.take(amount) || self.take_free_and_lease(slot, amount, now) || self.collect(slot, amount, now) {
            slot.promise(amount);
            return Ok(());
        }
        Err(self.short(amount, now))
    }

    /// Takes `amount` from what is free, and a lease for the next ones where plenty is.
    fn take_free_and_lease(&self, slot: &Slot, amount: u64, now: Now) -> bool {
        let rest = u64::try_from(self.free_room(now)).unwrap_or(0).saturating_sub(amount);
        let lease = rest / (LEASE_DIVISOR * self.shard_count);
        if amount > 0 && lease / amount >= LEASE_RESERVATIONS_MIN {
            // The lease is nowhere for a moment. Whoever refuses then waits for it.
            if let Some(_held) = self.marker.try_hold()
                && self.take_free(amount + lease, now)
            {
                self.give_lease(slot, lease);
                return true;
            }
        }
        self.take_free(amount, now)
    }

    /// Takes from all shards what is needed. Under the marker, so that nothing is on its way between them.
    fn collect(&self, own: &Slot, amount: u64, now: Now) -> bool {
        let Some(held) = self.marker.hold() else { return false };
        self.sweep(&held, now);
        for _ in 0..SPINS_MAX {
            if self.room(now) < amount.cast_signed() {
                return false;
            }
            let mut missing = amount.cast_signed() - self.free_room(now);
            for slot in std::iter::once(own).chain(self.slots()) {
                if missing <= 0 {
                    break;
                }
                let taken = slot.take_some(missing.cast_unsigned());
                self.free.fetch_add(taken.cast_signed(), Ordering::AcqRel);
                missing -= taken.cast_signed();
            }
            // Another shard may have been faster; it was admitted then.
            if self.take_free(amount, now) {
                return true;
            }
        }
        false
    }

    /// Moves what is no longer spent to `free`: what slots hold of windows that are over, and a rate's part of the refill.
    pub(super) fn sweep(&self, held: &Held<'_>, now: Now) {
        let epoch = self.epoch();
        for slot in self.slots() {
            self.roll_slot(slot, epoch);
        }
        if self.shape.kind() == Kind::Rate {
            for slot in self.slots() {
                self.fold(held, slot, now);
            }
        }
    }

    pub(super) fn roll_slot(&self, slot: &Slot, epoch: Epoch) {
        let rolled = slot.roll(epoch);
        if rolled > 0 {
            self.free.fetch_add(rolled.cast_signed(), Ordering::AcqRel);
        }
    }

    /// Lets the refill of what was settled begin: from the slot into the arrival time. First it counts twice, then once.
    fn fold(&self, _held: &Held<'_>, slot: &Slot, now: Now) {
        slot.set_folded_ns(now.mono_ns);
        let settled = slot.unsettle();
        if settled == 0 {
            return;
        }
        while let Some((gcra, word)) = self.arrival(now) {
            let arrival = gcra.spend(word >> TAG_BITS, settled, now.mono_ns);
            let new = arrival << TAG_BITS | word & TAG_MASK;
            if self.arrival.compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                break;
            }
        }
        self.free.fetch_add(settled.cast_signed(), Ordering::AcqRel);
    }

    /// The arrival time, in ticks of the terms of now. `None` for what is no rate.
    pub(super) fn arrival(&self, now: Now) -> Option<(Gcra, u64)> {
        loop {
            let (Terms::Rate { count, per_ns }, version) = self.shape.read() else { return None };
            let gcra = Gcra::new(count, per_ns);
            let word = self.arrival.load(Ordering::Acquire);
            let tag = version & TAG_MASK;
            if word & TAG_MASK == tag {
                return Some((gcra, word));
            }
            // The terms changed: as many units are unrefilled as before. Other terms than a rate's start anew.
            let unrefilled = match self.shape.before() {
                Terms::Rate { count, per_ns } => Gcra::new(count, per_ns).unrefilled(word >> TAG_BITS, now.mono_ns),
                _ => 0,
            };
            let arrival = gcra.spend(0, unrefilled, now.mono_ns);
            // Fails where another one was faster.
            let _ = self.arrival.compare_exchange(word, arrival << TAG_BITS | tag, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// A rate that was none before begins with its burst.
    pub(super) fn forget_arrival(&self) {
        let (_, version) = self.shape.read();
        self.arrival.store(version & TAG_MASK, Ordering::Release);
    }

    pub(super) fn arrival_ticks(&self, now: Now) -> Option<(Gcra, u64)> {
        self.arrival(now).map(|(gcra, word)| (gcra, word >> TAG_BITS))
    }

    pub(super) fn unrefilled(&self, now: Now) -> u64 {
        self.arrival(now).map_or(0, |(gcra, word)| gcra.unrefilled(word >> TAG_BITS, now.mono_ns))
    }

    /// What could be taken from `free`. Negative in debt.
    pub(super) fn free_room(&self, now: Now) -> i64 {
        let free = self.free.load(Ordering::SeqCst);
        free.saturating_sub_unsigned(self.unrefilled(now))
    }

    /// What could be taken from anywhere. Leases first: one that is recalled meanwhile is rather seen twice than missed.
    pub(super) fn room(&self, now: Now) -> i64 {
        let leases: u64 = self.slots().iter().map(Slot::lease).sum();
        leases.cast_signed() + self.free_room(now)
    }

    fn take_free(&self, amount: u64, now: Now) -> bool {
        loop {
            let free = self.free.load(Ordering::Acquire);
            let rest = free.saturating_sub_unsigned(amount);
            if rest < self.unrefilled(now).cast_signed() {
                return false;
            }
            if self.free.compare_exchange(free, rest, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            // `free` may have come back to the same figure while a fold put off the arrival: looked at again, now that the
            // units are in hand.
            if rest >= self.unrefilled(now).cast_signed() {
                return true;
            }
            self.free.fetch_add(amount.cast_signed(), Ordering::AcqRel);
        }
    }

    /// Begins the next window if this one is over. One caller does; slots that are met before it gets to them follow then.
    pub(super) fn roll(&self, now: Now) {
        let word = self.window.load(Ordering::Acquire);
        if now.unix_ms < word >> EPOCH_BITS {
            return;
        }
        let (Terms::Window { window, .. }, _) = self.shape.read() else { return };
        let end_ms = calendar::end_ms(window, now.unix_ms).min(NO_END_MS);
        let new = end_ms << EPOCH_BITS | Epoch::of_word(word).next().0;
        if self.window.compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let _held = self.marker.hold();
            let epoch = self.epoch();
            self.slots().iter().for_each(|slot| self.roll_slot(slot, epoch));
        }
    }

    /// Counts what an exchange came to.
    #[inline]
    fn count(&self, slot: &Slot, amount: u64, kind: Kind, now: Now) {
        let mut word = self.window.load(Ordering::Acquire);
        if now.unix_ms >= word >> EPOCH_BITS {
            self.roll(now);
            word = self.window.load(Ordering::Acquire);
        }
        if !slot.settle(amount, Epoch::of_word(word)) {
            self.count_after_roll(slot, amount);
        }
        if kind == Kind::Rate && self.is_fold_due(slot, now) {
            // Whoever has the marker folds this one, or the next settle does.
            if let Some(held) = self.marker.try_hold() {
                self.fold(&held, slot, now);
            }
        }
    }

    /// In a slot that is in an older window, or in one that this shard did not see begin.
    #[cold]
    fn count_after_roll(&self, slot: &Slot, amount: u64) {
        for _ in 0..SPINS_MAX {
            let _held = self.marker.hold();
            let epoch = self.epoch();
            self.roll_slot(slot, epoch);
            if slot.settle(amount, epoch) {
                return;
            }
        }
        while !slot.settle(amount, slot.settled().1) {}
    }

    fn is_fold_due(&self, slot: &Slot, now: Now) -> bool {
        now.mono_ns.saturating_sub(slot.folded_ns()) >= FOLD_NS || slot.settled().0.saturating_mul(FOLD_DIVISOR) >= self.shape.limit()
    }

    /// What is not needed after all goes to the shard's lease, as far as that stays small; in debt to `free`.
    #[inline]
    fn give_back(&self, slot: &Slot, amount: u64) {
        if slot.lease().saturating_add(amount) > self.lease_max.load(Ordering::Relaxed) {
            // Sequentially consistent, as `Slot::give` is: who gives looks then for those who wait.
            self.free.fetch_add(amount.cast_signed(), Ordering::SeqCst);
            return;
        }
        self.give_lease(slot, amount);
    }

    /// Who owes marks the debt and then recalls leases; so who gives one looks for the mark afterwards.
    #[inline]
    fn give_lease(&self, slot: &Slot, amount: u64) {
        slot.give(amount);
        if self.debt.load(Ordering::SeqCst) != 0 {
            self.recall(slot);
        }
    }

    /// Takes what was spent beyond its reservation, there or not. Says how much is counted: all, short of the absurd.
    #[cold]
    fn owe(&self, slot: &Slot, excess: u64, now: Now) -> u64 {
        let from_lease = slot.take_some(excess);
        let from_free = self.take_by_force(excess - from_lease);
        self.look_for_debt(now);
        from_lease + from_free
    }

    pub(super) fn take_by_force(&self, amount: u64) -> u64 {
        let mut free = self.free.load(Ordering::SeqCst);
        loop {
            let new = free.saturating_sub_unsigned(amount).max(-DEBT_MAX).min(free);
            match self.free.compare_exchange(free, new, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return (free - new).cast_unsigned(),
                Err(seen) => free = seen,
            }
        }
    }

    pub(super) fn set_lease_max(&self, limit: u64) {
        self.lease_max.store(limit / (LEASE_DIVISOR * self.shard_count), Ordering::Relaxed);
    }

    /// In debt no shard keeps a lease.
    pub(super) fn look_for_debt(&self, now: Now) {
        if self.free_room(now) < 0 {
            self.debt.store(1, Ordering::SeqCst);
            self.slots().iter().for_each(|slot| self.recall(slot));
        }
    }

    pub(super) fn recall(&self, slot: &Slot) {
        let taken = slot.take_some(u64::MAX);
        self.free.fetch_add(taken.cast_signed(), Ordering::SeqCst);
    }
}
