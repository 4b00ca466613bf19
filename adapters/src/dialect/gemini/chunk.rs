//! A chunk of an answer → events. A whole answer is one chunk; a stream's chunks have its shape, each with more parts.
//!
//! A stream's `finishReason` may come before its last chunk (code that the provider runs makes it stop and go on), so `Finish` is
//! told at the end.

use serde_json::{Map, Value};

use super::name::{camel, get, get_str};
use super::partial_args::PartialArgs;
use super::parts_decode::{MADE_ID, THOUGHT_SIGNATURE};
use super::usage::{Counts, own, searches};
use super::{ID, error, extra, finish, logprobs, signature};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::ir::Extra;
use crate::json::tree::Json;

/// Candidates of one answer; the API gives up to 8.
const CHOICES_MAX: u64 = 64;

/// The member of `Finish::extra` that says that the prompt was refused: such an answer has no candidates.
pub(super) const BLOCKED: &str = "promptBlocked";
/// The private field that keeps a reason's own word.
pub(super) const FINISH_REASON: &str = "finishReason";
/// What a made id takes of an answer's: OpenAI takes ids of 40 characters.
const ANSWER_ID_BYTES_MAX: usize = 24;

/// Whether consecutive texts are one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// Each part is a block.
    Apart,
    /// A part is a piece of the block before it.
    Joined,
}

/// An answer as far as it came.
#[derive(Debug, Default)]
pub(super) struct Answer {
    has_start: bool,
    /// An error came; what follows is ignored.
    pub(super) is_over: bool,
    id: String,
    model: String,
    call_count: u32,
    choices: Vec<Choice>,
    counts: Counts,
    query_count: u64,
    usage: Option<Extra>,
    told_searches: u64,
}

#[derive(Debug, Default)]
struct Choice {
    open: Option<Open>,
    block_count: u32,
    has_call: bool,
    finish: Option<Finish>,
    extra: Map<String, Value>,
    call: Option<(u32, PartialArgs)>,
}

#[derive(Debug)]
struct Open {
    block: u32,
    kind: Block,
    closing: Map<String, Value>,
}

/// A part, taken apart.
struct Piece<'t, 'a> {
    text: Option<&'a str>,
    is_thought: bool,
    signature: Option<&'a str>,
    call: Option<Json<'t, 'a>>,
    audio: Option<(&'a str, &'a str)>,
    rest: Map<String, Value>,
}

impl Answer {
    /// # Errors
    /// `Kind::MalformedResponse`.
    pub(super) fn apply(&mut self, chunk: Json<'_, '_>, texts: Texts, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over {
            return Ok(());
        }
        if !chunk.is_object() {
            return Err(malformed("an answer is no object"));
        }
        if let Some(error) = get(chunk, "error") {
            self.is_over = true;
            events.push(Event::Fault(error::in_band(error)));
            return Ok(());
        }
        self.start(chunk, events);
        // Before the parts of its chunk: an encoder writes it with them. What only says the same again is not told.
        if let Some(metadata) = get(chunk, "usageMetadata") {
            self.counts.merge(metadata);
            let told = Some(own(metadata));
            if self.usage != told {
                self.usage = told;
                self.tell_usage(events);
            }
        }
        let candidates = get(chunk, "candidates").and_then(Json::array);
        for (place, candidate) in (0..).zip(candidates.into_iter().flatten()) {
            let index = candidate.get("index").and_then(Json::u64).unwrap_or(place);
            if index >= CHOICES_MAX {
                return Err(malformed("an answer has too many candidates"));
            }
            self.candidate(index as usize, candidate, texts, events)?;
        }
        if get(chunk, "promptFeedback").and_then(|feedback| get(feedback, "blockReason")).is_some() && self.choices.is_empty() {
            let mut extra = Map::new();
            extra.insert(BLOCKED.to_owned(), true.into());
            self.choices.push(Choice { finish: Some(Finish::ContentFilter), extra, ..Choice::default() });
        }
        Ok(())
    }

