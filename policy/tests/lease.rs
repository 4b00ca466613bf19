//! Accounts as their callers see them: rates, windows, leases on many shards, many threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use ringway_policy::lease::{Account, CalendarUnit, Now, Short, Standing, Terms, Window};

const SECOND: u64 = 1_000_000_000;
const DAY_MS: u64 = 86_400_000;
/// 2026-11-20, 13:00 UTC.
const START_MS: u64 = 1_795_179_600_000;

fn at(after_ns: u64) -> Now {
    Now { mono_ns: 5_000 * SECOND + after_ns, unix_ms: START_MS + after_ns / 1_000_000 }
}

fn rate(count: u64, per_ns: u64) -> Terms {
    Terms::Rate { count, per_ns }
}

fn daily(amount: u64) -> Terms {
    Terms::Window { amount, window: Window::FirstSpend { per_ms: DAY_MS } }
}

fn by_calendar(amount: u64, unit: CalendarUnit) -> Terms {
    Terms::Window { amount, window: Window::Calendar { unit, offset_minutes: 0 } }
}

/// Reserves one after the other on `shard` until refused.
fn drain(account: &Account, shard: usize, now: Now) -> u64 {
    let mut taken = 0;
    while account.reserve(shard, 1, now).is_ok() {
        taken += 1;
        assert!(taken <= 1_000_000, "no end");
    }
    taken
}

#[test]
fn one_shard_gets_the_whole_limit() {
    for terms in [rate(1_000, SECOND), daily(1_000), Terms::Concurrent { count: 1_000 }] {
        for shards in [1, 2, 8, 64] {
            assert_eq!(drain(&Account::new(shards, terms), shards - 1, at(0)), 1_000, "{terms:?} on {shards}");
        }
    }
}

#[test]
fn shards_in_turn_get_the_limit_and_not_one_more() {
    for limit in [1, 7, 10, 1_000, 99_991] {
        let account = Account::new(8, daily(limit));
        let admitted = (0..limit + 100).filter(|turn| account.reserve((turn % 8) as usize, 1, at(0)).is_ok()).count();
        assert_eq!(admitted as u64, limit);
    }
}

#[test]
fn a_large_request_gets_what_lies_in_small_leases() {
    let account = Account::new(4, daily(10_000));
    for shard in 0..4 {
        account.reserve(shard, 1, at(0)).unwrap();
    }
    // It depends on the four that are promised.
    assert_eq!(account.reserve(2, 9_997, at(0)), Err(Short { left: 9_996, retry_in_ns: None }));
    account.reserve(2, 9_996, at(0)).unwrap();
    assert_eq!(account.standing(at(0)).left, 0);
}

#[test]
fn more_than_the_limit_never_comes() {
    for terms in [rate(10, SECOND), daily(10), Terms::Concurrent { count: 10 }] {
        let account = Account::new(2, terms);
        assert_eq!(account.reserve(0, 11, at(0)), Err(Short { left: 10, retry_in_ns: None }));
        account.reserve(0, 10, at(0)).unwrap();
    }
}

#[test]
fn a_rate_says_to_the_nanosecond_when_to_come_back() {
    for (count, per_ns) in [(1, SECOND), (7, 60 * SECOND), (60, 60 * SECOND), (1_000, SECOND), (3, 86_400 * SECOND)] {
        let account = Account::new(2, rate(count, per_ns));
        let mut now_ns = 17;
        for _ in 0..count {
            account.reserve(0, 1, at(now_ns)).unwrap();
            account.settle(0, 1, 1, at(now_ns));
        }
        for round in 0..20 {
            let wait = account.reserve(1, 1, at(now_ns)).unwrap_err().retry_in_ns.expect("a time");
            assert!(account.reserve(1, 1, at(now_ns + wait - 1)).is_err(), "{count}: round {round}, after {wait} ns less one");
            now_ns += wait;
            account.reserve(1, 1, at(now_ns)).unwrap();
            account.settle(1, 1, 1, at(now_ns));
        }
        let ideal = 17 + (20 * u128::from(per_ns)).div_ceil(count.into()) as u64;
        assert!(now_ns.abs_diff(ideal) <= 1, "{count} in {per_ns}: {now_ns}, not {ideal}");
    }
}

#[test]
fn a_rates_leases_do_not_add_to_its_burst() {
    let account = Account::new(4, rate(10_000, 10 * SECOND));
    for shard in 0..4 {
        account.reserve(shard, 1, at(0)).unwrap();
        account.settle(shard, 1, 1, at(0));
    }
    // All is refilled long ago, with leases out on each shard.
    let burst: u64 = (0..4).map(|shard| drain(&account, shard, at(3_600 * SECOND))).sum();
    assert_eq!(burst, 10_000);
}

