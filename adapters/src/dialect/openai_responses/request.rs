//! Responses requests: body → hub.
//!
//! Input items of the assistant that stand in a row (reasoning, message, calls) are one turn of the hub, results in a row
//! another; each keeps its own members, so that the items stand apart again on the way back.

use serde_json::{Map, Value, json};

use super::{CUSTOM, ITEM, ME, PARAGRAPH, ROLE};
use crate::dialect::openai::{self, extra, field};
use crate::fault::Fault;
use crate::ir::{Chat, Extra, Message, Mode, OutputFormat, Part, PartKind, Reasoning, Role, Source, Tool, ToolChoice};
use crate::json::node::{Node, Object};

pub(super) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let mut object = field::body(body)?;
    // Usage comes unasked in this dialect.
    let mut chat = Chat { model: field::text(&mut object, "model")?.unwrap_or_default(), stream_usage: true, ..Chat::default() };
    if let Some(instructions) = object.take_text("instructions") {
        chat.system.push(Part::text(instructions));
    }
    match object.take("input") {
        None => {}
        Some(Node::Text(text)) => chat.messages.push(message(Role::User, vec![Part::text(text)])),
        Some(Node::List(items)) => {
            for (index, node) in items.into_iter().enumerate() {
                let item = node.into_object().ok_or_else(|| field::invalid(format!("input[{index}]"), "write an item object"))?;
                decode_item(item, index, &mut chat)?;
            }
        }
        Some(_) => return Err(field::invalid("input", "write a string or an array of items")),
    }
    decode_tools(&mut object, &mut chat)?;
    decode_tuning(&mut object, &mut chat)?;
    object.take_any("fallbacks");
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    private.fields.extend(std::mem::take(&mut chat.extra.fields));
    chat.extra = private;
    Ok(chat)
}

fn message(role: Role, parts: Vec<Part<'_>>) -> Message<'_> {
    Message { role, parts, name: None, extra: Extra::default() }
}

fn decode_tuning<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    if field::boolean(object, "stream")? == Some(true) {
        chat.stream = Mode::Stream;
    }
    chat.max_tokens = field::uint(object, "max_output_tokens")?;
    chat.temperature = field::float(object, "temperature")?;
    chat.top_p = field::float(object, "top_p")?;
    chat.user = field::text(object, "user")?;
    chat.service_tier = field::text(object, "service_tier")?;
    if let Some(mut reasoning) = object.take_object("reasoning") {
        let effort = reasoning.look_text("effort").and_then(openai::effort);
        if effort.is_some() {
            reasoning.take("effort");
        }
        let summary = reasoning.take_text("summary").map(|summary| summary.into_owned());
        if effort.is_some() || summary.is_some() {
            chat.reasoning = Some(Reasoning { effort, budget_tokens: None, summary });
        }
        keep(chat, "reasoning", reasoning);
    }
    if let Some(mut text) = object.take_object("text") {
        chat.output = decode_output(&mut text)?;
        keep(chat, "text", text);
    }
    Ok(())
}

/// What is left of a member that the hub knows in part.
fn keep(chat: &mut Chat<'_>, name: &str, rest: Object<'_>) {
    let rest: Map<String, Value> = rest.into_map().into_iter().filter(|(_, value)| !value.is_null()).collect();
    if !rest.is_empty() {
        chat.extra.fields.insert(name.to_owned(), Value::Object(rest));
    }
}

fn decode_output<'a>(text: &mut Object<'a>) -> Result<Option<OutputFormat<'a>>, Fault> {
    let kind = match text.look("format") {
        Some(Node::Object(format)) => format.look_text("type").map(str::to_owned),
        _ => return Ok(None),
    };
    match kind.as_deref() {
        Some("text") => {
            text.take("format");
            Ok(Some(OutputFormat::Text))
        }
        Some("json_object") => {
            text.take("format");
            Ok(Some(OutputFormat::JsonObject))
        }
        Some("json_schema") => {
            let mut format = text.take_object("format").unwrap_or_default();
            Ok(Some(OutputFormat::JsonSchema {
                name: format.take_text("name").ok_or_else(|| field::invalid("text.format.name", "write the schema's name"))?,
                description: format.take_text("description"),
                schema: format.take("schema").map_or(Value::Null, Node::into_value),
                strict: format.take("strict").and_then(|node| node.as_bool()),
            }))
        }
        _ => Ok(None),
    }
}

