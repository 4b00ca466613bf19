//! Finds the few facts that the plain path needs, without decoding the JSON.
//!
//! A quoted name such as `"stream"` cannot occur inside a JSON string, where its quotes would be escaped; so a hit is a
//! key or a value of its own.

use memchr::memmem::find;

/// What a body says, as far as the plain path cares.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) struct Scan<'b> {
    pub(super) model: &'b [u8],
    pub(super) streams: bool,
    pub(super) includes_usage: bool,
    pub(super) tokens_max: Option<u32>,
    /// The request asks for something that only the slow path understands.
    pub(super) needs_thought: bool,
}

/// Any of these makes the answer depend on more than model and mode.
const NEEDS_THOUGHT: &[&[u8]] = &[
    b"\"tools\"",
    b"\"thinking\"",
    b"\"json_schema\"",
    b"\"format\"",
    b"\"think\"",
    b"\"output_format\"",
    b"\"assistant\"",
    b"describe",
    b"exchange=",
];

/// Model names with these beginnings are never plain.
const THOUGHTFUL_MODELS: &[&[u8]] = &[b"fault-", b"diverge", b"multibyte"];

impl<'b> Scan<'b> {
    pub(super) fn of(body: &'b [u8]) -> Self {
        let model = scan_model(body).unwrap_or(b"mock");
        let plain_by_name = model.starts_with(b"bench");
        let needs_thought = !plain_by_name
            && (THOUGHTFUL_MODELS.iter().any(|start| model.starts_with(start))
                || NEEDS_THOUGHT.iter().any(|word| find(body, word).is_some()));
        let streams = is_true(body, b"\"stream\"");
        Self { model, streams, includes_usage: streams && is_true(body, b"\"include_usage\""), tokens_max: tokens_max(body), needs_thought }
    }
}

/// The value of the first `"model"` key, as raw bytes.
pub(crate) fn scan_model(body: &[u8]) -> Option<&[u8]> {
    let value = value_after(body, b"\"model\"")?.strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', value)?;
    Some(&value[..end])
}

fn is_true(body: &[u8], key: &[u8]) -> bool {
    value_after(body, key).is_some_and(|value| value.starts_with(b"true"))
}

/// `max_tokens`, `max_completion_tokens` or `max_output_tokens`, whichever comes first.
fn tokens_max(body: &[u8]) -> Option<u32> {
    let rest = &body[find(body, b"\"max_")? + 1..];
    let name_len = memchr::memchr(b'"', rest)?;
    if !rest[..name_len].ends_with(b"tokens") {
        return None;
    }
    let value = after_colon(&rest[name_len + 1..])?;
    let digit_count = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&value[..digit_count]).ok()?.parse().ok()
}

fn value_after<'b>(body: &'b [u8], key: &[u8]) -> Option<&'b [u8]> {
    after_colon(&body[find(body, key)? + key.len()..])
}

fn after_colon(rest: &[u8]) -> Option<&[u8]> {
    Some(rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_mode_and_bounds_are_found_with_any_white_space() {
        let scan =
            Scan::of(br#"{ "model" : "gpt-x", "stream": true, "stream_options":{"include_usage" :true}, "max_completion_tokens": 12 }"#);
        assert_eq!(scan, Scan { model: b"gpt-x", streams: true, includes_usage: true, tokens_max: Some(12), needs_thought: false });
    }

    #[test]
    fn quoted_keys_inside_strings_are_not_keys() {
        let scan = Scan::of(br#"{"messages":[{"role":"user","content":"{\"stream\":true,\"tools\":1,\"model\":\"x\"}"}],"model":"m"}"#);
        assert_eq!((scan.model, scan.streams, scan.needs_thought), (&b"m"[..], false, false));
    }

    #[test]
    fn meaning_needs_thought_but_for_bench_models() {
        assert!(Scan::of(br#"{"model":"m","tools":[]}"#).needs_thought);
        assert!(Scan::of(br#"{"model":"fault-401"}"#).needs_thought);
        assert!(!Scan::of(br#"{"model":"bench-1","tools":[]}"#).needs_thought);
        assert_eq!(Scan::of(b"garbage").model, b"mock");
    }
}