    /// Every candidate has its reason.
    pub(super) fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finish.is_some())
    }

    /// The framing ended: closes what is open and tells how the candidates ended.
    pub(super) fn end(&mut self, events: &mut Vec<Event>) {
        for (index, choice) in (0..).zip(&mut self.choices) {
            choice.end_call(index, events);
            choice.close(index, events);
            if let Some(mut reason) = choice.finish.take() {
                if reason == Finish::Stop && choice.has_call {
                    reason = Finish::ToolCalls;
                }
                events.push(Event::Finish { choice: index, reason, extra: extra(std::mem::take(&mut choice.extra)) });
            }
        }
        if self.usage.is_some() && searches(&self.model, self.query_count) != self.told_searches {
            self.tell_usage(events);
        }
        events.push(Event::End);
    }

    fn tell_usage(&mut self, events: &mut Vec<Event>) {
        self.told_searches = searches(&self.model, self.query_count);
        self.counts.searches = self.told_searches;
        events.push(Event::Usage { usage: self.counts.usage(), extra: self.usage.clone().unwrap_or_default() });
    }

    fn start(&mut self, chunk: Json<'_, '_>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_start, true) {
            return;
        }
        self.id = get_str(chunk, "responseId").unwrap_or_default().to_owned();
        self.model = get_str(chunk, "modelVersion").unwrap_or_default().to_owned();
        let mut fields = Map::new();
        for (name, value) in chunk.object().into_iter().flatten() {
            let name = camel(name);
            if !matches!(name.as_ref(), "candidates" | "usageMetadata" | "modelVersion" | "responseId") {
                fields.insert(name.into_owned(), value.value());
            }
        }
        // The mark stays without fields: it tells the encoder that the events are of its own dialect.
        let extra = Extra { dialect: Some(ID), fields };
        events.push(Event::Start { id: self.id.clone(), model: self.model.clone(), created: None, extra });
    }

    fn candidate(&mut self, index: usize, candidate: Json<'_, '_>, texts: Texts, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, Choice::default);
        }
        let mut reason = None;
        for (name, value) in candidate.object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let name = camel(name);
            match name.as_ref() {
                "index" => {}
                "content" => {
                    // What goes on after its end has not ended.
                    self.choices[index].finish = None;
                    for part in get(value, "parts").and_then(Json::array).into_iter().flatten() {
                        self.part(index, part, texts, events)?;
                    }
                }
                FINISH_REASON => reason = Some(value),
                "groundingMetadata" => {
                    let queries = get(value, "webSearchQueries").and_then(Json::array).map_or(0, Iterator::count) as u64;
                    self.query_count = self.query_count.max(queries);
                    self.choices[index].extra.insert(name.into_owned(), value.value());
                }
                _ => drop(self.choices[index].extra.insert(name.into_owned(), value.value())),
            }
        }
        let choice = &mut self.choices[index];
        if let Some(result) = get(candidate, "logprobsResult") {
            choice.tell_logprobs(index as u32, &result.value(), events);
        }
        if let Some(value) = reason
            && let Some(reason) = value.str().map_or_else(|| value.u64().and_then(finish::of_number), finish::of_word)
        {
            if value.str() != Some(finish::word(&reason)) {
                choice.extra.insert(FINISH_REASON.to_owned(), value.value());
            }
            choice.finish = Some(reason);
        }
        Ok(())
    }

    fn part(&mut self, index: usize, part: Json<'_, '_>, texts: Texts, events: &mut Vec<Event>) -> Result<(), Fault> {
        let piece = take_apart(part);
        let number = index as u32;
        if let Some(call) = piece.call {
            return self.call(index, call, piece, events);
        }
        let choice = &mut self.choices[index];
        match (piece.text, piece.audio) {
            (Some(text), _) => choice.text(number, text, piece, texts, events),
            (None, Some((media_type, data))) => {
                if !choice.open.as_ref().is_some_and(|open| open.kind == Block::Audio) {
                    choice.begin(number, Block::Audio, events);
                }
                choice.delta(number, Delta::Audio(data.to_owned()), events);
                choice.set("mimeType", media_type.into());
            }
            (None, None) => {
                let fields = part.object().into_iter().flatten().map(|(name, value)| (name.to_owned(), value.value())).collect();
                choice.begin(number, Block::Private { extra: extra(fields) }, events);
                choice.close(number, events);
            }
        }
        Ok(())
    }

    fn call(&mut self, index: usize, call: Json<'_, '_>, piece: Piece<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let number = index as u32;
        let goes_on = get(call, "willContinue").and_then(Json::bool) == Some(true);
        let is_going_on = self.choices[index].call.is_some();
        if let Some(name) = get_str(call, "name").filter(|name| !name.is_empty() || !is_going_on) {
            let id = match get_str(call, "id").filter(|id| !id.is_empty()) {
                Some(id) => id.to_owned(),
                None => self.make_id(),
            };
            let choice = &mut self.choices[index];
            choice.end_call(number, events);
            if let Some(signature) = piece.signature {
                choice.lift(number, signature, events);
            }
            let mut fields = piece.rest;
            if let Some(signature) = piece.signature {
                fields.insert(THOUGHT_SIGNATURE.to_owned(), signature.into());
            }
            choice.has_call = true;
            let block = choice.begin(number, Block::ToolCall { id, name: name.to_owned(), extra: extra(fields) }, events);
            if !goes_on && get(call, "partialArgs").is_none() {
                let arguments = get(call, "args").map_or_else(|| "{}".to_owned(), Json::text);
                choice.delta(number, Delta::Arguments(arguments), events);
                choice.close(number, events);
                return Ok(());
            }
            choice.call = Some((block, PartialArgs::default()));
        }
        let choice = &mut self.choices[index];
        let Some((_, args)) = &mut choice.call else { return Err(malformed("a function call has no name")) };
        args.take(call)?;
        if !goes_on {
            choice.end_call(number, events);
        }
        Ok(())
    }

    /// Clients of other dialects demand an id that is unique in their history.
    fn make_id(&mut self) -> String {
        let start = self.id.len().saturating_sub(ANSWER_ID_BYTES_MAX);
        let tail = self.id.get(start..).unwrap_or_default();
        self.call_count += 1;
        format!("{MADE_ID}{tail}{}{}", if tail.is_empty() { "" } else { "_" }, self.call_count - 1)
    }
}

