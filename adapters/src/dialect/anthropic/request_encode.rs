//! The hub → a Messages request.
//!
//! From another dialect, turns are put into the shape that Anthropic demands: system text stands apart, turns of one role
//! are merged, tool results open the user turn that follows their calls.

use serde_json::Value;
use serde_json::value::RawValue;

use super::request_decode::cache_control;
use super::request_fit::{Fit, Thinking, fit, is_own, loss, report_extra};
use super::{ID, blocks_encode};
use crate::dialect::Target;
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Gravity, Loss, Mode, OutputFormat, Part, Role, Tool, ToolChoice};
use crate::json::build::{Array, Object};

use blocks_encode::{Source, encode_content};

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    encode_for(Host::Anthropic, chat, target, out, losses)
}

/// Whose door the request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Host {
    Anthropic,
    /// Another company's: its path names the model and the mode, and the body this version.
    Other(&'static str),
}

pub(in crate::dialect) fn encode_for(
    host: Host,
    chat: &Chat<'_>,
    target: &Target<'_>,
    out: &mut Vec<u8>,
    losses: &mut Vec<Loss>,
) -> Result<(), Fault> {
    let source = if is_own(&chat.extra) { Source::Own } else { Source::Foreign };
    // First, so that a refusal below comes with what was lost: a stored prompt leaves no messages.
    let fit = fit(chat, target.model, target.max_tokens_default, losses);
    let shape = Shape::of(chat, source);
    if shape == Shape::Empty {
        return Err(Fault::new(Kind::InvalidRequest, "messages is empty; add a user message"));
    }
    let mut body = Object::begin(out);
    match host {
        Host::Anthropic => body.str("model", target.model),
        Host::Other(version) => body.str(VERSION, version),
    }
    body.u64("max_tokens", fit.max_tokens);
    match (shape, source) {
        (Shape::SystemAlone | Shape::Empty, _) => encode_system_as_user(chat, &mut body, losses),
        (Shape::Turns, Source::Own) => {
            encode_system(chat, source, &mut body, losses);
            encode_own_messages(chat, body.array("messages"), losses);
        }
        (Shape::Turns, Source::Foreign) => {
            encode_system(chat, source, &mut body, losses);
            encode_turns(chat, body.array("messages"), losses);
        }
    }
    encode_tools(chat, source, &mut body, losses);
    encode_options(chat, source, &fit, &mut body, losses);
    encode_reasoning_and_output(chat, &fit, &mut body);
    if chat.stream == Mode::Stream && host == Host::Anthropic {
        body.bool("stream", true);
    }
    for (name, value) in chat.extra.of(ID).into_iter().flatten() {
        // These are merged with what the hub holds, above.
        if !matches!(name.as_str(), "metadata" | "thinking" | "output_config" | "tool_choice")
            && (name != VERSION || host == Host::Anthropic)
        {
            body.value(name, value);
        }
    }
    body.end();
    Ok(())
}

/// Stands in a body whose path names the model.
pub(in crate::dialect) const VERSION: &str = "anthropic_version";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Turns,
    /// OpenAI answers a system message alone; Anthropic demands a user turn.
    SystemAlone,
    Empty,
}

impl Shape {
    fn of(chat: &Chat<'_>, source: Source) -> Shape {
        if source == Source::Own || chat.messages.iter().any(|message| message.role != Role::System) {
            return Shape::Turns;
        }
        if chat.system.is_empty() && chat.messages.is_empty() { Shape::Empty } else { Shape::SystemAlone }
    }
}

fn encode_system_as_user(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let parts = chat.system.iter().chain(chat.messages.iter().flat_map(|message| &message.parts)).collect();
    losses.push(loss("messages[0].role", Gravity::Tuning));
    let mut array = body.array("messages");
    flush_turn(Some((Role::User, 0, parts)), &mut array, losses);
    array.end();
}

fn encode_system(chat: &Chat<'_>, source: Source, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let mut parts: Vec<&Part<'_>> = chat.system.iter().collect();
    if source == Source::Foreign {
        for (index, message) in chat.messages.iter().enumerate().filter(|(_, message)| message.role == Role::System) {
            parts.extend(&message.parts);
            losses.push(loss(format!("messages[{index}].role"), Gravity::Tuning));
        }
    }
    if !parts.is_empty() {
        encode_content(&parts, &"system", source, body.key("system"), losses);
    }
}

