//! What a request like this would cost at a target, for choosing alone.

use super::Step;
use crate::cost::Tariff;
use crate::facts::Facts;
use crate::money::NanoDollars;

/// Output tokens of a request that sets no bound. Prices are compared, not charged.
const OUTPUT_TOKENS_DEFAULT: u64 = 1_000;
const BYTES_PER_TOKEN: usize = 4;

/// `None` where the price is unknown.
pub(super) fn of(step: &Step, facts: &Facts<'_>, at_unix_s: u64) -> Option<NanoDollars> {
    let input = (facts.body_bytes / BYTES_PER_TOKEN) as u64;
    let output = facts.max_tokens.unwrap_or(OUTPUT_TOKENS_DEFAULT);
    step.facts.as_ref()?.rates.as_ref()?.bound(input, output, Tariff::Standard, at_unix_s).ok()
}
