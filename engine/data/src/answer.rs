//! The head of the client's answer, and answers that the gateway gives itself.

use std::time::Duration;

use ringway_adapters::dialect::{DialectId, answer_fields};
use ringway_adapters::fault::{Blame, Fault, Kind};

use crate::downstream::{Downstream, WriteEnd};
use crate::http1::names::{Names, Prefixes};
use crate::http1::write;
use crate::incoming::Incoming;
use crate::journal::Journal;
use crate::rate;
use crate::rt::Rt;

/// Fields of a provider's answer that go on to the client. Hop-by-hop fields are marked by the parser.
static PASSED: Names = Names::new(answer_fields::NAMES);
static PASSED_PREFIXES: Prefixes = Prefixes::new(answer_fields::PREFIXES);

/// Begins the head: status line and the `x-ringway-*` fields.
pub(crate) fn begin(out: &mut Vec<u8>, status: u16, journal: &Journal, now_ns: u64) {
    write::status_line(out, status);
    if let Some(site) = &journal.site {
        cors_fields(out, site);
        write::field(out, "access-control-expose-headers", b"*");
    }
    journal.fields(out, now_ns);
}

/// Lets the pages of a listed site read the answer. No cookie speaks for anybody here, so that none is asked for.
pub(crate) fn cors_fields(out: &mut Vec<u8>, site: &str) {
    write::field(out, "access-control-allow-origin", site.as_bytes());
    write::field(out, "vary", b"origin");
}

/// Appends the provider's fields.
pub(crate) fn forward<R: Rt>(out: &mut Vec<u8>, incoming: &Incoming<R>, journal: &Journal) {
    let has_limits = !journal.bill.rows().is_empty();
    incoming.head.fields.forward(&incoming.buffer, out, |name| {
        (PASSED.contains(name) || PASSED_PREFIXES.begin(name)) && !(has_limits && rate::is_rate_field(name))
    });
}

/// Answers with `body`, made by the gateway.
pub(crate) async fn whole<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    status: u16,
    content_type: &str,
    body: &[u8],
) -> Result<(), WriteEnd> {
    let now_ns = down.shard.rt.now_ns();
    let mut head = down.shard.buffers.rent();
    begin(&mut head, status, journal, now_ns);
    write::field(&mut head, "content-type", content_type.as_bytes());
    journal.first_byte(status, now_ns);
    let result = down.answer(&mut head, body).await;
    down.shard.buffers.give(head);
    result
}

/// A provider's own words for an error that the client can mend, in the client's dialect already.
pub(crate) struct Refusal {
    pub(crate) content_type: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) dialect: DialectId,
}

/// Answers with a fault in the client's dialect. `status` overrides the fault's own where HTTP has a finer word.
pub(crate) async fn fault<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    dialect: DialectId,
    status: u16,
    fault: &Fault,
) -> Result<(), WriteEnd> {
    let mut body = Vec::new();
    (dialect.row().encode_error)(fault, &mut body);
    refusal(down, journal, status, fault, &Refusal { content_type: b"application/json".to_vec(), body, dialect }).await
}

/// Answers a fault with these words.
pub(crate) async fn refusal<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    status: u16,
    fault: &Fault,
    refusal: &Refusal,
) -> Result<(), WriteEnd> {
    let now_ns = down.shard.rt.now_ns();
    let mut head = down.shard.buffers.rent();
    begin(&mut head, status, journal, now_ns);
    write::field(&mut head, "content-type", &refusal.content_type);
    if let Some((name, class)) = refusal.dialect.row().error_field(fault) {
        write::field(&mut head, name, class.as_bytes());
    }
    if let Some(retry_after) = fault.retry_after.or_else(|| retry_after_default(fault.kind)) {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        write::field(&mut head, "retry-after", itoa::Buffer::new().format(seconds).as_bytes());
        if fault.kind.blame() == Blame::Policy {
            let ms = retry_after.as_nanos().div_ceil(1_000_000).min(u128::from(u64::MAX)) as u64;
            write::field(&mut head, "retry-after-ms", itoa::Buffer::new().format(ms).as_bytes());
        }
    }
    if !may_help(fault) {
        write::field(&mut head, "x-should-retry", b"false");
    }
    journal.first_byte(status, now_ns);
    let result = down.answer(&mut head, &refusal.body).await;
    down.shard.buffers.give(head);
    result
}

/// Overload passes by itself: clients are told when to come back.
fn retry_after_default(kind: Kind) -> Option<Duration> {
    matches!(kind, Kind::Overloaded | Kind::Draining).then_some(Duration::from_secs(1))
}

/// SDKs wait up to a minute for a `Retry-After` (openai-python and anthropic-sdk-python, `_calculate_retry_timeout`, read
/// 2026-11-20); a budget that comes back later is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Can the same request succeed later? SDKs repeat 408, 409, 429 and 5xx unless told otherwise.
fn may_help(fault: &Fault) -> bool {
    match fault.kind {
        Kind::UpstreamSpendCap | Kind::UpstreamAuth | Kind::ContextLength | Kind::ContentFilter | Kind::UpstreamRefused => false,
        Kind::MalformedResponse => false,
        // A limit that never allows so much has no time to come back at.
        Kind::RateLimited => fault.retry_after.is_some(),
        Kind::BudgetExceeded => fault.retry_after.is_some_and(|after| after <= PATIENCE),
        kind => kind.blame() != Blame::Client || kind == Kind::RequestTimeout,
    }
}
