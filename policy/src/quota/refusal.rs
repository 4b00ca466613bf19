//! The words of a refusal: which quota, whose, how much is left, when to come back.

use std::fmt::Write;
use std::time::Duration;

use ringway_adapters::fault::{Fault, Kind};

use super::{Counts, Quota};
use crate::cost::Missing;
use crate::lease::{Short, Terms};
use crate::money::NanoDollars;
use crate::plan::Step;
use crate::snapshot::Snapshot;

/// When to come back where the rest is promised to requests under way: nobody knows when they end.
const OTHERS_END: Duration = Duration::from_secs(1);

/// There is not enough left.
pub(super) fn short(quota: &Quota, amount: u64, short: Short) -> Fault {
    let kind = if quota.is_budget() { Kind::BudgetExceeded } else { Kind::RateLimited };
    let what = if quota.is_budget() { "budget" } else { "limit" };
    let mut message = format!("the {what} of {} is {}", quota.owner, quota.allows);
    if matches!(quota.terms, Terms::Concurrent { .. }) {
        message.push_str(", and so many are under way");
    } else {
        let _ = write!(message, ": {} left, {} needed", figure(quota, short.left), figure(quota, amount));
    }
    let never = amount > quota.limit();
    let retry_after = match short.retry_in_ns {
        _ if never => None,
        Some(ns) => Some(Duration::from_nanos(ns)),
        None => Some(OTHERS_END),
    };
    match retry_after {
        Some(after) => {
            let _ = write!(message, "; try again in {}", shown(after));
        }
        None => message.push_str("; it never allows so much at once: ask for less, or lower max_tokens"),
    }
    let mut fault = Fault::new(kind, message);
    fault.retry_after = retry_after;
    fault
}

/// Money is bounded and a price is not known.
pub(super) fn unpriced(quota: &Quota, snapshot: &Snapshot, step: &Step, missing: Missing) -> Fault {
    let provider = &snapshot.providers[step.provider].name;
    let model = &step.model;
    let message = format!(
        "the budget of {} is {}, and what {provider}/{model} costs is not known (missing: {}); write its rate under \
         providers: {{{provider}: {{models: [{{name: {model:?}, price: {{input: \"1.50\", output: \"6\"}}}}]}}}}, or `unpriced: allow` on the route",
        quota.owner, quota.allows, missing.rate
    );
    Fault::new(Kind::BudgetExceeded, message)
}

/// A target without a price among others that have one.
pub(super) fn skipped(snapshot: &Snapshot, step: &Step) -> Fault {
    let provider = &snapshot.providers[step.provider].name;
    let message = format!("{provider}/{} is left out: its price is not known, and a budget in USD counts", step.model);
    Fault::new(Kind::BudgetExceeded, message)
}

fn figure(quota: &Quota, figure: u64) -> String {
    match quota.counts {
        Counts::Usd => format!("{} USD", NanoDollars(figure)),
        Counts::Measure(_) => figure.to_string(),
    }
}

/// `350 ms`, `1.2 s`, `3 min`, `2 h 5 min`, `4 d 3 h`: never less than it takes.
fn shown(duration: Duration) -> String {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    let seconds = ms.div_ceil(1_000);
    let minutes = seconds.div_ceil(60);
    let pair = |big: u128, big_unit: &str, small: u128, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        small => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match seconds {
        0..=1 if ms < 1_000 => format!("{ms} ms"),
        0..60 => format!("{}.{} s", ms.div_ceil(100) / 10, ms.div_ceil(100) % 10),
        60..3_600 => format!("{minutes} min"),
        3_600..86_400 => pair(minutes / 60, "h", minutes % 60, "min"),
        _ => {
            let hours = minutes.div_ceil(60);
            pair(hours / 24, "d", hours % 24, "h")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people_and_never_too_short() {
        let cases = [
            (350, "350 ms"),
            (1_200, "1.2 s"),
            (1_201, "1.3 s"),
            (59_000, "59.0 s"),
            (61_000, "2 min"),
            (7_500_000, "2 h 5 min"),
            (86_400_000, "1 d"),
            (356_400_000, "4 d 3 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(shown(Duration::from_millis(ms)), text);
        }
    }
}
