//! The meter: what records add up to, for `/metrics`.
//!
//! One lookup per record finds its series (operation, dialect, provider, model, status class, fault), which knows the rows of
//! all families that it counts in. About 0.3 µs a record, no allocation once a series is known. Labels come from closed
//! sets: a model becomes one when it has answered, and every family has its share of the series, beyond which it is `other`.

use std::collections::HashSet;
use std::sync::Arc;

use ahash::{AHashMap, RandomState};
use ringway_adapters::fault::Blame;
use ringway_adapters::ir::Mode;
use ringway_adapters::usage::Usage;
use ringway_policy::record::{Attempt, Record};

use super::histogram::{Histogram, INTER_TOKEN_SECONDS, OVERHEAD_SECONDS, SECONDS};
use super::page::{Head, Kind, Page};
use super::rows::{OTHER, Rows};
use super::share::{self, SERIES_MAX};
use super::waits::Waits;

/// Of so many series one model may have a label of its own.
const SERIES_PER_MODEL: usize = 40;
/// Longest model or team label; a longer name counts as `other`.
const LABEL_BYTES_MAX: usize = 128;
/// Series whose rows are remembered; a record of any other one finds its rows again.
const SERIES_KEPT_MAX: usize = 16_384;
/// Rows that keep the status class where a family is full: six classes.
const STATUS_CLASSES: usize = 6;
/// Label of a dimension that an exchange has not reached: no provider, no dialect, no fault.
const NONE: &str = "none";

const REQUESTS: Head = ("ringway_requests_total", Kind::Counter, "Exchanges that ended");
const ERRORS: Head = ("ringway_errors_total", Kind::Counter, "Exchanges that ended with a fault, by whose it is and what it is");
const TOKENS: Head = ("ringway_tokens_total", Kind::Counter, "Tokens by kind; input holds the cached ones, output the reasoning ones");
const COST: Head = (
    "ringway_cost_nano_usd_total",
    Kind::Counter,
    "What exchanges cost, all their attempts together, in billionths of a dollar; by who answered",
);
const UNPRICED: Head = ("ringway_unpriced_requests_total", Kind::Counter, "Exchanges whose price is not known");
const TEAM_REQUESTS: Head = ("ringway_team_requests_total", Kind::Counter, "Exchanges of a team that ended");
const TEAM_COST: Head = ("ringway_team_cost_nano_usd_total", Kind::Counter, "What a team's exchanges cost, in billionths of a dollar");
const DURATION: Head = ("ringway_request_duration_seconds", Kind::Histogram, "Request head read to last byte of the answer");
const FIRST_TOKEN: Head =
    ("ringway_time_to_first_token_seconds", Kind::Histogram, "Of streams: request head read to first byte of the answer");
const BETWEEN_TOKENS: Head = ("ringway_inter_token_seconds", Kind::Histogram, "Of streams: mean time between two tokens of one answer");
const UPSTREAM: Head = ("ringway_upstream_duration_seconds", Kind::Histogram, "One try on a provider, begun to its end");
const OVERHEAD: Head = ("ringway_overhead_seconds", Kind::Histogram, "Time that the gateway itself took, both directions");

/// Tries by provider and fault.
const ATTEMPTS: [(Head, share::Share); 5] = [
    (("ringway_attempts_total", Kind::Counter, "Tries on a target"), share::ATTEMPTS),
    (("ringway_retries_total", Kind::Counter, "Tries on a target that had just failed"), share::FURTHER_ATTEMPTS),
    (("ringway_fallbacks_total", Kind::Counter, "Tries on a target because another had failed"), share::FURTHER_ATTEMPTS),
    (("ringway_hedges_total", Kind::Counter, "Tries on a target while another one was under way"), share::FURTHER_ATTEMPTS),
    (("ringway_mirrors_total", Kind::Counter, "Copies of requests that were sent to a shadow target"), share::FURTHER_ATTEMPTS),
];
const TRY: usize = 0;
const RETRY: usize = 1;
const FALLBACK: usize = 2;
const HEDGE: usize = 3;
const MIRROR: usize = 4;

