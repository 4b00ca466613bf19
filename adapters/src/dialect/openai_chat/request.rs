//! Chat requests: body → hub.
//!
//! Normalised on the way: `max_tokens` and `max_completion_tokens` are one bound; a lone text part is a plain string;
//! tool messages in a row are one user turn of results; known members that are `null` or `false` are absent.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{CUSTOM, LEGACY, ME, MEMBERS, NAME, ROLE, TOOL, UNNAMED};
use crate::dialect::openai::{self, extra, field};
use crate::fault::Fault;
use crate::ir::{Chat, Extra, Logprobs, Message, Mode, OutputFormat, Part, PartKind, Reasoning, Role, Source, Tool, ToolChoice};
use crate::json::node::{Node, Object};

pub(super) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let mut object = field::body(body)?;
    let mut chat = Chat { model: field::text(&mut object, "model")?.unwrap_or_default(), ..Chat::default() };
    let messages = field::list(&mut object, "messages")?.ok_or_else(|| field::invalid("messages", "write an array of messages"))?;
    decode_messages(messages, &mut chat)?;
    decode_tools(&mut object, &mut chat)?;
    decode_tuning(&mut object, &mut chat)?;
    decode_stream(&mut object, &mut chat)?;
    // The gateway's own field, never a provider's.
    object.take_any("fallbacks");
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    private.fields.extend(std::mem::take(&mut chat.extra.fields));
    chat.extra = private;
    Ok(chat)
}

fn decode_stream(object: &mut Object<'_>, chat: &mut Chat<'_>) -> Result<(), Fault> {
    if field::boolean(object, "stream")? == Some(true) {
        chat.stream = Mode::Stream;
    }
    if let Some(mut options) = object.take_object("stream_options") {
        chat.stream_usage = options.take("include_usage").and_then(|node| node.as_bool()) == Some(true);
        if !options.is_empty() {
            chat.extra.fields.insert("stream_options".into(), Value::Object(options.into_map()));
        }
    }
    Ok(())
}

fn decode_tuning<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let newer = field::uint(object, "max_completion_tokens")?;
    chat.max_tokens = newer.or(field::uint(object, "max_tokens")?);
    chat.temperature = field::float(object, "temperature")?;
    chat.top_p = field::float(object, "top_p")?;
    chat.top_k = object.take_u64("top_k");
    chat.frequency_penalty = field::float(object, "frequency_penalty")?;
    chat.presence_penalty = field::float(object, "presence_penalty")?;
    // Mistral's name for it.
    chat.seed = field::int(object, "seed")?.or(field::int(object, "random_seed")?);
    chat.n = field::uint32(object, "n")?;
    chat.user = field::text(object, "user")?;
    chat.service_tier = field::text(object, "service_tier")?;
    chat.stop = match object.take("stop") {
        None => Vec::new(),
        Some(Node::Text(stop)) => vec![stop],
        Some(Node::List(stops)) => stops
            .into_iter()
            .map(Node::into_text)
            .collect::<Option<_>>()
            .ok_or_else(|| field::invalid("stop", "write a string or an array of strings"))?,
        Some(_) => return Err(field::invalid("stop", "write a string or an array of strings")),
    };
    let logprobs = field::boolean(object, "logprobs")?;
    if logprobs == Some(true) {
        chat.logprobs = Some(Logprobs { top: field::uint32(object, "top_logprobs")? });
    }
    if let Some(effort) = object.look_text("reasoning_effort").and_then(openai::effort) {
        object.take("reasoning_effort");
        chat.reasoning = Some(Reasoning { effort: Some(effort), ..Reasoning::default() });
    }
    chat.output = decode_output(object)?;
    Ok(())
}

fn decode_output<'a>(object: &mut Object<'a>) -> Result<Option<OutputFormat<'a>>, Fault> {
    let kind = match object.look("response_format") {
        Some(Node::Object(format)) => format.look_text("type").map(str::to_owned),
        _ => return Ok(None),
    };
    match kind.as_deref() {
        Some("text") => {
            object.take("response_format");
            Ok(Some(OutputFormat::Text))
        }
        Some("json_object") => {
            object.take("response_format");
            Ok(Some(OutputFormat::JsonObject))
        }
        Some("json_schema") => {
            let mut format = object.take_object("response_format").unwrap_or_default();
            let wrapped = format.take_object("json_schema");
            let mut schema =
                wrapped.ok_or_else(|| field::invalid("response_format.json_schema", "write an object with name and schema"))?;
            Ok(Some(OutputFormat::JsonSchema {
                name: schema.take_text("name").unwrap_or_default(),
                description: schema.take_text("description"),
                schema: schema.take("schema").map_or(Value::Null, Node::into_value),
                strict: schema.take("strict").and_then(|node| node.as_bool()),
            }))
        }
        // Another form (a grammar) stays the dialect's own.
        _ => Ok(None),
    }
}

