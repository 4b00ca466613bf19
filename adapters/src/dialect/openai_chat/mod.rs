//! The openai-chat dialect: `/v1/chat/completions` of OpenAI, Azure and all who imitate them.
//!
//! platform.openai.com/docs/api-reference/chat, read 2026-11-20. Cost of a streamed event that is translated: one borrowed
//! tree of the chunk (about six small allocations), one owned string per delta; an encoded event is two copies into
//! the output buffer. The tap allocates nothing for an event that is not cut.

use serde_json::Value;

use super::openai::{error, extra};
use super::{AsksIn, Dialect, DialectId};
use crate::event::Finish;
use crate::fault::Fault;
use crate::frame::{Framing, sse};
use crate::ir::{CacheMark, Extra};
use crate::json::node::Node;

mod answer;
mod choice;
mod encode;
mod request;
mod stream;
mod tap;
pub(super) mod usage;

pub(super) const ROW: Dialect = Dialect {
    id: ME,
    name: "openai-chat",
    chat_path: "/chat/completions",
    framing: Framing::Sse,
    framing_asked: None,
    asks_in: AsksIn::Body,
    decode_request: |body| request::decode(body),
    encode_request: encode::encode,
    decode_answer: answer::decode,
    stream_decoder: || Box::new(stream::Decoder::default()),
    encode_answer: answer::encode,
    stream_encoder: |client| Box::new(stream::Encoder::new(client)),
    end_marker: b"[DONE]",
    asked_usage: Some(is_asked_usage),
    tap,
    counted_tokens: "input_tokens",
    encode_error: error::encode,
    encode_error_event: |fault, _, out| encode_error_event(fault, out),
    rate_fields: super::openai::RATE_FIELDS,
    decode_error: error::decode,
};

const ME: DialectId = DialectId::OpenaiChat;

/// Private mark of what came in the forms before `tools`: `functions`, `function_call`, role `function`.
const LEGACY: &str = "function_call";
/// Private mark of a call of a custom tool, whose input is free text.
const CUSTOM: &str = "custom";
/// Private mark of the role that a system block came with; a part with it begins a message of its own.
const ROLE: &str = "role";
/// Private mark of the name that a system block's message had.
const NAME: &str = "message_name";
/// Private mark of what a system block's message had beside content and name.
const MEMBERS: &str = "members";
/// Private mark of what a tool had beside its function.
const TOOL: &str = "tool";
/// Private mark of a result that named no call.
const UNNAMED: &str = "unnamed";
/// Where a private delta or usage keeps new top-level members of a chunk.
const CHUNK: &str = "chunk";
/// Where a private delta keeps members of a choice.
const CHOICE: &str = "choice";
/// Where a private delta keeps members of a delta.
const DELTA: &str = "delta";
/// Where a private delta of an audio block keeps what is not data.
const AUDIO: &str = "audio";
/// Where a finish keeps members of a whole message.
const MESSAGE: &str = "message";
/// Where a finish keeps the provider's own word, if the hub's leads to another.
const FINISH_REASON: &str = "finish_reason";

/// A reader of chat streams and answers, and of the older completions, which differ in where their text stands.
pub(super) fn tap() -> Box<dyn super::Tap> {
    Box::new(tap::ChatTap::default())
}

pub(super) fn encode_error_event(fault: &Fault, out: &mut Vec<u8>) {
    sse::begin_data(out);
    error::encode(fault, out);
    sse::end(out);
}

// platform.openai.com/docs/api-reference/chat/object#finish_reason, read 2026-11-20; the last is from before `tools`.
const FINISHES: &[(&str, Finish)] = &[
    ("stop", Finish::Stop),
    ("length", Finish::Length),
    ("tool_calls", Finish::ToolCalls),
    ("content_filter", Finish::ContentFilter),
    ("function_call", Finish::ToolCalls),
];

fn finish(word: &str) -> Finish {
    FINISHES.iter().find(|row| row.0 == word).map_or_else(|| Finish::Other(word.to_owned()), |row| row.1.clone())
}

/// The dialect's word for a finish; its own word where it had one.
fn finish_word<'f>(reason: &'f Finish, extra: &'f Extra) -> &'f str {
    if let Some(word) = extra.of(ME).and_then(|fields| fields.get(FINISH_REASON)).and_then(Value::as_str) {
        return word;
    }
    match reason {
        Finish::Stop | Finish::StopSequence(_) | Finish::Pause => "stop",
        Finish::Length | Finish::ContextWindow => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
        // Another dialect's word would break clients that know only the five.
        Finish::Other(_) => "stop",
    }
}

/// A finish and the private fields that bring its own word back.
fn read_finish(word: &str, extra: &mut Extra) -> Finish {
    let reason = finish(word);
    if finish_word(&reason, &Extra::default()) != word {
        extra::put(extra, ME, FINISH_REASON, Value::String(word.to_owned()));
    }
    reason
}

/// `cache_control`, which some imitations took over from Anthropic's dialect.
fn cache_mark(node: &Node<'_>) -> Option<CacheMark> {
    let Node::Object(control) = node else { return None };
    Some(if control.look_text("ttl") == Some("1h") { CacheMark::Hour1 } else { CacheMark::Minutes5 })
}

/// The same of a member that was kept.
fn cache_mark_of(control: &Value) -> Option<CacheMark> {
    let control = control.as_object()?;
    Some(if control.get("ttl").and_then(Value::as_str) == Some("1h") { CacheMark::Hour1 } else { CacheMark::Minutes5 })
}

/// The usage event is the one without choices.
pub(super) fn is_asked_usage(event: &[u8]) -> bool {
    let is_without_choices =
        [&b"\"choices\":[]"[..], b"\"choices\": []"].iter().any(|needle| memchr::memmem::find(event, needle).is_some());
    is_without_choices && memchr::memmem::find(event, b"\"usage\"").is_some()
}

#[cfg(test)]
mod tests;
