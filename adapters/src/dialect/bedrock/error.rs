//! Errors in Bedrock's shape: `{"message"}` with `x-amzn-errortype`, and exception frames inside streams.
//!
//! docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html and API_runtime_Converse.html#API_runtime_Converse_Errors,
//! read 2026-11-20, and recorded traffic.

use serde_json::Value;

use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::frame::event_stream::{Frame, Message, begin_exception, end_frame};
use crate::json::build::Object;

/// Longest message of a provider that is kept, bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// What the context-length error of this dialect says; clients look for it to shorten their history.
const TOO_LONG: &str = "Input is too long for requested model";

/// What a message says, lower case, first match wins. Errors that came through another dialect keep their own words.
const PHRASES: &[(&str, Kind)] = &[
    ("input is too long", Kind::ContextLength),
    ("prompt is too long", Kind::ContextLength),
    ("too many input tokens", Kind::ContextLength),
    ("exceed context limit", Kind::ContextLength),
    ("exceeds the context window", Kind::ContextLength),
    ("maximum context length", Kind::ContextLength),
    ("maximum tokens you requested exceeds", Kind::ContextLength),
    ("too many tokens per day", Kind::UpstreamSpendCap),
    ("credit balance is too low", Kind::UpstreamSpendCap),
    ("reached your specified api usage limits", Kind::UpstreamSpendCap),
    ("exceeded your current quota", Kind::UpstreamSpendCap),
    ("does not support assistant message prefill", Kind::PrefillRefused),
    ("must end with a user message", Kind::PrefillRefused),
    ("final assistant content cannot end with trailing whitespace", Kind::PrefillRefused),
    ("content filtering policy", Kind::ContentFilter),
    ("content management policy", Kind::ContentFilter),
    ("blocked by our content filters", Kind::ContentFilter),
    ("safety system", Kind::ContentFilter),
];

/// Statuses and what they mean where the message says nothing.
/// 424 is `ModelErrorException`, 429 also `ModelNotReadyException`, 408 `ModelTimeoutException`.
pub(in crate::dialect) fn decode(status: u16, body: &[u8]) -> Fault {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let message = ["message", "Message"].iter().find_map(|name| json[*name].as_str()).unwrap_or_default();
    let lower = message.to_ascii_lowercase();
    let said = PHRASES.iter().find(|(phrase, _)| lower.contains(phrase)).map(|row| row.1);
    let kind = match (status, said) {
        (401 | 403, _) => Kind::UpstreamAuth,
        (402, _) | (429, Some(Kind::UpstreamSpendCap)) => Kind::UpstreamSpendCap,
        (429, _) => Kind::UpstreamRateLimited,
        (408 | 409 | 424 | 500.., _) => Kind::UpstreamError,
        (_, Some(kind)) => kind,
        _ => Kind::UpstreamRefused,
    };
    let mut fault = match message {
        "" => Fault::new(kind, format!("provider answered status {status} without a reason")),
        message => Fault::new(kind, bounded(message)),
    };
    fault.upstream_status = Some(status);
    if kind == Kind::UpstreamRefused && (status == 404 || lower.contains("model identifier is invalid")) {
        fault.code = Some(Kind::ModelNotFound.code().into());
    }
    fault
}

fn bounded(message: &str) -> String {
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

/// The fault that an exception or error frame reports; `None` for an event.
pub(in crate::dialect) fn in_band(frame: &Frame<'_>) -> Option<Fault> {
    let (word, message) = match frame.message() {
        Message::Event(_) => return None,
        Message::Exception(word) => {
            let json: Value = serde_json::from_slice(frame.payload).unwrap_or(Value::Null);
            let message = ["message", "Message", "originalMessage"].iter().find_map(|name| json[*name].as_str());
            (word, message.map(bounded))
        }
        Message::Error(word) => (word, Some(bounded(frame.text(":error-message"))).filter(|message| !message.is_empty())),
    };
    let message = message.unwrap_or_else(|| "provider reported an error without a reason".to_owned());
    let mut fault = Fault::new(Kind::UpstreamInBand, message);
    fault.code = Some(word).filter(|word| !word.is_empty()).map(Into::into);
    Some(fault)
}

pub(in crate::dialect) fn encode(fault: &Fault, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    let lower = fault.message.to_ascii_lowercase();
    let is_said = lower.contains("is too long");
    let is_unsaid = fault.kind == Kind::ContextLength && !is_said;
    match is_unsaid {
        true => body.str("message", &format!("{TOO_LONG}: {}", fault.message)),
        false => body.str("message", &fault.message),
    }
    body.end();
}

/// The one exception of a broken stream.
pub(in crate::dialect) fn encode_event(fault: &Fault, _: Framing, out: &mut Vec<u8>) {
    let start = begin_exception(out, exception_of(fault));
    encode(fault, out);
    end_frame(out, start);
}

/// The value of `x-amzn-errortype`, from which SDKs take the class of an error.
pub(in crate::dialect) fn type_of(fault: &Fault) -> &'static str {
    match fault.kind {
        Kind::InvalidKey => "UnrecognizedClientException",
        Kind::ModelNotAllowed | Kind::NetworkNotAllowed => "AccessDeniedException",
        Kind::NotFound | Kind::ModelNotFound => "ResourceNotFoundException",
        Kind::BudgetExceeded | Kind::UpstreamSpendCap => "ServiceQuotaExceededException",
        Kind::RateLimited | Kind::UpstreamRateLimited => "ThrottlingException",
        Kind::Overloaded | Kind::Draining => "ServiceUnavailableException",
        Kind::UpstreamTimeout | Kind::UpstreamStalled | Kind::RequestTimeout => "ModelTimeoutException",
        Kind::UpstreamRefused if fault.upstream_status == Some(404) => "ResourceNotFoundException",
        Kind::Internal => "InternalServerException",
        kind if kind.status() < 500 => "ValidationException",
        _ => "ModelErrorException",
    }
}

