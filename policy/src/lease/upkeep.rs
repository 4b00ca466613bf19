//! What the control plane does with an account: reconcile, amend, restore, look; and what a refusal says.

use super::account::{Account, NO_END_MS};
use super::slot::{EPOCH_BITS, Epoch, Slot};
use super::{LIMIT_MAX, Now, Short, Standing, Terms, calendar};
use crate::sync::{Ordering, SPINS_MAX};

const MS_NS: u64 = 1_000_000;

impl Account {
    /// Takes idle leases back: those that did not change since the last call. Called by the control plane each reconcile.
    pub fn reconcile(&self, now: Now) {
        if self.slots().is_empty() {
            return;
        }
        self.marker.overrule();
        // Somebody moves units just now: the next reconcile is soon.
        let Some(held) = self.marker.try_hold() else { return };
        self.sweep(&held, now);
        for slot in self.slots() {
            let idle = slot.take_idle();
            if idle > 0 {
                self.free.fetch_add(idle.cast_signed(), Ordering::AcqRel);
            }
        }
        if self.debt.load(Ordering::SeqCst) != 0 && self.free_room(now) >= 0 {
            self.debt.store(0, Ordering::SeqCst);
            // Debt that was made in between is found here, or by who made it.
            self.look_for_debt(now);
        }
    }

    pub fn standing(&self, now: Now) -> Standing {
        if let Some(remote) = &self.remote {
            return remote.standing(self.reserved(), self.spent_here(), now);
        }
        let (terms, _) = self.shape.read();
        let limit = terms.limit();
        let word = self.window.load(Ordering::Acquire);
        let (end_ms, is_over) = (word >> EPOCH_BITS, now.unix_ms >= word >> EPOCH_BITS);
        let in_slots = self.settled_in_slots(word, now);
        let settled = in_slots + self.unrefilled(now);
        let reserved = self.reserved();
        let resets_in_ns = match terms {
            Terms::Rate { .. } => self.refilled_in_ns(in_slots, 0, now),
            Terms::Window { .. } if !is_over => (end_ms - now.unix_ms).saturating_mul(MS_NS),
            Terms::Window { .. } | Terms::Concurrent { .. } => 0,
        };
        Standing { limit, settled, reserved, left: limit.saturating_sub(settled).saturating_sub(reserved), resets_in_ns }
    }

    /// `standing`'s `left`, without the rest.
    pub fn left(&self, now: Now) -> u64 {
        if self.remote.is_some() {
            return self.standing(now).left;
        }
        let settled = self.settled_in_slots(self.window.load(Ordering::Acquire), now) + self.unrefilled(now);
        self.shape.read().0.limit().saturating_sub(settled).saturating_sub(self.reserved())
    }

    /// What is settled in the window of `word`, not yet refilled of a rate aside.
    fn settled_in_slots(&self, word: u64, now: Now) -> u64 {
        let is_over = now.unix_ms >= word >> EPOCH_BITS;
        let settled_here = |slot: &Slot| match slot.settled() {
            (amount, epoch) if epoch == Epoch::of_word(word) && !is_over => amount,
            _ => 0,
        };
        self.slots().iter().map(settled_here).sum()
    }

    /// When the running window began. `None` for other terms, and before the first spend.
    pub fn window_start_ms(&self) -> Option<u64> {
        let (Terms::Window { window, .. }, _) = self.shape.read() else { return None };
        let end_ms = self.window.load(Ordering::Acquire) >> EPOCH_BITS;
        (end_ms > 0 && end_ms < NO_END_MS).then(|| calendar::start_ms(window, end_ms))
    }

    /// Takes new terms; what was spent stays spent. Terms of another kind start anew, but for what is promised.
    /// One caller at a time.
    pub fn amend(&self, terms: Terms, now: Now) {
        if let Some(remote) = &self.remote {
            return remote.amend(terms);
        }
        let (old, _) = self.shape.read();
        if old == terms {
            return;
        }
        let held = self.marker.hold();
        if let Some(held) = &held {
            self.sweep(held, now);
        }
        self.shape.replace(terms);
        match (old, terms) {
            // Carries what is unrefilled over.
            (Terms::Rate { .. }, Terms::Rate { .. }) => drop(self.arrival(now)),
            _ => self.forget_arrival(),
        }
        self.amend_window(old, terms, now);
        self.set_lease_max(terms.limit());
        let epoch = self.epoch();
        self.slots().iter().for_each(|slot| self.roll_slot(slot, epoch));
        self.free.fetch_add(terms.limit().cast_signed() - old.limit().cast_signed(), Ordering::SeqCst);
        self.look_for_debt(now);
    }