impl Choice {
    fn begin(&mut self, choice: u32, kind: Block, events: &mut Vec<Event>) -> u32 {
        self.close(choice, events);
        let block = self.block_count;
        self.block_count += 1;
        events.push(Event::Open { choice, block, kind: kind.clone() });
        self.open = Some(Open { block, kind, closing: Map::new() });
        block
    }

    fn delta(&mut self, choice: u32, delta: Delta, events: &mut Vec<Event>) {
        if let Some(open) = &self.open {
            events.push(Event::Delta { choice, block: open.block, delta });
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(open) = &mut self.open {
            open.closing.insert(name.to_owned(), value);
        }
    }

    fn close(&mut self, choice: u32, events: &mut Vec<Event>) {
        if let Some(open) = self.open.take() {
            events.push(Event::Close { choice, block: open.block, extra: extra(open.closing) });
        }
    }

    fn text(&mut self, choice: u32, text: &str, piece: Piece<'_, '_>, texts: Texts, events: &mut Vec<Event>) {
        let kind = if piece.is_thought { Block::Thinking } else { Block::Text };
        // A signature is of its part: what follows is another.
        let goes_on = texts == Texts::Joined && self.open.as_ref().is_some_and(|open| open.kind == kind && open.closing.is_empty());
        if !goes_on {
            if text.is_empty() && piece.signature.is_none() && piece.rest.is_empty() {
                return;
            }
            self.begin(choice, kind, events);
        }
        if !text.is_empty() {
            let text = text.to_owned();
            self.delta(choice, if piece.is_thought { Delta::Thinking(text) } else { Delta::Text(text) }, events);
        }
        if let Some(signature) = piece.signature {
            self.set(THOUGHT_SIGNATURE, signature.into());
            if piece.is_thought {
                self.delta(choice, Delta::Signature(signature::seal(signature)), events);
            }
        }
        for (name, value) in piece.rest {
            self.set(&name, value);
        }
    }

    /// Tells a call's signature as that of the thinking before it, for clients of other dialects.
    fn lift(&mut self, choice: u32, signature: &str, events: &mut Vec<Event>) {
        let is_thinking = self.open.as_ref().is_some_and(|open| open.kind == Block::Thinking && open.closing.is_empty());
        if !is_thinking {
            self.begin(choice, Block::Thinking, events);
        }
        self.delta(choice, Delta::Signature(signature::seal(signature)), events);
        self.close(choice, events);
    }

    fn end_call(&mut self, choice: u32, events: &mut Vec<Event>) {
        if let Some((block, args)) = self.call.take() {
            events.push(Event::Delta { choice, block, delta: Delta::Arguments(args.text()) });
            self.close(choice, events);
        }
    }

    fn tell_logprobs(&mut self, choice: u32, result: &Value, events: &mut Vec<Event>) {
        self.delta(choice, Delta::Logprobs(logprobs::to_hub(result)), events);
    }
}

fn take_apart<'t, 'a>(part: Json<'t, 'a>) -> Piece<'t, 'a> {
    let mut piece = Piece { text: None, is_thought: false, signature: None, call: None, audio: None, rest: Map::new() };
    for (name, value) in part.object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let name = camel(name);
        match name.as_ref() {
            "thought" if part.get("functionCall").is_some() => drop(piece.rest.insert(name.into_owned(), value.value())),
            "text" if value.str().is_some() => piece.text = value.str(),
            "thought" if value.bool().is_some() => piece.is_thought = value.bool() == Some(true),
            THOUGHT_SIGNATURE if value.str().is_some() => piece.signature = value.str(),
            "functionCall" if value.is_object() => piece.call = Some(value),
            "inlineData" => {
                let media_type = get_str(value, "mimeType").filter(|media_type| media_type.starts_with("audio/"));
                piece.audio = media_type.zip(get_str(value, "data"));
            }
            _ => drop(piece.rest.insert(name.into_owned(), value.value())),
        }
    }
    piece
}

pub(super) fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}
