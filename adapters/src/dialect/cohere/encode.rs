//! Chat requests: hub → body, and what gets lost on the way.

use std::borrow::Cow;

use serde_json::Value;

use super::content::{encode_part, is_beside, plain_text};
use super::{BESIDE, ME, TOOL_PLAN, V1, v1};
use crate::dialect::Target;
use crate::dialect::openai::extra;
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Effort, Extra, Gravity, Loss, Message, Mode, OutputFormat, Part, PartKind, Reasoning, Role, ToolChoice};
use crate::json::build::{Array, Object, string};

/// Thinking budgets of the hub's efforts, tokens; the highest is not bounded.
const BUDGETS: &[(Effort, u64)] = &[(Effort::Minimal, 1024), (Effort::Low, 2048), (Effort::Medium, 8192), (Effort::High, 16384)];

/// Cohere takes 0 to 1; docs.cohere.com/v2/reference/chat, read 2026-11-20.
const PENALTY_MAX: f64 = 1.0;
/// Cohere takes 0.01 to 0.99; 1 means no bound, which is to leave it out.
const P_RANGE: (f64, f64) = (0.01, 0.99);
/// Cohere takes 0 (no bound) to 500.
const K_MAX: u64 = 500;

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    let mut body = Object::begin(out);
    body.str("model", target.model);
    if chat.extra.of(ME).is_some_and(|fields| fields.contains_key(V1)) {
        v1::encode_request(chat, &mut body);
        encode_stream(chat, &mut body);
        body.end();
        return Ok(());
    }
    if chat.system.is_empty() && chat.messages.is_empty() {
        // With what was lost: a stored prompt leaves no messages.
        extra::losses(chat, ME, &[], losses);
        return Err(Fault::new(Kind::InvalidRequest, "messages is empty; add a user message"));
    }
    encode_messages(chat, body.array("messages"), losses);
    encode_documents(chat, &mut body);
    encode_tools(chat, &mut body, losses);
    encode_tuning(chat, &mut body, losses);
    encode_thinking(chat, &mut body);
    encode_stream(chat, &mut body);
    for (name, value) in chat.extra.of(ME).into_iter().flatten() {
        body.value(name, value);
    }
    body.end();
    extra::losses(chat, ME, &["tool_choice"], losses);
    Ok(())
}

fn lose(losses: &mut Vec<Loss>, field: impl Into<Cow<'static, str>>, gravity: Gravity) {
    losses.push(Loss { field: field.into(), gravity });
}

/// A server tool's trace may go; a reference to content that is kept elsewhere may not.
pub(super) fn private_gravity(part: &Part<'_>) -> Gravity {
    let kind = part.extra.fields.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind.ends_with("_call") || kind == "mcp_list_tools" { Gravity::Tuning } else { Gravity::Meaning }
}

fn encode_stream(chat: &Chat<'_>, body: &mut Object<'_>) {
    if chat.stream == Mode::Stream {
        body.bool("stream", true);
    }
}

fn encode_messages(chat: &Chat<'_>, mut array: Array<'_>, losses: &mut Vec<Loss>) {
    if !chat.system.is_empty() {
        let parts: Vec<&Part<'_>> = chat.system.iter().collect();
        write_message("system", &parts, &Extra::default(), "system", &mut array, losses);
    }
    for (index, message) in chat.messages.iter().enumerate() {
        if message.name.is_some() {
            lose(losses, format!("messages[{index}].name"), Gravity::Tuning);
        }
        let path = format!("messages[{index}].content");
        let parts = || message.parts.iter();
        match message.role {
            Role::System => write_message("system", &parts().collect::<Vec<_>>(), &message.extra, &path, &mut array, losses),
            Role::User => encode_user(message, &path, &mut array, losses),
            Role::Assistant => encode_assistant(message, &path, &mut array, losses),
        }
    }
    array.end();
}

