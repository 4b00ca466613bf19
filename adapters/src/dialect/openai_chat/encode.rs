//! Chat requests: hub → body, and what gets lost on the way.

use std::borrow::Cow;

use serde_json::Value;

use super::{CUSTOM, LEGACY, ME, MEMBERS, NAME, ROLE, TOOL, UNNAMED};
use crate::dialect::openai::{self, extra};
use crate::dialect::{DialectId, Target};
use crate::fault::Fault;
use crate::ir::{Chat, Extra, Gravity, Loss, Message, Mode, OutputFormat, Part, PartKind, Role, Source, Tool, ToolChoice};
use crate::json::write;

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    out.push(b'{');
    write::text(out, "model", target.model);
    write::key(out, "messages");
    write::open_list(out);
    encode_system(&chat.system, out);
    for (index, message) in chat.messages.iter().enumerate() {
        encode_message(message, index, out, losses);
    }
    write::close_list(out);
    encode_tools(chat, out, losses);
    encode_tuning(chat, out, losses);
    encode_stream(chat, target, out);
    if let Some(fields) = chat.extra.of(ME) {
        fields.iter().filter(|(name, _)| !matches!(name.as_str(), "stream_options" | "tool_choice")).for_each(|(name, value)| {
            write::value(out, name, value);
        });
    }
    for (name, value) in extra::common(chat, DialectId::OpenaiResponses) {
        write::value(out, name, value);
    }
    out.push(b'}');
    extra::losses(chat, ME, &["tool_choice"], losses);
    Ok(())
}

fn lose(losses: &mut Vec<Loss>, field: impl Into<Cow<'static, str>>, gravity: Gravity) {
    losses.push(Loss { field: field.into(), gravity });
}

fn encode_stream(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>) {
    if chat.stream != Mode::Stream {
        return;
    }
    write::boolean(out, "stream", true);
    let private = chat.extra.of(ME).and_then(|fields| fields.get("stream_options")).and_then(Value::as_object);
    let usage = chat.stream_usage || target.inject_stream_usage;
    if usage || private.is_some() {
        write::key(out, "stream_options");
        write::open(out);
        if usage {
            write::boolean(out, "include_usage", true);
        }
        if let Some(private) = private {
            write::members(out, private);
        }
        write::close(out);
    }
}

fn encode_tuning(chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    if let Some(max) = chat.max_tokens {
        write::uint(out, "max_completion_tokens", max);
    }
    let floats = [
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("frequency_penalty", chat.frequency_penalty),
        ("presence_penalty", chat.presence_penalty),
    ];
    for (name, number) in floats {
        if let Some(number) = number {
            write::float(out, name, number);
        }
    }
    match chat.top_k {
        // Imitations know it; who sends it in this dialect means one of those.
        Some(top_k) if chat.extra.dialect == Some(ME) => write::uint(out, "top_k", top_k),
        Some(_) => lose(losses, "top_k", Gravity::Tuning),
        None => {}
    }
    match chat.stop.as_slice() {
        [] => {}
        [stop] => write::text(out, "stop", stop),
        stops => {
            write::key(out, "stop");
            write::open_list(out);
            stops.iter().for_each(|stop| write::string(out, stop));
            write::close_list(out);
        }
    }
    if let Some(seed) = chat.seed {
        write::value(out, "seed", &Value::from(seed));
    }
    if let Some(n) = chat.n {
        write::uint(out, "n", u64::from(n));
    }
    if let Some(logprobs) = chat.logprobs {
        write::boolean(out, "logprobs", true);
        if let Some(top) = logprobs.top {
            write::uint(out, "top_logprobs", u64::from(top));
        }
    }
    encode_reasoning(chat, out, losses);
    encode_output(chat, out);
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
}

fn encode_reasoning(chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let Some(reasoning) = &chat.reasoning else { return };
    if let Some(effort) = openai::effort_name(reasoning) {
        write::text(out, "reasoning_effort", effort);
    }
    if reasoning.summary.is_some() {
        lose(losses, "reasoning.summary", Gravity::Tuning);
    }
}

