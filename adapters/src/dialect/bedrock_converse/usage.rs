//! Converse's token counts against the hub's.
//!
//! `inputTokens` leaves out what was read from and written to the cache (`totalTokens` of recorded answers is the sum of all
//! four); the hub's `input` holds all three.

use serde_json::{Map, Value};

use super::{ID, extra};
use crate::event::Event;
use crate::ir::Extra;
use crate::json::build::Object;
use crate::json::tree::Json;
use crate::usage::Usage;

/// Counts as they came.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::dialect) struct Counts {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
}

impl Counts {
    /// The field that a count of the wire goes to. `…Count` is what older answers call the same.
    pub(in crate::dialect) fn field(&mut self, name: &[u8]) -> Option<&mut u64> {
        match name {
            b"inputTokens" | b"inputTokenCount" => Some(&mut self.input),
            b"outputTokens" | b"outputTokenCount" => Some(&mut self.output),
            b"cacheReadInputTokens" | b"cacheReadInputTokenCount" => Some(&mut self.cache_read),
            b"cacheWriteInputTokens" | b"cacheWriteInputTokenCount" => Some(&mut self.cache_write),
            _ => None,
        }
    }

    pub(in crate::dialect) fn usage(&self) -> Usage {
        Usage {
            input: self.input.saturating_add(self.cache_read).saturating_add(self.cache_write),
            output: self.output,
            cached_read: self.cache_read,
            cached_write: self.cache_write,
            ..Usage::default()
        }
    }
}

/// What a `usage` object says; its further fields ride along, with those that stand beside it in `beside`.
pub(super) fn decode(usage: Json<'_, '_>, beside: Map<String, Value>) -> Event {
    let (mut counts, mut rest) = (Counts::default(), beside);
    for (name, value) in usage.object().into_iter().flatten() {
        match (counts.field(name.as_bytes()), value.u64()) {
            (Some(count), Some(reported)) => *count = reported,
            _ if name == "totalTokens" => {}
            _ => drop(rest.insert(name.to_owned(), value.value())),
        }
    }
    Event::Usage { usage: counts.usage(), extra: extra(rest) }
}

/// Writes a `usage` object. Cache counts stand in it where there are some.
pub(super) fn encode(usage: &Usage, extra: &Extra, object: &mut Object<'_>) {
    // Some providers report more cached tokens than the prompt has; the sum must stay the prompt.
    let cached_read = usage.cached_read.min(usage.input);
    let cached_write = usage.cached_write.min(usage.input - cached_read);
    object.u64("inputTokens", usage.input - cached_read - cached_write);
    object.u64("outputTokens", usage.output);
    object.u64("totalTokens", usage.total());
    if cached_read > 0 || cached_write > 0 {
        object.u64("cacheReadInputTokens", cached_read);
        object.u64("cacheWriteInputTokens", cached_write);
    }
    let fields = extra.of(ID).into_iter().flatten().filter(|(name, _)| !BESIDE.contains(&name.as_str()));
    fields.for_each(|(name, value)| object.value(name, value));
}

/// What stands beside `usage` in a stream's `metadata` and rides along with it.
pub(super) const BESIDE: &[&str] = &["metrics", "trace", "performanceConfig", "serviceTier"];
