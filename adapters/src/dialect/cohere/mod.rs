//! The cohere dialect: `/v2/chat` requests, answers, streams and errors; the v1 form is read and written back as such.
//!
//! docs.cohere.com/v2/reference/chat, /v2/reference/chat-stream and /v1/reference/chat, read 2026-11-20, and recorded traffic.
//! Cost of a streamed event that is translated: one borrowed tree of it (about six small allocations), one owned string per
//! delta; an encoded event is two copies into the output buffer. The tap allocates nothing for an event that is not cut.

mod answer;
mod content;
mod encode;
mod error;
mod request;
mod stream_decode;
mod stream_encode;
mod tap;
#[cfg(test)]
mod tests;
mod usage;
mod v1;

use super::{AsksIn, Dialect, DialectId};
use crate::event::Finish;
use crate::frame::Framing;

pub(super) const ROW: Dialect = Dialect {
    id: ME,
    name: "cohere",
    chat_path: "/v2/chat",
    framing: Framing::Sse,
    framing_asked: None,
    asks_in: AsksIn::Body,
    decode_request: |body| request::decode(body),
    encode_request: encode::encode,
    decode_answer: answer::decode,
    stream_decoder: || Box::new(stream_decode::Decoder::default()),
    encode_answer: answer::encode,
    stream_encoder: |client| Box::new(stream_encode::Encoder::new(client)),
    end_marker: b"message-end",
    asked_usage: None,
    tap: || Box::new(tap::CohereTap::default()),
    counted_tokens: "input_tokens",
    encode_error: error::encode,
    encode_error_event: |fault, _, out| error::encode_event(fault, out),
    // Cohere has no such headers of its own; its clients read none.
    rate_fields: super::openai::RATE_FIELDS,
    decode_error: error::decode,
};

/// Its older form, which its clients still reach at the paths of v1. It is nobody's target but its own.
pub(super) const V1_ROW: Dialect = Dialect {
    id: DialectId::CohereV1,
    name: "cohere-v1",
    chat_path: "/v1/chat",
    framing: Framing::Ndjson,
    encode_request: v1::encode_only,
    encode_answer: v1::encode_events,
    stream_encoder: |client| Box::new(v1::Encoder::new(client)),
    end_marker: b"stream-end",
    encode_error_event: |fault, _, out| v1::encode_error_event(fault, out),
    ..ROW
};

const ME: DialectId = DialectId::Cohere;

/// Private mark of thinking that is written as `tool_plan`.
const TOOL_PLAN: &str = "tool_plan";
/// Private member of a document part: the document as it came.
const DOCUMENT: &str = "document";
/// Private mark of a document that stood in the list beside the messages.
const BESIDE: &str = "documents";
/// Private mark of a request or an answer in the v1 form.
const V1: &str = "v1";

// docs.cohere.com/v2/reference/chat, `finish_reason`; the last two are v1's and those of the gateway itself towards clients of
// this dialect, which has no other word for a filter; read 2026-11-20.
const FINISHES: &[(&str, Finish)] = &[
    ("COMPLETE", Finish::Stop),
    ("STOP_SEQUENCE", Finish::StopSequence(None)),
    ("MAX_TOKENS", Finish::Length),
    ("TOOL_CALL", Finish::ToolCalls),
    ("ERROR_TOXIC", Finish::ContentFilter),
    ("ERROR_LIMIT", Finish::ContextWindow),
];

/// Finishes that say that the provider broke off.
const BROKEN: &[&str] = &["ERROR", "TIMEOUT"];

fn finish(word: &str) -> Finish {
    FINISHES.iter().find(|row| row.0 == word).map_or_else(|| Finish::Other(word.to_owned()), |row| row.1.clone())
}

/// What of an answer decides its `finish_reason`, beside its finish.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    is_own: bool,
    has_tool_call: bool,
    has_refusal: bool,
}

impl Traits {
    fn note(&mut self, event: &crate::event::Event) {
        use crate::event::{Block, Event};
        match event {
            Event::Start { extra, .. } => self.is_own = extra.dialect == Some(ME),
            Event::Open { kind: Block::ToolCall { .. }, .. } => self.has_tool_call = true,
            Event::Open { kind: Block::Refusal, .. } => self.has_refusal = true,
            _ => {}
        }
    }

    /// Clients go on with tools only at `TOOL_CALL`; other dialects end a forced call with a plain stop.
    fn word(self, reason: &Finish) -> &str {
        match reason {
            Finish::Stop if self.has_tool_call && !self.is_own => "TOOL_CALL",
            Finish::Stop if self.has_refusal => "ERROR_TOXIC",
            Finish::Stop | Finish::Pause => "COMPLETE",
            Finish::StopSequence(_) => "STOP_SEQUENCE",
            Finish::Length => "MAX_TOKENS",
            Finish::ContextWindow => "ERROR_LIMIT",
            Finish::ToolCalls => "TOOL_CALL",
            Finish::ContentFilter | Finish::Refusal => "ERROR_TOXIC",
            Finish::Other(word) if self.is_own => word,
            Finish::Other(_) => "COMPLETE",
        }
    }
}
