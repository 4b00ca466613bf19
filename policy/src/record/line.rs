//! A record as one line: JSON for machines, text for people. Field names are part of the contract with log readers.
//!
//! Appends to a buffer that the caller reuses; allocates nothing itself.

use std::io::Write;
use std::net::IpAddr;

use ringway_adapters::fault::Kind;
use ringway_adapters::ir::Mode;
use ringway_adapters::usage::Usage;

use super::{Attempt, Record};

const LINE_BYTES_USUAL: usize = 1024;

/// Appends one JSON object and a line end. Absent values are left out; durations are in microseconds.
///
/// `at` (RFC 3339, UTC, milliseconds) `id` `shard` `operation` `dialect` `mode` `key` `team` `route` `asked` `provider`
/// `model` `status` `fault` `kind` `attempts` (`provider` `model` `status` `fault` `kind` `total_us` `usage`) `usage` (`input` `output`,
/// and where not 0 `cached_read` `cached_write` `reasoning` `audio_input` `audio_output`) `provenance` `losses` `rescued`
/// `request_bytes` `answer_bytes` `overhead_us` `first_byte_us` `total_us` `client` `client_request_id` `tags`.
pub fn write_json(record: &Record, out: &mut Vec<u8>) {
    // Room for a usual line at once.
    out.reserve(LINE_BYTES_USUAL);
    out.extend_from_slice(b"{\"at\":\"");
    write_time(record.at_ms, out);
    out.extend_from_slice(b"\",\"id\":\"");
    write_hex(&record.id, out);
    out.push(b'"');
    number(out, "shard", u64::from(record.shard));
    string(out, "operation", record.operation.name());
    if let Some(dialect) = record.dialect {
        string(out, "dialect", dialect.row().name);
    }
    string(out, "mode", mode_name(record.mode));
    for (name, value) in [("key", &record.key), ("team", &record.team), ("route", &record.route)] {
        optional(out, name, value.as_deref());
    }
    string(out, "asked", &record.asked);
    optional(out, "provider", record.provider.as_deref());
    optional(out, "model", record.model.as_deref());
    number(out, "status", u64::from(record.status));
    fault(out, record.fault);
    out.extend_from_slice(b",\"attempts\":[");
    for (index, attempt) in record.attempts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_attempt(attempt, out);
    }
    out.push(b']');
    out.extend_from_slice(b",\"usage\":");
    write_usage(&record.usage, out);
    string(out, "provenance", record.provenance.name());
    number(out, "losses", u64::from(record.losses));
    out.extend_from_slice(if record.rescued { b",\"rescued\":true" } else { b",\"rescued\":false" });
    number(out, "request_bytes", record.request_bytes);
    number(out, "answer_bytes", record.answer_bytes);
    number(out, "overhead_us", record.overhead_ns / 1_000);
    number(out, "first_byte_us", record.first_byte_ns / 1_000);
    number(out, "total_us", record.total_ns / 1_000);
    if let Some(client) = record.client {
        out.extend_from_slice(b",\"client\":\"");
        address(out, client);
        out.push(b'"');
    }
    optional(out, "client_request_id", record.client_request_id.as_deref());
    optional(out, "tags", record.tags.as_deref());
    out.extend_from_slice(b"}\n");
}

/// Appends one line for people: time, status, what was asked and who answered, how long it took, tokens, then what was
/// unusual. Control bytes in names are escaped, so that a request cannot write a line of its own.
pub fn write_text(record: &Record, out: &mut Vec<u8>) {
    write_time(record.at_ms, out);
    let _ = write!(out, " {} {}", record.status, record.operation.name());
    if record.mode == Mode::Stream {
        out.extend_from_slice(b" stream");
    }
    out.push(b' ');
    plain(out, if record.asked.is_empty() { "-" } else { &record.asked });
    if let Some(provider) = &record.provider {
        out.extend_from_slice(b" -> ");
        plain(out, provider);
        out.push(b'/');
        plain(out, record.model.as_deref().unwrap_or("-"));
    }
    let _ = write!(
        out,
        " {} ms (first byte {} ms, overhead {} us) tokens {}+{}",
        record.total_ns / 1_000_000,
        record.first_byte_ns / 1_000_000,
        record.overhead_ns / 1_000,
        record.usage.input,
        record.usage.output
    );
    if let Some(key) = &record.key {
        out.extend_from_slice(b" key=");
        plain(out, key);
    }
    if record.attempts.len() > 1 {
        let _ = write!(out, " attempts={}", record.attempts.len());
    }
    if record.rescued {
        out.extend_from_slice(b" rescued");
    }
    if record.losses > 0 {
        let _ = write!(out, " losses={}", record.losses);
    }
    if let Some(kind) = record.fault {
        out.extend_from_slice(b" fault=");
        snake(out, kind);
    }
    out.extend_from_slice(b" id=");
    write_hex(&record.id, out);
    out.push(b'\n');
}

