//! The fault wall as a table: a model named `fault-NAME[-ARGUMENT][@ANYTHING]` gets what its row says.
//!
//! What stands behind `@` only tells tests apart: `once` and `flap` remember by the whole model name.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::errors::Refusal;
use crate::units::parse_duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// An error status, and `retry-after` in seconds where one is given.
    Refuse(Refusal, Option<u32>),
    Break(Break),
}

/// How an answer breaks. `after` counts the events that carry text, thinking or arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Break {
    ResetBeforeHead,
    ResetMidBody,
    Silence,
    HeadThenSilence,
    SlowFirstToken(Duration),
    CutAfter(u32),
    /// The framing ends well, but no finish reason has come.
    CleanCutAfter(u32),
    StallAfter(u32),
    MalformedEvent,
    InbandError,
    NoDone,
    LengthTooLong,
    LengthTooShort,
    Gzip,
    SplitBytes,
}

/// When a row strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    Always,
    /// The first request of this model name only.
    Once,
    /// Down for the argument, up for the argument, and so on, from the first request of this model name.
    Flapping,
    /// Only a request that ends with an assistant message.
    WithPrefill,
}

/// What stands behind the name.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Argument {
    None,
    Count(u32),
    Time(Duration),
}

struct Row {
    name: &'static str,
    when: When,
    /// With its default.
    argument: Argument,
    make: fn(Argument) -> Fault,
    about: &'static str,
}

const fn row(name: &'static str, when: When, argument: Argument, make: fn(Argument) -> Fault, about: &'static str) -> Row {
    Row { name, when, argument, make, about }
}

const THREE: Argument = Argument::Count(3);
const TWO_SECONDS: Argument = Argument::Time(Duration::from_secs(2));

