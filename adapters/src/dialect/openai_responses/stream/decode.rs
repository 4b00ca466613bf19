//! Events of a Responses stream → events.
//!
//! Told apart by `type` inside the data; names of SSE events are not needed. Closing events only repeat, so they give
//! text only where a server sent no deltas before them.

use serde_json::Value;

use super::super::answer::{self, Items, close, push, push_break};
use super::super::{EVENT, ITEM, ME, RAW};
use crate::dialect::StreamDecoder;
use crate::dialect::openai::{error, extra};
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::frame::sse::SseSplitter;
use crate::ir::Extra;
use crate::json::node::{self, Node, Object};

/// Output items of one answer that are told apart.
const ITEMS_MAX: usize = 4_096;

/// The decoder of one stream.
#[derive(Debug, Default)]
pub(in crate::dialect::openai_responses) struct Decoder {
    splitter: SseSplitter,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    known: Extra,
    items: Items,
    open: Vec<Open>,
    /// Nothing that comes now counts: the stream ended or broke.
    over: bool,
}

/// An item that has begun.
#[derive(Debug)]
struct Open {
    output_index: u64,
    kind: Kinds,
    mark: Extra,
    /// Open blocks by the index of their part.
    parts: Vec<Part>,
    part_count: usize,
}

#[derive(Debug)]
struct Part {
    index: u64,
    block: u32,
    has_text: bool,
    citation_count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinds {
    Message,
    Reasoning,
    Call,
    Private,
}

impl StreamDecoder for Decoder {
    fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        self.splitter.feed(bytes, |event| state.event(event.data, events))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Fault> {
        let state = &mut self.state;
        let cut = || Fault::new(Kind::UpstreamCut, "the provider's stream ended before its response was complete");
        self.splitter.finish(|event| state.event(event.data, events)).map_err(|_| cut())?;
        if self.state.over { Ok(()) } else { Err(cut()) }
    }
}

impl State {
    fn event(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.over || data.is_empty() || data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let node = node::parse(data).map_err(|error| answer::malformed(&format!("an event is not JSON: {error}")))?;
        let mut event = node.into_object().ok_or_else(|| answer::malformed("an event is not an object"))?;
        let kind = event.look_text("type").unwrap_or_default().to_owned();
        match kind.as_str() {
            "response.created" | "response.in_progress" | "response.queued" => self.start(&mut event, events),
            "response.output_item.added" => self.item_added(&mut event, events)?,
            "response.output_item.done" => self.item_done(&mut event, events),
            "response.content_part.added" => self.part_added(&mut event, events),
            "response.content_part.done" => self.part_done(&mut event, events),
            "response.completed" | "response.incomplete" => self.end(&mut event, events),
            "response.failed" | "response.cancelled" => {
                self.over = true;
                let error = event.take_object("response").and_then(|mut response| response.take("error"));
                events.push(Event::Fault(super::super::response::fault(error)));
            }
            "error" => {
                self.over = true;
                let error = event.take("error").unwrap_or(Node::Object(event));
                events.push(Event::Fault(error::in_band(error)));
            }
            "" if event.look("error").is_some() => {
                self.over = true;
                events.extend(event.take("error").map(|error| Event::Fault(error::in_band(error))));
            }
            _ => self.item_event(&kind, event, events),
        }
        Ok(())
    }

    fn start(&mut self, event: &mut Object<'_>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let start = answer::start(event.take_object("response").unwrap_or_default());
        if let Event::Start { extra, .. } = &start {
            self.known = extra.clone();
        }
        events.push(start);
    }

    fn end(&mut self, event: &mut Object<'_>, events: &mut Vec<Event>) {
        let mut response = event.take_object("response").unwrap_or_default();
        if !self.started {
            self.started = true;
            events.push(answer::start(response.clone()));
        }
        for open in std::mem::take(&mut self.open) {
            open.parts.iter().for_each(|part| close(part.block, Extra::default(), events));
        }
        let mut ending = answer::end(&mut response, &self.items);
        super::super::response::KNOWN.iter().for_each(|name| drop(response.take_any(name)));
        ["id", "model", "created_at"].iter().for_each(|name| drop(response.take_any(name)));
        if let Some(Event::Finish { extra, .. }) = ending.first_mut() {
            extra.fields.extend(extra::news(response, &self.known));
        }
        events.append(&mut ending);
        self.over = true;
    }

