//! Errors in Cohere's shape: `{"id","message"}`.
//!
//! docs.cohere.com/v2/reference/errors, read 2026-11-20, and recorded errors.

use crate::dialect::openai;
use crate::fault::{Fault, Kind};
use crate::frame::sse::write_event;
use crate::json::build::Object;
use crate::json::node::Object as Members;

/// Cohere's own statuses: 498 is a request that its filter refused, 499 one that was cancelled.
const STATUS_FILTERED: u16 = 498;

/// What the error of a long prompt says; clients look for it to shorten their history.
const TOO_LONG: &str = "too many tokens";

/// What is said of money that is used up. Such a 429 is not mended by a repeat.
const SPEND_WORDS: &[&str] = &["trial key", "monthly limit", "billing"];

pub(super) fn decode(status: u16, body: &[u8]) -> Fault {
    let mut fault = openai::error::decode(status, body);
    let lower = fault.message.to_ascii_lowercase();
    if status == STATUS_FILTERED {
        fault.kind = Kind::ContentFilter;
    } else if fault.kind == Kind::UpstreamRateLimited && SPEND_WORDS.iter().any(|word| lower.contains(word)) && lower.contains("month") {
        fault.kind = Kind::UpstreamSpendCap;
    } else if status == 404 && fault.kind == Kind::UpstreamRefused && lower.starts_with("model ") {
        fault.code = Some(Kind::ModelNotFound.code().into());
    }
    fault
}

/// An error inside a stream, or a finish that says that the provider broke off.
pub(super) fn in_band(message: Option<&str>, word: &str) -> Fault {
    let said = match message.filter(|message| !message.is_empty()) {
        Some(message) => message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned(),
        None => format!("provider broke its answer off ({word}) without a reason"),
    };
    Fault::new(Kind::UpstreamInBand, said)
}

/// Longest message of a provider that is kept, bytes.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The error of an event that says that the answer broke off; `None` for any other.
pub(super) fn of_delta(delta: &mut Members<'_>) -> Option<Fault> {
    let word = delta.look_text("finish_reason").unwrap_or_default().to_owned();
    let message = delta.take_text("error");
    (message.is_some() || super::BROKEN.contains(&word.as_str())).then(|| in_band(message.as_deref(), &word))
}

pub(super) fn encode(fault: &Fault, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    fill(fault, &mut body);
    body.end();
}

pub(super) fn fill(fault: &Fault, body: &mut Object<'_>) {
    let is_unsaid = fault.kind == Kind::ContextLength && !fault.message.to_ascii_lowercase().contains(TOO_LONG);
    if is_unsaid {
        body.str("message", &format!("{TOO_LONG}: {}", fault.message));
    } else {
        body.str("message", &fault.message);
    }
    // Not of the documentation; this is how a client tells faults of one status apart, as in the other dialects.
    body.str("code", fault.code());
}

/// `message-end` with the finish that says so: SDKs raise or stop on it, none takes it for a clean end.
pub(super) fn encode_event(fault: &Fault, out: &mut Vec<u8>) {
    let mut data = Vec::with_capacity(192);
    let mut body = Object::begin(&mut data);
    body.str("type", "message-end");
    let mut delta = body.object("delta");
    delta.str("finish_reason", "ERROR");
    delta.str("error", &fault.message);
    delta.end();
    fill(fault, &mut body);
    body.end();
    write_event(out, "message-end", &data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_error_has_its_kind() {
        for (status, message, expected) in [
            (400, "too many tokens: size limit exceeded by 25836 tokens. The limit for this model is 288000 tokens.", Kind::ContextLength),
            (400, "invalid request: message must be at least 1 token long", Kind::UpstreamRefused),
            (401, "Incorrect API key provided: ***", Kind::UpstreamAuth),
            (404, "model 'command-r' was removed on September 15, 2025.", Kind::UpstreamRefused),
            (422, "unknown field: parameter 'x' is not a valid field", Kind::UpstreamRefused),
            (429, "You are using a Trial key, which is limited to 1000 API calls / month.", Kind::UpstreamSpendCap),
            (429, "You are past the per minute request limit, please wait and try again later.", Kind::UpstreamRateLimited),
            (498, "blocked input", Kind::ContentFilter),
            (500, "internal server error", Kind::UpstreamError),
        ] {
            let body = serde_json::json!({"id": "1", "message": message}).to_string();
            assert_eq!(decode(status, body.as_bytes()).kind, expected, "{status} {message}");
        }
        assert_eq!(decode(404, br#"{"message":"model 'x' not found"}"#).code(), "model_not_found");
    }

    #[test]
    fn an_error_is_its_message_and_its_code() {
        let mut out = Vec::new();
        encode(&Fault::new(Kind::InvalidKey, "no such key"), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"message":"no such key","code":"invalid_api_key"}"#);
    }
}
