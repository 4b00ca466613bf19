//! The openai-completions dialect: `/v1/completions`, the text interface before chat, of OpenAI and those who imitate it.
//!
//! platform.openai.com/docs/api-reference/completions, read 2026-11-20. It has one text instead of a conversation: a prompt is the user's
//! one message, and only such a conversation becomes a prompt without loss. Cost of a streamed event that is translated: as openai-chat.

mod answer;
mod encode;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod write;

use serde_json::Value;

use super::openai::error;
use super::{AsksIn, Dialect, DialectId, openai_chat};
use crate::event::Finish;
use crate::frame::Framing;
use crate::ir::Extra;

pub(super) const ROW: Dialect = Dialect {
    id: ME,
    name: "openai-completions",
    chat_path: "/completions",
    framing: Framing::Sse,
    framing_asked: None,
    asks_in: AsksIn::Body,
    decode_request: |body| request::decode(body),
    encode_request: encode::encode,
    decode_answer: answer::decode,
    stream_decoder: || Box::new(stream::Decoder::default()),
    encode_answer: write::encode,
    stream_encoder: |client| Box::new(write::Encoder::new(client)),
    end_marker: b"[DONE]",
    asked_usage: Some(openai_chat::is_asked_usage),
    tap: openai_chat::tap,
    counted_tokens: "input_tokens",
    encode_error: error::encode,
    encode_error_event: |fault, _, out| openai_chat::encode_error_event(fault, out),
    rate_fields: super::openai::RATE_FIELDS,
    decode_error: error::decode,
};

const ME: DialectId = DialectId::OpenaiCompletions;

/// Private mark of a prompt that came as a list of one.
const LISTED: &str = "listed";
/// Where a finish keeps the provider's own word, if the hub's leads to another.
const FINISH_REASON: &str = "finish_reason";

// platform.openai.com/docs/api-reference/completions/object, read 2026-11-20; `eos` is Together's. The last is the gateway's own, for
// an answer that called a tool, which this dialect cannot show.
const FINISHES: &[(&str, Finish)] = &[
    ("stop", Finish::Stop),
    ("length", Finish::Length),
    ("content_filter", Finish::ContentFilter),
    ("eos", Finish::Stop),
    ("tool_calls", Finish::ToolCalls),
];

/// A finish and the private fields that bring its own word back.
fn read_finish(word: &str, extra: &mut Extra) -> Finish {
    let reason = FINISHES.iter().find(|row| row.0 == word).map_or_else(|| Finish::Other(word.to_owned()), |row| row.1.clone());
    if finish_word(&reason, &Extra::default(), false) != word {
        super::openai::extra::put(extra, ME, FINISH_REASON, Value::String(word.to_owned()));
    }
    reason
}

fn finish_word<'f>(reason: &'f Finish, extra: &'f Extra, has_refusal: bool) -> &'f str {
    if let Some(word) = extra.of(ME).and_then(|fields| fields.get(FINISH_REASON)).and_then(Value::as_str) {
        return word;
    }
    match reason {
        Finish::Stop if has_refusal => "content_filter",
        Finish::Stop | Finish::StopSequence(_) | Finish::Pause | Finish::Other(_) => "stop",
        Finish::Length | Finish::ContextWindow => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
    }
}
