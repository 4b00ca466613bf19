//! Requests of `/api/chat` and `/api/generate`: body → hub.
//!
//! Normalised on the way: tool messages in a row are one user turn of results; members that are null, false or empty are absent. An
//! answer streams unless the request says no. Calls without ids get some, and results find theirs by the tool's name.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{GENERATE, MADE_ID, ME};
use crate::dialect::openai::{extra, field};
use crate::fault::Fault;
use crate::ir::{Chat, Effort, Extra, Message, Mode, OutputFormat, Part, PartKind, Reasoning, Role, Source, Tool};
use crate::json::node::{Node, Object};

pub(super) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let mut object = field::body(body)?;
    let mut chat = Chat { model: field::text(&mut object, "model")?.unwrap_or_default(), stream_usage: true, ..Chat::default() };
    match field::list(&mut object, "messages")? {
        Some(messages) => Conversation { chat: &mut chat, calls: Vec::new(), in_results: false }.decode(messages)?,
        None if object.look("prompt").is_some() => decode_prompt(&mut object, &mut chat)?,
        None => return Err(field::invalid("messages", "write an array of messages")),
    }
    chat.stream = if field::boolean(&mut object, "stream")? == Some(false) { Mode::Whole } else { Mode::Stream };
    decode_tools(&mut object, &mut chat)?;
    decode_options(&mut object, &mut chat)?;
    decode_format(&mut object, &mut chat)?;
    decode_think(&mut object, &mut chat);
    // The gateway's own field, never a provider's.
    object.take_any("fallbacks");
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    private.fields.retain(|_, value| !says_nothing(value));
    private.fields.extend(std::mem::take(&mut chat.extra.fields));
    chat.extra = private;
    Ok(chat)
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// `/api/generate`: one turn, without a conversation.
fn decode_prompt<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    if let Some(system) = field::text(object, "system")?.filter(|system| !system.is_empty()) {
        chat.system.push(Part::text(system));
    }
    let mut parts = vec![Part::text(field::text(object, "prompt")?.unwrap_or_default())];
    decode_images(object, &mut parts);
    chat.messages.push(Message { role: Role::User, parts, name: None, extra: Extra::default() });
    chat.extra.fields.insert(GENERATE.to_owned(), Value::Bool(true));
    Ok(())
}

fn decode_options<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let Some(mut options) = object.take_object("options") else { return Ok(()) };
    // -1 and -2 mean no bound and as much as the context holds.
    chat.max_tokens = options.take_u64("num_predict");
    chat.temperature = field::float(&mut options, "temperature")?;
    chat.top_p = field::float(&mut options, "top_p")?;
    chat.top_k = options.take_u64("top_k");
    chat.frequency_penalty = field::float(&mut options, "frequency_penalty")?;
    chat.presence_penalty = field::float(&mut options, "presence_penalty")?;
    chat.seed = field::int(&mut options, "seed")?;
    match options.take("stop") {
        None => {}
        Some(Node::Text(stop)) => chat.stop.push(stop),
        Some(Node::List(stops)) => {
            let wrong = || field::invalid("options.stop", "write an array of strings");
            chat.stop = stops.into_iter().map(Node::into_text).collect::<Option<_>>().ok_or_else(wrong)?;
        }
        Some(_) => return Err(field::invalid("options.stop", "write an array of strings")),
    }
    if !options.is_empty() {
        chat.extra.fields.insert("options".to_owned(), Value::Object(options.into_map()));
    }
    Ok(())
}

fn decode_format<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    chat.output = match object.take("format") {
        None => None,
        Some(Node::Text(word)) if word.is_empty() => None,
        Some(Node::Text(word)) if word == "json" => Some(OutputFormat::JsonObject),
        Some(schema @ Node::Object(_)) => {
            Some(OutputFormat::JsonSchema { name: "response".into(), description: None, schema: schema.into_value(), strict: None })
        }
        Some(_) => return Err(field::invalid("format", "write \"json\" or a JSON Schema")),
    };
    Ok(())
}

/// `true` says no effort: it is kept beside the one that other dialects are told.
fn decode_think(object: &mut Object<'_>, chat: &mut Chat<'_>) {
    let effort = match object.look("think") {
        Some(Node::Bool(true)) => Effort::Medium,
        Some(Node::Bool(false)) => Effort::None,
        Some(Node::Text(word)) => match crate::dialect::openai::effort(word) {
            Some(effort) => effort,
            None => return,
        },
        _ => return,
    };
    let node = object.take("think");
    if matches!(node, Some(Node::Bool(true))) {
        chat.extra.fields.insert("think".to_owned(), Value::Bool(true));
    }
    chat.reasoning = Some(Reasoning { effort: Some(effort), ..Reasoning::default() });
}

fn decode_tools<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    for (index, node) in field::list(object, "tools")?.unwrap_or_default().into_iter().enumerate() {
        let path = || format!("tools[{index}].function");
        let mut tool = node.into_object().ok_or_else(|| field::invalid(format!("tools[{index}]"), "write an object"))?;
        let mut function = tool.take_object("function").ok_or_else(|| field::invalid(path(), "write an object with a name"))?;
        chat.tools.push(Tool {
            name: function.take_text("name").ok_or_else(|| field::invalid(format!("{}.name", path()), "write the function's name"))?,
            description: function.take_text("description"),
            parameters: Some(function.take("parameters").map_or_else(|| json!({"type": "object", "properties": {}}), Node::into_value)),
            strict: None,
            cache: None,
            extra: extra::rest(ME, function),
        });
    }
    Ok(())
}

