//! Dialects: wire formats, one file each, one row each in `DIALECTS`.

pub mod answer_fields;
mod arguments;
mod citation;
pub(crate) mod doors;
pub mod models;
pub mod realtime;
mod seen;
mod tail;
pub mod typed;

use std::borrow::Cow;

use crate::event::Event;
use crate::fault::Fault;
use crate::frame::Framing;
use crate::ir::{Chat, Loss, Mode};
use crate::operation::Operation;
use crate::shape::Shape;

pub use seen::{Bill, KEPT_BYTES_MAX, Kept, Seen};

/// A wire format by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialectId {
    OpenaiChat,
    OpenaiResponses,
    Anthropic,
    Cohere,
    Ollama,
    OpenaiCompletions,
    CohereV1,
    Gemini,
    BedrockConverse,
    BedrockInvoke,
}

impl DialectId {
    /// Its row.
    pub fn row(self) -> &'static Dialect {
        &DIALECTS[self as usize]
    }

    pub fn from_name(name: &str) -> Option<DialectId> {
        DIALECTS.iter().find(|row| row.name == name).map(|row| row.id)
    }
}

/// One wire format: how chat requests and answers read and are written in it.
pub struct Dialect {
    pub id: DialectId,
    /// Its name in files and records.
    pub name: &'static str,
    /// Where a chat request goes below a provider's base URL: `/chat/completions`, `/v1/messages`.
    pub chat_path: &'static str,
    /// How its streams are framed.
    pub framing: Framing,
    /// A query pair that asks for another framing, and which: `alt=sse`. A translated request asks so.
    pub framing_asked: Option<(&'static str, Framing)>,
    /// Where a request says which model it is for, and whether the answer is to be streamed.
    pub asks_in: AsksIn,

    /// Body → hub. The body may be rewritten in place by the parser; strings borrow from it.
    ///
    /// # Errors
    /// `Kind::InvalidRequest` with the field's path and what to write instead.
    pub decode_request: for<'a> fn(&'a mut [u8]) -> Result<Chat<'a>, Fault>,
    /// Hub → body, appended to `out`. What the dialect cannot carry is pushed to `losses`.
    ///
    /// # Errors
    /// `Kind::InvalidRequest` where no valid body of this dialect can be made.
    pub encode_request: fn(&Chat<'_>, &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault>,

    /// A whole answer → events, `End` included. The body may be rewritten in place by the parser.
    ///
    /// # Errors
    /// `Kind::MalformedResponse`; an error body with status 200 comes as `Event::Fault`.
    pub decode_answer: fn(&mut [u8], &mut Vec<Event>) -> Result<(), Fault>,
    /// A fresh decoder of this dialect's streams.
    pub stream_decoder: fn() -> Box<dyn StreamDecoder>,
    /// Events (`End` included) → a whole answer body, appended to `out`.
    pub encode_answer: fn(&[Event], &Client<'_>, out: &mut Vec<u8>),
    /// A fresh encoder of this dialect's streams.
    pub stream_encoder: fn(Client<'static>) -> Box<dyn StreamEncoder>,
    /// Bytes that stand in the event which ends a stream cleanly, and in few others.
    pub end_marker: &'static [u8],
    /// Tells, of one raw event, that it stands in the stream only because usage was asked for (`stream_options`). `None` where
    /// the dialect has no such wish: usage comes unasked.
    pub asked_usage: Option<fn(&[u8]) -> bool>,
    /// A fresh reader that looks at a same-dialect stream without decoding it.
    pub tap: fn() -> Box<dyn Tap>,

    /// The member that holds the answer to a request for a count of tokens.
    pub counted_tokens: &'static str,
    /// The body of an error answer, appended to `out`.
    pub encode_error: fn(&Fault, out: &mut Vec<u8>),
    /// The one error event of a broken stream with its framing, appended to `out`.
    pub encode_error_event: fn(&Fault, Framing, out: &mut Vec<u8>),
    /// The header fields in which clients of this dialect look for their rate limits.
    pub rate_fields: RateFields,
    /// A provider's error answer (status ≥ 400) → its fault. `body` may be anything, empty too.
    pub decode_error: fn(status: u16, body: &[u8]) -> Fault,
}

/// What the ids of answers begin with that a provider keeps for later requests.
const STORED: &[(DialectId, &str)] = &[(DialectId::OpenaiResponses, "resp_")];

/// Members of a request that name what an earlier one stored: a string, or an object with an `id`.
const REFERENCES: &[(DialectId, Operation, &[&str])] = &[
    (DialectId::OpenaiResponses, Operation::Chat, &["previous_response_id", "conversation"]),
    (DialectId::OpenaiResponses, Operation::CountTokens, &["previous_response_id", "conversation"]),
    (DialectId::OpenaiChat, Operation::Batch, &["input_file_id"]),
];

/// Members that a request has only where its path says what others say in the body.
// cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude, read 2026-11-20
const PATH_ONLY: &[(DialectId, &[&str])] = &[(DialectId::Anthropic, &["anthropic_version"])];

impl Dialect {
    /// What the ids of answers begin with that a provider keeps for later requests; `None` where it keeps none.
    pub fn stored_id(&self) -> Option<&'static str> {
        STORED.iter().find(|row| row.0 == self.id).map(|row| row.1)
    }

    /// Members of a request for `operation` that name what an earlier one stored.
    pub fn references(&self, operation: Operation) -> &'static [&'static str] {
        REFERENCES.iter().find(|row| row.0 == self.id && row.1 == operation).map_or(&[], |row| row.2)
    }

    /// The form of a body whose path said which model is asked, and how, where it goes to a path that does not. `None` where the
    /// dialect's paths say it everywhere.
    pub fn said_in_body(&self, model: &str, mode: Mode) -> Option<Shape> {
        if self.asks_in == AsksIn::Path {
            return None;
        }
        let mut shape = Shape::default();
        shape.set.insert("model".to_owned(), model.into());
        if mode == Mode::Stream {
            shape.set.insert("stream".to_owned(), true.into());
        }
        let left_out = PATH_ONLY.iter().find(|row| row.0 == self.id).map_or(&[][..], |row| row.1);
        shape.drop = left_out.iter().map(|name| (*name).to_owned()).collect();
        Some(shape)
    }

    /// The header field in which clients of this dialect look for the class of an error, and that class.
    pub fn error_field(&self, fault: &Fault) -> Option<(&'static str, &'static str)> {
        let is_bedrock = matches!(self.id, DialectId::BedrockConverse | DialectId::BedrockInvoke);
        is_bedrock.then(|| ("x-amzn-errortype", bedrock::error::type_of(fault)))
    }

    /// The framing of a stream that is asked for with this query.
    pub fn framing_for(&self, query: Option<&str>) -> Framing {
        let asked = self.framing_asked.filter(|(pair, _)| query.is_some_and(|query| query.split('&').any(|own| own == *pair)));
        asked.map_or(self.framing, |(_, framing)| framing)
    }
}

/// Where a request says which model it is for, and whether the answer is to be streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsksIn {
    Body,
    /// The body, and an answer streams unless it says no.
    BodyElseStream,
    Path,
}

