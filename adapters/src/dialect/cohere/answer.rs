//! A whole answer against events.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ME, TOOL_PLAN, Traits, V1, error, finish, usage, v1};
use crate::dialect::Client;
use crate::dialect::openai::extra;
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::ir::Extra;
use crate::json::build::{Array, Object};
use crate::json::node::{self, Node, Object as Members};
use crate::usage::Usage;

/// Where a finish keeps members of the message.
const MESSAGE: &str = "message";

pub(super) fn decode(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let malformed = |what: &'static str| Fault::new(Kind::MalformedResponse, what);
    let node = node::parse(body).map_err(|_| malformed("answer is not valid JSON"))?;
    let mut root = node.into_object().ok_or_else(|| malformed("answer is not a JSON object"))?;
    let Some(mut message) = root.take_object("message") else {
        if root.look_text("text").is_some() {
            return v1::decode_answer(root, events);
        }
        if root.look_text("message").is_some() {
            let message = root.take_text("message");
            events.push(Event::Fault(error::in_band(message.as_deref(), "error")));
            return Ok(());
        }
        return Err(malformed("answer has no message"));
    };
    if let Some(fault) = error::of_delta(&mut root) {
        events.push(Event::Fault(fault));
        return Ok(());
    }
    let word = root.take_text("finish_reason");
    let figures = root.take_object("usage");
    let id = root.take_text("id").unwrap_or_default().into_owned();
    let mut private = extra::rest(ME, root);
    // The mark stays without fields: it tells the encoder that the events are of its own dialect.
    private.dialect = Some(ME);
    events.push(Event::Start { id, model: String::new(), created: None, extra: private });
    decode_message(&mut message, events).ok_or_else(|| malformed("answer holds a block or a tool call without its fields"))?;
    if let Some(word) = word {
        message.take_any("role");
        let private = if message.is_empty() { Extra::default() } else { extra::one(ME, MESSAGE, Value::Object(message.into_map())) };
        events.push(Event::Finish { choice: 0, reason: finish(&word), extra: private });
    }
    if let Some((usage, extra)) = figures.and_then(usage::decode) {
        events.push(Event::Usage { usage, extra });
    }
    events.push(Event::End);
    Ok(())
}

fn decode_message(message: &mut Members<'_>, events: &mut Vec<Event>) -> Option<()> {
    let mut citations: Vec<Map<String, Value>> =
        message.take_list("citations").unwrap_or_default().into_iter().filter_map(Node::into_object).map(Members::into_map).collect();
    let mut block = 0;
    let mut push = |kind: Block, deltas: Vec<Delta>, events: &mut Vec<Event>| {
        events.push(Event::Open { choice: 0, block, kind });
        events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, block, delta }));
        events.push(Event::Close { choice: 0, block, extra: Extra::default() });
        block += 1;
    };
    if let Some(plan) = message.take_text(TOOL_PLAN).filter(|plan| !plan.is_empty()) {
        push(Block::Thinking, vec![plan_mark(), Delta::Thinking(plan.into_owned())], events);
    }
    let parts = match message.take("content") {
        Some(Node::List(parts)) => parts,
        Some(Node::Text(text)) => vec![Node::Text(text)],
        _ => Vec::new(),
    };
    let last_text = parts.iter().rposition(is_text);
    for (at, part) in parts.into_iter().enumerate() {
        let is_text = is_text(&part);
        let (kind, mut deltas) = decode_part(part)?;
        if is_text {
            // A citation names the block that it stands in; those that name none are the last text's.
            let (here, others) = citations.into_iter().partition(|citation| is_of(citation, at, last_text));
            citations = others;
            deltas.extend(Vec::into_iter(here).map(citation));
        }
        push(kind, deltas, events);
    }
    for call in message.take_list("tool_calls").unwrap_or_default() {
        let mut call = call.into_object()?;
        let (kind, arguments) = decode_call(&mut call)?;
        push(kind, arguments.into_iter().collect(), events);
    }
    if !citations.is_empty() {
        push(Block::Private { extra: Extra::default() }, citations.into_iter().map(citation).collect(), events);
    }
    Some(())
}

fn is_text(part: &Node<'_>) -> bool {
    match part {
        Node::Text(_) => true,
        Node::Object(object) => object.look_text("type") == Some("text"),
        _ => false,
    }
}