/// Appends the id as 32 lower-case hex digits, the form of `x-ringway-request-id`.
pub fn write_hex(id: &[u8; 16], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.extend_from_slice(&text);
}

/// Appends Unix milliseconds as `2026-11-20T10:00:00.000Z`.
pub fn write_time(at_ms: u64, out: &mut Vec<u8>) {
    let (days, ms) = (at_ms / 86_400_000, at_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    digits(out, year, 4);
    for (mark, value) in [(b'-', month), (b'-', day), (b'T', hour), (b':', minute), (b':', second)] {
        out.push(mark);
        digits(out, value, 2);
    }
    out.push(b'.');
    digits(out, ms % 1_000, 3);
    out.push(b'Z');
}

/// Days since 1970-01-01 → year, month, day (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Whole => "whole",
        Mode::Stream => "stream",
    }
}

fn write_attempt(attempt: &Attempt, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"provider\":");
    quoted(out, &attempt.provider);
    string(out, "model", &attempt.model);
    number(out, "status", u64::from(attempt.status));
    fault(out, attempt.fault);
    number(out, "total_us", attempt.total_ns / 1_000);
    if attempt.usage != Usage::default() {
        out.extend_from_slice(b",\"usage\":");
        write_usage(&attempt.usage, out);
    }
    out.push(b'}');
}

fn write_usage(usage: &Usage, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"input\":");
    plain_number(out, usage.input);
    number(out, "output", usage.output);
    for (name, value) in [
        ("cached_read", usage.cached_read),
        ("cached_write", usage.cached_write),
        ("reasoning", usage.reasoning),
        ("audio_input", usage.audio_input),
        ("audio_output", usage.audio_output),
    ] {
        if value > 0 {
            number(out, name, value);
        }
    }
    out.push(b'}');
}

/// The code that the client's error has, and the kind, which tells more.
fn fault(out: &mut Vec<u8>, kind: Option<Kind>) {
    if let Some(kind) = kind {
        string(out, "fault", kind.code());
        out.extend_from_slice(b",\"kind\":\"");
        snake(out, kind);
        out.push(b'"');
    }
}

/// `UpstreamConnect` as `upstream_connect`.
fn snake(out: &mut Vec<u8>, kind: Kind) {
    let start = out.len();
    let _ = write!(out, "{kind:?}");
    let mut index = start;
    while let Some(&byte) = out.get(index) {
        if byte.is_ascii_uppercase() {
            out[index] = byte.to_ascii_lowercase();
            if index > start {
                out.insert(index, b'_');
                index += 1;
            }
        }
        index += 1;
    }
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    field(out, name);
    plain_number(out, value);
}

fn field(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Version 4 without the formatting machinery; version 6 is rare behind load balancers.
fn address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        let _ = write!(out, "{address}");
        return;
    };
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        plain_number(out, u64::from(octet));
    }
}

/// Decimal digits without the formatting machinery, which costs more than the rest of a line.
fn plain_number(out: &mut Vec<u8>, value: u64) {
    digits(out, value, value.checked_ilog10().map_or(1, |log| log as usize + 1));
}

/// The last `count` digits, at most 20, with leading zeros.
fn digits(out: &mut Vec<u8>, mut value: u64, count: usize) {
    let mut text = [b'0'; 20];
    for digit in text.iter_mut().rev().take(count) {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text[text.len().saturating_sub(count)..]);
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        string(out, name, value);
    }
}

