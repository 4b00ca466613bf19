//! The parts of a content → parts of the hub.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::{Map, Value};

use super::name::{camel, get, get_str};
use super::request_decode::{each, wanted, wrong};
use super::{extra, media, signature};
use crate::fault::Fault;
use crate::ir::{Extra, Part, PartKind, Source};
use crate::json::tree::Json;

/// What the id of a call begins with that came without one. Calls and results are told apart by their names then, in order.
pub(super) const MADE_ID: &str = "gcall_";

/// Marks by which this codec remembers how a part was written: to drop one loses nothing.
pub(super) const FUNCTION_RESPONSE: &str = "functionResponse";
pub(super) const FILE_DATA: &str = "fileData";
pub(super) const THOUGHT_SIGNATURE: &str = "thoughtSignature";

/// Ids of the calls of one request, for results that name only the function.
#[derive(Default)]
pub(super) struct CallIds {
    made_count: usize,
    /// Name and id of the calls that wait for their result.
    open: Vec<(String, String)>,
}

impl CallIds {
    fn make(&mut self) -> String {
        self.made_count += 1;
        format!("{MADE_ID}{}", self.made_count - 1)
    }

    fn call<'a>(&mut self, name: &str, id: Option<&'a str>) -> Cow<'a, str> {
        let id = id.filter(|id| !id.is_empty()).map_or_else(|| Cow::Owned(self.make()), Cow::Borrowed);
        self.open.push((name.to_owned(), id.clone().into_owned()));
        id
    }

    fn result<'a>(&mut self, name: &str, id: Option<&'a str>) -> Cow<'a, str> {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            self.open.retain(|call| call.1 != id);
            return Cow::Borrowed(id);
        }
        match self.open.iter().position(|call| call.0 == name) {
            Some(at) => Cow::Owned(self.open.remove(at).1),
            None => Cow::Owned(self.make()),
        }
    }
}

pub(super) fn decode_parts<'a>(value: Json<'_, 'a>, path: &dyn Display, ids: &mut CallIds) -> Result<Vec<Part<'a>>, Fault> {
    let mut parts = Vec::new();
    for (index, part) in each(value).enumerate() {
        if let Some(text) = part.str() {
            parts.push(Part::text(text));
            continue;
        }
        parts.extend(decode_part(part, &format_args!("{path}[{index}]"), ids)?);
    }
    Ok(parts)
}

/// `None` for a part that holds nothing.
fn decode_part<'a>(value: Json<'_, 'a>, path: &dyn Display, ids: &mut CallIds) -> Result<Option<Part<'a>>, Fault> {
    let fields = value.object().ok_or_else(|| wanted(path, "an object", value))?;
    let (mut kind, mut text, mut is_thought, mut sign, mut rest) = (None, None, false, None, Map::new());
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        let name = camel(name);
        match name.as_ref() {
            "text" => text = Some(value.str().ok_or_else(|| wanted(format_args!("{path}.text"), "a string", value))?),
            "thought" if value.bool().is_some() => is_thought = value.bool() == Some(true),
            THOUGHT_SIGNATURE if value.str().is_some() => sign = value.str(),
            "functionCall" => kind = Some(decode_call(value, path, ids)?),
            FUNCTION_RESPONSE => {
                let (result, mark) = decode_result(value, path, ids)?;
                kind = Some(result);
                rest.insert(FUNCTION_RESPONSE.to_owned(), mark);
            }
            "inlineData" => match decode_inline(value, path)? {
                Some(media) => kind = Some(media),
                None => drop(rest.insert(name.into_owned(), value.value())),
            },
            FILE_DATA => {
                let uri =
                    get_str(value, "fileUri").ok_or_else(|| wrong(format_args!("{path}.fileData.fileUri"), "is missing; give a URL"))?;
                kind = media::file(uri, get_str(value, "mimeType"));
                rest.insert(FILE_DATA.to_owned(), value.value());
            }
            _ => drop(rest.insert(name.into_owned(), value.value())),
        }
    }
    if is_thought && (kind.is_some() || text.is_none()) {
        rest.insert("thought".to_owned(), true.into());
    }
    let kind = match (kind, text) {
        (Some(kind), _) => kind,
        (None, Some(text)) if is_thought => {
            let kind = match sign.map(signature::back) {
                Some(signature::Back::Redacted(data)) => PartKind::RedactedThinking { data: data.into() },
                Some(signature::Back::Signature(sign)) => PartKind::Thinking { text: text.into(), signature: Some(sign) },
                None => PartKind::Thinking { text: text.into(), signature: None },
            };
            return Ok(Some(Part { kind, cache: None, extra: extra(rest) }));
        }
        (None, Some(text)) => PartKind::Text(text.into()),
        (None, None) if rest.is_empty() && sign.is_none() => return Ok(None),
        (None, None) => PartKind::Private,
    };
    if let Some(sign) = sign {
        rest.insert(THOUGHT_SIGNATURE.to_owned(), sign.into());
    }
    Ok(Some(Part { kind, cache: None, extra: extra(rest) }))
}

