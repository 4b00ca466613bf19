//! Responses requests: hub → body, and what gets lost on the way.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{CUSTOM, ITEM, ME, PARAGRAPH, ROLE, has, marked};
use crate::dialect::openai::{self, extra};
use crate::dialect::{DialectId, Target};
use crate::fault::Fault;
use crate::ir::{Chat, Extra, Gravity, Loss, Message, Mode, OutputFormat, Part, PartKind, Role, Source, Tool, ToolChoice};
use crate::json::write;

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    out.push(b'{');
    if !target.model.is_empty() {
        write::text(out, "model", target.model);
    }
    encode_instructions(&chat.system, out);
    encode_input(chat, out, losses);
    encode_tools(chat, out, losses);
    encode_tuning(chat, out, losses);
    encode_text(chat, out);
    if let Some(fields) = chat.extra.of(ME) {
        let written = |name: &String| matches!(name.as_str(), "tool_choice" | "reasoning" | "text");
        fields.iter().filter(|(name, _)| !written(name)).for_each(|(name, value)| write::value(out, name, value));
    }
    for (name, value) in extra::common(chat, DialectId::OpenaiChat) {
        write::value(out, name, value);
    }
    out.push(b'}');
    extra::losses(chat, ME, &["tool_choice", "stream_options", "verbosity"], losses);
    Ok(())
}

fn lose(losses: &mut Vec<Loss>, field: impl Into<Cow<'static, str>>, gravity: Gravity) {
    losses.push(Loss { field: field.into(), gravity });
}

