//! A Messages request → the hub. `max_tokens` may be absent, so that a count_tokens body reads too.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::blocks::decode_parts;
use super::reasoning::{effort_of, word_of};
use super::{ID, extra};
use crate::fault::{Fault, Kind};
use crate::ir::{CacheMark, Chat, Effort, Extra, Message, Mode, OutputFormat, Reasoning, Role, Tool, ToolChoice};
use crate::json::tree::{DEPTH_MAX, Json, Tree, TreeError};

pub(in crate::dialect) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let tree = Tree::parse(body).map_err(|error| match error {
        TreeError::Syntax { at } => Fault::new(Kind::InvalidRequest, format!("body is not valid JSON at byte {at}")),
        TreeError::Depth => Fault::new(Kind::InvalidRequest, format!("body is nested deeper than {DEPTH_MAX} levels")),
    })?;
    let fields = tree.root().object().ok_or_else(|| Fault::new(Kind::InvalidRequest, "body is not a JSON object"))?;
    let mut chat = Chat { stream_usage: true, extra: Extra { dialect: Some(ID), ..Extra::default() }, ..Chat::default() };
    let mut has_messages = false;
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        has_messages |= name == "messages";
        decode_field(&mut chat, name, value)?;
    }
    // Where the path names the model (Vertex, Bedrock), the body has a version in its place.
    if chat.model.is_empty() && !chat.extra.fields.contains_key("anthropic_version") {
        return Err(wrong("model", "is missing; name a model"));
    }
    if !has_messages {
        return Err(wrong("messages", "is missing; give an array of messages"));
    }
    Ok(chat)
}

fn decode_field<'a>(chat: &mut Chat<'a>, name: &str, value: Json<'_, 'a>) -> Result<(), Fault> {
    match name {
        "model" => chat.model = string(value, name)?,
        "messages" => chat.messages = decode_messages(value)?,
        "system" => chat.system = decode_parts(value, &name)?,
        "max_tokens" => chat.max_tokens = Some(value.u64().ok_or_else(|| wanted(name, "a whole number", value))?),
        "stream" => chat.stream = if boolean(value, name)? { Mode::Stream } else { Mode::Whole },
        "temperature" => chat.temperature = Some(number(value, name)?),
        "top_p" => chat.top_p = Some(number(value, name)?),
        "top_k" => chat.top_k = Some(value.u64().ok_or_else(|| wanted(name, "a whole number", value))?),
        "stop_sequences" => {
            let stops = value.array().ok_or_else(|| wanted(name, "an array of strings", value))?;
            chat.stop = stops.map(|stop| string(stop, name)).collect::<Result<_, _>>()?;
        }
        "tools" => {
            let tools = value.array().ok_or_else(|| wanted(name, "an array of tools", value))?;
            chat.tools = tools.enumerate().map(|(index, tool)| decode_tool(tool, index)).collect::<Result<_, _>>()?;
        }
        "tool_choice" => decode_tool_choice(chat, value)?,
        "metadata" => decode_metadata(chat, value),
        "thinking" => decode_thinking(chat, value),
        "output_config" => decode_output_config(chat, value),
        "output_format" => match output_format(value) {
            Some(format) => chat.output = Some(format),
            None => keep(chat, name, value.value()),
        },
        "service_tier" => chat.service_tier = Some(service_tier(string(value, name)?)),
        // The gateway's own field, never a provider's.
        "fallbacks" => {}
        _ => keep(chat, name, value.value()),
    }
    Ok(())
}

fn keep(chat: &mut Chat<'_>, name: &str, value: Value) {
    chat.extra.fields.insert(name.to_owned(), value);
}

