//! A Messages stream → events.
//!
//! Estimate per delta: one pass of a cursor over its bytes, its text is the one copy and allocation. Other events are
//! copied once for the parser, whose buffers are kept.

use super::answer::{finish, rest, start};
use super::content::{open, private_delta};
use super::error;
use super::usage::Report;
use crate::dialect::StreamDecoder;
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::frame::sse::{SseEvent, SseSplitter};
use crate::ir::Extra;
use crate::json::scan::Cursor;
use crate::json::tree::{Json, Parser};

/// Blocks open at one time; Anthropic keeps one.
const OPEN_BLOCKS_MAX: usize = 64;

pub(in crate::dialect) struct Decoder {
    splitter: SseSplitter,
    parser: Parser,
    state: State,
}

impl Decoder {
    pub(in crate::dialect) fn new() -> Decoder {
        Decoder { splitter: SseSplitter::default(), parser: Parser::new(), state: State::default() }
    }
}

impl Decoder {
    /// Takes the data of one event, whatever framed it.
    pub(in crate::dialect) fn data(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        // The name lets the common event take its short way; all others say in their data what they are.
        let event = if data.starts_with(br#"{"type":"content_block_delta""#) { "content_block_delta" } else { "" };
        self.state.event(SseEvent { event, data }, &mut self.parser, events)
    }
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let Decoder { splitter, parser, state } = self;
        splitter.feed(bytes, |event| state.event(event, parser, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let Decoder { splitter, parser, state } = self;
        // An event without its blank line counts if it is whole; a torn one is the cut that is reported below.
        let _torn = splitter.finish(|event| state.event(event, parser, events));
        if state.is_over {
            return Ok(());
        }
        let missing = if state.has_finish { "message_stop" } else { "a stop_reason" };
        Err(Fault::new(Kind::UpstreamCut, format!("stream ended before {missing}")))
    }
}

#[derive(Default)]
struct State {
    open: Vec<OpenBlock>,
    block_count: u32,
    report: Report,
    has_start: bool,
    /// The answer's own name.
    id: String,
    has_finish: bool,
    /// `message_stop` or an error came; what follows is ignored.
    is_over: bool,
}

/// A block between its start and its stop.
struct OpenBlock {
    /// The wire's index.
    index: u64,
    block: u32,
    kind: Kept,
    closing: Extra,
}

/// What of a block's kind decides how its deltas read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Common,
    /// A tool call, and whether arguments came.
    ToolCall {
        has_arguments: bool,
    },
    Private,
}

impl State {
    fn event(&mut self, event: SseEvent<'_>, parser: &mut Parser, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over || event.data == b"[DONE]" {
            return Ok(());
        }
        if event.event == "content_block_delta"
            && let Some(quick) = quick(event.data)
            && self.quick_delta(quick, events)
        {
            return Ok(());
        }
        parser.with(event.data, |json| self.apply(json, events)).unwrap_or_else(|_| Err(malformed("an event's data is not valid JSON")))
    }

    fn apply(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let kind = json.get_str("type").ok_or_else(|| malformed("an event has no type"))?;
        if !self.has_start && matches!(kind, "content_block_start" | "content_block_delta" | "content_block_stop" | "message_delta") {
            return Err(malformed("an event stands before message_start"));
        }
        match kind {
            "message_start" => self.message_start(json, events)?,
            "content_block_start" => self.block_start(json, events)?,
            "content_block_delta" => self.block_delta(json, events)?,
            "content_block_stop" => {
                let at = self.place(json)?;
                let open = self.open.remove(at);
                close(open, events);
            }
            "message_delta" => self.message_delta(json, events),
            "message_stop" => {
                self.open.drain(..).for_each(|open| close(open, events));
                if self.has_finish {
                    self.is_over = true;
                    events.push(Event::End);
                }
            }
            "ping" => events.push(Event::Ping),
            "error" => {
                self.is_over = true;
                events.push(Event::Fault(error::in_band(json)));
            }
            // New kinds of events may come at any time (docs.anthropic.com/en/api/versioning, read 2026-11-20).
            _ => {}
        }
        Ok(())
    }

    fn message_start(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let message = json.get("message").filter(|message| message.is_object()).ok_or_else(|| malformed("message_start has no message"))?;
        let id = message.get_str("id").unwrap_or_default();
        if self.has_start {
            // Some servers say it twice; that of another answer is another answer.
            return if self.id == id { Ok(()) } else { Err(malformed("message_start came twice")) };
        }
        self.has_start = true;
        id.clone_into(&mut self.id);
        events.push(start(message));
        if let Some(usage) = message.get("usage") {
            self.report.merge(usage);
            events.push(self.report.event());
        }
        Ok(())
    }

    fn block_start(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = index(json)?;
        let opening =
            json.get("content_block").and_then(open).ok_or_else(|| malformed("content_block_start has no whole content_block"))?;
        if self.open.len() >= OPEN_BLOCKS_MAX || self.open.iter().any(|open| open.index == index) {
            return Err(malformed("a content block was opened twice"));
        }
        let block = self.block_count;
        self.block_count += 1;
        let kind = match opening.kind {
            Block::ToolCall { .. } => Kept::ToolCall { has_arguments: !opening.deltas.is_empty() },
            Block::Private { .. } => Kept::Private,
            _ => Kept::Common,
        };
        events.push(Event::Open { choice: 0, block, kind: opening.kind });
        events.extend(opening.deltas.into_iter().map(|delta| Event::Delta { choice: 0, block, delta }));
        self.open.push(OpenBlock { index, block, kind, closing: opening.closing });
        Ok(())
    }