/// Sums without labels.
const SUMS: [Head; 4] = [
    ("ringway_rescued_requests_total", Kind::Counter, "Streams that broke and were continued by another attempt"),
    ("ringway_losses_total", Kind::Counter, "Parts of requests that a target's dialect could not carry"),
    ("ringway_request_bytes_total", Kind::Counter, "Body bytes that clients sent"),
    ("ringway_answer_bytes_total", Kind::Counter, "Body bytes that clients got"),
];

type Count = fn(&Usage) -> u64;

const TOKEN_KINDS: [(&str, Count); 7] = [
    ("input", |usage| usage.input),
    ("output", |usage| usage.output),
    ("cached_read", |usage| usage.cached_read),
    ("cached_write", |usage| usage.cached_write),
    ("reasoning", |usage| usage.reasoning),
    ("audio_input", |usage| usage.audio_input),
    ("audio_output", |usage| usage.audio_output),
];

/// Everything that is counted. One thread fills it, a scrape reads it.
pub struct Meter {
    series_max: usize,
    hasher: RandomState,
    /// By the keyed 64-bit hash of the labels, so that a lookup clones no name.
    series: AHashMap<u64, Series>,
    models: HashSet<Box<str>, RandomState>,
    requests: Rows<u64>,
    errors: AHashMap<(&'static str, &'static str), u64>,
    tokens: Rows<u64>,
    cost: Rows<u64>,
    unpriced: Rows<u64>,
    team_requests: Rows<u64>,
    team_cost: Rows<u64>,
    attempts: [Rows<u64>; ATTEMPTS.len()],
    durations: Rows<Histogram>,
    first_tokens: Rows<Histogram>,
    between_tokens: Rows<Histogram>,
    upstream: Rows<Histogram>,
    overhead: Rows<Histogram>,
    waits: Waits,
    sums: [u64; SUMS.len()],
}

/// The rows of one combination of labels.
#[derive(Clone, Copy, Default)]
struct Series {
    requests: usize,
    /// Made with the first token of the kind.
    tokens: [Option<usize>; TOKEN_KINDS.len()],
    cost: Option<usize>,
    unpriced: Option<usize>,
    duration: usize,
    first_token: Option<usize>,
    between_tokens: Option<usize>,
    overhead: usize,
}

/// The labels of a series.
#[derive(Clone, Copy, Hash)]
struct Labels<'a> {
    operation: &'static str,
    dialect: &'static str,
    provider: &'a str,
    model: &'a str,
    status: &'static str,
    fault: &'static str,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::with_series(SERIES_MAX)
    }
}

impl Meter {
    /// A meter whose page has at most `series_max` samples, those of a scrape included.
    pub fn with_series(series_max: usize) -> Meter {
        let by_target = &["provider", "model"];
        Meter {
            series_max,
            hasher: RandomState::new(),
            series: AHashMap::new(),
            models: HashSet::default(),
            requests: Rows::new(REQUESTS, &["operation", "dialect", "provider", "model", "status", "fault"], share::REQUESTS, series_max),
            errors: AHashMap::new(),
            tokens: Rows::new(TOKENS, &["kind", "provider", "model"], share::TOKENS, series_max),
            cost: Rows::new(COST, by_target, share::COST, series_max),
            unpriced: Rows::new(UNPRICED, by_target, share::UNPRICED, series_max),
            team_requests: Rows::new(TEAM_REQUESTS, &["team"], share::TEAMS, series_max),
            team_cost: Rows::new(TEAM_COST, &["team"], share::TEAMS, series_max),
            attempts: ATTEMPTS.map(|(head, share)| Rows::new(head, &["provider", "fault"], share, series_max)),
            durations: Rows::new(DURATION, &["operation", "provider"], share::DURATION, series_max),
            first_tokens: Rows::new(FIRST_TOKEN, &["provider"], share::FIRST_TOKEN, series_max),
            between_tokens: Rows::new(BETWEEN_TOKENS, &["provider"], share::BETWEEN_TOKENS, series_max),
            upstream: Rows::new(UPSTREAM, &["provider"], share::UPSTREAM, series_max),
            overhead: Rows::new(OVERHEAD, &["operation"], share::OVERHEADS, series_max),
            waits: Waits::default(),
            sums: [0; SUMS.len()],
        }
    }

