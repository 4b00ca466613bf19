//! Each dialect's decoders, and what they give through every dialect's encoders.

use ringway_adapters::dialect::{AsksIn, Client, DIALECTS, Dialect, DialectId, Target};
use ringway_adapters::event::Event;
use ringway_adapters::frame::Framing;
use ringway_adapters::ir::Mode;

use crate::frames::framed;
use crate::run;
use crate::samples::{ANSWERS, ANSWERS_WELL, FRAMES, REQUESTS, STREAMS, STREAMS_WELL};

fn client(mode: Mode) -> Client<'static> {
    Client { model: "m".into(), mode, stream_usage: true, now_unix: 1_760_000_000, framing: Framing::Sse }
}

fn request(dialect: &Dialect, input: &[u8]) {
    let mut body = input.to_vec();
    let Ok(chat) = (dialect.decode_request)(&mut body) else { return };
    for other in DIALECTS {
        let (mut out, mut losses) = (Vec::new(), Vec::new());
        let target = Target { model: "m", max_tokens_default: 4096, inject_stream_usage: true };
        if (other.encode_request)(&chat, &target, &mut out, &mut losses).is_ok() {
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{}: {error}", other.name));
            let named = (other.asks_in != AsksIn::Path).then_some("m");
            assert_eq!(value.get("model").and_then(|model| model.as_str()), named, "{}", other.name);
        }
    }
}

fn answer(dialect: &Dialect, input: &[u8]) {
    let (mut body, mut events) = (input.to_vec(), Vec::new());
    if (dialect.decode_answer)(&mut body, &mut events).is_ok() {
        encode(&events);
    }
    (dialect.tap)().whole(input);
    let fault = (dialect.decode_error)(400, input);
    for other in DIALECTS {
        let mut out = Vec::new();
        (other.encode_error)(&fault, &mut out);
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{}: {}", other.name, out.escape_ascii());
        (other.encode_error_event)(&fault, other.framing, &mut out);
    }
}

/// Any events, in any order, are written somehow.
fn encode(events: &[Event]) {
    for other in DIALECTS {
        let mut out = Vec::new();
        if !events.iter().any(|event| matches!(event, Event::Fault(_))) {
            (other.encode_answer)(events, &client(Mode::Whole), &mut out);
            assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{}: {}", other.name, out.escape_ascii());
        }
        let mut encoder = (other.stream_encoder)(client(Mode::Stream));
        for event in events {
            encoder.encode(event, &mut out);
            if matches!(event, Event::Fault(_)) {
                break;
            }
        }
    }
}

/// The events as text, for comparing, and whether the stream was taken to its end.
fn decode(dialect: &Dialect, pieces: &[&[u8]]) -> (Vec<Event>, bool) {
    let (mut decoder, mut events) = ((dialect.stream_decoder)(), Vec::new());
    for piece in pieces {
        if decoder.feed(piece, &mut events).is_err() {
            return (events, false);
        }
    }
    let ended = decoder.finish(&mut events).is_ok();
    (events, ended)
}

fn stream(dialect: &Dialect, input: &[u8], cut: usize) {
    let (events, ended) = decode(dialect, &[input]);
    let told = |events: &[Event]| format!("{events:?}");
    for pieces in [vec![&input[..cut], &input[cut..]], input.chunks(1).collect()] {
        let (others, others_ended) = decode(dialect, &pieces);
        assert_eq!((told(&others), others_ended), (told(&events), ended), "{}: a cut changes the events", dialect.name);
    }
    encode(&events);
    tap(dialect, input, cut);
}

fn tap(dialect: &Dialect, input: &[u8], cut: usize) {
    let seen = |pieces: &[&[u8]]| {
        let mut tap = (dialect.tap)();
        let taken = pieces.iter().all(|piece| tap.feed(piece).is_ok());
        let seen = tap.seen();
        (taken, format!("{:?}", seen.usage), seen.event_count, seen.text_bytes, seen.finished, seen.ended)
    };
    assert_eq!(seen(&[&input[..cut], &input[cut..]]), seen(&[input]), "{}: a cut changes what the tap sees", dialect.name);
}

fn smoke(id: DialectId) {
    smoke_from(id, id);
}

/// Grown from the recordings of another dialect.
fn smoke_from(id: DialectId, recorded: DialectId) {
    let dialect = id.row();
    let mut samples = crate::recorded::samples(recorded);
    assert!(!samples.is_empty(), "{} has no recordings", recorded.row().name);
    // A third is of the other dialects: a decoder sees its neighbours' bytes, too.
    let mixed = [REQUESTS, ANSWERS, STREAMS].concat();
    let mixed_count = samples.len() / 2;
    samples.extend(mixed.iter().cycle().take(mixed_count.max(mixed.len())).map(|sample| sample.as_bytes().to_vec()));
    if dialect.framing == Framing::EventStream {
        samples.extend(FRAMES.iter().map(|sample| sample.as_bytes().to_vec()));
    }
    run(&samples, |input, cut| {
        request(dialect, input);
        answer(dialect, input);
        match dialect.framing {
            Framing::EventStream => {
                let frames = framed(input);
                stream(dialect, &frames, cut % (frames.len() + 1));
                // Recorded frames with their wounds, and bytes that are none: refused, not read.
                stream(dialect, input, cut);
            }
            _ => stream(dialect, input, cut),
        }
    });
}

#[test]
fn openai_chat_smoke() {
    smoke(DialectId::OpenaiChat);
}

#[test]
fn openai_responses_smoke() {
    smoke(DialectId::OpenaiResponses);
}

#[test]
fn anthropic_smoke() {
    smoke(DialectId::Anthropic);
}

#[test]
fn bedrock_converse_smoke() {
    smoke(DialectId::BedrockConverse);
}

#[test]
fn bedrock_invoke_smoke() {
    smoke(DialectId::BedrockInvoke);
}

#[test]
fn cohere_smoke() {
    smoke(DialectId::Cohere);
}

#[test]
fn cohere_v1_smoke() {
    // One decoder reads both forms, and they are recorded as one.
    smoke_from(DialectId::CohereV1, DialectId::Cohere);
}

#[test]
fn ollama_smoke() {
    smoke(DialectId::Ollama);
}

#[test]
fn openai_completions_smoke() {
    smoke(DialectId::OpenaiCompletions);
}

#[test]
fn gemini_smoke() {
    smoke(DialectId::Gemini);
}

#[test]
fn every_dialect_has_its_smoke() {
    assert_eq!(DIALECTS.len(), 10, "add a test above for the new dialect, and samples of it");
}

#[test]
fn samples_are_taken_before_they_are_wounded() {
    let taken = |takes: &dyn Fn(&Dialect) -> bool| DIALECTS.iter().any(takes);
    for sample in REQUESTS {
        assert!(taken(&|dialect| (dialect.decode_request)(&mut sample.as_bytes().to_vec()).is_ok()), "{sample}");
    }
    for sample in &ANSWERS[..ANSWERS_WELL] {
        assert!(taken(&|dialect| (dialect.decode_answer)(&mut sample.as_bytes().to_vec(), &mut Vec::new()).is_ok()), "{sample}");
    }
    for sample in FRAMES {
        assert!(taken(&|dialect| decode(dialect, &[&framed(sample.as_bytes())]).1), "{sample}");
    }
    for sample in &STREAMS[..STREAMS_WELL] {
        assert!(taken(&|dialect| decode(dialect, &[sample.as_bytes()]).1), "{sample}");
    }
}
