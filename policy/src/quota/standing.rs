//! How quotas stand, for headers, metrics and whoever asks for their own.

use std::sync::Arc;

use super::row::{Row, State};
use super::{Counts, Quota};
use crate::config::Measure;
use crate::key::Principal;
use crate::lease::{Now, Standing, Terms};

/// The limit of a kind that will be reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tightest {
    pub limit: u64,
    pub remaining: u64,
    /// When all of it is there again.
    pub reset_ns: u64,
}

/// Every quota of a principal, and how it stands.
pub fn standings(principal: &Principal, now: Now) -> impl Iterator<Item = (&Arc<Quota>, Standing)> {
    principal.quotas.list(now).iter().map(move |quota| (quota, quota.account.standing(now)))
}

/// The share that is spent or promised of the principal's budget that is nearest to its end, 0 where there is none. Shadows
/// refuse nothing and count for nothing.
pub fn budget_share(principal: &Principal, now: Now) -> f64 {
    let budgets = principal.quotas.list(now).iter().filter(|quota| quota.is_budget() && !quota.shadow);
    let shares = budgets.map(|quota| {
        let standing = quota.account.standing(now);
        let used = standing.settled.saturating_add(standing.reserved);
        // Nothing is all of nothing.
        if standing.limit == 0 { 1.0 } else { (used as f64 / standing.limit as f64).min(1.0) }
    });
    shares.fold(0.0, f64::max)
}

/// Of the rate limits that count requests, or tokens of any kind: the one with the least left. Shadows and budgets are not told.
pub fn tightest(rows: &[Row], is_tokens: impl Fn(Measure) -> bool) -> Option<Tightest> {
    let limits = rows.iter().filter(|row| !row.quota.shadow && row.state != State::Over);
    let figures = limits.filter_map(|row| {
        let (Counts::Measure(measure), Terms::Rate { count, per_ns }) = (row.quota.counts, row.quota.terms) else { return None };
        if !is_tokens(measure) {
            return None;
        }
        let remaining = row.left_after().min(count);
        let missing = u128::from(count - remaining) * u128::from(per_ns);
        Some(Tightest { limit: count, remaining, reset_ns: missing.div_ceil(u128::from(count.max(1))) as u64 })
    });
    figures.min_by_key(|figure| (figure.remaining, std::cmp::Reverse(figure.reset_ns)))
}