/// The exceptions that a stream may end with.
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html, read 2026-11-20
const EXCEPTIONS: &[&str] =
    &["internalServerException", "modelStreamErrorException", "validationException", "throttlingException", "serviceUnavailableException"];

fn exception_of(fault: &Fault) -> &'static str {
    if let Some(own) = fault.code.as_deref().and_then(|code| EXCEPTIONS.iter().find(|own| **own == code)) {
        return own;
    }
    match fault.kind {
        Kind::RateLimited | Kind::UpstreamRateLimited | Kind::UpstreamSpendCap | Kind::BudgetExceeded => "throttlingException",
        Kind::Overloaded | Kind::Draining => "serviceUnavailableException",
        Kind::Internal => "internalServerException",
        Kind::ContextLength | Kind::ContentFilter | Kind::InvalidRequest => "validationException",
        _ => "modelStreamErrorException",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::event_stream::EventStreamSplitter;

    #[test]
    fn every_error_of_the_documentation_has_its_kind() {
        for (status, message, expected) in [
            (400, "Input is too long for requested model.", Kind::ContextLength),
            (400, "The model returned the following errors: prompt is too long: 210000 tokens > 200000 maximum", Kind::ContextLength),
            (400, "Too many input tokens. Max input tokens: 8192, request input token count: 9000", Kind::ContextLength),
            (400, "The provided model identifier is invalid.", Kind::UpstreamRefused),
            (403, "The security token included in the request is expired", Kind::UpstreamAuth),
            (404, "Could not resolve the foundation model", Kind::UpstreamRefused),
            (408, "Model has timed out in processing the request.", Kind::UpstreamError),
            (424, "The request failed due to an error while processing the model.", Kind::UpstreamError),
            (429, "Too many requests, please wait before trying again.", Kind::UpstreamRateLimited),
            (429, "Too many tokens per day, please wait before trying again.", Kind::UpstreamSpendCap),
            (500, "oops", Kind::UpstreamError),
            (503, "Model is getting throttled. Try your request again.", Kind::UpstreamError),
        ] {
            let body = format!(r#"{{"message":"{message}"}}"#);
            let fault = decode(status, body.as_bytes());
            assert_eq!((fault.kind, fault.upstream_status, fault.message.as_ref()), (expected, Some(status), message));
        }
        assert_eq!(decode(400, br#"{"message":"The provided model identifier is invalid."}"#).code.as_deref(), Some("model_not_found"));
    }

    #[test]
    fn a_body_that_is_no_error_still_gives_a_fault() {
        for bytes in [&b""[..], b"<html>", b"[]", b"{\"message\":7}", b"\xff"] {
            assert_eq!(decode(503, bytes).message, "provider answered status 503 without a reason");
        }
    }

    #[test]
    fn a_long_prompt_is_told_in_the_words_that_clients_look_for() {
        let mut out = Vec::new();
        encode(&Fault::new(Kind::ContextLength, "maximum context length is 8192 tokens"), &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#"{"message":"Input is too long for requested model: maximum context length is 8192 tokens"}"#);
    }

    #[test]
    fn a_broken_stream_ends_with_an_exception_that_reads_back() {
        for (kind, code, exception) in [
            (Kind::UpstreamCut, None, "modelStreamErrorException"),
            (Kind::Draining, None, "serviceUnavailableException"),
            (Kind::UpstreamInBand, Some("throttlingException"), "throttlingException"),
            (Kind::UpstreamInBand, Some("overloaded_error"), "modelStreamErrorException"),
        ] {
            let mut fault = Fault::new(kind, "it broke");
            fault.code = code.map(Into::into);
            let mut out = Vec::new();
            encode_event(&fault, Framing::EventStream, &mut out);
            let mut again = None;
            let looked = EventStreamSplitter::default().feed(&out, |frame| {
                again = in_band(&frame);
                Ok(())
            });
            looked.unwrap();
            let again = again.unwrap();
            assert_eq!((again.kind, again.message.as_ref(), again.code.as_deref()), (Kind::UpstreamInBand, "it broke", Some(exception)));
        }
    }
}
