//! Content blocks of a request → parts of the hub.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::Map;

use super::extra;
use super::request_decode::{cache_mark, wanted, wrong};
use crate::fault::Fault;
use crate::ir::{Part, PartKind, Source};
use crate::json::tree::Json;

/// A string or an array of blocks. A string is one text part.
pub(super) fn decode_parts<'a>(value: Json<'_, 'a>, path: &dyn Display) -> Result<Vec<Part<'a>>, Fault> {
    if let Some(text) = value.str() {
        return Ok(vec![Part::text(text)]);
    }
    let blocks = value.array().ok_or_else(|| wanted(path, "a string or an array of blocks", value))?;
    blocks.enumerate().map(|(index, block)| decode_part(block, path, index)).collect()
}

fn decode_part<'a>(block: Json<'_, 'a>, path: &dyn Display, index: usize) -> Result<Part<'a>, Fault> {
    let kind = block.get_str("type").ok_or_else(|| wrong(format_args!("{path}[{index}].type"), "is missing; write a block's type"))?;
    let missing = |field: &str| wrong(format_args!("{path}[{index}].{field}"), "is missing or of the wrong type");
    let text = |field: &str| block.get_str(field).map(Cow::Borrowed).ok_or_else(|| missing(field));
    // The second is the list of fields that the part takes up; all others are private.
    let (kind, taken): (PartKind<'a>, &[&str]) = match kind {
        "text" => (PartKind::Text(text("text")?), &["text"]),
        "image" => match decode_source(block) {
            Some(source) => (PartKind::Image { source, detail: None }, &["source"]),
            None => return Ok(private(block)),
        },
        "document" => match decode_source(block) {
            Some(source) => {
                let name = block.get_str("title").map(Cow::Borrowed);
                let taken: &[&str] = if name.is_some() { &["source", "title"] } else { &["source"] };
                (PartKind::Document { source, name }, taken)
            }
            None => return Ok(private(block)),
        },
        "tool_use" => {
            let arguments = block.get("input").ok_or_else(|| missing("input"))?.text().into();
            (PartKind::ToolCall { id: text("id")?, name: text("name")?, arguments }, &["id", "name", "input"])
        }
        "tool_result" => {
            let parts = match block.get("content") {
                Some(content) => decode_parts(content, &format_args!("{path}[{index}].content"))?,
                None => Vec::new(),
            };
            let is_error = block.get("is_error").and_then(Json::bool).unwrap_or(false);
            (PartKind::ToolResult { call_id: text("tool_use_id")?, parts, is_error }, &["tool_use_id", "content", "is_error"])
        }
        "thinking" => {
            let signature = block.get_str("signature").filter(|signature| !signature.is_empty()).map(Cow::Borrowed);
            (PartKind::Thinking { text: text("thinking")?, signature }, &["thinking", "signature"])
        }
        "redacted_thinking" => (PartKind::RedactedThinking { data: text("data")? }, &["data"]),
        _ => return Ok(private(block)),
    };
    Ok(with_marks(kind, block, taken))
}

fn with_marks<'a>(kind: PartKind<'a>, block: Json<'_, 'a>, taken: &[&str]) -> Part<'a> {
    let mut part = Part::from(kind);
    let mut rest = Map::new();
    for (name, value) in block.object().into_iter().flatten() {
        if name == "type" || taken.contains(&name) {
            continue;
        }
        match name {
            "cache_control" if value.is_null() => {}
            "cache_control" if cache_mark(value).is_some() => part.cache = cache_mark(value),
            _ => drop(rest.insert(name.to_owned(), value.value())),
        }
    }
    part.extra = extra(rest);
    part
}

/// A block that the hub has no word for, whole.
fn private<'a>(block: Json<'_, 'a>) -> Part<'a> {
    let mut part = Part::from(PartKind::Private);
    part.extra = extra(block.object().into_iter().flatten().map(|(name, value)| (name.to_owned(), value.value())).collect());
    part
}

/// The source of an image or document, if the hub has a word for all of it.
fn decode_source<'a>(block: Json<'_, 'a>) -> Option<Source<'a>> {
    let source = block.get("source")?;
    let text = |field: &str| source.get_str(field).map(Cow::Borrowed);
    let (decoded, field_count) = match source.get_str("type")? {
        "base64" => (Source::Base64 { media_type: text("media_type")?, data: text("data")? }, 3),
        "url" => (Source::Url(text("url")?), 2),
        "file" => (Source::FileId(text("file_id")?), 2),
        "text" => (Source::Text { media_type: text("media_type")?, text: text("data")? }, 3),
        _ => return None,
    };
    (source.object()?.count() == field_count).then_some(decoded)
}
