//! The lease protocol in random orders of its atomic steps, with shards that stop between any two of them.
//!
//! Compiles the lease's own source with atomics that a scheduler steps. The model is one number: what is left.

#[path = "../../policy/src/lease/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a test uses what it needs")]
mod lease;
#[path = "steps/scheduler.rs"]
mod scheduler;
#[path = "steps/sync.rs"]
mod sync;

use lease::{Account, Now, Terms, Window};
use proptest::prelude::*;
use scheduler::{Plan, run};

const SHARDS: usize = 3;
const START_MS: u64 = 1_000_000;
const PER_MS: u64 = 1_000;

/// One thing that a shard or the control plane does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Promise so much.
    Reserve(u64),
    /// End the oldest promise with so many per cent of it.
    Settle(u64),
    Reconcile,
    /// The next window's time has come.
    Later,
}

/// What one shard did.
#[derive(Debug, Default)]
struct Outcome {
    /// Promises that stand.
    promised: Vec<u64>,
    /// Settled at or after the last `Later` of any shard, or in a window that never ended.
    settled: [u64; 2],
    refused: bool,
}

fn now(windows: u64) -> Now {
    Now { mono_ns: 1 << 40, unix_ms: START_MS + windows * PER_MS }
}

fn terms() -> impl Strategy<Value = Terms> {
    let amount = prop_oneof![1_u64..20, 20_u64..300];
    prop_oneof![
        4 => amount.clone().prop_map(|amount| Terms::Window { amount, window: Window::FirstSpend { per_ms: PER_MS } }),
        2 => amount.clone().prop_map(|count| Terms::Rate { count, per_ns: 1 << 50 }),
        1 => amount.prop_map(|count| Terms::Concurrent { count }),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => prop_oneof![1_u64..4, 1_u64..40].prop_map(Act::Reserve),
        3 => (0_u64..100).prop_map(Act::Settle),
        // Debt.
        1 => (101_u64..400).prop_map(Act::Settle),
        1 => Just(Act::Settle(100)),
        1 => Just(Act::Reconcile),
        2 => Just(Act::Later),
    ];
    prop::collection::vec(act, 1..8)
}

fn plan(crashes: bool) -> impl Strategy<Value = Plan> {
    let crash = if crashes { prop::option::of((0..SHARDS, 1_u32..60)).boxed() } else { Just(None).boxed() };
    (prop::collection::vec(any::<u8>(), 1..80), crash).prop_map(|(order, crash)| Plan { order, crash })
}

/// Acts in order. What it did is put down before and after each step, so that one who stops leaves a true account.
fn act(account: &Account, shard: usize, acts: &[Act], outcome: &std::sync::Mutex<Outcome>) {
    let mut windows = 0;
    for act in acts {
        match *act {
            Act::Reserve(amount) => match account.reserve(shard, amount, now(windows)) {
                Ok(()) => outcome.lock().unwrap().promised.push(amount),
                Err(_) => outcome.lock().unwrap().refused = true,
            },
            Act::Settle(percent) => {
                let Some(amount) = outcome.lock().unwrap().promised.first().copied() else { continue };
                let actual = amount * percent / 100;
                account.settle(shard, amount, actual, now(windows));
                let mut outcome = outcome.lock().unwrap();
                outcome.promised.remove(0);
                outcome.settled[windows as usize] += actual;
            }
            Act::Reconcile => account.reconcile(now(windows)),
            Act::Later => windows = 1,
        }
    }
}

/// With its slots in place: they are made under a lock that the scheduler does not know.
fn account(terms: Terms) -> Account {
    let account = Account::new(SHARDS, terms);
    account.settle(0, 0, 0, now(0));
    account
}

fn drain(account: &Account, at: Now) -> u64 {
    let mut taken = 0;
    while account.reserve(0, 1, at).is_ok() {
        taken += 1;
    }
    taken
}

/// Something was promised, given back and settled before.
fn begun(account: &Account, shard: usize, limit: u64) -> Outcome {
    let (mut outcome, part) = (Outcome::default(), limit / 12);
    for actual in [0, part / 2] {
        account.reserve(shard, part, now(0)).unwrap();
        account.settle(shard, part, actual, now(0));
        outcome.settled[0] += actual;
    }
    for _ in 0..2 {
        account.reserve(shard, part / 2, now(0)).unwrap();
        outcome.promised.push(part / 2);
    }
    outcome
}

