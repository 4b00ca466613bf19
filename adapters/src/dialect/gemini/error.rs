//! Errors in Google's shape: `{"error":{"code","message","status","details"}}`.
//!
//! cloud.google.com/apis/design/errors and ai.google.dev/gemini-api/docs/troubleshooting, read 2026-11-20.

use std::time::Duration;

use serde_json::Value;

use crate::fault::{Fault, Kind};
use crate::frame::{Framing, sse};
use crate::json::build::Object;
use crate::json::tree::Json;

/// Longest message of a provider that is kept, bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Longest wait that is taken from an answer, seconds.
const RETRY_SECONDS_MAX: f64 = 86_400.0;

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The domain of the reasons that this gateway writes, so that it knows them again.
const DOMAIN: &str = "ringway";

/// Kinds that a client acts on and that no status tells apart; written as the reason in `ErrorInfo`.
const REASONS: &[(&str, Kind)] = &[
    ("CONTEXT_LENGTH_EXCEEDED", Kind::ContextLength),
    ("CONTENT_FILTER", Kind::ContentFilter),
    ("SPEND_CAP", Kind::UpstreamSpendCap),
    ("PREFILL_REFUSED", Kind::PrefillRefused),
];

/// What a message says, lower case, first match wins. Errors that came through another dialect keep their own words.
const PHRASES: &[(&str, Kind)] = &[
    ("exceeds the maximum number of tokens", Kind::ContextLength),
    ("prompt is too long", Kind::ContextLength),
    ("maximum context length", Kind::ContextLength),
    ("exceeds the context window", Kind::ContextLength),
    ("prepayment credits are depleted", Kind::UpstreamSpendCap),
    ("credit balance is too low", Kind::UpstreamSpendCap),
    ("violates the responsible ai", Kind::ContentFilter),
    ("violated google's responsible ai", Kind::ContentFilter),
    ("content filtering policy", Kind::ContentFilter),
    ("content management policy", Kind::ContentFilter),
    ("safety system", Kind::ContentFilter),
    ("does not support assistant message prefill", Kind::PrefillRefused),
];

pub(super) fn decode(status: u16, body: &[u8]) -> Fault {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    // A stream that was refused answers with an array of one.
    let error = json.get("error").or_else(|| json.get(0)?.get("error")).unwrap_or(&Value::Null);
    let message = error["message"].as_str().unwrap_or_default();
    let word = error["status"].as_str().unwrap_or_default();
    let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = kind_of(status, word, &message.to_ascii_lowercase(), details);
    let mut fault = if message.is_empty() {
        Fault::new(kind, format!("provider answered status {status} without a reason"))
    } else {
        Fault::new(kind, bounded(message))
    };
    fault.upstream_status = Some(status);
    fault.retry_after = details.iter().find_map(|detail| delay(detail["retryDelay"].as_str()?));
    if kind == Kind::UpstreamRefused && status == 404 && message.to_ascii_lowercase().contains("model") {
        fault.code = Some(Kind::ModelNotFound.code().into());
    }
    fault
}

fn kind_of(status: u16, word: &str, lower: &str, details: &[Value]) -> Kind {
    let reason = |name: &str| details.iter().any(|detail| detail["reason"] == name);
    let own = details.iter().find(|detail| detail["domain"] == DOMAIN).and_then(|detail| detail["reason"].as_str());
    let said = own.and_then(|own| REASONS.iter().find(|row| row.0 == own).map(|row| row.1));
    let said = said.or_else(|| PHRASES.iter().find(|(phrase, _)| lower.contains(phrase)).map(|row| row.1));
    match (status, word, said) {
        (401 | 403, ..) => Kind::UpstreamAuth,
        // A key that is not known is a bad argument here.
        (400, ..) if reason("API_KEY_INVALID") || lower.starts_with("api key not valid") => Kind::UpstreamAuth,
        (402, ..) | (_, _, Some(Kind::UpstreamSpendCap)) => Kind::UpstreamSpendCap,
        (429, ..) if is_daily(details) => Kind::UpstreamSpendCap,
        (429, ..) | (400, "RESOURCE_EXHAUSTED", _) => Kind::UpstreamRateLimited,
        (408 | 409 | 500.., ..) => Kind::UpstreamError,
        (.., Some(kind)) => kind,
        _ => Kind::UpstreamRefused,
    }
}

/// A quota of a whole day: no repeat within reason helps.
fn is_daily(details: &[Value]) -> bool {
    let violations = details.iter().filter_map(|detail| detail["violations"].as_array()).flatten();
    violations.filter_map(|violation| violation["quotaId"].as_str()).any(|id| id.contains("PerDay"))
}

