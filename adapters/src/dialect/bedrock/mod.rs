//! What both Bedrock dialects have in common: errors, exception frames, rate-limit fields.

pub(super) mod error;

use super::{RateFields, ResetForm};

// Bedrock tells no limits in its answers; its clients look for none. These are names of the gateway's own.
pub(super) const RATE_FIELDS: RateFields = RateFields {
    prefix: "x-ratelimit-",
    requests: ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    tokens: ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    reset: ResetForm::Span,
};