fn decode_tools<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    for (index, node) in field::list(object, "tools")?.unwrap_or_default().into_iter().enumerate() {
        let tool = node.into_object().ok_or_else(|| field::invalid(format!("tools[{index}]"), "write an object"))?;
        chat.tools.push(decode_tool(tool, index)?);
    }
    for (index, node) in field::list(object, "functions")?.unwrap_or_default().into_iter().enumerate() {
        let function = node.into_object().ok_or_else(|| field::invalid(format!("functions[{index}]"), "write an object"))?;
        let mut tool = decode_function(function, || format!("functions[{index}].name"))?;
        extra::put(&mut tool.extra, ME, LEGACY, Value::Bool(true));
        chat.tools.push(tool);
    }
    chat.parallel_tool_calls = field::boolean(object, "parallel_tool_calls")?;
    let legacy = object.take("function_call");
    chat.tool_choice = match object.take("tool_choice").or(legacy) {
        None => None,
        Some(node) => Some(decode_tool_choice(node, chat)?),
    };
    Ok(())
}

fn decode_tool<'a>(mut tool: Object<'a>, index: usize) -> Result<Tool<'a>, Fault> {
    if let Some(function) = tool.take_object("function") {
        let mut decoded = decode_function(function, || format!("tools[{index}].function.name"))?;
        tool.take("type");
        if !tool.is_empty() {
            decoded.cache = tool.look("cache_control").and_then(super::cache_mark);
            extra::put(&mut decoded.extra, ME, TOOL, Value::Object(tool.into_map()));
        }
        return Ok(decoded);
    }
    if !matches!(tool.look_text("type"), Some(kind) if kind != "function") {
        return Err(field::invalid(format!("tools[{index}].function"), "write an object with a name"));
    }
    let name = match tool.look("custom") {
        Some(Node::Object(custom)) => custom.look_text("name").unwrap_or(CUSTOM).to_owned(),
        _ => tool.look_text("type").unwrap_or_default().to_owned(),
    };
    Ok(Tool { name: name.into(), description: None, parameters: None, strict: None, cache: None, extra: extra::rest(ME, tool) })
}

fn decode_function<'a>(mut function: Object<'a>, path: impl FnOnce() -> String) -> Result<Tool<'a>, Fault> {
    Ok(Tool {
        name: function.take_text("name").ok_or_else(|| field::invalid(path(), "write the function's name"))?,
        description: function.take_text("description"),
        // Left out, it means a function without parameters.
        parameters: Some(function.take("parameters").map_or_else(|| json!({"type": "object", "properties": {}}), Node::into_value)),
        strict: function.take("strict").and_then(|node| node.as_bool()),
        cache: None,
        extra: extra::rest(ME, function),
    })
}

fn decode_tool_choice<'a>(node: Node<'a>, chat: &mut Chat<'a>) -> Result<ToolChoice<'a>, Fault> {
    match node {
        Node::Text(word) => match word.as_ref() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(field::invalid("tool_choice", "write none, auto, required or an object that names a function")),
        },
        Node::Object(mut choice) => {
            let mut function = choice.take_object("function");
            let name = match &mut function {
                Some(function) => function.take_text("name"),
                None if choice.look("type").is_none() => choice.take_text("name"),
                None => None,
            };
            if let Some(name) = name {
                return Ok(ToolChoice::Tool(name));
            }
            chat.extra.fields.insert("tool_choice".into(), Value::Object(choice.into_map()));
            Ok(ToolChoice::Private)
        }
        _ => Err(field::invalid("tool_choice", "write none, auto, required or an object that names a function")),
    }
}

fn decode_messages<'a>(messages: Vec<Node<'a>>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let mut in_results = false;
    // Calls of the last turn of the assistant, for results that do not name theirs.
    let mut unanswered: std::collections::VecDeque<Cow<'a, str>> = Default::default();
    for (index, node) in messages.into_iter().enumerate() {
        let mut object = node.into_object().ok_or_else(|| field::invalid(format!("messages[{index}]"), "write an object with a role"))?;
        let role = object.take_text("role").ok_or_else(|| field::invalid(format!("messages[{index}].role"), "write the message's role"))?;
        let was_in_results = std::mem::replace(&mut in_results, false);
        match role.as_ref() {
            "system" | "developer" if chat.messages.is_empty() => decode_system(&role, object, index, chat)?,
            "system" | "developer" => {
                let mut message = decode_message(Role::System, object, index)?;
                if role == "developer" {
                    extra::put(&mut message.extra, ME, ROLE, Value::String(role.into_owned()));
                }
                chat.messages.push(message);
            }
            "user" => chat.messages.push(decode_message(Role::User, object, index)?),
            "assistant" => {
                let message = decode_assistant(object, index)?;
                unanswered = message.parts.iter().filter_map(called).collect();
                chat.messages.push(message);
            }
            "tool" | "function" => {
                let part = decode_result(&role, object, index, unanswered.pop_front())?;
                in_results = true;
                match chat.messages.last_mut() {
                    Some(last) if was_in_results => last.parts.push(part),
                    _ => chat.messages.push(Message { role: Role::User, parts: vec![part], name: None, extra: Extra::default() }),
                }
            }
            _ => return Err(field::invalid(format!("messages[{index}].role"), "write system, developer, user, assistant or tool")),
        }
    }
    Ok(())
}