fn encode_output(chat: &Chat<'_>, out: &mut Vec<u8>) {
    let Some(output) = &chat.output else { return };
    write::key(out, "response_format");
    write::open(out);
    match output {
        OutputFormat::Text => write::text(out, "type", "text"),
        OutputFormat::JsonObject => write::text(out, "type", "json_object"),
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            write::text(out, "type", "json_schema");
            write::key(out, "json_schema");
            write::open(out);
            write::text(out, "name", if name.is_empty() { "answer" } else { name });
            if let Some(description) = description {
                write::text(out, "description", description);
            }
            if !schema.is_null() {
                write::value(out, "schema", schema);
            }
            if let Some(strict) = strict {
                write::boolean(out, "strict", *strict);
            }
            write::close(out);
        }
    }
    write::close(out);
}

fn encode_tools(chat: &Chat<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let is_legacy = |tool: &Tool<'_>| marked(&tool.extra, LEGACY);
    let legacy = !chat.tools.is_empty() && chat.tools.iter().all(is_legacy);
    let start = out.len();
    write::key(out, if legacy { "functions" } else { "tools" });
    write::open_list(out);
    let mut count = 0;
    for (index, tool) in chat.tools.iter().enumerate() {
        if tool.parameters.is_some() {
            encode_tool(tool, legacy, out);
            count += 1;
        } else if let Some(fields) = tool.extra.of(ME) {
            write::open(out);
            write::members(out, fields);
            write::close(out);
            count += 1;
        } else {
            lose(losses, format!("tools[{index}]"), Gravity::Meaning);
        }
    }
    write::close_list(out);
    if count == 0 {
        // A choice among no tools would be refused.
        out.truncate(start);
        return;
    }
    match &chat.tool_choice {
        None => {}
        Some(choice) => encode_tool_choice(choice, chat, if legacy { "function_call" } else { "tool_choice" }, out, losses),
    }
    if let Some(parallel) = chat.parallel_tool_calls {
        write::boolean(out, "parallel_tool_calls", parallel);
    }
}

fn encode_tool(tool: &Tool<'_>, legacy: bool, out: &mut Vec<u8>) {
    write::open(out);
    if !legacy {
        write::text(out, "type", "function");
        write::key(out, "function");
        write::open(out);
    }
    write::text(out, "name", &tool.name);
    if let Some(description) = &tool.description {
        write::text(out, "description", description);
    }
    if let Some(parameters) = &tool.parameters {
        write::value(out, "parameters", parameters);
    }
    if let Some(strict) = tool.strict {
        write::boolean(out, "strict", strict);
    }
    private_members(&tool.extra, out);
    if !legacy {
        write::close(out);
        group(&tool.extra, TOOL, out);
    }
    write::close(out);
}

fn encode_tool_choice(choice: &ToolChoice<'_>, chat: &Chat<'_>, field: &str, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    match choice {
        ToolChoice::Auto => write::text(out, field, "auto"),
        ToolChoice::None => write::text(out, field, "none"),
        ToolChoice::Required => write::text(out, field, "required"),
        ToolChoice::Tool(name) => {
            write::key(out, field);
            write::open(out);
            if field == "tool_choice" {
                write::text(out, "type", "function");
                write::key(out, "function");
                write::open(out);
                write::text(out, "name", name);
                write::close(out);
            } else {
                write::text(out, "name", name);
            }
            write::close(out);
        }
        ToolChoice::Private => match chat.extra.of(ME).and_then(|fields| fields.get("tool_choice")) {
            Some(value) => write::value(out, field, value),
            None => lose(losses, "tool_choice", Gravity::Meaning),
        },
    }
}

