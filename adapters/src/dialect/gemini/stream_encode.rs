//! Events → a stream of generateContent chunks, as server-sent events or as one JSON array.
//!
//! A function call stands in one chunk: its arguments wait for their end. Usage stands in the chunk behind it, and in the last
//! one, where clients look for it: that holds the reason, too, so it waits for the end.
//!
//! Estimate per delta: one copy of its text; no allocation once warm.

use std::collections::BTreeMap;

use serde_json::Value;

use super::chunk::{BLOCKED, FINISH_REASON};
use super::fold::Folded;
use super::{ID, error, finish, logprobs, usage};
use crate::dialect::{Client, StreamEncoder};
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::{Fault, Kind};
use crate::frame::Framing;
use crate::frame::sse;
use crate::ir::Extra;
use crate::json::build::{Array, Object, digits, string};
use crate::usage::Usage;

/// Bytes of calls and sound that wait for their end; more ends the stream with an error.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) struct Encoder {
    client: Client<'static>,
    phase: Phase,
    is_own: bool,
    /// What every chunk ends with: the model, the answer's id and private fields.
    tail: Vec<u8>,
    /// Blocks between their start and their end. Of texts, only what closes them is held.
    open: BTreeMap<(u32, u32), Folded>,
    waiting_bytes: usize,
    finishes: Vec<(u32, Finish, Extra)>,
    usage: Option<(Usage, Extra)>,
    /// It came after the last chunk was written.
    is_usage_new: bool,
    logprobs: BTreeMap<u32, Value>,
    /// Choices that refuse.
    refusing: Vec<u32>,
    parts: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Begun,
    Over,
}

impl Encoder {
    pub(super) fn new(client: Client<'static>) -> Encoder {
        Encoder {
            client,
            phase: Phase::Before,
            is_own: false,
            tail: Vec::new(),
            open: BTreeMap::new(),
            waiting_bytes: 0,
            finishes: Vec::new(),
            usage: None,
            is_usage_new: false,
            logprobs: BTreeMap::new(),
            refusing: Vec::new(),
            parts: Vec::new(),
        }
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        match event {
            Event::Start { id, model, extra, .. } => self.start(id, model, extra),
            Event::Open { choice, block, kind } => {
                if *kind == Block::Refusal && !self.refusing.contains(choice) {
                    self.refusing.push(*choice);
                }
                self.open.insert((*choice, *block), Folded::open(kind));
            }
            Event::Delta { choice, block, delta } => self.delta(*choice, *block, delta, out),
            Event::Close { choice, block, extra } => self.close(*choice, *block, extra, out),
            Event::Finish { choice, reason, extra } => self.finishes.push((*choice, reason.clone(), extra.clone())),
            Event::Usage { usage, extra } => {
                self.usage = Some((*usage, extra.clone()));
                self.is_usage_new = true;
            }
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
            // This dialect has none.
            Event::Ping => {}
        }
    }
}

impl Encoder {
    fn start(&mut self, id: &str, model: &str, extra: &Extra) {
        self.is_own = extra.dialect == Some(ID);
        self.tail.clear();
        let mut tail = Object::begin(&mut self.tail);
        let model = if self.client.model.is_empty() { model } else { &self.client.model };
        if !model.is_empty() {
            tail.str("modelVersion", model);
        }
        if !id.is_empty() {
            tail.str("responseId", id);
        }
        extra.of(ID).into_iter().flatten().for_each(|(name, value)| tail.value(name, value));
        tail.end();
    }

