//! A record as one line: JSON for machines, text for people. Field names are part of the contract with log readers.
//!
//! Appends to a buffer that the caller reuses; allocates nothing itself.

use std::io::Write;
use std::net::IpAddr;

use ringway_adapters::fault::Kind;
use ringway_adapters::ir::Mode;
use ringway_adapters::usage::{Tariff, Usage};

use super::{Attempt, Delivered, Record, write_trail, write_waits};
use crate::money::NanoDollars;
use crate::quota::Row;

const LINE_BYTES_USUAL: usize = 1024;

/// Appends one JSON object and a line end. Absent values are left out; durations are in microseconds.
///
/// `at` (RFC 3339, UTC, milliseconds) `id` `shard` `operation` `dialect` `mode` `key` `team` `customer` `route` `asked` `provider`
/// `model` `status` `fault` `kind` `attempts` (`provider` `model` `status` `fault` `kind` `begun_us` `connect_us` `first_byte_us` `total_us` `overtaken` `usage` and what
/// it was counted from, `tier`) `usage` (`input` `output`,
/// and where not 0 `cached_read` `cached_write` `reasoning` `audio_input` `audio_output` `cached_write_1h` `image_input`
/// `image_output` `images` `searches` `audio_ms` `characters`) `provenance` (where it is `delivered`: `delivered_bytes`
/// `delivered_events` `counted_by`) `tier` `losses` `rescued`
/// `request_bytes` `answer_bytes` `overhead_us` `first_byte_us` `total_us` `client` `client_request_id` `tags` `end_user` `cost_usd`
/// (decimal text, also an attempt's) `downgraded` `cut` `charges` (`id` `state` `reserved` `actual` `left_before` `left_after`; money
/// in nano-dollars) `mirror_of`, where tracing is on `trace_id` `span_id`; `plan_us` `relay_us`, and where something was passed over or the client asked: `trail`; where
/// a route has several targets: `strategy`; where it waited for room: `queue` (`before` `priority` `waited_us` `ended`).
pub fn write_json(record: &Record, out: &mut Vec<u8>) {
    // Room for a usual line at once.
    out.reserve(LINE_BYTES_USUAL);
    out.extend_from_slice(b"{\"at\":\"");
    write_time(record.at_ms, out);
    out.extend_from_slice(b"\",\"id\":\"");
    write_hex(&record.id, out);
    out.push(b'"');
    number(out, "shard", u64::from(record.shard));
    word(out, "operation", record.operation.name());
    if let Some(dialect) = record.dialect {
        word(out, "dialect", dialect.row().name);
    }
    word(out, "mode", mode_name(record.mode));
    for (name, value) in [("key", &record.key), ("team", &record.team), ("customer", &record.customer), ("route", &record.route)] {
        optional(out, name, value.as_deref());
    }
    string(out, "asked", &record.asked);
    optional(out, "provider", record.provider.as_deref());
    optional(out, "model", record.model.as_deref());
    number(out, "status", u64::from(record.status));
    fault(out, record.fault);
    out.extend_from_slice(b",\"attempts\":");
    write_attempts(record, out);
    out.extend_from_slice(b",\"usage\":");
    write_usage(&record.usage, out);
    word(out, "provenance", record.provenance.name());
    write_delivered(record.delivered.as_deref(), out);
    optional(out, "tier", record.tier.map(Tariff::name));
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
    if let Some(id) = &record.mirror_of {
        out.extend_from_slice(b",\"mirror_of\":\"");
        write_hex(id, out);
        out.push(b'"');
    }
    if let Some(trace) = &record.trace {
        out.extend_from_slice(b",\"trace_id\":\"");
        write_hex(&trace.id, out);
        let _ = write!(out, "\",\"span_id\":\"{:016x}\"", trace.span);
    }
    optional(out, "end_user", record.end_user.as_deref());
    dollars(out, record.cost);
    optional(out, "downgraded", record.downgraded.as_deref().map(|route| &**route));
    if record.cut {
        out.extend_from_slice(b",\"cut\":true");
    }
    if !record.charges.is_empty() {
        write_charges(&record.charges, out);
    }
    if !record.trail.is_plain() {
        out.extend_from_slice(b",\"trail\":");
        write_trail(&record.trail, out);
    }
    optional(out, "strategy", record.trail.strategy);
    if !record.trail.waits.is_empty() {
        out.extend_from_slice(b",\"queue\":");
        write_waits(&record.trail.waits, out);
    }
    let phases = &record.trail.phases;
    // First byte to the client → last one.
    let relay_ns = if record.first_byte_ns == 0 { 0 } else { record.total_ns.saturating_sub(record.first_byte_ns) };
    for (name, ns) in [("plan_us", phases.plan_ns), ("relay_us", relay_ns)].into_iter().filter(|(_, ns)| *ns > 0) {
        number(out, name, ns / 1_000);
    }
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
    if record.mirror_of.is_some() {
        out.extend_from_slice(b" mirror");
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
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let places = [(0, year / 100), (2, year), (5, month), (8, day), (11, hour), (14, minute), (17, second), (20, ms / 10 % 100)];
    for (at, value) in places {
        text[at..at + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
    }
    text[22] = b'0' + (ms % 10) as u8;
    out.extend_from_slice(&text);
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

/// Appends the attempts as a JSON list.
pub(super) fn write_attempts(record: &Record, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, attempt) in record.attempts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_attempt(attempt, out);
    }
    out.push(b']');
}

fn write_attempt(attempt: &Attempt, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"provider\":");
    quoted(out, &attempt.provider);
    string(out, "model", &attempt.model);
    number(out, "status", u64::from(attempt.status));
    fault(out, attempt.fault);
    let times = &attempt.times;
    for (name, ns) in [("begun_us", times.begun_ns), ("connect_us", times.connect_ns), ("first_byte_us", times.first_byte_ns)]
        .into_iter()
        .filter(|(_, ns)| *ns > 0)
    {
        number(out, name, ns / 1_000);
    }
    number(out, "total_us", attempt.total_ns / 1_000);
    if attempt.overtaken {
        out.extend_from_slice(b",\"overtaken\":true");
    }
    if attempt.usage != Usage::default() {
        out.extend_from_slice(b",\"usage\":");
        write_usage(&attempt.usage, out);
    }
    write_delivered(attempt.delivered.as_ref(), out);
    optional(out, "tier", attempt.tier.map(Tariff::name));
    dollars(out, attempt.cost);
    out.push(b'}');
}