fn encode_own_messages(chat: &Chat<'_>, mut array: Array<'_>, losses: &mut Vec<Loss>) {
    for (index, message) in chat.messages.iter().enumerate() {
        let parts: Vec<&Part<'_>> = message.parts.iter().collect();
        let mut object = array.object();
        object.str("role", role_name(message.role));
        encode_content(&parts, &format_args!("messages[{index}].content"), Source::Own, object.key("content"), losses);
        for (name, value) in message.extra.of(ID).into_iter().flatten() {
            object.value(name, value);
        }
        object.end();
    }
    array.end();
}

fn encode_turns(chat: &Chat<'_>, mut array: Array<'_>, losses: &mut Vec<Loss>) {
    let mut turn: Option<(Role, usize, Vec<&Part<'_>>)> = None;
    for (index, message) in chat.messages.iter().enumerate() {
        if message.role == Role::System {
            continue;
        }
        if message.name.is_some() {
            losses.push(loss(format!("messages[{index}].name"), Gravity::Tuning));
        }
        report_extra(&message.extra, format_args!("messages[{index}]."), losses);
        match &mut turn {
            Some((role, _, parts)) if *role == message.role => parts.extend(&message.parts),
            _ => {
                flush_turn(turn.take(), &mut array, losses);
                turn = Some((message.role, index, message.parts.iter().collect()));
            }
        }
    }
    flush_turn(turn, &mut array, losses);
    array.end();
}

fn flush_turn(turn: Option<(Role, usize, Vec<&Part<'_>>)>, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let Some((role, index, mut parts)) = turn else { return };
    // A stable sort: results first, each group in its order.
    parts.sort_by_key(|part| !blocks_encode::is_tool_result(part));
    let mut content = Vec::new();
    encode_content(&parts, &format_args!("messages[{index}].content"), Source::Foreign, &mut content, losses);
    if content != b"[]" {
        let mut object = array.object();
        object.str("role", role_name(role));
        object.raw("content", &content);
        object.end();
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

fn encode_tools(chat: &Chat<'_>, source: Source, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    if chat.tools.is_empty() && chat.tool_choice.is_none() {
        return;
    }
    if !chat.tools.is_empty() {
        let mut array = body.array("tools");
        for (index, tool) in chat.tools.iter().enumerate() {
            encode_tool(tool, index, source, &mut array, losses);
        }
        array.end();
    }
    encode_tool_choice(chat, source, body, losses);
}

fn encode_tool(tool: &Tool<'_>, index: usize, source: Source, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let own = tool.extra.of(ID);
    if tool.parameters.is_none() && own.is_none() && !tool.extra.is_empty() {
        losses.push(loss(format!("tools[{index}]"), Gravity::Meaning));
        return;
    }
    report_extra(&tool.extra, format_args!("tools[{index}]."), losses);
    let mut object = array.object();
    if tool.parameters.is_some() || own.is_none() {
        object.str("name", &tool.name);
        if let Some(description) = &tool.description {
            object.str("description", description);
        }
        match &tool.parameters {
            Some(Value::Object(schema)) if source == Source::Foreign && !schema.contains_key("type") => {
                // Anthropic demands the type that OpenAI takes for granted.
                let mut schema = schema.clone();
                schema.insert("type".to_owned(), "object".into());
                object.value("input_schema", &schema.into());
            }
            Some(schema) => object.value("input_schema", schema),
            None => object.raw("input_schema", br#"{"type":"object","properties":{}}"#),
        }
        if let Some(strict) = tool.strict {
            object.bool("strict", strict);
        }
    }
    for (name, value) in own.into_iter().flatten() {
        object.value(name, value);
    }
    if let Some(mark) = tool.cache {
        object.value("cache_control", &cache_control(mark));
    }
    object.end();
}

fn encode_tool_choice(chat: &Chat<'_>, source: Source, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let is_serial = chat.parallel_tool_calls == Some(false);
    let (word, name) = match &chat.tool_choice {
        Some(ToolChoice::Private) => {
            match chat.extra.of(ID).and_then(|fields| fields.get("tool_choice")) {
                Some(value) => body.value("tool_choice", value),
                None => losses.push(loss("tool_choice", Gravity::Meaning)),
            }
            return;
        }
        Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Tool(name)) => ("tool", Some(name)),
        None if is_serial => ("auto", None),
        None => return,
    };
    // Without tools, "auto" and "none" say nothing, and are refused.
    if source == Source::Foreign && chat.tools.is_empty() && matches!(word, "auto" | "none") {
        return;
    }
    let mut choice = body.object("tool_choice");
    choice.str("type", word);
    if let Some(name) = name {
        choice.str("name", name);
    }
    if is_serial && word != "none" {
        choice.bool("disable_parallel_tool_use", true);
    }
    choice.end();
}

fn encode_options(chat: &Chat<'_>, source: Source, fit: &Fit, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    if let Some(temperature) = fit.temperature {
        body.f64("temperature", temperature);
    }
    if let Some(top_p) = fit.top_p {
        body.f64("top_p", top_p);
    }
    if let Some(top_k) = fit.top_k {
        body.u64("top_k", top_k);
    }
    let stops = chat.stop.iter().filter(|stop| source == Source::Own || !stop.trim().is_empty());
    if stops.clone().next().is_some() {
        let mut array = body.array("stop_sequences");
        stops.for_each(|stop| crate::json::build::string(array.element(), stop));
        array.end();
    }
    let metadata = chat.extra.of(ID).and_then(|fields| fields.get("metadata")).and_then(Value::as_object);
    if chat.user.is_some() || metadata.is_some() {
        let mut object = body.object("metadata");
        if let Some(user) = &chat.user {
            object.str("user_id", user);
        }
        for (name, value) in metadata.into_iter().flatten() {
            object.value(name, value);
        }
        object.end();
    }
    match chat.service_tier.as_deref() {
        Some("default") => body.str("service_tier", "standard_only"),
        Some(tier) if source == Source::Own || tier == "auto" => body.str("service_tier", tier),
        _ => {}
    }
    if let Some(OutputFormat::JsonSchema { description: Some(_), .. }) = &chat.output {
        losses.push(loss("response_format.json_schema.description", Gravity::Tuning));
    }
}

fn encode_reasoning_and_output(chat: &Chat<'_>, fit: &Fit, body: &mut Object<'_>) {
    let own = |name: &str| chat.extra.of(ID).and_then(|fields| fields.get(name));
    match (own("thinking"), fit.thinking) {
        (Some(thinking), _) => body.value("thinking", thinking),
        (None, Thinking::Unsaid) => {}
        (None, Thinking::Disabled) => body.raw("thinking", br#"{"type":"disabled"}"#),
        (None, Thinking::Adaptive) => body.raw("thinking", br#"{"type":"adaptive"}"#),
        (None, Thinking::Budget(budget_tokens)) => {
            let mut object = body.object("thinking");
            object.str("type", "enabled");
            object.u64("budget_tokens", budget_tokens);
            object.end();
        }
    }
    let rest = own("output_config").and_then(Value::as_object);
    let schema = match &chat.output {
        Some(OutputFormat::JsonSchema { schema: schema @ Value::Object(_), .. }) => Some(schema),
        _ => None,
    };
    if rest.is_none() && schema.is_none() && fit.effort.is_none() {
        return;
    }
    let mut config = body.object("output_config");
    if let Some(effort) = fit.effort.filter(|_| !rest.is_some_and(|rest| rest.contains_key("effort"))) {
        config.str("effort", effort);
    }
    if let Some(schema) = schema {
        let mut format = config.object("format");
        format.str("type", "json_schema");
        format.value("schema", schema);
        format.end();
    }
    for (name, value) in rest.into_iter().flatten() {
        config.value(name, value);
    }
    config.end();
}

/// `arguments` as an object: as it stands where it is one, `{}` where it is empty.
pub(in crate::dialect) fn tool_input(arguments: &str) -> Option<&str> {
    let trimmed = arguments.trim();
    if trimmed.is_empty() {
        return Some("{}");
    }
    (trimmed.starts_with('{') && serde_json::from_str::<&RawValue>(trimmed).is_ok()).then_some(trimmed)
}
