//! A Converse request → the hub. The model and the mode are the path's to say.

use std::borrow::Cow;

use serde_json::Value;

use super::block::decode_parts;
use super::fields::{MODEL_FIELD, cache_mark};
use super::{ID, rest};
use crate::dialect::anthropic::reasoning::{effort_of, effort_of_budget};
use crate::dialect::anthropic::request_decode::{wanted, wrong};
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Effort, Extra, Message, OutputFormat, Reasoning, Role, Tool, ToolChoice};
use crate::json::tree::{DEPTH_MAX, Json, Tree, TreeError};

pub(super) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let tree = Tree::parse(body).map_err(|error| match error {
        TreeError::Syntax { at } => Fault::new(Kind::InvalidRequest, format!("body is not valid JSON at byte {at}")),
        TreeError::Depth => Fault::new(Kind::InvalidRequest, format!("body is nested deeper than {DEPTH_MAX} levels")),
    })?;
    decode_tree(tree.root())
}

fn decode_tree<'a>(root: Json<'_, 'a>) -> Result<Chat<'a>, Fault> {
    let fields = root.object().ok_or_else(|| Fault::new(Kind::InvalidRequest, "body is not a JSON object"))?;
    let mut chat = Chat { stream_usage: true, extra: Extra { dialect: Some(ID), ..Extra::default() }, ..Chat::default() };
    let mut has_messages = false;
    for (name, value) in fields.filter(|field| !field.1.is_null()) {
        has_messages |= name == "messages";
        decode_field(&mut chat, name, value)?;
    }
    if !has_messages {
        return Err(wrong("messages", "is missing; give an array of messages"));
    }
    Ok(chat)
}

fn decode_field<'a>(chat: &mut Chat<'a>, name: &str, value: Json<'_, 'a>) -> Result<(), Fault> {
    match name {
        "messages" => {
            let messages = value.array().ok_or_else(|| wanted(name, "an array of messages", value))?;
            chat.messages = messages.enumerate().map(|(index, message)| decode_message(message, index)).collect::<Result<_, _>>()?;
        }
        "system" => chat.system = decode_parts(value, &name)?,
        "inferenceConfig" => decode_inference(chat, value)?,
        "toolConfig" => decode_tools(chat, value)?,
        "additionalModelRequestFields" => decode_model_fields(chat, value),
        "outputConfig" => match decode_output(value) {
            Some(output) => chat.output = Some(output),
            None => keep(chat, name, value.value()),
        },
        "serviceTier" => match value.get_str("type").filter(|_| value.object().is_some_and(|fields| fields.count() == 1)) {
            Some(tier) => chat.service_tier = Some(tier.into()),
            None => keep(chat, name, value.value()),
        },
        // The gateway's own field, never a provider's.
        "fallbacks" => {}
        _ => keep(chat, name, value.value()),
    }
    Ok(())
}

fn keep(chat: &mut Chat<'_>, name: &str, value: Value) {
    chat.extra.fields.insert(name.to_owned(), value);
}

fn decode_message<'a>(value: Json<'_, 'a>, index: usize) -> Result<Message<'a>, Fault> {
    let role = match value.get_str("role") {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(wrong(format_args!("messages[{index}].role"), "is not known; write \"user\" or \"assistant\"")),
    };
    let path = format_args!("messages[{index}].content");
    let content = value.get("content").ok_or_else(|| wrong(path, "is missing; give an array of content blocks"))?;
    Ok(Message { role, parts: decode_parts(content, &path)?, name: None, extra: rest(value, &["role", "content"]) })
}

fn decode_inference<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>) -> Result<(), Fault> {
    let fields = value.object().ok_or_else(|| wanted("inferenceConfig", "an object", value))?;
    for (name, value) in fields.filter(|field| !field.1.is_null()) {
        let path = format_args!("inferenceConfig.{name}");
        match name {
            "maxTokens" => chat.max_tokens = Some(value.u64().ok_or_else(|| wanted(path, "a whole number", value))?),
            "temperature" => chat.temperature = Some(value.f64().ok_or_else(|| wanted(path, "a number", value))?),
            "topP" => chat.top_p = Some(value.f64().ok_or_else(|| wanted(path, "a number", value))?),
            "stopSequences" => {
                let stops = value.array().ok_or_else(|| wanted(path, "an array of strings", value))?;
                let text = |stop: Json<'_, 'a>| stop.str().map(Cow::Borrowed).ok_or_else(|| wanted(path, "an array of strings", stop));
                chat.stop = stops.map(text).collect::<Result<_, _>>()?;
            }
            _ => {
                let kept = chat.extra.fields.entry("inferenceConfig").or_insert_with(|| Value::Object(Default::default()));
                kept[name] = value.value();
            }
        }
    }
    Ok(())
}

fn decode_tools<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>) -> Result<(), Fault> {
    let fields = value.object().ok_or_else(|| wanted("toolConfig", "an object", value))?;
    for (name, value) in fields.filter(|field| !field.1.is_null()) {
        match name {
            "tools" => {
                let tools = value.array().ok_or_else(|| wanted("toolConfig.tools", "an array of tools", value))?;
                for (index, tool) in tools.enumerate() {
                    decode_tool(chat, tool, index)?;
                }
            }
            "toolChoice" => chat.tool_choice = Some(decode_tool_choice(chat, value)?),
            _ => keep(chat, &format!("toolConfig.{name}"), value.value()),
        }
    }
    Ok(())
}

