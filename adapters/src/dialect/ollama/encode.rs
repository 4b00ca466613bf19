//! Requests: hub → body, and what gets lost on the way.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{GENERATE, MADE_ID, ME};
use crate::dialect::openai::{self, extra};
use crate::dialect::{Target, arguments};
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Effort, Extra, Gravity, Loss, Message, Mode, OutputFormat, Part, PartKind, Role, Source, ToolChoice};
use crate::json::build::{Array, Object, string};

/// Models that are told how much to think; all others think or do not. docs.ollama.com/capabilities/thinking, read 2026-11-20.
const LEVELLED: &str = "gpt-oss";

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    if chat.system.is_empty() && chat.messages.is_empty() {
        // With what was lost: a stored prompt leaves no messages.
        extra::losses(chat, ME, &[], losses);
        return Err(Fault::new(Kind::InvalidRequest, "messages is empty; add a user message"));
    }
    let own = chat.extra.of(ME);
    let mut body = Object::begin(out);
    body.str("model", target.model);
    if own.is_some_and(|fields| fields.contains_key(GENERATE)) {
        encode_prompt(chat, &mut body, losses);
    } else {
        encode_messages(chat, body.array("messages"), losses);
        encode_tools(chat, &mut body, losses);
    }
    encode_output(chat, &mut body);
    encode_think(chat, target, &mut body);
    encode_options(chat, &mut body, losses);
    // Absent, it means a stream.
    body.bool("stream", chat.stream == Mode::Stream);
    for (name, value) in own.into_iter().flatten() {
        if !matches!(name.as_str(), GENERATE | "options" | "think") {
            body.value(name, value);
        }
    }
    body.end();
    extra::losses(chat, ME, &["tool_choice"], losses);
    Ok(())
}

fn lose(losses: &mut Vec<Loss>, field: impl Into<Cow<'static, str>>, gravity: Gravity) {
    losses.push(Loss { field: field.into(), gravity });
}

