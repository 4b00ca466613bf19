//! One line of a stream, or a whole answer: they differ in how much they hold alone.

use serde_json::Value;

use super::{CREATED_AT, GENERATE, MADE_ID, ME, error, finish, request};
use crate::dialect::openai::extra;
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::ir::Extra;
use crate::json::node::{self, Node, Object};
use crate::usage::Usage;

/// Calls of one answer that are told apart.
const CALLS_MAX: usize = 1_024;

/// Where an answer stands.
#[derive(Debug, Default)]
pub(super) struct State {
    has_start: bool,
    open: Option<(Track, u32)>,
    block_count: u32,
    call_count: usize,
    /// Digits of the answer's time: what is unique in it.
    stamp: String,
    /// `done` or an error came; what follows is ignored.
    pub(super) is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Track {
    Text,
    Thinking,
}

pub(super) fn malformed(what: &'static str) -> Fault {
    Fault::new(Kind::MalformedResponse, what)
}

impl State {
    pub(super) fn line(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.is_over {
            return Ok(());
        }
        let node = node::parse(line).map_err(|_| malformed("a line of the answer is not valid JSON"))?;
        let mut object = node.into_object().ok_or_else(|| malformed("a line of the answer is not a JSON object"))?;
        if let Some(error) = object.take("error") {
            self.is_over = true;
            events.push(Event::Fault(error::in_band(error)));
            return Ok(());
        }
        let message = object.take_object("message");
        let response = object.take_text("response");
        if message.is_none() && response.is_none() && !matches!(object.look("done"), Some(Node::Bool(_))) {
            return Err(malformed("a line of the answer has no message"));
        }
        self.start(&mut object, response.is_some(), events);
        match message {
            Some(message) => self.message(message, events)?,
            None => {
                self.text(Track::Thinking, object.take_text("thinking").unwrap_or_default().into_owned(), events);
                self.text(Track::Text, response.unwrap_or_default().into_owned(), events);
            }
        }
        if object.take("done").and_then(|done| done.as_bool()) == Some(true) {
            self.end(object, events);
        }
        Ok(())
    }

    fn start(&mut self, object: &mut Object<'_>, is_completion: bool, events: &mut Vec<Event>) {
        let model = object.take_text("model").unwrap_or_default().into_owned();
        let created_at = object.take_text(CREATED_AT);
        if std::mem::replace(&mut self.has_start, true) {
            return;
        }
        let mut private = Extra { dialect: Some(ME), ..Extra::default() };
        if let Some(created_at) = created_at {
            self.stamp = created_at.chars().filter(char::is_ascii_digit).collect();
            extra::put(&mut private, ME, CREATED_AT, Value::String(created_at.into_owned()));
        }
        if is_completion {
            extra::put(&mut private, ME, GENERATE, Value::Bool(true));
        }
        // An answer has no id here, and clients of other dialects want one.
        let id = format!("ollama-{}", self.stamp);
        events.push(Event::Start { id, model, created: None, extra: private });
    }

    fn message(&mut self, mut message: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        self.text(Track::Thinking, message.take_text("thinking").unwrap_or_default().into_owned(), events);
        self.text(Track::Text, message.take_text("content").unwrap_or_default().into_owned(), events);
        for node in message.take_list("tool_calls").unwrap_or_default() {
            self.call(node.into_object().ok_or_else(|| malformed("a tool call is not an object"))?, events)?;
        }
        Ok(())
    }

    /// A piece of text of one track. An empty one begins nothing.
    fn text(&mut self, track: Track, text: String, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let (kind, delta) = match track {
            Track::Text => (Block::Text, Delta::Text(text)),
            Track::Thinking => (Block::Thinking, Delta::Thinking(text)),
        };
        let block = match self.open {
            Some((open, block)) if open == track => block,
            _ => {
                let block = self.open(kind, events);
                self.open = Some((track, block));
                block
            }
        };
        events.push(Event::Delta { choice: 0, block, delta });
    }

    fn open(&mut self, kind: Block, events: &mut Vec<Event>) -> u32 {
        self.close(events);
        let block = self.block_count;
        self.block_count += 1;
        events.push(Event::Open { choice: 0, block, kind });
        block
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some((_, block)) = self.open.take() {
            events.push(Event::Close { choice: 0, block, extra: Extra::default() });
        }
    }

    /// A call comes whole.
    fn call(&mut self, mut call: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let mut function = call.take_object("function").ok_or_else(|| malformed("a tool call has no function"))?;
        if self.call_count == CALLS_MAX {
            return Err(malformed("too many tool calls"));
        }
        let name = function.take_text("name").unwrap_or_default().into_owned();
        let arguments = function.take("arguments").map_or_else(|| "{}".to_owned(), request::arguments);
        let id = call.take_text("id").filter(|id| !id.is_empty());
        let mut private = extra::rest(ME, call);
        if !function.is_empty() {
            extra::put(&mut private, ME, "function", Value::Object(function.into_map()));
        }
        if id.is_none() {
            extra::put(&mut private, ME, MADE_ID, Value::Bool(true));
        }
        let id = id.map_or_else(|| format!("call_{}_{}", self.stamp, self.call_count), std::borrow::Cow::into_owned);
        self.call_count += 1;
        let block = self.open(Block::ToolCall { id, name, extra: private }, events);
        events.push(Event::Delta { choice: 0, block, delta: Delta::Arguments(arguments) });
        events.push(Event::Close { choice: 0, block, extra: Extra::default() });
        Ok(())
    }

    /// What the last line holds beside the answer is how long it took, and for a completion its context.
    fn end(&mut self, mut object: Object<'_>, events: &mut Vec<Event>) {
        self.close(events);
        self.is_over = true;
        // Servers before 0.1.48 gave no reason.
        let word = object.take_text("done_reason").unwrap_or_else(|| "stop".into());
        let (input, output) = (object.take_u64("prompt_eval_count"), object.take_u64("eval_count"));
        let reason = finish(&word, self.call_count > 0);
        events.push(Event::Finish { choice: 0, reason, extra: extra::rest(ME, object) });
        if input.is_some() || output.is_some() {
            // A prompt that is still held is not evaluated again, and not counted.
            let usage = Usage { input: input.unwrap_or_default(), output: output.unwrap_or_default(), ..Usage::default() };
            events.push(Event::Usage { usage, extra: Extra::default() });
        }
        events.push(Event::End);
    }
}
