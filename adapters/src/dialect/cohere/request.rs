//! Chat requests: body → hub.
//!
//! Normalised on the way: a string as content is one text part; tool messages in a row are one user turn of results; documents
//! beside the messages stand before the last user turn's own parts; members that are `null` are absent.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::content::{self, decode_content};
use super::{BESIDE, ME, TOOL_PLAN, v1};
use crate::dialect::openai::{extra, field};
use crate::fault::Fault;
use crate::ir::{Chat, Effort, Extra, Logprobs, Message, Mode, OutputFormat, Part, PartKind, Reasoning, Role, Tool, ToolChoice};
use crate::json::node::{Node, Object};

pub(super) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let mut object = field::body(body)?;
    let mut chat = Chat { model: field::text(&mut object, "model")?.unwrap_or_default(), stream_usage: true, ..Chat::default() };
    match field::list(&mut object, "messages")? {
        Some(messages) => {
            decode_messages(messages, &mut chat)?;
            decode_documents(&mut object, &mut chat)?;
            decode_tools(&mut object, &mut chat)?;
            decode_thinking(&mut object, &mut chat)?;
        }
        None if object.look("message").is_some() => v1::decode_request(&mut object, &mut chat)?,
        None => return Err(field::invalid("messages", "write an array of messages")),
    }
    decode_tuning(&mut object, &mut chat)?;
    // The gateway's own field, never a provider's.
    object.take_any("fallbacks");
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    private.fields.retain(|_, value| !value.is_null());
    private.fields.extend(std::mem::take(&mut chat.extra.fields));
    chat.extra = private;
    Ok(chat)
}

fn decode_tuning<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    if field::boolean(object, "stream")? == Some(true) {
        chat.stream = Mode::Stream;
    }
    chat.max_tokens = field::uint(object, "max_tokens")?;
    chat.temperature = field::float(object, "temperature")?;
    chat.top_p = field::float(object, "p")?;
    chat.top_k = field::uint(object, "k")?;
    chat.frequency_penalty = field::float(object, "frequency_penalty")?;
    chat.presence_penalty = field::float(object, "presence_penalty")?;
    chat.seed = field::int(object, "seed")?;
    if field::boolean(object, "logprobs")? == Some(true) {
        chat.logprobs = Some(Logprobs { top: None });
    }
    for stop in field::list(object, "stop_sequences")?.unwrap_or_default() {
        chat.stop.push(stop.into_text().ok_or_else(|| field::invalid("stop_sequences", "write an array of strings"))?);
    }
    chat.output = decode_output(object);
    Ok(())
}

/// `schema` is the schema's older name.
fn decode_output<'a>(object: &mut Object<'a>) -> Option<OutputFormat<'a>> {
    let Some(Node::Object(format)) = object.look("response_format") else { return None };
    match format.look_text("type")? {
        "text" => {
            object.take("response_format");
            Some(OutputFormat::Text)
        }
        "json_object" => {
            let mut format = object.take_object("response_format")?;
            let schema = format.take("json_schema").or_else(|| format.take("schema"));
            Some(match schema {
                Some(schema) => {
                    OutputFormat::JsonSchema { name: "response".into(), description: None, schema: schema.into_value(), strict: None }
                }
                None => OutputFormat::JsonObject,
            })
        }
        // Another form stays the dialect's own.
        _ => None,
    }
}

fn decode_thinking(object: &mut Object<'_>, chat: &mut Chat<'_>) -> Result<(), Fault> {
    let Some(mut thinking) = object.take_object("thinking") else { return Ok(()) };
    let kind = thinking.take_text("type");
    let budget_tokens = field::uint(&mut thinking, "token_budget")?;
    let effort = match kind.as_deref() {
        Some("disabled") => Some(Effort::None),
        Some("enabled") if budget_tokens.is_none() => Some(Effort::High),
        Some("enabled") => None,
        _ => return Err(field::invalid("thinking.type", "write enabled or disabled")),
    };
    chat.reasoning = Some(Reasoning { effort, budget_tokens, summary: None });
    Ok(())
}

fn decode_tools<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    for (index, node) in field::list(object, "tools")?.unwrap_or_default().into_iter().enumerate() {
        let tool = node.into_object().ok_or_else(|| field::invalid(format!("tools[{index}]"), "write an object"))?;
        chat.tools.push(decode_tool(tool, index)?);
    }
    if !chat.tools.is_empty()
        && let Some(strict) = field::boolean(object, "strict_tools")?
    {
        chat.tools.iter_mut().for_each(|tool| tool.strict = Some(strict));
    }
    chat.tool_choice = match field::text(object, "tool_choice")?.as_deref() {
        None => None,
        Some("REQUIRED") => Some(ToolChoice::Required),
        Some("NONE") => Some(ToolChoice::None),
        Some(_) => return Err(field::invalid("tool_choice", "write REQUIRED or NONE")),
    };
    Ok(())
}

fn decode_tool<'a>(mut tool: Object<'a>, index: usize) -> Result<Tool<'a>, Fault> {
    let path = || format!("tools[{index}].function");
    let mut function = tool.take_object("function").ok_or_else(|| field::invalid(path(), "write an object with a name"))?;
    Ok(Tool {
        name: function.take_text("name").ok_or_else(|| field::invalid(format!("{}.name", path()), "write the function's name"))?,
        description: function.take_text("description"),
        parameters: Some(function.take("parameters").map_or_else(|| json!({"type": "object", "properties": {}}), Node::into_value)),
        strict: None,
        cache: None,
        extra: extra::rest(ME, function),
    })
}