/// Blocks that did not come as input items.
fn encode_instructions(system: &[Part<'_>], out: &mut Vec<u8>) {
    let mut text = String::new();
    for part in system.iter().take_while(|part| !has(&part.extra, ROLE)) {
        if let PartKind::Text(more) = &part.kind {
            if !text.is_empty() {
                text.push_str(PARAGRAPH);
            }
            text.push_str(more);
        }
    }
    if !text.is_empty() {
        write::text(out, "instructions", &text);
    }
}

fn encode_tuning(chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    if chat.stream == Mode::Stream {
        write::boolean(out, "stream", true);
    }
    if let Some(max) = chat.max_tokens {
        write::uint(out, "max_output_tokens", max);
    }
    if let Some(temperature) = chat.temperature {
        write::float(out, "temperature", temperature);
    }
    if let Some(top_p) = chat.top_p {
        write::float(out, "top_p", top_p);
    }
    if let Some(logprobs) = chat.logprobs {
        write::uint(out, "top_logprobs", u64::from(logprobs.top.unwrap_or(0)));
        write::value(out, "include", &Value::from(vec!["message.output_text.logprobs"]));
    }
    encode_reasoning(chat, out);
    if let Some(user) = &chat.user {
        write::text(out, "user", user);
    }
    match &chat.service_tier {
        Some(tier) if matches!(chat.extra.dialect, None | Some(DialectId::OpenaiChat | DialectId::OpenaiResponses)) => {
            write::text(out, "service_tier", tier);
        }
        Some(_) => lose(losses, "service_tier", Gravity::Tuning),
        None => {}
    }
    let absent = [
        ("top_k", chat.top_k.is_some(), Gravity::Tuning),
        ("frequency_penalty", chat.frequency_penalty.is_some(), Gravity::Tuning),
        ("presence_penalty", chat.presence_penalty.is_some(), Gravity::Tuning),
        ("seed", chat.seed.is_some(), Gravity::Tuning),
        ("stop", !chat.stop.is_empty(), Gravity::Meaning),
        ("n", chat.n.is_some_and(|n| n > 1), Gravity::Meaning),
    ];
    for (name, _, gravity) in absent.into_iter().filter(|(_, is_set, _)| *is_set) {
        lose(losses, name, gravity);
    }
}

fn encode_reasoning(chat: &Chat<'_>, out: &mut Vec<u8>) {
    let private = own_object(chat, "reasoning");
    if chat.reasoning.is_none() && private.is_none() {
        return;
    }
    write::key(out, "reasoning");
    write::open(out);
    if let Some(reasoning) = &chat.reasoning {
        if let Some(effort) = openai::effort_name(reasoning) {
            write::text(out, "effort", effort);
        }
        if let Some(summary) = &reasoning.summary {
            write::text(out, "summary", summary);
        }
    }
    private.into_iter().for_each(|fields| write::members(out, fields));
    write::close(out);
}

fn encode_text(chat: &Chat<'_>, out: &mut Vec<u8>) {
    let private = own_object(chat, "text");
    let verbosity = chat.extra.of(DialectId::OpenaiChat).and_then(|fields| fields.get("verbosity"));
    if chat.output.is_none() && private.is_none() && verbosity.is_none() {
        return;
    }
    write::key(out, "text");
    write::open(out);
    if let Some(output) = &chat.output {
        write::key(out, "format");
        write::open(out);
        match output {
            OutputFormat::Text => write::text(out, "type", "text"),
            OutputFormat::JsonObject => write::text(out, "type", "json_object"),
            OutputFormat::JsonSchema { name, description, schema, strict } => {
                write::text(out, "type", "json_schema");
                write::text(out, "name", if name.is_empty() { "answer" } else { name });
                if let Some(description) = description {
                    write::text(out, "description", description);
                }
                write::value(out, "schema", schema);
                if let Some(strict) = strict {
                    write::boolean(out, "strict", *strict);
                }
            }
        }
        write::close(out);
    }
    private.into_iter().for_each(|fields| write::members(out, fields));
    verbosity.into_iter().for_each(|value| write::value(out, "verbosity", value));
    write::close(out);
}

fn own_object<'c>(chat: &'c Chat<'_>, name: &str) -> Option<&'c Map<String, Value>> {
    chat.extra.of(ME).and_then(|fields| fields.get(name)).and_then(Value::as_object)
}

fn encode_tools(chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let start = out.len();
    write::key(out, "tools");
    write::open_list(out);
    let mut count = 0;
    for (index, tool) in chat.tools.iter().enumerate() {
        if tool.parameters.is_some() {
            encode_tool(tool, chat, out);
        } else if let Some(fields) = tool.extra.of(ME) {
            write::open(out);
            write::members(out, fields);
            write::close(out);
        } else {
            lose(losses, format!("tools[{index}]"), Gravity::Meaning);
            continue;
        }
        count += 1;
    }
    write::close_list(out);
    if count == 0 {
        out.truncate(start);
    }
    match &chat.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => write::text(out, "tool_choice", "auto"),
        Some(ToolChoice::None) => write::text(out, "tool_choice", "none"),
        Some(ToolChoice::Required) => write::text(out, "tool_choice", "required"),
        Some(ToolChoice::Tool(name)) => {
            write::key(out, "tool_choice");
            write::open(out);
            write::text(out, "type", "function");
            write::text(out, "name", name);
            write::close(out);
        }
        Some(ToolChoice::Private) => match chat.extra.of(ME).and_then(|fields| fields.get("tool_choice")) {
            Some(value) => write::value(out, "tool_choice", value),
            None => lose(losses, "tool_choice", Gravity::Meaning),
        },
    }
    if let Some(parallel) = chat.parallel_tool_calls {
        write::boolean(out, "parallel_tool_calls", parallel);
    }
}

fn encode_tool(tool: &Tool<'_>, chat: &Chat<'_>, out: &mut Vec<u8>) {
    write::open(out);
    write::text(out, "type", "function");
    write::text(out, "name", &tool.name);
    if let Some(description) = &tool.description {
        write::text(out, "description", description);
    }
    if let Some(parameters) = &tool.parameters {
        write::value(out, "parameters", parameters);
    }
    match tool.strict {
        Some(strict) => write::boolean(out, "strict", strict),
        // Left out it means strict here and not strict everywhere else.
        None if chat.extra.dialect != Some(ME) => write::boolean(out, "strict", false),
        None => {}
    }
    if let Some(fields) = tool.extra.of(ME) {
        write::members(out, fields);
    }
    write::close(out);
}

fn encode_input(chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let items = chat.system.iter().position(|part| has(&part.extra, ROLE)).map_or(&[][..], |at| &chat.system[at..]);
    if items.is_empty() && chat.messages.is_empty() {
        return;
    }
    write::key(out, "input");
    write::open_list(out);
    encode_system(items, out);
    for (index, message) in chat.messages.iter().enumerate() {
        match message.role {
            Role::Assistant => encode_assistant(message, index, out, losses),
            Role::System => {
                let role = message.extra.of(ME).and_then(|fields| fields.get(ROLE)).and_then(Value::as_str).unwrap_or("system");
                encode_message(role, &message.parts, message.extra.of(ME), "input_text", out);
            }
            Role::User => encode_user(message, index, out, losses),
        }
    }
    write::close_list(out);
}

