//! Events → the events of a Responses stream, with the whole lifecycle that the SDKs fold.
//!
//! A block's first event waits for its second, which may bring the id that the block's item had in its own dialect. A message item is
//! closed when the next item begins or the answer ends, because another part may join it. Whole answers go the same
//! way with the event bytes left out.

use serde_json::{Map, Value};

use super::super::item::{Body, Item, Part, Status, write_text};
use super::super::response::{self, Head, State, begin_event, end_event};
use super::super::{BREAK, CUSTOM, EVENT, ITEM, JOINED, ME, RAW, has, marked};
use crate::dialect::{Client, DialectId, StreamEncoder, citation};
use crate::event::{Block, Delta, Event, Finish};
use crate::ir::{Extra, Mode};
use crate::json::write;
use crate::usage::Usage;

/// The encoder of one stream or whole answer.
pub(in crate::dialect::openai_responses) struct Encoder {
    client: Client<'static>,
    head: Head,
    sequence: u64,
    items: Vec<Item>,
    /// Blocks and the item and part that they became.
    places: Vec<(u32, Place)>,
    /// A block whose item has not begun yet.
    pending: Option<(u32, Block)>,
    /// The last message item, if it may still grow.
    open_message: Option<usize>,
    finish: Option<(Finish, Extra)>,
    usage: Option<(Usage, Extra)>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    item: usize,
    part: usize,
    /// The next paragraph break is the item's own form of it.
    in_break: bool,
    raw: bool,
}

impl Encoder {
    pub(in crate::dialect::openai_responses) fn new(client: Client<'static>) -> Encoder {
        Encoder {
            client,
            head: Head::default(),
            sequence: 0,
            items: Vec::new(),
            places: Vec::new(),
            pending: None,
            open_message: None,
            finish: None,
            usage: None,
        }
    }

    /// One event; nothing for a whole answer.
    fn emit(&mut self, name: &str, out: &mut Vec<u8>, members: impl FnOnce(&Encoder, &mut Vec<u8>)) {
        if self.client.mode == Mode::Whole {
            return;
        }
        begin_event(name, self.sequence, out);
        members(self, out);
        end_event(out);
        self.sequence += 1;
    }

    fn start(&mut self, id: &str, model: &str, created: Option<u64>, extra: &Extra, out: &mut Vec<u8>) {
        let id = if id.starts_with("resp_") || extra.dialect == Some(ME) { id.to_owned() } else { format!("resp_{id}") };
        let model = if self.client.model.is_empty() { model.to_owned() } else { self.client.model.clone().into_owned() };
        self.head = Head { id, model, created: created.unwrap_or(self.client.now_unix), extra: extra.clone() };
        for name in ["response.created", "response.in_progress"] {
            self.emit(name, out, |this, out| {
                write::key(out, "response");
                response::write(&this.head, &State::InProgress, out);
            });
        }
    }

    /// Begins the pending block's item, with the private members that `extra` brings.
    fn begin(&mut self, extra: &Extra, out: &mut Vec<u8>) {
        let Some((block, kind)) = self.pending.take() else { return };
        if let (Some(item), true) = (self.open_message, has(extra, JOINED)) {
            return self.begin_part(block, item, kind == Block::Refusal, out);
        }
        self.end_message(Status::Completed, out);
        let (prefix, body) = match &kind {
            Block::Text | Block::Refusal => ("msg", Body::Message { parts: Vec::new() }),
            Block::Thinking => ("rs", Body::Reasoning { summary: Vec::new(), raw: String::new() }),
            Block::ToolCall { id, name, extra } => {
                let (call_id, name) = (id.clone(), name.clone());
                ("fc", Body::Call { call_id, name, arguments: String::new(), custom: has(extra, CUSTOM) })
            }
            Block::Private { extra } if extra.dialect == Some(ME) => ("item", Body::Private),
            // Another dialect's own.
            Block::Audio | Block::RedactedThinking | Block::Private { .. } => return,
        };
        let index = self.items.len();
        let bare = self.head.id.strip_prefix("resp_").unwrap_or(&self.head.id);
        let mut item = Item { id: format!("{prefix}_{bare}_{index}"), body, private: Map::new() };
        item.learn(extra);
        if let Block::ToolCall { extra, .. } | Block::Private { extra } = &kind {
            item.learn(extra);
        }
        if let Some(Value::String(id)) = item.private.get("id") {
            item.id = id.clone();
        }
        self.items.push(item);
        self.emit("response.output_item.added", out, |this, out| {
            write::uint(out, "output_index", index as u64);
            write::key(out, "item");
            this.items[index].write(Status::InProgress, out);
        });
        match kind {
            Block::Text | Block::Refusal => {
                self.open_message = Some(index);
                self.begin_part(block, index, kind == Block::Refusal, out);
            }
            _ => self.places.push((block, Place { item: index, part: 0, in_break: false, raw: false })),
        }
    }

