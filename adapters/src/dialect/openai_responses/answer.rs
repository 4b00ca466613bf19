//! Whole answers: body ↔ events.

use serde_json::Value;

use super::stream::Encoder;
use super::{BREAK, CUSTOM, ITEM, JOINED, ME, PARAGRAPH, RAW, response, usage};
use crate::dialect::openai::{error, extra};
use crate::dialect::{Client, StreamEncoder};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::ir::{Extra, Mode};
use crate::json::node::{self, Node, Object};

pub(super) fn decode(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let parsed = node::parse(body).map_err(|error| malformed(&format!("not JSON: {error}")))?;
    let mut response = parsed.into_object().ok_or_else(|| malformed("not an object"))?;
    let Some(output) = response.take_list("output") else {
        let Some(error) = response.take("error") else { return Err(malformed("no output")) };
        events.push(Event::Fault(error::in_band(error)));
        return Ok(());
    };
    let mut items = Items::default();
    let mut later = Vec::new();
    for node in output {
        items.item(node.into_object().ok_or_else(|| malformed("an output item is not an object"))?, &mut later);
    }
    let end = end(&mut response, &items);
    events.push(start(response));
    events.append(&mut later);
    events.extend(end);
    Ok(())
}

pub(super) fn malformed(what: &str) -> Fault {
    Fault::new(Kind::MalformedResponse, format!("the provider's answer is no response: {what}"))
}

/// `Start` from what is left of a response object.
pub(super) fn start(mut response: Object<'_>) -> Event {
    response::KNOWN.iter().for_each(|name| drop(response.take_any(name)));
    let mut event_extra = Extra::default();
    let id = response.take_text("id").unwrap_or_default().into_owned();
    let model = response.take_text("model").unwrap_or_default().into_owned();
    let created = response.take_u64("created_at");
    event_extra.fields.extend(response.into_map());
    event_extra.dialect = Some(ME);
    Event::Start { id, model, created, extra: event_extra }
}

/// What a response object says of its end: `Finish`, `Usage` and `End`, or the fault.
pub(super) fn end(response: &mut Object<'_>, items: &Items) -> Vec<Event> {
    let usage = response.take_object("usage");
    let error = response.take("error");
    let details = response.take_object("incomplete_details");
    let status = response.take_text("status").unwrap_or_default();
    if status == "failed" || error.is_some() {
        return vec![Event::Fault(response::fault(error))];
    }
    let mut extra = Extra { dialect: Some(ME), ..Extra::default() };
    let reason = match status.as_ref() {
        "incomplete" => incomplete(details, &mut extra),
        "queued" | "in_progress" | "cancelled" => Finish::Other(status.into_owned()),
        _ if items.called => Finish::ToolCalls,
        _ => Finish::Stop,
    };
    let mut events = vec![Event::Finish { choice: 0, reason, extra }];
    if let Some(usage) = usage {
        let (mut usage, extra) = usage::decode(usage);
        usage.searches = usage.searches.max(items.searches);
        usage.images = items.images;
        events.push(Event::Usage { usage, extra });
    }
    events.push(Event::End);
    events
}

fn incomplete(details: Option<Object<'_>>, extra: &mut Extra) -> Finish {
    let details = details.unwrap_or_default();
    match details.look_text("reason") {
        Some("max_output_tokens") => Finish::Length,
        Some("content_filter") => Finish::ContentFilter,
        // A reason that the hub has no word for: the answer was cut all the same.
        _ => {
            extra::put(extra, ME, "incomplete_details", Value::Object(details.into_map()));
            Finish::Length
        }
    }
}

/// Whole output items → events.
#[derive(Debug, Default)]
pub(super) struct Items {
    next_block: u32,
    /// A function was called.
    pub(super) called: bool,
    /// Tool calls of the provider's own that are billed apart from tokens.
    pub(super) searches: u64,
    pub(super) images: u64,
}

impl Items {
    pub(super) fn item(&mut self, mut item: Object<'_>, events: &mut Vec<Event>) {
        let kind = item.look_text("type").unwrap_or_default().to_owned();
        match kind.as_str() {
            "message" => self.message(item, events),
            "reasoning" => self.reasoning(item, events),
            "function_call" | "custom_tool_call" => {
                let arguments = item.take_text(if kind == "function_call" { "arguments" } else { "input" });
                let block = self.open(call(item), events);
                self.called = true;
                push(block, Delta::Arguments(arguments.unwrap_or_default().into_owned()), events);
                close(block, Extra::default(), events);
            }
            _ => {
                self.bill(&item);
                let block = self.open(Block::Private { extra: extra::one(ME, ITEM, Value::Object(item.into_map())) }, events);
                close(block, Extra::default(), events);
            }
        }
    }

    /// Counts a whole item that is billed by the piece.
    pub(super) fn bill(&mut self, item: &Object<'_>) {
        let action = match item.look("action") {
            Some(Node::Object(action)) => action.look_text("type"),
            _ => None,
        };
        let kind = item.look_text("type").unwrap_or_default();
        self.searches += u64::from(is_billed_search(kind.as_bytes(), action.map(str::as_bytes)));
        self.images += u64::from(kind.as_bytes() == IMAGE_CALL);
    }

    pub(super) fn open(&mut self, kind: Block, events: &mut Vec<Event>) -> u32 {
        let block = self.next_block;
        self.next_block += 1;
        events.push(Event::Open { choice: 0, block, kind });
        block
    }

