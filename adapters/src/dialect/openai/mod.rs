//! What the two OpenAI dialects share: errors, effort names, private fields.

pub(super) mod error;
pub(super) mod extra;
pub(super) mod field;

use super::{RateFields, ResetForm};
use crate::ir::{Effort, Reasoning};

// platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers, read 2026-11-20.
pub(super) const RATE_FIELDS: RateFields = RateFields {
    prefix: "x-ratelimit-",
    requests: ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    tokens: ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    reset: ResetForm::Span,
};

// platform.openai.com/docs/api-reference/chat/create#reasoning_effort, read 2026-11-20
const EFFORTS: &[(&str, Effort)] = &[
    ("none", Effort::None),
    ("minimal", Effort::Minimal),
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
    ("xhigh", Effort::Max),
];

/// Thinking budgets up to this many tokens are the effort beside it, where a client states only a budget.
const BUDGET_EFFORTS: &[(u64, Effort)] =
    &[(0, Effort::None), (1_024, Effort::Minimal), (4_096, Effort::Low), (16_384, Effort::Medium), (u64::MAX, Effort::High)];

pub(super) fn effort(name: &str) -> Option<Effort> {
    EFFORTS.iter().find(|row| row.0 == name).map(|row| row.1)
}

/// The effort's name, from the budget where only that is known.
pub(super) fn effort_name(reasoning: &Reasoning) -> Option<&'static str> {
    let effort = reasoning.effort.or_else(|| {
        let budget = reasoning.budget_tokens?;
        BUDGET_EFFORTS.iter().find(|row| budget <= row.0).map(|row| row.1)
    })?;
    EFFORTS.iter().find(|row| row.1 == effort).map(|row| row.0)
}
