//! Content blocks of an answer: from JSON to events, and folded from events to JSON.

use serde_json::{Map, Value};

use super::{ID, rest};
use crate::dialect::anthropic::request_encode::tool_input;
use crate::event::{Block, Delta, Event};
use crate::ir::Extra;
use crate::json::build::{Array, Object};
use crate::json::tree::Json;

/// A whole block → `Open`, its deltas, `Close`. `None` where it is no object.
pub(super) fn decode_block(value: Json<'_, '_>, block: u32, events: &mut Vec<Event>) -> Option<()> {
    let mut fields = value.object()?.filter(|field| !field.1.is_null());
    let (name, inner) = fields.find(|field| field.0 != "type")?;
    let (mut deltas, mut closing) = (Vec::new(), Extra::default());
    let text = |value: Option<&str>| value.filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = match (name, reasoning(name, inner)) {
        ("text", _) => {
            deltas.extend(text(inner.str()).map(Delta::Text));
            closing = rest(value, &["text"]);
            Block::Text
        }
        ("citationsContent", _) => {
            let texts = inner.get("content").and_then(Json::array).into_iter().flatten();
            deltas.extend(texts.filter_map(|piece| text(piece.get_str("text"))).map(Delta::Text));
            let citations = inner.get("citations").and_then(Json::array).into_iter().flatten();
            deltas.extend(citations.map(|citation| Delta::Citation(rest(citation, &[]))));
            Block::Text
        }
        ("toolUse", _) if is_call(inner) => {
            deltas.push(Delta::Arguments(inner.get("input").map_or_else(|| "{}".to_owned(), Json::text)));
            call(inner)
        }
        (_, Some(Reasoning::Text(reasoning))) => {
            deltas.extend(text(reasoning.get_str("text")).map(Delta::Thinking));
            deltas.extend(text(reasoning.get_str("signature")).map(Delta::Signature));
            Block::Thinking
        }
        (_, Some(Reasoning::Sealed(data))) => {
            deltas.push(Delta::Sealed(data.to_owned()));
            Block::RedactedThinking
        }
        // Calls that the provider's own tools answer, and kinds that came later.
        _ => Block::Private { extra: rest(value, &[]) },
    };
    events.push(Event::Open { choice: 0, block, kind });
    events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, block, delta }));
    events.push(Event::Close { choice: 0, block, extra: closing });
    Some(())
}

enum Reasoning<'t, 'a> {
    Text(Json<'t, 'a>),
    Sealed(&'a str),
}

fn reasoning<'t, 'a>(name: &str, inner: Json<'t, 'a>) -> Option<Reasoning<'t, 'a>> {
    if name != "reasoningContent" {
        return None;
    }
    inner.get("reasoningText").map(Reasoning::Text).or_else(|| inner.get_str("redactedContent").map(Reasoning::Sealed))
}

/// A call that the client is to answer. A type other than this marks one of the provider's own tools.
pub(super) fn is_call(call: Json<'_, '_>) -> bool {
    call.get_str("toolUseId").is_some() && call.get_str("name").is_some() && matches!(call.get_str("type"), None | Some("tool_use"))
}

pub(super) fn call(call: Json<'_, '_>) -> Block {
    Block::ToolCall {
        id: call.get_str("toolUseId").unwrap_or_default().to_owned(),
        name: call.get_str("name").unwrap_or_default().to_owned(),
        extra: rest(call, &["toolUseId", "name", "input"]),
    }
}

/// A block being put together from its events.
#[derive(Debug)]
pub(super) struct Folded {
    kind: Block,
    text: String,
    signature: String,
    citations: Vec<Value>,
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
            Delta::Citation(citation) => self.citations.extend(citation.of(ID).map(|fields| fields.clone().into())),
            Delta::Private(_) | Delta::Audio(_) | Delta::Logprobs(_) => {}
        }
    }

    pub(super) fn close(&mut self, extra: &Extra) {
        self.fields.extend(extra.of(ID).into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    }

    pub(super) fn encode(&self, content: &mut Array<'_>) {
        // Sound has no place in this dialect, nor has a block of another dialect's own.
        if matches!(&self.kind, Block::Audio) || matches!(&self.kind, Block::Private { extra } if extra.of(ID).is_none()) {
            return;
        }
        let mut object = content.object();
        match &self.kind {
            Block::Text | Block::Refusal if self.citations.is_empty() => object.str("text", &self.text),
            Block::Text | Block::Refusal => self.encode_cited(&mut object),
            Block::Thinking => {
                let mut content = object.object("reasoningContent");
                let mut reasoning = content.object("reasoningText");
                reasoning.str("text", &self.text);
                if !self.signature.is_empty() {
                    reasoning.str("signature", &self.signature);
                }
                reasoning.end();
                content.end();
            }
            Block::RedactedThinking => {
                let mut content = object.object("reasoningContent");
                content.str("redactedContent", &self.text);
                content.end();
            }
            Block::ToolCall { id, name, extra } => {
                let mut call = object.object("toolUse");
                call.str("toolUseId", id);
                call.str("name", name);
                match tool_input(&self.text) {
                    Some(input) => call.raw("input", input.as_bytes()),
                    // Arguments that are no object (the model broke off) are shown in one as they came.
                    None => {
                        let mut input = call.object("input");
                        input.str("arguments", &self.text);
                        input.end();
                    }
                }
                extra.of(ID).into_iter().flatten().for_each(|(name, value)| call.value(name, value));
                call.end();
            }
            Block::Private { .. } | Block::Audio => {}
        }
        self.fields.iter().for_each(|(name, value)| object.value(name, value));
        object.end();
    }

    fn encode_cited(&self, object: &mut Object<'_>) {
        let mut cited = object.object("citationsContent");
        if !self.text.is_empty() {
            let mut texts = cited.array("content");
            let mut piece = texts.object();
            piece.str("text", &self.text);
            piece.end();
            texts.end();
        }
        cited.value("citations", &self.citations.clone().into());
        cited.end();
    }
}
