//! The hub → a generateContent request. It names no model and no mode: the path does.
//!
//! From another dialect, turns are put into the shape that Gemini demands: system text stands apart, turns of one role are
//! merged, results of functions open the turn that follows their calls.

use std::borrow::Cow;
use std::fmt::Display;

use super::config_decode::{PREFIX, RESPONSE_SCHEMA, THINKING_CONFIG};
use super::parts_encode::{Place, Turns};
use super::tools_decode::TOOL_CONFIG;
use super::{ID, config_encode, tools_encode};
use crate::dialect::Target;
use crate::dialect::openai::extra::{MARKS, TUNING};
use crate::fault::{Fault, Kind};
use crate::ir::{Chat, Extra, Gravity, Loss, Part, PartKind, Role};
use crate::json::build::{Array, Object};

/// Whether the hub was filled from this dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Own,
    Foreign,
}

pub(super) fn encode(chat: &Chat<'_>, target: &Target<'_>, out: &mut Vec<u8>, losses: &mut Vec<Loss>) -> Result<(), Fault> {
    let source = if chat.extra.dialect == Some(ID) { Source::Own } else { Source::Foreign };
    if source == Source::Foreign {
        report_fields(chat, losses);
    }
    let has_turns = source == Source::Own || chat.messages.iter().any(|message| message.role != Role::System);
    if !has_turns && chat.system.is_empty() && chat.messages.is_empty() {
        return Err(Fault::new(Kind::InvalidRequest, "messages is empty; add a user message"));
    }
    let mut turns = Turns::new(chat, source, target.model);
    let mut body = Object::begin(out);
    if has_turns {
        encode_system(chat, &mut turns, &mut body, losses);
        let contents = body.array("contents");
        match source {
            Source::Own => encode_own_contents(chat, &mut turns, contents, losses),
            Source::Foreign => encode_contents(chat, &mut turns, contents, losses),
        }
    } else {
        encode_system_as_user(chat, &mut turns, body.array("contents"), losses);
    }
    tools_encode::encode(chat, source, &mut body, losses);
    config_encode::encode(chat, source, target.model, &mut body, losses);
    for (name, value) in chat.extra.of(ID).into_iter().flatten() {
        // These are merged with what the hub holds.
        if !name.starts_with(PREFIX) && !matches!(name.as_str(), RESPONSE_SCHEMA | THINKING_CONFIG | TOOL_CONFIG) {
            body.value(name, value);
        }
    }
    body.end();
    Ok(())
}

/// A system message alone is answered elsewhere; Gemini demands a content.
fn encode_system_as_user<'c>(chat: &'c Chat<'c>, turns: &mut Turns<'c>, mut array: Array<'_>, losses: &mut Vec<Loss>) {
    losses.push(loss("messages[0].role", Gravity::Tuning));
    let parts = chat.system.iter().chain(chat.messages.iter().flat_map(|message| &message.parts)).collect();
    flush(Some((Role::User, 0, parts)), turns, &mut array, losses);
    array.end();
}

fn encode_system<'c>(chat: &'c Chat<'c>, turns: &mut Turns<'c>, body: &mut Object<'_>, losses: &mut Vec<Loss>) {
    let mut parts: Vec<&Part<'_>> = chat.system.iter().collect();
    if turns.source == Source::Foreign {
        for (index, message) in chat.messages.iter().enumerate().filter(|(_, message)| message.role == Role::System) {
            parts.extend(&message.parts);
            losses.push(loss(format!("messages[{index}].role"), Gravity::Tuning));
        }
    }
    if parts.is_empty() {
        return;
    }
    let mut written = Vec::new();
    turns.encode(&parts, &mut Place { path: &"system", losses }, &mut Array::begin(&mut written));
    written.push(b']');
    if written == b"[]" {
        return;
    }
    let mut system = body.object("systemInstruction");
    system.raw("parts", &written);
    system.end();
}