/// Blocks before the first turn. The first part of a message that is not the first, not `system` or has a name carries that
/// in its private fields, so that the messages stand apart again on the way back.
fn decode_system<'a>(role: &str, object: Object<'a>, index: usize, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let first = chat.system.is_empty();
    let message = decode_message(Role::System, object, index)?;
    let mut parts = message.parts;
    if let Some(part) = parts.last_mut().filter(|part| part.cache.is_none()) {
        part.cache = message.extra.fields.get("cache_control").and_then(super::cache_mark_of);
    }
    let is_plain = first && role == "system" && message.name.is_none() && message.extra.is_empty();
    if let Some(part) = parts.first_mut().filter(|_| !is_plain) {
        extra::put(&mut part.extra, ME, ROLE, Value::String(role.to_owned()));
        if !message.extra.is_empty() {
            extra::put(&mut part.extra, ME, MEMBERS, Value::Object(message.extra.fields));
        }
        if let Some(name) = &message.name {
            extra::put(&mut part.extra, ME, NAME, Value::String(name.clone().into_owned()));
        }
    }
    chat.system.append(&mut parts);
    Ok(())
}

fn decode_message<'a>(role: Role, mut object: Object<'a>, index: usize) -> Result<Message<'a>, Fault> {
    let content = object
        .take("content")
        .ok_or_else(|| field::invalid(format!("messages[{index}].content"), "write a string or an array of parts"))?;
    Ok(Message { role, parts: decode_content(content, index)?, name: object.take_text("name"), extra: extra::rest(ME, object) })
}

fn decode_assistant<'a>(mut object: Object<'a>, index: usize) -> Result<Message<'a>, Fault> {
    let mut parts = Vec::new();
    decode_thinking(&mut object, &mut parts);
    if let Some(content) = object.take("content") {
        match content {
            Node::Text(text) if text.is_empty() => {}
            content => parts.append(&mut decode_content(content, index)?),
        }
    }
    if let Some(refusal) = object.take_text("refusal") {
        parts.push(PartKind::Refusal(refusal).into());
    }
    for node in object.take_list("tool_calls").unwrap_or_default() {
        parts.push(decode_call(node).ok_or_else(|| {
            field::invalid(format!("messages[{index}].tool_calls"), "write an array of calls, each with id and function")
        })?);
    }
    if let Some(mut call) = object.take_object("function_call") {
        let name = call.take_text("name").unwrap_or_default();
        let arguments = call.take_text("arguments").unwrap_or_default();
        let mut part = Part::from(PartKind::ToolCall { id: name.clone(), name, arguments });
        extra::put(&mut part.extra, ME, LEGACY, Value::Bool(true));
        parts.push(part);
    }
    Ok(Message { role: Role::Assistant, parts, name: object.take_text("name"), extra: extra::rest(ME, object) })
}

fn last<'p, 'a>(parts: &'p mut [Part<'a>]) -> &'p mut Part<'a> {
    parts.last_mut().expect("a part was pushed just before")
}

/// `thinking_blocks` is this gateway's form for signed thinking of other dialects; `reasoning_content` is what servers that
/// imitate this dialect write.
fn decode_thinking<'a>(object: &mut Object<'a>, parts: &mut Vec<Part<'a>>) {
    if let Some(blocks) = object.take_list("thinking_blocks") {
        object.take("reasoning_content");
        for mut block in blocks.into_iter().filter_map(Node::into_object) {
            parts.push(match block.take_text("data") {
                Some(data) => PartKind::RedactedThinking { data }.into(),
                None => {
                    PartKind::Thinking { text: block.take_text("thinking").unwrap_or_default(), signature: block.take_text("signature") }
                        .into()
                }
            });
            last(parts).extra.dialect = Some(ME);
        }
    } else if let Some(text) = object.take_text("reasoning_content") {
        parts.push(PartKind::Thinking { text, signature: None }.into());
        last(parts).extra.dialect = Some(ME);
    }
}

