//! A ConverseStream → events.
//!
//! A text or reasoning block begins with its first delta, a call with `contentBlockStart`. The usage comes in `metadata`, which
//! stands behind `messageStop` on the wire and before it in some fixtures: the answer is over when both came, or when the
//! transport ended behind `messageStop`.
//!
//! Estimate per delta: two CRCs and one pass of a cursor over its bytes, its text is the one copy and allocation.

use serde_json::Map;

use super::answer::finish;
use super::content::{call, is_call};
use super::{ID, rest, usage};
use crate::dialect::StreamDecoder;
use crate::dialect::bedrock::error::in_band;
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::frame::event_stream::{EventStreamSplitter, Frame, Message};
use crate::ir::Extra;
use crate::json::scan::Cursor;
use crate::json::tree::{Json, Parser};

/// Blocks open at one time; Bedrock keeps one.
const OPEN_BLOCKS_MAX: usize = 64;

pub(super) struct Decoder {
    splitter: EventStreamSplitter,
    parser: Parser,
    state: State,
}

impl Decoder {
    pub(super) fn new() -> Decoder {
        Decoder { splitter: EventStreamSplitter::default(), parser: Parser::new(), state: State::default() }
    }
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let Decoder { splitter, parser, state } = self;
        splitter.feed(bytes, |frame| state.frame(&frame, parser, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.splitter.mid_event() && !self.state.is_over {
            return Err(Fault::new(Kind::UpstreamCut, "stream ended inside an event frame"));
        }
        self.state.finish(events)
    }
}

/// What is known of the stream so far.
#[derive(Default)]
pub(in crate::dialect) struct State {
    open: Vec<OpenBlock>,
    block_count: u32,
    has_start: bool,
    has_finish: bool,
    has_metadata: bool,
    /// `End` or a fault was given; what follows is ignored.
    is_over: bool,
}

/// A block between its first event and its stop.
#[derive(Clone, Copy)]
struct OpenBlock {
    /// The wire's index.
    index: u64,
    block: u32,
    kind: Kept,
}

/// What of a block's kind decides how its deltas read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Text,
    Thinking,
    Sealed,
    ToolCall { has_arguments: bool },
    Private,
}

impl State {
    fn frame(&mut self, frame: &Frame<'_>, parser: &mut Parser, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over {
            return Ok(());
        }
        if let Some(fault) = in_band(frame) {
            self.is_over = true;
            events.push(Event::Fault(fault));
            return Ok(());
        }
        let Message::Event(name) = frame.message() else { return Ok(()) };
        if name == "contentBlockDelta"
            && let Some((index, text)) = quick(frame.payload)
            && let Some(block) = self.open.iter().find(|open| open.index == index && open.kind == Kept::Text).map(|open| open.block)
        {
            events.push(Event::Delta { choice: 0, block, delta: Delta::Text(text) });
            return Ok(());
        }
        let applied = parser.with(frame.payload, |json| self.apply(name, json, events));
        applied.unwrap_or_else(|_| Err(malformed("an event's payload is not valid JSON")))
    }

    /// Takes one event by its name.
    pub(in crate::dialect) fn apply(&mut self, name: &str, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over {
            return Ok(());
        }
        match name {
            "messageStart" => self.start(Some(json), events),
            "contentBlockStart" => self.block_start(json, events)?,
            "contentBlockDelta" => self.block_delta(json, events)?,
            "contentBlockStop" => self.block_stop(json, events)?,
            "messageStop" => {
                self.start(None, events);
                self.open.drain(..).for_each(|open| close(open, events));
                if !self.has_finish {
                    self.has_finish = true;
                    let reason = json.get_str("stopReason").ok_or_else(|| malformed("messageStop has no stopReason"))?;
                    events.push(finish(reason, json.get("additionalModelResponseFields")));
                }
                self.end_if(self.has_metadata, events);
            }
            "metadata" => {
                self.start(None, events);
                self.has_metadata = true;
                let beside = json.object().into_iter().flatten().filter(|(name, _)| usage::BESIDE.contains(name));
                let beside: Map<_, _> = beside.map(|(name, value)| (name.to_owned(), value.value())).collect();
                if let Some(counts) = json.get("usage") {
                    events.push(usage::decode(counts, beside));
                }
                self.end_if(self.has_finish, events);
            }
            // New kinds of events may come at any time.
            _ => {}
        }
        Ok(())
    }

    fn end_if(&mut self, is_complete: bool, events: &mut Vec<Event>) {
        if is_complete {
            self.is_over = true;
            events.push(Event::End);
        }
    }

    /// The transport ended cleanly.
    pub(in crate::dialect) fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over {
            return Ok(());
        }
        if !self.has_finish {
            return Err(Fault::new(Kind::UpstreamCut, "stream ended before messageStop"));
        }
        self.end_if(true, events);
        Ok(())
    }

    /// Some streams come without `messageStart`.
    fn start(&mut self, json: Option<Json<'_, '_>>, events: &mut Vec<Event>) {
        if self.has_start {
            return;
        }
        self.has_start = true;
        // The mark stays without fields: it tells the encoder that the events are of its own dialect.
        let fields = json.map(|json| rest(json, &["role", PADDING]).fields).unwrap_or_default();
        let extra = Extra { dialect: Some(ID), fields };
        events.push(Event::Start { id: String::new(), model: String::new(), created: None, extra });
    }

    fn block_start(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.start(None, events);
        let index = index(json)?;
        if self.open.iter().any(|open| open.index == index) {
            return Err(malformed("a content block was opened twice"));
        }
        let start = json.get("start");
        let (kind, block) = match start.and_then(|start| start.get("toolUse")).filter(|own| is_call(*own)) {
            Some(own) => (Kept::ToolCall { has_arguments: false }, call(own)),
            None => (Kept::Private, Block::Private { extra: start.map(|start| rest(start, &[])).unwrap_or_default() }),
        };
        self.open(index, kind, block, events).map(drop)
    }

    fn open(&mut self, index: u64, kind: Kept, block: Block, events: &mut Vec<Event>) -> Result<usize, Fault> {
        if self.open.len() >= OPEN_BLOCKS_MAX {
            return Err(malformed("too many content blocks are open"));
        }
        let number = self.block_count;
        self.block_count += 1;
        events.push(Event::Open { choice: 0, block: number, kind: block });
        self.open.push(OpenBlock { index, block: number, kind });
        Ok(self.open.len() - 1)
    }

    fn block_delta(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.start(None, events);
        let index = index(json)?;
        let delta = json.get("delta").ok_or_else(|| malformed("contentBlockDelta has no delta"))?;
        let (kind, opening, delta) = read_delta(delta);
        let at = match self.open.iter().position(|open| open.index == index) {
            Some(at) => at,
            None => self.open(index, kind, opening, events)?,
        };
        let open = &mut self.open[at];
        if let Delta::Arguments(json) = &delta {
            if json.is_empty() {
                return Ok(());
            }
            if let Kept::ToolCall { has_arguments } = &mut open.kind {
                *has_arguments = true;
            }
        }
        // A delta of another kind than its block has no place in it.
        let fits =
            matches!((open.kind, &delta), (Kept::Private, _) | (Kept::Text, Delta::Text(_) | Delta::Citation(_) | Delta::Private(_)))
                || matches!(
                    (open.kind, &delta),
                    (Kept::Thinking, Delta::Thinking(_) | Delta::Signature(_)) | (Kept::Sealed, Delta::Sealed(_))
                )
                || matches!((open.kind, &delta), (Kept::ToolCall { .. }, Delta::Arguments(_)));
        if fits {
            events.push(Event::Delta { choice: 0, block: open.block, delta });
        }
        Ok(())
    }

    fn block_stop(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = index(json)?;
        // A block without a delta has no start either.
        if let Some(at) = self.open.iter().position(|open| open.index == index) {
            close(self.open.remove(at), events);
        }
        Ok(())
    }
}

