//! Log records: the access log's line of each exchange, with its attributes.

use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use ringway_policy::record::{Record, write_json};

use super::attributes::{Attributes, Providers, text_value};
use super::span::describe;

/// Name of the event that a record is.
const EVENT: &str = "ringway.exchange";

/// The log record of an exchange.
pub fn record_of(record: &Record, providers: &Providers, now_ns: u64) -> LogRecord {
    let mut attributes = Attributes::default();
    describe(record, providers, &mut attributes);
    let mut line = Vec::new();
    write_json(record, &mut line);
    let (severity, text) = match record.status {
        500.. => (SeverityNumber::Error, "ERROR"),
        400.. => (SeverityNumber::Warn, "WARN"),
        _ if record.fault.is_some() => (SeverityNumber::Error, "ERROR"),
        _ => (SeverityNumber::Info, "INFO"),
    };
    let trace = record.trace.as_ref();
    LogRecord {
        time_unix_nano: record.at_ms.saturating_mul(1_000_000),
        observed_time_unix_nano: now_ns,
        severity_number: severity as i32,
        severity_text: text.to_owned(),
        body: Some(text_value(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())),
        attributes: attributes.done(),
        flags: trace.map_or(0, |trace| u32::from(trace.sampled)),
        trace_id: trace.map(|trace| trace.id.to_vec()).unwrap_or_default(),
        span_id: trace.map(|trace| trace.span.to_be_bytes().to_vec()).unwrap_or_default(),
        event_name: EVENT.to_owned(),
        ..LogRecord::default()
    }
}