    fn open(&mut self, event: &Object<'_>) -> Option<&mut Open> {
        let index = event.look("output_index").and_then(Node::as_u64)?;
        self.open.iter_mut().rev().find(|open| open.output_index == index)
    }

    fn item_added(&mut self, event: &mut Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.open.len() >= ITEMS_MAX {
            return Err(answer::malformed("too many output items"));
        }
        let output_index = event.look("output_index").and_then(Node::as_u64).unwrap_or(0);
        let mut item = event.take_object("item").unwrap_or_default();
        let (kind, block) = match item.look_text("type").unwrap_or_default() {
            "message" => {
                item.take_any("content");
                (Kinds::Message, None)
            }
            "reasoning" => {
                item.take_any("summary");
                item.take_any("content");
                let block = self.items.open(Block::Thinking, events);
                push(block, Delta::Private(answer::mark(item.clone())), events);
                (Kinds::Reasoning, Some(block))
            }
            "function_call" | "custom_tool_call" => {
                self.items.called = true;
                (Kinds::Call, Some(self.items.open(answer::call(item.clone()), events)))
            }
            _ => {
                let private = extra::one(ME, ITEM, Value::Object(item.clone().into_map()));
                (Kinds::Private, Some(self.items.open(Block::Private { extra: private }, events)))
            }
        };
        let part = |block| Part { index: 0, block, has_text: false, citation_count: 0 };
        let parts = block.map(part).into_iter().collect();
        self.open.push(Open { output_index, kind, mark: answer::mark(item), parts, part_count: 0 });
        Ok(())
    }

    fn item_done(&mut self, event: &mut Object<'_>, events: &mut Vec<Event>) {
        let index = event.look("output_index").and_then(Node::as_u64);
        let at = self.open.iter().rposition(|open| Some(open.output_index) == index);
        let mut item = event.take_object("item").unwrap_or_default();
        // A server that announces no item tells it whole.
        let Some(at) = at else { return self.items.item(item, events) };
        let open = self.open.remove(at);
        match open.kind {
            Kinds::Message if open.part_count == 0 => self.items.item(item, events),
            Kinds::Message => open.parts.iter().for_each(|part| close(part.block, Extra::default(), events)),
            Kinds::Reasoning => {
                let (summary, content) = (item.take_list("summary"), item.take_list("content"));
                for part in &open.parts {
                    if !part.has_text {
                        let whole = summary.iter().chain(&content).flatten().filter_map(|node| match node {
                            Node::Object(object) => object.look_text("text"),
                            _ => None,
                        });
                        let text = whole.collect::<Vec<_>>().join(super::super::PARAGRAPH);
                        if !text.is_empty() {
                            push(part.block, Delta::Thinking(text), events);
                        }
                    }
                    close(part.block, answer::mark(item.clone()), events);
                }
            }
            Kinds::Call => {
                let arguments = item.take_text("arguments").or_else(|| item.take_text("input")).unwrap_or_default();
                for part in &open.parts {
                    if !part.has_text && !arguments.is_empty() {
                        push(part.block, Delta::Arguments(arguments.clone().into_owned()), events);
                    }
                    close(part.block, Extra::default(), events);
                }
            }
            Kinds::Private => {
                self.items.bill(&item);
                let private = extra::one(ME, ITEM, Value::Object(item.into_map()));
                open.parts.iter().for_each(|part| close(part.block, private.clone(), events));
            }
        }
    }

    fn part_added(&mut self, event: &mut Object<'_>, events: &mut Vec<Event>) {
        let content_index = event.look("content_index").and_then(Node::as_u64).unwrap_or(0);
        let kind = event.take_object("part").and_then(|mut part| part.take_text("type")).unwrap_or_default().into_owned();
        self.text_block(event, content_index, kind == "refusal", events);
    }