/// The hub speaks OpenAI's words for tiers; `standard_only` is what they call `default`.
fn service_tier(tier: Cow<'_, str>) -> Cow<'_, str> {
    if tier == "standard_only" { Cow::Borrowed("default") } else { tier }
}

fn decode_messages<'a>(value: Json<'_, 'a>) -> Result<Vec<Message<'a>>, Fault> {
    let messages = value.array().ok_or_else(|| wanted("messages", "an array of messages", value))?;
    messages.enumerate().map(|(index, message)| decode_message(message, index)).collect()
}

fn decode_message<'a>(value: Json<'_, 'a>, index: usize) -> Result<Message<'a>, Fault> {
    let fields = value.object().ok_or_else(|| wanted(format_args!("messages[{index}]"), "an object with role and content", value))?;
    let mut message = Message { role: Role::User, parts: Vec::new(), name: None, extra: Extra::default() };
    let (mut role, mut has_content, mut rest) = (None, false, Map::new());
    for (name, value) in fields {
        match name {
            "role" => role = value.str(),
            "content" => {
                has_content = true;
                message.parts = decode_parts(value, &format_args!("messages[{index}].content"))?;
            }
            _ => drop(rest.insert(name.to_owned(), value.value())),
        }
    }
    message.role = match role {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(wrong(format_args!("messages[{index}].role"), "is not known; write \"user\" or \"assistant\"")),
    };
    if !has_content {
        return Err(wrong(format_args!("messages[{index}].content"), "is missing; give a string or an array of blocks"));
    }
    message.extra = extra(rest);
    Ok(message)
}

fn decode_tool<'a>(value: Json<'_, 'a>, index: usize) -> Result<Tool<'a>, Fault> {
    let fields = value.object().ok_or_else(|| wanted(format_args!("tools[{index}]"), "an object", value))?;
    let mut tool =
        Tool { name: Cow::Borrowed(""), description: None, parameters: None, strict: None, cache: None, extra: Extra::default() };
    tool.name = value.get_str("name").unwrap_or_default().into();
    if value.get("input_schema").is_none() {
        // A server tool, typed by the provider: carried whole.
        tool.extra = Extra { dialect: Some(ID), fields: fields.map(|(name, value)| (name.to_owned(), value.value())).collect() };
        return Ok(tool);
    }
    if tool.name.is_empty() {
        return Err(wrong(format_args!("tools[{index}].name"), "is missing; name the tool"));
    }
    let mut rest = Map::new();
    for (name, value) in fields {
        match name {
            "name" => {}
            "description" if value.str().is_some() => tool.description = value.str().map(Cow::Borrowed),
            "input_schema" => tool.parameters = Some(value.value()),
            "strict" if value.bool().is_some() => tool.strict = value.bool(),
            "cache_control" if cache_mark(value).is_some() => tool.cache = cache_mark(value),
            _ => drop(rest.insert(name.to_owned(), value.value())),
        }
    }
    tool.extra = extra(rest);
    Ok(tool)
}

fn decode_tool_choice<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>) -> Result<(), Fault> {
    let choice = match value.get_str("type") {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => match value.get_str("name") {
            Some(name) => ToolChoice::Tool(name.into()),
            None => return Err(wrong("tool_choice.name", "is missing; name the tool")),
        },
        Some(_) => {
            keep(chat, "tool_choice", value.value());
            ToolChoice::Private
        }
        None => return Err(wanted("tool_choice", "an object with a type", value)),
    };
    chat.parallel_tool_calls = value.get("disable_parallel_tool_use").and_then(Json::bool).map(|disabled| !disabled);
    chat.tool_choice = Some(choice);
    Ok(())
}

fn decode_metadata<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>) {
    let mut rest = Map::new();
    for (name, value) in value.object().into_iter().flatten() {
        match value.str() {
            Some(user) if name == "user_id" => chat.user = Some(user.into()),
            _ => drop(rest.insert(name.to_owned(), value.value())),
        }
    }
    if !rest.is_empty() {
        keep(chat, "metadata", rest.into());
    }
}

