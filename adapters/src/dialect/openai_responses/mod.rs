//! The openai-responses dialect: `/v1/responses` of OpenAI and Azure.
//!
//! platform.openai.com/docs/api-reference/responses, read 2026-11-20. Cost of a streamed event that is translated: one borrowed
//! tree of the event, one owned string per delta; encoding also keeps the text, which the closing events repeat.

use serde_json::{Map, Value};

use super::openai::error;
use super::{AsksIn, Dialect, DialectId};
use crate::frame::Framing;
use crate::ir::Extra;

mod answer;
mod encode;
mod item;
mod request;
mod response;
mod stream;
mod tap;
mod usage;

pub(super) const ROW: Dialect = Dialect {
    id: ME,
    name: "openai-responses",
    chat_path: "/responses",
    framing: Framing::Sse,
    framing_asked: None,
    asks_in: AsksIn::Body,
    decode_request: |body| request::decode(body),
    encode_request: encode::encode,
    decode_answer: answer::decode,
    stream_decoder: || Box::new(stream::Decoder::default()),
    encode_answer: answer::encode,
    stream_encoder: |client| Box::new(stream::Encoder::new(client)),
    end_marker: b"response.completed",
    asked_usage: None,
    tap: || Box::new(tap::ResponsesTap::default()),
    counted_tokens: "input_tokens",
    encode_error: error::encode,
    encode_error_event: |fault, _, out| response::failed_event(&response::Head::default(), 0, fault, out),
    rate_fields: super::openai::RATE_FIELDS,
    decode_error: error::decode,
};

const ME: DialectId = DialectId::OpenaiResponses;

/// Private mark that keeps an item's own members: id, status, phase.
const ITEM: &str = "item";
/// Private mark of a part that stands in the same message item as the part before it.
const JOINED: &str = "joined";
/// Private mark of a system block that came as an input item, with its role; without it the block is `instructions`.
const ROLE: &str = "role";
/// Private mark of a call or result of a custom tool, whose input is free text.
const CUSTOM: &str = "custom";
/// Private mark before thinking that begins another part of the same summary.
const BREAK: &str = "summary_break";
/// Private mark of thinking that is no summary but the text itself (`reasoning_text`).
const RAW: &str = "reasoning_text";
/// Where a private delta keeps an event of an item that only this dialect knows.
const EVENT: &str = "event";
/// What stands between two parts of a summary for those who know only one text.
const PARAGRAPH: &str = "\n\n";

/// The object behind a mark.
fn marked<'e>(extra: &'e Extra, mark: &str) -> Option<&'e Map<String, Value>> {
    extra.of(ME).and_then(|fields| fields.get(mark)).and_then(Value::as_object)
}

fn has(extra: &Extra, mark: &str) -> bool {
    extra.of(ME).is_some_and(|fields| fields.contains_key(mark))
}

#[cfg(test)]
mod tests;
