//! Events → chunks of a chat stream.
//!
//! Everything that every chunk repeats is written once and copied.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::super::choice::{encode_call, encode_thinking_block};
use super::super::{AUDIO, CHOICE, CHUNK, DELTA, FINISH_REASON, LEGACY, ME, encode_error_event, finish_word, usage};
use crate::dialect::{Client, StreamEncoder, citation};
use crate::event::{Block, Delta, Event, Finish};
use crate::frame::sse;
use crate::ir::Extra;
use crate::json::write;
use crate::usage::Usage;

/// The encoder of one stream.
pub(in crate::dialect::openai_chat) struct Encoder {
    client: Client<'static>,
    /// From `data: ` to the opening bracket of `choices`.
    head: Vec<u8>,
    /// How much of it stands before the provider's own members.
    bare_len: usize,
    /// Those members.
    own: Map<String, Value>,
    /// From the closing bracket of `choices` to the end of the event.
    tail: &'static [u8],
    choices: VecDeque<Choice>,
    usage: Option<(Usage, Extra)>,
}

#[derive(Default)]
struct Choice {
    index: u32,
    call_count: u32,
    /// Open blocks that need more than their deltas say.
    blocks: Vec<(u32, Open)>,
}

enum Open {
    Text,
    Refusal,
    Thinking { text: String, signature: Option<String> },
    Sealed { data: String },
    Call { index: u32, legacy: bool, custom: bool },
    Other,
}

const TAIL: &[u8] = b"]}\n\n";
const TAIL_WITH_USAGE: &[u8] = b"],\"usage\":null}\n\n";

impl Encoder {
    pub(in crate::dialect::openai_chat) fn new(client: Client<'static>) -> Encoder {
        let tail = if client.stream_usage { TAIL_WITH_USAGE } else { TAIL };
        Encoder { client, head: Vec::new(), bare_len: 0, own: Map::new(), tail, choices: VecDeque::new(), usage: None }
    }

    fn start(&mut self, id: &str, model: &str, created: Option<u64>, extra: &Extra) {
        let head = &mut self.head;
        head.clear();
        sse::begin_data(head);
        head.push(b'{');
        write::text(head, "id", id);
        write::text(head, "object", "chat.completion.chunk");
        write::uint(head, "created", created.unwrap_or(self.client.now_unix));
        write::text(head, "model", if self.client.model.is_empty() { model } else { &self.client.model });
        self.bare_len = head.len();
        if let Some(fields) = extra.of(ME) {
            write::members(head, fields);
            self.own.clone_from(fields);
        }
        write::key(head, "choices");
        head.push(b'[');
    }

    /// The head of a chunk that has new top-level members: one of a name that the head has, too, stands once.
    fn head_beside(&self, news: Option<&Map<String, Value>>, out: &mut Vec<u8>) {
        match news {
            Some(news) if self.own.keys().any(|name| news.contains_key(name)) => {
                out.extend_from_slice(&self.head[..self.bare_len]);
                self.own.iter().filter(|(name, _)| !news.contains_key(*name)).for_each(|(name, value)| write::value(out, name, value));
                write::key(out, "choices");
                out.push(b'[');
            }
            _ => out.extend_from_slice(&self.head),
        }
    }

