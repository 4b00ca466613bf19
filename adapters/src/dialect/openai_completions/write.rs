//! Events → answers, whole and streamed.
//!
//! Tool calls and thinking have no place here; their finish tells that there were some.

use serde_json::{Map, Value};

use super::{FINISH_REASON, ME, finish_word};
use crate::dialect::openai::error;
use crate::dialect::openai_chat::{encode_error_event, usage};
use crate::dialect::{Client, StreamEncoder};
use crate::event::{Block, Delta, Event, Finish};
use crate::frame::sse;
use crate::ir::Extra;
use crate::json::write;
use crate::usage::Usage;

/// One choice of a whole answer.
#[derive(Debug, Default)]
struct Choice<'e> {
    index: u32,
    text: String,
    logprobs: Map<String, Value>,
    has_refusal: bool,
    finish: Option<(&'e Finish, &'e Extra)>,
}

pub(super) fn encode(events: &[Event], client: &Client<'_>, out: &mut Vec<u8>) {
    let mut choices: Vec<Choice<'_>> = Vec::new();
    let mut tokens: Option<(&Usage, &Extra)> = None;
    let (mut id, mut model, mut created, mut private) = ("", "", None, None);
    for event in events {
        match event {
            Event::Start { id: own_id, model: own_model, created: own_created, extra } => {
                (id, model, created, private) = (own_id, own_model, *own_created, extra.of(ME));
            }
            Event::Usage { usage, extra } => tokens = Some((usage, extra)),
            Event::Open { choice, kind, .. } => of(&mut choices, *choice).has_refusal |= *kind == Block::Refusal,
            Event::Delta { choice, delta, .. } => match delta {
                Delta::Text(text) => of(&mut choices, *choice).text.push_str(text),
                Delta::Logprobs(extra) => merge(&mut of(&mut choices, *choice).logprobs, extra),
                _ => {}
            },
            Event::Finish { choice, reason, extra } => of(&mut choices, *choice).finish = Some((reason, extra)),
            Event::Fault(fault) => return error::encode(fault, out),
            Event::Close { .. } | Event::Ping | Event::End => {}
        }
    }
    out.push(b'{');
    write::text(out, "id", id);
    write::text(out, "object", "text_completion");
    write::uint(out, "created", created.unwrap_or(client.now_unix));
    write::text(out, "model", if client.model.is_empty() { model } else { &client.model });
    write::key(out, "choices");
    write::open_list(out);
    choices.iter().for_each(|choice| choice.encode(out));
    write::close_list(out);
    if let Some((tokens, extra)) = tokens {
        write::key(out, "usage");
        usage::encode(tokens, extra, out);
    }
    if let Some(fields) = private {
        write::members(out, fields);
    }
    out.push(b'}');
}

fn of<'c, 'e>(choices: &'c mut Vec<Choice<'e>>, index: u32) -> &'c mut Choice<'e> {
    let at = match choices.iter().position(|choice| choice.index == index) {
        Some(at) => at,
        None => {
            choices.push(Choice { index, ..Choice::default() });
            choices.len() - 1
        }
    };
    &mut choices[at]
}

/// Lists of later pieces go behind those of earlier ones.
fn merge(into: &mut Map<String, Value>, extra: &Extra) {
    for (name, value) in extra.of(ME).into_iter().flatten() {
        match (into.get_mut(name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more.iter().cloned()),
            _ => drop(into.insert(name.clone(), value.clone())),
        }
    }
}

impl Choice<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        write::open(out);
        write::text(out, "text", &self.text);
        write::uint(out, "index", u64::from(self.index));
        encode_logprobs(Some(&self.logprobs).filter(|logprobs| !logprobs.is_empty()), out);
        match self.finish {
            Some((reason, extra)) => encode_finish(reason, extra, self.has_refusal, out),
            None => write::null(out, "finish_reason"),
        }
        write::close(out);
    }
}

