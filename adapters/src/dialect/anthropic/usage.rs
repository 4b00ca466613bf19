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
    pub(super) cache_write_1h: u64,
    pub(super) thinking: u64,
    pub(super) searches: u64,
    /// What making summaries of the history took: it is billed, and not in the counts above.
    pub(super) compacted: Compacted,
}

/// Tokens of all iterations of the kind `compaction`.
// platform.claude.com/docs/en/build-with-claude/compaction as told in velog.io/@jungseonw00/claude-compaction-usage-iterations,
// read 2026-11-20
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Compacted {
    input: u64,
    output: u64,
    cache_write: u64,
    cache_read: u64,
    cache_write_1h: u64,
}

impl Compacted {
    pub(super) fn add(&mut self, iteration: &Counts) {
        self.input = self.input.saturating_add(iteration.input);
        self.output = self.output.saturating_add(iteration.output);
        self.cache_write = self.cache_write.saturating_add(iteration.cache_write);
        self.cache_read = self.cache_read.saturating_add(iteration.cache_read);
        self.cache_write_1h = self.cache_write_1h.saturating_add(iteration.cache_write_1h);
    }

    /// Of a usage's own members.
    fn of(fields: &Map<String, Value>) -> Compacted {
        let mut all = Compacted::default();
        let iterations = fields.get(ITERATIONS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
        for iteration in iterations.filter(|fields| fields.get("type").and_then(Value::as_str) == Some(COMPACTION)) {
            let mut counts = Counts::default();
            for (name, value) in iteration {
                counts.note("", name, value);
                value.as_object().into_iter().flatten().for_each(|(inner, value)| counts.note(name, inner, value));
            }
            all.add(&counts);
        }
        all
    }
}

pub(super) const ITERATIONS: &str = "iterations";
pub(super) const COMPACTION: &str = "compaction";

impl Counts {
    /// The field that a count of the wire goes to; `group` is the object that it stands in, empty for the outermost.
    pub(super) fn field(&mut self, group: &[u8], name: &[u8]) -> Option<&mut u64> {
        match (group, name) {
            (b"", b"input_tokens") => Some(&mut self.input),
            (b"", b"output_tokens") => Some(&mut self.output),
            (b"", b"cache_creation_input_tokens") => Some(&mut self.cache_write),
            (b"", b"cache_read_input_tokens") => Some(&mut self.cache_read),
            (b"cache_creation", b"ephemeral_1h_input_tokens") => Some(&mut self.cache_write_1h),
            (b"output_tokens_details", b"thinking_tokens") => Some(&mut self.thinking),
            (b"server_tool_use", b"web_search_requests") => Some(&mut self.searches),
            _ => None,
        }
    }

    fn note(&mut self, group: &str, name: &str, value: &Value) {
        if let (Some(count), Some(reported)) = (self.field(group.as_bytes(), name.as_bytes()), value.as_u64()) {
            *count = reported;
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let more = &self.compacted;
        let cached_write = self.cache_write.saturating_add(more.cache_write);
        let cached_read = self.cache_read.saturating_add(more.cache_read);
        Usage {
            input: self.input.saturating_add(more.input).saturating_add(cached_write).saturating_add(cached_read),
            output: self.output.saturating_add(more.output),
            cached_read,
            cached_write,
            reasoning: self.thinking,
            cached_write_1h: self.cache_write_1h.saturating_add(more.cache_write_1h),
            searches: self.searches,
            ..Usage::default()
        }
    }
}

/// Objects in a usage that hold counts.
pub(super) const GROUPS: [&str; 3] = ["cache_creation", "output_tokens_details", "server_tool_use"];

/// Counts with all that stands beside them.
#[derive(Debug, Default)]
pub(super) struct Report {
    counts: Counts,
    rest: Map<String, Value>,
}

impl Report {
    pub(super) fn merge(&mut self, usage: Json<'_, '_>) {
        for (name, value) in usage.object().into_iter().flatten() {
            if let Some(count) = self.counts.field(b"", name.as_bytes()) {
                *count = value.u64().unwrap_or(*count);
                continue;
            }
            for (inner, value) in value.object().into_iter().flatten() {
                if let (Some(count), Some(reported)) = (self.counts.field(name.as_bytes(), inner.as_bytes()), value.u64()) {
                    *count = reported;
                }
            }
            // A null of a later report does not take back what an earlier one said.
            if !value.is_null() || !self.rest.contains_key(name) {
                self.rest.insert(name.to_owned(), value.value());
                if name == ITERATIONS {
                    self.counts.compacted = Compacted::of(&self.rest);
                }
            }
        }
    }