fn write_message(role: &str, parts: &[&Part<'_>], extra: &Extra, path: &str, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let mut object = array.object();
    object.str("role", role);
    encode_content(parts, path, &mut object, losses);
    extra.of(ME).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
    object.end();
}

fn encode_content(parts: &[&Part<'_>], path: &str, object: &mut Object<'_>, losses: &mut Vec<Loss>) {
    match plain_text(parts) {
        Some(text) => object.str("content", text),
        None => {
            let mut content = object.array("content");
            for (at, part) in parts.iter().enumerate() {
                encode_part(part, || format!("{path}[{at}]"), &mut content, losses);
            }
            content.end();
        }
    }
}

/// Results are messages of their own and stand first: they answer the calls of the turn before.
fn encode_user(message: &Message<'_>, path: &str, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let mut rest: Vec<&Part<'_>> = Vec::with_capacity(message.parts.len());
    let mut has_results = false;
    for part in &message.parts {
        let PartKind::ToolResult { call_id, parts, is_error } = &part.kind else {
            if !is_beside(part) {
                rest.push(part);
            }
            continue;
        };
        has_results = true;
        let mut object = array.object();
        object.str("role", "tool");
        object.str("tool_call_id", call_id);
        encode_content(&parts.iter().collect::<Vec<_>>(), path, &mut object, losses);
        part.extra.of(ME).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
        object.end();
        if *is_error {
            lose(losses, format!("{path}.is_error"), Gravity::Tuning);
        }
    }
    if !rest.is_empty() || !has_results && !message.parts.iter().any(is_beside) {
        write_message("user", &rest, &message.extra, path, array, losses);
    }
}

fn encode_assistant(message: &Message<'_>, path: &str, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let is_plan = |part: &Part<'_>| part.extra.of(ME).is_some_and(|fields| fields.contains_key(TOOL_PLAN));
    let is_call = |part: &Part<'_>| matches!(part.kind, PartKind::ToolCall { .. });
    let content: Vec<&Part<'_>> = message.parts.iter().filter(|part| !is_call(part) && !is_plan(part)).collect();
    let mut object = array.object();
    object.str("role", "assistant");
    for part in message.parts.iter().filter(|part| is_plan(part)) {
        if let PartKind::Thinking { text, .. } = &part.kind {
            object.str(TOOL_PLAN, text);
        }
    }
    if message.parts.iter().any(is_call) {
        let mut calls = object.array("tool_calls");
        for part in &message.parts {
            if let PartKind::ToolCall { id, name, arguments } = &part.kind {
                encode_call(id, name, arguments, part.extra.of(ME), &mut calls);
            }
        }
        calls.end();
    }
    if !content.is_empty() {
        encode_content(&content, path, &mut object, losses);
    }
    message.extra.of(ME).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
    object.end();
}

pub(super) fn encode_call(id: &str, name: &str, arguments: &str, own: Option<&serde_json::Map<String, Value>>, calls: &mut Array<'_>) {
    let mut call = calls.object();
    call.str("id", id);
    call.str("type", "function");
    let mut function = call.object("function");
    function.str("name", name);
    function.str("arguments", if arguments.trim().is_empty() { "{}" } else { arguments });
    function.end();
    own.into_iter().flatten().for_each(|(name, value)| call.value(name, value));
    call.end();
}

fn encode_documents(chat: &Chat<'_>, body: &mut Object<'_>) {
    let beside = || chat.messages.iter().flat_map(|message| &message.parts).filter_map(|part| part.extra.of(ME)?.get(BESIDE));
    if beside().next().is_none() {
        return;
    }
    let mut array = body.array(BESIDE);
    beside().for_each(|document| crate::json::build::value(array.element(), document));
    array.end();
}

fn encode_tools(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    if chat.tools.iter().any(|tool| tool.parameters.is_some()) {
        let mut array = body.array("tools");
        for (index, tool) in chat.tools.iter().enumerate() {
            let Some(parameters) = &tool.parameters else {
                lose(losses, format!("tools[{index}]"), Gravity::Meaning);
                continue;
            };
            let mut object = array.object();
            object.str("type", "function");
            let mut function = object.object("function");
            function.str("name", &tool.name);
            if let Some(description) = &tool.description {
                function.str("description", description);
            }
            function.value("parameters", parameters);
            tool.extra.of(ME).into_iter().flatten().for_each(|(name, value)| function.value(name, value));
            function.end();
            object.end();
        }
        array.end();
        let is_own = chat.extra.dialect == Some(ME);
        match chat.tools.iter().any(|tool| tool.strict == Some(true)) {
            true => body.bool("strict_tools", true),
            false if is_own && chat.tools.iter().any(|tool| tool.strict == Some(false)) => body.bool("strict_tools", false),
            false => {}
        }
    } else {
        for index in 0..chat.tools.len() {
            lose(losses, format!("tools[{index}]"), Gravity::Meaning);
        }
    }
    match &chat.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        Some(ToolChoice::Required) => body.str("tool_choice", "REQUIRED"),
        Some(ToolChoice::None) => body.str("tool_choice", "NONE"),
        // With one tool, any tool is that tool.
        Some(ToolChoice::Tool(name)) if chat.tools.len() == 1 && chat.tools[0].name == *name => body.str("tool_choice", "REQUIRED"),
        Some(ToolChoice::Tool(_) | ToolChoice::Private) => lose(losses, "tool_choice", Gravity::Meaning),
    }
    if chat.parallel_tool_calls == Some(false) {
        lose(losses, "parallel_tool_calls", Gravity::Tuning);
    }
}

pub(super) fn encode_tuning(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let is_own = chat.extra.dialect == Some(ME);
    if let Some(max) = chat.max_tokens {
        body.u64("max_tokens", max);
    }
    if let Some(temperature) = chat.temperature {
        body.f64("temperature", temperature);
    }
    match chat.top_p {
        Some(p) if is_own || (P_RANGE.0..=P_RANGE.1).contains(&p) => body.f64("p", p),
        Some(p) if p < 1.0 => {
            body.f64("p", p.clamp(P_RANGE.0, P_RANGE.1));
            lose(losses, "top_p", Gravity::Tuning);
        }
        Some(_) | None => {}
    }
    match chat.top_k {
        Some(k) if is_own || k <= K_MAX => body.u64("k", k),
        Some(_) => lose(losses, "top_k", Gravity::Tuning),
        None => {}
    }
    for (name, penalty) in [("frequency_penalty", chat.frequency_penalty), ("presence_penalty", chat.presence_penalty)] {
        match penalty {
            Some(penalty) if is_own || (0.0..=PENALTY_MAX).contains(&penalty) => body.f64(name, penalty),
            Some(penalty) => {
                body.f64(name, penalty.clamp(0.0, PENALTY_MAX));
                lose(losses, name, Gravity::Tuning);
            }
            None => {}
        }
    }
    if !chat.stop.is_empty() {
        let mut array = body.array("stop_sequences");
        chat.stop.iter().for_each(|stop| string(array.element(), stop));
        array.end();
    }
    if let Some(seed) = chat.seed {
        body.value("seed", &seed.into());
    }
    match chat.logprobs {
        Some(_) if is_own => body.bool("logprobs", true),
        // The figures come in a form that only this dialect's clients read.
        Some(_) => lose(losses, "logprobs", Gravity::Meaning),
        None => {}
    }
    if chat.n.is_some_and(|n| n > 1) {
        lose(losses, "n", Gravity::Meaning);
    }
    if chat.service_tier.as_deref().is_some_and(|tier| !matches!(tier, "auto" | "default")) {
        lose(losses, "service_tier", Gravity::Tuning);
    }
    if chat.user.is_some() {
        lose(losses, "user", Gravity::Tuning);
    }
    encode_output(chat, body);
}

fn encode_output(chat: &Chat<'_>, body: &mut Object<'_>) {
    let Some(output) = &chat.output else { return };
    let mut format = body.object("response_format");
    match output {
        OutputFormat::Text => format.str("type", "text"),
        OutputFormat::JsonObject => format.str("type", "json_object"),
        OutputFormat::JsonSchema { schema, .. } => {
            format.str("type", "json_object");
            format.value("json_schema", schema);
        }
    }
    format.end();
}

fn encode_thinking(chat: &Chat<'_>, body: &mut Object<'_>) {
    let Some(Reasoning { effort, budget_tokens, .. }) = &chat.reasoning else { return };
    let is_own = chat.extra.dialect == Some(ME);
    let budget_tokens = budget_tokens.or_else(|| {
        let effort = effort.filter(|_| !is_own)?;
        BUDGETS.iter().find(|row| row.0 == effort).map(|row| row.1)
    });
    if effort.is_none() && budget_tokens.is_none() {
        return;
    }
    let mut thinking = body.object("thinking");
    thinking.str("type", if *effort == Some(Effort::None) { "disabled" } else { "enabled" });
    if let Some(budget_tokens) = budget_tokens {
        thinking.u64("token_budget", budget_tokens);
    }
    thinking.end();
}