fn is_of(citation: &Map<String, Value>, at: usize, last_text: Option<usize>) -> bool {
    let named = citation.get("content_index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
    named.map_or(last_text == Some(at), |named| named == at)
}

fn citation(fields: Map<String, Value>) -> Delta {
    Delta::Citation(Extra { dialect: Some(ME), fields })
}

/// Comes first in a block of thinking that is a tool plan.
pub(super) fn plan_mark() -> Delta {
    Delta::Private(extra::one(ME, TOOL_PLAN, Value::Bool(true)))
}

pub(super) fn is_plan_mark(delta: &Delta) -> bool {
    matches!(delta, Delta::Private(extra) if extra.of(ME).is_some_and(|fields| fields.contains_key(TOOL_PLAN)))
}

fn decode_part(part: Node<'_>) -> Option<(Block, Vec<Delta>)> {
    let mut part = match part {
        Node::Text(text) => return Some((Block::Text, vec![Delta::Text(text.into_owned())])),
        part => part.into_object()?,
    };
    let text = |part: &mut Members<'_>, name: &str| part.take_text(name).filter(|text| !text.is_empty()).map(std::borrow::Cow::into_owned);
    Some(match part.look_text("type")? {
        "text" => (Block::Text, text(&mut part, "text").map(Delta::Text).into_iter().collect()),
        "thinking" => match text(&mut part, "data") {
            Some(data) => (Block::RedactedThinking, vec![Delta::Sealed(data)]),
            None => {
                let thinking = text(&mut part, "thinking").map(Delta::Thinking);
                (Block::Thinking, thinking.into_iter().chain(text(&mut part, "signature").map(Delta::Signature)).collect())
            }
        },
        _ => (Block::Private { extra: extra::rest(ME, part) }, Vec::new()),
    })
}

/// The call, and its arguments where it has some.
pub(super) fn decode_call(call: &mut Members<'_>) -> Option<(Block, Option<Delta>)> {
    let mut function = call.take_object("function")?;
    let id = call.take_text("id").unwrap_or_default().into_owned();
    let name = function.take_text("name").unwrap_or_default().into_owned();
    call.take_any("type");
    let private = extra::rest(ME, std::mem::take(call));
    let arguments = match function.take("arguments") {
        Some(Node::Text(text)) if text.is_empty() => None,
        Some(Node::Text(text)) => Some(Delta::Arguments(text.into_owned())),
        Some(node) => Some(Delta::Arguments(node.into_value().to_string())),
        None => None,
    };
    Some((Block::ToolCall { id, name, extra: private }, arguments))
}

/// A block being put together from its events.
#[derive(Debug)]
pub(super) struct Folded<'e> {
    kind: &'e Block,
    text: String,
    signature: String,
    is_plan: bool,
}

/// What the events of an answer come to.
#[derive(Debug, Default)]
pub(super) struct Answer<'e> {
    pub(super) id: &'e str,
    pub(super) blocks: BTreeMap<u32, Folded<'e>>,
    pub(super) citations: Vec<Map<String, Value>>,
    pub(super) fields: Map<String, Value>,
    message: Map<String, Value>,
    pub(super) traits: Traits,
    pub(super) reason: Option<&'e Finish>,
    pub(super) usage: Option<(&'e Usage, &'e Extra)>,
    pub(super) fault: Option<&'e Fault>,
}

impl<'e> Answer<'e> {
    /// Only the first choice: this dialect has no other.
    pub(super) fn of(events: &'e [Event]) -> Answer<'e> {
        let mut answer = Answer::default();
        for event in events {
            answer.traits.note(event);
            match event {
                Event::Start { id, extra, .. } => {
                    answer.id = id;
                    answer.fields.extend(extra.of(ME).cloned().unwrap_or_default());
                }
                Event::Open { choice: 0, block, kind } => {
                    let folded = Folded { kind, text: String::new(), signature: String::new(), is_plan: false };
                    answer.blocks.insert(*block, folded);
                }
                Event::Delta { choice: 0, block, delta } => answer.delta(*block, delta),
                Event::Finish { choice: 0, reason, extra } => {
                    answer.reason = Some(reason);
                    let message = extra.of(ME).and_then(|fields| fields.get(MESSAGE)).and_then(Value::as_object);
                    answer.message = message.cloned().unwrap_or_default();
                }
                Event::Usage { usage, extra } => answer.usage = Some((usage, extra)),
                Event::Fault(fault) => answer.fault = Some(fault),
                _ => {}
            }
        }
        answer
    }

    fn delta(&mut self, block: u32, delta: &Delta) {
        if let Delta::Citation(citation) = delta {
            return self.citations.extend(citation.of(ME).cloned());
        }
        let Some(folded) = self.blocks.get_mut(&block) else { return };
        match delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Sealed(text) | Delta::Arguments(text) => folded.text.push_str(text),
            Delta::Signature(text) => folded.signature.push_str(text),
            delta => folded.is_plan |= is_plan_mark(delta),
        }
    }