/// Longer names stand before their beginnings.
const WALL: &[Row] = &[
    row("429-always", When::Always, Argument::None, |_| refuse(Refusal::RateLimit), "429 to every request, no Retry-After"),
    row("429-once", When::Once, Argument::None, |_| refuse(Refusal::RateLimit), "429 once, then well"),
    row("429-retry-after-always", When::Always, Argument::None, |_| retry_after(1), "429 with Retry-After: 1 to every request"),
    row("429-retry-after-long", When::Always, Argument::None, |_| retry_after(120), "429 with Retry-After: 120 to every request"),
    row("429-retry-after", When::Once, Argument::None, |_| retry_after(1), "429 with Retry-After: 1 once, then well"),
    row("500-once", When::Once, Argument::None, |_| refuse(Refusal::Server), "500 once, then well"),
    row("500-always", When::Always, Argument::None, |_| refuse(Refusal::Server), "500 to every request"),
    row("503-once", When::Once, Argument::None, |_| refuse(Refusal::Unavailable), "503 once, then well"),
    row("503-always", When::Always, Argument::None, |_| refuse(Refusal::Unavailable), "503 to every request"),
    row("529-always", When::Always, Argument::None, |_| refuse(Refusal::Overloaded), "529 overloaded to every request"),
    row("401", When::Always, Argument::None, |_| refuse(Refusal::Authentication), "401 to every request"),
    row("context-length", When::Always, Argument::None, |_| refuse(Refusal::ContextLength), "400 context_length_exceeded"),
    row("content-filter", When::Always, Argument::None, |_| refuse(Refusal::ContentFilter), "400 content_filter"),
    row("spend-cap", When::Always, Argument::None, |_| refuse(Refusal::SpendCap), "429 insufficient_quota (Anthropic: 400)"),
    row(
        "prefill-refused",
        When::WithPrefill,
        Argument::None,
        |_| refuse(Refusal::Prefill),
        "400 to a last message of the assistant, else well",
    ),
    row("flap", When::Flapping, TWO_SECONDS, |_| refuse(Refusal::Unavailable), "503 for the time given, well for as long, and so on"),
    row("reset-before-head-once", When::Once, Argument::None, |_| broken(Break::ResetBeforeHead), "reset before any byte once, then well"),
    row("reset-before-head", When::Always, Argument::None, |_| broken(Break::ResetBeforeHead), "reset before any byte"),
    row("reset-mid-body", When::Always, Argument::None, |_| broken(Break::ResetMidBody), "reset halfway through the answer"),
    row("silence", When::Always, Argument::None, |_| broken(Break::Silence), "never a byte"),
    row("head-then-silence", When::Always, Argument::None, |_| broken(Break::HeadThenSilence), "a 200 head, never a body byte"),
    row(
        "slow-first-token",
        When::Always,
        TWO_SECONDS,
        |time| broken(Break::SlowFirstToken(time.time())),
        "the head at once, the body after the time given",
    ),
    row("cut-after-once", When::Once, THREE, |count| broken(Break::CutAfter(count.count())), "as cut-after, once"),
    row("cut-after", When::Always, THREE, |count| broken(Break::CutAfter(count.count())), "connection closed after N text events"),
    row(
        "clean-cut-after",
        When::Always,
        THREE,
        |count| broken(Break::CleanCutAfter(count.count())),
        "chunks ended properly after N text events, no finish reason",
    ),
    row("stall-after-once", When::Once, THREE, |count| broken(Break::StallAfter(count.count())), "as stall-after, once"),
    row("stall-after", When::Always, THREE, |count| broken(Break::StallAfter(count.count())), "silent after N text events"),
    row("malformed-event-once", When::Once, Argument::None, |_| broken(Break::MalformedEvent), "as malformed-event, once"),
    row(
        "malformed-event",
        When::Always,
        Argument::None,
        |_| broken(Break::MalformedEvent),
        "the fourth text event is not JSON (whole: nor is the body)",
    ),
    row("inband-error-once", When::Once, Argument::None, |_| broken(Break::InbandError), "as inband-error, once"),
    row(
        "inband-error",
        When::Always,
        Argument::None,
        |_| broken(Break::InbandError),
        "an error event after three text events (whole: 500)",
    ),
    row(
        "no-done",
        When::Always,
        Argument::None,
        |_| broken(Break::NoDone),
        "no [DONE], message_stop or response.completed; the framing ends well",
    ),
    row(
        "wrong-length-short",
        When::Always,
        Argument::None,
        |_| broken(Break::LengthTooShort),
        "Content-Length below the body that is sent",
    ),
    row("wrong-length-long", When::Always, Argument::None, |_| broken(Break::LengthTooLong), "Content-Length beyond the body, then closed"),
    row("wrong-length", When::Always, Argument::None, |_| broken(Break::LengthTooLong), "as wrong-length-long"),
    row("gzip", When::Always, Argument::None, |_| broken(Break::Gzip), "gzip although identity was asked for"),
    row(
        "split-bytes",
        When::Always,
        Argument::None,
        |_| broken(Break::SplitBytes),
        "every byte its own chunk and write, multi-byte letters",
    ),
];

/// The table that `loadtest faults` prints.
pub(crate) fn fault_table() -> String {
    let mut out =
        String::from("model name                        what happens (a request of any dialect; `@anything` may follow the name)\n");
    for row in WALL {
        let argument = match row.argument {
            Argument::None => String::new(),
            Argument::Count(default) => format!("[-N={default}]"),
            Argument::Time(default) => format!("[-TIME={}s]", default.as_secs()),
        };
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:<33} {}", format!("fault-{}{argument}", row.name), row.about);
    }
    out.push_str("diverge-…                         well, but other words than every other model\n");
    out.push_str("multibyte-…                       well, in letters of two, three and four bytes\n");
    out.push_str("a port where nobody listens       connection refused\n");
    out
}

/// What `once` and `flap` remember, for all threads of a mock.
pub(super) struct Memory {
    first_seen: Mutex<HashMap<String, Instant>>,
}

/// Model names remembered; beyond it all are forgotten.
const REMEMBERED_MAX: usize = 100_000;

impl Memory {
    pub(super) fn new() -> Self {
        Self { first_seen: Mutex::new(HashMap::new()) }
    }

