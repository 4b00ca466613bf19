//! Runs every recorded exchange of the chat dialects through decode, encode, tap and translation.
//!
//! `RINGWAY_CORPUS` names the corpus directory; `RINGWAY_CORPUS_ONLY` a prefix of the ids to run. Prints counts by api
//! and dialect, what was left out and why, and every failure; exits 1 where there is one.

#[path = "corpus/answer.rs"]
mod answer;
#[path = "corpus/chunk.rs"]
mod chunk;
#[path = "corpus/failure.rs"]
mod failure;
#[path = "corpus/left_out.rs"]
mod left_out;
#[path = "corpus/load.rs"]
mod load;
#[path = "corpus/normal.rs"]
mod normal;
#[path = "corpus/outcome.rs"]
mod outcome;
#[path = "corpus/request.rs"]
mod request;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use load::{Exchange, Part, Reply};

const THREADS: usize = 2;

/// What the checks of one exchange gave.
#[derive(Default)]
pub struct Checks {
    passed: usize,
    failed: Vec<String>,
    /// Reasons from `left_out` for checks that were not made.
    pub left_out: Vec<&'static str>,
}

impl Checks {
    /// Counts one check.
    pub fn check(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => self.failed.push(format!("{name}: {why}")),
        }
    }

    /// Runs `checks`; a panic in them is a failure, with its message.
    pub fn group(&mut self, name: &str, checks: impl FnOnce(&mut Checks)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| checks(&mut *self))) {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            self.failed.push(format!("{name} panicked: {}", text.unwrap_or_default()));
        }
    }
}

#[derive(Default)]
struct Row {
    exchanges: usize,
    checks: usize,
    failed: usize,
    /// Exchanges with a failed check.
    broken: usize,
}

#[derive(Default)]
struct Totals {
    rows: BTreeMap<String, Row>,
    left_out: BTreeMap<&'static str, usize>,
    failures: Vec<String>,
}

fn main() -> ExitCode {
    // The test harness's own words: a list, or names to run.
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let is_named = names.is_empty() || names.iter().any(|name| "corpus".contains(name.as_str()));
    if flags.iter().any(|flag| flag == "--list") || !is_named {
        if is_named {
            println!("corpus: test");
        }
        return ExitCode::SUCCESS;
    }
    let exchanges = match load::exchanges() {
        Ok(exchanges) => exchanges,
        Err(why) => {
            println!("corpus: {why}");
            return ExitCode::FAILURE;
        }
    };
    // A panic is reported as a failure of its exchange, with its message.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, totals) = (AtomicUsize::new(0), Mutex::new(Totals::default()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(exchange) = exchanges.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(exchange, &totals);
                }
            });
        }
    });
    report(totals.into_inner().expect("no thread panicked"))
}

fn run(exchange: &Exchange, totals: &Mutex<Totals>) {
    let mut checks = Checks::default();
    for part in [Part::Request, Part::Answer] {
        if let Some(reason) = left_out::reason(exchange, part) {
            checks.left_out.push(reason);
            continue;
        }
        checks.group(&format!("{part:?}"), |checks| match part {
            Part::Request => request::check(exchange, checks),
            Part::Answer if exchange.status >= 400 => failure::check(exchange, checks),
            Part::Answer => answer::check(exchange, checks),
        });
    }
    let mut totals = totals.lock().expect("no thread panics with the lock");
    checks.left_out.into_iter().for_each(|reason| *totals.left_out.entry(reason).or_default() += 1);
    let mode = if matches!(exchange.reply, Reply::Stream { .. }) { "stream" } else { "whole" };
    let row = totals.rows.entry(format!("{} {} {mode}", exchange.provider, exchange.api)).or_default();
    row.exchanges += 1;
    row.checks += checks.passed + checks.failed.len();
    row.failed += checks.failed.len();
    row.broken += usize::from(!checks.failed.is_empty());
    totals.failures.extend(checks.failed.into_iter().map(|why| format!("{} {why}", exchange.id)));
}

fn report(mut totals: Totals) -> ExitCode {
    println!("{:<36} {:>9} {:>8} {:>7}", "provider api mode", "exchanges", "checks", "failed");
    let mut sum = Row::default();
    for (name, row) in &totals.rows {
        println!("{name:<36} {:>9} {:>8} {:>7}", row.exchanges, row.checks, row.failed);
        sum.exchanges += row.exchanges;
        sum.checks += row.checks;
        sum.failed += row.failed;
        sum.broken += row.broken;
    }
    println!("{:<36} {:>9} {:>8} {:>7}", "all", sum.exchanges, sum.checks, sum.failed);
    println!("taken as equal:");
    normal::RULES.iter().for_each(|rule| println!("  {:?} {:?}: {}", rule.dialect, rule.side, rule.says));
    totals.left_out.iter().for_each(|(reason, count)| println!("left out: {count} requests, answers or translations: {reason}"));
    totals.failures.sort();
    totals.failures.iter().for_each(|failure| println!("FAIL {failure}"));
    println!("count: {} checks of recorded exchanges without the gateway, {} failed", sum.checks, sum.failed);
    println!("{} passed, {} failed", sum.exchanges - sum.broken, sum.broken);
    let is_good = sum.failed == 0 && sum.exchanges > 0;
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
