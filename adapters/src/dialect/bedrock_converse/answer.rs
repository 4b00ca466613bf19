//! A whole Converse answer against events, and the words of `stopReason`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::content::{Folded, decode_block};
use super::{ID, rest, usage};
use crate::dialect::{Client, bedrock};
use crate::event::{Block, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::ir::Extra;
use crate::json::build::Object;
use crate::json::tree::{Json, Tree};
use crate::usage::Usage;

pub(super) fn decode(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let tree = Tree::parse(body).map_err(|_| malformed("answer is not valid JSON"))?;
    decode_tree(tree.root(), events)
}

/// Nova's answer to Invoke has the same shape.
pub(in crate::dialect) fn decode_tree(root: Json<'_, '_>, events: &mut Vec<Event>) -> Result<(), Fault> {
    if let (None, Some(reason)) = (root.get("output"), root.get_str("message")) {
        // An error with status 200.
        events.push(Event::Fault(Fault::new(Kind::UpstreamInBand, reason.to_owned())));
        return Ok(());
    }
    let message = root.get("output").and_then(|output| output.get("message")).ok_or_else(|| malformed("answer has no output.message"))?;
    let content = message.get("content").and_then(Json::array).into_iter().flatten();
    events.push(Event::Start { id: String::new(), model: String::new(), created: None, extra: start_extra(root, message) });
    for (block, value) in (0..).zip(content) {
        decode_block(value, block, events).ok_or_else(|| malformed("answer holds a content block that is no object"))?;
    }
    if let Some(reason) = root.get_str("stopReason") {
        events.push(finish(reason, root.get("additionalModelResponseFields")));
    }
    if let Some(counts) = root.get("usage") {
        events.push(usage::decode(counts, Map::new()));
    }
    events.push(Event::End);
    Ok(())
}

fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}

/// Fields of the answer and of its message that ride along; those of the message under its name. The mark stays without fields:
/// it tells the encoder that the events are of its own dialect.
fn start_extra(root: Json<'_, '_>, message: Json<'_, '_>) -> Extra {
    let mut extra = Extra { dialect: Some(ID), ..rest(root, &["output", "stopReason", "usage", "additionalModelResponseFields"]) };
    let inner = rest(message, &["role", "content"]);
    if !inner.is_empty() {
        extra.fields.insert(MESSAGE.to_owned(), inner.fields.into());
    }
    // A tier stands in an object here.
    if let Some(tier) = extra.fields.get("serviceTier").and_then(|tier| tier.get("type")).cloned() {
        extra.fields.insert(crate::usage::SERVICE_TIER.to_owned(), tier);
    }
    extra
}

/// Under this name ride fields of `output.message`.
const MESSAGE: &str = "message";

/// Words of `stopReason`, the first of a meaning is the one that is written.
// docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, read 2026-11-20
const REASONS: &[(&str, Finish)] = &[
    ("end_turn", Finish::Stop),
    ("tool_use", Finish::ToolCalls),
    ("max_tokens", Finish::Length),
    ("stop_sequence", Finish::StopSequence(None)),
    ("content_filtered", Finish::ContentFilter),
    ("guardrail_intervened", Finish::ContentFilter),
    ("refusal", Finish::Refusal),
    ("pause_turn", Finish::Pause),
    ("model_context_window_exceeded", Finish::ContextWindow),
];

/// Of a word and the model's own fields beside it, among which Claude names the sequence.
pub(super) fn finish(word: &str, fields: Option<Json<'_, '_>>) -> Event {
    let known = REASONS.iter().find(|row| row.0 == word);
    let mut reason = known.map_or_else(|| Finish::Other(word.to_owned()), |row| row.1.clone());
    if let Finish::StopSequence(sequence) = &mut reason {
        *sequence = fields.and_then(|fields| fields.get_str("stop_sequence")).map(str::to_owned);
    }
    let mut extra = Extra::default();
    let mut put = |name: &str, value: Value| {
        extra.dialect = Some(ID);
        extra.fields.insert(name.to_owned(), value);
    };
    if word_of(&reason) != word {
        put(STOP_REASON, word.into());
    }
    if let Some(fields) = fields {
        put("additionalModelResponseFields", fields.value());
    }
    Event::Finish { choice: 0, reason, extra }
}

/// A word that another one means the same as rides along under this name.
const STOP_REASON: &str = "stopReason";

fn word_of(reason: &Finish) -> &str {
    match reason {
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Other(word) => word,
        reason => REASONS.iter().find(|row| row.1 == *reason).map_or("end_turn", |row| row.0),
    }
}

/// What of an answer decides its `stopReason`, beside its finish.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    is_own: bool,
    has_tool_call: bool,
    has_refusal: bool,
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

    /// Writes `stopReason` and what the model says beside it. Clients go on with tools only at `tool_use`; other dialects end a
    /// forced call with a plain stop.
    pub(super) fn encode(self, reason: &Finish, extra: &Extra, object: &mut Object<'_>) {
        let own = extra.of(ID).and_then(|fields| fields.get(STOP_REASON)?.as_str());
        let word = match reason {
            _ if own.is_some() => own.unwrap_or_default(),
            Finish::Stop if self.has_tool_call && !self.is_own => "tool_use",
            Finish::Stop if self.has_refusal => "refusal",
            reason => word_of(reason),
        };
        object.str("stopReason", word);
        extra.of(ID).into_iter().flatten().filter(|(name, _)| *name != STOP_REASON).for_each(|(name, value)| object.value(name, value));
    }
}

/// Only the first choice: this dialect has no other.
pub(super) fn encode(events: &[Event], _: &Client<'_>, out: &mut Vec<u8>) {
    let mut blocks: BTreeMap<u32, Folded> = BTreeMap::new();
    let (mut fields, mut message_fields) = (Map::new(), None);
    let (none, no_usage) = (Extra::default(), Usage::default());
    let (mut traits, mut finish, mut tokens) = (Traits::default(), (&Finish::Stop, &none), None);
    for event in events {
        traits.note(event);
        match event {
            Event::Start { extra, .. } => {
                fields.extend(extra.of(ID).into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
                message_fields = fields.remove(MESSAGE);
                fields.remove(crate::usage::SERVICE_TIER);
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
            Event::Finish { choice: 0, reason, extra } => finish = (reason, extra),
            Event::Usage { usage, extra } => tokens = Some((usage, extra)),
            Event::Fault(fault) => return bedrock::error::encode(fault, out),
            _ => {}
        }
    }
    let mut body = Object::begin(out);
    let mut output = body.object("output");
    let mut message = output.object("message");
    message.str("role", "assistant");
    let mut content = message.array("content");
    blocks.values().for_each(|folded| folded.encode(&mut content));
    content.end();
    message_fields.as_ref().and_then(Value::as_object).into_iter().flatten().for_each(|(name, value)| message.value(name, value));
    message.end();
    output.end();
    traits.encode(finish.0, finish.1, &mut body);
    // Clients with typed answers demand it of those that came otherwise, too.
    let (counted, beside) = tokens.unwrap_or((&no_usage, &none));
    if tokens.is_some() || !traits.is_own {
        let mut counts = body.object("usage");
        usage::encode(counted, beside, &mut counts);
        counts.end();
    }
    // A stream's metadata has them beside the usage.
    for (name, value) in beside.of(ID).into_iter().flatten().filter(|(name, _)| usage::BESIDE.contains(&name.as_str())) {
        fields.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if !traits.is_own {
        // Clients with typed answers demand it; nobody measured.
        body.raw("metrics", br#"{"latencyMs":0}"#);
    }
    fields.iter().for_each(|(name, value)| body.value(name, value));
    body.end();
}
