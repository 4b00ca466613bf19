//! A whole answer, or a chunk of a stream, → events: they have the same form.

use serde_json::Value;

use super::{ME, read_finish};
use crate::dialect::openai::{error, extra};
use crate::dialect::openai_chat::usage;
use crate::event::{Block, Delta, Event};
use crate::fault::{Fault, Kind};
use crate::ir::Extra;
use crate::json::node::{self, Object};

/// Choices of one answer: prompts times `n`.
const CHOICES_MAX: usize = 2_048;

pub(super) fn decode(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let mut state = State::default();
    state.chunk(body, events)?;
    if state.is_over {
        return Ok(());
    }
    if !state.has_start {
        return Err(malformed("the answer has no choices"));
    }
    state.end(events);
    Ok(())
}

pub(super) fn malformed(what: &str) -> Fault {
    Fault::new(Kind::MalformedResponse, format!("the provider's answer is no completion: {what}"))
}

/// Where an answer stands.
#[derive(Debug, Default)]
pub(super) struct State {
    has_start: bool,
    choices: Vec<Choice>,
    /// Nothing that comes now counts: the answer ended or broke.
    pub(super) is_over: bool,
}

#[derive(Debug)]
struct Choice {
    index: u32,
    is_finished: bool,
}

impl State {
    pub(super) fn chunk(&mut self, json: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        let node = node::parse(json).map_err(|error| malformed(&format!("it is not JSON: {error}")))?;
        let mut chunk = node.into_object().ok_or_else(|| malformed("it is not an object"))?;
        if let Some(error) = chunk.take("error") {
            self.is_over = true;
            events.push(Event::Fault(error::in_band(error)));
            return Ok(());
        }
        let choices = chunk.take_list("choices");
        let figures = chunk.take_object("usage");
        if choices.is_none() && figures.is_none() {
            return Err(malformed("it has no choices"));
        }
        self.start(chunk, events);
        for node in choices.unwrap_or_default() {
            self.choice(node.into_object().ok_or_else(|| malformed("a choice is not an object"))?, events)?;
        }
        if let Some(figures) = figures {
            let (usage, extra) = usage::decode(figures);
            events.push(Event::Usage { usage, extra });
        }
        Ok(())
    }

    fn start(&mut self, mut chunk: Object<'_>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_start, true) {
            return;
        }
        for name in ["object", "usage", "obfuscation"] {
            chunk.take_any(name);
        }
        let (id, model) = (chunk.take_text("id").unwrap_or_default(), chunk.take_text("model").unwrap_or_default());
        let (id, model, created) = (id.into_owned(), model.into_owned(), chunk.take_u64("created"));
        let mut private = extra::rest(ME, chunk);
        private.dialect = Some(ME);
        events.push(Event::Start { id, model, created, extra: private });
    }

    fn choice(&mut self, mut object: Object<'_>, events: &mut Vec<Event>) -> Result<(), Fault> {
        let index = object.take_u64("index").unwrap_or(0).try_into().map_err(|_| malformed("a choice's index is out of range"))?;
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None if self.choices.len() < CHOICES_MAX => {
                self.choices.push(Choice { index, is_finished: false });
                events.push(Event::Open { choice: index, block: 0, kind: Block::Text });
                self.choices.len() - 1
            }
            None => return Err(malformed("too many choices")),
        };
        if self.choices[at].is_finished {
            return Ok(());
        }
        if let Some(text) = object.take_text("text").filter(|text| !text.is_empty()) {
            events.push(Event::Delta { choice: index, block: 0, delta: Delta::Text(text.into_owned()) });
        }
        if let Some(logprobs) = object.take_object("logprobs") {
            let delta = Delta::Logprobs(extra::rest(ME, logprobs));
            events.push(Event::Delta { choice: index, block: 0, delta });
        }
        if let Some(word) = object.take_text("finish_reason") {
            for name in ["finish_reason", "logprobs", "text"] {
                object.take_any(name);
            }
            let mut private = extra::rest(ME, object);
            private.fields.retain(|_, value| !matches!(value, Value::Null));
            let reason = read_finish(&word, &mut private);
            events.push(Event::Close { choice: index, block: 0, extra: Extra::default() });
            events.push(Event::Finish { choice: index, reason, extra: private });
            self.choices[at].is_finished = true;
        }
        Ok(())
    }

    /// Every choice that began has its finish reason.
    pub(super) fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.is_finished)
    }

    pub(super) fn end(&mut self, events: &mut Vec<Event>) {
        self.is_over = true;
        events.push(Event::End);
    }
}
