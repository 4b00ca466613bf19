//! Translation: decode, hub, encode, for each ordered pair of dialects; requests, whole answers and streams.
//!
//! Named from the dialect that is read to the one that is written. Decoders may rewrite a body in place, so a step copies
//! its input first.

use std::borrow::Cow;
use std::hint::black_box;

use ringway_adapters::dialect::DialectId::{Anthropic, BedrockConverse, Cohere, Gemini, Ollama, OpenaiChat, OpenaiResponses};
use ringway_adapters::dialect::{Client, DialectId, Target};
use ringway_adapters::frame::Framing;
use ringway_adapters::ir::Mode;

use crate::inputs::{answer, request, stream_events};
use crate::{Case, Prepared};

pub const CASES: &[Case] = &[
    Case { name: "request/chat-to-messages", prepare: || requests(OpenaiChat, Anthropic) },
    Case { name: "request/chat-to-responses", prepare: || requests(OpenaiChat, OpenaiResponses) },
    Case { name: "request/messages-to-chat", prepare: || requests(Anthropic, OpenaiChat) },
    Case { name: "request/messages-to-responses", prepare: || requests(Anthropic, OpenaiResponses) },
    Case { name: "request/responses-to-chat", prepare: || requests(OpenaiResponses, OpenaiChat) },
    Case { name: "request/responses-to-messages", prepare: || requests(OpenaiResponses, Anthropic) },
    Case { name: "answer/chat-to-messages", prepare: || answers(OpenaiChat, Anthropic) },
    Case { name: "answer/chat-to-responses", prepare: || answers(OpenaiChat, OpenaiResponses) },
    Case { name: "answer/messages-to-chat", prepare: || answers(Anthropic, OpenaiChat) },
    Case { name: "answer/messages-to-responses", prepare: || answers(Anthropic, OpenaiResponses) },
    Case { name: "answer/responses-to-chat", prepare: || answers(OpenaiResponses, OpenaiChat) },
    Case { name: "answer/responses-to-messages", prepare: || answers(OpenaiResponses, Anthropic) },
    Case { name: "stream/chat-to-messages", prepare: || streams(OpenaiChat, Anthropic) },
    Case { name: "stream/chat-to-responses", prepare: || streams(OpenaiChat, OpenaiResponses) },
    Case { name: "stream/messages-to-chat", prepare: || streams(Anthropic, OpenaiChat) },
    Case { name: "stream/messages-to-responses", prepare: || streams(Anthropic, OpenaiResponses) },
    Case { name: "stream/responses-to-chat", prepare: || streams(OpenaiResponses, OpenaiChat) },
    Case { name: "stream/responses-to-messages", prepare: || streams(OpenaiResponses, Anthropic) },
    Case { name: "request/chat-to-cohere", prepare: || requests(OpenaiChat, Cohere) },
    Case { name: "request/cohere-to-chat", prepare: || requests(Cohere, OpenaiChat) },
    Case { name: "request/chat-to-ollama", prepare: || requests(OpenaiChat, Ollama) },
    Case { name: "answer/cohere-to-chat", prepare: || answers(Cohere, OpenaiChat) },
    Case { name: "answer/chat-to-cohere", prepare: || answers(OpenaiChat, Cohere) },
    Case { name: "answer/ollama-to-chat", prepare: || answers(Ollama, OpenaiChat) },
    Case { name: "stream/cohere-to-chat", prepare: || streams(Cohere, OpenaiChat) },
    Case { name: "stream/chat-to-cohere", prepare: || streams(OpenaiChat, Cohere) },
    Case { name: "stream/ollama-to-chat", prepare: || streams(Ollama, OpenaiChat) },
    Case { name: "request/chat-to-gemini", prepare: || requests(OpenaiChat, Gemini) },
    Case { name: "request/gemini-to-chat", prepare: || requests(Gemini, OpenaiChat) },
    Case { name: "request/gemini-to-messages", prepare: || requests(Gemini, Anthropic) },
    Case { name: "request/messages-to-gemini", prepare: || requests(Anthropic, Gemini) },
    Case { name: "answer/chat-to-gemini", prepare: || answers(OpenaiChat, Gemini) },
    Case { name: "answer/gemini-to-chat", prepare: || answers(Gemini, OpenaiChat) },
    Case { name: "answer/gemini-to-messages", prepare: || answers(Gemini, Anthropic) },
    Case { name: "answer/messages-to-gemini", prepare: || answers(Anthropic, Gemini) },
    Case { name: "stream/chat-to-gemini", prepare: || streams(OpenaiChat, Gemini) },
    Case { name: "stream/gemini-to-chat", prepare: || streams(Gemini, OpenaiChat) },
    Case { name: "stream/gemini-to-messages", prepare: || streams(Gemini, Anthropic) },
    Case { name: "stream/messages-to-gemini", prepare: || streams(Anthropic, Gemini) },
    Case { name: "request/chat-to-converse", prepare: || requests(OpenaiChat, BedrockConverse) },
    Case { name: "request/converse-to-chat", prepare: || requests(BedrockConverse, OpenaiChat) },
    Case { name: "answer/chat-to-converse", prepare: || answers(OpenaiChat, BedrockConverse) },
    Case { name: "answer/converse-to-chat", prepare: || answers(BedrockConverse, OpenaiChat) },
    Case { name: "stream/chat-to-converse", prepare: || streams(OpenaiChat, BedrockConverse) },
    Case { name: "stream/converse-to-chat", prepare: || streams(BedrockConverse, OpenaiChat) },
    Case { name: "stream/converse-to-messages", prepare: || streams(BedrockConverse, Anthropic) },
];