    pub(super) fn event(&self) -> Event {
        Event::Usage { usage: self.counts.usage(), extra: extra(self.rest.clone()) }
    }
}

/// Writes the fields of a `usage` object.
pub(super) fn encode(usage: &Usage, extra: &Extra, object: &mut Object<'_>) {
    let beside = extra.of(ID).map(Compacted::of).unwrap_or_default();
    let usage = &Usage {
        input: usage.input.saturating_sub(beside.input).saturating_sub(beside.cache_write).saturating_sub(beside.cache_read),
        output: usage.output.saturating_sub(beside.output),
        cached_read: usage.cached_read.saturating_sub(beside.cache_read),
        cached_write: usage.cached_write.saturating_sub(beside.cache_write),
        ..*usage
    };
    // Some providers report more cached tokens than the prompt has; the sum must stay the prompt.
    let cached_read = usage.cached_read.min(usage.input);
    let cached_write = usage.cached_write.min(usage.input - cached_read);
    let input = usage.input - cached_read - cached_write;
    object.u64("input_tokens", input);
    object.u64("cache_creation_input_tokens", cached_write);
    object.u64("cache_read_input_tokens", cached_read);
    object.u64("output_tokens", usage.output);
    if let Some(fields) = extra.of(ID) {
        return fields.iter().for_each(|(name, value)| object.value(name, value));
    }
    let cached_write_1h = usage.cached_write_1h.min(cached_write);
    if cached_write_1h > 0 {
        let mut kept = object.object("cache_creation");
        kept.u64("ephemeral_5m_input_tokens", cached_write - cached_write_1h);
        kept.u64("ephemeral_1h_input_tokens", cached_write_1h);
        kept.end();
    }
    if usage.reasoning > 0 {
        let mut details = object.object("output_tokens_details");
        details.u64("thinking_tokens", usage.reasoning);
        details.end();
    }
    if usage.searches > 0 {
        let mut tools = object.object("server_tool_use");
        tools.u64("web_search_requests", usage.searches);
        tools.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tree::Tree;

    #[test]
    fn no_token_is_counted_twice() {
        let counts = Counts {
            input: 10,
            output: 5,
            cache_write: 200,
            cache_read: 3000,
            cache_write_1h: 60,
            thinking: 2,
            searches: 3,
            ..Counts::default()
        };
        let usage = counts.usage();
        assert_eq!((usage.input, usage.cached_read, usage.cached_write, usage.total()), (3210, 3000, 200, 3215));
        assert_eq!((usage.cached_write_1h, usage.searches), (60, 3));
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        encode(&usage, &Extra::default(), &mut object);
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":140,"ephemeral_1h_input_tokens":60},"output_tokens_details":{"thinking_tokens":2},"server_tool_use":{"web_search_requests":3}}"#
        );
    }

    #[test]
    fn summaries_of_the_history_are_part_of_the_bill_and_return_apart() {
        let json = r#"{"input_tokens":23000,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1000,"iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500,"cache_read_input_tokens":7,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_1h_input_tokens":4}},{"type":"message","input_tokens":23000,"output_tokens":1000}]}"#;
        let tree = Tree::parse(&mut json.as_bytes().to_vec()).map(|tree| {
            let mut report = Report::default();
            report.merge(tree.root());
            report
        });
        let Event::Usage { usage, extra } = tree.unwrap().event() else { panic!("a report is a usage") };
        let billed = Usage { input: 203_016, output: 4_500, cached_read: 7, cached_write: 9, cached_write_1h: 4, ..Usage::default() };
        assert_eq!(usage, billed);
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        encode(&usage, &extra, &mut object);
        object.end();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), serde_json::from_str::<Value>(json).unwrap());

        let mut tap = (ID.row().tap)();
        tap.whole(format!(r#"{{"content":[],"stop_reason":"end_turn","usage":{json}}}"#).as_bytes());
        assert_eq!(tap.seen().usage, Some(billed));
    }
}