fn string(out: &mut Vec<u8>, name: &str, value: &str) {
    field(out, name);
    quoted(out, value);
}

fn quoted(out: &mut Vec<u8>, value: &str) {
    if value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        return out.push(b'"');
    }
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

fn plain(out: &mut Vec<u8>, value: &str) {
    for c in value.chars() {
        if c.is_control() || c == ' ' {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            let _ = write!(out, "{c}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_adapters::dialect::DialectId;
    use ringway_adapters::operation::Operation;
    use ringway_adapters::usage::Provenance;

    pub(crate) fn record() -> Record {
        Record {
            id: [0xab; 16],
            at_ms: 1_795_170_348_123,
            shard: 1,
            operation: Operation::Chat,
            dialect: Some(DialectId::OpenaiChat),
            mode: Mode::Stream,
            key: Some("mobile".into()),
            team: None,
            route: Some("chat-large".into()),
            asked: "chat \"large\"\n".into(),
            provider: Some("openai".into()),
            model: Some("gpt-4.1".into()),
            attempts: vec![
                Attempt {
                    provider: "my-vllm".into(),
                    model: "llama".into(),
                    status: 0,
                    fault: Some(Kind::UpstreamConnect),
                    total_ns: 2_000_000,
                    usage: Usage::default(),
                },
                Attempt {
                    provider: "openai".into(),
                    model: "gpt-4.1".into(),
                    status: 200,
                    fault: None,
                    total_ns: 900_000_000,
                    usage: Usage::default(),
                },
            ],
            status: 200,
            fault: None,
            usage: Usage { input: 10, output: 20, reasoning: 5, ..Usage::default() },
            provenance: Provenance::Provider,
            losses: 0,
            rescued: false,
            request_bytes: 750,
            answer_bytes: 830,
            overhead_ns: 4_400,
            first_byte_ns: 200_000_000,
            total_ns: 905_000_000,
            client_request_id: Some("r-1".into()),
            client: Some("::1".parse().unwrap()),
            tags: None,
        }
    }

    #[test]
    fn a_json_line_is_one_json_object_with_stable_names() {
        let mut out = Vec::new();
        write_json(&record(), &mut out);
        let line = String::from_utf8(out).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(
            line,
            concat!(
                r#"{"at":"2026-11-20T10:25:48.123Z","id":"abababababababababababababababab","shard":1,"operation":"chat","#,
                r#""dialect":"openai-chat","mode":"stream","key":"mobile","route":"chat-large","asked":"chat \"large\"\n","#,
                r#""provider":"openai","model":"gpt-4.1","status":200,"attempts":[{"provider":"my-vllm","model":"llama","status":0,"#,
                r#""fault":"upstream_error","kind":"upstream_connect","total_us":2000},{"provider":"openai","model":"gpt-4.1","status":200,"total_us":900000}],"#,
                r#""usage":{"input":10,"output":20,"reasoning":5},"provenance":"provider","losses":0,"rescued":false,"#,
                r#""request_bytes":750,"answer_bytes":830,"overhead_us":4,"first_byte_us":200000,"total_us":905000,"#,
                r#""client":"::1","client_request_id":"r-1"}"#,
                "\n"
            )
        );
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn a_text_line_cannot_be_forged_by_a_model_name() {
        let mut out = Vec::new();
        write_text(&record(), &mut out);
        let line = String::from_utf8(out).unwrap();
        assert_eq!(
            line,
            "2026-11-20T10:25:48.123Z 200 chat stream chat\\u{20}\"large\"\\u{a} -> openai/gpt-4.1 905 ms (first byte 200 ms, \
             overhead 4 us) tokens 10+20 key=mobile attempts=2 id=abababababababababababababababab\n"
        );
    }

    #[test]
    fn days_become_dates() {
        for (days, date) in
            [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (11_017, (2000, 3, 1)), (20_818, (2026, 12, 31)), (47_541, (2100, 3, 1))]
        {
            assert_eq!(civil(days), date);
        }
    }
}