#[test]
fn what_a_rate_did_not_need_flows_back_and_an_excess_delays() {
    let account = Account::new(2, rate(1_000, 10 * SECOND));
    account.reserve(0, 900, at(0)).unwrap();
    assert!(account.reserve(1, 200, at(0)).is_err());
    account.settle(0, 900, 100, at(0));
    account.reserve(1, 900, at(0)).unwrap();
    account.settle(1, 900, 1_900, at(0));
    let standing = account.standing(at(0));
    assert_eq!((standing.settled, standing.reserved, standing.left), (2_000, 0, 0));
    // 1,000 of debt, and one unit: 10.01 s.
    assert_eq!(account.reserve(0, 1, at(0)), Err(Short { left: 0, retry_in_ns: Some(10_010_000_000) }));
    assert!(account.reserve(0, 1, at(10_009_999_999)).is_err());
    account.reserve(0, 1, at(10_010_000_000)).unwrap();
}

#[test]
fn a_busy_rate_gives_all_of_its_refill() {
    let account = Account::new(2, rate(1_000, SECOND));
    let mut admitted = 0;
    for turn in 0..200_000 {
        let (now, shard) = (at(turn * 100_000), (turn % 2) as usize);
        if turn % 1_000 == 0 {
            account.reconcile(now);
        }
        if account.reserve(shard, 1, now).is_ok() {
            account.settle(shard, 1, 1, now);
            admitted += 1;
        }
    }
    // 20 s: the burst and twenty refills of it, less at most a unit under way in each slot.
    assert!((20_990..=21_000).contains(&admitted), "{admitted}");
}

#[test]
fn a_window_begins_with_its_first_spend_and_debt_ends_with_it() {
    let account = Account::new(2, daily(100));
    assert_eq!(account.window_start_ms(), None);
    account.reserve(0, 60, at(0)).unwrap();
    assert_eq!(account.window_start_ms(), Some(START_MS));
    account.settle(0, 60, 130, at(SECOND));
    let in_debt = Standing { limit: 100, settled: 130, reserved: 0, left: 0, resets_in_ns: (DAY_MS - 1_000) * 1_000_000 };
    assert_eq!(account.standing(at(SECOND)), in_debt);
    let end_ns = DAY_MS * 1_000_000;
    assert_eq!(account.reserve(1, 1, at(SECOND)).unwrap_err().retry_in_ns, Some(end_ns - SECOND));
    assert!(account.reserve(1, 1, at(end_ns - 1)).is_err());
    assert_eq!(account.standing(at(end_ns)), Standing { limit: 100, settled: 0, reserved: 0, left: 100, resets_in_ns: 0 });
    assert_eq!(drain(&account, 1, at(end_ns)), 100);
    assert_eq!(account.window_start_ms(), Some(START_MS + DAY_MS));
}

#[test]
fn what_is_given_back_in_debt_pays_it_off_first() {
    let account = Account::new(2, daily(100));
    account.reserve(0, 50, at(0)).unwrap();
    account.reserve(1, 50, at(0)).unwrap();
    account.settle(0, 50, 60, at(0));
    account.settle(1, 50, 45, at(0));
    assert_eq!((account.standing(at(0)).settled, drain(&account, 1, at(0))), (105, 0));
    account.amend(daily(110), at(0));
    assert_eq!(drain(&account, 1, at(0)), 5);
}

#[test]
fn a_debt_takes_idle_leases_of_other_shards_with_it() {
    let account = Account::new(2, daily(80));
    // Leaves nine in the lease of shard 1.
    account.reserve(1, 1, at(0)).unwrap();
    account.reserve(0, 70, at(0)).unwrap();
    account.settle(0, 70, 75, at(0));
    assert_eq!(drain(&account, 1, at(0)), 4);
}

#[test]
fn promises_stay_promised_over_a_roll_and_count_where_they_are_settled() {
    let account = Account::new(2, by_calendar(100, CalendarUnit::Hour));
    let hour = 3_600 * SECOND;
    account.reserve(0, 70, at(hour - SECOND)).unwrap();
    account.reserve(0, 30, at(hour - SECOND)).unwrap();
    account.settle(0, 30, 30, at(hour - SECOND));
    assert_eq!(account.reserve(1, 31, at(hour)).unwrap_err().left, 30);
    account.settle(0, 70, 50, at(hour + SECOND));
    let standing = account.standing(at(hour + SECOND));
    assert_eq!((standing.settled, standing.reserved, standing.left), (50, 0, 50));
    assert_eq!(drain(&account, 1, at(hour + SECOND)), 50);
}

