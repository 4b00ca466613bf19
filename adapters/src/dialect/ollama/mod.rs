//! The ollama dialect: Ollama's own `/api/chat` and `/api/generate`, whole and as lines of JSON.
//!
//! github.com/ollama/ollama/blob/main/docs/api.md, read 2026-11-20, and recorded traffic. Cost of a streamed line that is translated:
//! one borrowed tree of it and one owned string; an encoded line is one copy into the output buffer. The tap allocates nothing for
//! a line that is not cut.

mod encode;
mod error;
mod line;
mod request;
mod stream;
mod tap;
#[cfg(test)]
mod tests;
mod write;

use super::{AsksIn, Dialect, DialectId};
use crate::event::Finish;
use crate::frame::Framing;

pub(super) const ROW: Dialect = Dialect {
    id: ME,
    name: "ollama",
    chat_path: "/api/chat",
    framing: Framing::Ndjson,
    framing_asked: None,
    asks_in: AsksIn::BodyElseStream,
    decode_request: |body| request::decode(body),
    encode_request: encode::encode,
    decode_answer: stream::decode_answer,
    stream_decoder: || Box::new(stream::Decoder::default()),
    encode_answer: write::encode,
    stream_encoder: |client| Box::new(write::Encoder::new(client)),
    end_marker: b"\"done\":true",
    asked_usage: None,
    tap: || Box::new(tap::OllamaTap::default()),
    counted_tokens: "input_tokens",
    encode_error: error::encode,
    encode_error_event: |fault, _, out| error::encode_event(fault, out),
    // Ollama limits nobody; its clients read none.
    rate_fields: super::openai::RATE_FIELDS,
    decode_error: super::openai::error::decode,
};

const ME: DialectId = DialectId::Ollama;

/// Private mark of a request or an answer in the form of `/api/generate`.
const GENERATE: &str = "generate";
/// Private mark of a call whose id is made up here: older servers and clients have none.
const MADE_ID: &str = "made_id";
/// Private member of an answer: when it was made, as it came.
const CREATED_AT: &str = "created_at";

// github.com/ollama/ollama/blob/main/api/types.go, `DoneReason`; the last is the gateway's own towards clients of this dialect,
// which has no word for a filter; read 2026-11-20.
const FINISHES: &[(&str, Finish)] = &[("stop", Finish::Stop), ("length", Finish::Length), ("content_filter", Finish::ContentFilter)];

/// Calls end an answer as plain text does.
fn finish(word: &str, has_calls: bool) -> Finish {
    match FINISHES.iter().find(|row| row.0 == word) {
        Some((_, Finish::Stop)) if has_calls => Finish::ToolCalls,
        Some((_, reason)) => reason.clone(),
        None => Finish::Other(word.to_owned()),
    }
}

fn finish_word(reason: &Finish, has_refusal: bool) -> &str {
    match reason {
        Finish::Stop if has_refusal => "content_filter",
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Pause => "stop",
        Finish::Length | Finish::ContextWindow => "length",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
        Finish::Other(word) if matches!(word.as_str(), "load" | "unload") => word,
        // Another dialect's word would mean nothing here.
        Finish::Other(_) => "stop",
    }
}