/// Names of the header fields that tell a client its rate limits, each as limit, remaining, reset.
#[derive(Clone, Copy, Debug)]
pub struct RateFields {
    /// What the names of all of them begin with.
    pub prefix: &'static str,
    pub requests: [&'static str; 3],
    pub tokens: [&'static str; 3],
    pub reset: ResetForm,
}

/// How a reset is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetForm {
    /// How long until then: `1h2m3s`, `350ms`.
    Span,
    /// RFC 3339, UTC.
    Time,
}

/// What the encoder of a request must know of its target.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// The answer's upper bound to write where the dialect demands one and the client gave none (Anthropic's `max_tokens`).
    pub max_tokens_default: u64,
    /// Ask for usage in the stream where the dialect sends it only on request.
    pub inject_stream_usage: bool,
}

/// What the encoder of an answer must know of the client that reads it.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// The model name that the client asked for; it reads it back where the dialect echoes it.
    pub model: Cow<'a, str>,
    pub mode: Mode,
    /// The client asked for a usage event in the stream.
    pub stream_usage: bool,
    /// How the stream that it reads is framed.
    pub framing: Framing,
    /// Unix seconds, for dialects that stamp an answer whose source has no stamp.
    pub now_unix: u64,
}

/// Wire bytes of a stream → events.
pub trait StreamDecoder {
    /// Takes the next bytes, cut anywhere, and appends the events that they complete.
    ///
    /// # Errors
    /// `Kind::MalformedResponse`; nothing may be fed afterwards.
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault>;

    /// The transport ended. Appends what an unterminated last event still gives, and `End` if the answer was complete
    /// by design's rule: every choice has its finish reason and the framing ended cleanly.
    ///
    /// # Errors
    /// `Kind::UpstreamCut` where the answer is not complete.
    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault>;
}

/// Events → wire bytes of a stream, framing included.
pub trait StreamEncoder {
    /// Appends what `event` gives. `Fault` gives the one error event; nothing may be encoded afterwards.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>);
}

/// Looks at a same-dialect stream, forwarded untouched, and keeps what policy and the record need.
/// Allocates only for an event that is cut between two reads.
pub trait Tap {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault>;
    fn seen(&self) -> &Seen;
    /// A whole body of this dialect: the usage and finish in it.
    fn whole(&mut self, body: &[u8]);
    /// The end of a whole body that was too long to hold: the usage in it.
    fn tail(&mut self, end: &[u8]);
}

/// All wire formats, in the order of `DialectId`.
pub static DIALECTS: &[Dialect] = &[
    openai_chat::ROW,
    openai_responses::ROW,
    anthropic::ROW,
    cohere::ROW,
    ollama::ROW,
    openai_completions::ROW,
    cohere::V1_ROW,
    gemini::ROW,
    bedrock_converse::ROW,
    bedrock_invoke::ROW,
];

mod anthropic;
mod bedrock;
mod bedrock_converse;
mod bedrock_invoke;
mod cohere;
mod gemini;
mod ollama;
mod openai;
mod openai_chat;
mod openai_completions;
mod openai_responses;

#[cfg(test)]
mod tests;