    /// The bound on samples of the whole page.
    pub fn series_max(&self) -> usize {
        self.series_max
    }

    /// Adds one exchange.
    pub fn observe(&mut self, record: &Record) {
        if record.mirror_of.is_some() {
            // No client waited for it: it is in no figure of what clients saw.
            return record.attempts.iter().for_each(|attempt| self.count_attempt(MIRROR, attempt));
        }
        let labels = Labels {
            operation: record.operation.name(),
            dialect: record.dialect.map_or(NONE, |dialect| dialect.row().name),
            provider: record.provider.as_deref().unwrap_or(NONE),
            model: model_label(&mut self.models, self.series_max / SERIES_PER_MODEL, record),
            status: status_class(record.status),
            fault: record.fault.map_or(NONE, |kind| kind.code()),
        };
        let hash = self.hasher.hash_one(labels);
        let mut series = match self.series.get(&hash) {
            Some(series) => *series,
            None => self.begin(&labels),
        };
        self.requests.add_to(series.requests, 1);
        if let Some(kind) = record.fault {
            *self.errors.entry((blame_name(kind.blame()), kind.code())).or_default() += 1;
        }
        for ((kind, count), row) in TOKEN_KINDS.iter().zip(&mut series.tokens) {
            let count = count(&record.usage);
            if count > 0 {
                let row = *row.get_or_insert_with(|| self.tokens.counter(&[kind, labels.provider, labels.model]));
                self.tokens.add_to(row, count);
            }
        }
        match record.cost {
            Some(cost) if cost.0 > 0 => {
                let row = *series.cost.get_or_insert_with(|| self.cost.counter(&[labels.provider, labels.model]));
                self.cost.add_to(row, cost.0);
            }
            Some(_) => {}
            None => {
                let row = *series.unpriced.get_or_insert_with(|| self.unpriced.counter(&[labels.provider, labels.model]));
                self.unpriced.add_to(row, 1);
            }
        }
        if let Some(histogram) = self.durations.get(series.duration) {
            histogram.add_ns(record.total_ns);
        }
        if let Some(histogram) = self.overhead.get(series.overhead) {
            histogram.add_ns(record.overhead_ns);
        }
        self.observe_stream(record, &labels, &mut series);
        if self.series.len() < SERIES_KEPT_MAX || self.series.contains_key(&hash) {
            self.series.insert(hash, series);
        }
        self.observe_team(record);
        let sums = [u64::from(record.rescued), u64::from(record.losses), record.request_bytes, record.answer_bytes];
        self.sums.iter_mut().zip(sums).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        self.waits.observe(&record.trail.waits);
        self.observe_attempts(&record.attempts);
    }

    /// The rows of labels that are seen for the first time.
    fn begin(&mut self, labels: &Labels<'_>) -> Series {
        let requests = [labels.operation, labels.dialect, labels.provider, labels.model, labels.status, labels.fault];
        let overflow = [OTHER, OTHER, OTHER, OTHER, labels.status, OTHER];
        Series {
            requests: self.requests.index(&requests, &overflow, STATUS_CLASSES, || 0),
            duration: self.durations.index(&[labels.operation, labels.provider], &[OTHER, OTHER], 1, || Histogram::new(SECONDS)),
            overhead: self.overhead.index(&[labels.operation], &[OTHER], 1, || Histogram::new(OVERHEAD_SECONDS)),
            ..Series::default()
        }
    }

    /// Of an answer that began, and went on token by token.
    fn observe_stream(&mut self, record: &Record, labels: &Labels<'_>, series: &mut Series) {
        if record.mode != Mode::Stream || record.first_byte_ns == 0 || !(200..300).contains(&record.status) {
            return;
        }
        let rows = &mut self.first_tokens;
        let row = *series.first_token.get_or_insert_with(|| rows.index(&[labels.provider], &[OTHER], 1, || Histogram::new(SECONDS)));
        if let Some(histogram) = rows.get(row) {
            histogram.add_ns(record.first_byte_ns);
        }
        let Some(between_ns) = between_tokens_ns(record) else { return };
        let rows = &mut self.between_tokens;
        let fresh = || Histogram::new(INTER_TOKEN_SECONDS);
        let row = *series.between_tokens.get_or_insert_with(|| rows.index(&[labels.provider], &[OTHER], 1, fresh));
        if let Some(histogram) = rows.get(row) {
            histogram.add_ns(between_ns);
        }
    }

