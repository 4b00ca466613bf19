//! The bedrock-converse dialect: Converse and ConverseStream requests, answers, streams and errors.
//!
//! docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and API_runtime_ConverseStream.html, read
//! 2026-11-20, and recorded traffic. The path names the model and says whether it streams; no body does.

mod answer;
mod block;
mod blocks_encode;
mod content;
pub(super) mod fields;
mod order;
mod request_decode;
mod request_encode;
pub(super) mod stream_decode;
mod stream_encode;
pub(super) mod tap;
#[cfg(test)]
mod tests;
pub(super) mod usage;

pub(super) use answer::decode_tree;

use serde_json::{Map, Value};

use super::{AsksIn, Dialect, DialectId, bedrock};
use crate::frame::Framing;
use crate::ir::Extra;
use crate::json::tree::Json;

pub(super) const ROW: Dialect = Dialect {
    id: DialectId::BedrockConverse,
    name: "bedrock-converse",
    chat_path: "/converse",
    framing: Framing::EventStream,
    framing_asked: None,
    asks_in: AsksIn::Path,
    decode_request: request_decode::decode,
    encode_request: request_encode::encode,
    decode_answer: answer::decode,
    stream_decoder: || Box::new(stream_decode::Decoder::new()),
    encode_answer: answer::encode,
    stream_encoder: |client| Box::new(stream_encode::Encoder::new(client)),
    // The last event: it holds the usage and stands behind `messageStop`.
    end_marker: b"metadata",
    asked_usage: None,
    tap: || Box::new(tap::ConverseTap::default()),
    counted_tokens: "inputTokens",
    encode_error: bedrock::error::encode,
    encode_error_event: bedrock::error::encode_event,
    rate_fields: bedrock::RATE_FIELDS,
    decode_error: bedrock::error::decode,
};

const ID: DialectId = DialectId::BedrockConverse;

/// Private fields; nothing where there are none.
fn extra(fields: Map<String, Value>) -> Extra {
    if fields.is_empty() { Extra::default() } else { Extra { dialect: Some(ID), fields } }
}

/// The fields of `value` but for `taken`.
fn rest(value: Json<'_, '_>, taken: &[&str]) -> Extra {
    let fields = value.object().into_iter().flatten().filter(|(name, _)| !taken.contains(name));
    extra(fields.map(|(name, value)| (name.to_owned(), value.value())).collect())
}