fn decode_tools<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    for (index, node) in field::list(object, "tools")?.unwrap_or_default().into_iter().enumerate() {
        let tool = node.into_object().ok_or_else(|| field::invalid(format!("tools[{index}]"), "write an object"))?;
        chat.tools.push(decode_tool(tool, index)?);
    }
    chat.parallel_tool_calls = field::boolean(object, "parallel_tool_calls")?;
    chat.tool_choice = match object.take("tool_choice") {
        None => None,
        Some(Node::Text(word)) => match word.as_ref() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" => Some(ToolChoice::Required),
            _ => return Err(field::invalid("tool_choice", "write none, auto, required or an object that names a tool")),
        },
        Some(Node::Object(mut choice)) => Some(decode_tool_choice(&mut choice).unwrap_or_else(|| {
            chat.extra.fields.insert("tool_choice".into(), Value::Object(std::mem::take(&mut choice).into_map()));
            ToolChoice::Private
        })),
        Some(_) => return Err(field::invalid("tool_choice", "write none, auto, required or an object that names a tool")),
    };
    Ok(())
}

fn decode_tool_choice<'a>(choice: &mut Object<'a>) -> Option<ToolChoice<'a>> {
    if choice.look_text("type") != Some("function") {
        return None;
    }
    let nested = choice.take_object("function").and_then(|mut function| function.take_text("name"));
    nested.or_else(|| choice.take_text("name")).map(ToolChoice::Tool)
}

fn decode_tool<'a>(mut tool: Object<'a>, index: usize) -> Result<Tool<'a>, Fault> {
    let kind = tool.look_text("type").unwrap_or("function").to_owned();
    if kind != "function" {
        let name = tool.look_text("name").unwrap_or(&kind).to_owned();
        return Ok(Tool {
            name: name.into(),
            description: None,
            parameters: None,
            strict: None,
            cache: None,
            extra: extra::rest(ME, tool),
        });
    }
    tool.take("type");
    // Some clients send the chat dialect's nested form.
    let mut function = tool.take_object("function").unwrap_or(tool);
    Ok(Tool {
        name: function.take_text("name").ok_or_else(|| field::invalid(format!("tools[{index}].name"), "write the function's name"))?,
        description: function.take_text("description"),
        parameters: Some(function.take("parameters").map_or_else(|| json!({"type": "object", "properties": {}}), Node::into_value)),
        strict: function.take("strict").and_then(|node| node.as_bool()),
        cache: None,
        extra: extra::rest(ME, function),
    })
}

fn decode_item<'a>(mut item: Object<'a>, index: usize, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let kind = item.look_text("type").unwrap_or(if item.look("role").is_some() { "message" } else { "" }).to_owned();
    match kind.as_str() {
        "message" => return decode_message(item, index, chat),
        "function_call" | "custom_tool_call" => {
            let custom = kind == "custom_tool_call";
            item.take("type");
            let id = item.take_text("call_id").ok_or_else(|| field::invalid(format!("input[{index}].call_id"), "write the call's id"))?;
            let name = item.take_text("name").ok_or_else(|| field::invalid(format!("input[{index}].name"), "write the tool's name"))?;
            let arguments = item.take_text(if custom { "input" } else { "arguments" }).unwrap_or_default();
            push(chat, Role::Assistant, part(PartKind::ToolCall { id, name, arguments }, item, custom));
        }
        "function_call_output" | "custom_tool_call_output" => {
            let custom = kind == "custom_tool_call_output";
            item.take("type");
            let call_id = item
                .take_text("call_id")
                .ok_or_else(|| field::invalid(format!("input[{index}].call_id"), "write the id of the call that this answers"))?;
            let parts = decode_content(item.take("output"), index)?;
            push(chat, Role::User, part(PartKind::ToolResult { call_id, parts, is_error: false }, item, custom));
        }
        "reasoning" => {
            let texts = match item.look("summary") {
                Some(Node::List(list)) => {
                    list.iter().filter_map(|node| if let Node::Object(part) = node { part.look_text("text") } else { None }).collect()
                }
                _ => Vec::new(),
            };
            let text = texts.join(PARAGRAPH);
            // Its seal is valid at its own provider alone, so it is no signature to the hub.
            let kind = PartKind::Thinking { text: text.into(), signature: None };
            push(chat, Role::Assistant, Part { kind, cache: None, extra: extra::rest(ME, item) });
        }
        "" => return Err(field::invalid(format!("input[{index}]"), "write a type or a role")),
        kind => {
            let role = if kind.ends_with("_output") || kind == "mcp_approval_response" { Role::User } else { Role::Assistant };
            push(chat, role, Part { kind: PartKind::Private, cache: None, extra: extra::rest(ME, item) });
        }
    }
    Ok(())
}