fn decode_call<'a>(node: Node<'a>) -> Option<Part<'a>> {
    let mut call = node.into_object()?;
    let id = call.take_text("id").unwrap_or_default();
    let kind = call.take_text("type");
    if kind.as_deref() == Some(CUSTOM) {
        let mut custom = call.take_object(CUSTOM)?;
        let kind = PartKind::ToolCall { id, name: custom.take_text("name")?, arguments: custom.take_text("input").unwrap_or_default() };
        let mut part = Part { kind, cache: None, extra: extra::rest(ME, call) };
        extra::put(&mut part.extra, ME, CUSTOM, Value::Bool(true));
        return Some(part);
    }
    let mut function = call.take_object("function")?;
    let arguments = match function.take("arguments") {
        None => Cow::Borrowed(""),
        Some(Node::Text(text)) => text,
        // Some clients write the object itself.
        Some(node) => Cow::Owned(node.into_value().to_string()),
    };
    call.take("index");
    let kind = PartKind::ToolCall { id, name: function.take_text("name")?, arguments };
    Some(Part { kind, cache: None, extra: extra::rest(ME, call) })
}

fn called<'a>(part: &Part<'a>) -> Option<Cow<'a, str>> {
    if let PartKind::ToolCall { id, .. } = &part.kind { Some(id.clone()) } else { None }
}

/// `call` is the one whose turn it is: some servers take a result without the id of its call.
fn decode_result<'a>(role: &str, mut object: Object<'a>, index: usize, call: Option<Cow<'a, str>>) -> Result<Part<'a>, Fault> {
    let content = object.take("content").map_or_else(|| Ok(Vec::new()), |content| decode_content(content, index))?;
    let legacy = role == "function";
    let id = object.take_text(if legacy { "name" } else { "tool_call_id" });
    let is_unnamed = id.is_none() && !legacy;
    let call_id = id.or(call.filter(|_| is_unnamed));
    let call_id =
        call_id.ok_or_else(|| field::invalid(format!("messages[{index}].tool_call_id"), "write the id of the call that this answers"))?;
    let mut part =
        Part { kind: PartKind::ToolResult { call_id, parts: content, is_error: false }, cache: None, extra: extra::rest(ME, object) };
    part.extra.dialect = Some(ME);
    for (mark, _) in [(LEGACY, legacy), (UNNAMED, is_unnamed)].into_iter().filter(|(_, is_set)| *is_set) {
        extra::put(&mut part.extra, ME, mark, Value::Bool(true));
    }
    Ok(part)
}

fn decode_content<'a>(content: Node<'a>, index: usize) -> Result<Vec<Part<'a>>, Fault> {
    match content {
        Node::Text(text) => Ok(vec![Part::text(text)]),
        Node::List(list) => list
            .into_iter()
            .enumerate()
            .map(|(part_index, node)| match node {
                Node::Object(part) => Ok(decode_part(part)),
                Node::Text(text) => Ok(Part::text(text)),
                _ => Err(field::invalid(format!("messages[{index}].content[{part_index}]"), "write an object with a type")),
            })
            .collect(),
        _ => Err(field::invalid(format!("messages[{index}].content"), "write a string or an array of parts")),
    }
}

fn decode_part(mut object: Object<'_>) -> Part<'_> {
    match known_part(&mut object) {
        Some(kind) => {
            object.take("type");
            let cache = object.look("cache_control").and_then(super::cache_mark);
            Part { kind, cache, extra: extra::rest(ME, object) }
        }
        None => Part { kind: PartKind::Private, cache: None, extra: extra::rest(ME, object) },
    }
}

/// The part's meaning, where the hub has a word for all of it.
fn known_part<'a>(object: &mut Object<'a>) -> Option<PartKind<'a>> {
    match object.look_text("type")? {
        "text" => object.take_text("text").map(PartKind::Text),
        "refusal" => object.take_text("refusal").map(PartKind::Refusal),
        "image_url" => match object.take("image_url")? {
            Node::Text(url) => Some(PartKind::Image { source: field::source(url), detail: None }),
            Node::Object(mut image) => {
                let url = image.take_text("url")?;
                Some(PartKind::Image { source: field::source(url), detail: image.take_text("detail") })
            }
            _ => None,
        },
        "input_audio" => {
            let mut audio = object.take_object("input_audio")?;
            let format = audio.take_text("format")?;
            let media_type = Cow::Owned(format!("audio/{format}"));
            Some(PartKind::Audio { source: Source::Base64 { media_type, data: audio.take_text("data")? }, format })
        }
        "file" => {
            let mut file = object.take_object("file")?;
            let name = file.take_text("filename");
            match (file.take_text("file_data"), file.take_text("file_id")) {
                (Some(data), _) => Some(PartKind::Document { source: field::source(data), name }),
                (None, Some(id)) => Some(PartKind::Document { source: Source::FileId(id), name }),
                (None, None) => None,
            }
        }
        _ => None,
    }
}
