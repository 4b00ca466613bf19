//! The bedrock-invoke dialect: InvokeModel with Anthropic's bodies, in whose codec it speaks.
//!
//! docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html, read
//! 2026-11-20, and recorded traffic. The body names no model and no mode; each frame of a stream holds one of Anthropic's events
//! in base64. Nova's answers, which have Converse's shape, are read, too. Bodies of other families (Titan, Llama, Cohere, AI21)
//! go through untouched: only what they used is read.

mod chunk;
mod metrics;
mod stream_decode;
mod stream_encode;
mod tap;
#[cfg(test)]
mod tests;

use super::anthropic::request_encode::{Host, VERSION, encode_for};
use super::{AsksIn, Client, Dialect, DialectId, Target, anthropic, bedrock, bedrock_converse};
use crate::event::Event;
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::ir::{Chat, Loss};
use crate::json::tree::Tree;

pub(super) const ROW: Dialect = Dialect {
    id: DialectId::BedrockInvoke,
    name: "bedrock-invoke",
    chat_path: "/invoke",
    framing: Framing::EventStream,
    framing_asked: None,
    asks_in: AsksIn::Path,
    decode_request,
    encode_request,
    decode_answer,
    stream_decoder: || Box::new(stream_decode::Decoder::new()),
    encode_answer,
    stream_encoder: |client| Box::new(stream_encode::Encoder::new(client)),
    // `"type":"message_stop"` begins a chunk, so that its base64 begins so; Nova's and others' last chunks are told by the tap.
    end_marker: b"eyJ0eXBlIjoibWVzc2FnZV9zdG9w",
    asked_usage: None,
    tap: || Box::new(tap::InvokeTap::default()),
    counted_tokens: "inputTokens",
    encode_error: bedrock::error::encode,
    encode_error_event: bedrock::error::encode_event,
    rate_fields: bedrock::RATE_FIELDS,
    decode_error: bedrock::error::decode,
};

/// The version that Bedrock demands in an Anthropic body.
const ANTHROPIC_VERSION: &str = "bedrock-2023-05-31";

fn decode_request(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let mut chat = anthropic::request_decode::decode(body).map_err(|fault| match fault.param.as_deref() {
        // A body of another family.
        Some("model" | "messages") => Fault::new(
            Kind::InvalidRequest,
            "body: only Anthropic's bodies (anthropic_version, messages, max_tokens) are translated; ask a model of this provider or write one",
        ),
        _ => fault,
    })?;
    chat.extra.fields.shift_remove(VERSION);
    Ok(chat)
}

fn encode_request(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    encode_for(Host::Other(ANTHROPIC_VERSION), chat, target, out, losses)
}

fn decode_answer(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    if !is_nova(body) {
        return anthropic::answer::decode(body, events);
    }
    let tree = Tree::parse(body).map_err(|_| Fault::new(Kind::MalformedResponse, "answer is not valid JSON"))?;
    bedrock_converse::decode_tree(tree.root(), events)
}

/// An answer with `output` at its top, or an error with status 200.
fn is_nova(body: &[u8]) -> bool {
    let mut has_output = false;
    let read = crate::json::scan::Cursor::new(body).object(|key, _| {
        has_output |= matches!(key, b"output" | b"message");
        Ok(())
    });
    read.is_ok() && has_output
}

fn encode_answer(events: &[Event], client: &Client<'_>, out: &mut Vec<u8>) {
    match events.iter().find_map(|event| if let Event::Fault(fault) = event { Some(fault) } else { None }) {
        Some(fault) => bedrock::error::encode(fault, out),
        None => anthropic::answer::encode(events, client, out),
    }
}
