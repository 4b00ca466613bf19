//! Content blocks of an answer: from JSON to events, and folded from events to JSON.

use serde_json::{Map, Value};

use super::answer::rest;
use super::request_encode::tool_input;
use super::{ID, extra};
use crate::dialect::citation;
use crate::event::{Block, Delta, Event};
use crate::ir::Extra;
use crate::json::build::{Array, Object};
use crate::json::tree::Json;

/// A block as it opens: its kind, what it holds from the start, and the fields to close it with.
pub(super) struct Opening {
    pub(super) kind: Block,
    pub(super) deltas: Vec<Delta>,
    pub(super) closing: Extra,
}

/// Reads a whole block, or the one of `content_block_start`. `None` where a field that it needs is missing.
pub(super) fn open(value: Json<'_, '_>) -> Option<Opening> {
    let text = |field: &str| value.get_str(field).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut deltas = Vec::new();
    let mut closing = Extra::default();
    let kind = match value.get_str("type")? {
        "text" => {
            deltas.extend(text("text").map(Delta::Text));
            let before = deltas.len();
            let citations = value.get("citations").and_then(Json::array).into_iter().flatten();
            deltas.extend(citations.map(|citation| Delta::Citation(rest(citation, &[]))));
            let taken: &[&str] = if deltas.len() > before { &["type", "text", "citations"] } else { &["type", "text"] };
            closing = rest(value, taken);
            Block::Text
        }
        "thinking" => {
            deltas.extend(text("thinking").map(Delta::Thinking));
            deltas.extend(text("signature").map(Delta::Signature));
            closing = rest(value, &["type", "thinking", "signature"]);
            Block::Thinking
        }
        "redacted_thinking" => {
            deltas.push(Delta::Sealed(value.get_str("data")?.to_owned()));
            closing = rest(value, &["type", "data"]);
            Block::RedactedThinking
        }
        "tool_use" => {
            let input = value.get("input").filter(|input| input.object().is_some_and(|mut fields| fields.next().is_some()));
            deltas.extend(input.map(|input| Delta::Arguments(input.text())));
            let (id, name) = (value.get_str("id")?.to_owned(), value.get_str("name")?.to_owned());
            Block::ToolCall { id, name, extra: rest(value, &["type", "id", "name", "input"]) }
        }
        _ => Block::Private { extra: rest(value, &[]) },
    };
    Some(Opening { kind, deltas, closing })
}

/// A whole block → `Open`, its deltas, `Close`.
pub(super) fn decode_block(value: Json<'_, '_>, block: u32, events: &mut Vec<Event>) -> Option<()> {
    let mut opening = open(value)?;
    if matches!(opening.kind, Block::ToolCall { .. }) && opening.deltas.is_empty() {
        opening.deltas.push(Delta::Arguments("{}".to_owned()));
    }
    events.push(Event::Open { choice: 0, block, kind: opening.kind });
    events.extend(opening.deltas.into_iter().map(|delta| Event::Delta { choice: 0, block, delta }));
    events.push(Event::Close { choice: 0, block, extra: opening.closing });
    Some(())
}

/// A block being put together from its events.
#[derive(Debug)]
pub(super) struct Folded {
    kind: Block,
    text: String,
    signature: String,
    citations: Vec<Value>,
    /// Fields of a private block, with its deltas folded in.
    fields: Map<String, Value>,
}

impl Folded {
    pub(super) fn open(kind: &Block) -> Folded {
        let fields = match kind {
            Block::Private { extra } => extra.of(ID).cloned().unwrap_or_default(),
            _ => Map::new(),
        };
        Folded { kind: kind.clone(), text: String::new(), signature: String::new(), citations: Vec::new(), fields }
    }

    pub(super) fn add(&mut self, delta: &Delta) {
        match delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Sealed(text) | Delta::Arguments(text) => self.text.push_str(text),
            Delta::Signature(text) => self.signature.push_str(text),
            Delta::Citation(citation) => self.citations.extend(citation::of(citation, ID).map(|fields| fields.into_owned().into())),
            Delta::Private(delta) => self.add_private(delta),
            Delta::Audio(_) | Delta::Logprobs(_) => {}
        }
    }

    /// `input_json_delta` gathers in `text`; any other delta's strings are appended to the block's fields of their name.
    fn add_private(&mut self, delta: &Extra) {
        for (name, value) in delta.of(ID).into_iter().flatten().filter(|(name, _)| *name != "type") {
            match (self.fields.get_mut(name), value) {
                (_, Value::String(json)) if name == "partial_json" => self.text.push_str(json),
                (Some(Value::String(held)), Value::String(more)) => held.push_str(more),
                _ => drop(self.fields.insert(name.clone(), value.clone())),
            }
        }
    }

    pub(super) fn close(&mut self, extra: &Extra) {
        for (name, value) in extra.of(ID).into_iter().flatten() {
            self.fields.insert(name.clone(), value.clone());
        }
    }

    pub(super) fn encode(&self, content: &mut Array<'_>) {
        // Sound has no place in this dialect, nor has a block of another dialect's own.
        if matches!(&self.kind, Block::Audio) || matches!(&self.kind, Block::Private { extra } if extra.of(ID).is_none()) {
            return;
        }
        let mut object = content.object();
        match &self.kind {
            Block::Text | Block::Refusal => {
                object.str("type", "text");
                object.str("text", &self.text);
                if !self.citations.is_empty() {
                    object.value("citations", &self.citations.clone().into());
                }
            }
            Block::Thinking => {
                object.str("type", "thinking");
                object.str("thinking", &self.text);
                object.str("signature", &self.signature);
            }
            Block::RedactedThinking => {
                object.str("type", "redacted_thinking");
                object.str("data", &self.text);
            }
            Block::ToolCall { id, name, extra } => {
                object.str("type", "tool_use");
                object.str("id", id);
                object.str("name", name);
                match tool_input(&self.text) {
                    Some(input) => object.raw("input", input.as_bytes()),
                    None => encode_broken(&self.text, object.object("input")),
                }
                extra.of(ID).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
            }
            Block::Private { .. } | Block::Audio => {
                if let Some(input) = tool_input(&self.text).filter(|_| !self.text.is_empty()) {
                    object.raw("input", input.as_bytes());
                }
            }
        }
        let is_written = |name: &str| (name == "citations" && !self.citations.is_empty()) || (name == "input" && !self.text.is_empty());
        self.fields.iter().filter(|(name, _)| !is_written(name)).for_each(|(name, value)| object.value(name, value));
        object.end();
    }
}

/// Arguments that are no object (the model broke off): the input must be one, so they are shown in it as they came.
fn encode_broken(arguments: &str, mut input: Object<'_>) {
    input.str("arguments", arguments);
    input.end();
}

/// A delta's fields, whole.
pub(super) fn private_delta(delta: Json<'_, '_>) -> Delta {
    let fields: Map<String, Value> = delta.object().into_iter().flatten().map(|(name, value)| (name.to_owned(), value.value())).collect();
    Delta::Private(extra(fields))
}