fn encode_prompt(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let content = |parts: &[Part<'_>], losses: &mut Vec<Loss>| Content::of(parts, "prompt", losses);
    let prompt = chat.messages.first().map(|message| content(&message.parts, losses)).unwrap_or_default();
    body.str("prompt", &prompt.text);
    if !chat.system.is_empty() {
        body.str("system", &content(&chat.system, losses).text);
    }
    prompt.encode_images(body);
}

fn encode_messages(chat: &Chat<'_>, mut array: Array<'_>, losses: &mut Vec<Loss>) {
    if !chat.system.is_empty() {
        write_message("system", &Content::of(&chat.system, "system", losses), &Extra::default(), &mut array);
    }
    for (index, message) in chat.messages.iter().enumerate() {
        if message.name.is_some() {
            lose(losses, format!("messages[{index}].name"), Gravity::Tuning);
        }
        let path = format!("messages[{index}].content");
        match message.role {
            Role::System => write_message("system", &Content::of(&message.parts, &path, losses), &message.extra, &mut array),
            Role::User => encode_user(chat, message, &path, &mut array, losses),
            Role::Assistant => encode_assistant(message, &path, &mut array, losses),
        }
    }
    array.end();
}

fn write_message(role: &str, content: &Content, extra: &Extra, array: &mut Array<'_>) {
    let mut object = array.object();
    object.str("role", role);
    object.str("content", &content.text);
    content.encode_images(&mut object);
    extra.of(ME).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
    object.end();
}

/// Results are messages of their own and stand first: they answer the calls of the turn before.
fn encode_user(chat: &Chat<'_>, message: &Message<'_>, path: &str, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let mut has_results = false;
    for part in &message.parts {
        let PartKind::ToolResult { call_id, parts, is_error } = &part.kind else { continue };
        has_results = true;
        let own = part.extra.of(ME);
        let content = Content::of(parts, path, losses);
        let mut object = array.object();
        object.str("role", "tool");
        object.str("content", &content.text);
        content.encode_images(&mut object);
        if let Some(name) = name_of(chat, call_id).filter(|_| own.is_none()) {
            object.str("tool_name", name);
        }
        let is_made = own.is_some_and(|fields| fields.contains_key(MADE_ID));
        if !is_made {
            object.str("tool_call_id", call_id);
        }
        own.into_iter().flatten().filter(|(name, _)| *name != MADE_ID).for_each(|(name, value)| object.value(name, value));
        object.end();
        if *is_error {
            lose(losses, format!("{path}.is_error"), Gravity::Tuning);
        }
    }
    let content = Content::of(&message.parts, path, losses);
    if !has_results || !content.is_empty() {
        write_message("user", &content, &message.extra, array);
    }
}

/// The tool that the call `id` is of.
fn name_of<'c>(chat: &'c Chat<'_>, id: &str) -> Option<&'c str> {
    let parts = chat.messages.iter().rev().flat_map(|message| &message.parts);
    parts.into_iter().find_map(|part| match &part.kind {
        PartKind::ToolCall { id: its_id, name, .. } if its_id == id => Some(name.as_ref()),
        _ => None,
    })
}

fn encode_assistant(message: &Message<'_>, path: &str, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let content = Content::of(&message.parts, path, losses);
    let mut object = array.object();
    object.str("role", "assistant");
    object.str("content", &content.text);
    if !content.thinking.is_empty() {
        object.str("thinking", &content.thinking);
    }
    content.encode_images(&mut object);
    let is_call = |part: &&Part<'_>| matches!(part.kind, PartKind::ToolCall { .. });
    if message.parts.iter().any(|part| is_call(&part)) {
        let mut calls = object.array("tool_calls");
        for part in &message.parts {
            if let PartKind::ToolCall { id, name, arguments } = &part.kind {
                let mut call = calls.object();
                encode_call(id, name, arguments, part.extra.of(ME), &mut call);
                call.end();
            }
        }
        calls.end();
    }
    message.extra.of(ME).into_iter().flatten().for_each(|(name, value)| object.value(name, value));
    object.end();
}

/// Arguments are an object here; broken ones of an earlier turn are shown in one as they were.
pub(super) fn encode_call(id: &str, name: &str, input: &str, own: Option<&Map<String, Value>>, call: &mut Object<'_>) {
    if !own.is_some_and(|fields| fields.contains_key(MADE_ID)) {
        call.str("id", id);
    }
    let mut function = call.object("function");
    function.str("name", name);
    arguments::encode(input, "arguments", &mut function);
    let inner = own.and_then(|fields| fields.get("function")).and_then(Value::as_object);
    inner.into_iter().flatten().for_each(|(name, value)| function.value(name, value));
    function.end();
    let rest = own.into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), MADE_ID | "function"));
    rest.for_each(|(name, value)| call.value(name, value));
}

/// A turn as this dialect has it: one text, its thinking and its images.
#[derive(Debug, Default)]
struct Content {
    text: String,
    thinking: String,
    images: Vec<String>,
}

