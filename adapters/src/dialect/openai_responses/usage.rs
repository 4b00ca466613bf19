//! The `usage` object: read, scanned and written.

use super::ME;
use crate::dialect::openai::extra;
use crate::ir::Extra;
use crate::json::node::{Node, Object};
use crate::json::scan::{Cursor, Malformed, Type};
use crate::json::write;
use crate::usage::Usage;

/// The hub's figure, and the members that it has no word for.
pub(super) fn decode(mut object: Object<'_>) -> (Usage, Extra) {
    let detail = |object: &Object<'_>, group: &str, name: &str| match object.look(group) {
        Some(Node::Object(details)) => details.look(name).and_then(Node::as_u64).unwrap_or(0),
        _ => 0,
    };
    let usage = Usage {
        input: object.take_u64("input_tokens").unwrap_or(0),
        output: object.take_u64("output_tokens").unwrap_or(0),
        cached_read: detail(&object, "input_tokens_details", "cached_tokens"),
        cached_write: detail(&object, "input_tokens_details", "cache_write_tokens"),
        reasoning: detail(&object, "output_tokens_details", "reasoning_tokens"),
        ..Usage::default()
    };
    object.take_if("total_tokens", |node| node.as_u64() == Some(usage.total()));
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    (usage, private)
}

/// The same figure from the object ahead; nothing where `usage` is not an object.
pub(super) fn scan(value: &mut Cursor<'_>) -> Result<Option<Usage>, Malformed> {
    if value.peek_type()? != Type::Object {
        return Ok(None);
    }
    let mut usage = Usage::default();
    value.object(|key, value| {
        match key {
            b"input_tokens" => usage.input = value.u64()?.unwrap_or(0),
            b"output_tokens" => usage.output = value.u64()?.unwrap_or(0),
            b"input_tokens_details" => value.object(|key, value| {
                match key {
                    b"cached_tokens" => usage.cached_read = value.u64()?.unwrap_or(0),
                    b"cache_write_tokens" => usage.cached_write = value.u64()?.unwrap_or(0),
                    _ => {}
                }
                Ok(())
            })?,
            b"output_tokens_details" => value.object(|key, value| {
                if key == b"reasoning_tokens" {
                    usage.reasoning = value.u64()?.unwrap_or(0);
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Some(usage))
}

/// The object, where a value may stand. The dialect's own details go back as they came.
pub(super) fn encode(usage: &Usage, extra: &Extra, out: &mut Vec<u8>) {
    write::open(out);
    write::uint(out, "input_tokens", usage.input);
    if extra.dialect != Some(ME) {
        write::key(out, "input_tokens_details");
        write::open(out);
        write::uint(out, "cached_tokens", usage.cached_read);
        // The SDKs of 2026 expect it.
        write::uint(out, "cache_write_tokens", usage.cached_write);
        write::close(out);
    }
    write::uint(out, "output_tokens", usage.output);
    if extra.dialect != Some(ME) {
        write::key(out, "output_tokens_details");
        write::open(out);
        write::uint(out, "reasoning_tokens", usage.reasoning);
        write::close(out);
    }
    let own = extra.of(ME);
    if own.is_none_or(|fields| !fields.contains_key("total_tokens")) {
        write::uint(out, "total_tokens", usage.total());
    }
    if let Some(fields) = own {
        write::members(out, fields);
    }
    write::close(out);
}