fn decode_call<'a>(value: Json<'_, 'a>, path: &dyn Display, ids: &mut CallIds) -> Result<PartKind<'a>, Fault> {
    let name = named(value, &format_args!("{path}.functionCall"))?;
    let arguments = get(value, "args").map_or_else(|| "{}".to_owned(), Json::text);
    Ok(PartKind::ToolCall { id: ids.call(name, get_str(value, "id")), name: name.into(), arguments: arguments.into() })
}

/// The result, and how it was written.
fn decode_result<'a>(value: Json<'_, 'a>, path: &dyn Display, ids: &mut CallIds) -> Result<(PartKind<'a>, Value), Fault> {
    let path = format_args!("{path}.functionResponse");
    let name = named(value, &path)?;
    let call_id = ids.result(name, get_str(value, "id"));
    let mut mark: Map<String, Value> = value
        .object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| !matches!(*name, "id" | "parts") && !value.is_null())
        .map(|(name, value)| (camel(name).into_owned(), value.value()))
        .collect();
    let (text, is_error) = result_text(get(value, "response"));
    let mut parts = Vec::new();
    if !text.is_empty() {
        parts.push(Part::text(text));
    }
    if let Some(inner) = get(value, "parts") {
        parts.extend(decode_parts(inner, &format_args!("{path}.parts"), ids)?);
    }
    mark.insert("name".to_owned(), name.into());
    Ok((PartKind::ToolResult { call_id, parts, is_error }, mark.into()))
}

/// What `response` says, and whether it is an error. A text alone under a name that says no more is that text.
// "output" and "error" are the names that ai.google.dev/api/caching#FunctionResponse proposes, read 2026-11-20; the others are
// what SDKs write.
fn result_text<'a>(response: Option<Json<'_, 'a>>) -> (Cow<'a, str>, bool) {
    let Some(response) = response else { return (Cow::Borrowed(""), false) };
    let mut fields = response.object().into_iter().flatten();
    let (first, second) = (fields.next(), fields.next());
    if let (Some((name, value)), None) = (first, second) {
        let text = || value.str().map_or_else(|| Cow::Owned(value.text()), Cow::Borrowed);
        match name {
            "error" => return (text(), true),
            name if LONE.contains(&name) => return (text(), false),
            _ => {}
        }
    }
    match first {
        None if response.is_object() => (Cow::Borrowed(""), false),
        _ => (response.str().map_or_else(|| Cow::Owned(response.text()), Cow::Borrowed), false),
    }
}

/// Names under which a lone value is the result itself.
pub(super) const LONE: &[&str] = &["output", "result", "return_value", "content"];

/// `None` for what the hub has no word for.
fn decode_inline<'a>(value: Json<'_, 'a>, path: &dyn Display) -> Result<Option<PartKind<'a>>, Fault> {
    let field =
        |name: &str| get_str(value, name).ok_or_else(|| wrong(format_args!("{path}.inlineData.{name}"), "is missing; give a string"));
    Ok(media::inline(field("mimeType")?, field("data")?, get_str(value, "displayName")))
}

fn named<'a>(value: Json<'_, 'a>, path: &dyn Display) -> Result<&'a str, Fault> {
    let name = get_str(value, "name").filter(|name| !name.is_empty());
    name.ok_or_else(|| wrong(format_args!("{path}.name"), "is missing; name the function"))
}

/// What a mark holds that this codec put there.
pub(super) fn marked<'e>(extra: &'e Extra, name: &str) -> Option<&'e Value> {
    extra.of(super::ID)?.get(name)
}

/// A source's text, for documents that are text.
pub(super) fn is_text(source: &Source<'_>) -> bool {
    matches!(source, Source::Text { .. })
}