/// A conversation being read.
struct Conversation<'c, 'a> {
    chat: &'c mut Chat<'a>,
    /// Calls so far, with their names, until they are answered.
    calls: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    in_results: bool,
}

impl<'a> Conversation<'_, 'a> {
    fn decode(mut self, messages: Vec<Node<'a>>) -> Result<(), Fault> {
        for (index, node) in messages.into_iter().enumerate() {
            let missing = |field: &str| field::invalid(format!("messages[{index}]{field}"), "write an object with a role and content");
            let mut object = node.into_object().ok_or_else(|| missing(""))?;
            let role = object.take_text("role").ok_or_else(|| missing(".role"))?;
            let was_in_results = std::mem::replace(&mut self.in_results, false);
            match role.as_ref() {
                "system" if self.chat.messages.is_empty() && self.chat.system.is_empty() => {
                    self.chat.system = plain(Role::System, object).parts;
                }
                "system" => self.chat.messages.push(plain(Role::System, object)),
                "user" => self.chat.messages.push(plain(Role::User, object)),
                "assistant" => {
                    let message = self.assistant(object, index)?;
                    self.chat.messages.push(message);
                }
                "tool" => {
                    let part = self.result(object);
                    self.in_results = true;
                    match self.chat.messages.last_mut() {
                        Some(last) if was_in_results => last.parts.push(part),
                        _ => self.chat.messages.push(Message { role: Role::User, parts: vec![part], name: None, extra: Extra::default() }),
                    }
                }
                _ => return Err(field::invalid(format!("messages[{index}].role"), "write system, user, assistant or tool")),
            }
        }
        Ok(())
    }

    fn assistant(&mut self, mut object: Object<'a>, index: usize) -> Result<Message<'a>, Fault> {
        let mut parts = Vec::new();
        if let Some(text) = object.take_text("thinking").filter(|text| !text.is_empty()) {
            parts.push(PartKind::Thinking { text, signature: None }.into());
        }
        let calls = object.take_list("tool_calls").unwrap_or_default();
        let mut message = plain(Role::Assistant, object);
        parts.append(&mut message.parts);
        for (at, node) in calls.into_iter().enumerate() {
            let wrong = || field::invalid(format!("messages[{index}].tool_calls[{at}]"), "write an object with a function");
            let mut call = node.into_object().ok_or_else(wrong)?;
            let mut function = call.take_object("function").ok_or_else(wrong)?;
            let name = function.take_text("name").ok_or_else(wrong)?;
            let arguments = function.take("arguments").map_or_else(|| "{}".to_owned(), arguments);
            let id = call.take_text("id").filter(|id| !id.is_empty());
            let mut private = extra::rest(ME, call);
            if !function.is_empty() {
                extra::put(&mut private, ME, "function", Value::Object(function.into_map()));
            }
            if id.is_none() {
                extra::put(&mut private, ME, MADE_ID, Value::Bool(true));
            }
            let id = id.unwrap_or_else(|| format!("call_{index}_{at}").into());
            self.calls.push((id.clone(), name.clone()));
            let kind = PartKind::ToolCall { id, name, arguments: arguments.into() };
            parts.push(Part { kind, cache: None, extra: private });
        }
        message.parts = parts;
        Ok(message)
    }

    /// The call that a result answers: by id, else the first open one of the tool, else the first open one.
    fn result(&mut self, mut object: Object<'a>) -> Part<'a> {
        let mut private = Map::new();
        let name = object.take_text("tool_name");
        let at = match object.take_text("tool_call_id").filter(|id| !id.is_empty()) {
            Some(id) => {
                self.calls.retain(|call| call.0 != id);
                Err(id)
            }
            None => {
                private.insert(MADE_ID.to_owned(), Value::Bool(true));
                let named = self.calls.iter().position(|call| Some(&call.1) == name.as_ref());
                named.or((!self.calls.is_empty()).then_some(0)).ok_or_else(|| name.clone().unwrap_or_default())
            }
        };
        let call_id = at.map_or_else(|id| id, |at| self.calls.remove(at).0);
        if let Some(name) = name {
            private.insert("tool_name".to_owned(), Value::String(name.into_owned()));
        }
        let message = plain(Role::User, object);
        private.extend(message.extra.fields);
        let kind = PartKind::ToolResult { call_id, parts: message.parts, is_error: false };
        Part { kind, cache: None, extra: Extra { dialect: Some(ME), fields: private } }
    }
}

/// Arguments as text; some clients write them as such.
pub(super) fn arguments(node: Node<'_>) -> String {
    match node {
        Node::Text(text) => text.into_owned(),
        node => node.into_value().to_string(),
    }
}

/// Content and images.
fn plain<'a>(role: Role, mut object: Object<'a>) -> Message<'a> {
    let mut parts = Vec::new();
    if let Some(text) = object.take_text("content").filter(|text| !text.is_empty() || role != Role::Assistant) {
        parts.push(Part::text(text));
    }
    decode_images(&mut object, &mut parts);
    Message { role, parts, name: None, extra: extra::rest(ME, object) }
}

fn decode_images<'a>(object: &mut Object<'a>, parts: &mut Vec<Part<'a>>) {
    for data in object.take_list("images").unwrap_or_default().into_iter().filter_map(Node::into_text) {
        let source =
            if data.starts_with("data:") { field::source(data) } else { Source::Base64 { media_type: media_type(&data).into(), data } };
        parts.push(PartKind::Image { source, detail: None }.into());
    }
}

/// How the base64 of each format begins; no image names its own here.
const MAGIC: &[(&str, &str)] = &[("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];

fn media_type(data: &str) -> &'static str {
    MAGIC.iter().find(|row| data.starts_with(row.0)).map_or("image/png", |row| row.1)
}
