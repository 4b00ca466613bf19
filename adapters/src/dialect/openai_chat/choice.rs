//! One choice of a whole answer, folded from its events.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{AUDIO, CHOICE, CUSTOM, DELTA, LEGACY, ME, MESSAGE};
use crate::dialect::citation;
use crate::event::{Block, Delta, Event, Finish};
use crate::ir::Extra;
use crate::json::write;

/// What the events of one choice have given so far.
#[derive(Debug, Default)]
pub(super) struct Choice<'e> {
    blocks: Vec<(u32, Piece<'e>)>,
    finish: Option<(&'e Finish, &'e Extra)>,
    citations: Vec<Cow<'e, Map<String, Value>>>,
    logprobs: Map<String, Value>,
    /// Members of the choice and of the message that came in private deltas.
    private: Vec<&'e Extra>,
}

/// One block with what its deltas gave.
#[derive(Debug)]
struct Piece<'e> {
    kind: &'e Block,
    text: String,
    signature: Option<&'e str>,
    audio: Map<String, Value>,
}

impl<'e> Choice<'e> {
    pub(super) fn take(&mut self, event: &'e Event) {
        match event {
            Event::Open { block, kind, .. } => {
                self.blocks.push((*block, Piece { kind, text: String::new(), signature: None, audio: Map::new() }));
            }
            Event::Delta { block, delta, .. } => self.take_delta(*block, delta),
            Event::Finish { reason, extra, .. } => self.finish = Some((reason, extra)),
            _ => {}
        }
    }

    fn take_delta(&mut self, block: u32, delta: &'e Delta) {
        match delta {
            Delta::Citation(extra) => return self.citations.extend(citation::of(extra, ME)),
            Delta::Logprobs(extra) => return merge_logprobs(&mut self.logprobs, extra),
            Delta::Private(extra) if extra.of(ME).is_some_and(|fields| !fields.contains_key(AUDIO)) => return self.private.push(extra),
            _ => {}
        }
        let Some((_, piece)) = self.blocks.iter_mut().rev().find(|(known, _)| *known == block) else { return };
        match delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Sealed(text) | Delta::Arguments(text) | Delta::Audio(text) => {
                piece.text.push_str(text);
            }
            Delta::Signature(signature) => piece.signature = Some(signature),
            Delta::Private(extra) => merge_audio(&mut piece.audio, extra),
            Delta::Citation(_) | Delta::Logprobs(_) => {}
        }
    }

    /// All text of the blocks that `wanted` picks.
    fn text(&self, wanted: fn(&Block) -> bool) -> Option<String> {
        let mut pieces = self.blocks.iter().filter(|(_, piece)| wanted(piece.kind)).peekable();
        pieces.peek()?;
        Some(pieces.map(|(_, piece)| piece.text.as_str()).collect())
    }

    pub(super) fn encode(&self, index: u32, out: &mut Vec<u8>) {
        // A folded stream that broke off has choices without a finish.
        let none = Extra::default();
        let (word, extra) = self.finish.map_or(("", &none), |(reason, extra)| (super::finish_word(reason, extra), extra));
        write::open(out);
        write::uint(out, "index", u64::from(index));
        write::key(out, "message");
        self.encode_message(extra, out);
        if self.logprobs.is_empty() {
            write::null(out, "logprobs");
        } else {
            write::key(out, "logprobs");
            write::open(out);
            write::members(out, &self.logprobs);
            write::close(out);
        }
        write::text_or_null(out, "finish_reason", (!word.is_empty()).then_some(word));
        let mut private = self.private_members(CHOICE);
        let own = extra.of(ME).into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), MESSAGE | super::FINISH_REASON));
        private.extend(own);
        for (name, value) in private {
            write::value(out, name, value);
        }
        write::close(out);
    }

    /// Members that came in private deltas; of two with the same name the later one.
    fn private_members(&self, group: &str) -> Members<'e> {
        let objects = self.private.iter().filter_map(|extra| extra.fields.get(group)).filter_map(Value::as_object);
        let mut members = Members::default();
        objects.for_each(|object| members.extend(object));
        members
    }

    fn encode_message(&self, finish: &Extra, out: &mut Vec<u8>) {
        write::open(out);
        write::text(out, "role", "assistant");
        write::text_or_null(out, "content", self.text(|kind| *kind == Block::Text).as_deref());
        write::text_or_null(out, "refusal", self.text(|kind| *kind == Block::Refusal).as_deref());
        if let Some(thinking) = self.text(|kind| *kind == Block::Thinking) {
            write::text(out, "reasoning_content", &thinking);
        }
        self.encode_signed(out);
        self.encode_calls(out);
        self.encode_audio(out);
        if !self.citations.is_empty() {
            write::key(out, "annotations");
            write::open_list(out);
            for citation in &self.citations {
                write::open(out);
                write::members(out, citation);
                write::close(out);
            }
            write::close_list(out);
        }
        let mut private = self.private_members(DELTA);
        private.extend(finish.of(ME).and_then(|fields| fields.get(MESSAGE)).and_then(Value::as_object).into_iter().flatten());
        for (name, value) in private {
            write::value(out, name, value);
        }
        write::close(out);
    }

    /// Thinking with signatures, so that a client that sends the message back keeps the chain valid.
    fn encode_signed(&self, out: &mut Vec<u8>) {
        let sealed = |piece: &Piece<'_>| piece.signature.is_some() || *piece.kind == Block::RedactedThinking;
        if !self.blocks.iter().any(|(_, piece)| sealed(piece)) {
            return;
        }
        write::key(out, "thinking_blocks");
        write::open_list(out);
        for (_, piece) in &self.blocks {
            if matches!(piece.kind, Block::Thinking | Block::RedactedThinking) {
                encode_thinking_block(piece.kind, &piece.text, piece.signature, out);
            }
        }
        write::close_list(out);
    }

    fn encode_calls(&self, out: &mut Vec<u8>) {
        let calls = self.blocks.iter().filter_map(|(_, piece)| match piece.kind {
            Block::ToolCall { id, name, extra } => Some((id, name, extra, &piece.text)),
            _ => None,
        });
        let (legacy, calls): (Vec<_>, Vec<_>) =
            calls.partition(|(_, _, extra, _)| extra.of(ME).is_some_and(|fields| fields.contains_key(LEGACY)));
        if !calls.is_empty() {
            write::key(out, "tool_calls");
            write::open_list(out);
            for (id, name, extra, arguments) in calls {
                write::open(out);
                write::text(out, "id", id);
                encode_call(name, arguments, extra, out);
                write::close(out);
            }
            write::close_list(out);
        }
        if let Some((_, name, _, arguments)) = legacy.first() {
            write::key(out, "function_call");
            write::open(out);
            write::text(out, "name", name);
            write::text(out, "arguments", arguments);
            write::close(out);
        }
    }

    fn encode_audio(&self, out: &mut Vec<u8>) {
        let Some((_, piece)) = self.blocks.iter().find(|(_, piece)| *piece.kind == Block::Audio) else { return };
        write::key(out, "audio");
        write::open(out);
        write::members(out, &piece.audio);
        write::text(out, "data", &piece.text);
        write::close(out);
    }
}

