//! Chunks of a chat stream → events.
//!
//! Blocks of a choice are told apart by what a delta holds; one begins when another ends, so that dialects whose blocks
//! stand one after the other can be written as they come. Private members that repeat from chunk to chunk are told once.

use serde_json::{Map, Value};

use super::super::answer::{CHOICES_MAX, is_web_citation};
use super::super::{AUDIO, CHOICE, CHUNK, CUSTOM, DELTA, LEGACY, ME, read_finish, usage};
use crate::dialect::StreamDecoder;
use crate::dialect::openai::{error, extra};
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::frame::sse::SseSplitter;
use crate::ir::Extra;
use crate::json::node::{self, Node, Object};

/// Calls of one choice that are told apart.
const CALLS_MAX: usize = 1_024;

/// The decoder of one stream.
#[derive(Debug, Default)]
pub(in crate::dialect::openai_chat) struct Decoder {
    splitter: SseSplitter,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    /// Top-level private members that were told already.
    known: Extra,
    choices: Vec<Choice>,
    /// A source on the web was cited.
    searched: bool,
    /// Nothing that comes now counts: the stream ended or broke.
    over: bool,
}

#[derive(Debug, Default)]
struct Choice {
    index: u32,
    next_block: u32,
    /// The block that deltas go to.
    open: Option<(Track, u32)>,
    /// Calls by their index on the wire, and whether they have ended.
    calls: Vec<(u64, u32)>,
    private_block: Option<u32>,
    known: Extra,
    finished: bool,
}

/// What an open block takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    Text,
    Refusal,
    Thinking,
    Sealed,
    Audio,
    Call,
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.feed(bytes, |event| state.event(event.data, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.finish(|event| state.event(event.data, events)).map_err(|_| cut())?;
        if self.state.over {
            return Ok(());
        }
        self.state.end(events)
    }
}

fn cut() -> Fault {
    Fault::new(Kind::UpstreamCut, "the provider's stream ended before its answer was complete")
}

fn malformed(what: &str) -> Fault {
    Fault::new(Kind::MalformedResponse, format!("the provider's stream is no chat stream: {what}"))
}

impl State {
    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.over || data.is_empty() {
            return Ok(());
        }
        if data.trim_ascii() == b"[DONE]" {
            return self.end(events);
        }
        let node = node::parse(data).map_err(|error| malformed(&format!("an event is not JSON: {error}")))?;
        let mut chunk = node.into_object().ok_or_else(|| malformed("an event is not an object"))?;
        if let Some(error) = chunk.take("error") {
            self.over = true;
            events.push(Event::Fault(error::in_band(error)));
            return Ok(());
        }
        self.chunk(chunk, events)
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let complete = !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished);
        if !complete {
            return Err(cut());
        }
        self.over = true;
        events.push(Event::End);
        Ok(())
    }

    fn chunk(&mut self, mut chunk: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let choices = chunk.take_list("choices").unwrap_or_default();
        let usage = chunk.take_object("usage");
        let id = chunk.take_text("id").unwrap_or_default();
        let model = chunk.take_text("model").unwrap_or_default();
        let created = chunk.take_u64("created");
        // `obfuscation` is padding against traffic analysis, of this connection alone.
        for name in ["object", "usage", "obfuscation"] {
            chunk.take_any(name);
        }
        let mut news = extra::news(chunk, &self.known);
        news.retain(|_, value| !value.is_null());
        extra::remember(&mut self.known, ME, &news);
        // Azure's first chunk has filter results and no name yet.
        if !self.started && (!id.is_empty() || !choices.is_empty()) {
            self.started = true;
            news.clear();
            let (id, model) = (id.into_owned(), model.into_owned());
            events.push(Event::Start { id, model, created, extra: self.known.clone() });
        }
        let begin = events.len();
        let mut inner_usage = None;
        for node in choices {
            let mut choice = node.into_object().ok_or_else(|| malformed("a choice is not an object"))?;
            // Moonshot's streams.
            inner_usage = choice.take_object("usage").or(inner_usage);
            self.choice(choice, &mut news, events)?;
            if self.over {
                return Ok(());
            }
        }
        self.searched |= events.iter().skip(begin).any(is_web_citation);
        if let Some(usage) = usage.or(inner_usage) {
            let (mut usage, mut extra) = usage::decode(usage);
            usage.searches = usage.searches.max(u64::from(self.searched));
            if !news.is_empty() {
                extra::put(&mut extra, ME, CHUNK, Value::Object(news));
            }
            events.push(Event::Usage { usage, extra });
        }
        Ok(())
    }

    fn choice(&mut self, mut object: Object<'_>, news: &mut Map<String, Value>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = object.take_u64("index").unwrap_or(0).try_into().map_err(|_| malformed("a choice's index is out of range"))?;
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() < CHOICES_MAX => {
                self.choices.push(Choice { index, ..Choice::default() });
                self.choices.len() - 1
            }
            None => return Err(malformed("too many choices")),
        };
        let choice = &mut self.choices[at];
        let delta = object.take_object("delta");
        // One server says each delta again as a message, others a message alone.
        if let Some(delta) = object.take_object("message").filter(|_| delta.is_none()).or(delta) {
            choice.delta(delta, events)?;
        }
        if let Some(error) = object.take_object("error") {
            self.over = true;
            events.push(Event::Fault(error::in_band(Node::Object(error))));
            return Ok(());
        }
        if let Some(logprobs) = object.take_object("logprobs") {
            let block = choice.text_block(events);
            choice.push(block, Delta::Logprobs(extra::rest(ME, logprobs)), events);
        }
        let word = object.take_text("finish_reason");
        object.take_any("finish_reason");
        object.take_any("logprobs");
        let private = choice.news(object);
        match word {
            Some(word) if !choice.finished => {
                choice.close(events);
                let mut extra = Extra { dialect: Some(ME), fields: private };
                let reason = read_finish(&word, &mut extra);
                events.push(Event::Finish { choice: index, reason, extra });
                choice.finished = true;
            }
            _ if choice.finished => {}
            _ => {
                if !private.is_empty() {
                    choice.private(CHOICE, private, events);
                }
                if !news.is_empty() {
                    choice.private(CHUNK, std::mem::take(news), events);
                }
            }
        }
        Ok(())
    }
}

