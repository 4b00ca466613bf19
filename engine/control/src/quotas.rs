//! Limits and budgets from outside: leases come back, and whoever looks sees how they stand.

use std::collections::BTreeMap;
use std::time::Duration;

use ringway_policy::quota::Quota;
use serde_json::{Value, json};

use crate::ledger::page::{Head, Kind, Page};
use crate::ledger::share;
use crate::publish::Publisher;
use crate::reload::Clock;

const FIGURES: [Head; 4] = [
    ("ringway_quota_limit", Kind::Gauge, "What a limit or budget allows, by its id and unit (dollars for usd); a sum where id is other"),
    ("ringway_quota_settled", Kind::Gauge, "Spent for good in its window; in use, or not refilled yet, of a limit"),
    ("ringway_quota_reserved", Kind::Gauge, "Promised to exchanges under way"),
    ("ringway_quota_remaining", Kind::Gauge, "What could be reserved now"),
];
const LEAST: Head =
    ("ringway_quota_least_remaining_ratio", Kind::Gauge, "The smallest part left of any limit or budget of a kind of owner");
const COUNT: Head = ("ringway_quotas", Kind::Gauge, "Limits and budgets by kind of owner; of virtual keys, those that were used");
/// Stands for those that find no room.
const OTHER: &str = "other";
/// Units that a quota may have: so many rows are kept for sums.
const UNITS: usize = 6;

/// Takes idle leases back, again and again, for ever.
pub async fn reconcile(publisher: Publisher, clock: Clock, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        publisher.current().quotas.reconcile(clock());
    }
}

/// Writes how they stand: those of the file first, each with its id as long as there is room, then sums by unit.
pub fn scrape(publisher: &Publisher, clock: Clock, page: &mut Page, series_max: usize) {
    let (now, rows_max) = (clock(), share::QUOTAS.rows(series_max));
    let mut rows: Vec<(String, &'static str, [f64; FIGURES.len()])> = Vec::new();
    let mut rest: BTreeMap<&'static str, [f64; FIGURES.len()]> = BTreeMap::new();
    let mut kinds: BTreeMap<&'static str, (u64, f64)> = BTreeMap::new();
    for quota in publisher.current().quotas.iter() {
        let standing = quota.account.standing(now);
        let figures = [quota.limit(), standing.settled, standing.reserved, standing.left].map(|figure| quota.in_unit(figure));
        let (count, least) = kinds.entry(quota.kind).or_insert((0, 1.0));
        *count += 1;
        if quota.limit() > 0 {
            *least = least.min(standing.left as f64 / quota.limit() as f64);
        }
        if rows.len() + UNITS < rows_max {
            rows.push((quota.id.to_string(), quota.unit(), figures));
        } else {
            rest.entry(quota.unit()).or_default().iter_mut().zip(figures).for_each(|(sum, more)| *sum += more);
        }
    }
    rows.extend(rest.into_iter().map(|(unit, figures)| (OTHER.to_owned(), unit, figures)));
    for (index, head) in FIGURES.into_iter().enumerate().filter(|_| !rows.is_empty()) {
        page.family(head);
        for (id, unit, figures) in &rows {
            page.sample(head.0, &[("id", id), ("unit", unit)], figures[index]);
        }
    }
    if kinds.is_empty() {
        return;
    }
    page.family(LEAST);
    kinds.iter().for_each(|(kind, (_, least))| page.sample(LEAST.0, &[("kind", kind)], least));
    page.family(COUNT);
    kinds.iter().for_each(|(kind, (count, _))| page.sample(COUNT.0, &[("kind", kind)], count));
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