    fn begin_part(&mut self, block: u32, item: usize, is_refusal: bool, out: &mut Vec<u8>) {
        let Body::Message { parts } = &mut self.items[item].body else { return };
        let part = parts.len();
        parts.push(Part { is_refusal, ..Part::default() });
        self.places.push((block, Place { item, part, in_break: false, raw: false }));
        self.emit_part("response.content_part.added", item, part, out);
    }

    fn emit_part(&mut self, name: &str, item: usize, part: usize, out: &mut Vec<u8>) {
        self.emit(name, out, |this, out| {
            this.write_place(item, Some(("content_index", part)), out);
            write::key(out, "part");
            if let Body::Message { parts } = &this.items[item].body {
                parts[part].write(out);
            }
        });
    }

    /// Where an event belongs.
    fn write_place(&self, item: usize, part: Option<(&str, usize)>, out: &mut Vec<u8>) {
        write::text(out, "item_id", &self.items[item].id);
        write::uint(out, "output_index", item as u64);
        if let Some((name, part)) = part {
            write::uint(out, name, part as u64);
        }
    }

    fn delta(&mut self, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        if matches!(self.pending, Some((pending, _)) if pending == block) {
            let none = Extra::default();
            match delta {
                Delta::Private(extra) if has(extra, ITEM) => return self.begin(extra, out),
                _ => self.begin(&none, out),
            }
        }
        let Some(at) = self.places.iter().rposition(|(known, _)| *known == block) else { return };
        let Place { item, part, in_break, raw } = self.places[at].1;
        match delta {
            Delta::Text(text) => self.text(item, part, text, out),
            Delta::Thinking(_) if in_break => self.places[at].1.in_break = false,
            Delta::Thinking(text) => self.thinking(item, text, raw, out),
            Delta::Arguments(text) => self.arguments(item, text, out),
            Delta::Citation(extra) => self.citation(item, part, extra, out),
            Delta::Logprobs(extra) => self.logprobs(item, part, extra),
            Delta::Private(extra) if has(extra, BREAK) => {
                self.end_summary(item, out);
                self.places[at].1.in_break = true;
                self.begin_summary(item, out);
            }
            Delta::Private(extra) if has(extra, RAW) => self.places[at].1.raw = true,
            Delta::Private(extra) => self.private(extra, out),
            // Seals and signatures are valid at their own provider alone.
            Delta::Signature(_) | Delta::Sealed(_) | Delta::Audio(_) => {}
        }
    }

    fn text(&mut self, item: usize, part: usize, text: &str, out: &mut Vec<u8>) {
        let Body::Message { parts } = &mut self.items[item].body else { return };
        parts[part].text.push_str(text);
        let is_refusal = parts[part].is_refusal;
        let name = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.emit(name, out, |this, out| {
            this.write_place(item, Some(("content_index", part)), out);
            write::text(out, "delta", text);
            if !is_refusal {
                out.extend_from_slice(b",\"logprobs\":[]");
            }
        });
    }

    fn thinking(&mut self, item: usize, text: &str, is_raw: bool, out: &mut Vec<u8>) {
        let Body::Reasoning { summary, raw } = &mut self.items[item].body else { return };
        if is_raw {
            raw.push_str(text);
            return self.emit("response.reasoning_text.delta", out, |this, out| {
                this.write_place(item, Some(("content_index", 0)), out);
                write::text(out, "delta", text);
            });
        }
        if summary.is_empty() {
            self.begin_summary(item, out);
        }
        let Body::Reasoning { summary, .. } = &mut self.items[item].body else { return };
        let part = summary.len() - 1;
        summary[part].push_str(text);
        self.emit("response.reasoning_summary_text.delta", out, |this, out| {
            this.write_place(item, Some(("summary_index", part)), out);
            write::text(out, "delta", text);
        });
    }

