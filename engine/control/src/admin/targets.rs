//! Health of targets and state of credentials, for the API and for metrics. Labels are names of the file and words of closed sets.

use ringway_policy::health::Reason;
use ringway_policy::snapshot::credential::STATES;
use ringway_policy::snapshot::{Credential, Snapshot, TargetId};
use serde_json::{Value, json};

use crate::ledger::page::{Head, Kind, Page};
use crate::ledger::share;

const BREAKER: Head = (
    "ringway_breaker_state",
    Kind::Gauge,
    "1 for the state that a target's breaker is in; how many of them, for the targets that have no label of their own",
);
const SHARE: Head = (
    "ringway_target_share_ratio",
    Kind::Gauge,
    "What a target is given of the share that its weight or strategy gives it; the least of all others",
);
const DEGRADED: Head =
    ("ringway_target_degraded_state", Kind::Gauge, "1 for the reason why a target is not given all of its share; how many, for others");
const IN_FLIGHT: Head = ("ringway_target_in_flight_requests", Kind::Gauge, "Attempts under way");
const FIRST_BYTE: Head = (
    "ringway_target_first_byte_seconds",
    Kind::Gauge,
    "Mean time to the first byte of a target's streams: over the last few, and over the last many",
);
const CREDENTIAL: Head = (
    "ringway_credential_state",
    Kind::Gauge,
    "1 for the state that a provider's credential is in; how many of them, for the credentials that have no label of their own",
);
const BREAKER_STATES: [&str; 3] = ["closed", "open", "half-open"];
/// Stands for the targets and credentials that find no room.
const OTHER: &str = "other";

/// What the API says of one target.
pub(super) fn target(target: &TargetId, now_ns: u64) -> Value {
    let standing = target.standing(now_ns);
    let ms = |duration: Option<std::time::Duration>| duration.map(|duration| duration.as_micros() as f64 / 1_000.0);
    json!({
        "model": &*target.id,
        "breaker": standing.breaker,
        "share_percent": standing.share_percent,
        "reason": standing.reason.map(Reason::name),
        "in_flight": standing.in_flight,
        "stream_first_byte_ms": ms(standing.stream_first_byte),
        "stream_baseline_ms": ms(standing.stream_baseline),
        "whole_ms": ms(standing.whole),
        "whole_baseline_ms": ms(standing.whole_baseline),
        "recent_attempts": standing.attempts,
        "recent_failures": standing.failures,
    })
}

/// What the API says of one credential; never the secret.
pub(super) fn credential(credential: &Credential, now_ns: u64) -> Value {
    let bench = credential.bench(now_ns);
    let back_in_ms = bench.map(|bench| bench.until_ns.saturating_sub(now_ns) / 1_000_000);
    json!({"name": &*credential.name, "weight": credential.weight, "state": state(credential, now_ns), "back_in_ms": back_in_ms})
}

fn state(credential: &Credential, now_ns: u64) -> &'static str {
    credential.bench(now_ns).map_or(STATES[0], |bench| bench.why.name())
}

/// One gauge per state, so that a state that was left reads 0. What finds no room among `series_max` is added up.
pub(super) fn scrape(snapshot: &Snapshot, page: &mut Page, now_ns: u64, series_max: usize) {
    targets(snapshot, page, now_ns, share::TARGETS.rows(series_max));
    credentials(snapshot, page, now_ns, share::CREDENTIALS.rows(series_max));
}

/// The figures of one target, or of all that have no row of their own.
#[derive(Clone, Default)]
struct Figures {
    breaker: [u32; BREAKER_STATES.len()],
    degraded: [u32; Reason::ALL.len()],
    share_percent: Option<u32>,
    in_flight: u32,
    first_byte: [Option<f64>; 2],
}

