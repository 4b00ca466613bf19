//! The trail: why targets were passed over, and how long each phase took. It becomes `trail` of the record's line.
//!
//! An entry is two reference counts and a few figures. A record stays small, as thousands of them wait in an outbox: the first
//! thing that is passed over costs an allocation, an exchange that passes over nothing has none.

use std::sync::Arc;

use ringway_adapters::needs::Has;

use super::line::{number, quoted, string};
use super::waits::Waited;
use crate::condition::Condition;
use crate::snapshot::TargetId;

/// Most entries: all targets of a plan, and the routes that a name could have meant.
const ENTRIES_MAX: usize = 48;

/// Everything that was decided, besides the attempts.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    entries: Vec<Entry>,
    /// The client asked for it: it is written even where there is nothing special.
    pub asked: bool,
    pub phases: Phases,
    /// How the route put its targets in order, where it has several.
    pub strategy: Option<&'static str>,
    /// How long it waited where there was not room for all.
    pub waits: Waits,
}

/// The waits of one exchange, in their order; few exchanges have one.
#[derive(Clone, Debug, Default)]
#[allow(clippy::box_collection, reason = "one word in each record: most have none")]
pub struct Waits(Option<Box<Vec<Waited>>>);

impl Waits {
    pub fn push(&mut self, wait: Waited) {
        self.0.get_or_insert_default().push(wait);
    }
}

impl std::ops::Deref for Waits {
    type Target = [Waited];

    fn deref(&self) -> &[Waited] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

/// How far apart an attempt's steps were; 0 where one did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Exchange begun → attempt begun.
    pub begun_ns: u64,
    /// Attempt begun → connected, where a connection was made anew.
    pub connect_ns: u64,
    /// Attempt begun → first byte of its answer.
    pub first_byte_ns: u64,
}

/// How long what took; 0 where it did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Request whole → plan made and admitted: key, route, conditions, limits.
    pub plan_ns: u64,
}

/// One decision.
#[derive(Clone, Debug)]
pub struct Entry {
    pub subject: Subject,
    pub why: Why,
}

/// What was decided about.
#[derive(Clone, Debug)]
pub enum Subject {
    Target(Arc<TargetId>),
    /// A route by its name.
    Route(Arc<str>),
}

/// Why it was passed over.
#[derive(Clone, Debug)]
pub enum Why {
    /// Its condition is not true; the operand that is missing, where that is why.
    When(Condition, Option<u16>),
    /// Its condition could not be decided for another reason.
    Undecided(Condition),
    /// The model is known not to take this.
    Cannot(Has),
    /// So many tokens by estimate do not fit.
    TooSmall { tokens: u64, context: u64 },
    /// The key may not go there.
    NotPermitted,
    /// Its breaker is open.
    Resting { retry_in_ms: u64 },
}

impl Why {
    /// Its word in the line.
    pub fn name(&self) -> &'static str {
        match self {
            Why::When(..) => "when",
            Why::Undecided(_) => "when_undecided",
            Why::Cannot(_) => "cannot",
            Why::TooSmall { .. } => "context_length",
            Why::NotPermitted => "not_permitted",
            Why::Resting { .. } => "resting",
        }
    }
}

impl Subject {
    pub fn name(&self) -> &str {
        match self {
            Subject::Target(target) => &target.id,
            Subject::Route(route) => route,
        }
    }
}

impl Trail {
    /// Notes that something was passed over.
    pub fn pass_over(&mut self, subject: Subject, why: Why) {
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push(Entry { subject, why });
        }
    }

    /// Notes what another one noted.
    pub fn append(&mut self, other: &Trail) {
        let room = ENTRIES_MAX.saturating_sub(self.entries.len());
        self.entries.extend(other.entries.iter().take(room).cloned());
        self.strategy = other.strategy.or(self.strategy);
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Nothing but "the first target was chosen" to tell.
    pub fn is_plain(&self) -> bool {
        self.entries.is_empty() && !self.asked
    }
}

/// Appends the entries as a JSON list: `[{"target":"p/m","passed_over":"when","condition":"…"}]`.
pub fn write_trail(trail: &Trail, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, entry) in trail.entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(match entry.subject {
            Subject::Target(_) => b"{\"target\":",
            Subject::Route(_) => b"{\"route\":",
        });
        quoted(out, entry.subject.name());
        string(out, "passed_over", entry.why.name());
        match &entry.why {
            Why::When(condition, missing) => {
                string(out, "condition", condition.source());
                if let Some(missing) = missing.and_then(|index| condition.operand(index)) {
                    string(out, "missing", &missing);
                }
            }
            Why::Undecided(condition) => string(out, "condition", condition.source()),
            Why::Cannot(has) => {
                let names: Vec<&str> = Has::NAMES.iter().filter(|(_, one)| has.contains(*one)).map(|(name, _)| *name).collect();
                string(out, "lacks", &names.join(","));
            }
            Why::TooSmall { tokens, context } => {
                number(out, "tokens", *tokens);
                number(out, "context", *context);
            }
            Why::NotPermitted => {}
            Why::Resting { retry_in_ms } => number(out, "retry_in_ms", *retry_in_ms),
        }
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_object() {
        let mut trail = Trail::default();
        assert!(trail.is_plain());
        let condition = Condition::compile("request.tags.env == \"eu\"").unwrap();
        let route = || Subject::Route("r \"1\"".into());
        trail.pass_over(route(), Why::When(condition.clone(), Some(0)));
        trail.pass_over(route(), Why::When(condition.clone(), None));
        trail.pass_over(route(), Why::Undecided(condition));
        trail.pass_over(route(), Why::Cannot(Has::TOOLS.with(Has::AUDIO)));
        trail.pass_over(route(), Why::TooSmall { tokens: 9, context: 5 });
        trail.pass_over(route(), Why::NotPermitted);
        trail.pass_over(route(), Why::Resting { retry_in_ms: 7 });
        let mut out = Vec::new();
        write_trail(&trail, &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            value,
            serde_json::json!([
                {"route": "r \"1\"", "passed_over": "when", "condition": "request.tags.env == \"eu\"", "missing": "request.tags[\"env\"]"},
                {"route": "r \"1\"", "passed_over": "when", "condition": "request.tags.env == \"eu\""},
                {"route": "r \"1\"", "passed_over": "when_undecided", "condition": "request.tags.env == \"eu\""},
                {"route": "r \"1\"", "passed_over": "cannot", "lacks": "tools,audio"},
                {"route": "r \"1\"", "passed_over": "context_length", "tokens": 9, "context": 5},
                {"route": "r \"1\"", "passed_over": "not_permitted"},
                {"route": "r \"1\"", "passed_over": "resting", "retry_in_ms": 7},
            ])
        );
    }

    #[test]
    fn a_trail_has_an_end() {
        let mut trail = Trail::default();
        for _ in 0..1_000 {
            trail.pass_over(Subject::Route("r".into()), Why::Cannot(Has::TOOLS));
        }
        assert_eq!(trail.entries().len(), ENTRIES_MAX);
    }
}
