//! When the tokenizer's vocabulary comes and goes. One test: there is one vocabulary in a process, and the ledger tends it, too.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ringway_adapters::tokens;
use ringway_control::vocabulary::{Keeping, QUIET, keep_for};
use ringway_policy::config::{self, Config};

const SECOND: Duration = Duration::from_secs(1);
const LOADED_WITHIN: Duration = Duration::from_secs(60);

static PURGES: AtomicU32 = AtomicU32::new(0);

fn purge() {
    PURGES.fetch_add(1, Ordering::SeqCst);
}

fn purges() -> u32 {
    PURGES.load(Ordering::SeqCst)
}

/// Tends at `now` until memory was given back once more: what was to be loaded is there, and its thread about to end.
fn tend_until_purged(keeping: &mut Keeping, now: Instant) {
    let (before, begin) = (purges(), Instant::now());
    while purges() == before {
        assert!(begin.elapsed() < LOADED_WITHIN);
        keeping.tend(now);
        std::thread::yield_now();
    }
}

#[test]
fn it_comes_with_the_first_count_and_goes_after_a_quiet_time() {
    let mut now = Instant::now();
    let mut keeping = Keeping::new(purge, now);
    keep_for(&Config::default());
    keeping.tend(now);
    keeping.tend(now + QUIET);
    assert_eq!((tokens::is_warm(), purges()), (false, 0), "nobody asked");

    assert_eq!((tokens::count("hello world"), tokens::counter()), (3, "length"));
    now += SECOND;
    tend_until_purged(&mut keeping, now);
    assert_eq!((tokens::count("hello world"), tokens::counter()), (2, "o200k"));

    // The thread that loaded may take a moment to end; nothing is decided before.
    now += SECOND;
    while tokens::was_asked() {
        tokens::expect();
        keeping.tend(now);
        std::thread::yield_now();
    }
    keeping.tend(now + QUIET - SECOND);
    assert!(tokens::is_warm(), "not quiet for long enough");
    tend_until_purged(&mut keeping, now + QUIET);
    assert!(!tokens::is_warm(), "quiet: dropped, freed, given back");
    assert_eq!(tokens::count("hello world"), 3);

    now += 2 * QUIET;
    tend_until_purged(&mut keeping, now);
    assert_eq!(tokens::count("hello world"), 2, "asked for again: there again");

    let bounded = config::parse("limits:\n  - {tokens: 1000, per: 1m}\n", &|_| None).unwrap();
    assert!(bounded.has_bounds());
    keep_for(&bounded);
    for _ in 0..3 {
        now += 2 * QUIET;
        keeping.tend(now);
        assert!(tokens::is_warm(), "limits and budgets need it");
    }
    keep_for(&Config::default());
    now += 2 * QUIET;
    tend_until_purged(&mut keeping, now);
    assert!(!tokens::is_warm(), "nothing is bounded any more");

    keep_for(&bounded);
    tend_until_purged(&mut keeping, now);
    assert!(tokens::is_warm(), "a bound that comes later loads it without a count");
}
