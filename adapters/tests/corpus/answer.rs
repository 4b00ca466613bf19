//! Answers, whole and streamed: decode, encode, tap, translate.

use ringway_adapters::dialect::{Client, DIALECTS, Dialect, DialectId};
use ringway_adapters::event::{Delta, Event};
use ringway_adapters::fault::Fault;
use ringway_adapters::ir::Mode;
use serde_json::Value;

use crate::Checks;
use crate::chunk::cuttings;
use crate::load::{Exchange, Reply};
use crate::normal::{Side, compare};
use crate::outcome::{Outcome, same_events};

pub fn check(exchange: &Exchange, checks: &mut Checks) {
    // Answers to count_tokens and the like pass through: they only have to be JSON, which they are once loaded.
    let Some(row) = exchange.dialect.filter(|_| exchange.api != "count_tokens").map(DialectId::row) else {
        return checks.check("answer is there", Ok(()));
    };
    match &exchange.reply {
        Reply::Json(body) => check_whole(row, body, checks),
        Reply::Stream { text, chunk_sizes } => check_stream(row, text.as_bytes(), chunk_sizes, checks),
        Reply::Empty => {}
    }
}

fn check_whole(row: &'static Dialect, body: &Value, checks: &mut Checks) {
    let bytes = body.to_string().into_bytes();
    let events = match decode_whole(row, &bytes) {
        Ok(events) => events,
        Err(fault) => return checks.check("decode", Err(fault.message.into_owned())),
    };
    let mut out = Vec::new();
    (row.encode_answer)(&events, &client(&events, Mode::Whole), &mut out);
    checks.check("encode", compare(row.id, Side::Answer, body, &out));
    let outcome = Outcome::of(&events);
    checks.check("ends", if outcome.has_end || outcome.fault.is_some() { Ok(()) } else { Err("no End".to_owned()) });
    let mut tap = (row.tap)();
    tap.whole(&bytes);
    checks.check("tap usage", expect(outcome.usage, tap.seen().usage));
    let is_finished = outcome.fault.is_none() && outcome.choices.values().all(|choice| choice.finish.is_some());
    checks.check("tap finish", expect(is_finished, tap.seen().finished));
    check_translations(row, &events, Mode::Whole, checks);
}

fn check_stream(row: &'static Dialect, bytes: &[u8], chunk_sizes: &[usize], checks: &mut Checks) {
    let whole = std::iter::once(bytes);
    let (events, result) = decode_stream(row, whole);
    checks.check("decode", result.map_err(|fault| fault.message.into_owned()));
    for (name, ranges) in cuttings(bytes.len(), chunk_sizes) {
        let (cut, _) = decode_stream(row, ranges.into_iter().map(|range| &bytes[range]));
        checks.check(&format!("cut {name}"), same_events(&events, &cut));
    }
    let outcome = Outcome::of(&events);
    for size in [bytes.len().max(1), 1] {
        check_tap(row, bytes.chunks(size), &events, &outcome, checks);
    }
    check_translations(row, &events, Mode::Stream, checks);
}

fn check_tap<'b>(row: &Dialect, chunks: impl Iterator<Item = &'b [u8]>, events: &[Event], outcome: &Outcome, checks: &mut Checks) {
    let mut tap = (row.tap)();
    for chunk in chunks {
        if let Err(fault) = tap.feed(chunk) {
            return checks.check("tap", Err(fault.message.into_owned()));
        }
    }
    let seen = tap.seen();
    checks.check("tap usage", expect(outcome.usage, seen.usage));
    let is_finished = !outcome.choices.is_empty() && outcome.choices.values().all(|choice| choice.finish.is_some());
    checks.check("tap finished", expect(is_finished, seen.finished));
    checks.check("tap fault", expect(outcome.fault.is_some(), seen.fault.is_some()));
    // "{}" may be the codec's own, for a call that came without arguments.
    let has_text = |event: &Event| matches!(event, Event::Delta { delta: Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text), .. } if !matches!(text.as_str(), "" | "{}"));
    if events.iter().any(has_text) {
        checks.check("tap text", expect(true, seen.text_bytes > 0));
    }
}

