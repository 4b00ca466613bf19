//! The header fields that tell a client its rate limits, in the words of its dialect.

use ringway_adapters::dialect::{DIALECTS, RateFields, ResetForm};
use ringway_policy::config::Measure;
use ringway_policy::quota::{At, Row, Tightest, tightest};
use ringway_policy::record::write_time;

use crate::http1::write;

/// Writes limit, remaining and reset of the tightest limit of requests, and of the tightest one of tokens.
pub(crate) fn fields(fields: &RateFields, rows: &[Row], at: At, out: &mut Vec<u8>) {
    let requests = tightest(rows, |measure| measure == Measure::Requests);
    let tokens = tightest(rows, |measure| !matches!(measure, Measure::Requests | Measure::Concurrent));
    for (names, figure) in [(&fields.requests, requests), (&fields.tokens, tokens)] {
        let Some(Tightest { limit, remaining, reset_ns }) = figure else { continue };
        let mut number = itoa::Buffer::new();
        write::field(out, names[0], number.format(limit).as_bytes());
        write::field(out, names[1], number.format(remaining).as_bytes());
        let mut reset = Vec::with_capacity(24);
        match fields.reset {
            ResetForm::Span => span(reset_ns, &mut reset),
            ResetForm::Time => write_time(at.now.unix_ms + reset_ns.div_ceil(1_000_000), &mut reset),
        }
        write::field(out, names[2], &reset);
    }
}

/// A provider's own limits, which are the gateway's business where the client has limits here.
pub(crate) fn is_rate_field(name: &[u8]) -> bool {
    DIALECTS.iter().any(|row| {
        let prefix = row.rate_fields.prefix.as_bytes();
        name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    })
}

/// `1h2m3s`, `6m0s`, `1s`, `350ms`: never less than it takes.
fn span(ns: u64, out: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    let ms = ns.div_ceil(1_000_000);
    if ms < 1_000 {
        out.extend_from_slice(number.format(ms).as_bytes());
        return out.extend_from_slice(b"ms");
    }
    let seconds = ms.div_ceil(1_000);
    let parts = [(seconds / 3_600, b'h'), (seconds / 60 % 60, b'm'), (seconds % 60, b's')];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(2);
    for (count, unit) in &parts[first..] {
        out.extend_from_slice(number.format(*count).as_bytes());
        out.push(*unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_sdks_read_them() {
        for (ms, text) in [(0, "0ms"), (350, "350ms"), (1_000, "1s"), (1_001, "2s"), (360_000, "6m0s"), (3_723_000, "1h2m3s")] {
            let mut out = Vec::new();
            span(ms * 1_000_000, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn fields_of_any_dialect_are_known_by_their_beginning() {
        for row in DIALECTS {
            assert!(row.rate_fields.requests.iter().chain(&row.rate_fields.tokens).all(|name| is_rate_field(name.as_bytes())));
        }
        assert!(is_rate_field(b"X-RateLimit-Limit-Images") && !is_rate_field(b"x-request-id") && !is_rate_field(b"x"));
    }
}