    /// The fault that strikes this request, if any.
    pub(super) fn strike(&self, model: &str, has_prefill: bool, now: Instant) -> Option<Fault> {
        let (row, argument) = row_of(model)?;
        let strikes = match row.when {
            When::Always => true,
            When::WithPrefill => has_prefill,
            When::Once => self.first_seen(model, now).is_none(),
            When::Flapping => {
                let since = self.first_seen(model, now).map_or(Duration::ZERO, |first| now.saturating_duration_since(first));
                let period_ns = argument.time().as_nanos().max(1);
                (since.as_nanos() / period_ns).is_multiple_of(2)
            }
        };
        strikes.then(|| (row.make)(argument))
    }

    /// When this name was first seen before now.
    fn first_seen(&self, model: &str, now: Instant) -> Option<Instant> {
        let mut seen = self.first_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = seen.get(model) {
            return Some(*first);
        }
        if seen.len() >= REMEMBERED_MAX {
            seen.clear();
        }
        seen.insert(model.to_owned(), now);
        None
    }
}

fn row_of(model: &str) -> Option<(&'static Row, Argument)> {
    let name = model.strip_prefix("fault-")?;
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    WALL.iter().find_map(|row| {
        let rest = name.strip_prefix(row.name)?;
        if rest.is_empty() {
            return Some((row, row.argument));
        }
        let text = rest.strip_prefix('-')?;
        let argument = match row.argument {
            Argument::None => return None,
            Argument::Count(_) => Argument::Count(text.parse().ok()?),
            Argument::Time(_) => Argument::Time(parse_duration(text).ok()?),
        };
        Some((row, argument))
    })
}

impl Argument {
    fn count(self) -> u32 {
        if let Self::Count(count) = self { count } else { 0 }
    }

    fn time(self) -> Duration {
        if let Self::Time(time) = self { time } else { Duration::ZERO }
    }
}

fn refuse(refusal: Refusal) -> Fault {
    Fault::Refuse(refusal, None)
}

fn retry_after(seconds: u32) -> Fault {
    Fault::Refuse(Refusal::RateLimit, Some(seconds))
}

fn broken(how: Break) -> Fault {
    Fault::Break(how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_reachable_by_its_own_name() {
        for row in WALL {
            let (found, _) = row_of(&format!("fault-{}@x", row.name)).unwrap();
            assert_eq!(found.name, row.name);
        }
        assert!(row_of("fault-unknown").is_none());
        assert!(row_of("gpt-4").is_none());
    }

    #[test]
    fn arguments_follow_the_name() {
        let memory = Memory::new();
        let now = Instant::now();
        let cut = |count| Some(Fault::Break(Break::CutAfter(count)));
        assert_eq!(memory.strike("fault-cut-after-7@t", false, now), cut(7));
        assert_eq!(memory.strike("fault-cut-after", false, now), cut(3));
        let slow = Some(Fault::Break(Break::SlowFirstToken(Duration::from_millis(150))));
        assert_eq!(memory.strike("fault-slow-first-token-150ms", false, now), slow);
    }

    #[test]
    fn once_strikes_once_a_name() {
        let memory = Memory::new();
        let now = Instant::now();
        for name in ["fault-500-once@a", "fault-500-once@b"] {
            assert!(memory.strike(name, false, now).is_some());
            assert!(memory.strike(name, false, now).is_none());
        }
    }

    #[test]
    fn a_flapping_target_fails_and_works_in_turns() {
        let memory = Memory::new();
        let start = Instant::now();
        let at = |ms| memory.strike("fault-flap-1s", false, start + Duration::from_millis(ms)).is_some();
        assert_eq!([at(0), at(900), at(1100), at(1900), at(2100)], [true, true, false, false, true]);
    }

    #[test]
    fn a_prefill_is_refused_only_where_there_is_one() {
        let memory = Memory::new();
        assert!(memory.strike("fault-prefill-refused", false, Instant::now()).is_none());
        assert!(memory.strike("fault-prefill-refused", true, Instant::now()).is_some());
    }
}
