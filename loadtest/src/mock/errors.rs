//! Refusals in each dialect's own shape.
//!
//! platform.openai.com/docs/guides/error-codes, docs.anthropic.com/en/api/errors and cloud.google.com/apis/design/errors, read
//! 2026-11-20.

use serde_json::{Value, json};

use super::endpoint::{Endpoint, Family};
use super::wire::{Piece, PieceRole};

/// What a provider refuses for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    RateLimit,
    SpendCap,
    Server,
    Unavailable,
    Overloaded,
    Authentication,
    ContextLength,
    ContentFilter,
    Prefill,
    NotFound,
}

/// How one refusal reads: status, OpenAI type and code, Anthropic status and type, message.
struct Row {
    refusal: Refusal,
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    anthropic_status: u16,
    anthropic_kind: &'static str,
    message: &'static str,
}

const fn row(
    refusal: Refusal,
    (status, kind, code): (u16, &'static str, Option<&'static str>),
    (anthropic_status, anthropic_kind): (u16, &'static str),
    message: &'static str,
) -> Row {
    Row { refusal, status, kind, code, anthropic_status, anthropic_kind, message }
}

const INVALID: &str = "invalid_request_error";

const ROWS: &[Row] = &[
    row(
        Refusal::RateLimit,
        (429, "requests", Some("rate_limit_exceeded")),
        (429, "rate_limit_error"),
        "Rate limit reached for requests. Please try again in 1s.",
    ),
    row(
        Refusal::SpendCap,
        (429, "insufficient_quota", Some("insufficient_quota")),
        (400, INVALID),
        "You exceeded your current quota: your credit balance is too low. Please check your plan and billing details.",
    ),
    row(
        Refusal::Server,
        (500, "server_error", None),
        (500, "api_error"),
        "The server had an error while processing your request. Sorry about that!",
    ),
    row(
        Refusal::Unavailable,
        (503, "service_unavailable_error", None),
        (503, "api_error"),
        "The engine is currently overloaded, please try again later.",
    ),
    row(Refusal::Overloaded, (529, "overloaded_error", None), (529, "overloaded_error"), "Overloaded"),
    row(
        Refusal::Authentication,
        (401, INVALID, Some("invalid_api_key")),
        (401, "authentication_error"),
        "Incorrect API key provided: invalid x-api-key.",
    ),
    row(
        Refusal::ContextLength,
        (400, INVALID, Some("context_length_exceeded")),
        (400, INVALID),
        "prompt is too long: 210000 tokens > 200000 maximum. This model's maximum context length is 200000 tokens.",
    ),
    row(
        Refusal::ContentFilter,
        (400, INVALID, Some("content_filter")),
        (400, INVALID),
        "Output blocked by content filtering policy: the prompt triggered the content management policy.",
    ),
    row(
        Refusal::Prefill,
        (400, INVALID, None),
        (400, INVALID),
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    ),
    row(Refusal::NotFound, (404, INVALID, Some("not_found")), (404, "not_found_error"), "No such path in the mock."),
];

/// Status and body of a refusal.
pub(super) fn refuse(refusal: Refusal, family: Family) -> (u16, Value) {
    let row = ROWS.iter().find(|row| row.refusal == refusal).unwrap_or(&ROWS[0]);
    match family {
        Family::OpenAi => (row.status, json!({"error": {"message": row.message, "type": row.kind, "param": null, "code": row.code}})),
        Family::Google => (row.status, json!({"error": {"code": row.status, "message": row.message, "status": google_word(row.status)}})),
        Family::Bedrock => (bedrock_status(row), json!({"message": row.message})),
        Family::Anthropic => (
            row.anthropic_status,
            json!({"type": "error", "error": {"type": row.anthropic_kind, "message": row.message}, "request_id": "req_mock"}),
        ),
        Family::Cohere => (row.status, json!({"id": "mock", "message": row.message})),
        Family::Ollama => (row.status, json!({"error": row.message})),
    }
}

/// The name of a status in Google's errors.
fn google_word(status: u16) -> &'static str {
    match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        _ => "UNAVAILABLE",
    }
}

/// Bedrock has no 401 and no 529.
fn bedrock_status(row: &Row) -> u16 {
    match row.status {
        401 => 403,
        529 => 503,
        status => status,
    }
}

/// The class that Bedrock names in `x-amzn-errortype`.
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors, read 2026-11-20
pub(super) fn amazon_type(status: u16) -> &'static str {
    match status {
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

/// The error event that a dialect sends inside a stream that began well.
pub(super) fn inband(endpoint: Endpoint) -> Piece {
    match endpoint {
        Endpoint::Messages => {
            Piece::named(PieceRole::Frame, &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}))
        }
        Endpoint::Cohere => Piece::named(PieceRole::Frame, &super::cohere::inband()),
        Endpoint::Ollama => Piece::line(PieceRole::Frame, &super::ollama::inband()),
        Endpoint::ConverseStream | Endpoint::InvokeStream => super::bedrock::exception("The system encountered an unexpected error."),
        Endpoint::Responses => {
            let message = "The server had an error processing your request.";
            Piece::named(
                PieceRole::Frame,
                &json!({"type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 1}),
            )
        }
        Endpoint::Gemini => Piece::data(PieceRole::Frame, &refuse(Refusal::Unavailable, Family::Google).1),
        _ => Piece::data(PieceRole::Frame, &refuse(Refusal::Server, Family::OpenAi).1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_row() {
        let all = [
            Refusal::RateLimit,
            Refusal::SpendCap,
            Refusal::Server,
            Refusal::Unavailable,
            Refusal::Overloaded,
            Refusal::Authentication,
            Refusal::ContextLength,
            Refusal::ContentFilter,
            Refusal::Prefill,
            Refusal::NotFound,
        ];
        assert_eq!(all.len(), ROWS.len());
        for refusal in all {
            assert!(ROWS.iter().any(|row| row.refusal == refusal), "{refusal:?}");
        }
        assert_eq!(refuse(Refusal::Overloaded, Family::Anthropic).1["error"]["type"], "overloaded_error");
    }
}