fn part<'a>(kind: PartKind<'a>, item: Object<'a>, custom: bool) -> Part<'a> {
    let mut extra = Extra { dialect: Some(ME), ..Extra::default() };
    if !item.is_empty() {
        extra.fields.insert(ITEM.into(), Value::Object(item.into_map()));
    }
    if custom {
        extra.fields.insert(CUSTOM.into(), Value::Bool(true));
    }
    Part { kind, cache: None, extra }
}

/// Into the last turn where it is of the same kind, else into a new one. Results do not join what a user said.
fn push<'a>(chat: &mut Chat<'a>, role: Role, part: Part<'a>) {
    let is_answer = |part: &Part<'_>| matches!(part.kind, PartKind::ToolResult { .. } | PartKind::Private);
    match chat.messages.last_mut() {
        Some(last) if last.role == role && (role == Role::Assistant || last.parts.iter().all(is_answer)) => last.parts.push(part),
        _ => chat.messages.push(message(role, vec![part])),
    }
}

fn decode_message<'a>(mut item: Object<'a>, index: usize, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let role = item.take_text("role").ok_or_else(|| field::invalid(format!("input[{index}].role"), "write the message's role"))?;
    item.take("type");
    let mut parts = decode_content(item.take("content"), index)?;
    match role.as_ref() {
        "system" | "developer" if chat.messages.is_empty() => {
            if let Some(first) = parts.first_mut() {
                extra::put(&mut first.extra, ME, ROLE, Value::String(role.into_owned()));
                extra::put(&mut first.extra, ME, ITEM, Value::Object(item.into_map()));
            }
            chat.system.append(&mut parts);
        }
        "system" | "developer" => {
            let mut message = message(Role::System, parts);
            message.extra = extra::rest(ME, item);
            if role == "developer" {
                extra::put(&mut message.extra, ME, ROLE, Value::String(role.into_owned()));
            }
            chat.messages.push(message);
        }
        "user" => {
            let mut message = message(Role::User, parts);
            message.extra = extra::rest(ME, item);
            chat.messages.push(message);
        }
        "assistant" => {
            if let Some(first) = parts.first_mut() {
                extra::put(&mut first.extra, ME, ITEM, Value::Object(item.into_map()));
            }
            parts.into_iter().for_each(|part| push(chat, Role::Assistant, part));
        }
        _ => return Err(field::invalid(format!("input[{index}].role"), "write user, assistant, system or developer")),
    }
    Ok(())
}

fn decode_content<'a>(content: Option<Node<'a>>, index: usize) -> Result<Vec<Part<'a>>, Fault> {
    match content {
        None => Ok(Vec::new()),
        Some(Node::Text(text)) => Ok(vec![Part::text(text)]),
        Some(Node::List(list)) => list
            .into_iter()
            .map(|node| {
                node.into_object()
                    .map(decode_part)
                    .ok_or_else(|| field::invalid(format!("input[{index}].content"), "write parts with a type"))
            })
            .collect(),
        Some(_) => Err(field::invalid(format!("input[{index}].content"), "write a string or an array of parts")),
    }
}

fn decode_part(mut object: Object<'_>) -> Part<'_> {
    match known_part(&mut object) {
        Some(kind) => {
            object.take("type");
            Part { kind, cache: None, extra: extra::rest(ME, object) }
        }
        None => Part { kind: PartKind::Private, cache: None, extra: extra::rest(ME, object) },
    }
}

fn known_part<'a>(object: &mut Object<'a>) -> Option<PartKind<'a>> {
    match object.look_text("type")? {
        "input_text" | "output_text" | "text" => object.take_text("text").map(PartKind::Text),
        "refusal" => object.take_text("refusal").map(PartKind::Refusal),
        "input_image" => {
            let source = match object.take_text("image_url") {
                Some(url) => field::source(url),
                None => Source::FileId(object.take_text("file_id")?),
            };
            Some(PartKind::Image { source, detail: object.take_text("detail") })
        }
        "input_file" => {
            let source = if let Some(data) = object.take_text("file_data") {
                field::source(data)
            } else if let Some(url) = object.take_text("file_url") {
                Source::Url(url)
            } else {
                Source::FileId(object.take_text("file_id")?)
            };
            Some(PartKind::Document { source, name: object.take_text("filename") })
        }
        "input_audio" => {
            let mut audio = object.take_object("input_audio")?;
            let format = audio.take_text("format")?;
            let source = Source::Base64 { media_type: format!("audio/{format}").into(), data: audio.take_text("data")? };
            Some(PartKind::Audio { source, format })
        }
        _ => None,
    }
}
