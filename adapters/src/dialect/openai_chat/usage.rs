//! The `usage` object: read, scanned and written.
//!
//! Some servers count reasoning beside `completion_tokens` instead of inside it; their `total_tokens` tells.

use serde_json::Value;

use super::ME;
use crate::dialect::openai::extra;
use crate::ir::Extra;
use crate::json::node::{Node, Object};
use crate::json::scan::{Cursor, Malformed, Type};
use crate::json::write;
use crate::usage::Usage;

/// The figures as they stand on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    prompt: u64,
    completion: u64,
    total: u64,
    cached: u64,
    cache_write: u64,
    /// DeepSeek's own name for `cached`.
    cache_hit: u64,
    reasoning: u64,
    audio_input: u64,
    audio_output: u64,
}

impl Figures {
    fn usage(self) -> Usage {
        let apart = self.reasoning > 0 && self.total == self.prompt + self.completion + self.reasoning;
        Usage {
            input: self.prompt,
            output: if apart { self.completion + self.reasoning } else { self.completion },
            cached_read: if self.cached > 0 { self.cached } else { self.cache_hit },
            cached_write: self.cache_write,
            reasoning: self.reasoning,
            audio_input: self.audio_input,
            audio_output: self.audio_output,
        }
    }
}

/// The hub's figure, and the members that it has no word for.
pub(super) fn decode(mut object: Object<'_>) -> (Usage, Extra) {
    let detail = |object: &Object<'_>, group: &str, name: &str| match object.look(group) {
        Some(Node::Object(details)) => details.look(name).and_then(Node::as_u64).unwrap_or(0),
        _ => 0,
    };
    let figures = Figures {
        prompt: object.take_u64("prompt_tokens").unwrap_or(0),
        completion: object.take_u64("completion_tokens").unwrap_or(0),
        total: object.take_u64("total_tokens").unwrap_or(0),
        cached: detail(&object, "prompt_tokens_details", "cached_tokens"),
        cache_write: detail(&object, "prompt_tokens_details", "cache_write_tokens"),
        cache_hit: object.look("prompt_cache_hit_tokens").and_then(Node::as_u64).unwrap_or(0),
        reasoning: detail(&object, "completion_tokens_details", "reasoning_tokens"),
        audio_input: detail(&object, "prompt_tokens_details", "audio_tokens"),
        audio_output: detail(&object, "completion_tokens_details", "audio_tokens"),
    };
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    let usage = figures.usage();
    if usage.output != figures.completion {
        private.fields.insert("completion_tokens".into(), figures.completion.into());
    }
    if usage.total() != figures.total {
        private.fields.insert("total_tokens".into(), figures.total.into());
    }
    (usage, private)
}

/// The same figure from the object ahead; nothing where `usage` is not an object.
pub(super) fn scan(value: &mut Cursor<'_>) -> Result<Option<Usage>, Malformed> {
    if value.peek_type()? != Type::Object {
        return Ok(None);
    }
    let mut figures = Figures::default();
    value.object(|key, value| {
        match key {
            b"prompt_tokens" => figures.prompt = value.u64()?.unwrap_or(0),
            b"completion_tokens" => figures.completion = value.u64()?.unwrap_or(0),
            b"total_tokens" => figures.total = value.u64()?.unwrap_or(0),
            b"prompt_cache_hit_tokens" => figures.cache_hit = value.u64()?.unwrap_or(0),
            b"prompt_tokens_details" => value.object(|key, value| {
                match key {
                    b"cached_tokens" => figures.cached = value.u64()?.unwrap_or(0),
                    b"cache_write_tokens" => figures.cache_write = value.u64()?.unwrap_or(0),
                    b"audio_tokens" => figures.audio_input = value.u64()?.unwrap_or(0),
                    _ => {}
                }
                Ok(())
            })?,
            b"completion_tokens_details" => value.object(|key, value| {
                match key {
                    b"reasoning_tokens" => figures.reasoning = value.u64()?.unwrap_or(0),
                    b"audio_tokens" => figures.audio_output = value.u64()?.unwrap_or(0),
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Some(figures.usage()))
}

/// The object, where a value may stand. The dialect's own details go back as they came.
pub(super) fn encode(usage: &Usage, extra: &Extra, out: &mut Vec<u8>) {
    let own = extra.of(ME);
    let raw = |name: &str, figure: u64| own.and_then(|fields| fields.get(name)).and_then(Value::as_u64).unwrap_or(figure);
    write::open(out);
    write::uint(out, "prompt_tokens", usage.input);
    write::uint(out, "completion_tokens", raw("completion_tokens", usage.output));
    write::uint(out, "total_tokens", raw("total_tokens", usage.total()));
    if extra.dialect != Some(ME) {
        write::key(out, "prompt_tokens_details");
        write::open(out);
        write::uint(out, "cached_tokens", usage.cached_read);
        if usage.cached_write > 0 {
            write::uint(out, "cache_write_tokens", usage.cached_write);
        }
        write::uint(out, "audio_tokens", usage.audio_input);
        write::close(out);
        write::key(out, "completion_tokens_details");
        write::open(out);
        write::uint(out, "reasoning_tokens", usage.reasoning);
        write::uint(out, "audio_tokens", usage.audio_output);
        write::close(out);
    }
    if let Some(fields) = own {
        let known = |name: &String| matches!(name.as_str(), "completion_tokens" | "total_tokens" | super::CHUNK);
        fields.iter().filter(|(name, _)| !known(name)).for_each(|(name, value)| write::value(out, name, value));
    }
    write::close(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::node;

    #[test]
    fn decode_scan_and_encode_agree() {
        let rows = [
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":2,"accepted_prediction_tokens":0}}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":3},"num_sources_used":0}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_cache_hit_tokens":7}"#,
        ];
        for row in rows {
            let (usage, extra) = decode(node::parse(row.as_bytes()).unwrap().into_object().unwrap());
            assert_eq!(scan(&mut Cursor::new(row.as_bytes())), Ok(Some(usage)));
            let mut out = Vec::new();
            encode(&usage, &extra, &mut out);
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), serde_json::from_str::<Value>(row).unwrap());
        }
    }

    #[test]
    fn reasoning_counted_apart_is_added_once() {
        let json = br#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":18,"completion_tokens_details":{"reasoning_tokens":3}}"#;
        let usage = scan(&mut Cursor::new(json)).unwrap();
        assert_eq!(usage.map(|usage| (usage.output, usage.total())), Some((8, 18)));
    }
}
