//! Anthropic's token counts against the hub's.
//!
//! `input_tokens` leaves out what was read from and written to the cache; the hub's `input` holds all three.

use serde_json::{Map, Value};

use super::{ID, extra};
use crate::event::Event;
use crate::ir::Extra;
use crate::json::build::Object;
use crate::json::tree::Json;
use crate::usage::Usage;

/// Counts as they came. A stream reports twice; the later report is cumulative and replaces field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_write: u64,
    pub(super) cache_read: u64,
    pub(super) thinking: u64,
}

impl Counts {
    /// The field that a count of the wire goes to.
    pub(super) fn field(&mut self, name: &[u8]) -> Option<&mut u64> {
        match name {
            b"input_tokens" => Some(&mut self.input),
            b"output_tokens" => Some(&mut self.output),
            b"cache_creation_input_tokens" => Some(&mut self.cache_write),
            b"cache_read_input_tokens" => Some(&mut self.cache_read),
            _ => None,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            input: self.input.saturating_add(self.cache_write).saturating_add(self.cache_read),
            output: self.output,
            cached_read: self.cache_read,
            cached_write: self.cache_write,
            reasoning: self.thinking,
            ..Usage::default()
        }
    }
}

/// Counts with all that stands beside them.
#[derive(Debug, Default)]
pub(super) struct Report {
    counts: Counts,
    rest: Map<String, Value>,
}

impl Report {
    pub(super) fn merge(&mut self, usage: Json<'_, '_>) {
        for (name, value) in usage.object().into_iter().flatten() {
            if let Some(count) = self.counts.field(name.as_bytes()) {
                *count = value.u64().unwrap_or(*count);
                continue;
            }
            if name == "output_tokens_details"
                && let Some(thinking) = value.get("thinking_tokens").and_then(Json::u64)
            {
                self.counts.thinking = thinking;
            }
            // A null of a later report does not take back what an earlier one said.
            if !value.is_null() || !self.rest.contains_key(name) {
                self.rest.insert(name.to_owned(), value.value());
            }
        }
    }

    pub(super) fn event(&self) -> Event {
        Event::Usage { usage: self.counts.usage(), extra: extra(self.rest.clone()) }
    }
}

/// Writes the fields of a `usage` object.
pub(super) fn encode(usage: &Usage, extra: &Extra, object: &mut Object<'_>) {
    // Some providers report more cached tokens than the prompt has; the sum must stay the prompt.
    let cached_read = usage.cached_read.min(usage.input);
    let cached_write = usage.cached_write.min(usage.input - cached_read);
    let input = usage.input - cached_read - cached_write;
    object.u64("input_tokens", input);
    object.u64("cache_creation_input_tokens", cached_write);
    object.u64("cache_read_input_tokens", cached_read);
    object.u64("output_tokens", usage.output);
    match extra.of(ID) {
        Some(fields) => fields.iter().for_each(|(name, value)| object.value(name, value)),
        None if usage.reasoning > 0 => {
            let mut details = object.object("output_tokens_details");
            details.u64("thinking_tokens", usage.reasoning);
            details.end();
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_counted_twice() {
        let counts = Counts { input: 10, output: 5, cache_write: 200, cache_read: 3000, thinking: 2 };
        let usage = counts.usage();
        assert_eq!((usage.input, usage.cached_read, usage.cached_write, usage.total()), (3210, 3000, 200, 3215));
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        encode(&usage, &Extra::default(), &mut object);
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2}}"#
        );
    }
}
