//! A whole Messages answer against events, and the words of `stop_reason`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::content::{Folded, decode_block};
use super::usage::{self, Report};
use super::{ID, error, extra};
use crate::dialect::Client;
use crate::event::{Block, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::ir::Extra;
use crate::json::build::Object;
use crate::json::tree::{Json, Tree};
use crate::usage::Usage;

pub(in crate::dialect) fn decode(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let malformed = |what: &'static str| Fault::new(Kind::MalformedResponse, what);
    let tree = Tree::parse(body).map_err(|_| malformed("answer is not valid JSON"))?;
    let root = tree.root();
    if root.get_str("type") == Some("error") {
        events.push(Event::Fault(error::in_band(root)));
        return Ok(());
    }
    let content = root.get("content").and_then(Json::array).ok_or_else(|| malformed("answer has no content array"))?;
    events.push(start(root));
    for (block, value) in (0..).zip(content) {
        decode_block(value, block, events).ok_or_else(|| malformed("answer holds a content block without its fields"))?;
    }
    if let Some(reason) = root.get_str("stop_reason") {
        events.push(Event::Finish { choice: 0, reason: finish(reason, root.get_str("stop_sequence")), extra: Extra::default() });
    }
    if let Some(usage) = root.get("usage") {
        let mut report = Report::default();
        report.merge(usage);
        events.push(report.event());
    }
    events.push(Event::End);
    Ok(())
}

/// `message` is a whole answer or that of `message_start`; all its further fields ride along.
pub(super) fn start(message: Json<'_, '_>) -> Event {
    const TAKEN: &[&str] = &["id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"];
    let fields = message.object().into_iter().flatten().filter(|(name, _)| !TAKEN.contains(name));
    Event::Start {
        id: message.get_str("id").unwrap_or_default().to_owned(),
        model: message.get_str("model").unwrap_or_default().to_owned(),
        created: None,
        // The mark stays without fields: it tells the encoder that the events are of its own dialect.
        extra: Extra { dialect: Some(ID), fields: fields.map(|(name, value)| (name.to_owned(), value.value())).collect() },
    }
}

pub(super) fn finish(reason: &str, sequence: Option<&str>) -> Finish {
    match reason {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence(sequence.map(str::to_owned)),
        "max_tokens" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "pause_turn" => Finish::Pause,
        "refusal" => Finish::Refusal,
        "model_context_window_exceeded" => Finish::ContextWindow,
        other => Finish::Other(other.to_owned()),
    }
}

/// What of an answer decides its `stop_reason`, beside its finish.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    pub(super) is_own: bool,
    pub(super) has_tool_call: bool,
    pub(super) has_refusal: bool,
}

impl Traits {
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Start { extra, .. } => self.is_own = extra.dialect == Some(ID),
            Event::Open { kind: Block::ToolCall { .. }, .. } => self.has_tool_call = true,
            Event::Open { kind: Block::Refusal, .. } => self.has_refusal = true,
            _ => {}
        }
    }

    /// `stop_reason` and `stop_sequence`. Clients go on with tools only at `tool_use`; other dialects end a forced call with
    /// a plain stop.
    pub(super) fn stop(self, reason: &Finish) -> (&str, Option<&str>) {
        match reason {
            Finish::Stop if self.has_tool_call && !self.is_own => ("tool_use", None),
            Finish::Stop if self.has_refusal => ("refusal", None),
            Finish::Stop => ("end_turn", None),
            Finish::StopSequence(sequence) => ("stop_sequence", sequence.as_deref()),
            Finish::Length => ("max_tokens", None),
            Finish::ToolCalls => ("tool_use", None),
            Finish::ContentFilter | Finish::Refusal => ("refusal", None),
            Finish::Pause => ("pause_turn", None),
            Finish::ContextWindow => ("model_context_window_exceeded", None),
            Finish::Other(word) => (word, None),
        }
    }
}

/// Only the first choice: this dialect has no other.
pub(in crate::dialect) fn encode(events: &[Event], client: &Client<'_>, out: &mut Vec<u8>) {
    let mut blocks: BTreeMap<u32, Folded> = BTreeMap::new();
    let (mut id, mut model, mut fields) = ("", "", Map::new());
    let (mut traits, mut reason, mut tokens) = (Traits::default(), &Finish::Stop, (&Usage::default(), &Extra::default()));
    for event in events {
        traits.note(event);
        match event {
            Event::Start { id: its_id, model: its_model, extra, .. } => {
                (id, model) = (its_id, its_model);
                add_fields(&mut fields, extra);
            }
            Event::Open { choice: 0, block, kind } => drop(blocks.insert(*block, Folded::open(kind))),
            Event::Delta { choice: 0, block, delta } => {
                if let Some(folded) = blocks.get_mut(block) {
                    folded.add(delta);
                }
            }
            Event::Close { choice: 0, block, extra } => {
                if let Some(folded) = blocks.get_mut(block) {
                    folded.close(extra);
                }
            }
            Event::Finish { choice: 0, reason: its_reason, extra } => {
                reason = its_reason;
                add_fields(&mut fields, extra);
            }
            Event::Usage { usage, extra } => tokens = (usage, extra),
            Event::Fault(fault) => return error::encode(fault, out),
            _ => {}
        }
    }
    let mut message = Object::begin(out);
    message.str("id", id);
    message.str("type", "message");
    message.str("role", "assistant");
    message.str("model", if client.model.is_empty() { model } else { &client.model });
    let mut content = message.array("content");
    blocks.values().for_each(|folded| folded.encode(&mut content));
    content.end();
    let (word, sequence) = traits.stop(reason);
    encode_stop(word, sequence, &mut message);
    let mut usage = message.object("usage");
    usage::encode(tokens.0, tokens.1, &mut usage);
    usage.end();
    fields.iter().for_each(|(name, value)| message.value(name, value));
    message.end();
}

fn add_fields(fields: &mut Map<String, Value>, extra: &Extra) {
    for (name, value) in extra.of(ID).into_iter().flatten() {
        fields.insert(name.clone(), value.clone());
    }
}

pub(super) fn encode_stop(word: &str, sequence: Option<&str>, object: &mut Object<'_>) {
    object.str("stop_reason", word);
    match sequence {
        Some(sequence) => object.str("stop_sequence", sequence),
        None => object.raw("stop_sequence", b"null"),
    }
}

/// The fields of `value` but for `taken`.
pub(super) fn rest(value: Json<'_, '_>, taken: &[&str]) -> Extra {
    let fields = value.object().into_iter().flatten().filter(|(name, _)| !taken.contains(name));
    extra(fields.map(|(name, value)| (name.to_owned(), value.value())).collect())
}
