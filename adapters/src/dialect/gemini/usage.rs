//! `usageMetadata` against the hub's counts.
//!
//! Four counts make the total: the prompt (what was read from a cache is part of it), what server tools brought into it, the
//! candidates, and the thoughts. The hub's `input` holds the first two, its `output` the others.
// ai.google.dev/api/generate-content#UsageMetadata, read 2026-11-20; sums checked on recorded traffic.

use serde_json::{Map, Value};

use super::ID;
use super::name::camel;
use crate::ir::Extra;
use crate::json::build::Object;
use crate::json::scan::{Cursor, Malformed, Type};
use crate::json::tree::Json;
use crate::usage::Usage;

/// Counts as they came. Each chunk of a stream reports anew; what a later one leaves out keeps its figure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    prompt: u64,
    tool_prompt: u64,
    candidates: u64,
    thoughts: u64,
    cached: u64,
    prompt_by: ByKind,
    tool_prompt_by: ByKind,
    candidates_by: ByKind,
    /// Searches on the web, counted from the grounding of the answer.
    pub(super) searches: u64,
}

/// Tokens by what they stand for.
#[derive(Clone, Copy, Debug, Default)]
struct ByKind {
    image: u64,
    audio: u64,
}

impl Counts {
    fn count(&mut self, name: &[u8]) -> Option<&mut u64> {
        match name {
            b"promptTokenCount" => Some(&mut self.prompt),
            b"toolUsePromptTokenCount" => Some(&mut self.tool_prompt),
            // The Live API's name is the second.
            b"candidatesTokenCount" | b"responseTokenCount" => Some(&mut self.candidates),
            b"thoughtsTokenCount" => Some(&mut self.thoughts),
            b"cachedContentTokenCount" => Some(&mut self.cached),
            _ => None,
        }
    }

    fn details(&mut self, name: &[u8]) -> Option<&mut ByKind> {
        match name {
            b"promptTokensDetails" => Some(&mut self.prompt_by),
            b"toolUsePromptTokensDetails" => Some(&mut self.tool_prompt_by),
            b"candidatesTokensDetails" | b"responseTokensDetails" => Some(&mut self.candidates_by),
            _ => None,
        }
    }

    /// Takes a `usageMetadata`.
    pub(super) fn merge(&mut self, metadata: Json<'_, '_>) {
        for (name, value) in metadata.object().into_iter().flatten() {
            let name = camel(name);
            if let Some(count) = self.count(name.as_bytes()) {
                *count = value.u64().unwrap_or(*count);
            } else if let Some(details) = self.details(name.as_bytes()) {
                let mut by_kind = ByKind::default();
                for detail in value.array().into_iter().flatten() {
                    let tokens = super::name::get(detail, "tokenCount").and_then(Json::u64).unwrap_or_default();
                    let number = detail.get("modality").and_then(Json::u64);
                    by_kind.add(detail.get_str("modality").unwrap_or_default().as_bytes(), number, tokens);
                }
                *details = by_kind;
            }
        }
    }

    /// Takes the `usageMetadata` ahead.
    ///
    /// # Errors
    /// Broken text.
    pub(super) fn scan(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
        cursor.object(|name, value| {
            if let Some(count) = self.count(name) {
                *count = value.u64()?.unwrap_or(*count);
            } else if let Some(details) = self.details(name) {
                *details = scan_details(value)?;
            }
            Ok(())
        })
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            input: self.prompt.saturating_add(self.tool_prompt),
            output: self.candidates.saturating_add(self.thoughts),
            cached_read: self.cached,
            reasoning: self.thoughts,
            audio_input: self.prompt_by.audio.saturating_add(self.tool_prompt_by.audio),
            audio_output: self.candidates_by.audio,
            image_input: self.prompt_by.image.saturating_add(self.tool_prompt_by.image),
            image_output: self.candidates_by.image,
            searches: self.searches,
            ..Usage::default()
        }
    }
}

impl ByKind {
    /// With `enum-encoding=int` kinds are numbers: text, image, video, audio, document, from 1 on.
    fn add(&mut self, word: &[u8], number: Option<u64>, tokens: u64) {
        match (word, number) {
            (b"IMAGE", _) | (_, Some(2)) => self.image = self.image.saturating_add(tokens),
            (b"AUDIO", _) | (_, Some(4)) => self.audio = self.audio.saturating_add(tokens),
            _ => {}
        }
    }
}

fn scan_details(cursor: &mut Cursor<'_>) -> Result<ByKind, Malformed> {
    let mut by_kind = ByKind::default();
    cursor.array(|detail| {
        let (mut word, mut number, mut tokens): (&[u8], _, _) = (b"", None, 0);
        detail.object(|name, value| {
            match name {
                b"modality" if value.peek_type()? == Type::String => word = value.raw_string()?.unwrap_or_default(),
                b"modality" => number = value.u64()?,
                b"tokenCount" => tokens = value.u64()?.unwrap_or_default(),
                _ => {}
            }
            Ok(())
        })?;
        by_kind.add(word, number, tokens);
        Ok(())
    })?;
    Ok(by_kind)
}

/// How many searches are billed for queries of one answer: up to 2.5 one for all of them, later models each.
// ai.google.dev/gemini-api/docs/google-search, section on pricing, read 2026-11-20.
pub(super) fn searches(model: &str, query_count: u64) -> u64 {
    let is_by_prompt = ["gemini-1", "gemini-2"].iter().any(|stem| model.contains(stem));
    if is_by_prompt { query_count.min(1) } else { query_count }
}

/// The members of a `usageMetadata` as this dialect's own.
pub(super) fn own(metadata: Json<'_, '_>) -> Extra {
    let fields: Map<String, Value> =
        metadata.object().into_iter().flatten().map(|(name, value)| (name.to_owned(), value.value())).collect();
    super::extra(fields)
}

/// Writes a `usageMetadata`; figures of this dialect as they came.
pub(super) fn encode(usage: &Usage, extra: &Extra, mut object: Object<'_>) {
    if let Some(fields) = extra.of(ID) {
        fields.iter().for_each(|(name, value)| object.value(name, value));
        return object.end();
    }
    // Both counts of the answer are added up here: thoughts that a provider counts beside its output are cut to it.
    let thoughts = usage.reasoning.min(usage.output);
    object.u64("promptTokenCount", usage.input);
    object.u64("candidatesTokenCount", usage.output - thoughts);
    object.u64("totalTokenCount", usage.total());
    if thoughts > 0 {
        object.u64("thoughtsTokenCount", thoughts);
    }
    if usage.cached_read > 0 {
        object.u64("cachedContentTokenCount", usage.cached_read);
    }
    encode_details("promptTokensDetails", usage.input, usage.image_input, usage.audio_input, &mut object);
    encode_details("candidatesTokensDetails", usage.output - thoughts, usage.image_output, usage.audio_output, &mut object);
    object.end();
}

/// Only where there is something beside text.
fn encode_details(name: &str, all: u64, image: u64, audio: u64, object: &mut Object<'_>) {
    if image == 0 && audio == 0 {
        return;
    }
    let mut details = object.array(name);
    for (kind, tokens) in [("TEXT", all.saturating_sub(image).saturating_sub(audio)), ("IMAGE", image), ("AUDIO", audio)] {
        if tokens > 0 {
            let mut detail = details.object();
            detail.str("modality", kind);
            detail.u64("tokenCount", tokens);
            detail.end();
        }
    }
    details.end();
}
