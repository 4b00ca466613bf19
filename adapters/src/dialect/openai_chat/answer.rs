//! Whole chat answers: body ↔ events.

use serde_json::{Map, Value};

use super::choice::Choice;
use super::{AUDIO, LEGACY, ME, MESSAGE, usage};
use crate::dialect::Client;
use crate::dialect::openai::{error, extra};
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::ir::Extra;
use crate::json::node::{self, Node, Object};
use crate::json::write;
use crate::usage::Usage;

/// Choices of one answer that are read; OpenAI allows 128.
pub(super) const CHOICES_MAX: usize = 256;

pub(super) fn decode(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let parsed = node::parse(body).map_err(|error| malformed(&format!("not JSON: {error}")))?;
    let mut object = parsed.into_object().ok_or_else(|| malformed("not an object"))?;
    let Some(choices) = object.take_list("choices") else {
        let Some(error) = object.take("error") else { return Err(malformed("no choices")) };
        events.push(Event::Fault(error::in_band(error)));
        return Ok(());
    };
    let usage = object.take_object("usage");
    object.take("object");
    events.push(Event::Start {
        id: object.take_text("id").unwrap_or_default().into_owned(),
        model: object.take_text("model").unwrap_or_default().into_owned(),
        created: object.take_u64("created"),
        extra: extra::rest(ME, object),
    });
    for (position, node) in choices.into_iter().take(CHOICES_MAX).enumerate() {
        let choice = node.into_object().ok_or_else(|| malformed("a choice is not an object"))?;
        if let Err(fault) = decode_choice(choice, position as u32, events) {
            push_usage(usage, events);
            events.push(Event::Fault(fault));
            return Ok(());
        }
    }
    push_usage(usage, events);
    events.push(Event::End);
    Ok(())
}

fn push_usage(usage: Option<Object<'_>>, events: &mut Vec<Event>) {
    if let Some(usage) = usage {
        let (mut usage, extra) = usage::decode(usage);
        usage.searches = usage.searches.max(u64::from(events.iter().any(is_web_citation)));
        events.push(Event::Usage { usage, extra });
    }
}

fn malformed(what: &str) -> Fault {
    Fault::new(Kind::MalformedResponse, format!("the provider's answer is no chat completion: {what}"))
}

/// Appends the blocks of one choice, numbered as they come.
struct Blocks<'e> {
    choice: u32,
    next: u32,
    events: &'e mut Vec<Event>,
}

impl Blocks<'_> {
    fn push(&mut self, kind: Block, deltas: impl IntoIterator<Item = Delta>) {
        let (choice, block) = (self.choice, self.next);
        self.next += 1;
        self.events.push(Event::Open { choice, block, kind });
        self.events.extend(deltas.into_iter().map(|delta| Event::Delta { choice, block, delta }));
        self.events.push(Event::Close { choice, block, extra: Extra::default() });
    }
}

/// # Errors
/// What a choice says that broke off and holds an error in place of a finish.
fn decode_choice(mut choice: Object<'_>, position: u32, events: &mut Vec<Event>) -> Result<(), Fault> {
    let index = choice.take_u64("index").and_then(|index| index.try_into().ok()).unwrap_or(position);
    let mut message = choice.take_object("message").unwrap_or_default();
    message.take("role");
    let mut blocks = Blocks { choice: index, next: 0, events };
    decode_thinking(&mut message, &mut blocks);
    decode_text(&mut message, &mut choice, &mut blocks);
    for node in message.take_list("tool_calls").unwrap_or_default() {
        decode_call(node, &mut blocks);
    }
    if let Some(mut call) = message.take_object("function_call") {
        let name = call.take_text("name").unwrap_or_default().into_owned();
        let arguments = call.take_text("arguments").unwrap_or_default().into_owned();
        let kind = Block::ToolCall { id: name.clone(), name, extra: extra::one(ME, LEGACY, Value::Bool(true)) };
        blocks.push(kind, [Delta::Arguments(arguments)]);
    }
    if let Some(mut audio) = message.take_object("audio") {
        let data = audio.take_text("data").unwrap_or_default().into_owned();
        let rest = extra::one(ME, AUDIO, Value::Object(audio.into_map()));
        blocks.push(Block::Audio, [Delta::Audio(data), Delta::Private(rest)]);
    }
    if let Some(error) = choice.take_object("error") {
        return Err(error::in_band(Node::Object(error)));
    }
    let word = choice.take_text("finish_reason").unwrap_or_default();
    let mut private = Extra { dialect: Some(ME), fields: without_nulls(choice) };
    let message = without_nulls(message);
    if !message.is_empty() {
        private.fields.insert(MESSAGE.into(), Value::Object(message));
    }
    let reason = super::read_finish(&word, &mut private);
    events.push(Event::Finish { choice: index, reason, extra: private });
    Ok(())
}

/// A source on the web: such an answer was searched for, and billed for it, once.
pub(super) fn is_web_citation(event: &Event) -> bool {
    let Event::Delta { delta: Delta::Citation(extra), .. } = event else { return false };
    extra.fields.get("type").and_then(Value::as_str) == Some("url_citation")
}

fn without_nulls(object: Object<'_>) -> Map<String, Value> {
    extra::news(object, &Extra::default()).into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// Imitations write thinking as `reasoning_content` or `reasoning`; blocks with signatures are this gateway's form.
fn decode_thinking(message: &mut Object<'_>, blocks: &mut Blocks<'_>) {
    if let Some(list) = message.take_list("thinking_blocks") {
        message.take("reasoning_content");
        for mut block in list.into_iter().filter_map(Node::into_object) {
            match block.take_text("data") {
                Some(data) => blocks.push(Block::RedactedThinking, [Delta::Sealed(data.into_owned())]),
                None => {
                    let text = block.take_text("thinking").unwrap_or_default().into_owned();
                    let signature = block.take_text("signature").map(|signature| Delta::Signature(signature.into_owned()));
                    blocks.push(Block::Thinking, [Delta::Thinking(text)].into_iter().chain(signature));
                }
            }
        }
        return;
    }
    let text = message.take_text("reasoning_content").or_else(|| message.take_text("reasoning"));
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        blocks.push(Block::Thinking, [Delta::Thinking(text.into_owned())]);
    }
}

