//! Events → a Messages stream.
//!
//! The official SDKs demand `message_start` first and blocks strictly one after another, counted from 0. Other dialects
//! interleave parallel tool calls, so a later block waits until the one being written closes. `message_start` waits for
//! the event behind it, which may bring the input's token count. `message_delta` waits for the end: it holds both the
//! finish and the usage, which come in either order.
//!
//! Estimate per event: one copy of its text into `data`, one into `out`; no allocation once warm.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::answer::{Traits, encode_stop};
use super::{ID, error, usage};
use crate::dialect::{Client, StreamEncoder, citation};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::sse::write_event;
use crate::ir::Extra;
use crate::json::build::{Object, digits, string};
use crate::usage::Usage;

/// Bytes of text that wait behind an open block; more ends the stream with an error.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(in crate::dialect) struct Encoder {
    client: Client<'static>,
    /// `Start`, until its event is written.
    start: Option<Event>,
    phase: Phase,
    writing: Option<Writing>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Text blocks that were ended early, because another block began while their source kept them open.
    lapsed: Vec<(u32, Block)>,
    block_count: u64,
    traits: Traits,
    finish: Option<(Finish, Extra)>,
    usage: (Usage, Extra),
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Begun,
    Over,
}

/// The block being written.
struct Writing {
    block: u32,
    is_text: bool,
}

/// A block that waits for its turn.
struct Waiting {
    block: u32,
    kind: Block,
    deltas: Vec<Delta>,
    is_closed: bool,
}

impl Encoder {
    pub(in crate::dialect) fn new(client: Client<'static>) -> Encoder {
        Encoder {
            client,
            start: None,
            phase: Phase::Before,
            writing: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            lapsed: Vec::new(),
            block_count: 0,
            traits: Traits::default(),
            finish: None,
            usage: (Usage::default(), Extra::default()),
            data: Vec::new(),
        }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        self.traits.note(event);
        match event {
            Event::Start { .. } => self.start = Some(event.clone()),
            Event::Usage { usage, extra } => {
                self.usage = (*usage, extra.clone());
                self.begin(out);
            }
            Event::Open { choice: 0, block, kind } => {
                self.begin(out);
                self.open(*block, kind, out);
            }
            Event::Delta { choice: 0, block, delta } => self.delta(*block, delta, out),
            Event::Close { choice: 0, block, .. } => self.close(*block, out),
            Event::Finish { choice: 0, reason, extra } => {
                self.begin(out);
                self.finish = Some((reason.clone(), extra.clone()));
            }
            Event::Ping => {
                self.begin(out);
                write_event(out, "ping", br#"{"type":"ping"}"#);
            }
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
            // This dialect has one choice.
            Event::Open { .. } | Event::Delta { .. } | Event::Close { .. } | Event::Finish { .. } => {}
        }
    }
}

impl Encoder {
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        error::encode_event(fault, out);
        self.phase = Phase::Over;
    }

    /// Writes one event named `name`, whose data has that type.
    fn write(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        self.data.clear();
        let mut object = Object::begin(&mut self.data);
        object.str("type", name);
        fill(&mut object);
        object.end();
        write_event(out, name, &self.data);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Begun;
        let (id, source_model, extra) = match self.start.take() {
            Some(Event::Start { id, model, extra, .. }) => (id, model, extra),
            _ => Default::default(),
        };
        let model = if self.client.model.is_empty() { source_model } else { self.client.model.clone().into_owned() };
        let (tokens, tokens_extra) = self.usage.clone();
        self.write("message_start", out, |object| {
            let mut message = object.object("message");
            message.str("id", &id);
            message.str("type", "message");
            message.str("role", "assistant");
            message.str("model", &model);
            message.raw("content", b"[]");
            message.raw("stop_reason", b"null");
            message.raw("stop_sequence", b"null");
            let mut counts = message.object("usage");
            usage::encode(&tokens, &tokens_extra, &mut counts);
            counts.end();
            extra.of(ID).into_iter().flatten().for_each(|(name, value)| message.value(name, value));
            message.end();
        });
    }

