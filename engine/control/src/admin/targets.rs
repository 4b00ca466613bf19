//! Health of targets and state of credentials, for the API and for metrics. Labels are names of the file and words of closed sets.

use metrics::Label;
use ringway_policy::health::Reason;
use ringway_policy::snapshot::credential::STATES;
use ringway_policy::snapshot::{Credential, Snapshot, TargetId};
use serde_json::{Value, json};

use crate::ledger::meter::Meter;

/// Helps of everything that `scrape` adds.
pub(super) const HELPS: &[(&str, &str)] = &[
    ("ringway_breaker_state", "1 for the state that a target's breaker is in"),
    ("ringway_target_share_ratio", "What a target is given of the share that its weight or strategy gives it"),
    ("ringway_target_degraded_state", "1 for the reason why a target is not given all of its share"),
    ("ringway_target_in_flight_requests", "Attempts under way"),
    ("ringway_target_first_byte_seconds", "Mean time to the first byte of a target's streams: over the last few, and over the last many"),
    ("ringway_credential_state", "1 for the state that a provider's credential is in"),
];

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

/// One gauge per state, so that a state that was left reads 0.
pub(super) fn scrape(snapshot: &Snapshot, meter: &Meter, now_ns: u64) {
    for target in snapshot.targets() {
        let standing = target.standing(now_ns);
        let labels = |more: Option<Label>| std::iter::once(Label::new("target", target.id.to_string())).chain(more).collect::<Vec<_>>();
        for state in ["closed", "open", "half-open"] {
            let state_label = Label::from_static_parts("state", state);
            meter.gauge("ringway_breaker_state", labels(Some(state_label)), is(standing.breaker == state));
        }
        meter.gauge("ringway_target_share_ratio", labels(None), f64::from(standing.share_percent) / 100.0);
        meter.gauge("ringway_target_in_flight_requests", labels(None), f64::from(standing.in_flight));
        for reason in Reason::ALL {
            let reason_label = Label::from_static_parts("reason", reason.name());
            meter.gauge("ringway_target_degraded_state", labels(Some(reason_label)), is(standing.reason == Some(reason)));
        }
        for (over, mean) in [("recent", standing.stream_first_byte), ("baseline", standing.stream_baseline)] {
            if let Some(mean) = mean {
                let over_label = Label::from_static_parts("over", over);
                meter.gauge("ringway_target_first_byte_seconds", labels(Some(over_label)), mean.as_secs_f64());
            }
        }
    }
    for upstream in &snapshot.providers {
        for credential in upstream.credentials.iter() {
            let now = state(credential, now_ns);
            for state in STATES {
                let labels = vec![
                    Label::new("provider", upstream.name.to_string()),
                    Label::new("credential", credential.name.to_string()),
                    Label::from_static_parts("state", state),
                ];
                meter.gauge("ringway_credential_state", labels, is(now == state));
            }
        }
    }
}

fn is(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}