    fn block_delta(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let at = self.place(json)?;
        let open = &mut self.open[at];
        let delta = json.get("delta").ok_or_else(|| malformed("content_block_delta has no delta"))?;
        let text = |field: &str| delta.get_str(field).map(str::to_owned).ok_or_else(|| malformed("a delta lacks its text"));
        let delta = match (open.kind, delta.get_str("type").unwrap_or_default()) {
            (Kept::Private, _) => private_delta(delta),
            (_, "text_delta") => Delta::Text(text("text")?),
            (_, "thinking_delta") => Delta::Thinking(text("thinking")?),
            (_, "signature_delta") => Delta::Signature(text("signature")?),
            (Kept::ToolCall { .. }, "input_json_delta") => Delta::Arguments(text("partial_json")?),
            (_, "citations_delta") => match delta.get("citation") {
                Some(citation) => Delta::Citation(rest(citation, &[])),
                None => return Err(malformed("citations_delta has no citation")),
            },
            _ => private_delta(delta),
        };
        match &delta {
            // It carries nothing: Anthropic opens every tool call with one.
            Delta::Arguments(json) if json.is_empty() => return Ok(()),
            Delta::Arguments(_) => open.kind = Kept::ToolCall { has_arguments: true },
            _ => {}
        }
        events.push(Event::Delta { choice: 0, block: open.block, delta });
        Ok(())
    }

    /// Takes a delta of a plain kind; `false` leaves it to `block_delta`, which knows all others and every error.
    fn quick_delta(&mut self, (index, kind, text): (u64, Plain, String), events: &mut Vec<Event>) -> bool {
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else { return false };
        let delta = match (kind, open.kind) {
            (Plain::Text, Kept::Common) => Delta::Text(text),
            (Plain::Thinking, Kept::Common) => Delta::Thinking(text),
            (Plain::Arguments, Kept::ToolCall { .. }) if text.is_empty() => return true,
            (Plain::Arguments, Kept::ToolCall { .. }) => {
                open.kind = Kept::ToolCall { has_arguments: true };
                Delta::Arguments(text)
            }
            _ => return false,
        };
        events.push(Event::Delta { choice: 0, block: open.block, delta });
        true
    }

    fn message_delta(&mut self, json: Json<'_, '_>, events: &mut Vec<Event>) {
        let delta = json.get("delta");
        if let Some((delta, reason)) = delta.and_then(|delta| Some((delta, delta.get_str("stop_reason")?)))
            && !self.has_finish
        {
            self.has_finish = true;
            let mut extra = rest(delta, &["stop_reason", "stop_sequence"]);
            let beside = rest(json, &["type", "delta", "usage"]);
            extra.dialect = extra.dialect.or(beside.dialect);
            extra.fields.extend(beside.fields);
            events.push(Event::Finish { choice: 0, reason: finish(reason, delta.get_str("stop_sequence")), extra });
        }
        if let Some(usage) = json.get("usage") {
            self.report.merge(usage);
            events.push(self.report.event());
        }
    }

    /// Where the open block of an event stands.
    fn place(&self, json: Json<'_, '_>) -> Result<usize, Fault> {
        let index = index(json)?;
        self.open.iter().position(|open| open.index == index).ok_or_else(|| malformed("an event names a content block that is not open"))
    }
}

#[derive(Clone, Copy)]
enum Plain {
    Text,
    Thinking,
    Arguments,
}

/// The index, kind and text of a delta in the plain form; `None` for any other form, broken JSON too.
fn quick(data: &[u8]) -> Option<(u64, Plain, String)> {
    let (mut index, mut kind, mut field, mut text) = (None, None, None, None);
    let mut is_plain = true;
    let mut cursor = Cursor::new(data);
    let read = cursor.object(|key, value| match key {
        b"type" => value.raw_string().map(|name| is_plain &= name == Some(b"content_block_delta")),
        b"index" => value.u64().map(|number| index = number),
        b"delta" => value.object(|key, value| {
            match key {
                b"type" => kind = value.raw_string()?,
                b"text" | b"thinking" | b"partial_json" => {
                    is_plain &= field.is_none();
                    field = Some(match key {
                        b"text" => Plain::Text,
                        b"thinking" => Plain::Thinking,
                        _ => Plain::Arguments,
                    });
                    text = value.string()?;
                }
                _ => is_plain = false,
            }
            Ok(())
        }),
        _ => {
            is_plain = false;
            Ok(())
        }
    });
    read.and_then(|()| cursor.end()).ok()?;
    let field = field?;
    let word: &[u8] = match field {
        Plain::Text => b"text_delta",
        Plain::Thinking => b"thinking_delta",
        Plain::Arguments => b"input_json_delta",
    };
    (is_plain && kind? == word).then_some((index?, field, text?.into_owned()))
}

fn close(open: OpenBlock, events: &mut Vec<Event>) {
    if open.kind == (Kept::ToolCall { has_arguments: false }) {
        events.push(Event::Delta { choice: 0, block: open.block, delta: Delta::Arguments("{}".to_owned()) });
    }
    events.push(Event::Close { choice: 0, block: open.block, extra: open.closing });
}

fn index(json: Json<'_, '_>) -> Result<u64, Fault> {
    json.get("index").and_then(Json::u64).ok_or_else(|| malformed("a content block event has no index"))
}

fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}