impl Content {
    /// All parts but calls and results, which stand elsewhere.
    fn of(parts: &[Part<'_>], path: &str, losses: &mut Vec<Loss>) -> Content {
        let mut content = Content::default();
        for (at, part) in parts.iter().enumerate() {
            let mut lost = |gravity| lose(losses, format!("{path}[{at}]"), gravity);
            match &part.kind {
                PartKind::Text(text) | PartKind::Refusal(text) | PartKind::Document { source: Source::Text { text, .. }, .. } => {
                    if !content.text.is_empty() {
                        content.text.push('\n');
                    }
                    content.text.push_str(text);
                }
                PartKind::Thinking { text, .. } => content.thinking.push_str(text),
                PartKind::Image { source: Source::Base64 { data, .. }, detail } => {
                    content.images.push(data.clone().into_owned());
                    if detail.as_deref().is_some_and(|detail| detail != "auto") {
                        lost(Gravity::Tuning);
                    }
                }
                PartKind::ToolCall { .. } | PartKind::ToolResult { .. } => {}
                PartKind::RedactedThinking { .. } => lost(Gravity::Tuning),
                // Reported with all other private fields.
                PartKind::Private => {}
                // It takes bytes only: a URL has to be fetched before.
                PartKind::Image { .. } | PartKind::Document { .. } | PartKind::Audio { .. } => lost(Gravity::Meaning),
            }
        }
        content
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.images.is_empty()
    }

    fn encode_images(&self, object: &mut Object<'_>) {
        if self.images.is_empty() {
            return;
        }
        let mut array = object.array("images");
        self.images.iter().for_each(|data| string(array.element(), data));
        array.end();
    }
}

fn encode_tools(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    match &chat.tool_choice {
        None | Some(ToolChoice::Auto) => {}
        // There is no such choice here; a model without tools calls none.
        Some(ToolChoice::None) => return,
        Some(_) => lose(losses, "tool_choice", Gravity::Meaning),
    }
    if chat.parallel_tool_calls == Some(false) {
        lose(losses, "parallel_tool_calls", Gravity::Tuning);
    }
    if chat.tools.is_empty() {
        return;
    }
    let mut array = body.array("tools");
    for (index, tool) in chat.tools.iter().enumerate() {
        let Some(parameters) = &tool.parameters else {
            lose(losses, format!("tools[{index}]"), Gravity::Meaning);
            continue;
        };
        if tool.strict == Some(true) {
            lose(losses, format!("tools[{index}].strict"), Gravity::Tuning);
        }
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
}

fn encode_output(chat: &Chat<'_>, body: &mut Object<'_>) {
    match &chat.output {
        Some(OutputFormat::JsonObject) => body.str("format", "json"),
        Some(OutputFormat::JsonSchema { schema, .. }) => body.value("format", schema),
        Some(OutputFormat::Text) | None => {}
    }
}

fn encode_think(chat: &Chat<'_>, target: &Target<'_>, body: &mut Object<'_>) {
    let Some(reasoning) = &chat.reasoning else { return };
    let is_own = chat.extra.dialect == Some(ME);
    if chat.extra.of(ME).is_some_and(|fields| fields.contains_key("think")) {
        return body.bool("think", true);
    }
    let effort = reasoning.effort.or_else(|| openai::effort_name(reasoning).and_then(openai::effort));
    match effort {
        None => {}
        Some(Effort::None) => body.bool("think", false),
        Some(effort) if is_own || target.model.contains(LEVELLED) => body.str("think", level(effort)),
        Some(_) => body.bool("think", true),
    }
}

fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Max => "high",
    }
}

fn encode_options(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let private = chat.extra.of(ME).and_then(|fields| fields.get("options")).and_then(Value::as_object);
    let numbers: [(&str, Option<Value>); 7] = [
        ("num_predict", chat.max_tokens.map(Value::from)),
        ("temperature", chat.temperature.map(Value::from)),
        ("top_p", chat.top_p.map(Value::from)),
        ("top_k", chat.top_k.map(Value::from)),
        ("frequency_penalty", chat.frequency_penalty.map(Value::from)),
        ("presence_penalty", chat.presence_penalty.map(Value::from)),
        ("seed", chat.seed.map(Value::from)),
    ];
    if private.is_some() || !chat.stop.is_empty() || numbers.iter().any(|row| row.1.is_some()) {
        let mut options = body.object("options");
        for (name, number) in numbers {
            if let Some(number) = number {
                options.value(name, &number);
            }
        }
        if !chat.stop.is_empty() {
            let mut array = options.array("stop");
            chat.stop.iter().for_each(|stop| string(array.element(), stop));
            array.end();
        }
        private.into_iter().flatten().for_each(|(name, value)| options.value(name, value));
        options.end();
    }
    let lost = [
        ("n", chat.n.is_some_and(|n| n > 1), Gravity::Meaning),
        ("logprobs", chat.logprobs.is_some(), Gravity::Meaning),
        ("user", chat.user.is_some(), Gravity::Tuning),
        ("service_tier", chat.service_tier.as_deref().is_some_and(|tier| !matches!(tier, "auto" | "default")), Gravity::Tuning),
    ];
    lost.into_iter().filter(|row| row.1).for_each(|row| lose(losses, row.0, row.2));
}