/// `34.4s`, protobuf's JSON for a duration.
fn delay(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    (0.0..=RETRY_SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// An error inside a stream, or an error body with status 200.
pub(super) fn in_band(error: Json<'_, '_>) -> Fault {
    in_band_of(error.get_str("status"), error.get_str("message"))
}

pub(super) fn in_band_of(word: Option<&str>, message: Option<&str>) -> Fault {
    let mut fault = match message {
        Some(message) => Fault::new(Kind::UpstreamInBand, bounded(message)),
        None => Fault::new(Kind::UpstreamInBand, "provider reported an error without a reason"),
    };
    fault.code = word.map(Into::into);
    fault
}

fn bounded(message: &str) -> String {
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

pub(super) fn encode(fault: &Fault, out: &mut Vec<u8>) {
    let status = fault.status();
    let mut body = Object::begin(out);
    let mut error = body.object("error");
    error.u64("code", status.into());
    error.str("message", &fault.message);
    error.str("status", word(fault, status));
    let reason = REASONS.iter().find(|row| row.1 == fault.kind).map(|row| row.0);
    if reason.is_some() || fault.retry_after.is_some() {
        let mut details = error.array("details");
        if let Some(reason) = reason {
            let mut info = details.object();
            info.str("@type", ERROR_INFO);
            info.str("reason", reason);
            info.str("domain", DOMAIN);
            info.end();
        }
        if let Some(after) = fault.retry_after {
            let mut info = details.object();
            info.str("@type", RETRY_INFO);
            info.str("retryDelay", &format!("{}s", after.as_secs_f64()));
            info.end();
        }
        details.end();
    }
    error.end();
    body.end();
}

/// In an array the error is its last element, so that a client can read it.
pub(super) fn encode_event(fault: &Fault, framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::JsonArray => {
            out.extend_from_slice(b",\r\n");
            encode(fault, out);
            out.push(b']');
        }
        _ => {
            sse::begin_data(out);
            encode(fault, out);
            sse::end(out);
        }
    }
}

// google.rpc.Code and its mapping to HTTP: github.com/googleapis/googleapis, google/rpc/code.proto, read 2026-11-20.
fn word(fault: &Fault, status: u16) -> &'static str {
    const KNOWN: &[&str] =
        &["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "CANCELLED", "FAILED_PRECONDITION"];
    if let (Kind::UpstreamInBand, Some(code)) = (fault.kind, fault.code.as_deref())
        && let Some(known) = KNOWN.iter().find(|known| **known == code)
    {
        return known;
    }
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        402 | 429 => "RESOURCE_EXHAUSTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        499 => "CANCELLED",
        502 | 503 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(word: &str, message: &str, details: &str) -> Vec<u8> {
        format!(r#"{{"error":{{"code":0,"message":"{message}","status":"{word}","details":{details}}}}}"#).into_bytes()
    }

    #[test]
    fn every_error_has_its_kind() {
        for (status, word, message, details, expected) in [
            (400, "INVALID_ARGUMENT", "Please use a valid role: user, model.", "[]", Kind::UpstreamRefused),
            (
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                r#"[{"reason":"API_KEY_INVALID"}]"#,
                Kind::UpstreamAuth,
            ),
            (
                400,
                "INVALID_ARGUMENT",
                "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
                "[]",
                Kind::ContextLength,
            ),
            (403, "PERMISSION_DENIED", "no", "[]", Kind::UpstreamAuth),
            (404, "NOT_FOUND", "models/x is not found for API version v1beta", "[]", Kind::UpstreamRefused),
            (
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
                r#"[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}]"#,
                Kind::UpstreamRateLimited,
            ),
            (
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
                r#"[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]"#,
                Kind::UpstreamSpendCap,
            ),
            (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", "[]", Kind::UpstreamSpendCap),
            (500, "INTERNAL", "oops", "[]", Kind::UpstreamError),
            (503, "UNAVAILABLE", "The model is overloaded.", "[]", Kind::UpstreamError),
            (504, "DEADLINE_EXCEEDED", "late", "[]", Kind::UpstreamError),
        ] {
            assert_eq!(decode(status, &body(word, message, details)).kind, expected, "{status} {message}");
        }
    }

    #[test]
    fn the_wait_of_retry_info_is_read_and_written() {
        let bytes = body("RESOURCE_EXHAUSTED", "slow", r#"[{"@type":"x"},{"retryDelay":"34.4s"}]"#);
        let fault = decode(429, &bytes);
        assert_eq!(fault.retry_after, Some(Duration::from_millis(34_400)));
        let mut out = Vec::new();
        encode(&fault, &mut out);
        assert_eq!(decode(429, &out).retry_after, fault.retry_after);
        for text in ["-1s", "1e99s", "NaNs", "5", "s", "1m"] {
            assert_eq!(delay(text), None, "{text}");
        }
    }

    #[test]
    fn an_array_of_one_error_is_that_error() {
        let mut bytes = b"[".to_vec();
        bytes.extend(body("NOT_FOUND", "models/x is not found", "[]"));
        bytes.push(b']');
        let fault = decode(404, &bytes);
        assert_eq!((fault.message.as_ref(), fault.code.as_deref()), ("models/x is not found", Some("model_not_found")));
    }

    #[test]
    fn a_body_that_is_no_error_still_gives_a_fault() {
        for bytes in [&b""[..], b"<html>", b"[]", b"{\"error\":7}", b"\xff"] {
            let fault = decode(503, bytes);
            assert_eq!((fault.kind, fault.upstream_status), (Kind::UpstreamError, Some(503)));
            assert_eq!(fault.message, "provider answered status 503 without a reason");
        }
    }

    #[test]
    fn classes_survive_their_own_shape() {
        for row in REASONS {
            let fault = Fault::new(row.1, "some words");
            let mut out = Vec::new();
            encode(&fault, &mut out);
            let again = decode(400, &out);
            assert_eq!(again.kind, row.1);
        }
    }

    #[test]
    fn the_shape_is_googles() {
        let mut out = Vec::new();
        encode(&Fault::new(Kind::InvalidKey, "no such key"), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"error":{"code":401,"message":"no such key","status":"UNAUTHENTICATED"}}"#);
    }
}
