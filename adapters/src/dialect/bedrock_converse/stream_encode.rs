//! Events → a ConverseStream.
//!
//! Blocks are counted from 0 and come one after another (`order`). `messageStop` and `metadata` wait for the end: the finish and
//! the usage come in either order.
//!
//! Estimate per event: one copy of its text into `out`, two CRCs; no allocation once warm.

use super::answer::Traits;
use super::order::Order;
use super::{ID, usage};
use crate::dialect::{Client, StreamEncoder, bedrock};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::frame::event_stream::{begin_event, end_frame};
use crate::ir::Extra;
use crate::json::build::Object;
use crate::usage::Usage;

pub(super) struct Encoder {
    order: Order,
    has_begun: bool,
    is_over: bool,
    block_count: u64,
    traits: Traits,
    start: Extra,
    finish: (Finish, Extra),
    usage: (Usage, Extra),
}

impl Encoder {
    pub(super) fn new(_: Client<'static>) -> Encoder {
        Encoder {
            order: Order::default(),
            has_begun: false,
            is_over: false,
            block_count: 0,
            traits: Traits::default(),
            start: Extra::default(),
            finish: (Finish::Stop, Extra::default()),
            usage: (Usage::default(), Extra::default()),
        }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        self.traits.note(event);
        match event {
            Event::Start { extra, .. } => {
                self.start = extra.clone();
                self.begin(out);
            }
            Event::Usage { usage, extra } => self.usage = (*usage, extra.clone()),
            Event::Finish { choice: 0, reason, extra } => self.finish = (reason.clone(), extra.clone()),
            Event::Open { choice: 0, .. } | Event::Delta { choice: 0, .. } | Event::Close { choice: 0, .. } => self.block(event, out),
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
            // There is no word for a ping; this dialect has one choice.
            _ => {}
        }
    }
}

impl Encoder {
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        bedrock::error::encode_event(fault, Framing::EventStream, out);
        self.is_over = true;
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        write(out, "messageStart", |object| object.str("role", "assistant"));
    }

    fn block(&mut self, event: &Event, out: &mut Vec<u8>) {
        self.begin(out);
        let block_count = &mut self.block_count;
        let taken = self.order.take(event, &mut |event| write_block(event, block_count, out));
        if taken.is_err() {
            self.fail(&Fault::new(Kind::MalformedResponse, "too much text waits behind an open block"), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        let block_count = &mut self.block_count;
        self.order.end(&mut |event| write_block(event, block_count, out));
        let (reason, extra) = &self.finish;
        let traits = self.traits;
        write(out, "messageStop", |object| traits.encode(reason, extra, object));
        let (tokens, extra) = &self.usage;
        let beside = |name: &str| extra.of(ID).and_then(|fields| fields.get(name)).or_else(|| self.start.of(ID)?.get(name));
        write(out, "metadata", |object| {
            let mut counts = object.object("usage");
            usage::encode(tokens, extra, &mut counts);
            counts.end();
            if beside("metrics").is_none() {
                // Clients with typed answers demand it; nobody measured.
                object.raw("metrics", br#"{"latencyMs":0}"#);
            }
            usage::BESIDE.iter().filter_map(|name| Some((name, beside(name)?))).for_each(|(name, value)| object.value(name, value));
        });
        self.is_over = true;
    }
}

/// Writes one event frame.
fn write(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
    let start = begin_event(out, name);
    let mut object = Object::begin(out);
    fill(&mut object);
    object.end();
    end_frame(out, start);
}

/// Sound and other dialects' own blocks have no place here; their number is counted all the same.
fn write_block(event: &Event, block_count: &mut u64, out: &mut Vec<u8>) {
    let index = *block_count;
    match event {
        Event::Open { kind: Block::ToolCall { id, name, extra }, .. } => write(out, "contentBlockStart", |object| {
            object.u64("contentBlockIndex", index);
            let mut start = object.object("start");
            let mut call = start.object("toolUse");
            call.str("toolUseId", id);
            call.str("name", name);
            extra.of(ID).into_iter().flatten().for_each(|(name, value)| call.value(name, value));
            call.end();
            start.end();
        }),
        Event::Open { kind: Block::Private { extra }, .. } => {
            if let Some(fields) = extra.of(ID) {
                write(out, "contentBlockStart", |object| {
                    object.u64("contentBlockIndex", index);
                    let mut start = object.object("start");
                    fields.iter().for_each(|(name, value)| start.value(name, value));
                    start.end();
                });
            }
        }
        Event::Delta { delta, .. } => write_delta(delta, index, out),
        Event::Close { .. } => {
            *block_count += 1;
            write(out, "contentBlockStop", |object| object.u64("contentBlockIndex", index));
        }
        _ => {}
    }
}

fn write_delta(delta: &Delta, index: u64, out: &mut Vec<u8>) {
    let private = match delta {
        Delta::Citation(extra) | Delta::Private(extra) => match extra.of(ID) {
            Some(fields) => Some(fields),
            None => return,
        },
        Delta::Audio(_) | Delta::Logprobs(_) => return,
        _ => None,
    };
    write(out, "contentBlockDelta", |object| {
        object.u64("contentBlockIndex", index);
        let mut inner = object.object("delta");
        let nested = |inner: &mut Object<'_>, name: &str, field: &str, text: &str| {
            let mut object = inner.object(name);
            object.str(field, text);
            object.end();
        };
        match delta {
            Delta::Text(text) => inner.str("text", text),
            Delta::Thinking(text) => nested(&mut inner, "reasoningContent", "text", text),
            Delta::Signature(text) => nested(&mut inner, "reasoningContent", "signature", text),
            Delta::Sealed(text) => nested(&mut inner, "reasoningContent", "redactedContent", text),
            Delta::Arguments(text) => nested(&mut inner, "toolUse", "input", text),
            Delta::Citation(_) => {
                let mut citation = inner.object("citation");
                private.into_iter().flatten().for_each(|(name, value)| citation.value(name, value));
                citation.end();
            }
            _ => private.into_iter().flatten().for_each(|(name, value)| inner.value(name, value)),
        }
        inner.end();
    });
}