    fn amend_window(&self, old: Terms, terms: Terms, now: Now) {
        for _ in 0..SPINS_MAX {
            let word = self.window.load(Ordering::Acquire);
            let (end_ms, epoch) = (word >> EPOCH_BITS, Epoch::of_word(word));
            let (end_ms, epoch) = match (old, terms) {
                (Terms::Window { window: old, .. }, Terms::Window { window, .. }) if end_ms > now.unix_ms => {
                    let first_spend_ms = calendar::start_ms(old, end_ms);
                    // Where the shorter window would be over already, the next spend begins one.
                    (calendar::end_ms(window, first_spend_ms.max(calendar::start_ms(window, now.unix_ms + 1))), epoch)
                }
                (Terms::Window { .. }, Terms::Window { .. }) => (end_ms, epoch),
                (Terms::Rate { .. }, Terms::Rate { .. }) | (Terms::Concurrent { .. }, Terms::Concurrent { .. }) => return,
                (_, Terms::Window { .. }) => (0, epoch.next()),
                _ => (NO_END_MS, epoch.next()),
            };
            let new = end_ms.min(NO_END_MS) << EPOCH_BITS | epoch.0;
            if self.window.compare_exchange(word, new, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Counts what a journal says was spent in the window that began at `window_start_ms`, if that is still running. Before the
    /// first `reserve`; may be called for several parts of one window.
    pub fn restore(&self, settled: u64, window_start_ms: u64, now: Now) {
        let (Terms::Window { window, .. }, _) = self.shape.read() else { return };
        let end_ms = calendar::end_ms(window, window_start_ms).min(NO_END_MS);
        if settled == 0 || end_ms <= now.unix_ms {
            return;
        }
        let word = self.window.load(Ordering::Acquire);
        if word >> EPOCH_BITS <= now.unix_ms {
            let new = end_ms << EPOCH_BITS | Epoch::of_word(word).next().0;
            self.window.store(new, Ordering::Release);
        }
        let epoch = self.epoch();
        let slot = self.first_slot();
        self.slots().iter().for_each(|slot| self.roll_slot(slot, epoch));
        slot.settle(self.take_by_force(settled.min(LIMIT_MAX)), epoch);
        self.look_for_debt(now);
    }

    pub(super) fn reserved(&self) -> u64 {
        let reserved = self.slots().iter().fold(0_i64, |sum, slot| sum.wrapping_add(slot.reserved()));
        u64::try_from(reserved).unwrap_or(0)
    }

    /// When `in_slots` more than the arrival time says, less `units`, are refilled.
    fn refilled_in_ns(&self, in_slots: u64, units: u64, now: Now) -> u64 {
        let Some((gcra, arrival)) = self.arrival_ticks(now) else { return 0 };
        let arrival = if in_slots > 0 { gcra.spend(arrival, in_slots, now.mono_ns) } else { arrival };
        gcra.wait_ns(arrival, units, now.mono_ns)
    }

    /// So much could be reserved here now; looks for what is refilled first. For those who wait.
    pub fn makes_room(&self, amount: u64, now: Now) -> bool {
        if self.has_room(amount, now) {
            return true;
        }
        if let Some(held) = self.marker.try_hold() {
            self.sweep(&held, now);
        }
        self.has_room(amount, now)
    }

    /// What a refusal of `amount` says now, whether or not it is there.
    pub fn shortage(&self, amount: u64, now: Now) -> Short {
        let short = self.short(amount, now);
        Short { retry_in_ns: self.answered_wait_ns(now).or(short.retry_in_ns), ..short }
    }

    /// Why `amount` is not there, and when it will be.
    pub(super) fn short(&self, amount: u64, now: Now) -> Short {
        let standing = self.standing(now);
        let left = standing.left;
        let promised = standing.reserved.saturating_add(amount);
        let retry_in_ns = match self.shape.read().0 {
            _ if promised > standing.limit => None,
            Terms::Concurrent { .. } => None,
            Terms::Window { .. } => Some(standing.resets_in_ns),
            Terms::Rate { .. } => {
                let in_slots = self.slots().iter().map(|slot| slot.settled().0).sum();
                Some(self.refilled_in_ns(in_slots, standing.limit - promised, now))
            }
        };
        Short { left, retry_in_ns }
    }
}
