//! A node's part of an account that a cluster shares: the store grants, this node spends, and tells.
//!
//! The node holds what it was granted less what it told to have spent or given back; the store counts the same figure as this
//! node's lease. A request that finds too little here takes a ticket and waits, bounded, until the store has answered it.

// Of the standard library also where the protocol is model-checked: nothing of a shard's way rests on these.
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::account::Account;
use super::slot::Slot;
use super::{Now, Standing, Terms};

/// What the store said last, and who waits for it.
#[derive(Debug)]
pub(super) struct Remote {
    terms: super::shape::Shape,
    /// Settled by all nodes in this window; leases of the other nodes.
    settled: AtomicU64,
    leased_elsewhere: AtomicU64,
    /// Monotonic; when what was asked for could be there. 0: nobody knows.
    retry_at_ns: AtomicU64,
    /// Waiting requests: how much they want in all, and the least of them.
    wanted: AtomicU64,
    wanted_least: AtomicU64,
    tickets: AtomicU64,
    answered: AtomicU64,
    /// Granted, less spent and given back: what the store thinks that this node holds. Negative in debt.
    held: AtomicI64,
}

/// What a node has to say and to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    pub terms: Terms,
    /// Spent since the last call.
    pub spent: u64,
    /// Given back.
    pub returned: u64,
    /// The least and all of what requests wait for; 0 where none does.
    pub need: u64,
    pub want: u64,
    /// What this node still holds of what it was granted.
    pub held: u64,
    /// Tickets up to this one are answered by what the store says.
    pub ticket: u64,
    /// The node holds nothing, and said so before: there is nothing to tell.
    pub is_idle: bool,
}

/// What the store answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub granted: u64,
    pub settled: u64,
    /// By all nodes, this one included.
    pub leased: u64,
    pub retry_in_ns: Option<u64>,
}

impl Remote {
    pub(super) fn new(terms: Terms) -> Remote {
        Remote {
            terms: super::shape::Shape::new(terms),
            settled: AtomicU64::new(0),
            leased_elsewhere: AtomicU64::new(0),
            retry_at_ns: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            wanted_least: AtomicU64::new(u64::MAX),
            tickets: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            held: AtomicI64::new(0),
        }
    }

    pub(super) fn amend(&self, terms: Terms) {
        if self.terms.read().0 != terms {
            self.terms.replace(terms);
        }
    }

    pub(super) fn standing(&self, reserved: u64, spent_here: u64, now: Now) -> Standing {
        let limit = self.terms.read().0.limit();
        let settled = self.settled.load(Ordering::Relaxed).saturating_add(spent_here);
        let elsewhere = self.leased_elsewhere.load(Ordering::Relaxed);
        let left = limit.saturating_sub(settled).saturating_sub(elsewhere).saturating_sub(reserved);
        let resets_in_ns = self.retry_at_ns.load(Ordering::Relaxed).saturating_sub(now.mono_ns);
        Standing { limit, settled, reserved: reserved.saturating_add(elsewhere), left, resets_in_ns }
    }
}

impl Account {
    /// Other nodes spend from it, too.
    pub fn is_shared(&self) -> bool {
        self.remote.is_some()
    }

    /// Asks the store for `amount` that is not here. The ticket is answered by a later `told`; `None` where there is no store.
    pub fn ask(&self, amount: u64) -> Option<u64> {
        let remote = self.remote.as_ref()?;
        remote.wanted.fetch_add(amount, Ordering::AcqRel);
        remote.wanted_least.fetch_min(amount, Ordering::AcqRel);
        Some(remote.tickets.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The store has answered since.
    pub fn is_answered(&self, ticket: u64) -> bool {
        self.remote.as_ref().is_none_or(|remote| remote.answered.load(Ordering::Acquire) >= ticket)
    }

    /// So much could be reserved here now.
    pub fn has_room(&self, amount: u64, now: Now) -> bool {
        self.room(now) >= amount.cast_signed()
    }

    /// When the store said that it could have what was asked for.
    pub fn answered_wait_ns(&self, now: Now) -> Option<u64> {
        let at_ns = self.remote.as_ref()?.retry_at_ns.load(Ordering::Relaxed);
        (at_ns > 0).then(|| at_ns.saturating_sub(now.mono_ns).max(1))
    }

    /// Somebody waits for the store.
    pub fn is_wanted(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.wanted.load(Ordering::Acquire) > 0)
    }

    /// What to tell the store, once: spent and given back leave this node's books now, whether or not the store hears of it; the
    /// caller tells it again then. `keep` units stay for what comes next. One caller at a time. `None` where there is no store.
    pub fn demand(&self, keep: u64) -> Option<Demand> {
        let remote = self.remote.as_ref()?;
        let before = remote.held.load(Ordering::Acquire);
        // Tickets first: who takes one later has put its wish in before, and is answered by the next.
        let ticket = remote.tickets.load(Ordering::Acquire);
        let want = remote.wanted.swap(0, Ordering::AcqRel);
        let need = remote.wanted_least.swap(u64::MAX, Ordering::AcqRel).min(want);
        let spent: u64 = self.slots().iter().map(Slot::unsettle).sum();
        let returned = if want > 0 { 0 } else { self.give_up(keep) };
        let held = before - spent.cast_signed() - returned.cast_signed();
        // What was overspent is settled at the store, which never lends below zero.
        let debt = if held < 0 { held.unsigned_abs() } else { 0 };
        if debt > 0 {
            self.free.fetch_add(debt.cast_signed(), Ordering::AcqRel);
        }
        remote.held.store(held.max(0), Ordering::Release);
        let is_idle = before == 0 && spent == 0 && want == 0;
        Some(Demand { terms: remote.terms.read().0, spent, returned, need, want, held: held.max(0).unsigned_abs(), ticket, is_idle })
    }

    /// Takes what the store answered to `demand`.
    pub fn told(&self, demand: &Demand, told: Told, now: Now) {
        let Some(remote) = &self.remote else { return };
        remote.settled.store(told.settled, Ordering::Relaxed);
        let held = remote.held.fetch_add(told.granted.cast_signed(), Ordering::AcqRel) + told.granted.cast_signed();
        remote.leased_elsewhere.store(told.leased.saturating_sub(held.unsigned_abs()), Ordering::Relaxed);
        let retry_at_ns = told.retry_in_ns.map_or(0, |wait_ns| now.mono_ns.saturating_add(wait_ns));
        remote.retry_at_ns.store(retry_at_ns, Ordering::Relaxed);
        self.free.fetch_add(told.granted.cast_signed(), Ordering::AcqRel);
        remote.answered.fetch_max(demand.ticket, Ordering::AcqRel);
    }

    /// The lease ran out before the store could be reached: nothing of it may be spent any more.
    pub fn expire(&self) {
        let Some(remote) = &self.remote else { return };
        let taken = self.give_up(0);
        remote.held.fetch_sub(taken.cast_signed(), Ordering::AcqRel);
    }

    pub(super) fn spent_here(&self) -> u64 {
        self.slots().iter().map(|slot| slot.settled().0).sum()
    }

    /// Takes what is free and leased to shards, but for `keep`.
    fn give_up(&self, keep: u64) -> u64 {
        for slot in self.slots() {
            let idle = slot.take_idle();
            self.free.fetch_add(idle.cast_signed(), Ordering::AcqRel);
        }
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let taken = free.saturating_sub_unsigned(keep).max(0);
            if taken == 0 {
                return 0;
            }
            match self.free.compare_exchange(free, free - taken, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return taken.cast_unsigned(),
                Err(seen) => free = seen,
            }
        }
    }
}