    fn observe_team(&mut self, record: &Record) {
        let Some(team) = record.team.as_deref() else { return };
        let team = if team.len() <= LABEL_BYTES_MAX { team } else { OTHER };
        let row = self.team_requests.counter(&[team]);
        self.team_requests.add_to(row, 1);
        if let Some(cost) = record.cost.filter(|cost| cost.0 > 0) {
            let row = self.team_cost.counter(&[team]);
            self.team_cost.add_to(row, cost.0);
        }
    }

    fn observe_attempts(&mut self, attempts: &[Attempt]) {
        let mut previous: Option<&Attempt> = None;
        for attempt in attempts {
            self.count_attempt(TRY, attempt);
            let row = self.upstream.index(&[&attempt.provider], &[OTHER], 1, || Histogram::new(SECONDS));
            if let Some(histogram) = self.upstream.get(row) {
                histogram.add_ns(attempt.total_ns);
            }
            if let Some(previous) = previous {
                let is_same = previous.provider == attempt.provider && previous.model == attempt.model;
                let kind = match (previous.overtaken, is_same) {
                    (true, _) => HEDGE,
                    (false, true) => RETRY,
                    (false, false) => FALLBACK,
                };
                self.count_attempt(kind, attempt);
            }
            previous = Some(attempt);
        }
    }

    fn count_attempt(&mut self, kind: usize, attempt: &Attempt) {
        let fault = attempt.fault.map_or(NONE, |kind| kind.code());
        if let Some(rows) = self.attempts.get_mut(kind) {
            let row = rows.counter(&[&attempt.provider, fault]);
            rows.add_to(row, 1);
        }
    }

    /// Writes all its families.
    pub fn write(&self, page: &mut Page) {
        self.requests.write_counts(page);
        if !self.errors.is_empty() {
            let mut errors: Vec<_> = self.errors.iter().collect();
            errors.sort_unstable();
            page.family(ERRORS);
            for ((blame, fault), count) in errors {
                page.sample(ERRORS.0, &[("blame", blame), ("fault", fault)], count);
            }
        }
        for rows in [&self.tokens, &self.cost, &self.unpriced, &self.team_requests, &self.team_cost].into_iter().chain(&self.attempts) {
            rows.write_counts(page);
        }
        for rows in [&self.durations, &self.first_tokens, &self.between_tokens, &self.upstream, &self.overhead] {
            rows.write(page, |page, name, labels, histogram| histogram.write(page, name, labels));
        }
        for (head, sum) in SUMS.into_iter().zip(self.sums) {
            page.single(head, sum);
        }
        self.waits.write(page);
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.write(&mut page);
        page.into_text()
    }
}

/// First byte to last byte, by the tokens in between; `None` where fewer than two are known.
pub(crate) fn between_tokens_ns(record: &Record) -> Option<u64> {
    let gaps = record.usage.output.checked_sub(1).filter(|gaps| *gaps > 0)?;
    Some(record.total_ns.saturating_sub(record.first_byte_ns) / gaps)
}

/// The model's label. Only a model that has answered gets one: a client may ask for any name.
fn model_label<'a>(models: &mut HashSet<Box<str>, RandomState>, models_max: usize, record: &'a Record) -> &'a str {
    let Some(model) = record.model.as_deref() else { return NONE };
    if models.contains(model) {
        return model;
    }
    let is_real = (200..300).contains(&record.status) && model.len() <= LABEL_BYTES_MAX;
    if is_real && models.len() < models_max {
        models.insert(model.into());
        return model;
    }
    OTHER
}

/// Whose fault it is, as a label.
pub(crate) fn blame_name(blame: Blame) -> &'static str {
    match blame {
        Blame::Client => "client",
        Blame::Policy => "policy",
        Blame::Upstream => "upstream",
        Blame::Gateway => "gateway",
    }
}

fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => NONE,
    }
}

/// The meter as the ledger and the admin listener share it.
pub type Shared = Arc<std::sync::Mutex<Meter>>;

#[cfg(test)]
mod tests {
    use ringway_adapters::fault::Kind;

    use super::*;
    use crate::ledger::sample;

    #[test]
    fn an_exchange_is_counted_with_its_tokens_and_times() {
        let mut meter = Meter::default();
        meter.observe(&sample());
        meter.observe(&sample());
        let text = meter.render();
        let series = "ringway_requests_total{operation=\"chat\",dialect=\"openai-chat\",provider=\"acme\",model=\"m-1\",status=\"2xx\",fault=\"none\"} 2";
        assert!(text.contains(series), "{text}");
        assert!(text.contains("ringway_tokens_total{kind=\"input\",provider=\"acme\",model=\"m-1\"} 20"), "{text}");
        assert!(text.contains("ringway_overhead_seconds_bucket{operation=\"chat\",le=\"0.000004\"} 2"), "{text}");
        assert!(text.contains("ringway_upstream_duration_seconds_count{provider=\"acme\"} 2"), "{text}");
    }

    #[test]
    fn retries_and_fallbacks_are_told_apart() {
        let attempt = |provider: &str, fault| Attempt {
            provider: provider.into(),
            model: "m".into(),
            status: 0,
            fault,
            total_ns: 1,
            usage: Usage::default(),
            delivered: None,
            cost: None,
            times: Default::default(),
            tier: None,
            overtaken: false,
            span: 0,
        };
        let attempts = vec![attempt("a", Some(Kind::UpstreamReset)), attempt("a", Some(Kind::UpstreamReset)), attempt("b", None)];
        let mut meter = Meter::default();
        meter.observe(&Record { attempts, ..sample() });
        let text = meter.render();
        assert!(text.contains("ringway_attempts_total{provider=\"a\",fault=\"upstream_error\"} 2"), "{text}");
        assert!(text.contains("ringway_retries_total{provider=\"a\",fault=\"upstream_error\"} 1"), "{text}");
        assert!(text.contains("ringway_fallbacks_total{provider=\"b\",fault=\"none\"} 1"), "{text}");
    }

    #[test]
    fn models_beyond_the_bound_are_other() {
        let mut meter = Meter::default();
        for index in 0..SERIES_MAX / SERIES_PER_MODEL + 50 {
            meter.observe(&Record { model: Some(format!("m-{index}").into()), ..sample() });
        }
        let text = meter.render();
        assert!(text.contains("model=\"other\",status=\"2xx\",fault=\"none\"} 50"), "{text}");
    }

    #[test]
    fn a_model_that_never_answered_gets_no_series() {
        let mut meter = Meter::default();
        meter.observe(&Record { status: 404, fault: Some(Kind::UpstreamRefused), ..sample() });
        let text = meter.render();
        assert!(!text.contains("m-1"), "{text}");
        assert!(text.contains("model=\"other\",status=\"4xx\""), "{text}");
    }

    #[test]
    fn streams_tell_their_first_token_and_their_pace() {
        let mut meter = Meter::default();
        let usage = Usage { output: 101, ..Usage::default() };
        let stream = Record { mode: Mode::Stream, usage, first_byte_ns: 200_000_000, total_ns: 1_190_000_000, ..sample() };
        meter.observe(&stream);
        meter.observe(&Record { status: 502, fault: Some(Kind::UpstreamReset), ..stream });
        meter.observe(&sample());
        let text = meter.render();
        for line in [
            "ringway_time_to_first_token_seconds_bucket{provider=\"acme\",le=\"0.25\"} 1\n",
            "ringway_time_to_first_token_seconds_count{provider=\"acme\"} 1\n",
            "ringway_inter_token_seconds_bucket{provider=\"acme\",le=\"0.005\"} 0\n",
            "ringway_inter_token_seconds_bucket{provider=\"acme\",le=\"0.01\"} 1\n",
            "ringway_errors_total{blame=\"upstream\",fault=\"upstream_error\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