    /// All text that the client reads.
    pub(super) fn text(&self) -> String {
        let texts = self.blocks.values().filter(|folded| matches!(folded.kind, Block::Text | Block::Refusal));
        texts.map(|folded| folded.text.as_str()).collect()
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = (&str, &str, &str, &Extra)> {
        self.blocks.values().filter_map(|folded| match folded.kind {
            Block::ToolCall { id, name, extra } => Some((id.as_str(), name.as_str(), folded.text.as_str(), extra)),
            _ => None,
        })
    }
}

pub(super) fn encode(events: &[Event], _client: &Client<'_>, out: &mut Vec<u8>) {
    let answer = Answer::of(events);
    if let Some(fault) = answer.fault {
        return error::encode(fault, out);
    }
    if answer.fields.contains_key(V1) {
        return v1::encode_answer(&answer, out);
    }
    let mut root = Object::begin(out);
    root.str("id", answer.id);
    encode_message(&answer, root.object("message"));
    root.str("finish_reason", answer.traits.word(answer.reason.unwrap_or(&Finish::Stop)));
    if let Some((usage, extra)) = answer.usage {
        let mut object = root.object("usage");
        usage::encode(usage, extra, &mut object);
        object.end();
    }
    answer.fields.iter().for_each(|(name, value)| root.value(name, value));
    root.end();
}

fn encode_message(answer: &Answer<'_>, mut message: Object<'_>) {
    message.str("role", "assistant");
    let plan: String = answer.blocks.values().filter(|folded| folded.is_plan).map(|folded| folded.text.as_str()).collect();
    if !plan.is_empty() {
        message.str(TOOL_PLAN, &plan);
    }
    if answer.calls().next().is_some() {
        let mut calls = message.array("tool_calls");
        for (id, name, arguments, extra) in answer.calls() {
            super::encode::encode_call(id, name, arguments, extra.of(ME), &mut calls);
        }
        calls.end();
    }
    if answer.blocks.values().any(Folded::is_content) {
        let mut content = message.array("content");
        answer.blocks.values().filter(|folded| folded.is_content()).for_each(|folded| folded.encode(&mut content));
        content.end();
    }
    if !answer.citations.is_empty() {
        message.value("citations", &answer.citations.iter().cloned().map(Value::Object).collect());
    }
    answer.message.iter().for_each(|(name, value)| message.value(name, value));
    message.end();
}

impl Folded<'_> {
    /// Sound has no place in this dialect, nor has a block of another dialect's own.
    fn is_content(&self) -> bool {
        match self.kind {
            Block::Text | Block::Refusal | Block::RedactedThinking => true,
            Block::Thinking => !self.is_plan,
            Block::Private { extra } => extra.of(ME).is_some(),
            Block::ToolCall { .. } | Block::Audio => false,
        }
    }

    fn encode(&self, content: &mut Array<'_>) {
        let mut part = content.object();
        match self.kind {
            Block::Thinking => {
                part.str("type", "thinking");
                part.str("thinking", &self.text);
                if !self.signature.is_empty() {
                    part.str("signature", &self.signature);
                }
            }
            // Not of the documentation, as is `signature`: what a client sends back keeps another dialect's chain valid.
            Block::RedactedThinking => {
                part.str("type", "thinking");
                part.str("thinking", "");
                part.str("data", &self.text);
            }
            Block::Private { extra } => extra.of(ME).into_iter().flatten().for_each(|(name, value)| part.value(name, value)),
            _ => {
                part.str("type", "text");
                part.str("text", &self.text);
            }
        }
        part.end();
    }
}