fn encode_system(parts: &[Part<'_>], out: &mut Vec<u8>) {
    let mut rest = parts;
    while !rest.is_empty() {
        let len = 1 + rest[1..].iter().position(|part| has(&part.extra, ROLE)).unwrap_or(rest.len() - 1);
        let (message, after) = rest.split_at(len);
        rest = after;
        let role = message[0].extra.of(ME).and_then(|fields| fields.get(ROLE)).and_then(Value::as_str).unwrap_or("system");
        encode_message(role, message, marked(&message[0].extra, ITEM), "input_text", out);
    }
}

/// A message item. A lone text part without members of its own is a plain string, but in items that the API made.
fn encode_message(role: &str, parts: &[Part<'_>], private: Option<&Map<String, Value>>, text: &str, out: &mut Vec<u8>) {
    let members = private.into_iter().flatten().filter(|(name, _)| *name != ROLE);
    write::open(out);
    write::text(out, "type", "message");
    write::text(out, "role", role);
    write::key(out, "content");
    match parts {
        [Part { kind: PartKind::Text(text), extra, .. }] if own_members(extra).next().is_none() && private.is_none_or(Map::is_empty) => {
            write::string(out, text);
        }
        parts => encode_parts(parts, text, out),
    }
    members.for_each(|(name, value)| write::value(out, name, value));
    write::close(out);
}

fn encode_parts(parts: &[Part<'_>], text: &str, out: &mut Vec<u8>) {
    write::open_list(out);
    for part in parts.iter().filter(|part| carried(part)) {
        write::open(out);
        encode_part(part, text, out);
        own_members(&part.extra).for_each(|(name, value)| write::value(out, name, value));
        write::close(out);
    }
    write::close_list(out);
}

/// Private members but the marks.
fn own_members(extra: &Extra) -> impl Iterator<Item = (&String, &Value)> {
    extra.of(ME).into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), ITEM | ROLE | CUSTOM))
}

fn encode_part(part: &Part<'_>, text_kind: &str, out: &mut Vec<u8>) {
    match &part.kind {
        PartKind::Text(text) | PartKind::Document { source: Source::Text { text, .. }, .. } => {
            write::text(out, "type", text_kind);
            write::text(out, "text", text);
        }
        PartKind::Refusal(text) => {
            write::text(out, "type", "refusal");
            write::text(out, "refusal", text);
        }
        PartKind::Image { source, detail } => {
            write::text(out, "type", "input_image");
            encode_source(source, "image_url", "image_url", out);
            if let Some(detail) = detail {
                write::text(out, "detail", detail);
            }
        }
        PartKind::Document { source, name } => {
            write::text(out, "type", "input_file");
            encode_source(source, "file_data", "file_url", out);
            match name {
                Some(name) => write::text(out, "filename", name),
                None if matches!(source, Source::Base64 { .. }) && part.extra.dialect != Some(ME) => {
                    write::text(out, "filename", "document")
                }
                None => {}
            }
        }
        PartKind::Audio { source: Source::Base64 { data, .. }, format } => {
            write::text(out, "type", "input_audio");
            write::key(out, "input_audio");
            write::open(out);
            write::text(out, "data", data);
            write::text(out, "format", format);
            write::close(out);
        }
        _ => {}
    }
}

fn encode_source(source: &Source<'_>, data_name: &str, url_name: &str, out: &mut Vec<u8>) {
    match source {
        Source::Url(url) => write::text(out, url_name, url),
        Source::Base64 { media_type, data } => write::text(out, data_name, &format!("data:{media_type};base64,{data}")),
        Source::FileId(id) => write::text(out, "file_id", id),
        Source::Text { text, .. } => write::text(out, data_name, text),
    }
}

/// The dialect has a form for this part of a message.
fn carried(part: &Part<'_>) -> bool {
    match &part.kind {
        PartKind::Text(_) | PartKind::Refusal(_) | PartKind::Image { .. } | PartKind::Document { .. } => true,
        PartKind::Audio { source, .. } => matches!(source, Source::Base64 { .. }),
        PartKind::Private => part.extra.dialect == Some(ME),
        _ => false,
    }
}

