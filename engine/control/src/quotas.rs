//! Limits and budgets from outside: leases come back, and whoever looks sees how they stand.

use std::time::Duration;

use metrics::Label;
use ringway_policy::quota::Quota;
use serde_json::{Value, json};

use crate::ledger::meter::Meter;
use crate::publish::Publisher;
use crate::reload::Clock;

/// Limits and budgets with series of their own; those that the file names first.
pub const SERIES_MAX: usize = 1000;

/// Helps of the gauges.
pub const HELPS: &[(&str, &str)] = &[
    ("ringway_quota_limit", "What a limit or budget allows, by its id and unit (dollars for usd)"),
    ("ringway_quota_settled", "Spent for good in its window; in use, or not refilled yet, of a limit"),
    ("ringway_quota_reserved", "Promised to exchanges under way"),
    ("ringway_quota_remaining", "What could be reserved now"),
];

/// Takes idle leases back, again and again, for ever.
pub async fn reconcile(publisher: Publisher, clock: Clock, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        publisher.current().quotas.reconcile(clock());
    }
}

/// Sets the gauges.
pub fn scrape(publisher: &Publisher, clock: Clock, meter: &Meter) {
    let now = clock();
    for quota in publisher.current().quotas.iter().take(SERIES_MAX) {
        let standing = quota.account.standing(now);
        let labels = || vec![Label::new("id", quota.id.to_string()), Label::from_static_parts("unit", quota.unit())];
        let figures = [quota.limit(), standing.settled, standing.reserved, standing.left];
        for ((name, _), figure) in HELPS.iter().zip(figures) {
            meter.gauge(name, labels(), quota.in_unit(figure));
        }
    }
}

/// How one stands, for the admin API.
pub fn show(quota: &Quota, clock: Clock) -> Value {
    let standing = quota.account.standing(clock());
    json!({
        "id": &*quota.id,
        "owner": &*quota.owner,
        "allows": &*quota.allows,
        "unit": quota.unit(),
        "shadow": quota.shadow,
        "limit": quota.in_unit(quota.limit()),
        "settled": quota.in_unit(standing.settled),
        "reserved": quota.in_unit(standing.reserved),
        "remaining": quota.in_unit(standing.left),
        "resets_in_ms": standing.resets_in_ns.div_ceil(1_000_000),
    })
}
