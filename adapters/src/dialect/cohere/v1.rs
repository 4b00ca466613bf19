//! The v1 form of chat: `message` and `chat_history` instead of `messages`, `text` instead of `message`.
//!
//! A client of it goes to a provider that has `/v1/chat` untouched, or to any other dialect; no other client is translated into it, for
//! its calls have no ids and its tools no schemas. docs.cohere.com/v1/reference/chat, read 2026-11-20, and recordings.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::content::document;
use super::stream_decode::malformed;
use super::{DOCUMENT, ME, V1, error, finish, usage};
use crate::dialect::openai::{extra, field};
use crate::dialect::{Client, StreamEncoder, Target, arguments};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::ndjson;
use crate::ir::{Chat, Extra, Gravity, Loss, Message, Part, PartKind, Role, Tool};
use crate::json::build::Object;
use crate::json::node::{Node, Object as Members};

/// Members of a request that v2 has not; they are kept as they came.
const MEMBERS: &[&str] = &["message", "chat_history", "preamble", "documents", "tools", "tool_results"];

/// The words of a parameter's type in v1 (Python's), and JSON Schema's.
const TYPES: &[(&str, &str)] =
    &[("str", "string"), ("int", "integer"), ("float", "number"), ("bool", "boolean"), ("list", "array"), ("dict", "object")];

pub(super) fn decode_request<'a>(object: &mut Members<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let mut kept = Map::new();
    for name in MEMBERS {
        if let Some(node) = object.take(name) {
            kept.insert((*name).to_owned(), node.into_value());
        }
    }
    let text = |value: &Value| Cow::Owned(value.as_str().unwrap_or_default().to_owned());
    if let Some(preamble) = kept.get("preamble").filter(|preamble| preamble.is_string()) {
        chat.system.push(Part::text(text(preamble)));
    }
    for (index, turn) in kept.get("chat_history").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let role = turn["role"].as_str().unwrap_or_default().to_ascii_lowercase();
        let role = match role.as_str() {
            "user" => Role::User,
            "chatbot" => Role::Assistant,
            "system" => Role::System,
            "tool" => Role::User,
            _ => return Err(field::invalid(format!("chat_history[{index}].role"), "write USER, CHATBOT, SYSTEM or TOOL")),
        };
        let mut parts = Vec::new();
        if turn["message"].is_string() {
            parts.push(Part::text(text(&turn["message"])));
        }
        parts.extend(turn["tool_calls"].as_array().into_iter().flatten().enumerate().map(|(at, call)| tool_call(call, at)));
        parts.extend(turn["tool_results"].as_array().into_iter().flatten().enumerate().map(|(at, result)| tool_result(result, at)));
        push(chat, role, parts);
    }
    let documents = kept.get("documents").and_then(Value::as_array).into_iter().flatten();
    // Each is a flat object here, whatever its members.
    let mut parts: Vec<Part<'a>> = documents.map(|value| document(node_of(json!({"data": value})), DOCUMENT)).collect();
    let results = kept.get("tool_results").and_then(Value::as_array).into_iter().flatten();
    parts.extend(results.enumerate().map(|(at, result)| tool_result(result, at)));
    if let Some(message) = kept.get("message").filter(|message| !message.as_str().is_some_and(str::is_empty)) {
        parts.push(Part::text(text(message)));
    }
    push(chat, Role::User, parts);
    chat.tools = kept.get("tools").and_then(Value::as_array).into_iter().flatten().map(tool).collect();
    chat.extra.fields.insert(V1.to_owned(), Value::Object(kept));
    Ok(())
}

fn push<'a>(chat: &mut Chat<'a>, role: Role, parts: Vec<Part<'a>>) {
    if !parts.is_empty() {
        chat.messages.push(Message { role, parts, name: None, extra: Extra::default() });
    }
}

fn node_of(value: Value) -> Node<'static> {
    match value {
        Value::Null => Node::Null,
        Value::Bool(value) => Node::Bool(value),
        Value::Number(number) => Node::Number(number),
        Value::String(text) => Node::Text(text.into()),
        Value::Array(list) => Node::List(list.into_iter().map(node_of).collect()),
        Value::Object(map) => Node::Object(map.into_iter().map(|(name, value)| (name.into(), node_of(value))).collect()),
    }
}

/// Calls have no ids here: their place in their turn is one.
fn tool_call<'a>(call: &Value, at: usize) -> Part<'a> {
    let name = call["name"].as_str().unwrap_or_default().to_owned();
    PartKind::ToolCall { id: format!("call_{at}").into(), name: name.into(), arguments: call["parameters"].to_string().into() }.into()
}

fn tool_result<'a>(result: &Value, at: usize) -> Part<'a> {
    let parts = vec![Part::text(result["outputs"].to_string())];
    PartKind::ToolResult { call_id: format!("call_{at}").into(), parts, is_error: false }.into()
}

