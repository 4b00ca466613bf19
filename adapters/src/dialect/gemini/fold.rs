//! A block of an answer, put together from its events, → a part.

use serde_json::{Map, Value};

use super::parts_decode::{MADE_ID, THOUGHT_SIGNATURE};
use super::parts_encode::call_arguments;
use super::{ID, signature};
use crate::event::{Block, Delta};
use crate::ir::Extra;
use crate::json::build::{Array, Object};

/// What sound is where its source does not say: OpenAI's streams carry it so.
const AUDIO_TYPE: &str = "audio/pcm;rate=24000";

/// A block as far as it came.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) kind: Block,
    text: String,
    signature: String,
    fields: Map<String, Value>,
}

impl Folded {
    pub(super) fn open(kind: &Block) -> Folded {
        Folded { kind: kind.clone(), text: String::new(), signature: String::new(), fields: Map::new() }
    }

    pub(super) fn add(&mut self, delta: &Delta) {
        match delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Sealed(text) | Delta::Arguments(text) | Delta::Audio(text) => {
                self.text.push_str(text);
            }
            Delta::Signature(text) => self.signature.push_str(text),
            Delta::Citation(_) | Delta::Logprobs(_) | Delta::Private(_) => {}
        }
    }

    pub(super) fn close(&mut self, extra: &Extra) {
        for (name, value) in extra.of(ID).into_iter().flatten() {
            self.fields.insert(name.clone(), value.clone());
        }
    }

    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.signature.len()
    }

    /// Writes the part. `is_own` says that the events are of this dialect: texts may be empty there, and other dialects' are not.
    pub(super) fn encode(&self, is_own: bool, parts: &mut Array<'_>) {
        let is_empty = self.text.is_empty() && self.fields.is_empty();
        match &self.kind {
            Block::Text | Block::Refusal if is_empty => {}
            Block::Text | Block::Refusal => self.encode_text(parts.object()),
            Block::Thinking => self.encode_thinking(is_own, is_empty, parts),
            Block::RedactedThinking => encode_thought("", &signature::of_redacted(&self.text), parts.object()),
            Block::ToolCall { id, name, extra } => {
                let mut part = parts.object();
                encode_call(id, name, &self.text, &mut part);
                extra.of(ID).into_iter().flatten().for_each(|(name, value)| part.value(name, value));
                part.end();
            }
            Block::Audio => {
                let mut part = parts.object();
                let mut inline = part.object("inlineData");
                inline.str("mimeType", self.fields.get("mimeType").and_then(Value::as_str).unwrap_or(AUDIO_TYPE));
                inline.str("data", &self.text);
                inline.end();
                part.end();
            }
            Block::Private { extra } => {
                if let Some(fields) = extra.of(ID) {
                    let mut part = parts.object();
                    fields.iter().for_each(|(name, value)| part.value(name, value));
                    part.end();
                }
            }
        }
    }

    fn encode_text(&self, mut part: Object<'_>) {
        part.str("text", &self.text);
        self.fields.iter().for_each(|(name, value)| part.value(name, value));
        part.end();
    }

    fn encode_thinking(&self, is_own: bool, is_empty: bool, parts: &mut Array<'_>) {
        // A signature under the seal stands on the call behind it as well, or among the fields.
        let is_foreign = !is_own && !self.signature.is_empty() && signature::unseal(&self.signature).is_none();
        if is_empty && !is_foreign {
            return;
        }
        let mut part = parts.object();
        part.str("text", &self.text);
        part.bool("thought", true);
        if is_foreign {
            part.str(THOUGHT_SIGNATURE, &signature::of_foreign(&self.signature));
        }
        self.fields.iter().for_each(|(name, value)| part.value(name, value));
        part.end();
    }
}

/// A thought that is sealed.
pub(super) fn encode_thought(text: &str, signature: &str, mut part: Object<'_>) {
    part.str("text", text);
    part.bool("thought", true);
    part.str(THOUGHT_SIGNATURE, signature);
    part.end();
}

fn encode_call(id: &str, name: &str, arguments: &str, part: &mut Object<'_>) {
    let mut call = part.object("functionCall");
    if !id.starts_with(MADE_ID) && !id.is_empty() {
        call.str("id", id);
    }
    call.str("name", name);
    match call_arguments(arguments) {
        // A line end between its tokens would end the event's line; inside strings there is none.
        Some(args) => call.key("args").extend(args.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r'))),
        None => {
            // Arguments must be an object; what the model broke off is shown in one as it came.
            let mut args = call.object("args");
            args.str("arguments", arguments);
            args.end();
        }
    }
    call.end();
}