/// Bedrock pads its events so that their length tells nothing of their content.
const PADDING: &str = "p";

/// The kind of block that `delta` begins, and the delta.
fn read_delta(delta: Json<'_, '_>) -> (Kept, Block, Delta) {
    if let Some(text) = delta.get_str("text") {
        return (Kept::Text, Block::Text, Delta::Text(text.to_owned()));
    }
    if let Some(content) = delta.get("reasoningContent") {
        if let Some(text) = content.get_str("text") {
            return (Kept::Thinking, Block::Thinking, Delta::Thinking(text.to_owned()));
        }
        if let Some(signature) = content.get_str("signature") {
            return (Kept::Thinking, Block::Thinking, Delta::Signature(signature.to_owned()));
        }
        if let Some(data) = content.get_str("redactedContent") {
            return (Kept::Sealed, Block::RedactedThinking, Delta::Sealed(data.to_owned()));
        }
    }
    if let Some(input) = delta.get("toolUse").and_then(|call| call.get_str("input")) {
        return (Kept::Private, Block::Private { extra: Extra::default() }, Delta::Arguments(input.to_owned()));
    }
    if let Some(citation) = delta.get("citation") {
        return (Kept::Text, Block::Text, Delta::Citation(rest(citation, &[])));
    }
    (Kept::Private, Block::Private { extra: Extra::default() }, Delta::Private(rest(delta, &[])))
}

/// Index and text of a delta in the plain form; `None` for any other form, broken JSON too.
fn quick(data: &[u8]) -> Option<(u64, String)> {
    let (mut index, mut text, mut is_plain) = (None, None, true);
    let mut cursor = Cursor::new(data);
    let read = cursor.object(|key, value| match key {
        b"contentBlockIndex" => value.u64().map(|number| index = number),
        b"delta" => value.object(|key, value| {
            match key {
                b"text" => text = value.string()?,
                _ => is_plain = false,
            }
            Ok(())
        }),
        _ => Ok(()),
    });
    read.and_then(|()| cursor.end()).ok()?;
    Some((index?, text.filter(|_| is_plain)?.into_owned()))
}

fn close(open: OpenBlock, events: &mut Vec<Event>) {
    if open.kind == (Kept::ToolCall { has_arguments: false }) {
        events.push(Event::Delta { choice: 0, block: open.block, delta: Delta::Arguments("{}".to_owned()) });
    }
    events.push(Event::Close { choice: 0, block: open.block, extra: Extra::default() });
}

fn index(json: Json<'_, '_>) -> Result<u64, Fault> {
    json.get("contentBlockIndex").and_then(Json::u64).ok_or_else(|| malformed("a content block event has no contentBlockIndex"))
}

fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}