    fn begin_summary(&mut self, item: usize, out: &mut Vec<u8>) {
        let Body::Reasoning { summary, .. } = &mut self.items[item].body else { return };
        summary.push(String::new());
        let part = summary.len() - 1;
        self.emit("response.reasoning_summary_part.added", out, |this, out| {
            this.write_place(item, Some(("summary_index", part)), out);
            write::key(out, "part");
            write_text("summary_text", "", out);
        });
    }

    fn end_summary(&mut self, item: usize, out: &mut Vec<u8>) {
        let Body::Reasoning { summary, .. } = &self.items[item].body else { return };
        let Some(text) = summary.last().cloned() else { return };
        let part = summary.len() - 1;
        self.emit("response.reasoning_summary_text.done", out, |this, out| {
            this.write_place(item, Some(("summary_index", part)), out);
            write::text(out, "text", &text);
        });
        self.emit("response.reasoning_summary_part.done", out, |this, out| {
            this.write_place(item, Some(("summary_index", part)), out);
            write::key(out, "part");
            write_text("summary_text", &text, out);
        });
    }

    fn arguments(&mut self, item: usize, text: &str, out: &mut Vec<u8>) {
        let Body::Call { arguments, custom, .. } = &mut self.items[item].body else { return };
        arguments.push_str(text);
        let name = if *custom { "response.custom_tool_call_input.delta" } else { "response.function_call_arguments.delta" };
        self.emit(name, out, |this, out| {
            this.write_place(item, None, out);
            write::text(out, "delta", text);
        });
    }

    fn citation(&mut self, item: usize, part: usize, extra: &Extra, out: &mut Vec<u8>) {
        let (Some(fields), Body::Message { parts }) = (citation::of(extra, ME), &mut self.items[item].body) else { return };
        let index = parts[part].annotations.len();
        parts[part].annotations.push(fields.clone().into_owned());
        self.emit("response.output_text.annotation.added", out, |this, out| {
            this.write_place(item, Some(("content_index", part)), out);
            write::uint(out, "annotation_index", index as u64);
            write::key(out, "annotation");
            write::open(out);
            write::members(out, &fields);
            write::close(out);
        });
    }

    /// Both OpenAI dialects have the same tokens; they stand in the part, not in its deltas.
    fn logprobs(&mut self, item: usize, part: usize, extra: &Extra) {
        let fields = extra.of(ME).or_else(|| extra.of(DialectId::OpenaiChat));
        let tokens = fields.and_then(|fields| fields.get("content")).and_then(Value::as_array);
        if let (Some(tokens), Body::Message { parts }) = (tokens, &mut self.items[item].body) {
            parts[part].logprobs.extend(tokens.iter().cloned());
        }
    }