/// Members in their order, each name once.
#[derive(Default)]
struct Members<'e>(Vec<(&'e String, &'e Value)>);

impl<'e> Members<'e> {
    fn extend(&mut self, members: impl IntoIterator<Item = (&'e String, &'e Value)>) {
        for (name, value) in members {
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => self.0.push((name, value)),
            }
        }
    }
}

impl<'e> IntoIterator for Members<'e> {
    type Item = (&'e String, &'e Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One item of `thinking_blocks`.
pub(super) fn encode_thinking_block(kind: &Block, text: &str, signature: Option<&str>, out: &mut Vec<u8>) {
    write::open(out);
    if *kind == Block::RedactedThinking {
        write::text(out, "type", "redacted_thinking");
        write::text(out, "data", text);
    } else {
        write::text(out, "type", "thinking");
        write::text(out, "thinking", text);
        write::text_or_null(out, "signature", signature);
    }
    write::close(out);
}

/// `type` and the function or custom object of a call.
pub(super) fn encode_call(name: &str, arguments: &str, extra: &Extra, out: &mut Vec<u8>) {
    let custom = extra.of(ME).is_some_and(|fields| fields.contains_key(CUSTOM));
    let (kind, input) = if custom { (CUSTOM, "input") } else { ("function", "arguments") };
    write::text(out, "type", kind);
    write::key(out, kind);
    write::open(out);
    write::text(out, "name", name);
    write::text(out, input, arguments);
    write::close(out);
    if let Some(fields) = extra.of(ME) {
        fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), CUSTOM | LEGACY))
            .for_each(|(name, value)| write::value(out, name, value));
    }
}

/// Token lists are joined; anything else is the last one's.
fn merge_logprobs(into: &mut Map<String, Value>, extra: &Extra) {
    for (name, value) in extra.of(ME).into_iter().flatten() {
        match (into.get_mut(name), value) {
            (Some(Value::Array(tokens)), Value::Array(more)) => tokens.extend(more.iter().cloned()),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Transcripts are joined; anything else is the last one's.
fn merge_audio(into: &mut Map<String, Value>, extra: &Extra) {
    let Some(fields) = extra.of(ME).and_then(|fields| fields.get(AUDIO)).and_then(Value::as_object) else { return };
    for (name, value) in fields {
        match (into.get_mut(name), value) {
            (Some(Value::String(text)), Value::String(more)) if name == "transcript" => text.push_str(more),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}
