//! A generateContent request → the hub. A countTokens body, which may wrap one, reads too.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::name::{camel, get, get_str};
use super::parts_decode::{CallIds, decode_parts};
use super::{ID, config_decode, extra, tools_decode};
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Extra, Message, Role};
use crate::json::tree::{DEPTH_MAX, Json, Tree, TreeError};

pub(super) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let tree = Tree::parse(body).map_err(|error| match error {
        TreeError::Syntax { at } => Fault::new(Kind::InvalidRequest, format!("body is not valid JSON at byte {at}")),
        TreeError::Depth => Fault::new(Kind::InvalidRequest, format!("body is nested deeper than {DEPTH_MAX} levels")),
    })?;
    let root = tree.root();
    let root = get(root, "generateContentRequest").unwrap_or(root);
    let fields = root.object().ok_or_else(|| Fault::new(Kind::InvalidRequest, "body is not a JSON object"))?;
    let mut chat = Chat { stream_usage: true, extra: Extra { dialect: Some(ID), ..Extra::default() }, ..Chat::default() };
    let mut has_contents = false;
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        let name = camel(name);
        has_contents |= name == "contents";
        decode_field(&mut chat, &name, value)?;
    }
    if !has_contents {
        return Err(wrong("contents", "is missing; give an array of contents"));
    }
    Ok(chat)
}

fn decode_field<'a>(chat: &mut Chat<'a>, name: &str, value: Json<'_, 'a>) -> Result<(), Fault> {
    match name {
        // It repeats the path; `models/` stands before the model's name.
        "model" => chat.model = value.str().map_or("", |model| model.rsplit_once("models/").map_or(model, |halves| halves.1)).into(),
        "contents" => chat.messages = decode_contents(value)?,
        "systemInstruction" => chat.system = decode_system(value)?,
        "generationConfig" => config_decode::decode(chat, value)?,
        "tools" => chat.tools = tools_decode::decode(value)?,
        "toolConfig" => tools_decode::decode_config(chat, value),
        "serviceTier" => chat.service_tier = value.str().map(tier),
        // The gateway's own field, never a provider's.
        "fallbacks" => {}
        _ => keep(chat, name, value.value()),
    }
    Ok(())
}

/// The hub speaks OpenAI's words for tiers. An enum's name may stand before the word.
fn tier(word: &str) -> std::borrow::Cow<'_, str> {
    let lower = word.strip_prefix("SERVICE_TIER_").unwrap_or(word).to_ascii_lowercase();
    if lower == "standard" { "default".into() } else { lower.into() }
}

pub(super) fn keep(chat: &mut Chat<'_>, name: &str, value: Value) {
    chat.extra.fields.insert(name.to_owned(), value);
}

/// A lone content, or a lone text, stands for a list of one.
fn decode_contents<'a>(value: Json<'_, 'a>) -> Result<Vec<Message<'a>>, Fault> {
    let mut ids = CallIds::default();
    each(value).enumerate().map(|(index, content)| decode_content(content, index, &mut ids)).collect()
}

fn decode_content<'a>(value: Json<'_, 'a>, index: usize, ids: &mut CallIds) -> Result<Message<'a>, Fault> {
    let mut message = Message { role: Role::User, parts: Vec::new(), name: None, extra: Extra::default() };
    if let Some(text) = value.str() {
        message.parts.push(crate::ir::Part::text(text));
        return Ok(message);
    }
    let fields = value.object().ok_or_else(|| wanted(format_args!("contents[{index}]"), "an object with role and parts", value))?;
    let mut rest = Map::new();
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        match name {
            "role" => {
                message.role = match value.str() {
                    // Results of functions once had a role of their own.
                    Some("user" | "function" | "") => Role::User,
                    Some("model") => Role::Assistant,
                    _ => return Err(wrong(format_args!("contents[{index}].role"), "is not known; write \"user\" or \"model\"")),
                }
            }
            "parts" => message.parts = decode_parts(value, &format_args!("contents[{index}].parts"), ids)?,
            _ => drop(rest.insert(camel(name).into_owned(), value.value())),
        }
    }
    message.extra = extra(rest);
    Ok(message)
}

/// A content whose role says nothing, or its text alone.
fn decode_system<'a>(value: Json<'_, 'a>) -> Result<Vec<crate::ir::Part<'a>>, Fault> {
    if let Some(text) = value.str() {
        return Ok(vec![crate::ir::Part::text(text)]);
    }
    if !value.is_object() {
        return Err(wanted("systemInstruction", "an object with parts", value));
    }
    match get(value, "parts") {
        Some(parts) => decode_parts(parts, &"systemInstruction.parts", &mut CallIds::default()),
        None => Ok(get_str(value, "text").map(crate::ir::Part::text).into_iter().collect()),
    }
}

/// The elements of a list; anything else stands for a list of one, as protobuf's JSON has it.
pub(super) fn each<'t, 'a>(value: Json<'t, 'a>) -> impl Iterator<Item = Json<'t, 'a>> {
    let alone = value.array().is_none().then_some(value);
    value.array().into_iter().flatten().chain(alone)
}

pub(super) fn wanted(path: impl Display, wanted: &str, value: Json<'_, '_>) -> Fault {
    wrong(path, &format!("is {}; write {wanted}", value.kind()))
}

pub(super) fn wrong(path: impl Display, what: &str) -> Fault {
    let mut fault = Fault::new(Kind::InvalidRequest, format!("{path} {what}"));
    fault.param = Some(path.to_string().into());
    fault
}