/// A budget or "disabled" is the hub's; `adaptive` and `display` stay private, as the hub has no word for them.
fn decode_thinking(chat: &mut Chat<'_>, value: Json<'_, '_>) {
    let budget_tokens = value.get("budget_tokens").and_then(Json::u64);
    let reasoning = chat.reasoning.get_or_insert_with(Reasoning::default);
    let is_plain = value.object().is_some_and(|fields| fields.count() <= 2);
    match (value.get_str("type"), budget_tokens) {
        (Some("enabled"), Some(_)) => {
            reasoning.budget_tokens = budget_tokens;
            if !is_plain {
                keep(chat, "thinking", value.value());
            }
        }
        (Some("disabled"), None) if value.object().is_some_and(|fields| fields.count() == 1) => reasoning.effort = Some(Effort::None),
        _ => keep(chat, "thinking", value.value()),
    }
    let summarized = value.get_str("display") == Some("summarized");
    if let (true, Some(reasoning)) = (summarized, chat.reasoning.as_mut()) {
        reasoning.summary = Some("auto".to_owned());
    }
}

fn decode_output_config<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>) {
    let mut rest = Map::new();
    for (name, value) in value.object().into_iter().flatten() {
        match name {
            "effort" => {
                let effort = value.str().and_then(effort_of);
                let reasoning = chat.reasoning.get_or_insert_with(Reasoning::default);
                if reasoning.effort.is_none() {
                    reasoning.effort = effort;
                }
                // A word that the hub would write otherwise (`xhigh`) is kept for its own dialect.
                if effort.and_then(word_of) != value.str() {
                    rest.insert(name.to_owned(), value.value());
                }
            }
            "format" => match output_format(value) {
                Some(format) => chat.output = Some(format),
                None => drop(rest.insert(name.to_owned(), value.value())),
            },
            _ => drop(rest.insert(name.to_owned(), value.value())),
        }
    }
    if !rest.is_empty() {
        keep(chat, "output_config", rest.into());
    }
}

fn output_format<'a>(value: Json<'_, '_>) -> Option<OutputFormat<'a>> {
    let is_schema = value.get_str("type") == Some("json_schema") && value.object()?.count() == 2;
    let schema = value.get("schema")?;
    is_schema.then(|| OutputFormat::JsonSchema { name: "response".into(), description: None, schema: schema.value(), strict: Some(true) })
}

/// The cache mark that `cache_control` is, if the hub has a word for it.
pub(super) fn cache_mark(value: Json<'_, '_>) -> Option<CacheMark> {
    let is_known = value.get_str("type") == Some("ephemeral") && value.object()?.all(|(name, _)| matches!(name, "type" | "ttl"));
    match value.get("ttl").map(|ttl| ttl.str()) {
        None | Some(Some("5m")) if is_known => Some(CacheMark::Minutes5),
        Some(Some("1h")) if is_known => Some(CacheMark::Hour1),
        _ => None,
    }
}

pub(super) fn cache_control(mark: CacheMark) -> Value {
    match mark {
        CacheMark::Minutes5 => json!({"type": "ephemeral"}),
        CacheMark::Hour1 => json!({"type": "ephemeral", "ttl": "1h"}),
    }
}

fn string<'a>(value: Json<'_, 'a>, path: &str) -> Result<Cow<'a, str>, Fault> {
    value.str().map(Cow::Borrowed).ok_or_else(|| wanted(path, "a string", value))
}

fn boolean(value: Json<'_, '_>, path: &str) -> Result<bool, Fault> {
    value.bool().ok_or_else(|| wanted(path, "true or false", value))
}

fn number(value: Json<'_, '_>, path: &str) -> Result<f64, Fault> {
    value.f64().ok_or_else(|| wanted(path, "a number", value))
}

pub(in crate::dialect) fn wanted(path: impl Display, wanted: &str, value: Json<'_, '_>) -> Fault {
    wrong(path, &format!("is {}; write {wanted}", value.kind()))
}

pub(in crate::dialect) fn wrong(path: impl Display, what: &str) -> Fault {
    let mut fault = Fault::new(Kind::InvalidRequest, format!("{path} {what}"));
    fault.param = Some(path.to_string().into());
    fault
}
