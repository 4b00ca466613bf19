//! What an answer's fields say of its credential's limits.

use std::time::Duration;

use ringway_adapters::rate_limit;
use ringway_policy::snapshot::Upstream;
use ringway_policy::snapshot::credential::Credential;

use crate::incoming::Incoming;
use crate::rt::Rt;

/// `Retry-After` in seconds, or OpenAI's `retry-after-ms`. The form with a date is not read: clocks differ.
pub(super) fn retry_after<R: Rt>(incoming: &Incoming<R>) -> Option<Duration> {
    let number = |name| std::str::from_utf8(incoming.field(name)?).ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Notes that the credential did well, and what the answer says of its limits.
pub(super) fn read_ahead<R: Rt>(
    credential: &Credential,
    upstream: &Upstream,
    incoming: &Incoming<R>,
    now_ns: u64,
    now_unix_ms: impl Fn() -> u64,
) {
    credential.heal(now_ns);
    let field = |name: &str| std::str::from_utf8(incoming.field(name)?).ok();
    for limit in &upstream.provider.rate_limits {
        if field(&limit.remaining).is_some_and(|left| left.trim() == "0")
            && let Some(rest) = field(&limit.reset).and_then(|reset| rate_limit::until_reset(reset, now_unix_ms()))
        {
            credential.read_ahead(rest, now_ns);
        }
    }
}