impl Choice {
    fn delta(&mut self, mut delta: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        delta.take_any("role");
        if let Some(text) = thinking(&mut delta) {
            self.text(Track::Thinking, Block::Thinking, Delta::Thinking, text, events);
        }
        self.signed(&mut delta, events);
        match delta.take_any("content") {
            Some(Node::Text(text)) => self.text(Track::Text, Block::Text, Delta::Text, text.into_owned(), events),
            Some(Node::List(parts)) => self.parts(parts, events),
            // Structured output that came as itself.
            Some(node @ Node::Object(_)) => {
                self.text(Track::Text, Block::Text, Delta::Text, node.into_value().to_string(), events);
            }
            _ => {}
        }
        if let Some(Node::Text(text)) = delta.take_any("refusal") {
            self.text(Track::Refusal, Block::Refusal, Delta::Text, text.into_owned(), events);
        }
        for citation in delta.take_list("annotations").unwrap_or_default().into_iter().filter_map(Node::into_object) {
            let block = self.text_block(events);
            self.push(block, Delta::Citation(extra::rest(ME, citation)), events);
        }
        for node in delta.take_list("tool_calls").unwrap_or_default() {
            self.call(node.into_object().ok_or_else(|| malformed("a tool call is not an object"))?, events)?;
        }
        delta.take_if("tool_calls", |node| *node == Node::Null);
        if let Some(function) = delta.take_object("function_call") {
            self.legacy_call(function, events);
        }
        if let Some(audio) = delta.take_object("audio") {
            self.audio(audio, events);
        }
        if !delta.is_empty() {
            let rest: Map<String, Value> = delta.into_map().into_iter().filter(|(_, value)| !value.is_null()).collect();
            if !rest.is_empty() {
                self.private(DELTA, rest, events);
            }
        }
        Ok(())
    }

    /// A piece of text of one track. An empty one begins nothing.
    fn text(&mut self, track: Track, kind: Block, delta: fn(String) -> Delta, text: String, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let block = self.on(track, kind, events);
        self.push(block, delta(text), events);
    }

    /// Mistral's streams give parts where thinking stands among text.
    fn parts(&mut self, parts: Vec<Node<'_>>, events: &mut Vec<Event>) {
        for mut part in parts.into_iter().filter_map(Node::into_object) {
            if part.look_text("type") != Some("thinking") {
                let text = part.take_text("text").unwrap_or_default().into_owned();
                self.text(Track::Text, Block::Text, Delta::Text, text, events);
                continue;
            }
            for mut inner in part.take_list("thinking").unwrap_or_default().into_iter().filter_map(Node::into_object) {
                let text = inner.take_text("text").unwrap_or_default().into_owned();
                self.text(Track::Thinking, Block::Thinking, Delta::Thinking, text, events);
            }
        }
    }

    /// This gateway's own form for signatures and sealed thinking: each item ends its block.
    fn signed(&mut self, delta: &mut Object<'_>, events: &mut Vec<Event>) {
        for mut block in delta.take_list("thinking_blocks").unwrap_or_default().into_iter().filter_map(Node::into_object) {
            if let Some(data) = block.take_text("data") {
                let at = self.on(Track::Sealed, Block::RedactedThinking, events);
                self.push(at, Delta::Sealed(data.into_owned()), events);
                self.close(events);
            } else if let Some(signature) = block.take_text("signature") {
                let at = self.on(Track::Thinking, Block::Thinking, events);
                self.push(at, Delta::Signature(signature.into_owned()), events);
                self.close(events);
            }
        }
    }