impl Figures {
    fn of(target: &TargetId, now_ns: u64) -> Figures {
        let standing = target.standing(now_ns);
        let seconds = |mean: Option<std::time::Duration>| mean.map(|mean| mean.as_secs_f64());
        Figures {
            breaker: BREAKER_STATES.map(|state| u32::from(standing.breaker == state)),
            degraded: Reason::ALL.map(|reason| u32::from(standing.reason == Some(reason))),
            share_percent: Some(standing.share_percent),
            in_flight: standing.in_flight,
            first_byte: [seconds(standing.stream_first_byte), seconds(standing.stream_baseline)],
        }
    }

    /// Counts are added up, of shares the least stays, means of many targets mean nothing.
    fn add(&mut self, other: &Figures) {
        self.breaker.iter_mut().zip(other.breaker).for_each(|(sum, more)| *sum += more);
        self.degraded.iter_mut().zip(other.degraded).for_each(|(sum, more)| *sum += more);
        self.share_percent = self.share_percent.into_iter().chain(other.share_percent).min();
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
    }
}

fn targets(snapshot: &Snapshot, page: &mut Page, now_ns: u64, rows_max: usize) {
    let mut rows: Vec<(&str, Figures)> = Vec::new();
    let mut rest: Option<Figures> = None;
    for target in snapshot.targets() {
        let figures = Figures::of(target, now_ns);
        if rows.len() + 1 < rows_max {
            rows.push((&target.id, figures));
        } else {
            rest.get_or_insert_default().add(&figures);
        }
    }
    rows.extend(rest.map(|figures| (OTHER, figures)));
    let states = |page: &mut Page, head: Head, label: &str, read: &dyn Fn(&Figures) -> Vec<(&'static str, u32)>| {
        page.family(head);
        for (target, figures) in &rows {
            for (state, count) in read(figures) {
                page.sample(head.0, &[("target", *target), (label, state)], count);
            }
        }
    };
    states(page, BREAKER, "state", &|figures| BREAKER_STATES.into_iter().zip(figures.breaker).collect());
    states(page, DEGRADED, "reason", &|figures| Reason::ALL.map(Reason::name).into_iter().zip(figures.degraded).collect());
    page.family(SHARE);
    for (target, figures) in &rows {
        page.sample(SHARE.0, &[("target", *target)], f64::from(figures.share_percent.unwrap_or(100)) / 100.0);
    }
    page.family(IN_FLIGHT);
    for (target, figures) in &rows {
        page.sample(IN_FLIGHT.0, &[("target", *target)], figures.in_flight);
    }
    page.family(FIRST_BYTE);
    for (target, figures) in &rows {
        for (over, seconds) in ["recent", "baseline"].into_iter().zip(figures.first_byte) {
            if let Some(seconds) = seconds {
                page.sample(FIRST_BYTE.0, &[("target", *target), ("over", over)], seconds);
            }
        }
    }
}

fn credentials(snapshot: &Snapshot, page: &mut Page, now_ns: u64, rows_max: usize) {
    page.family(CREDENTIAL);
    let all = snapshot.providers.iter().flat_map(|upstream| upstream.credentials.iter().map(move |credential| (upstream, credential)));
    let mut rest: Option<[u32; STATES.len()]> = None;
    for (index, (upstream, credential)) in all.enumerate() {
        let now = state(credential, now_ns);
        let is = STATES.map(|state| u32::from(now == state));
        if index + 1 < rows_max {
            for (state, count) in STATES.into_iter().zip(is) {
                page.sample(CREDENTIAL.0, &[("provider", &*upstream.name), ("credential", &*credential.name), ("state", state)], count);
            }
        } else {
            rest.get_or_insert_default().iter_mut().zip(is).for_each(|(sum, more)| *sum += more);
        }
    }
    for (state, count) in rest.into_iter().flat_map(|rest| STATES.into_iter().zip(rest)) {
        page.sample(CREDENTIAL.0, &[("provider", OTHER), ("credential", OTHER), ("state", state)], count);
    }
}
