//! Spans: one of an exchange, with a child of each attempt.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use ringway_adapters::fault::{Blame, Kind};
use ringway_adapters::ir::Mode;
use ringway_policy::record::{Attempt, Record, write_hex};
use ringway_policy::trace::Trace;

use super::attributes::{Attributes, Providers};
use super::conventions as names;

/// Flags of a span that was sampled, and whose parent may be elsewhere (opentelemetry-proto, `SpanFlags`).
const SAMPLED: u32 = 1;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Appends the spans of a record; none where it is not traced or not sampled.
pub fn append(record: &Record, providers: &Providers, spans: &mut Vec<Span>) {
    let Some(trace) = record.trace.as_ref().filter(|trace| trace.sampled) else { return };
    spans.push(exchange(record, trace, providers));
    spans.extend(record.attempts.iter().map(|attempt| try_of(record, attempt, trace, providers)));
}

fn exchange(record: &Record, trace: &Trace, providers: &Providers) -> Span {
    let mut attributes = Attributes::default();
    describe(record, providers, &mut attributes);
    let begun_ns = record.at_ms.saturating_mul(1_000_000);
    Span {
        trace_id: trace.id.to_vec(),
        span_id: trace.span.to_be_bytes().to_vec(),
        trace_state: trace.state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: trace.parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
        flags: SAMPLED | HAS_IS_REMOTE | if trace.parent.is_some() { IS_REMOTE } else { 0 },
        name: format!("{} {}", names::operation(record.operation), record.asked).trim_end().to_owned(),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: begun_ns,
        end_time_unix_nano: begun_ns.saturating_add(record.total_ns),
        attributes: attributes.done(),
        status: Some(status(record.fault, record.status)),
        ..Span::default()
    }
}

fn try_of(record: &Record, attempt: &Attempt, trace: &Trace, providers: &Providers) -> Span {
    let mut attributes = Attributes::default();
    attributes.text(names::OPERATION, names::operation(record.operation));
    attributes.text(names::PROVIDER, providers.name(&attempt.provider));
    attributes.text(names::REQUEST_MODEL, &*attempt.model);
    attributes.text("ringway.provider", &*attempt.provider);
    providers.place(&attempt.provider, &mut attributes);
    if attempt.status > 0 {
        attributes.number(names::STATUS_CODE, u64::from(attempt.status));
    }
    attributes.optional(names::ERROR_TYPE, attempt.fault.map(Kind::code));
    if attempt.overtaken {
        attributes.flag("ringway.overtaken", true);
    }
    usage(&attempt.usage, &mut attributes);
    if let Some(cost) = attempt.cost {
        attributes.real("ringway.cost_usd", cost.0 as f64 * 1e-9);
    }
    for (name, ns) in [("ringway.connect_seconds", attempt.times.connect_ns), (names::TIME_TO_FIRST_CHUNK, attempt.times.first_byte_ns)] {
        if ns > 0 {
            attributes.real(name, ns as f64 * 1e-9);
        }
    }
    let begun_ns = record.at_ms.saturating_mul(1_000_000).saturating_add(attempt.times.begun_ns);
    Span {
        trace_id: trace.id.to_vec(),
        span_id: attempt.span.to_be_bytes().to_vec(),
        parent_span_id: trace.span.to_be_bytes().to_vec(),
        flags: SAMPLED | HAS_IS_REMOTE,
        name: format!("{} {}", names::operation(record.operation), attempt.model),
        kind: SpanKind::Client as i32,
        start_time_unix_nano: begun_ns,
        end_time_unix_nano: begun_ns.saturating_add(attempt.total_ns),
        attributes: attributes.done(),
        status: Some(status(attempt.fault, attempt.status)),
        ..Span::default()
    }
}

/// What is known of an exchange; of its span and its log record.
pub fn describe(record: &Record, providers: &Providers, attributes: &mut Attributes) {
    attributes.text(names::OPERATION, names::operation(record.operation));
    attributes.optional(names::PROVIDER, record.provider.as_deref().map(|provider| providers.name(provider)));
    attributes.text(names::REQUEST_MODEL, &*record.asked);
    attributes.optional(names::RESPONSE_MODEL, record.model.as_deref());
    attributes.flag(names::REQUEST_STREAM, record.mode == Mode::Stream);
    attributes.number(names::STATUS_CODE, u64::from(record.status));
    attributes.optional(names::ERROR_TYPE, record.fault.map(Kind::code));
    usage(&record.usage, attributes);
    if record.mode == Mode::Stream && record.first_byte_ns > 0 {
        attributes.real(names::TIME_TO_FIRST_CHUNK, record.first_byte_ns as f64 * 1e-9);
    }
    if let Some(client) = record.client {
        attributes.text(names::CLIENT_ADDRESS, client.to_string());
    }
    attributes.optional(names::USER_ID, record.end_user.as_deref());
    let mut id = Vec::with_capacity(32);
    write_hex(&record.id, &mut id);
    attributes.text("ringway.request_id", String::from_utf8_lossy(&id));
    let own = [
        ("ringway.dialect", record.dialect.map(|dialect| dialect.row().name)),
        ("ringway.key", record.key.as_deref()),
        ("ringway.team", record.team.as_deref()),
        ("ringway.customer", record.customer.as_deref()),
        ("ringway.route", record.route.as_deref()),
        ("ringway.provider", record.provider.as_deref()),
        ("ringway.client_request_id", record.client_request_id.as_deref()),
    ];
    own.into_iter().for_each(|(name, value)| attributes.optional(name, value));
    for (name, value) in record.tags.as_deref().unwrap_or_default().split(',').filter_map(|pair| pair.split_once('=')) {
        attributes.text(&format!("ringway.tag.{name}"), value);
    }
    attributes.number("ringway.attempts", record.attempts.len() as u64);
    attributes.real("ringway.overhead_seconds", record.overhead_ns as f64 * 1e-9);
    if let Some(cost) = record.cost {
        attributes.real("ringway.cost_usd", cost.0 as f64 * 1e-9);
    }
    if record.rescued {
        attributes.flag("ringway.rescued", true);
    }
}

fn usage(usage: &ringway_adapters::usage::Usage, attributes: &mut Attributes) {
    for (name, count) in names::USAGE.iter().map(|(name, read)| (name, read(usage))).filter(|(_, count)| *count > 0) {
        attributes.number(name, count);
    }
}

/// A client's own mistake is no error of the gateway's span.
fn status(fault: Option<Kind>, status: u16) -> Status {
    let is_error = status >= 500 || fault.is_some_and(|kind| matches!(kind.blame(), Blame::Upstream | Blame::Gateway));
    let message = fault.filter(|_| is_error).map(|kind| kind.code().to_owned()).unwrap_or_default();
    Status { message, code: if is_error { StatusCode::Error } else { StatusCode::Unset } as i32 }
}
