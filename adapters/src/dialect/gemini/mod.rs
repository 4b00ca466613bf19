//! The gemini dialect: generateContent requests, answers, streams and errors, of the Gemini API and of Vertex AI.
//!
//! The model and whether the answer is streamed stand in the path alone. Names are protobuf's: `camelCase` and `snake_case` are
//! read, `camelCase` is written. ai.google.dev/api/generate-content, read 2026-11-20, and recorded traffic.

mod answer;
mod base64;
mod chunk;
mod config_decode;
mod config_encode;
mod error;
mod finish;
mod fold;
mod logprobs;
mod media;
mod name;
mod partial_args;
mod parts_decode;
mod parts_encode;
mod request_decode;
mod request_encode;
mod schema;
mod signature;
mod split;
mod stream_decode;
mod stream_encode;
mod tap;
#[cfg(test)]
mod tests;
mod thinking;
mod tools_decode;
mod tools_encode;
mod usage;

use serde_json::{Map, Value};

use super::{AsksIn, Dialect, DialectId, RateFields, ResetForm};
use crate::frame::Framing;
use crate::ir::Extra;

pub(super) const ROW: Dialect = Dialect {
    id: DialectId::Gemini,
    name: "gemini",
    chat_path: "/v1beta/models/{model}:generateContent",
    framing: Framing::JsonArray,
    framing_asked: Some(("alt=sse", Framing::Sse)),
    asks_in: AsksIn::Path,
    decode_request: request_decode::decode,
    encode_request: request_encode::encode,
    decode_answer: answer::decode,
    stream_decoder: || Box::new(stream_decode::Decoder::default()),
    encode_answer: answer::encode,
    stream_encoder: |client| Box::new(stream_encode::Encoder::new(client)),
    end_marker: b"finishReason",
    asked_usage: None,
    tap: || Box::new(tap::GeminiTap::default()),
    counted_tokens: "totalTokens",
    encode_error: error::encode,
    encode_error_event: error::encode_event,
    rate_fields: RATE_FIELDS,
    decode_error: error::decode,
};

/// The API tells no limits in its answers; the names that most clients know.
const RATE_FIELDS: RateFields = RateFields {
    prefix: "x-ratelimit-",
    requests: ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    tokens: ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    reset: ResetForm::Span,
};

const ID: DialectId = DialectId::Gemini;

/// Private fields; nothing where there are none.
fn extra(fields: Map<String, Value>) -> Extra {
    if fields.is_empty() { Extra::default() } else { Extra { dialect: Some(ID), fields } }
}
