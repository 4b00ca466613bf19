//! Requests: body → hub.
//!
//! A prompt is one user message. Several prompts, or one in tokens, are no conversation: they return to their own dialect alone.

use serde_json::Value;

use super::{LISTED, ME};
use crate::dialect::openai::{extra, field};
use crate::fault::Fault;
use crate::ir::{Chat, Extra, Logprobs, Message, Mode, Part, Role};
use crate::json::node::{Node, Object};

pub(super) fn decode(body: &mut [u8]) -> Result<Chat<'_>, Fault> {
    let mut object = field::body(body)?;
    let mut chat = Chat { model: field::text(&mut object, "model")?.unwrap_or_default(), ..Chat::default() };
    decode_prompt(&mut object, &mut chat)?;
    decode_tuning(&mut object, &mut chat)?;
    decode_stream(&mut object, &mut chat)?;
    // The gateway's own field, never a provider's.
    object.take_any("fallbacks");
    let mut private = extra::rest(ME, object);
    private.dialect = Some(ME);
    private.fields.retain(|name, value| !says_nothing(name, value));
    private.fields.extend(std::mem::take(&mut chat.extra.fields));
    chat.extra = private;
    Ok(chat)
}

fn says_nothing(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        // One of one is no choice.
        Value::Number(number) => name == "best_of" && number.as_u64() == Some(1),
        _ => false,
    }
}

fn decode_prompt<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    let text = match object.take("prompt") {
        Some(Node::Text(text)) => text,
        Some(Node::List(mut list)) if matches!(list.as_slice(), [Node::Text(_)]) => {
            chat.extra.fields.insert(LISTED.to_owned(), Value::Bool(true));
            list.pop().and_then(Node::into_text).unwrap_or_default()
        }
        Some(list @ Node::List(_)) => {
            chat.extra.fields.insert("prompt".to_owned(), list.into_value());
            return Ok(());
        }
        Some(_) => return Err(field::invalid("prompt", "write a string or an array of strings")),
        None => return Err(field::invalid("prompt", "is missing; write a string")),
    };
    chat.messages.push(Message { role: Role::User, parts: vec![Part::text(text)], name: None, extra: Extra::default() });
    Ok(())
}

fn decode_tuning<'a>(object: &mut Object<'a>, chat: &mut Chat<'a>) -> Result<(), Fault> {
    chat.max_tokens = field::uint(object, "max_tokens")?;
    chat.temperature = field::float(object, "temperature")?;
    chat.top_p = field::float(object, "top_p")?;
    chat.top_k = object.take_u64("top_k");
    chat.frequency_penalty = field::float(object, "frequency_penalty")?;
    chat.presence_penalty = field::float(object, "presence_penalty")?;
    chat.seed = field::int(object, "seed")?;
    chat.n = field::uint32(object, "n")?;
    chat.user = field::text(object, "user")?;
    chat.logprobs = field::uint32(object, "logprobs")?.map(|top| Logprobs { top: Some(top) });
    let wrong = || field::invalid("stop", "write a string or an array of strings");
    chat.stop = match object.take("stop") {
        None => Vec::new(),
        Some(Node::Text(stop)) => vec![stop],
        Some(Node::List(stops)) => stops.into_iter().map(Node::into_text).collect::<Option<_>>().ok_or_else(wrong)?,
        Some(_) => return Err(wrong()),
    };
    Ok(())
}

fn decode_stream(object: &mut Object<'_>, chat: &mut Chat<'_>) -> Result<(), Fault> {
    if field::boolean(object, "stream")? == Some(true) {
        chat.stream = Mode::Stream;
    }
    if let Some(mut options) = object.take_object("stream_options") {
        chat.stream_usage = options.take("include_usage").and_then(|node| node.as_bool()) == Some(true);
        if !options.is_empty() {
            chat.extra.fields.insert("stream_options".to_owned(), Value::Object(options.into_map()));
        }
    }
    Ok(())
}