/// Blocks of another dialect become one system message; those of this one stand in the messages that they came in.
fn encode_system(parts: &[Part<'_>], out: &mut Vec<u8>) {
    let mut rest = parts;
    while !rest.is_empty() {
        let len = 1 + rest[1..].iter().position(|part| begins_message(part)).unwrap_or(rest.len() - 1);
        let (message, after) = rest.split_at(len);
        rest = after;
        write::open(out);
        let private = message[0].extra.of(ME);
        let role = private.and_then(|fields| fields.get(ROLE)).and_then(Value::as_str).unwrap_or("system");
        write::text(out, "role", role);
        if let Some(name) = private.and_then(|fields| fields.get(NAME)).and_then(Value::as_str) {
            write::text(out, "name", name);
        }
        write::key(out, "content");
        encode_content(message, out);
        group(&message[0].extra, MEMBERS, out);
        write::close(out);
    }
}

fn begins_message(part: &Part<'_>) -> bool {
    part.extra.of(ME).is_some_and(|fields| fields.contains_key(ROLE))
}

fn encode_message(message: &Message<'_>, index: usize, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    match message.role {
        Role::Assistant => encode_assistant(message, index, out, losses),
        Role::System => {
            let role = message.extra.of(ME).and_then(|fields| fields.get(ROLE)).and_then(Value::as_str).unwrap_or("system");
            encode_turn(role, message, &message.parts, out);
        }
        Role::User => encode_user(message, index, out, losses),
    }
}

/// Results come first, each as a message: they must follow the calls that they answer. What a tool message cannot hold
/// (an image) follows in a user message.
fn encode_user(message: &Message<'_>, index: usize, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let mut own = Vec::new();
    let mut has_results = false;
    for (part_index, part) in message.parts.iter().enumerate() {
        let PartKind::ToolResult { call_id, parts, is_error } = &part.kind else { continue };
        has_results = true;
        if *is_error {
            lose(losses, format!("messages[{index}].content[{part_index}].is_error"), Gravity::Tuning);
        }
        encode_result(call_id, parts, &part.extra, &mut own, out, losses, || format!("messages[{index}].content[{part_index}].content"));
    }
    for (part_index, part) in message.parts.iter().enumerate() {
        if matches!(part.kind, PartKind::ToolResult { .. }) {
            continue;
        }
        if carried(part) {
            own.push(part.clone());
        } else if !matches!(part.kind, PartKind::Private) {
            lose(losses, format!("messages[{index}].content[{part_index}]"), Gravity::Meaning);
        }
    }
    if !own.is_empty() || !has_results {
        encode_turn("user", message, &own, out);
    }
}

fn encode_turn(role: &str, message: &Message<'_>, parts: &[Part<'_>], out: &mut Vec<u8>) {
    write::open(out);
    write::text(out, "role", role);
    write::key(out, "content");
    encode_content(parts, out);
    if let Some(name) = &message.name {
        write::text(out, "name", name);
    }
    private_members(&message.extra, out);
    write::close(out);
}

fn encode_result<'a>(
    call_id: &str,
    parts: &[Part<'a>],
    extra: &Extra,
    overflow: &mut Vec<Part<'a>>,
    out: &mut Vec<u8>,
    losses: &mut Vec<Loss>,
    path: impl Fn() -> String,
) {
    let legacy = marked(extra, LEGACY);
    let own = extra.dialect == Some(ME);
    write::open(out);
    write::text(out, "role", if legacy { "function" } else { "tool" });
    if !marked(extra, UNNAMED) {
        write::text(out, if legacy { "name" } else { "tool_call_id" }, call_id);
    }
    write::key(out, "content");
    if own {
        encode_content(parts, out);
    } else {
        let (text, other): (Vec<Part<'a>>, Vec<Part<'a>>) = parts.iter().cloned().partition(is_text);
        encode_content(&text, out);
        let (held, lost): (Vec<Part<'a>>, Vec<Part<'a>>) = other.into_iter().partition(carried);
        overflow.extend(held);
        if !lost.is_empty() {
            lose(losses, path(), Gravity::Meaning);
        }
    }
    private_members(extra, out);
    write::close(out);
}