/// Into every dialect, the same one too, and back.
fn check_translations(row: &'static Dialect, events: &[Event], mode: Mode, checks: &mut Checks) {
    let outcome = Outcome::of(events);
    for other in DIALECTS {
        checks.group(&format!("through {}", other.name), |checks| check_translation(row, other, events, &outcome, mode, checks));
    }
}

fn check_translation(row: &Dialect, other: &'static Dialect, events: &[Event], outcome: &Outcome, mode: Mode, checks: &mut Checks) {
    let client = client(events, mode);
    let mut out = Vec::new();
    let (again, result) = match mode {
        Mode::Whole => {
            (other.encode_answer)(events, &client, &mut out);
            match decode_whole(other, &out) {
                Ok(again) => (again, Ok(())),
                Err(fault) => (Vec::new(), Err(fault)),
            }
        }
        Mode::Stream => {
            let mut encoder = (other.stream_encoder)(client);
            events.iter().for_each(|event| encoder.encode(event, &mut out));
            decode_stream(other, std::iter::once(&out[..]))
        }
    };
    let name = format!("through {}", other.name);
    if outcome.has_end {
        checks.check(&format!("{name}, decode"), result.map_err(|fault| fault.message.into_owned()));
    }
    let fit = |outcome: Outcome| {
        let outcome = if other.id == DialectId::OpenaiChat { outcome } else { outcome.first_choice() };
        if other.id == row.id { outcome } else { outcome.without_private_counts() }
    };
    check_outcome(&name, &fit(outcome.clone()), &fit(Outcome::of(&again)), checks);
}

fn check_outcome(name: &str, expected: &Outcome, got: &Outcome, checks: &mut Checks) {
    checks.check(&format!("{name}, fault"), expect(&expected.fault.is_some(), &got.fault.is_some()));
    if expected.fault.is_some() {
        return;
    }
    checks.check(&format!("{name}, end"), expect(&expected.has_end, &got.has_end));
    // A stream that was cut has no event to carry it.
    let is_carried = expected.has_end;
    if is_carried {
        checks.check(&format!("{name}, usage"), expect(&expected.usage.unwrap_or_default(), &got.usage.unwrap_or_default()));
    }
    for (number, choice) in &expected.choices {
        let again = got.choices.get(number).cloned().unwrap_or_default();
        checks.check(&format!("{name}, text of {number}"), expect(&choice.text, &again.text));
        checks.check(&format!("{name}, calls of {number}"), expect(&choice.calls, &again.calls));
        checks.check(&format!("{name}, finish of {number}"), expect(&choice.finish, &again.finish));
    }
}

fn client(events: &[Event], mode: Mode) -> Client<'static> {
    let model = events.iter().find_map(|event| match event {
        Event::Start { model, .. } => Some(model.clone()),
        _ => None,
    });
    Client { model: model.unwrap_or_default().into(), mode, stream_usage: true, now_unix: 1_700_000_000 }
}

fn decode_whole(row: &Dialect, bytes: &[u8]) -> Result<Vec<Event>, Fault> {
    let mut events = Vec::new();
    (row.decode_answer)(&mut bytes.to_vec(), &mut events).map(|()| events)
}

fn decode_stream<'b>(row: &Dialect, chunks: impl Iterator<Item = &'b [u8]>) -> (Vec<Event>, Result<(), Fault>) {
    let mut decoder = (row.stream_decoder)();
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(fault) = decoder.feed(chunk, &mut events) {
            return (events, Err(fault));
        }
    }
    let result = decoder.finish(&mut events);
    (events, result)
}

fn expect<T: PartialEq + std::fmt::Debug>(expected: T, got: T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{got:?} instead of {expected:?}")) }
}
