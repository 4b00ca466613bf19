//! A chat stream → events. v1 streams are lines of JSON or events; `v1` reads them.

use super::answer::{decode_call, plan_mark};
use super::{ME, error, finish, usage, v1};
use crate::dialect::StreamDecoder;
use crate::dialect::openai::extra;
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::frame::ndjson::NdjsonSplitter;
use crate::frame::sse::SseSplitter;
use crate::ir::Extra;
use crate::json::node::{self, Node, Object};

/// Blocks open at one time; Cohere keeps one, and calls.
const OPEN_BLOCKS_MAX: usize = 256;

/// Either framing; the first byte tells.
#[derive(Debug, Default)]
pub(super) enum Splitter {
    #[default]
    Unknown,
    Events(SseSplitter),
    Lines(NdjsonSplitter),
}

impl Splitter {
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        if let Splitter::Unknown = self {
            match bytes.iter().find(|byte| !matches!(byte, b'\r' | b'\n')) {
                None => return Ok(()),
                Some(b'{') => *self = Splitter::Lines(NdjsonSplitter::default()),
                Some(_) => *self = Splitter::Events(SseSplitter::default()),
            }
        }
        match self {
            Splitter::Events(splitter) => splitter.feed(bytes, |event| each(event.data)),
            Splitter::Lines(splitter) => splitter.feed(bytes, each),
            Splitter::Unknown => Ok(()),
        }
    }

    pub(super) fn finish(&mut self, each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut each = each;
        match self {
            Splitter::Events(splitter) => splitter.finish(|event| each(event.data)),
            Splitter::Lines(splitter) => splitter.finish(each),
            Splitter::Unknown => Ok(()),
        }
    }

    pub(super) fn mid_event(&self) -> bool {
        match self {
            Splitter::Events(splitter) => splitter.mid_event(),
            Splitter::Lines(splitter) => splitter.mid_event(),
            Splitter::Unknown => false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Decoder {
    splitter: Splitter,
    state: State,
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.feed(bytes, |data| state.event(data, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        // An event without its blank line counts if it is whole; a torn one is the cut that is reported below.
        let _torn = self.splitter.finish(|data| state.event(data, events));
        if state.is_over { Ok(()) } else { Err(Fault::new(Kind::UpstreamCut, "stream ended before message-end")) }
    }
}

/// What an open block is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Plan,
    Content(u64),
    Call(u64),
    /// Where citations go that stand in no text.
    Beside,
}

#[derive(Debug, Default)]
pub(super) struct State {
    open: Vec<(Place, u32)>,
    block_count: u32,
    has_start: bool,
    pub(super) is_over: bool,
    pub(super) v1: v1::State,
}

impl State {
    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let node = node::parse(data).map_err(|_| malformed("an event's data is not valid JSON"))?;
        let object = node.into_object().ok_or_else(|| malformed("an event is not an object"))?;
        if object.look_text("event_type").is_some() {
            self.is_over = self.v1.event(object, events)?;
            return Ok(());
        }
        self.apply(object, events)
    }

    fn apply(&mut self, mut event: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let Some(kind) = event.take_text("type") else {
            // An error of the gateway in front of the API has no type.
            let message = event.take_text("message").ok_or_else(|| malformed("an event has no type"))?;
            return self.fail(error::in_band(Some(&message), "error"), events);
        };
        let index = event.take_u64("index").unwrap_or_default();
        let mut delta = event.take_object("delta").unwrap_or_default();
        match kind.as_ref() {
            "message-start" => self.start(event, events),
            "content-start" => self.content_start(index, message_member(&mut delta, "content"), events)?,
            "content-delta" => {
                let mut content = message_member(&mut delta, "content").unwrap_or_default();
                self.content_delta(index, &mut content, events)?;
                if let Some(logprobs) = event.take("logprobs") {
                    let block = self.place(Place::Content(index))?;
                    let delta = Delta::Logprobs(extra::one(ME, "logprobs", logprobs.into_value()));
                    events.push(Event::Delta { choice: 0, block, delta });
                }
            }
            "content-end" => self.close(Place::Content(index), events),
            "tool-plan-delta" => {
                let mut message = delta.take_object("message").unwrap_or_default();
                self.plan(message.take_text("tool_plan").unwrap_or_default().into_owned(), events)?;
            }
            "tool-call-start" => {
                self.close(Place::Plan, events);
                let mut call = message_member(&mut delta, "tool_calls").ok_or_else(|| malformed("tool-call-start has no call"))?;
                let (kind, arguments) = decode_call(&mut call).ok_or_else(|| malformed("a tool call has no function"))?;
                let block = self.open(Place::Call(index), kind, events)?;
                events.extend(arguments.map(|delta| Event::Delta { choice: 0, block, delta }));
            }
            "tool-call-delta" => {
                let mut call = message_member(&mut delta, "tool_calls").unwrap_or_default();
                let mut function = call.take_object("function").unwrap_or_default();
                let block = self.place(Place::Call(index))?;
                if let Some(text) = function.take_text("arguments").filter(|text| !text.is_empty()) {
                    events.push(Event::Delta { choice: 0, block, delta: Delta::Arguments(text.into_owned()) });
                }
            }
            "tool-call-end" => self.close(Place::Call(index), events),
            "citation-start" => {
                if let Some(citation) = message_member(&mut delta, "citations") {
                    let block = self.cited(events)?;
                    let delta = Delta::Citation(Extra { dialect: Some(ME), fields: citation.into_map() });
                    events.push(Event::Delta { choice: 0, block, delta });
                }
            }
            "message-end" => return self.end(delta, event, events),
            // `citation-end`, `debug` and what is yet to come.
            _ => {}
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.is_over = true;
        events.push(Event::Fault(fault));
        Ok(())
    }

    fn start(&mut self, mut event: Object<'_>, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_start, true) {
            let id = event.take_text("id").unwrap_or_default().into_owned();
            let mut private = extra::rest(ME, event);
            private.dialect = Some(ME);
            events.push(Event::Start { id, model: String::new(), created: None, extra: private });
        }
    }

    fn content_start(&mut self, index: u64, content: Option<Object<'_>>, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.close(Place::Plan, events);
        let mut content = content.unwrap_or_default();
        let kind = match content.look_text("type") {
            Some("thinking") if content.look_text("data").is_some() => Block::RedactedThinking,
            Some("thinking") => Block::Thinking,
            Some("text") | None => Block::Text,
            Some(_) => Block::Private { extra: extra::rest(ME, std::mem::take(&mut content)) },
        };
        self.open(Place::Content(index), kind, events)?;
        self.content_delta(index, &mut content, events)
    }

    fn content_delta(&mut self, index: u64, content: &mut Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let block = self.place(Place::Content(index))?;
        const WORDS: &[(&str, fn(String) -> Delta)] =
            &[("text", Delta::Text), ("thinking", Delta::Thinking), ("signature", Delta::Signature), ("data", Delta::Sealed)];
        for (name, delta) in WORDS {
            if let Some(text) = content.take_text(name).filter(|text| !text.is_empty()) {
                events.push(Event::Delta { choice: 0, block, delta: delta(text.into_owned()) });
            }
        }
        Ok(())
    }

    fn plan(&mut self, text: String, events: &mut Vec<Event>) -> Result<(), Fault> {
        if text.is_empty() {
            return Ok(());
        }
        let block = match self.find(Place::Plan) {
            Some(block) => block,
            None => {
                let block = self.open(Place::Plan, Block::Thinking, events)?;
                events.push(Event::Delta { choice: 0, block, delta: plan_mark() });
                block
            }
        };
        events.push(Event::Delta { choice: 0, block, delta: Delta::Thinking(text) });
        Ok(())
    }

    /// The text that a citation belongs to: the last one that is open.
    fn cited(&mut self, events: &mut Vec<Event>) -> Result<u32, Fault> {
        let open = self.open.iter().rev().find(|(place, _)| matches!(place, Place::Content(_) | Place::Beside));
        match open {
            Some((_, block)) => Ok(*block),
            None => self.open(Place::Beside, Block::Private { extra: Extra::default() }, events),
        }
    }

    fn end(&mut self, mut delta: Object<'_>, mut event: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if let Some(fault) = error::of_delta(&mut delta) {
            return self.fail(fault, events);
        }
        let word = delta.take_text("finish_reason").ok_or_else(|| malformed("message-end has no finish_reason"))?;
        for (_, block) in self.open.drain(..) {
            events.push(Event::Close { choice: 0, block, extra: Extra::default() });
        }
        let figures = delta.take_object("usage");
        let mut private = extra::rest(ME, delta);
        event.take_any("id");
        for (name, value) in event.into_map() {
            extra::put(&mut private, ME, &name, value);
        }
        events.push(Event::Finish { choice: 0, reason: finish(&word), extra: private });
        if let Some((usage, extra)) = figures.and_then(usage::decode) {
            events.push(Event::Usage { usage, extra });
        }
        self.is_over = true;
        events.push(Event::End);
        Ok(())
    }

    fn find(&self, place: Place) -> Option<u32> {
        self.open.iter().find(|open| open.0 == place).map(|open| open.1)
    }

    fn place(&self, place: Place) -> Result<u32, Fault> {
        self.find(place).ok_or_else(|| malformed("an event names a block or a tool call that is not open"))
    }

    fn open(&mut self, place: Place, kind: Block, events: &mut Vec<Event>) -> Result<u32, Fault> {
        if self.open.len() >= OPEN_BLOCKS_MAX || self.find(place).is_some() {
            return Err(malformed("a block was opened twice"));
        }
        let block = self.block_count;
        self.block_count += 1;
        self.open.push((place, block));
        events.push(Event::Open { choice: 0, block, kind });
        Ok(block)
    }

    fn close(&mut self, place: Place, events: &mut Vec<Event>) {
        if let Some(at) = self.open.iter().position(|open| open.0 == place) {
            let (_, block) = self.open.remove(at);
            events.push(Event::Close { choice: 0, block, extra: Extra::default() });
        }
    }
}

/// `message.NAME` of a delta; the SDKs' older form has the member alone.
fn message_member<'a>(delta: &mut Object<'a>, name: &str) -> Option<Object<'a>> {
    let mut message = delta.take_object("message")?;
    match message.take(name)? {
        Node::Object(object) => Some(object),
        Node::List(list) => list.into_iter().find_map(Node::into_object),
        _ => None,
    }
}

pub(super) fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}