fn requests(from: DialectId, to: DialectId) -> Prepared {
    let body = request(from).as_bytes();
    let mut scratch = Vec::new();
    Prepared::new(move || {
        scratch.clear();
        scratch.extend_from_slice(black_box(body));
        let chat = (from.row().decode_request)(&mut scratch).expect("a good request");
        let target = Target { model: "target-model", max_tokens_default: 4096, inject_stream_usage: false };
        let (mut out, mut losses) = (Vec::with_capacity(body.len()), Vec::new());
        (to.row().encode_request)(&chat, &target, &mut out, &mut losses).expect("a request that can be said");
        black_box((out, losses));
    })
}

fn answers(from: DialectId, to: DialectId) -> Prepared {
    let body = answer(from);
    let client = client(Mode::Whole);
    let (mut scratch, mut events) = (Vec::new(), Vec::new());
    Prepared::new(move || {
        scratch.clear();
        scratch.extend_from_slice(black_box(body));
        events.clear();
        (from.row().decode_answer)(&mut scratch, &mut events).expect("a good answer");
        let mut out = Vec::with_capacity(body.len());
        (to.row().encode_answer)(&events, &client, &mut out);
        black_box(out);
    })
}

fn streams(from: DialectId, to: DialectId) -> Prepared {
    let reads = stream_events(from);
    let count = reads.len();
    let (mut events, mut out) = (Vec::new(), Vec::new());
    Prepared::new(move || {
        let mut decoder = (from.row().stream_decoder)();
        let mut encoder = (to.row().stream_encoder)(client(Mode::Stream));
        for read in &reads {
            events.clear();
            decoder.feed(black_box(read), &mut events).expect("well formed");
            out.clear();
            events.iter().for_each(|event| encoder.encode(event, &mut out));
            black_box(&out);
        }
        events.clear();
        decoder.finish(&mut events).expect("a whole answer");
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        black_box(&out);
    })
    .per(count)
}

fn client(mode: Mode) -> Client<'static> {
    Client { model: Cow::Borrowed("asked-model"), mode, stream_usage: true, now_unix: 1_780_000_000, framing: Framing::Sse }
}
