//! Each dialect's decoders, and what they give through every dialect's encoders.

use ringway_adapters::dialect::{Client, DIALECTS, Dialect, DialectId, Target};
use ringway_adapters::event::Event;
use ringway_adapters::ir::Mode;

use crate::run;
use crate::samples::{ANSWERS, REQUESTS, STREAMS};

fn client(mode: Mode) -> Client<'static> {
    Client { model: "m".into(), mode, stream_usage: true, now_unix: 1_760_000_000 }
}

fn request(dialect: &Dialect, input: &[u8]) {
    let mut body = input.to_vec();
    let Ok(chat) = (dialect.decode_request)(&mut body) else { return };
    for other in DIALECTS {
        let (mut out, mut losses) = (Vec::new(), Vec::new());
        let target = Target { model: "m", max_tokens_default: 4096, inject_stream_usage: true };
        if (other.encode_request)(&chat, &target, &mut out, &mut losses).is_ok() {
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{}: {error}", other.name));
            assert_eq!(value["model"], "m", "{}", other.name);
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
        (other.encode_error_event)(&fault, &mut out);
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
    let dialect = id.row();
    let samples: Vec<&str> = [REQUESTS, ANSWERS, STREAMS].concat();
    run(&samples, |input, cut| {
        request(dialect, input);
        answer(dialect, input);
        stream(dialect, input, cut);
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
fn every_dialect_has_its_smoke() {
    assert_eq!(DIALECTS.len(), 3, "add a test above for the new dialect, and samples of it");
}

#[test]
fn samples_are_taken_before_they_are_wounded() {
    let taken = |takes: &dyn Fn(&Dialect) -> bool| DIALECTS.iter().any(takes);
    for sample in REQUESTS {
        assert!(taken(&|dialect| (dialect.decode_request)(&mut sample.as_bytes().to_vec()).is_ok()), "{sample}");
    }
    for sample in &ANSWERS[..3] {
        assert!(taken(&|dialect| (dialect.decode_answer)(&mut sample.as_bytes().to_vec(), &mut Vec::new()).is_ok()), "{sample}");
    }
    for sample in &STREAMS[..3] {
        assert!(taken(&|dialect| decode(dialect, &[sample.as_bytes()]).1), "{sample}");
    }
}