    fn open(&mut self, block: u32, kind: &Block, out: &mut Vec<u8>) {
        // Sound and other dialects' own blocks have no place here; their deltas find no block and end there.
        if matches!(kind, Block::Audio) || matches!(kind, Block::Private { extra } if extra.of(ID).is_none()) {
            return;
        }
        if self.writing.as_ref().is_some_and(|writing| writing.is_text) {
            self.lapse(out);
        }
        if self.writing.is_some() {
            self.waiting.push_back(Waiting { block, kind: kind.clone(), deltas: Vec::new(), is_closed: false });
            return;
        }
        self.write_open(block, kind, out);
    }

    /// Ends the text block being written; more of its text opens a new one.
    fn lapse(&mut self, out: &mut Vec<u8>) {
        if let Some(block) = self.writing.as_ref().map(|writing| writing.block) {
            self.lapsed.push((block, Block::Text));
            self.write_close(out);
        }
    }

    fn write_open(&mut self, block: u32, kind: &Block, out: &mut Vec<u8>) {
        let is_text = matches!(kind, Block::Text | Block::Refusal);
        self.writing = Some(Writing { block, is_text });
        // A sealed block holds its data in its start: it is written with its one delta.
        if *kind == Block::RedactedThinking {
            return;
        }
        let index = self.block_count;
        self.write("content_block_start", out, |object| {
            object.u64("index", index);
            let mut content = object.object("content_block");
            write_empty(kind, &mut content);
            content.end();
        });
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        if self.writing.as_ref().is_some_and(|writing| writing.block == block) {
            return self.write_delta(delta, out);
        }
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.block == block && !waiting.is_closed) {
            self.waiting_bytes += len(delta);
            waiting.deltas.push(delta.clone());
            if self.waiting_bytes > WAITING_BYTES_MAX {
                self.fail(&Fault::new(Kind::MalformedResponse, "too much text waits behind an open block"), out);
            }
            return;
        }
        if let Some(at) = self.lapsed.iter().position(|lapsed| lapsed.0 == block) {
            let (_, kind) = self.lapsed.swap_remove(at);
            self.open(block, &kind, out);
            self.delta(block, delta, out);
        }
    }

    fn write_delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let index = self.block_count;
        let (kind, field, text) = match delta {
            Delta::Text(text) => ("text_delta", "text", text),
            Delta::Thinking(text) => ("thinking_delta", "thinking", text),
            Delta::Signature(text) => ("signature_delta", "signature", text),
            Delta::Arguments(text) => ("input_json_delta", "partial_json", text),
            Delta::Sealed(text) => {
                return self.write("content_block_start", out, |object| {
                    object.u64("index", index);
                    let mut content = object.object("content_block");
                    content.str("type", "redacted_thinking");
                    content.str("data", text);
                    content.end();
                });
            }
            Delta::Citation(extra) | Delta::Private(extra) => return self.write_private(delta, extra, index, out),
            Delta::Audio(_) | Delta::Logprobs(_) => return,
        };
        self.data.clear();
        let data = &mut self.data;
        data.extend_from_slice(br#"{"type":"content_block_delta","index":"#);
        digits(data, index);
        data.extend_from_slice(br#","delta":{"type":""#);
        data.extend_from_slice(kind.as_bytes());
        data.extend_from_slice(br#"",""#);
        data.extend_from_slice(field.as_bytes());
        data.extend_from_slice(br#"":"#);
        string(data, text);
        data.extend_from_slice(b"}}");
        write_event(out, "content_block_delta", data);
    }

    fn write_private(&mut self, delta: &Delta, extra: &Extra, index: u64, out: &mut Vec<u8>) {
        let fields = if matches!(delta, Delta::Citation(_)) { citation::of(extra, ID) } else { extra.of(ID).map(Cow::Borrowed) };
        let Some(fields) = fields else { return };
        self.write("content_block_delta", out, |object| {
            object.u64("index", index);
            let mut inner = object.object("delta");
            if matches!(delta, Delta::Citation(_)) {
                inner.str("type", "citations_delta");
                let mut citation = inner.object("citation");
                fields.iter().for_each(|(name, value)| citation.value(name, value));
                citation.end();
            } else {
                fields.iter().for_each(|(name, value)| inner.value(name, value));
            }
            inner.end();
        });
    }

    fn close(&mut self, block: u32, out: &mut Vec<u8>) {
        if self.writing.as_ref().is_some_and(|writing| writing.block == block) {
            self.write_close(out);
            self.write_waiting(out);
        } else if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.block == block) {
            waiting.is_closed = true;
        } else {
            self.lapsed.retain(|lapsed| lapsed.0 != block);
        }
    }

    fn write_close(&mut self, out: &mut Vec<u8>) {
        if self.writing.take().is_none() {
            return;
        }
        let index = self.block_count;
        self.block_count += 1;
        self.write("content_block_stop", out, |object| object.u64("index", index));
    }

    /// Writes the blocks that waited, up to one that is still open.
    fn write_waiting(&mut self, out: &mut Vec<u8>) {
        while self.writing.is_none()
            && let Some(waiting) = self.waiting.pop_front()
        {
            self.write_open(waiting.block, &waiting.kind, out);
            for delta in &waiting.deltas {
                self.waiting_bytes -= len(delta);
                self.write_delta(delta, out);
            }
            if waiting.is_closed {
                self.write_close(out);
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        while self.writing.is_some() {
            self.write_close(out);
            self.write_waiting(out);
        }
        let (reason, extra) = self.finish.take().unwrap_or((Finish::Stop, Extra::default()));
        let (traits, (tokens, tokens_extra)) = (self.traits, self.usage.clone());
        self.write("message_delta", out, |object| {
            let fields = || extra.of(ID).into_iter().flatten();
            let mut delta = object.object("delta");
            let (word, sequence) = traits.stop(&reason);
            encode_stop(word, sequence, &mut delta);
            fields().filter(|(name, _)| *name != BESIDE).for_each(|(name, value)| delta.value(name, value));
            delta.end();
            let mut counts = object.object("usage");
            usage::encode(&tokens, &tokens_extra, &mut counts);
            counts.end();
            fields().filter(|(name, _)| *name == BESIDE).for_each(|(name, value)| object.value(name, value));
        });
        write_event(out, "message_stop", br#"{"type":"message_stop"}"#);
        self.phase = Phase::Over;
    }
}

/// The one private field of `message_delta` that stands beside its `delta`.
const BESIDE: &str = "context_management";

/// A block as it stands in `content_block_start`, before its deltas.
fn write_empty(kind: &Block, content: &mut Object<'_>) {
    match kind {
        Block::Thinking => {
            content.str("type", "thinking");
            content.str("thinking", "");
            content.str("signature", "");
        }
        Block::ToolCall { id, name, extra } => {
            content.str("type", "tool_use");
            content.str("id", id);
            content.str("name", name);
            content.raw("input", b"{}");
            extra.of(ID).into_iter().flatten().for_each(|(name, value)| content.value(name, value));
        }
        Block::Private { extra } => extra.of(ID).into_iter().flatten().for_each(|(name, value)| content.value(name, value)),
        Block::Text | Block::Refusal | Block::RedactedThinking | Block::Audio => {
            content.str("type", "text");
            content.str("text", "");
        }
    }
}

fn len(delta: &Delta) -> usize {
    match delta {
        Delta::Text(text)
        | Delta::Thinking(text)
        | Delta::Signature(text)
        | Delta::Sealed(text)
        | Delta::Arguments(text)
        | Delta::Audio(text) => text.len(),
        Delta::Citation(_) | Delta::Logprobs(_) | Delta::Private(_) => 256,
    }
}