    /// One chunk of one choice whose delta `delta` writes.
    fn chunk(&self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.head);
        out.push(b'{');
        write::uint(out, "index", u64::from(choice));
        out.extend_from_slice(b",\"delta\":{");
        delta(out);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":null}");
        out.extend_from_slice(self.tail);
    }

    /// The choice's state; the first word of a choice is its role.
    fn choice(&mut self, index: u32, out: &mut Vec<u8>) -> &mut Choice {
        if self.head.is_empty() {
            self.start("", "", None, &Extra::default());
        }
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                self.chunk(index, out, |out| out.extend_from_slice(br#""role":"assistant","content":"","refusal":null"#));
                self.choices.push_back(Choice { index, ..Choice::default() });
                self.choices.len() - 1
            }
        };
        &mut self.choices[at]
    }

    fn open(&mut self, index: u32, block: u32, kind: &Block, out: &mut Vec<u8>) {
        let choice = self.choice(index, out);
        let open = match kind {
            Block::Text => Open::Text,
            Block::Refusal => Open::Refusal,
            Block::Thinking => Open::Thinking { text: String::new(), signature: None },
            Block::RedactedThinking => Open::Sealed { data: String::new() },
            Block::ToolCall { extra, .. } => {
                let has = |mark: &str| extra.of(ME).is_some_and(|fields| fields.contains_key(mark));
                let (legacy, custom) = (has(LEGACY), has(super::super::CUSTOM));
                let at = choice.call_count;
                choice.call_count += u32::from(!legacy);
                Open::Call { index: at, legacy, custom }
            }
            Block::Audio | Block::Private { .. } => Open::Other,
        };
        if let (Open::Call { index: at, legacy, .. }, Block::ToolCall { id, name, extra }) = (&open, kind) {
            let (at, legacy) = (*at, *legacy);
            choice.blocks.push((block, open));
            return self.chunk(index, out, |out| match legacy {
                true => {
                    write::key(out, "function_call");
                    write::open(out);
                    write::text(out, "name", name);
                    write::text(out, "arguments", "");
                    write::close(out);
                }
                false => {
                    write::key(out, "tool_calls");
                    write::open_list(out);
                    write::open(out);
                    write::uint(out, "index", u64::from(at));
                    write::text(out, "id", id);
                    encode_call(name, "", extra, out);
                    write::close(out);
                    write::close_list(out);
                }
            });
        }
        choice.blocks.push((block, open));
    }

    fn delta(&mut self, index: u32, block: u32, delta: &Delta, out: &mut Vec<u8>) {
        let choice = self.choice(index, out);
        let mut other = Open::Other;
        let open = choice.blocks.iter_mut().rev().find(|(known, _)| *known == block).map_or(&mut other, |(_, open)| open);
        match (delta, open) {
            (Delta::Text(text), Open::Refusal) => self.chunk(index, out, |out| write::text(out, "refusal", text)),
            (Delta::Text(text), _) => self.chunk(index, out, |out| write::text(out, "content", text)),
            (Delta::Thinking(text), open) => {
                // Only a signature needs the text again, and only other dialects sign.
                if let Open::Thinking { text: held, .. } = open {
                    held.push_str(text);
                }
                self.chunk(index, out, |out| write::text(out, "reasoning_content", text));
            }
            (Delta::Signature(signature), Open::Thinking { signature: held, .. }) => {
                held.get_or_insert_default().push_str(signature);
            }
            (Delta::Sealed(sealed), Open::Sealed { data }) => data.push_str(sealed),
            (Delta::Arguments(arguments), Open::Call { index: at, legacy, custom }) => {
                let (at, legacy, custom) = (*at, *legacy, *custom);
                self.chunk(index, out, |out| encode_arguments(at, legacy, custom, arguments, out));
            }
            (Delta::Audio(data), _) => self.chunk(index, out, |out| {
                write::key(out, "audio");
                write::open(out);
                write::text(out, "data", data);
                write::close(out);
            }),
            (Delta::Citation(extra), _) => {
                let Some(fields) = citation::of(extra, ME) else { return };
                self.chunk(index, out, |out| {
                    write::key(out, "annotations");
                    write::open_list(out);
                    write::open(out);
                    write::members(out, &fields);
                    write::close(out);
                    write::close_list(out);
                });
            }
            (Delta::Logprobs(extra), _) => {
                let Some(fields) = extra.of(ME) else { return };
                self.private(index, &Map::new(), &Map::new(), None, Some(fields), out);
            }
            (Delta::Private(extra), _) => {
                let Some(fields) = extra.of(ME) else { return };
                let group = |name: &str| fields.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
                let mut delta = group(DELTA);
                if let Some(audio) = fields.get(AUDIO) {
                    delta.insert(AUDIO.into(), audio.clone());
                }
                let chunk = group(CHUNK);
                self.private(index, &delta, &group(CHOICE), Some(&chunk), None, out);
            }
            (Delta::Signature(_) | Delta::Sealed(_) | Delta::Arguments(_), _) => {}
        }
    }

    fn private(
        &self,
        index: u32,
        delta: &Map<String, Value>,
        choice: &Map<String, Value>,
        chunk: Option<&Map<String, Value>>,
        logprobs: Option<&Map<String, Value>>,
        out: &mut Vec<u8>,
    ) {
        self.head_beside(chunk, out);
        out.push(b'{');
        write::uint(out, "index", u64::from(index));
        write::key(out, "delta");
        write::open(out);
        write::members(out, delta);
        write::close(out);
        if let Some(fields) = logprobs {
            write::key(out, "logprobs");
            write::open(out);
            write::members(out, fields);
            write::close(out);
        }
        write::null(out, FINISH_REASON);
        write::members(out, choice);
        out.extend_from_slice(b"}]");
        if let Some(chunk) = chunk {
            write::members(out, chunk);
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// A block with a signature or a seal gives both again in this gateway's form, so that a client can send them back.
    fn close(&mut self, index: u32, block: u32, out: &mut Vec<u8>) {
        let choice = self.choice(index, out);
        let Some(at) = choice.blocks.iter().rposition(|(known, _)| *known == block) else { return };
        let (_, open) = choice.blocks.swap_remove(at);
        let (kind, text, signature) = match &open {
            Open::Thinking { text, signature: Some(signature) } => (Block::Thinking, text, Some(signature.as_str())),
            Open::Sealed { data } => (Block::RedactedThinking, data, None),
            _ => return,
        };
        self.chunk(index, out, |out| {
            write::key(out, "thinking_blocks");
            write::open_list(out);
            encode_thinking_block(&kind, text, signature, out);
            write::close_list(out);
        });
    }

    fn finish(&mut self, index: u32, reason: &Finish, extra: &Extra, out: &mut Vec<u8>) {
        self.choice(index, out);
        out.extend_from_slice(&self.head);
        out.push(b'{');
        write::uint(out, "index", u64::from(index));
        out.extend_from_slice(b",\"delta\":{},\"logprobs\":null");
        write::text(out, FINISH_REASON, finish_word(reason, extra));
        if let Some(fields) = extra.of(ME) {
            let known = |name: &str| matches!(name, FINISH_REASON | super::super::MESSAGE);
            fields.iter().filter(|(name, _)| !known(name)).for_each(|(name, value)| write::value(out, name, value));
        }
        out.push(b'}');
        out.extend_from_slice(self.tail);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some((figure, extra)) = self.usage.take().filter(|_| self.client.stream_usage) {
            let news = extra.of(ME).and_then(|fields| fields.get(CHUNK)).and_then(Value::as_object);
            self.head_beside(news, out);
            out.push(b']');
            write::key(out, "usage");
            usage::encode(&figure, &extra, out);
            if let Some(news) = news {
                write::members(out, news);
            }
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(sse::DONE);
    }
}

fn encode_arguments(at: u32, legacy: bool, custom: bool, arguments: &str, out: &mut Vec<u8>) {
    if legacy {
        write::key(out, "function_call");
        write::open(out);
        write::text(out, "arguments", arguments);
        return write::close(out);
    }
    write::key(out, "tool_calls");
    write::open_list(out);
    write::open(out);
    write::uint(out, "index", u64::from(at));
    if custom {
        write::text(out, "type", "custom");
    }
    write::key(out, if custom { "custom" } else { "function" });
    write::open(out);
    write::text(out, if custom { "input" } else { "arguments" }, arguments);
    write::close(out);
    write::close(out);
    write::close_list(out);
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created, extra } => {
                self.start(id, model, *created, extra);
                // The role goes out at once: it is the client's first sign of life.
                self.choice(0, out);
            }
            Event::Open { choice, block, kind } => self.open(*choice, *block, kind, out),
            Event::Delta { choice, block, delta } => self.delta(*choice, *block, delta, out),
            Event::Close { choice, block, .. } => self.close(*choice, *block, out),
            Event::Finish { choice, reason, extra } => self.finish(*choice, reason, extra, out),
            Event::Usage { usage, extra } => self.usage = Some((*usage, extra.clone())),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Fault(fault) => encode_error_event(fault, out),
            Event::End => self.end(out),
        }
    }
}