fn encode_assistant(message: &Message<'_>, index: usize, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    write::open(out);
    write::text(out, "role", "assistant");
    let content: Vec<Part<'_>> = message.parts.iter().filter(|part| is_content(part)).cloned().collect();
    if content.is_empty() {
        write::null(out, "content");
    } else {
        write::key(out, "content");
        encode_content(&content, out);
    }
    if let Some(refusal) = message.parts.iter().find_map(|part| if let PartKind::Refusal(text) = &part.kind { Some(text) } else { None }) {
        write::text(out, "refusal", refusal);
    }
    encode_thinking(message, index, out, losses);
    encode_calls(message, out);
    if let Some(name) = &message.name {
        write::text(out, "name", name);
    }
    private_members(&message.extra, out);
    write::close(out);
}

fn is_content(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Text(_))
        || (matches!(part.kind, PartKind::Private | PartKind::Image { .. } | PartKind::Audio { .. }) && carried(part))
}

/// Only thinking that came in this dialect goes back: other models' thinking is no model's own.
fn encode_thinking(message: &Message<'_>, index: usize, out: &mut Vec<u8>, losses: &mut Vec<Loss>) {
    let is_thinking = |part: &&Part<'_>| matches!(part.kind, PartKind::Thinking { .. } | PartKind::RedactedThinking { .. });
    let thinking: Vec<&Part<'_>> = message.parts.iter().filter(is_thinking).collect();
    if thinking.is_empty() {
        return;
    }
    if thinking.iter().any(|part| part.extra.dialect != Some(ME)) {
        return lose(losses, format!("messages[{index}].thinking"), Gravity::Tuning);
    }
    if let [Part { kind: PartKind::Thinking { text, signature: None }, .. }] = thinking.as_slice() {
        return write::text(out, "reasoning_content", text);
    }
    write::key(out, "thinking_blocks");
    write::open_list(out);
    for part in thinking {
        write::open(out);
        match &part.kind {
            PartKind::RedactedThinking { data } => {
                write::text(out, "type", "redacted_thinking");
                write::text(out, "data", data);
            }
            PartKind::Thinking { text, signature } => {
                write::text(out, "type", "thinking");
                write::text(out, "thinking", text);
                if let Some(signature) = signature {
                    write::text(out, "signature", signature);
                }
            }
            _ => {}
        }
        write::close(out);
    }
    write::close_list(out);
}

fn encode_calls(message: &Message<'_>, out: &mut Vec<u8>) {
    let mut in_list = false;
    for part in &message.parts {
        let PartKind::ToolCall { id, name, arguments } = &part.kind else { continue };
        if marked(&part.extra, LEGACY) {
            continue;
        }
        if !in_list {
            write::key(out, "tool_calls");
            write::open_list(out);
            in_list = true;
        }
        let (kind, input) = if marked(&part.extra, CUSTOM) { (CUSTOM, "input") } else { ("function", "arguments") };
        write::open(out);
        write::text(out, "id", id);
        write::text(out, "type", kind);
        write::key(out, kind);
        write::open(out);
        write::text(out, "name", name);
        write::text(out, input, if arguments.is_empty() && kind == "function" { "{}" } else { arguments });
        write::close(out);
        private_members(&part.extra, out);
        write::close(out);
    }
    if in_list {
        write::close_list(out);
    }
    for part in &message.parts {
        if let PartKind::ToolCall { name, arguments, .. } = &part.kind
            && marked(&part.extra, LEGACY)
        {
            write::key(out, "function_call");
            write::open(out);
            write::text(out, "name", name);
            write::text(out, "arguments", arguments);
            write::close(out);
        }
    }
}