fn decode_messages<'a>(messages: Vec<Node<'a>>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let mut in_results = false;
    for (index, node) in messages.into_iter().enumerate() {
        let mut object = node.into_object().ok_or_else(|| field::invalid(format!("messages[{index}]"), "write an object with a role"))?;
        let role = object.take_text("role").ok_or_else(|| field::invalid(format!("messages[{index}].role"), "write the message's role"))?;
        let was_in_results = std::mem::replace(&mut in_results, false);
        match role.as_ref() {
            "system" | "developer" => {
                let message = decode_message(Role::System, object, index)?;
                // Of several leading ones the first stands apart, so that they come back as they were.
                match chat.messages.is_empty() && chat.system.is_empty() {
                    true => chat.system = message.parts,
                    false => chat.messages.push(message),
                }
            }
            "user" => chat.messages.push(decode_message(Role::User, object, index)?),
            "assistant" | "chatbot" => chat.messages.push(decode_assistant(object, index)?),
            "tool" => {
                let part = decode_result(object, index)?;
                in_results = true;
                match chat.messages.last_mut() {
                    Some(last) if was_in_results => last.parts.push(part),
                    _ => chat.messages.push(Message { role: Role::User, parts: vec![part], name: None, extra: Extra::default() }),
                }
            }
            _ => return Err(field::invalid(format!("messages[{index}].role"), "write system, user, assistant or tool")),
        }
    }
    Ok(())
}

fn decode_message<'a>(role: Role, mut object: Object<'a>, index: usize) -> Result<Message<'a>, Fault> {
    let missing = || field::invalid(format!("messages[{index}].content"), "write a string or an array of parts");
    let content = object.take("content").ok_or_else(missing)?;
    Ok(Message { role, parts: decode_content(content, index)?, name: None, extra: extra::rest(ME, object) })
}

fn decode_assistant<'a>(mut object: Object<'a>, index: usize) -> Result<Message<'a>, Fault> {
    let mut parts = Vec::new();
    if let Some(text) = object.take_text(TOOL_PLAN).filter(|plan| !plan.is_empty()) {
        let kind = PartKind::Thinking { text, signature: None };
        parts.push(Part { kind, cache: None, extra: extra::one(ME, TOOL_PLAN, Value::Bool(true)) });
    }
    match object.take("content") {
        None => {}
        Some(Node::Text(text)) if text.is_empty() => {}
        Some(content) => parts.append(&mut decode_content(content, index)?),
    }
    for node in object.take_list("tool_calls").unwrap_or_default() {
        let wrong = || field::invalid(format!("messages[{index}].tool_calls"), "write an array of calls, each with id and function");
        parts.push(decode_call(node).ok_or_else(wrong)?);
    }
    for empty in [TOOL_PLAN, "tool_calls", "citations"] {
        object.take_if(empty, |node| matches!(node, Node::Null) || matches!(node, Node::List(list) if list.is_empty()));
    }
    Ok(Message { role: Role::Assistant, parts, name: None, extra: extra::rest(ME, object) })
}

pub(super) fn decode_call<'a>(node: Node<'a>) -> Option<Part<'a>> {
    let mut call = node.into_object()?;
    let id = call.take_text("id").unwrap_or_default();
    call.take("type");
    let mut function = call.take_object("function")?;
    let arguments = match function.take("arguments") {
        None => Cow::Borrowed(""),
        Some(Node::Text(text)) => text,
        // Some clients write the object itself.
        Some(node) => Cow::Owned(node.into_value().to_string()),
    };
    let kind = PartKind::ToolCall { id, name: function.take_text("name")?, arguments };
    Some(Part { kind, cache: None, extra: extra::rest(ME, call) })
}

fn decode_result<'a>(mut object: Object<'a>, index: usize) -> Result<Part<'a>, Fault> {
    let content = object.take("content").map_or_else(|| Ok(Vec::new()), |content| decode_content(content, index))?;
    let missing = || field::invalid(format!("messages[{index}].tool_call_id"), "write the id of the call that this answers");
    let call_id = object.take_text("tool_call_id").ok_or_else(missing)?;
    Ok(Part { kind: PartKind::ToolResult { call_id, parts: content, is_error: false }, cache: None, extra: extra::rest(ME, object) })
}

/// `documents` beside the messages: a string, or an object with `id` and `data`.
fn decode_documents<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let documents = field::list(object, "documents")?.unwrap_or_default();
    let parts: Vec<Part<'a>> = documents.into_iter().map(|node| content::document(node, BESIDE)).collect();
    if parts.is_empty() {
        return Ok(());
    }
    match chat.messages.iter_mut().rfind(|message| message.role == Role::User) {
        Some(message) => {
            // Behind the results, which open a turn.
            let at = message.parts.iter().take_while(|part| matches!(part.kind, PartKind::ToolResult { .. })).count();
            message.parts.splice(at..at, parts);
        }
        None => chat.messages.push(Message { role: Role::User, parts, name: None, extra: Extra::default() }),
    }
    Ok(())
}