fn tool<'a>(tool: &Value) -> Tool<'a> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, definition) in tool["parameter_definitions"].as_object().into_iter().flatten() {
        let word = definition["type"].as_str().unwrap_or("str").to_ascii_lowercase();
        let kind = TYPES.iter().find(|row| word.starts_with(row.0)).map_or(word.as_str(), |row| row.1);
        let mut property = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        if let Some(description) = definition.get("description") {
            property.insert("description".to_owned(), description.clone());
        }
        if definition["required"] == true {
            required.push(Value::from(name.clone()));
        }
        properties.insert(name.clone(), property.into());
    }
    let own = |name: &str| tool[name].as_str().map(|text| Cow::Owned(text.to_owned()));
    Tool {
        name: own("name").unwrap_or_default(),
        description: own("description"),
        parameters: Some(json!({"type": "object", "properties": properties, "required": required})),
        strict: None,
        cache: None,
        extra: Extra::default(),
    }
}

/// Writes the members that came, and the tuning under its names of this dialect.
pub(super) fn encode_request(chat: &Chat<'_>, body: &mut Object<'_>) {
    for (name, value) in chat.extra.of(ME).into_iter().flatten() {
        match value {
            Value::Object(kept) if name == V1 => kept.iter().for_each(|(name, value)| body.value(name, value)),
            value => body.value(name, value),
        }
    }
    super::encode::encode_tuning(chat, body, &mut Vec::new());
}

pub(super) fn decode_answer(mut root: Members<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
    if let Some(fault) = error::of_delta(&mut root) {
        events.push(Event::Fault(fault));
        return Ok(());
    }
    let ending = Ending::take(&mut root);
    let text = root.take_text("text").unwrap_or_default().into_owned();
    let id = root.take_text("response_id").unwrap_or_default().into_owned();
    let calls = root.take_list("tool_calls").unwrap_or_default();
    let mut private = extra::rest(ME, root);
    extra::put(&mut private, ME, V1, Value::Bool(true));
    events.push(Event::Start { id, model: String::new(), created: None, extra: private });
    if !text.is_empty() || calls.is_empty() {
        events.push(Event::Open { choice: 0, block: 0, kind: Block::Text });
        events.push(Event::Delta { choice: 0, block: 0, delta: Delta::Text(text) });
        events.push(Event::Close { choice: 0, block: 0, extra: Extra::default() });
    }
    push_calls(calls, 1, events);
    ending.push(events);
    events.push(Event::End);
    Ok(())
}

/// How an answer ended.
struct Ending {
    reason: Option<Finish>,
    usage: Option<Event>,
}

impl Ending {
    fn take(root: &mut Members<'_>) -> Ending {
        let reason = root.take_text("finish_reason").map(|word| finish(&word));
        let usage = root.take_object("meta").and_then(usage::decode).map(|(usage, extra)| Event::Usage { usage, extra });
        Ending { reason, usage }
    }

    fn push(self, events: &mut Vec<Event>) {
        events.extend(self.reason.map(|reason| Event::Finish { choice: 0, reason, extra: Extra::default() }));
        events.extend(self.usage);
    }
}

fn push_calls(calls: Vec<Node<'_>>, first_block: u32, events: &mut Vec<Event>) {
    for (block, (at, call)) in (first_block..).zip(calls.into_iter().filter_map(Node::into_object).enumerate()) {
        let mut call = call;
        let name = call.take_text("name").unwrap_or_default().into_owned();
        let arguments = call.take("parameters").map_or_else(|| "{}".to_owned(), |node| node.into_value().to_string());
        let kind = Block::ToolCall { id: format!("call_{at}"), name, extra: extra::rest(ME, call) };
        events.push(Event::Open { choice: 0, block, kind });
        events.push(Event::Delta { choice: 0, block, delta: Delta::Arguments(arguments) });
        events.push(Event::Close { choice: 0, block, extra: Extra::default() });
    }
}

pub(super) fn encode_answer(answer: &Answer<'_>, out: &mut Vec<u8>) {
    let mut root = Object::begin(out);
    root.str("response_id", answer.id);
    root.str("text", &answer.text());
    if answer.calls().next().is_some() {
        let mut calls = root.array("tool_calls");
        for (_, name, input, extra) in answer.calls() {
            let mut call = calls.object();
            call.str("name", name);
            arguments::encode(input, "parameters", &mut call);
            extra.of(ME).into_iter().flatten().for_each(|(name, value)| call.value(name, value));
            call.end();
        }
        calls.end();
    }
    if let Some(reason) = answer.reason {
        root.str("finish_reason", answer.traits.word(reason));
    }
    if let Some((usage, extra)) = answer.usage {
        let mut meta = root.object("meta");
        usage::encode(usage, extra, &mut meta);
        meta.end();
    }
    answer.fields.iter().filter(|(name, _)| *name != V1).for_each(|(name, value)| root.value(name, value));
    root.end();
}

