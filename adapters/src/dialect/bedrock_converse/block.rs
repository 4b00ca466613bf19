//! Content blocks of a request → parts of the hub.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::fields::{cache_mark, document_type, image_type};
use super::{extra, rest};
use crate::dialect::anthropic::request_decode::{wanted, wrong};
use crate::fault::Fault;
use crate::ir::{Part, PartKind, Source};
use crate::json::tree::Json;

/// Under this name a text part remembers that it was a JSON value of a tool's result.
pub(super) const JSON: &str = "json";

/// An array of blocks. A `cachePoint` is the mark of the block before it.
pub(super) fn decode_parts<'a>(value: Json<'_, 'a>, path: &dyn Display) -> Result<Vec<Part<'a>>, Fault> {
    let blocks = value.array().ok_or_else(|| wanted(path, "an array of content blocks", value))?;
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (index, block) in blocks.enumerate() {
        let mark = block.get("cachePoint").and_then(cache_mark);
        match (mark, parts.last_mut()) {
            (Some(mark), Some(last)) if last.cache.is_none() => last.cache = Some(mark),
            _ => parts.push(decode_part(block, &format_args!("{path}[{index}]"))?),
        }
    }
    Ok(parts)
}

fn decode_part<'a>(block: Json<'_, 'a>, path: &dyn Display) -> Result<Part<'a>, Fault> {
    let mut fields =
        block.object().ok_or_else(|| wanted(path, "an object with one content block", block))?.filter(|field| !field.1.is_null());
    let Some((name, value)) = fields.find(|field| field.0 != "type") else {
        return Err(wrong(path, "is empty; write a content block such as {\"text\": …}"));
    };
    let decoded = match name {
        "text" => Some(Part::text(value.str().ok_or_else(|| wanted(format_args!("{path}.text"), "a string", value))?)),
        "image" => image(value),
        "document" => document(value),
        "toolUse" => Some(tool_use(value, path)?),
        "toolResult" => Some(tool_result(value, path)?),
        "reasoningContent" => reasoning(value),
        "citationsContent" => cited(value),
        JSON => Some(Part { extra: one(JSON, value.value()), ..Part::text(value.text()) }),
        _ => None,
    };
    Ok(decoded.unwrap_or_else(|| private(block)))
}

/// A block that the hub has no word for, whole.
fn private<'a>(block: Json<'_, 'a>) -> Part<'a> {
    Part { extra: rest(block, &[]), ..PartKind::Private.into() }
}

fn one(name: &str, value: Value) -> crate::ir::Extra {
    extra(Map::from_iter([(name.to_owned(), value)]))
}

/// Bytes of an image; one that lies in S3 is private.
fn image<'a>(image: Json<'_, 'a>) -> Option<Part<'a>> {
    let media_type = image_type(image.get_str("format")?)?;
    let source = Source::Base64 { media_type: media_type.into(), data: bytes(image.get("source")?)?.into() };
    Some(Part { extra: rest(image, &["format", "source"]), ..PartKind::Image { source, detail: None }.into() })
}

fn document<'a>(document: Json<'_, 'a>) -> Option<Part<'a>> {
    let format = document.get_str("format").unwrap_or("txt");
    let media_type = Cow::Borrowed(document_type(format)?);
    let source = document.get("source")?;
    let source = match source.get_str("text").filter(|_| source.object().is_some_and(|fields| fields.count() == 1)) {
        Some(text) => Source::Text { media_type, text: text.into() },
        None => Source::Base64 { media_type, data: bytes(source)?.into() },
    };
    let name = document.get_str("name").map(Cow::Borrowed);
    let taken: &[&str] = if name.is_some() { &["format", "source", "name"] } else { &["format", "source"] };
    Some(Part { extra: rest(document, taken), ..PartKind::Document { source, name }.into() })
}

fn bytes<'a>(source: Json<'_, 'a>) -> Option<&'a str> {
    source.get_str("bytes").filter(|_| source.object().is_some_and(|fields| fields.count() == 1))
}

fn tool_use<'a>(call: Json<'_, 'a>, path: &dyn Display) -> Result<Part<'a>, Fault> {
    let text = |field: &str| call.get_str(field).ok_or_else(|| wrong(format_args!("{path}.toolUse.{field}"), "is missing; write a string"));
    let arguments = call.get("input").map_or_else(|| "{}".to_owned(), Json::text);
    let kind = PartKind::ToolCall { id: text("toolUseId")?.into(), name: text("name")?.into(), arguments: arguments.into() };
    Ok(Part { extra: rest(call, &["toolUseId", "name", "input"]), ..kind.into() })
}

fn tool_result<'a>(result: Json<'_, 'a>, path: &dyn Display) -> Result<Part<'a>, Fault> {
    let missing = || wrong(format_args!("{path}.toolResult.toolUseId"), "is missing; name the call that this answers");
    let call_id = result.get_str("toolUseId").ok_or_else(missing)?.into();
    let parts = match result.get("content") {
        Some(content) => decode_parts(content, &format_args!("{path}.toolResult.content"))?,
        None => Vec::new(),
    };
    let is_error = result.get_str("status") == Some("error");
    let kind = PartKind::ToolResult { call_id, parts, is_error };
    Ok(Part { extra: rest(result, &["toolUseId", "content", "status"]), ..kind.into() })
}

fn reasoning<'a>(content: Json<'_, 'a>) -> Option<Part<'a>> {
    if let Some(data) = content.get_str("redactedContent") {
        return Some(PartKind::RedactedThinking { data: data.into() }.into());
    }
    let text = content.get("reasoningText")?;
    let signature = text.get_str("signature").filter(|signature| !signature.is_empty()).map(Cow::Borrowed);
    Some(PartKind::Thinking { text: text.get_str("text")?.into(), signature }.into())
}

/// Text with its sources: they return to this dialect alone.
fn cited<'a>(content: Json<'_, 'a>) -> Option<Part<'a>> {
    let texts = content.get("content")?.array()?.map(|piece| piece.get_str("text"));
    let text = texts.collect::<Option<String>>()?;
    Some(Part { extra: one("citationsContent", content.value()), ..Part::text(text) })
}