    fn private(&mut self, extra: &Extra, out: &mut Vec<u8>) {
        let Some(fields) = marked(extra, EVENT) else { return };
        let Some(name) = fields.get("type").and_then(Value::as_str) else { return };
        self.emit(name, out, |_, out| {
            fields.iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "sequence_number")).for_each(|(name, value)| {
                write::value(out, name, value);
            });
        });
    }

    fn close(&mut self, block: u32, extra: &Extra, out: &mut Vec<u8>) {
        if matches!(self.pending, Some((pending, _)) if pending == block) {
            self.begin(extra, out);
        }
        let Some(at) = self.places.iter().rposition(|(known, _)| *known == block) else { return };
        let (_, Place { item, part, .. }) = self.places.swap_remove(at);
        self.items[item].learn(extra);
        match &self.items[item].body {
            Body::Message { parts } => {
                let is_refusal = parts[part].is_refusal;
                let (name, member) = if is_refusal { ("response.refusal.done", "refusal") } else { ("response.output_text.done", "text") };
                self.emit(name, out, |this, out| {
                    this.write_place(item, Some(("content_index", part)), out);
                    let Body::Message { parts } = &this.items[item].body else { return };
                    write::text(out, member, &parts[part].text);
                    if !is_refusal {
                        out.extend_from_slice(b",\"logprobs\":[]");
                    }
                });
                // The item ends when no part can join it any more.
                return self.emit_part("response.content_part.done", item, part, out);
            }
            Body::Reasoning { summary, raw } => {
                let (has_summary, raw) = (!summary.is_empty(), raw.clone());
                if has_summary {
                    self.end_summary(item, out);
                }
                if !raw.is_empty() {
                    self.emit("response.reasoning_text.done", out, |this, out| {
                        this.write_place(item, Some(("content_index", 0)), out);
                        write::text(out, "text", &raw);
                    });
                }
            }
            Body::Call { custom, .. } => {
                let (name, member) = match custom {
                    true => ("response.custom_tool_call_input.done", "input"),
                    false => ("response.function_call_arguments.done", "arguments"),
                };
                self.emit(name, out, |this, out| {
                    this.write_place(item, None, out);
                    let Body::Call { arguments, name, custom, .. } = &this.items[item].body else { return };
                    if !custom {
                        write::text(out, "name", name);
                    }
                    write::text(out, member, arguments);
                });
            }
            Body::Private => {}
        }
        self.end_item(item, Status::Completed, out);
    }

    fn end_message(&mut self, status: Status, out: &mut Vec<u8>) {
        if let Some(item) = self.open_message.take() {
            self.end_item(item, status, out);
        }
    }

    fn end_item(&mut self, item: usize, status: Status, out: &mut Vec<u8>) {
        self.emit("response.output_item.done", out, |this, out| {
            write::uint(out, "output_index", item as u64);
            write::key(out, "item");
            this.items[item].write(status, out);
        });
    }

    /// What a cut answer's last item is.
    fn last_status(&self) -> Status {
        match &self.finish {
            Some((reason, _)) if response::status(reason).0 == "incomplete" => Status::Incomplete,
            _ => Status::Completed,
        }
    }

    /// The response object at its end.
    pub(in crate::dialect::openai_responses) fn write_response(&self, out: &mut Vec<u8>) {
        let (stop, none) = (Finish::Stop, Extra::default());
        let (reason, extra) = self.finish.as_ref().map_or((&stop, &none), |(reason, extra)| (reason, extra));
        let mut output = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            let is_last_message = index + 1 == self.items.len() && matches!(item.body, Body::Message { .. });
            item.write(if is_last_message { self.last_status() } else { Status::Completed }, &mut output);
        }
        response::write(&self.head, &State::Over { reason, extra, output: &output, usage: self.usage.as_ref() }, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let name = if self.last_status() == Status::Incomplete { "response.incomplete" } else { "response.completed" };
        self.emit(name, out, |this, out| {
            write::key(out, "response");
            this.write_response(out);
        });
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created, extra } => self.start(id, model, *created, extra, out),
            // The dialect knows one choice; asking for more was reported as a loss.
            Event::Open { choice, .. } | Event::Delta { choice, .. } | Event::Close { choice, .. } | Event::Finish { choice, .. }
                if *choice != 0 => {}
            // Another dialect's own block may stand beside an open text; it must not end it.
            Event::Open { kind: Block::Private { extra }, .. } if extra.of(ME).is_none() => {}
            Event::Open { block, kind, .. } => {
                self.begin(&Extra::default(), out);
                self.pending = Some((*block, kind.clone()));
                if matches!(kind, Block::ToolCall { .. } | Block::Private { .. } | Block::Audio) {
                    self.begin(&Extra::default(), out);
                }
            }
            Event::Delta { block, delta, .. } => self.delta(*block, delta, out),
            Event::Close { block, extra, .. } => self.close(*block, extra, out),
            Event::Finish { reason, extra, .. } => {
                self.begin(&Extra::default(), out);
                self.finish = Some((reason.clone(), extra.clone()));
                self.end_message(self.last_status(), out);
            }
            Event::Usage { usage, extra } => self.usage = Some((*usage, extra.clone())),
            Event::Ping if self.client.mode == Mode::Stream => out.extend_from_slice(b": ping\n\n"),
            Event::Ping => {}
            Event::Fault(fault) => response::failed_event(&self.head, self.sequence, fault, out),
            Event::End => self.end(out),
        }
    }
}