fn write_delivered(delivered: Option<&Delivered>, out: &mut Vec<u8>) {
    if let Some(delivered) = delivered {
        number(out, "delivered_bytes", delivered.bytes);
        number(out, "delivered_events", delivered.events);
        string(out, "counted_by", delivered.counter);
    }
}

fn write_charges(charges: &[Row], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"charges\":[");
    for (index, row) in charges.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{\"id\":" } else { b"{\"id\":" });
        quoted(out, &row.quota.id);
        string(out, "state", row.state.name());
        if row.quota.shadow {
            out.extend_from_slice(b",\"shadow\":true");
        }
        let figures =
            [("reserved", row.reserved), ("actual", row.actual), ("left_before", row.left_before), ("left_after", row.left_after())];
        for (name, figure) in figures {
            number(out, name, figure);
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// Dollars as decimal text: no reader's floating point may change them.
fn dollars(out: &mut Vec<u8>, cost: Option<NanoDollars>) {
    if let Some(cost) = cost {
        let _ = write!(out, ",\"cost_usd\":\"{cost}\"");
    }
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
        ("cached_write_1h", usage.cached_write_1h),
        ("image_input", usage.image_input),
        ("image_output", usage.image_output),
        ("images", usage.images),
        ("searches", usage.searches),
        ("audio_ms", usage.audio_ms),
        ("characters", usage.characters),
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
        word(out, "fault", kind.code());
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

#[inline(always)]
pub(super) fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    field(out, name);
    plain_number(out, value);
}

/// Inlined, so that a literal name is a few stores and no call of `memcpy`: a line has some thirty names.
#[inline(always)]
fn field(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A value of ours that holds nothing to escape.
#[inline(always)]
fn word(out: &mut Vec<u8>, name: &str, value: &'static str) {
    field(out, name);
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
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
fn plain_number(out: &mut Vec<u8>, mut value: u64) {
    // Most are small, and a copy of a length that is not known here is a call.
    if value < 10_000 {
        let (high, low) = ((value / 100) as usize, (value % 100) as usize);
        match high {
            0 if low < 10 => return out.push(b'0' + low as u8),
            0 => return out.extend_from_slice(&PAIRS[low]),
            1..10 => out.push(b'0' + high as u8),
            _ => out.extend_from_slice(&PAIRS[high]),
        }
        return out.extend_from_slice(&PAIRS[low]);
    }
    let mut text = [0; 20];
    let mut at = text.len();
    while value >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value > 0 {
        at -= 1;
        text[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&text[at..]);
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value as usize] = [b'0' + value / 10, b'0' + value % 10];
        value += 1;
    }
    pairs
};

fn optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        string(out, name, value);
    }
}