fn decode_text(message: &mut Object<'_>, choice: &mut Object<'_>, blocks: &mut Blocks<'_>) {
    let text = match message.take("content") {
        Some(Node::Text(text)) => text.into_owned(),
        // Some imitations answer in parts, thinking among them.
        Some(Node::List(parts)) => decode_parts(parts, blocks),
        // Structured output that came as itself.
        Some(node @ Node::Object(_)) => node.into_value().to_string(),
        _ => String::new(),
    };
    let refusal = message.take_text("refusal").filter(|refusal| !refusal.is_empty());
    let mut logprobs = choice.take_object("logprobs").map(|logprobs| Delta::Logprobs(extra::rest(ME, logprobs)));
    let citations = message.take_list("annotations").unwrap_or_default();
    if !text.is_empty() {
        let mut deltas = vec![Delta::Text(text)];
        deltas.extend(logprobs.take());
        deltas.extend(citations.into_iter().filter_map(Node::into_object).map(|citation| Delta::Citation(extra::rest(ME, citation))));
        blocks.push(Block::Text, deltas);
    }
    if let Some(refusal) = refusal {
        let deltas = [Delta::Text(refusal.into_owned())].into_iter().chain(logprobs.take());
        blocks.push(Block::Refusal, deltas);
    }
    if let Some(logprobs) = logprobs {
        blocks.push(Block::Private { extra: Extra::default() }, [logprobs]);
    }
}

fn decode_parts(parts: Vec<Node<'_>>, blocks: &mut Blocks<'_>) -> String {
    let mut text = String::new();
    for mut part in parts.into_iter().filter_map(Node::into_object) {
        match part.look_text("type") {
            Some("thinking") => {
                let thinking: String = match part.take("thinking") {
                    Some(Node::Text(thinking)) => thinking.into_owned(),
                    Some(Node::List(inner)) => {
                        inner.into_iter().filter_map(Node::into_object).filter_map(|mut inner| inner.take_text("text")).collect()
                    }
                    _ => String::new(),
                };
                blocks.push(Block::Thinking, [Delta::Thinking(thinking)]);
            }
            _ => text.push_str(&part.take_text("text").unwrap_or_default()),
        }
    }
    text
}

fn decode_call(node: Node<'_>, blocks: &mut Blocks<'_>) {
    let Some(mut call) = node.into_object() else { return };
    let id = call.take_text("id").unwrap_or_default().into_owned();
    call.take("index");
    let (kind, input) = match call.take_text("type").as_deref() {
        Some(super::CUSTOM) => (super::CUSTOM, "input"),
        _ => ("function", "arguments"),
    };
    let mut function = call.take_object(kind).unwrap_or_default();
    let name = function.take_text("name").unwrap_or_default().into_owned();
    let arguments = match function.take(input) {
        None => String::new(),
        Some(Node::Text(text)) => text.into_owned(),
        Some(node) => node.into_value().to_string(),
    };
    let mut private = extra::rest(ME, call);
    if kind == super::CUSTOM {
        extra::put(&mut private, ME, super::CUSTOM, Value::Bool(true));
    }
    blocks.push(Block::ToolCall { id, name, extra: private }, [Delta::Arguments(arguments)]);
}

pub(super) fn encode(events: &[Event], client: &Client<'_>, out: &mut Vec<u8>) {
    let mut choices: Vec<(u32, Choice<'_>)> = Vec::new();
    let mut usage: Option<(&Usage, &Extra)> = None;
    let (mut id, mut model, mut created, mut private) = ("", "", None, None);
    for event in events {
        match event {
            Event::Start { id: own_id, model: own_model, created: own_created, extra } => {
                (id, model, created, private) = (own_id, own_model, *own_created, Some(extra));
            }
            Event::Usage { usage: figure, extra } => usage = Some((figure, extra)),
            Event::Open { choice, .. } | Event::Delta { choice, .. } | Event::Close { choice, .. } | Event::Finish { choice, .. } => {
                of(&mut choices, *choice).take(event);
            }
            Event::Fault(fault) => return error::encode(fault, out),
            Event::Ping | Event::End => {}
        }
    }
    out.push(b'{');
    write::text(out, "id", id);
    write::text(out, "object", "chat.completion");
    write::uint(out, "created", created.unwrap_or(client.now_unix));
    write::text(out, "model", if client.model.is_empty() { model } else { &client.model });
    write::key(out, "choices");
    write::open_list(out);
    for (index, choice) in &choices {
        choice.encode(*index, out);
    }
    write::close_list(out);
    if let Some((usage, extra)) = usage {
        write::key(out, "usage");
        usage::encode(usage, extra, out);
    }
    if let Some(fields) = private.and_then(|extra| extra.of(ME)) {
        write::members(out, fields);
    }
    out.push(b'}');
}

fn of<'c, 'e>(choices: &'c mut Vec<(u32, Choice<'e>)>, index: u32) -> &'c mut Choice<'e> {
    let at = match choices.iter().position(|(known, _)| *known == index) {
        Some(at) => at,
        None => {
            choices.push((index, Choice::default()));
            choices.len() - 1
        }
    };
    &mut choices[at].1
}