/// Sound that is not in the request itself.
fn is_lost_sound(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Audio { .. }) && !carried(part)
}

/// An item of its own, as it came: a part that is one has a `type` that no message part has.
fn is_own_item(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Private | PartKind::Thinking { .. })
        && part.extra.of(ME).is_some_and(|fields| fields.contains_key("type"))
}

fn encode_user(message: &Message<'_>, index: usize, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    // Private parts of a turn that is nothing but answers are items; in what a user said they are parts.
    let answers = |part: &Part<'_>| matches!(part.kind, PartKind::ToolResult { .. }) || is_own_item(part);
    let all_answers = message.parts.iter().all(answers);
    for (part_index, part) in message.parts.iter().enumerate() {
        match &part.kind {
            PartKind::ToolResult { call_id, parts, is_error } => {
                if *is_error {
                    lose(losses, format!("messages[{index}].content[{part_index}].is_error"), Gravity::Tuning);
                }
                if parts.iter().any(is_lost_sound) {
                    lose(losses, format!("messages[{index}].content[{part_index}].content"), Gravity::Meaning);
                }
                encode_result(call_id, parts, &part.extra, out);
            }
            PartKind::Audio { .. } if is_lost_sound(part) => {
                lose(losses, format!("messages[{index}].content[{part_index}]"), Gravity::Meaning);
            }
            PartKind::Private if all_answers && is_own_item(part) => encode_own_item(part, out),
            _ => {}
        }
    }
    if all_answers && !message.parts.is_empty() {
        return;
    }
    let own: Vec<Part<'_>> = message.parts.iter().filter(|part| carried(part)).cloned().collect();
    if !own.is_empty() || message.parts.is_empty() {
        encode_message("user", &own, message.extra.of(ME), "input_text", out);
    }
}

fn encode_own_item(part: &Part<'_>, out: &mut Vec<u8>) {
    write::open(out);
    if let Some(fields) = part.extra.of(ME) {
        write::members(out, fields);
    }
    write::close(out);
}

fn encode_result(call_id: &str, parts: &[Part<'_>], extra: &Extra, out: &mut Vec<u8>) {
    write::open(out);
    write::text(out, "type", if has(extra, CUSTOM) { "custom_tool_call_output" } else { "function_call_output" });
    write::text(out, "call_id", call_id);
    write::key(out, "output");
    match parts {
        [] => out.extend_from_slice(b"\"\""),
        [Part { kind: PartKind::Text(text), extra, .. }] if own_members(extra).next().is_none() => write::string(out, text),
        parts => encode_parts(parts, "input_text", out),
    }
    marked(extra, ITEM).into_iter().for_each(|fields| write::members(out, fields));
    write::close(out);
}

fn encode_assistant(message: &Message<'_>, index: usize, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let mut at = 0;
    let mut lost_thinking = false;
    while let Some(part) = message.parts.get(at) {
        at += 1;
        match &part.kind {
            PartKind::ToolCall { id, name, arguments } => encode_call(id, name, arguments, &part.extra, out),
            PartKind::Thinking { .. } | PartKind::Private if is_own_item(part) => encode_own_item(part, out),
            PartKind::Thinking { .. } | PartKind::RedactedThinking { .. } => lost_thinking = true,
            _ if carried(part) => {
                let start = at - 1;
                let joins = |part: &&Part<'_>| carried(part) && !is_own_item(part) && !has(&part.extra, ITEM);
                at += message.parts[at..].iter().take_while(joins).count();
                encode_message("assistant", &message.parts[start..at], marked(&part.extra, ITEM), "output_text", out);
            }
            _ => {}
        }
    }
    if lost_thinking {
        lose(losses, format!("messages[{index}].thinking"), Gravity::Tuning);
    }
}

fn encode_call(id: &str, name: &str, arguments: &str, extra: &Extra, out: &mut Vec<u8>) {
    let custom = has(extra, CUSTOM);
    write::open(out);
    write::text(out, "type", if custom { "custom_tool_call" } else { "function_call" });
    write::text(out, "call_id", id);
    write::text(out, "name", name);
    write::text(out, if custom { "input" } else { "arguments" }, arguments);
    marked(extra, ITEM).into_iter().for_each(|fields| write::members(out, fields));
    write::close(out);
}