    fn call(&mut self, mut call: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let id = call.take_text("id").unwrap_or_default();
        let custom = call.take_text("type").as_deref() == Some(CUSTOM) || call.look(CUSTOM).is_some();
        let (kind, input) = if custom { (CUSTOM, "input") } else { ("function", "arguments") };
        let mut function = call.take_object(kind).unwrap_or_default();
        let name = function.take_text("name").unwrap_or_default();
        let last = self.calls.last().map(|(index, _)| *index);
        let index = match call.take_u64("index") {
            Some(index) => index,
            // Some imitations give no index: a new id is a new call.
            None if !id.is_empty() || last.is_none() => last.map_or(0, |index| index + 1),
            None => last.unwrap_or(0),
        };
        let block = match self.calls.iter().find(|(known, _)| *known == index) {
            Some((_, block)) => *block,
            None if self.calls.len() >= CALLS_MAX => return Err(malformed("too many tool calls")),
            None => {
                let mut private = extra::rest(ME, call);
                if custom {
                    extra::put(&mut private, ME, CUSTOM, Value::Bool(true));
                }
                let block =
                    self.open(Track::Call, Block::ToolCall { id: id.into_owned(), name: name.into_owned(), extra: private }, events);
                self.calls.push((index, block));
                block
            }
        };
        let arguments = match function.take(input) {
            Some(Node::Text(text)) => text.into_owned(),
            Some(node) => node.into_value().to_string(),
            None => return Ok(()),
        };
        if arguments.is_empty() {
            return Ok(());
        }
        if self.open != Some((Track::Call, block)) {
            return Err(malformed("a tool call goes on after the next part began"));
        }
        self.push(block, Delta::Arguments(arguments), events);
        Ok(())
    }

    fn legacy_call(&mut self, mut function: Object<'_>, events: &mut Vec<Event>) {
        let name = function.take_text("name").unwrap_or_default();
        let block = match self.open {
            Some((Track::Call, block)) if name.is_empty() => block,
            _ => {
                let (id, name) = (name.clone().into_owned(), name.into_owned());
                self.open(Track::Call, Block::ToolCall { id, name, extra: extra::one(ME, LEGACY, Value::Bool(true)) }, events)
            }
        };
        if let Some(arguments) = function.take_text("arguments").filter(|arguments| !arguments.is_empty()) {
            self.push(block, Delta::Arguments(arguments.into_owned()), events);
        }
    }

    fn audio(&mut self, mut audio: Object<'_>, events: &mut Vec<Event>) {
        let block = self.on(Track::Audio, Block::Audio, events);
        if let Some(data) = audio.take_text("data").filter(|data| !data.is_empty()) {
            self.push(block, Delta::Audio(data.into_owned()), events);
        }
        if !audio.is_empty() {
            self.push(block, Delta::Private(extra::one(ME, AUDIO, Value::Object(audio.into_map()))), events);
        }
    }

    /// The open block of a track, a new one where another is open.
    fn on(&mut self, track: Track, kind: Block, events: &mut Vec<Event>) -> u32 {
        match self.open {
            Some((open, block)) if open == track => block,
            _ => self.open(track, kind, events),
        }
    }

    fn open(&mut self, track: Track, kind: Block, events: &mut Vec<Event>) -> u32 {
        self.close(events);
        let block = self.next_block;
        self.next_block += 1;
        self.open = Some((track, block));
        events.push(Event::Open { choice: self.index, block, kind });
        block
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some((_, block)) = self.open.take() {
            events.push(Event::Close { choice: self.index, block, extra: Extra::default() });
        }
    }

    fn push(&self, block: u32, delta: Delta, events: &mut Vec<Event>) {
        events.push(Event::Delta { choice: self.index, block, delta });
    }

    /// Where citations and logprobs go: the open text, else the choice's private block.
    fn text_block(&mut self, events: &mut Vec<Event>) -> u32 {
        match self.open {
            Some((Track::Text | Track::Refusal, block)) => block,
            _ => self.private_block(events),
        }
    }

    /// A block beside the others, opened and closed at once; private deltas name it all the same.
    fn private_block(&mut self, events: &mut Vec<Event>) -> u32 {
        if let Some(block) = self.private_block {
            return block;
        }
        let block = self.next_block;
        self.next_block += 1;
        self.private_block = Some(block);
        events.push(Event::Open { choice: self.index, block, kind: Block::Private { extra: Extra::default() } });
        block
    }

    fn private(&mut self, group: &str, fields: Map<String, Value>, events: &mut Vec<Event>) {
        let block = self.private_block(events);
        self.push(block, Delta::Private(extra::one(ME, group, Value::Object(fields))), events);
    }

    fn news(&mut self, object: Object<'_>) -> Map<String, Value> {
        if object.is_empty() {
            return Map::new();
        }
        let mut news = extra::news(object, &self.known);
        news.retain(|_, value| !value.is_null());
        extra::remember(&mut self.known, ME, &news);
        news
    }
}

/// DeepSeek's, xAI's and vLLM's `reasoning_content`, OpenRouter's and Groq's `reasoning`.
fn thinking(delta: &mut Object<'_>) -> Option<String> {
    let content = delta.take_any("reasoning_content").and_then(Node::into_text);
    let reasoning = delta.take_if("reasoning", |node| matches!(node, Node::Text(_) | Node::Null)).and_then(Node::into_text);
    content.or(reasoning).map(|text| text.into_owned())
}
