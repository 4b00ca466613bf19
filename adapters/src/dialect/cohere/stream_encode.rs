//! Events → a chat stream.
//!
//! Estimate per event: one copy of its text into `data`, one into `out`; no allocation once warm.

use super::answer::is_plan_mark;
use super::{ME, Traits, error, usage};
use crate::dialect::{Client, StreamEncoder};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::Fault;
use crate::frame::sse::{DONE, write_event};
use crate::ir::Extra;
use crate::json::build::{Object, digits, string};
use crate::usage::Usage;

pub(super) struct Encoder {
    phase: Phase,
    /// Open blocks by their number in the events.
    open: Vec<(u32, Place)>,
    content_count: u64,
    call_count: u64,
    citation_count: u64,
    traits: Traits,
    finish: Option<(Finish, Extra)>,
    usage: Option<(Usage, Extra)>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Begun,
    Over,
}

/// What a block is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Thinking of which nothing came: its first delta tells whether it is a plan.
    Undecided,
    Plan,
    Content(u64),
    Call(u64),
    /// It has no place in this dialect.
    Nowhere,
}

impl Encoder {
    /// The model's name is not told in this dialect, usage always is.
    pub(super) fn new(_client: Client<'static>) -> Encoder {
        Encoder {
            phase: Phase::Before,
            open: Vec::new(),
            content_count: 0,
            call_count: 0,
            citation_count: 0,
            traits: Traits::default(),
            finish: None,
            usage: None,
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
            Event::Start { id, extra, .. } => self.begin(id, extra, out),
            Event::Open { choice: 0, block, kind } => self.open(*block, kind, out),
            Event::Delta { choice: 0, block, delta } => self.delta(*block, delta, out),
            Event::Close { choice: 0, block, .. } => self.close(*block, out),
            Event::Finish { choice: 0, reason, extra } => self.finish = Some((reason.clone(), extra.clone())),
            Event::Usage { usage, extra } => self.usage = Some((*usage, extra.clone())),
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
            // This dialect has one choice and no keep-alive.
            _ => {}
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

    fn begin(&mut self, id: &str, extra: &Extra, out: &mut Vec<u8>) {
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Begun;
        self.write("message-start", out, |object| {
            object.str("id", id);
            let mut delta = object.object("delta");
            delta.raw("message", br#"{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}"#);
            delta.end();
            extra.of(ME).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
        });
    }

    fn open(&mut self, block: u32, kind: &Block, out: &mut Vec<u8>) {
        self.begin("", &Extra::default(), out);
        let place = match kind {
            Block::Thinking => Place::Undecided,
            Block::Text | Block::Refusal => {
                let index = self.content_index();
                self.write_content_start(index, "text", out);
                Place::Content(index)
            }
            Block::RedactedThinking => {
                let index = self.content_index();
                self.write_content_start(index, "data", out);
                Place::Content(index)
            }
            Block::ToolCall { id, name, extra } => {
                let index = self.call_count;
                self.call_count += 1;
                self.write("tool-call-start", out, |object| {
                    object.u64("index", index);
                    let mut delta = object.object("delta");
                    let mut message = delta.object("message");
                    let mut call = message.object("tool_calls");
                    call.str("id", id);
                    call.str("type", "function");
                    let mut function = call.object("function");
                    function.str("name", name);
                    function.str("arguments", "");
                    function.end();
                    extra.of(ME).into_iter().flatten().for_each(|(name, value)| call.value(name, value));
                    call.end();
                    message.end();
                    delta.end();
                });
                Place::Call(index)
            }
            Block::Audio | Block::Private { .. } => Place::Nowhere,
        };
        self.open.push((block, place));
    }

    fn content_index(&mut self) -> u64 {
        let index = self.content_count;
        self.content_count += 1;
        index
    }

    /// The content begins with its first `field`, which tells what it is.
    fn write_content_start(&mut self, index: u64, field: &str, out: &mut Vec<u8>) {
        self.write("content-start", out, |object| {
            object.u64("index", index);
            let mut delta = object.object("delta");
            let mut message = delta.object("message");
            let mut content = message.object("content");
            content.str("type", if field == "text" { "text" } else { "thinking" });
            content.str(field, "");
            content.end();
            message.end();
            delta.end();
        });
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.0 == block) else { return };
        if self.open[at].1 == Place::Undecided {
            self.open[at].1 = if is_plan_mark(delta) { Place::Plan } else { self.thinking(out) };
        }
        match (self.open[at].1, delta) {
            (Place::Content(index), Delta::Text(text)) => self.write_delta(Wire::Content(index, "text"), text, out),
            (Place::Content(index), Delta::Thinking(text)) => self.write_delta(Wire::Content(index, "thinking"), text, out),
            (Place::Content(index), Delta::Signature(text)) => self.write_delta(Wire::Content(index, "signature"), text, out),
            (Place::Content(index), Delta::Sealed(text)) => self.write_delta(Wire::Content(index, "data"), text, out),
            (Place::Plan, Delta::Thinking(text)) => self.write_delta(Wire::Plan, text, out),
            (Place::Call(index), Delta::Arguments(text)) => self.write_delta(Wire::Call(index), text, out),
            (_, Delta::Citation(citation)) => self.citation(citation, out),
            _ => {}
        }
    }

    fn thinking(&mut self, out: &mut Vec<u8>) -> Place {
        let index = self.content_index();
        self.write_content_start(index, "thinking", out);
        Place::Content(index)
    }

    fn write_delta(&mut self, wire: Wire, text: &str, out: &mut Vec<u8>) {
        let data = &mut self.data;
        data.clear();
        let name = match wire {
            Wire::Content(index, field) => {
                data.extend_from_slice(br#"{"type":"content-delta","index":"#);
                digits(data, index);
                data.extend_from_slice(br#","delta":{"message":{"content":{""#);
                data.extend_from_slice(field.as_bytes());
                data.extend_from_slice(br#"":"#);
                string(data, text);
                "content-delta"
            }
            Wire::Plan => {
                data.extend_from_slice(br#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"#);
                string(data, text);
                data.extend_from_slice(b"}}}");
                return write_event(out, "tool-plan-delta", data);
            }
            Wire::Call(index) => {
                data.extend_from_slice(br#"{"type":"tool-call-delta","index":"#);
                digits(data, index);
                data.extend_from_slice(br#","delta":{"message":{"tool_calls":{"function":{"arguments":"#);
                string(data, text);
                data.push(b'}');
                "tool-call-delta"
            }
        };
        data.extend_from_slice(b"}}}}");
        write_event(out, name, data);
    }

    fn citation(&mut self, citation: &Extra, out: &mut Vec<u8>) {
        let Some(fields) = citation.of(ME) else { return };
        let index = self.citation_count;
        self.citation_count += 1;
        self.write("citation-start", out, |object| {
            object.u64("index", index);
            let mut delta = object.object("delta");
            let mut message = delta.object("message");
            let mut citation = message.object("citations");
            fields.iter().for_each(|(name, value)| citation.value(name, value));
            citation.end();
            message.end();
            delta.end();
        });
        self.write("citation-end", out, |object| object.u64("index", index));
    }

    fn close(&mut self, block: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.0 == block) else { return };
        let place = match self.open.remove(at).1 {
            // Thinking that said nothing is a block all the same.
            Place::Undecided => self.thinking(out),
            place => place,
        };
        match place {
            Place::Content(index) => self.write("content-end", out, |object| object.u64("index", index)),
            Place::Call(index) => self.write("tool-call-end", out, |object| object.u64("index", index)),
            Place::Plan | Place::Nowhere | Place::Undecided => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin("", &Extra::default(), out);
        while let Some((block, _)) = self.open.first() {
            self.close(*block, out);
        }
        let (reason, extra) = self.finish.take().unwrap_or((Finish::Stop, Extra::default()));
        let (traits, tokens) = (self.traits, self.usage.take());
        self.write("message-end", out, |object| {
            let mut delta = object.object("delta");
            delta.str("finish_reason", traits.word(&reason));
            if let Some((tokens, extra)) = &tokens {
                let mut usage = delta.object("usage");
                usage::encode(tokens, extra, &mut usage);
                usage.end();
            }
            extra.of(ME).into_iter().flatten().for_each(|(name, value)| delta.value(name, value));
            delta.end();
        });
        out.extend_from_slice(DONE);
        self.phase = Phase::Over;
    }
}

/// Where a piece of text goes.
#[derive(Clone, Copy)]
enum Wire {
    Content(u64, &'static str),
    Plan,
    Call(u64),
}
