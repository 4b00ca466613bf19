//! The lease protocol under a model checker: every interleaving of two or three shards, up to a few preemptions.
//!
//! Compiles the lease's own source with loom's atomics in place of std's.

#[path = "../../policy/src/lease/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a model uses what it needs")]
mod lease;

/// What the lease's source finds as `crate::sync`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    /// Lets the others run first, so that few rounds do.
    pub(crate) const SPINS_MAX: u32 = 8;

    pub(crate) fn spin_loop() {
        loom::thread::yield_now();
    }
}

use std::sync::Arc;

use lease::{Account, Now, Terms, Window};
use loom::thread;

const START_MS: u64 = 1_000_000;
const PER_MS: u64 = 1_000;
/// Preemptions within one run. Two find nearly all faults of such protocols, and three still end in seconds.
const PREEMPTIONS: usize = 3;

fn at(unix_ms: u64) -> Now {
    Now { mono_ns: unix_ms * 1_000_000, unix_ms }
}

fn window(amount: u64) -> Terms {
    Terms::Window { amount, window: Window::FirstSpend { per_ms: PER_MS } }
}

/// The window runs, so that nothing but the race is left to do.
fn warm(terms: Terms) -> Arc<Account> {
    let account = Account::new(2, terms);
    account.reserve(0, 0, at(START_MS)).unwrap();
    Arc::new(account)
}

/// Nine are in the lease of shard 0, and nothing else is left.
fn all_in_one_lease() -> Arc<Account> {
    let account = warm(window(80));
    account.reserve(0, 1, at(START_MS)).unwrap();
    account.reserve(1, 70, at(START_MS)).unwrap();
    account
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// Runs each on its own thread; sums up what they took.
fn race(account: &Arc<Account>, doers: Vec<fn(&Account) -> u64>) -> u64 {
    let spawn = |doer: fn(&Account) -> u64| {
        let account = account.clone();
        thread::spawn(move || doer(&account))
    };
    let threads: Vec<_> = doers.into_iter().map(spawn).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

fn left(account: &Account, now: Now) -> u64 {
    let mut taken = 0;
    while account.reserve(1, 1, now).is_ok() {
        taken += 1;
    }
    taken
}

fn ask(account: &Account, shard: usize, amount: u64) -> u64 {
    account.reserve(shard, amount, at(START_MS)).map_or(0, |()| amount)
}

/// In the next window.
fn ask_later(account: &Account, shard: usize, amount: u64) -> u64 {
    account.reserve(shard, amount, at(START_MS + PER_MS)).map_or(0, |()| amount)
}

#[test]
fn one_of_two_gets_the_last_unit() {
    for terms in [window(1), Terms::Concurrent { count: 1 }] {
        check(move || {
            let account = warm(terms);
            assert_eq!(race(&account, vec![|a| ask(a, 0, 1), |a| ask(a, 1, 1)]), 1);
        });
    }
}

#[test]
fn a_lease_is_taken_by_its_shard_or_by_another() {
    check(|| {
        let account = all_in_one_lease();
        assert_eq!(race(&account, vec![|a| ask(a, 0, 9), |a| ask(a, 1, 9)]), 9);
        assert_eq!(left(&account, at(START_MS)), 0);
    });
    check(|| {
        let account = all_in_one_lease();
        assert_eq!(race(&account, vec![|a| ask(a, 0, 4), |a| ask(a, 1, 5)]), 9, "there is room for both");
    });
}

#[test]
fn a_lease_that_reconcile_moves_is_not_missed() {
    check(|| {
        let account = all_in_one_lease();
        account.reconcile(at(START_MS));
        let reconcile: fn(&Account) -> u64 = |a| {
            a.reconcile(at(START_MS));
            0
        };
        assert_eq!(race(&account, vec![|a| ask(a, 1, 9), reconcile]), 9, "nobody else takes any");
    });
}

#[test]
fn a_lease_that_is_given_out_is_not_missed() {
    check(|| {
        let account = warm(window(80));
        let taken = race(&account, vec![|a| ask(a, 0, 1), |a| ask(a, 1, 79)]);
        assert_eq!(taken + left(&account, at(START_MS)), 80);
        assert_eq!(taken, 80, "there is room for both");
    });
}

#[test]
fn a_refund_is_neither_lost_nor_doubled() {
    check(|| {
        let account = warm(window(4));
        account.reserve(0, 3, at(START_MS)).unwrap();
        let settle: fn(&Account) -> u64 = |a| {
            a.settle(0, 3, 1, at(START_MS));
            0
        };
        let taken = race(&account, vec![settle, |a| ask(a, 1, 2)]);
        assert_eq!(taken + left(&account, at(START_MS)), 3, "one was spent");
    });
}

#[test]
fn two_that_find_the_window_over_roll_it_once() {
    check(|| {
        let account = warm(window(2));
        account.reserve(0, 2, at(START_MS)).unwrap();
        account.settle(0, 2, 2, at(START_MS));
        let taken = race(&account, vec![|a| ask_later(a, 0, 1), |a| ask_later(a, 1, 1)]);
        assert_eq!(taken, 2, "the new window has room for both");
        assert_eq!(left(&account, at(START_MS + PER_MS)), 0);
    });
}

#[test]
fn what_is_settled_while_the_window_rolls_is_counted_at_most_once_and_never_forgotten_after() {
    check(|| {
        let account = warm(window(3));
        account.reserve(0, 1, at(START_MS)).unwrap();
        let settle: fn(&Account) -> u64 = |a| {
            a.settle(0, 1, 1, at(START_MS + PER_MS));
            0
        };
        assert_eq!(race(&account, vec![settle, |a| ask_later(a, 1, 2)]), 2);
        assert_eq!(left(&account, at(START_MS + PER_MS)), 0, "settled in the new window");
    });
}

#[test]
fn a_rate_is_not_overspent_while_its_refill_begins() {
    check(|| {
        let account = warm(Terms::Rate { count: 2, per_ns: 1 << 40 });
        account.reserve(0, 1, at(START_MS)).unwrap();
        let settle: fn(&Account) -> u64 = |a| {
            a.settle(0, 1, 1, at(START_MS));
            0
        };
        let taken = race(&account, vec![settle, |a| ask(a, 1, 1)]);
        assert_eq!(taken + left(&account, at(START_MS)), 1, "one is spent and not refilled");
    });
}
