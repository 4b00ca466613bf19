//! Requests: hub → body, and what gets lost on the way.

use std::borrow::Cow;

use serde_json::Value;

use super::{LISTED, ME};
use crate::dialect::Target;
use crate::dialect::openai::extra;
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Gravity, Loss, Message, Mode, OutputFormat, Part, PartKind, Role, Source};
use crate::json::build::{Object, string};

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    let own = chat.extra.of(ME);
    let is_batch = own.is_some_and(|fields| fields.contains_key("prompt"));
    if chat.messages.is_empty() && chat.system.is_empty() && !is_batch {
        // With what was lost: a stored prompt leaves no messages.
        extra::losses(chat, ME, &[], losses);
        return Err(Fault::new(Kind::InvalidRequest, "messages is empty; add a user message"));
    }
    let mut body = Object::begin(out);
    body.str("model", target.model);
    if !is_batch {
        let prompt = prompt(chat, losses);
        match own.is_some_and(|fields| fields.contains_key(LISTED)) {
            true => {
                let mut list = body.array("prompt");
                string(list.element(), &prompt);
                list.end();
            }
            false => body.str("prompt", &prompt),
        }
    }
    encode_tuning(chat, &mut body, losses);
    encode_stream(chat, target, &mut body);
    for (name, value) in own.into_iter().flatten() {
        if !matches!(name.as_str(), LISTED | "stream_options") {
            body.value(name, value);
        }
    }
    body.end();
    report(chat, losses);
    Ok(())
}

fn lose(losses: &mut Vec<Loss>, field: impl Into<Cow<'static, str>>, gravity: Gravity) {
    losses.push(Loss { field: field.into(), gravity });
}

/// The one text. A conversation becomes a transcript that ends where the assistant's turn begins, and is no longer what it meant.
fn prompt(chat: &Chat<'_>, losses: &mut Vec<Loss>) -> String {
    if let ([], [Message { role: Role::User, parts, .. }]) = (chat.system.as_slice(), chat.messages.as_slice()) {
        return text(parts, "messages[0].content", losses);
    }
    lose(losses, "messages", Gravity::Meaning);
    let mut prompt = text(&chat.system, "system", losses);
    for (index, message) in chat.messages.iter().enumerate() {
        if !prompt.is_empty() {
            prompt.push_str("\n\n");
        }
        let word = match message.role {
            Role::System => "",
            Role::User => "User: ",
            Role::Assistant => "Assistant: ",
        };
        prompt.push_str(word);
        prompt.push_str(&text(&message.parts, &format!("messages[{index}].content"), losses));
    }
    prompt.push_str("\n\nAssistant:");
    prompt
}

fn text(parts: &[Part<'_>], path: &str, losses: &mut Vec<Loss>) -> String {
    let mut all = String::new();
    for (index, part) in parts.iter().enumerate() {
        match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) | PartKind::Document { source: Source::Text { text, .. }, .. } => {
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(text);
            }
            PartKind::Thinking { .. } | PartKind::RedactedThinking { .. } => lose(losses, format!("{path}[{index}]"), Gravity::Tuning),
            // Reported with all other private fields.
            PartKind::Private => {}
            _ => lose(losses, format!("{path}[{index}]"), Gravity::Meaning),
        }
    }
    all
}

fn encode_tuning(chat: &Chat<'_>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let is_own = chat.extra.dialect == Some(ME);
    let numbers: [(&str, Option<Value>); 7] = [
        ("max_tokens", chat.max_tokens.map(Value::from)),
        ("temperature", chat.temperature.map(Value::from)),
        ("top_p", chat.top_p.map(Value::from)),
        ("frequency_penalty", chat.frequency_penalty.map(Value::from)),
        ("presence_penalty", chat.presence_penalty.map(Value::from)),
        ("seed", chat.seed.map(Value::from)),
        ("n", chat.n.map(Value::from)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            body.value(name, &number);
        }
    }
    match chat.top_k {
        // Imitations know it; who sends it in this dialect means one of those.
        Some(top_k) if is_own => body.u64("top_k", top_k),
        Some(_) => lose(losses, "top_k", Gravity::Tuning),
        None => {}
    }
    match (chat.logprobs, is_own) {
        (Some(logprobs), true) => body.u64("logprobs", logprobs.top.unwrap_or_default().into()),
        // The figures come in a form that only this dialect's clients read.
        (Some(_), false) => lose(losses, "logprobs", Gravity::Meaning),
        (None, _) => {}
    }
    match chat.stop.as_slice() {
        [] => {}
        [stop] => body.str("stop", stop),
        stops => {
            let mut array = body.array("stop");
            stops.iter().for_each(|stop| string(array.element(), stop));
            array.end();
        }
    }
    if let Some(user) = &chat.user {
        body.str("user", user);
    }
}

fn encode_stream(chat: &Chat<'_>, target: &Target<'_>, body: &mut Object<'_>) {
    if chat.stream != Mode::Stream {
        return;
    }
    body.bool("stream", true);
    let private = chat.extra.of(ME).and_then(|fields| fields.get("stream_options")).and_then(Value::as_object);
    let usage = chat.stream_usage || target.inject_stream_usage;
    if usage || private.is_some() {
        let mut options = body.object("stream_options");
        if usage {
            options.bool("include_usage", true);
        }
        private.into_iter().flatten().for_each(|(name, value)| options.value(name, value));
        options.end();
    }
}

/// What a text interface has no place for.
fn report(chat: &Chat<'_>, losses: &mut Vec<Loss>) {
    let lost = [
        ("tools", !chat.tools.is_empty(), Gravity::Meaning),
        ("response_format", !matches!(chat.output, None | Some(OutputFormat::Text)), Gravity::Meaning),
        ("reasoning_effort", chat.reasoning.is_some(), Gravity::Tuning),
        ("service_tier", chat.service_tier.as_deref().is_some_and(|tier| !matches!(tier, "auto" | "default")), Gravity::Tuning),
    ];
    lost.into_iter().filter(|row| row.1).for_each(|row| lose(losses, row.0, row.2));
    extra::losses(chat, ME, &["tool_choice"], losses);
}
