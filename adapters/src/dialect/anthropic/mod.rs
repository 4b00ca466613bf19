//! The anthropic dialect: Messages requests, answers, streams and errors.
//!
//! docs.anthropic.com/en/api/messages and /messages-streaming, read 2026-11-20, and recorded traffic.

pub(super) mod answer;
mod blocks;
pub(super) mod blocks_encode;
mod content;
pub(super) mod error;
pub(super) mod reasoning;
pub(super) mod request_decode;
pub(super) mod request_encode;
pub(super) mod request_fit;
pub(super) mod stream_decode;
pub(super) mod stream_encode;
pub(super) mod tap;
#[cfg(test)]
mod tests;
mod usage;

use serde_json::{Map, Value};

use super::{AsksIn, Dialect, DialectId, RateFields, ResetForm};
use crate::frame::Framing;
use crate::ir::Extra;

pub(super) const ROW: Dialect = Dialect {
    id: DialectId::Anthropic,
    name: "anthropic",
    chat_path: "/v1/messages",
    framing: Framing::Sse,
    framing_asked: None,
    asks_in: AsksIn::Body,
    decode_request: request_decode::decode,
    encode_request: request_encode::encode,
    decode_answer: answer::decode,
    stream_decoder: || Box::new(stream_decode::Decoder::new()),
    encode_answer: answer::encode,
    stream_encoder: |client| Box::new(stream_encode::Encoder::new(client)),
    end_marker: b"message_stop",
    asked_usage: None,
    tap: || Box::new(tap::AnthropicTap::default()),
    counted_tokens: "input_tokens",
    encode_error: error::encode,
    encode_error_event: |fault, _, out| error::encode_event(fault, out),
    rate_fields: RATE_FIELDS,
    decode_error: error::decode,
};

// docs.anthropic.com/en/api/rate-limits#response-headers, read 2026-11-20.
const RATE_FIELDS: RateFields = RateFields {
    prefix: "anthropic-ratelimit-",
    requests: ["anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"],
    tokens: ["anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"],
    reset: ResetForm::Time,
};

const ID: DialectId = DialectId::Anthropic;

/// Private fields; nothing where there are none.
fn extra(fields: Map<String, Value>) -> Extra {
    if fields.is_empty() { Extra::default() } else { Extra { dialect: Some(ID), fields } }
}
