//! The `usage` object: read, scanned and written.

use super::ME;
use crate::dialect::openai::extra;
use crate::ir::Extra;
use crate::json::node::{Node, Object};
use crate::json::scan::{Cursor, Malformed, Type};
use crate::json::write;
use crate::usage::Usage;

/// Where a figure of the wire goes; `group` is the object that it stands in, empty for the outermost.
fn field<'u>(usage: &'u mut Usage, group: &[u8], name: &[u8]) -> Option<&'u mut u64> {
    match (group, name) {
        (b"", b"input_tokens") => Some(&mut usage.input),
        (b"", b"output_tokens") => Some(&mut usage.output),
        // xAI bills the sources that it used.
        (b"", b"num_sources_used") => Some(&mut usage.searches),
        (b"input_tokens_details", b"cached_tokens") => Some(&mut usage.cached_read),
        (b"input_tokens_details", b"cache_write_tokens") => Some(&mut usage.cached_write),
        (b"input_tokens_details", b"audio_tokens") => Some(&mut usage.audio_input),
        (b"input_tokens_details", b"image_tokens") => Some(&mut usage.image_input),
        (b"output_tokens_details", b"reasoning_tokens") => Some(&mut usage.reasoning),
        (b"output_tokens_details", b"audio_tokens") => Some(&mut usage.audio_output),
        (b"output_tokens_details", b"image_tokens") => Some(&mut usage.image_output),
        _ => None,
    }
}

const GROUPS: [&str; 2] = ["input_tokens_details", "output_tokens_details"];

/// The hub's figure, and the members that it has no word for.
pub(super) fn decode(mut object: Object<'_>) -> (Usage, Extra) {
    let mut usage = Usage::default();
    let mut note = |group: &str, name: &str, node: &Node<'_>| {
        if let (Some(figure), Some(value)) = (field(&mut usage, group.as_bytes(), name.as_bytes()), node.as_u64()) {
            *figure = value;
        }
    };
    for (name, node) in object.rest() {
        match node {
            Node::Object(details) => details.rest().for_each(|(inner, node)| note(name, inner, node)),
            node => note("", name, node),
        }
    }
    for name in ["input_tokens", "output_tokens"] {
        object.take_u64(name);
    }
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
        if let Some(group) = GROUPS.iter().find(|group| group.as_bytes() == key) {
            return value.object(|key, value| figure(&mut usage, group.as_bytes(), key, value));
        }
        figure(&mut usage, b"", key, value)
    })?;
    Ok(Some(usage))
}

fn figure(usage: &mut Usage, group: &[u8], name: &[u8], value: &mut Cursor<'_>) -> Result<(), Malformed> {
    if let Some(figure) = field(usage, group, name) {
        *figure = value.u64()?.unwrap_or(*figure);
    }
    Ok(())
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
        for (name, count) in [("audio_tokens", usage.audio_input), ("image_tokens", usage.image_input)] {
            if count > 0 {
                write::uint(out, name, count);
            }
        }
        write::close(out);
    }
    write::uint(out, "output_tokens", usage.output);
    if extra.dialect != Some(ME) {
        write::key(out, "output_tokens_details");
        write::open(out);
        write::uint(out, "reasoning_tokens", usage.reasoning);
        for (name, count) in [("audio_tokens", usage.audio_output), ("image_tokens", usage.image_output)] {
            if count > 0 {
                write::uint(out, name, count);
            }
        }
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