pub(super) fn string(out: &mut Vec<u8>, name: &str, value: &str) {
    field(out, name);
    quoted(out, value);
}

pub(super) fn quoted(out: &mut Vec<u8>, value: &str) {
    if is_plain(value.as_bytes()) {
        out.reserve(value.len() + 2);
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        return out.push(b'"');
    }
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// Nothing in `text` needs an escape. Eight bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Marks bytes below `bound`; a borrow may mark more, but only above one that is marked rightly.
    let below = |word: u64, bound: u8| word.wrapping_sub(LOW * u64::from(bound)) & !word & HIGH;
    let (words, tail) = text.as_chunks();
    let marks = words.iter().fold(0, |marks, word| {
        let word = u64::from_le_bytes(*word);
        marks | below(word, b' ') | below(word ^ (LOW * b'"' as u64), 1) | below(word ^ (LOW * b'\\' as u64), 1)
    });
    marks == 0 && tail.iter().all(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\')
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
    use crate::record::testing::record;
    use ringway_adapters::usage::Provenance;

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
                r#""client":"::1","client_request_id":"r-1","relay_us":705000}"#,
                "\n"
            )
        );
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn what_was_counted_and_how_it_was_billed_stand_in_the_line() {
        let mut record = record();
        record.usage = Usage { input: 9, output: 4, cached_write: 7, cached_write_1h: 5, searches: 2, characters: 3, ..Usage::default() };
        record.provenance = Provenance::Delivered;
        record.delivered = Some(Box::new(Delivered { bytes: 16, events: 3, counter: "o200k" }));
        record.tier = Some(Tariff::Flex);
        let mut out = Vec::new();
        write_json(&record, &mut out);
        let line = String::from_utf8(out).unwrap();
        let part = concat!(
            r#""usage":{"input":9,"output":4,"cached_write":7,"cached_write_1h":5,"searches":2,"characters":3},"provenance":"delivered","#,
            r#""delivered_bytes":16,"delivered_events":3,"counted_by":"o200k","tier":"flex","losses":0"#
        );
        assert!(line.contains(part), "{line}");
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
    fn numbers_are_written_as_std_does() {
        for value in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 65_535, 1_234_567, u64::MAX / 10, u64::MAX] {
            let mut out = Vec::new();
            plain_number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn every_string_is_quoted_as_json_wants_it() {
        for byte in 0..=127u8 {
            for at in 0..19 {
                let mut text = vec![b'x'; 19];
                text[at] = byte;
                let text = String::from_utf8(text).unwrap();
                let mut out = Vec::new();
                quoted(&mut out, &text);
                assert_eq!(out, serde_json::to_vec(&text).unwrap());
            }
        }
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