/// A lone text part without private fields is a plain string, which every imitation understands.
fn encode_content(parts: &[Part<'_>], out: &mut Vec<u8>) {
    match parts {
        [] => return out.extend_from_slice(b"\"\""),
        [Part { kind: PartKind::Text(text), extra, .. }]
            if extra.of(ME).is_none_or(|fields| fields.keys().all(|key| matches!(key.as_str(), ROLE | NAME | MEMBERS))) =>
        {
            return write::string(out, text);
        }
        _ => {}
    }
    write::open_list(out);
    for part in parts.iter().filter(|part| carried(part)) {
        write::open(out);
        encode_part(part, out);
        private_members(&part.extra, out);
        write::close(out);
    }
    write::close_list(out);
}

fn encode_part(part: &Part<'_>, out: &mut Vec<u8>) {
    match &part.kind {
        PartKind::Text(text) | PartKind::Document { source: Source::Text { text, .. }, .. } => {
            write::text(out, "type", "text");
            write::text(out, "text", text);
        }
        PartKind::Refusal(text) => {
            write::text(out, "type", "refusal");
            write::text(out, "refusal", text);
        }
        PartKind::Image { source, detail } => {
            write::text(out, "type", "image_url");
            write::key(out, "image_url");
            write::open(out);
            write::text(out, "url", &url(source));
            if let Some(detail) = detail {
                write::text(out, "detail", detail);
            }
            write::close(out);
        }
        PartKind::Audio { source, format } => {
            write::text(out, "type", "input_audio");
            write::key(out, "input_audio");
            write::open(out);
            if let Source::Base64 { data, .. } = source {
                write::text(out, "data", data);
            }
            write::text(out, "format", format);
            write::close(out);
        }
        PartKind::Document { source, name } => {
            write::text(out, "type", "file");
            write::key(out, "file");
            write::open(out);
            match source {
                Source::FileId(id) => write::text(out, "file_id", id),
                source => write::text(out, "file_data", &url(source)),
            }
            match name {
                Some(name) => write::text(out, "filename", name),
                // The API wants a name beside bytes.
                None if matches!(source, Source::Base64 { .. }) && part.extra.dialect != Some(ME) => {
                    write::text(out, "filename", "document")
                }
                None => {}
            }
            write::close(out);
        }
        _ => {}
    }
}

/// The dialect has a form for this part.
/// A document of text is text.
fn is_text(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Text(_) | PartKind::Document { source: Source::Text { .. }, .. })
}

fn carried(part: &Part<'_>) -> bool {
    match &part.kind {
        PartKind::Text(_) | PartKind::Refusal(_) => true,
        PartKind::Image { source, .. } => matches!(source, Source::Url(_) | Source::Base64 { .. }),
        PartKind::Document { source, .. } => !matches!(source, Source::Url(_)) || part.extra.dialect == Some(ME),
        PartKind::Audio { source, .. } => matches!(source, Source::Base64 { .. }),
        PartKind::Private => part.extra.dialect == Some(ME),
        _ => false,
    }
}

fn url<'s>(source: &'s Source<'_>) -> Cow<'s, str> {
    match source {
        Source::Url(url) => Cow::Borrowed(url),
        Source::Base64 { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
        Source::FileId(id) => Cow::Borrowed(id),
        Source::Text { text, .. } => Cow::Borrowed(text),
    }
}

fn marked(extra: &Extra, mark: &str) -> bool {
    extra.of(ME).is_some_and(|fields| fields.contains_key(mark))
}

/// Private members but the marks.
fn private_members(extra: &Extra, out: &mut Vec<u8>) {
    let Some(fields) = extra.of(ME) else { return };
    for (name, value) in fields {
        let mark = matches!(name.as_str(), LEGACY | CUSTOM | UNNAMED) && value == &Value::Bool(true);
        if !mark && !matches!(name.as_str(), ROLE | NAME | MEMBERS | TOOL) {
            write::value(out, name, value);
        }
    }
}

/// Members that were kept under a mark.
fn group(extra: &Extra, mark: &str, out: &mut Vec<u8>) {
    if let Some(members) = extra.of(ME).and_then(|fields| fields.get(mark)).and_then(Value::as_object) {
        write::members(out, members);
    }
}