fn encode_own_contents<'c>(chat: &'c Chat<'c>, turns: &mut Turns<'c>, mut array: Array<'_>, losses: &mut Vec<Loss>) {
    for (index, message) in chat.messages.iter().enumerate() {
        let parts: Vec<&Part<'_>> = message.parts.iter().collect();
        let mut content = array.object();
        content.str("role", role_name(message.role));
        let mut written = content.array("parts");
        turns.encode(&parts, &mut Place { path: &format_args!("contents[{index}].parts"), losses }, &mut written);
        written.end();
        for (name, value) in message.extra.of(ID).into_iter().flatten() {
            content.value(name, value);
        }
        content.end();
    }
    array.end();
}

fn encode_contents<'c>(chat: &'c Chat<'c>, turns: &mut Turns<'c>, mut array: Array<'_>, losses: &mut Vec<Loss>) {
    let mut turn: Option<(Role, usize, Vec<&Part<'_>>)> = None;
    for (index, message) in chat.messages.iter().enumerate().filter(|(_, message)| message.role != Role::System) {
        if message.name.is_some() {
            losses.push(loss(format!("messages[{index}].name"), Gravity::Tuning));
        }
        report_extra(&message.extra, format_args!("messages[{index}]."), losses);
        match &mut turn {
            Some((role, _, parts)) if *role == message.role => parts.extend(&message.parts),
            _ => {
                flush(turn.take(), turns, &mut array, losses);
                turn = Some((message.role, index, message.parts.iter().collect()));
            }
        }
    }
    flush(turn, turns, &mut array, losses);
    array.end();
}

fn flush<'c>(turn: Option<(Role, usize, Vec<&'c Part<'c>>)>, turns: &mut Turns<'c>, array: &mut Array<'_>, losses: &mut Vec<Loss>) {
    let Some((role, index, mut parts)) = turn else { return };
    // A stable sort: results first, each group in its order.
    parts.sort_by_key(|part| !matches!(part.kind, PartKind::ToolResult { .. }));
    let mut written = Vec::new();
    turns.encode(&parts, &mut Place { path: &format_args!("messages[{index}].content"), losses }, &mut Array::begin(&mut written));
    written.push(b']');
    if written != b"[]" {
        let mut content = array.object();
        content.str("role", role_name(role));
        content.raw("parts", &written);
        content.end();
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System | Role::User => "user",
        Role::Assistant => "model",
    }
}

fn report_fields(chat: &Chat<'_>, losses: &mut Vec<Loss>) {
    let lost: [(&'static str, bool); 2] = [("user", chat.user.is_some()), ("parallel_tool_calls", chat.parallel_tool_calls == Some(false))];
    losses.extend(lost.into_iter().filter(|row| row.1).map(|row| loss(row.0, Gravity::Tuning)));
    for (name, value) in &chat.extra.fields {
        // A choice that is private is reported with the tools.
        if !value.is_null() && !MARKS.contains(&name.as_str()) && name != "tool_choice" {
            losses.push(loss(name.clone(), if TUNING.contains(&name.as_str()) { Gravity::Tuning } else { Gravity::Meaning }));
        }
    }
}

/// A private field of a turn, a part or a tool of another dialect is a loss, under `prefix`.
pub(super) fn report_extra(extra: &Extra, prefix: impl Display, losses: &mut Vec<Loss>) {
    if extra.dialect == Some(ID) {
        return;
    }
    for (name, value) in &extra.fields {
        let says_nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty) || MARKS.contains(&name.as_str());
        // Ids and states of items are the provider's bookkeeping.
        if !says_nothing && !matches!(name.as_str(), "id" | "status" | "type" | "cache_control" | "annotations") {
            losses.push(loss(format!("{prefix}{name}"), Gravity::Tuning));
        }
    }
}

pub(super) fn loss(field: impl Into<Cow<'static, str>>, gravity: Gravity) -> Loss {
    Loss { field: field.into(), gravity }
}