    /// The block of a message's part, begun where nobody announced it.
    fn text_block<'s>(&'s mut self, event: &Object<'_>, index: u64, is_refusal: bool, events: &mut Vec<Event>) -> Option<&'s mut Part> {
        let output_index = event.look("output_index").and_then(Node::as_u64)?;
        let open = self.open.iter_mut().rev().find(|open| open.output_index == output_index && open.kind == Kinds::Message)?;
        if let Some(at) = open.parts.iter().position(|part| part.index == index) {
            return open.parts.get_mut(at);
        }
        let block = self.items.open(if is_refusal { Block::Refusal } else { Block::Text }, events);
        push(block, Delta::Private(answer::joined(&open.mark, open.part_count)), events);
        open.part_count += 1;
        open.parts.push(Part { index, block, has_text: false, citation_count: 0 });
        open.parts.last_mut()
    }

    fn part_done(&mut self, event: &mut Object<'_>, events: &mut Vec<Event>) {
        let content_index = event.look("content_index").and_then(Node::as_u64).unwrap_or(0);
        let mut whole = event.take_object("part").unwrap_or_default();
        let Some(open) = self.open(event).filter(|open| open.kind == Kinds::Message) else { return };
        let Some(at) = open.parts.iter().position(|part| part.index == content_index) else { return };
        let part = open.parts.remove(at);
        if !part.has_text
            && let Some(text) = whole.take_text("text").or_else(|| whole.take_text("refusal")).filter(|text| !text.is_empty())
        {
            push(part.block, Delta::Text(text.into_owned()), events);
        }
        let citations = whole.take_list("annotations").unwrap_or_default().into_iter().filter_map(Node::into_object);
        for citation in citations.skip(part.citation_count) {
            push(part.block, Delta::Citation(extra::rest(ME, citation)), events);
        }
        answer::logprobs(part.block, &mut whole, events);
        close(part.block, Extra::default(), events);
    }

    fn item_event(&mut self, kind: &str, mut event: Object<'_>, events: &mut Vec<Event>) {
        let content_index = event.look("content_index").and_then(Node::as_u64).unwrap_or(0);
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                let text = event.take_text("delta").unwrap_or_default();
                if let Some(part) = self.text_block(&event, content_index, kind == "response.refusal.delta", events) {
                    part.has_text = true;
                    push(part.block, Delta::Text(text.into_owned()), events);
                }
            }
            "response.output_text.annotation.added" => {
                let annotation = event.take_object("annotation").unwrap_or_default();
                if let Some(part) = self.text_block(&event, content_index, false, events) {
                    part.citation_count += 1;
                    push(part.block, Delta::Citation(extra::rest(ME, annotation)), events);
                }
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                let text = event.take_text("delta").unwrap_or_default();
                if let Some(part) = self.lone(&event, Kinds::Call) {
                    part.has_text = true;
                    push(part.block, Delta::Arguments(text.into_owned()), events);
                }
            }
            "response.reasoning_summary_part.added" => {
                let is_first = event.look("summary_index").and_then(Node::as_u64).unwrap_or(0) == 0;
                if let Some(part) = self.lone(&event, Kinds::Reasoning).filter(|_| !is_first) {
                    push_break(part.block, events);
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                let text = event.take_text("delta").unwrap_or_default();
                let is_raw = kind == "response.reasoning_text.delta";
                if let Some(part) = self.lone(&event, Kinds::Reasoning) {
                    if is_raw && part.index == 0 {
                        part.index = 1;
                        push(part.block, Delta::Private(extra::one(ME, RAW, Value::Bool(true))), events);
                    }
                    part.has_text = true;
                    push(part.block, Delta::Thinking(text.into_owned()), events);
                }
            }
            _ => {
                if let Some(part) = self.lone(&event, Kinds::Private) {
                    event.take("sequence_number");
                    push(part.block, Delta::Private(extra::one(ME, EVENT, Value::Object(event.into_map()))), events);
                }
            }
        }
    }

    /// The one part of an item that is no message.
    fn lone(&mut self, event: &Object<'_>, kind: Kinds) -> Option<&mut Part> {
        self.open(event).filter(|open| open.kind == kind).and_then(|open| open.parts.first_mut())
    }
}