fn decode_tool<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>, index: usize) -> Result<(), Fault> {
    let mark = value.get("cachePoint").and_then(cache_mark);
    if let (Some(mark), Some(last)) = (mark, chat.tools.last_mut().filter(|last| last.cache.is_none())) {
        last.cache = Some(mark);
        return Ok(());
    }
    let mut tool =
        Tool { name: Cow::Borrowed(""), description: None, parameters: None, strict: None, cache: None, extra: Extra::default() };
    match value.get("toolSpec") {
        Some(spec) => {
            let missing = || wrong(format_args!("toolConfig.tools[{index}].toolSpec.name"), "is missing; name the tool");
            tool.name = spec.get_str("name").ok_or_else(missing)?.into();
            tool.description = spec.get_str("description").map(Cow::Borrowed);
            tool.parameters = spec.get("inputSchema").and_then(|schema| schema.get("json")).map(Json::value);
            // One without a schema takes no arguments; a tool without parameters would be the provider's own.
            tool.parameters.get_or_insert_with(|| serde_json::json!({"type": "object", "properties": {}}));
            tool.strict = spec.get("strict").and_then(Json::bool);
            tool.extra = rest(spec, &["name", "description", "inputSchema", "strict"]);
        }
        // A system tool of the provider's own, or a mark that the hub has no word for: carried whole.
        None => {
            tool.name = value.get("systemTool").and_then(|tool| tool.get_str("name")).unwrap_or_default().into();
            tool.extra = rest(value, &[]);
        }
    }
    chat.tools.push(tool);
    Ok(())
}

fn decode_tool_choice<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>) -> Result<ToolChoice<'a>, Fault> {
    let mut fields = value.object().ok_or_else(|| wanted("toolConfig.toolChoice", "an object", value))?;
    match fields.next() {
        Some(("auto", _)) => Ok(ToolChoice::Auto),
        Some(("any", _)) => Ok(ToolChoice::Required),
        Some(("tool", tool)) => match tool.get_str("name") {
            Some(name) => Ok(ToolChoice::Tool(name.into())),
            None => Err(wrong("toolConfig.toolChoice.tool.name", "is missing; name the tool")),
        },
        _ => {
            keep(chat, "toolChoice", value.value());
            Ok(ToolChoice::Private)
        }
    }
}

/// What the hub has words for of the fields that each model has for itself: thinking and top_k. What it has a word for only in
/// part rides along as it came, too.
fn decode_model_fields<'a>(chat: &mut Chat<'a>, value: Json<'_, 'a>) {
    let Some(fields) = value.object() else { return keep(chat, "additionalModelRequestFields", value.value()) };
    for (name, value) in fields {
        let is_taken = match name {
            "top_k" => {
                chat.top_k = value.u64();
                chat.top_k.is_some()
            }
            "thinking" | "reasoning_config" => note_thinking(chat, value) && name == "thinking",
            "reasoning_effort" => {
                note_effort(chat, value.str());
                false
            }
            "output_config" => {
                note_effort(chat, value.get_str("effort"));
                false
            }
            _ => false,
        };
        if !is_taken {
            keep(chat, &format!("{MODEL_FIELD}{name}"), value.value());
        }
    }
}

fn note_effort(chat: &mut Chat<'_>, word: Option<&str>) {
    if let Some(effort) = word.and_then(effort_of) {
        chat.reasoning.get_or_insert_with(Reasoning::default).effort = Some(effort);
    }
}

/// Whether the hub holds all that it says.
fn note_thinking(chat: &mut Chat<'_>, value: Json<'_, '_>) -> bool {
    if value.str().is_some() {
        note_effort(chat, value.str());
        return false;
    }
    let budget_tokens = value.get("budget_tokens").and_then(Json::u64);
    let field_count = value.object().map_or(0, |fields| fields.count());
    let reasoning = chat.reasoning.get_or_insert_with(Reasoning::default);
    if value.get_str("display") == Some("summarized") {
        reasoning.summary = Some("auto".to_owned());
    }
    match value.get_str("type") {
        Some("enabled") if budget_tokens.is_some() => {
            reasoning.budget_tokens = budget_tokens;
            field_count == 2
        }
        Some("disabled") => {
            reasoning.effort = Some(Effort::None);
            field_count == 1
        }
        Some("adaptive") => {
            // Beside an `output_config`, which says how much.
            reasoning.effort.get_or_insert(effort_of_budget(ADAPTIVE_TOKENS));
            false
        }
        _ => false,
    }
}

/// What adaptive thinking takes where nobody says how much.
// platform.claude.com/docs/en/build-with-claude/effort: `high` is the default; read 2026-11-20
const ADAPTIVE_TOKENS: u64 = 16_384;

/// `{"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "…", "name", "description"}}}}`.
fn decode_output<'a>(value: Json<'_, 'a>) -> Option<OutputFormat<'a>> {
    let format = value.get("textFormat").filter(|_| value.object().is_some_and(|fields| fields.count() == 1))?;
    let schema = format.get("structure")?.get("jsonSchema")?;
    let is_schema = format.get_str("type") == Some("json_schema");
    let parsed: Value = serde_json::from_str(schema.get_str("schema")?).ok()?;
    is_schema.then(|| OutputFormat::JsonSchema {
        name: schema.get_str("name").unwrap_or_default().into(),
        description: schema.get_str("description").map(Cow::Borrowed),
        schema: parsed,
        strict: Some(true),
    })
}