/// Plays it and compares with the model. What a stopped shard had in hand may be missing, and nothing may be too much.
fn play(terms: Terms, plan: &Plan, all: &[Vec<Act>]) -> Result<(), TestCaseError> {
    let account = account(terms);
    let outcomes: Vec<_> = (0..all.len()).map(|shard| std::sync::Mutex::new(begun(&account, shard, terms.limit()))).collect();
    let doer = |(shard, acts): (usize, &Vec<Act>)| {
        let (account, outcome, acts) = (&account, &outcomes[shard], acts.clone());
        Box::new(move || act(account, shard, &acts, outcome)) as Box<dyn FnOnce() + Send + '_>
    };
    let ends = run(plan, all.iter().enumerate().map(doer).collect());
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|outcome| outcome.into_inner().unwrap()).collect();

    let has_window = matches!(terms, Terms::Window { .. });
    let counts = !matches!(terms, Terms::Concurrent { .. });
    let last = u64::from(has_window && all.iter().flatten().any(|act| matches!(act, Act::Later)));
    // The window may have been rolled by nobody yet: then this rolls it.
    for _ in 0..3 {
        account.reconcile(now(last));
    }
    let promised: u64 = outcomes.iter().flat_map(|outcome| &outcome.promised).sum();
    let settled = |window: usize| if counts { outcomes.iter().map(|outcome| outcome.settled[window]).sum::<u64>() } else { 0 };
    // Those who had the old time still may have settled in either window.
    let (least, most) = if last == 1 { (settled(1), settled(0) + settled(1)) } else { (settled(0) + settled(1), settled(0) + settled(1)) };
    let left = drain(&account, now(last));
    let limit = terms.limit();
    let crashed = ends.iter().any(Option::is_none);
    // One who stopped in `settle` may have given back of its oldest promise, which the outcome still holds.
    let stopped = ends.iter().zip(&outcomes).filter(|(end, _)| end.is_none());
    let in_doubt: u64 = stopped.filter_map(|(_, outcome)| outcome.promised.first()).sum();
    let most_left = limit.saturating_sub(promised + least) + in_doubt;
    prop_assert!(left <= most_left, "overspent: {left} left, {promised} promised, {least} settled of {limit}");
    if !crashed {
        prop_assert!(left + promised + most >= limit, "lost: {left} left, {promised} promised, {most} settled of {limit}");
    }
    if !crashed && has_window {
        // One window later nothing is spent but what is promised.
        prop_assert_eq!(drain(&account, now(last + 1)), limit.saturating_sub(promised + left));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn units_are_neither_made_nor_lost(terms in terms(), plan in plan(false), all in prop::collection::vec(acts(), SHARDS)) {
        play(terms, &plan, &all)?;
    }

    #[test]
    fn a_shard_that_stops_anywhere_makes_no_units(terms in terms(), plan in plan(true), all in prop::collection::vec(acts(), SHARDS)) {
        play(terms, &plan, &all)?;
    }

    #[test]
    fn nobody_is_refused_while_there_is_room(
        limit in 120_u64..400,
        plan in plan(false),
        asks in prop::collection::vec(prop::collection::vec(Just(Act::Reserve(1)), 1..12), SHARDS),
        spare in 0_u64..30,
        owner in 0..SHARDS,
    ) {
        let terms = Terms::Window { amount: limit, window: Window::FirstSpend { per_ms: PER_MS } };
        let account = account(terms);
        // The last ones lie in one shard's lease: it takes from there, and so do the others.
        let early = (0..limit - spare).filter(|_| account.reserve(0, 1, now(0)).is_ok()).count() as u64;
        let lease = spare.min(limit / 12);
        account.reserve(owner, lease, now(0)).unwrap();
        account.settle(owner, lease, 0, now(0));
        let asked: u64 = asks.iter().map(|asks| asks.len() as u64).sum();
        let outcomes: Vec<_> = asks.iter().map(|_| std::sync::Mutex::new(Outcome::default())).collect();
        let doer = |(shard, asks): (usize, &Vec<Act>)| {
            let (account, outcome, asks) = (&account, &outcomes[shard], asks.clone());
            Box::new(move || act(account, shard, &asks, outcome)) as Box<dyn FnOnce() + Send + '_>
        };
        run(&plan, asks.iter().enumerate().map(doer).collect());
        let admitted: u64 = outcomes.into_iter().map(|outcome| outcome.into_inner().unwrap().promised.len() as u64).sum();
        prop_assert_eq!(admitted, asked.min(limit - early));
    }
}