/// A request goes out in this form only where it came so.
pub(super) fn encode_only(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    if chat.extra.of(ME).is_some_and(|fields| fields.contains_key(V1)) {
        return super::encode::encode(chat, target, out, losses);
    }
    losses.push(Loss { field: "messages".into(), gravity: Gravity::Meaning });
    Err(Fault::new(Kind::InvalidRequest, "nothing is translated into Cohere's v1 form; choose a target that serves v2"))
}

pub(super) fn encode_events(events: &[Event], _client: &Client<'_>, out: &mut Vec<u8>) {
    let answer = Answer::of(events);
    match answer.fault {
        Some(fault) => error::encode(fault, out),
        None => encode_answer(&answer, out),
    }
}

/// Events → lines of a v1 stream. Calls come whole in the last line, as they do at Cohere.
pub(super) struct Encoder {
    events: Vec<Event>,
    text_bytes: usize,
    is_over: bool,
}

/// Generated bytes that are held for the last line, which repeats the answer; more ends the stream with an error.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Encoder {
    pub(super) fn new(_client: Client<'static>) -> Encoder {
        Encoder { events: Vec::new(), text_bytes: 0, is_over: false }
    }

    fn line(out: &mut Vec<u8>, kind: &str, is_finished: &[u8], fill: impl FnOnce(&mut Object<'_>)) {
        let mut line = Object::begin(out);
        line.raw("is_finished", is_finished);
        line.str("event_type", kind);
        fill(&mut line);
        line.end();
        ndjson::end(out);
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match event {
            Event::Start { id, .. } => Encoder::line(out, "stream-start", b"false", |line| line.str("generation_id", id)),
            Event::Delta { choice: 0, delta: Delta::Text(text), .. } => {
                Encoder::line(out, "text-generation", b"false", |line| line.str("text", text));
            }
            Event::Fault(fault) => {
                self.is_over = true;
                return encode_error_event(fault, out);
            }
            _ => {}
        }
        if let Event::Delta { delta: Delta::Text(text) | Delta::Arguments(text), .. } = event {
            self.text_bytes += text.len();
        }
        if self.text_bytes > HELD_BYTES_MAX {
            self.is_over = true;
            return encode_error_event(&Fault::new(Kind::MalformedResponse, "the answer is too long for Cohere's v1 form"), out);
        }
        self.events.push(event.clone());
        if let Event::End = event {
            self.is_over = true;
            let (mut body, answer) = (Vec::new(), Answer::of(&self.events));
            encode_answer(&answer, &mut body);
            let word = answer.traits.word(answer.reason.unwrap_or(&Finish::Stop));
            Encoder::line(out, "stream-end", b"true", |line| {
                line.str("finish_reason", word);
                line.raw("response", &body);
            });
        }
    }
}

pub(super) fn encode_error_event(fault: &Fault, out: &mut Vec<u8>) {
    Encoder::line(out, "stream-end", b"true", |line| {
        line.str("finish_reason", "ERROR");
        line.str("error", &fault.message);
        error::fill(fault, line);
    });
}

/// Where a v1 stream stands.
#[derive(Debug, Default)]
pub(super) struct State {
    has_start: bool,
    has_text: bool,
}

impl State {
    /// Takes an event; `true` where it was the last one.
    pub(super) fn event(&mut self, mut event: Members<'_>, events: &mut Vec<Event>) -> Result<bool, Fault> {
        let kind = event.take_text("event_type").unwrap_or_default();
        if !self.has_start {
            self.has_start = true;
            let id = event.take_text("generation_id").unwrap_or_default().into_owned();
            events.push(Event::Start { id, model: String::new(), created: None, extra: extra::one(ME, V1, Value::Bool(true)) });
        }
        match kind.as_ref() {
            "text-generation" => {
                let text = event.take_text("text").ok_or_else(|| malformed("text-generation has no text"))?;
                if !std::mem::replace(&mut self.has_text, true) {
                    events.push(Event::Open { choice: 0, block: 0, kind: Block::Text });
                }
                events.push(Event::Delta { choice: 0, block: 0, delta: Delta::Text(text.into_owned()) });
            }
            "stream-end" => return self.end(event, events),
            // Calls, citations and results come again, whole, in the last event.
            _ => {}
        }
        Ok(false)
    }

    fn end(&mut self, mut event: Members<'_>, events: &mut Vec<Event>) -> Result<bool, Fault> {
        let mut response = event.take_object("response").unwrap_or_default();
        if let Some(fault) = error::of_delta(&mut event) {
            events.push(Event::Fault(fault));
            return Ok(true);
        }
        let mut ending = Ending::take(&mut response);
        ending.reason = event.take_text("finish_reason").map(|word| finish(&word)).or(ending.reason);
        if ending.reason.is_none() {
            return Err(malformed("stream-end has no finish_reason"));
        }
        if self.has_text {
            events.push(Event::Close { choice: 0, block: 0, extra: Extra::default() });
        }
        let calls = response.take_list("tool_calls").unwrap_or_default();
        push_calls(calls, 1, events);
        ending.push(events);
        events.push(Event::End);
        Ok(true)
    }
}