#[test]
fn a_clock_that_steps_back_rolls_nothing_back() {
    let account = Account::new(2, by_calendar(10, CalendarUnit::Hour));
    let hour = 3_600 * SECOND;
    account.reserve(0, 4, at(hour - 1)).unwrap();
    account.settle(0, 4, 4, at(hour - 1));
    account.reserve(0, 4, at(hour)).unwrap();
    account.settle(0, 4, 4, at(hour - SECOND));
    assert_eq!(drain(&account, 1, at(hour - SECOND)), 6);
    assert_eq!(account.standing(at(hour)).settled, 4);
}

#[test]
fn many_windows_pass_over_a_shard_that_sleeps() {
    let account = Account::new(3, by_calendar(10, CalendarUnit::Hour));
    account.reserve(2, 5, at(0)).unwrap();
    account.settle(2, 5, 5, at(0));
    for hour in 1..100 {
        let now = at(hour * 3_600 * SECOND);
        assert_eq!(drain(&account, 0, now), 10, "hour {hour}");
        account.settle(1, 10, 10, now);
    }
}

#[test]
fn what_is_concurrent_comes_back_whole() {
    let account = Account::new(2, Terms::Concurrent { count: 3 });
    for _ in 0..100 {
        assert_eq!(drain(&account, 0, at(0)), 3);
        assert_eq!(account.reserve(1, 1, at(0)), Err(Short { left: 0, retry_in_ns: None }));
        (0..3).for_each(|_| account.settle(1, 1, 7, at(0)));
    }
    assert_eq!(account.standing(at(0)), Standing { limit: 3, settled: 0, reserved: 0, left: 3, resets_in_ns: 0 });
}

#[test]
fn new_terms_keep_what_was_spent() {
    let account = Account::new(2, daily(100));
    account.reserve(0, 60, at(0)).unwrap();
    account.settle(0, 60, 60, at(0));
    account.reserve(0, 10, at(0)).unwrap();
    account.amend(daily(200), at(0));
    assert_eq!(account.standing(at(0)).left, 130);
    account.amend(daily(50), at(0));
    assert_eq!((account.standing(at(0)).left, account.reserve(1, 1, at(0)).is_err()), (0, true));
    account.settle(0, 10, 0, at(0));
    account.amend(daily(61), at(0));
    assert_eq!(drain(&account, 1, at(0)), 1);
    account.settle(1, 1, 1, at(0));
    account.amend(Terms::Window { amount: 61, window: Window::FirstSpend { per_ms: 1_000 } }, at(SECOND / 2));
    assert_eq!(account.standing(at(SECOND / 2)).resets_in_ns, SECOND / 2);
    assert_eq!(drain(&account, 0, at(SECOND)), 61);
}

#[test]
fn a_new_rate_keeps_what_is_not_refilled() {
    let account = Account::new(2, rate(60, 60 * SECOND));
    account.reserve(0, 50, at(0)).unwrap();
    account.settle(0, 50, 50, at(0));
    account.amend(rate(7, SECOND), at(SECOND));
    let standing = account.standing(at(SECOND));
    assert_eq!((standing.limit, standing.settled, standing.left), (7, 49, 0));
    assert_eq!(account.reserve(0, 7, at(SECOND)).unwrap_err().retry_in_ns, Some(7 * SECOND));
    account.amend(rate(600, SECOND), at(SECOND));
    assert_eq!(account.standing(at(SECOND)).left, 551);
}

#[test]
fn terms_of_another_kind_start_anew() {
    let account = Account::new(2, rate(60, 60 * SECOND));
    account.reserve(0, 50, at(0)).unwrap();
    account.settle(0, 40, 40, at(0));
    for (terms, left) in [(daily(60), 50), (rate(30, SECOND), 20), (Terms::Concurrent { count: 11 }, 1), (daily(20), 10)] {
        account.amend(terms, at(SECOND));
        assert_eq!(account.standing(at(SECOND)).left, left, "{terms:?}; ten are still promised");
        assert_eq!(drain(&account, 1, at(SECOND)), left);
        account.settle(1, left, left, at(SECOND));
    }
}