    fn delta(&mut self, choice: u32, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        if let Delta::Logprobs(extra) = delta {
            self.logprobs.extend(logprobs::of_hub(extra).map(|result| (choice, result)));
            return;
        }
        let Some(folded) = self.open.get_mut(&(choice, block)) else { return };
        match (&folded.kind, delta) {
            (Block::Text | Block::Refusal, Delta::Text(text)) => self.chunk(choice, out, |parts| {
                parts.extend_from_slice(br#"{"text":"#);
                string(parts, text);
                parts.push(b'}');
            }),
            (Block::Thinking, Delta::Thinking(text)) => self.chunk(choice, out, |parts| {
                parts.extend_from_slice(br#"{"text":"#);
                string(parts, text);
                parts.extend_from_slice(br#","thought":true}"#);
            }),
            _ => {
                let before = folded.len();
                folded.add(delta);
                self.waiting_bytes += folded.len() - before;
                if self.waiting_bytes > WAITING_BYTES_MAX {
                    self.fail(&Fault::new(Kind::MalformedResponse, "too much waits for the end of its block"), out);
                }
            }
        }
    }

    /// Writes what waited: a whole call, sound, a private part, and what closes a text.
    fn close(&mut self, choice: u32, block: u32, extra: &Extra, out: &mut Vec<u8>) {
        let Some(mut folded) = self.open.remove(&(choice, block)) else { return };
        self.waiting_bytes -= folded.len();
        folded.close(extra);
        let is_own = self.is_own;
        let mut parts = Vec::new();
        let mut array = Array::begin(&mut parts);
        folded.encode(is_own, &mut array);
        array.end();
        if let Some(part) = parts.get(1..parts.len() - 1).filter(|part| !part.is_empty()) {
            self.chunk(choice, out, |parts| parts.extend_from_slice(part));
        }
    }

    /// Writes one chunk with what `fill` puts among the parts.
    fn chunk(&mut self, choice: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
        self.begin_chunk(out);
        out.extend_from_slice(br#"{"candidates":[{"content":{"parts":["#);
        fill(out);
        out.extend_from_slice(br#"],"role":"model"},"index":"#);
        digits(out, choice.into());
        out.extend_from_slice(b"}]");
        if std::mem::take(&mut self.is_usage_new)
            && let Some((usage, extra)) = &self.usage
        {
            out.extend_from_slice(br#","usageMetadata":"#);
            usage::encode(usage, extra, Object::begin(out));
        }
        self.end_chunk(out);
    }

    fn begin_chunk(&mut self, out: &mut Vec<u8>) {
        let is_first = self.phase == Phase::Before;
        self.phase = Phase::Begun;
        match self.client.framing {
            Framing::JsonArray => out.extend_from_slice(if is_first { b"[" } else { b",\r\n" }),
            _ => sse::begin_data(out),
        }
    }

    /// The tail, and the end of the frame.
    fn end_chunk(&self, out: &mut Vec<u8>) {
        let members = self.tail.get(1..).unwrap_or(b"}");
        if members != b"}" && !out.ends_with(b"{") && !members.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(if members.is_empty() { b"}" } else { members });
        if self.client.framing != Framing::JsonArray {
            sse::end(out);
        }
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        match (self.client.framing, self.phase) {
            (Framing::JsonArray, Phase::Before) => {
                out.push(b'[');
                error::encode(fault, out);
                out.push(b']');
            }
            (framing, _) => error::encode_event(fault, framing, out),
        }
        self.phase = Phase::Over;
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let open: Vec<(u32, u32)> = self.open.keys().copied().collect();
        open.into_iter().for_each(|(choice, block)| self.close(choice, block, &Extra::default(), out));
        self.finishes.sort_by_key(|finish| finish.0);
        let finishes = std::mem::take(&mut self.finishes);
        let tokens = self.usage.take();
        if !finishes.is_empty() || tokens.is_some() {
            self.begin_chunk(out);
            let mut parts = std::mem::take(&mut self.parts);
            parts.clear();
            let mut chunk = Object::begin(&mut parts);
            let is_blocked = |extra: &Extra| extra.of(ID).is_some_and(|fields| fields.contains_key(BLOCKED));
            if finishes.iter().any(|finish| !is_blocked(&finish.2)) {
                let mut candidates = chunk.array("candidates");
                finishes.iter().for_each(|finish| self.encode_finish(finish, &mut candidates));
                candidates.end();
            }
            if let Some((usage, extra)) = &tokens {
                usage::encode(usage, extra, chunk.object("usageMetadata"));
            }
            // The object is left open for the tail.
            out.extend_from_slice(&parts);
            self.end_chunk(out);
        }
        if self.client.framing == Framing::JsonArray {
            out.extend_from_slice(if self.phase == Phase::Before { b"[]" } else { b"]" });
        }
        self.phase = Phase::Over;
    }

    fn encode_finish(&self, (choice, reason, extra): &(u32, Finish, Extra), candidates: &mut Array<'_>) {
        let own = extra.of(ID);
        let mut candidate = candidates.object();
        candidate.raw("content", br#"{"parts":[{"text":""}],"role":"model"}"#);
        if !own.is_some_and(|fields| fields.contains_key(FINISH_REASON)) {
            candidate.str(FINISH_REASON, finish::word_with(reason, self.refusing.contains(choice)));
        }
        candidate.u64("index", (*choice).into());
        match self.logprobs.get(choice) {
            Some(result) if own.is_none() => candidate.value("logprobsResult", result),
            _ => {}
        }
        own.into_iter().flatten().for_each(|(name, value)| candidate.value(name, value));
        candidate.end();
    }
}