fn encode_logprobs(logprobs: Option<&Map<String, Value>>, out: &mut Vec<u8>) {
    let Some(logprobs) = logprobs else { return write::null(out, "logprobs") };
    write::key(out, "logprobs");
    write::open(out);
    write::members(out, logprobs);
    write::close(out);
}

fn encode_finish(reason: &Finish, extra: &Extra, has_refusal: bool, out: &mut Vec<u8>) {
    write::text(out, "finish_reason", finish_word(reason, extra, has_refusal));
    for (name, value) in extra.of(ME).into_iter().flatten().filter(|(name, _)| *name != FINISH_REASON) {
        write::value(out, name, value);
    }
}

/// The encoder of one stream.
pub(super) struct Encoder {
    client: Client<'static>,
    /// From `data: ` to the opening bracket of `choices`: what every chunk repeats.
    head: Vec<u8>,
    refused: Vec<u32>,
    /// Chunks with finish reasons: some providers go on with a choice behind its reason.
    finishes: Vec<u8>,
    usage: Option<(Usage, Extra)>,
}

impl Encoder {
    pub(super) fn new(client: Client<'static>) -> Encoder {
        Encoder { client, head: Vec::new(), refused: Vec::new(), finishes: Vec::new(), usage: None }
    }

    fn start(&mut self, id: &str, model: &str, created: Option<u64>, extra: &Extra) {
        let head = &mut self.head;
        head.clear();
        sse::begin_data(head);
        head.push(b'{');
        write::text(head, "id", id);
        write::text(head, "object", "text_completion");
        write::uint(head, "created", created.unwrap_or(self.client.now_unix));
        write::text(head, "model", if self.client.model.is_empty() { model } else { &self.client.model });
        if let Some(fields) = extra.of(ME) {
            write::members(head, fields);
        }
        write::key(head, "choices");
        write::open_list(head);
    }

    /// One chunk with one choice.
    fn chunk(&mut self, index: u32, text: &str, out: &mut Vec<u8>, rest: impl FnOnce(&mut Vec<u8>)) {
        if self.head.is_empty() {
            self.start("", "", None, &Extra::default());
        }
        out.extend_from_slice(&self.head);
        write::open(out);
        write::text(out, "text", text);
        write::uint(out, "index", u64::from(index));
        rest(out);
        write::close(out);
        out.extend_from_slice(if self.client.stream_usage { b"],\"usage\":null}" } else { b"]}" });
        sse::end(out);
    }
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created, extra } => self.start(id, model, *created, extra),
            Event::Open { choice, kind: Block::Refusal, .. } => self.refused.push(*choice),
            Event::Delta { choice, delta: Delta::Text(text), .. } => self.chunk(*choice, text, out, |out| {
                write::null(out, "logprobs");
                write::null(out, "finish_reason");
            }),
            Event::Delta { choice, delta: Delta::Logprobs(extra), .. } if extra.of(ME).is_some() => self.chunk(*choice, "", out, |out| {
                encode_logprobs(extra.of(ME), out);
                write::null(out, "finish_reason");
            }),
            Event::Finish { choice, reason, extra } => {
                let has_refusal = self.refused.contains(choice);
                let mut finishes = std::mem::take(&mut self.finishes);
                self.chunk(*choice, "", &mut finishes, |out| {
                    write::null(out, "logprobs");
                    encode_finish(reason, extra, has_refusal, out);
                });
                self.finishes = finishes;
            }
            Event::Usage { usage, extra } => self.usage = Some((*usage, extra.clone())),
            Event::Fault(fault) => encode_error_event(fault, out),
            Event::End => self.end(out),
            _ => {}
        }
    }
}

impl Encoder {
    fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.finishes);
        if let Some((tokens, extra)) = self.usage.take().filter(|_| self.client.stream_usage) {
            if self.head.is_empty() {
                self.start("", "", None, &Extra::default());
            }
            out.extend_from_slice(&self.head);
            write::close_list(out);
            write::key(out, "usage");
            usage::encode(&tokens, &extra, out);
            write::close(out);
            sse::end(out);
        }
        out.extend_from_slice(sse::DONE);
    }
}