#[test]
fn a_journals_spend_is_counted_if_its_window_still_runs() {
    let account = Account::new(2, daily(100));
    account.restore(30, START_MS - DAY_MS, at(0));
    assert_eq!(account.standing(at(0)).settled, 0, "that window is over");
    account.restore(30, START_MS - 1_000, at(0));
    account.restore(15, START_MS - 1_000, at(0));
    assert_eq!((account.standing(at(0)).settled, account.window_start_ms()), (45, Some(START_MS - 1_000)));
    assert_eq!(drain(&account, 1, at(0)), 55);
    let month = Account::new(2, by_calendar(100, CalendarUnit::Month { first_day: 1 }));
    month.restore(130, START_MS - 10 * DAY_MS, at(0));
    month.restore(7, START_MS - 20 * DAY_MS, at(0));
    assert_eq!((month.standing(at(0)).settled, month.reserve(0, 1, at(0)).is_err()), (130, true));
}

#[test]
fn idle_leases_come_back_at_the_second_reconcile() {
    let account = Account::new(2, daily(100_000));
    account.reserve(0, 1, at(0)).unwrap();
    for _ in 0..2 {
        account.reconcile(at(0));
    }
    // What is free now goes without a look at the other shard.
    account.reserve(1, 99_999, at(0)).unwrap();
    assert_eq!(account.standing(at(0)).left, 0);
}

#[test]
fn an_account_that_nobody_uses_is_two_lines_long() {
    assert_eq!(size_of::<Account>(), 128);
}

#[test]
fn absurd_figures_neither_panic_nor_make_room() {
    for terms in [rate(10, SECOND), daily(10)] {
        let account = Account::new(2, terms);
        for _ in 0..1_000 {
            account.settle(0, 0, u64::MAX, at(0));
        }
        assert!(account.reserve(1, 1, at(0)).is_err());
        assert_eq!(account.standing(at(0)).left, 0);
    }
    let account = Account::new(0, Terms::Window { amount: u64::MAX, window: Window::FirstSpend { per_ms: u64::MAX } });
    account.reserve(99, 1 << 57, Now { mono_ns: u64::MAX, unix_ms: u64::MAX }).unwrap();
}

/// `threads` ask for one unit each, `requests` times in all, on `shards`.
fn storm(account: &Account, threads: u64, shards: u64, requests: u64) -> u64 {
    let (admitted, barrier) = (AtomicU64::new(0), Barrier::new(threads as usize));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (admitted, barrier) = (&admitted, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..requests / threads {
                    if account.reserve((thread % shards) as usize, 1, at(0)).is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    admitted.into_inner()
}

#[test]
fn of_a_thousand_at_once_exactly_ten_get_the_ten_places() {
    for terms in [daily(10), rate(10, 60 * SECOND), Terms::Concurrent { count: 10 }] {
        for threads in [2, 4, 8] {
            for round in 0..100 {
                assert_eq!(storm(&Account::new(2, terms), threads, 2, 1_000), 10, "{terms:?}, {threads} threads, round {round}");
            }
        }
    }
}

#[test]
fn exactly_the_limit_is_admitted_though_leases_are_out() {
    for round in 0..100 {
        let account = Account::new(4, daily(5_000));
        assert_eq!(storm(&account, 4, 4, 8_000), 5_000, "round {round}");
    }
}

#[test]
fn nothing_is_lost_or_made_while_threads_reserve_settle_and_reconcile() {
    const LIMIT: u64 = 1_000_000;
    for terms in [daily(LIMIT), Terms::Concurrent { count: LIMIT }] {
        let (account, spent) = (Account::new(4, terms), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (account, spent) = (&account, &spent);
                scope.spawn(move || {
                    for turn in 0..5_000_u64 {
                        let amount = 1 + (turn * 7 + thread * 13) % 97;
                        if account.reserve(thread as usize, amount, at(0)).is_ok() {
                            let actual = amount / (1 + turn % 5);
                            account.settle(((thread + turn) % 4) as usize, amount, actual, at(0));
                            spent.fetch_add(actual, Ordering::Relaxed);
                        }
                    }
                });
            }
            scope.spawn(|| (0..500).for_each(|_| account.reconcile(at(0))));
        });
        let settled = if matches!(terms, Terms::Concurrent { .. }) { 0 } else { spent.into_inner() };
        let standing = account.standing(at(0));
        assert_eq!((standing.settled, standing.reserved, standing.left), (settled, 0, LIMIT - settled));
        account.reserve(3, LIMIT - settled, at(0)).unwrap();
        assert!(account.reserve(0, 1, at(0)).is_err());
    }
}