    fn message(&mut self, mut item: Object<'_>, events: &mut Vec<Event>) {
        let content = item.take_list("content").unwrap_or_default();
        let mark = mark(item);
        let parts = content.into_iter().filter_map(Node::into_object);
        for (index, mut part) in parts.enumerate() {
            let is_refusal = part.look_text("type") == Some("refusal");
            let block = self.open(if is_refusal { Block::Refusal } else { Block::Text }, events);
            push(block, Delta::Private(joined(&mark, index)), events);
            let text = part.take_text(if is_refusal { "refusal" } else { "text" }).unwrap_or_default();
            push(block, Delta::Text(text.into_owned()), events);
            for citation in part.take_list("annotations").unwrap_or_default().into_iter().filter_map(Node::into_object) {
                push(block, Delta::Citation(extra::rest(ME, citation)), events);
            }
            logprobs(block, &mut part, events);
            close(block, Extra::default(), events);
        }
    }

    fn reasoning(&mut self, mut item: Object<'_>, events: &mut Vec<Event>) {
        let summary = texts(item.take_list("summary"));
        let content = texts(item.take_list("content"));
        let block = self.open(Block::Thinking, events);
        push(block, Delta::Private(mark(item)), events);
        for (index, text) in summary.into_iter().enumerate() {
            if index > 0 {
                push_break(block, events);
            }
            push(block, Delta::Thinking(text), events);
        }
        if !content.is_empty() {
            push(block, Delta::Private(extra::one(ME, RAW, Value::Bool(true))), events);
            push(block, Delta::Thinking(content.concat()), events);
        }
        close(block, Extra::default(), events);
    }
}

/// Only searches cost; to open a page that was found or to look into it does not.
// platform.openai.com/docs/guides/tools-web-search, cited in
// community.openai.com/t/how-can-i-accurately-know-the-number-of-times-web-search-tool-is-used/1365861, read 2026-11-20
pub(super) fn is_billed_search(kind: &[u8], action: Option<&[u8]>) -> bool {
    kind == b"web_search_call" && action.is_none_or(|action| action == b"search")
}

pub(super) const IMAGE_CALL: &[u8] = b"image_generation_call";

/// A call's block; its arguments come as deltas.
pub(super) fn call(mut item: Object<'_>) -> Block {
    let id = item.take_text("call_id").unwrap_or_default().into_owned();
    let name = item.take_text("name").unwrap_or_default().into_owned();
    let custom = item.look_text("type") == Some("custom_tool_call");
    item.take(if custom { "input" } else { "arguments" });
    let mut extra = mark(item);
    if custom {
        extra::put(&mut extra, ME, CUSTOM, Value::Bool(true));
    }
    Block::ToolCall { id, name, extra }
}

/// The item's own members, without those that every item of its kind has.
pub(super) fn mark(mut item: Object<'_>) -> Extra {
    let kind = item.take_text("type");
    item.take_if("role", |node| node.text() == Some("assistant"));
    // Reasoning has a status only at some servers.
    if kind.as_deref() != Some("reasoning") {
        item.take_if("status", |node| matches!(node.text(), Some("completed" | "in_progress")));
    }
    let fields = item.into_map().into_iter().filter(|(_, value)| !value.is_null()).collect();
    extra::one(ME, ITEM, Value::Object(fields))
}

pub(super) fn joined(mark: &Extra, part: usize) -> Extra {
    let mut mark = mark.clone();
    if part > 0 {
        extra::put(&mut mark, ME, JOINED, Value::Bool(true));
    }
    mark
}

pub(super) fn logprobs(block: u32, part: &mut Object<'_>, events: &mut Vec<Event>) {
    let tokens = part.take_list("logprobs").filter(|tokens| !tokens.is_empty());
    if let Some(tokens) = tokens {
        let tokens = Value::Array(tokens.into_iter().map(Node::into_value).collect());
        push(block, Delta::Logprobs(extra::one(ME, "content", tokens)), events);
    }
}

pub(super) fn push_break(block: u32, events: &mut Vec<Event>) {
    push(block, Delta::Private(extra::one(ME, BREAK, Value::Bool(true))), events);
    push(block, Delta::Thinking(PARAGRAPH.to_owned()), events);
}

pub(super) fn push(block: u32, delta: Delta, events: &mut Vec<Event>) {
    events.push(Event::Delta { choice: 0, block, delta });
}

pub(super) fn close(block: u32, extra: Extra, events: &mut Vec<Event>) {
    events.push(Event::Close { choice: 0, block, extra });
}

fn texts(list: Option<Vec<Node<'_>>>) -> Vec<String> {
    let objects = list.unwrap_or_default().into_iter().filter_map(Node::into_object);
    objects.map(|mut part| part.take_text("text").unwrap_or_default().into_owned()).collect()
}

pub(super) fn encode(events: &[Event], client: &Client<'_>, out: &mut Vec<u8>) {
    if let Some(Event::Fault(fault)) = events.iter().find(|event| matches!(event, Event::Fault(_))) {
        return error::encode(fault, out);
    }
    let client = Client { model: client.model.clone().into_owned().into(), mode: Mode::Whole, stream_usage: true, ..client.clone() };
    let mut encoder = Encoder::new(client);
    let mut none = Vec::new();
    events.iter().for_each(|event| encoder.encode(event, &mut none));
    encoder.write_response(out);
}
