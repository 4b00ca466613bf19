//! Errors in Anthropic's shape: `{"type":"error","error":{"type","message"}}`.
//!
//! docs.anthropic.com/en/api/errors, read 2026-11-20.

use serde_json::Value;

use crate::fault::{Fault, Kind};
use crate::frame::sse::write_event;
use crate::json::build::Object;
use crate::json::tree::Json;

/// Longest message of a provider that is kept, bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// What the context-length error of this dialect begins with; clients look for it to compact their history.
const TOO_LONG: &str = "prompt is too long";

/// What a message says, lower case, first match wins. Errors that came through another dialect keep their own words.
const PHRASES: &[(&str, Kind)] = &[
    ("prompt is too long", Kind::ContextLength),
    ("prompt too long", Kind::ContextLength),
    ("exceed context limit", Kind::ContextLength),
    ("exceeds the context window", Kind::ContextLength),
    ("maximum context length", Kind::ContextLength),
    ("credit balance is too low", Kind::UpstreamSpendCap),
    ("reached your specified api usage limits", Kind::UpstreamSpendCap),
    ("exceeded your current quota", Kind::UpstreamSpendCap),
    ("does not support assistant message prefill", Kind::PrefillRefused),
    ("must end with a user message", Kind::PrefillRefused),
    ("final assistant content cannot end with trailing whitespace", Kind::PrefillRefused),
    ("content filtering policy", Kind::ContentFilter),
    ("content management policy", Kind::ContentFilter),
    ("safety system", Kind::ContentFilter),
];

pub(super) fn decode(status: u16, body: &[u8]) -> Fault {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let word = json["error"]["type"].as_str().unwrap_or_default();
    let message = json["error"]["message"].as_str().unwrap_or_default();
    let lower = message.to_ascii_lowercase();
    let said = PHRASES.iter().find(|(phrase, _)| lower.contains(phrase)).map(|row| row.1);
    let kind = match (status, word, said) {
        (401 | 403, ..) => Kind::UpstreamAuth,
        (402, ..) | (_, "billing_error", _) => Kind::UpstreamSpendCap,
        (429, _, Some(Kind::UpstreamSpendCap)) => Kind::UpstreamSpendCap,
        (429, ..) => Kind::UpstreamRateLimited,
        (408 | 409 | 500.., ..) => Kind::UpstreamError,
        (.., Some(kind)) => kind,
        _ => Kind::UpstreamRefused,
    };
    let mut fault = if message.is_empty() {
        Fault::new(kind, format!("provider answered status {status} without a reason"))
    } else {
        Fault::new(kind, bounded(message))
    };
    fault.upstream_status = Some(status);
    if kind == Kind::UpstreamRefused && word == "not_found_error" && lower.starts_with("model") {
        fault.code = Some(Kind::ModelNotFound.code().into());
    }
    fault
}

/// An error inside a stream, or an error body with status 200.
pub(super) fn in_band(json: Json<'_, '_>) -> Fault {
    let error = json.get("error");
    let text = |field: &str| error.and_then(|error| error.get_str(field));
    in_band_of(text("type"), text("message"))
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
    let mut body = Object::begin(out);
    body.str("type", "error");
    let mut error = body.object("error");
    error.str("type", type_of(fault));
    let is_unsaid = fault.kind == Kind::ContextLength && !fault.message.to_ascii_lowercase().contains(TOO_LONG);
    if is_unsaid {
        error.str("message", &format!("{TOO_LONG}: {}", fault.message));
    } else {
        error.str("message", &fault.message);
    }
    error.end();
    body.end();
}

pub(super) fn encode_event(fault: &Fault, out: &mut Vec<u8>) {
    let mut data = Vec::with_capacity(128);
    encode(fault, &mut data);
    write_event(out, "error", &data);
}

fn type_of(fault: &Fault) -> &'static str {
    match fault.kind {
        Kind::InvalidKey => "authentication_error",
        Kind::ModelNotAllowed | Kind::NetworkNotAllowed => "permission_error",
        Kind::NotFound | Kind::ModelNotFound => "not_found_error",
        Kind::RequestTooLarge => "request_too_large",
        Kind::BudgetExceeded => "billing_error",
        Kind::RateLimited | Kind::UpstreamRateLimited | Kind::UpstreamSpendCap => "rate_limit_error",
        Kind::Overloaded | Kind::Draining => "overloaded_error",
        Kind::UpstreamInBand => match fault.code.as_deref() {
            Some("overloaded_error") => "overloaded_error",
            Some("rate_limit_error" | "rate_limit_exceeded") => "rate_limit_error",
            Some("invalid_request_error") => "invalid_request_error",
            _ => "api_error",
        },
        Kind::UpstreamRefused => match fault.upstream_status {
            Some(404) => "not_found_error",
            Some(413) => "request_too_large",
            _ => "invalid_request_error",
        },
        Kind::InvalidRequest | Kind::HeadTooLarge | Kind::UnsupportedEncoding | Kind::ContextLength | Kind::ContentFilter => {
            "invalid_request_error"
        }
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(word: &str, message: &str) -> Vec<u8> {
        format!(r#"{{"type":"error","error":{{"type":"{word}","message":"{message}"}}}}"#).into_bytes()
    }

    #[test]
    fn every_error_of_the_documentation_has_its_kind() {
        for (status, word, message, expected) in [
            (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", Kind::ContextLength),
            (
                400,
                "invalid_request_error",
                "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
                Kind::ContextLength,
            ),
            (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", Kind::UpstreamSpendCap),
            (400, "invalid_request_error", "This model does not support assistant message prefill.", Kind::PrefillRefused),
            (400, "invalid_request_error", "The conversation must end with a user message.", Kind::PrefillRefused),
            (400, "invalid_request_error", "messages: final assistant content cannot end with trailing whitespace", Kind::PrefillRefused),
            (400, "invalid_request_error", "Output blocked by content filtering policy", Kind::ContentFilter),
            (400, "invalid_request_error", "max_tokens: Field required", Kind::UpstreamRefused),
            (401, "authentication_error", "invalid x-api-key", Kind::UpstreamAuth),
            (403, "permission_error", "no", Kind::UpstreamAuth),
            (404, "not_found_error", "model: claude-x", Kind::UpstreamRefused),
            (413, "request_too_large", "too large", Kind::UpstreamRefused),
            (429, "rate_limit_error", "slow down", Kind::UpstreamRateLimited),
            (500, "api_error", "oops", Kind::UpstreamError),
            (529, "overloaded_error", "Overloaded", Kind::UpstreamError),
        ] {
            assert_eq!(decode(status, &body(word, message)).kind, expected, "{status} {message}");
        }
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
    fn a_long_prompt_is_told_in_the_words_that_clients_look_for() {
        let mut out = Vec::new();
        encode(&Fault::new(Kind::ContextLength, "maximum context length is 8192 tokens"), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: maximum context length is 8192 tokens"}}"#
        );
    }

    #[test]
    fn an_error_event_stands_alone() {
        let mut out = Vec::new();
        encode_event(&Fault::new(Kind::UpstreamCut, "stream ended"), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"stream ended\"}}\n\n"
        );
    }
}
