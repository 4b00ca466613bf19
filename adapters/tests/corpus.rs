//! Every recorded exchange through its dialect's codec, without the gateway: (b) decoded and encoded again it means the same,
//! (c) so it does after a way through each other chat dialect, (d) a stream gives the same events wherever it is cut, (e) errors
//! keep their class and reason.
//!
//! `RINGWAY_CORPUS` names the corpus directory; `RINGWAY_CORPUS_ONLY` a prefix of the ids to run. Prints provider × api × check
//! with what passed, failed and was left out, why, and every failure; exits 1 where a bar is missed.

#[path = "corpus/answer.rs"]
mod answer;
#[path = "corpus/apis.rs"]
mod apis;
#[path = "corpus/base64.rs"]
mod base64;
#[path = "corpus/chunk.rs"]
mod chunk;
#[path = "corpus/failure.rs"]
mod failure;
#[path = "corpus/gist.rs"]
mod gist;
#[path = "corpus/left_out.rs"]
mod left_out;
#[path = "corpus/load.rs"]
mod load;
#[path = "corpus/normal/mod.rs"]
mod normal;
#[path = "corpus/outcome.rs"]
mod outcome;
#[path = "corpus/request.rs"]
mod request;
#[path = "corpus/table.rs"]
mod table;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use load::{Exchange, Part};
use table::{Check, Table};

/// What the checks of one exchange gave.
#[derive(Default)]
pub struct Checks {
    passed: Vec<Check>,
    failed: Vec<(Check, String)>,
    left_out: Vec<(Check, Cow<'static, str>)>,
}

impl Checks {
    /// Counts one check; a panic in it is a failure, with its message.
    pub fn check(&mut self, check: Check, name: &str, run: impl FnOnce() -> Result<(), String>) {
        let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        });
        match result {
            Ok(()) => self.passed.push(check),
            Err(why) => self.failed.push((check, format!("{name}: {why}"))),
        }
    }

    /// Counts one check that is not made, with its reason.
    pub fn leave_out(&mut self, check: Check, reason: impl Into<Cow<'static, str>>) {
        self.left_out.push((check, reason.into()));
    }
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
    let (next, table) = (AtomicUsize::new(0), Mutex::new(Table::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(exchange) = exchanges.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let checks = run(exchange);
                    table.lock().expect("no thread panics with the lock").add(exchange, checks);
                }
            });
        }
    });
    table.into_inner().expect("no thread panicked").report()
}

fn run(exchange: &Exchange) -> Checks {
    let mut checks = Checks::default();
    for part in [Part::Request, Part::Answer] {
        let is_error = part == Part::Answer && exchange.status >= 400;
        match left_out::reason(exchange, part) {
            Some(reason) if is_error => checks.leave_out(Check::Error, reason),
            Some(reason) => checks.leave_out(Check::Again, reason),
            None if is_error => failure::check(exchange, &mut checks),
            None if part == Part::Request => request::check(exchange, &mut checks),
            None => answer::check(exchange, &mut checks),
        }
    }
    checks
}
