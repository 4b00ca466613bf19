//! Answers, whole and streamed: decode, encode, cut, tap, translate.

use ringway_adapters::dialect::{Client, DIALECTS, Dialect};
use ringway_adapters::event::{Delta, Event, Finish};
use ringway_adapters::fault::Fault;
use ringway_adapters::frame::Framing;
use ringway_adapters::ir::Mode;
use serde_json::Value;

use crate::Checks;
use crate::chunk::cuttings;
use crate::load::{Exchange, Reply};
use crate::normal::{Lack, Normal, compare};
use crate::outcome::{Outcome, folded, same_events};
use crate::table::Check;

pub fn check(exchange: &Exchange, checks: &mut Checks) {
    let Some(row) = exchange.row.dialect(exchange) else { return };
    match &exchange.reply {
        Reply::Json(body) => check_whole(row, body, checks),
        Reply::Stream { bytes, chunk_sizes } => check_stream(row, bytes, chunk_sizes, checks),
        Reply::Events(lines) => check_stream(row, &framed(row, lines), &[], checks),
        Reply::Text(text) => {
            checks.check(Check::Again, "answer", || Err(format!("no answer: {}", text.chars().take(99).collect::<String>())))
        }
        Reply::Empty => {}
    }
}

/// The events in their dialect's framing.
fn framed(row: &Dialect, lines: &[String]) -> Vec<u8> {
    let frame = |line: &String| if row.framing == Framing::Ndjson { format!("{line}\n") } else { format!("data: {line}\n\n") };
    lines.iter().map(frame).collect::<String>().into_bytes()
}

fn check_whole(row: &'static Dialect, body: &Value, checks: &mut Checks) {
    let bytes = body.to_string().into_bytes();
    let events = match decode_whole(row, &bytes) {
        Ok(events) => events,
        Err(fault) => return checks.check(Check::Again, "answer", || Err(fault.message.into_owned())),
    };
    let outcome = Outcome::of(&events);
    checks.check(Check::Again, "answer", || {
        if outcome.fault.is_some() {
            return Ok(());
        }
        let mut out = Vec::new();
        (row.encode_answer)(&events, &client(row, &events, Mode::Whole), &mut out);
        compare(Normal::of(row).answer, body, &out)?;
        if outcome.has_end { Ok(()) } else { Err("no End".to_owned()) }
    });
    if outcome.fault.is_some() {
        checks.check(Check::Error, "in band", || in_band(row, &events));
    }
    checks.check(Check::Tap, "whole", || {
        let mut tap = (row.tap)();
        tap.whole(&bytes);
        let is_nameless = |event: &Event| matches!(event, Event::Finish { reason: Finish::Other(word), .. } if word.is_empty());
        let is_finished = outcome.fault.is_none() && outcome.choices.values().all(|choice| choice.finish.is_some());
        expect("usage", outcome.usage, tap.seen().usage)?;
        // No reason at all, or an empty one: the codec has one word for both.
        if events.iter().any(is_nameless) { Ok(()) } else { expect("finished", is_finished, tap.seen().finished) }
    });
    check_translations(row, &events, Mode::Whole, checks);
}

fn check_stream(row: &'static Dialect, bytes: &[u8], chunk_sizes: &[usize], checks: &mut Checks) {
    let (events, result) = decode_stream(row, std::iter::once(bytes));
    let outcome = Outcome::of(&events);
    checks.check(Check::Again, "answer", || {
        result.map_err(|fault| fault.message.into_owned())?;
        let (again, result) = decode_stream(row, std::iter::once(&encoded(row, &events, Mode::Stream)[..]));
        result.map_err(|fault| format!("encoded again: {}", fault.message))?;
        same_events(&folded(&events), &folded(&again))
    });
    checks.check(Check::Cut, "stream", || {
        for (name, ranges) in cuttings(bytes.len(), chunk_sizes) {
            let (cut, _) = decode_stream(row, ranges.into_iter().map(|range| &bytes[range]));
            same_events(&events, &cut).map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(())
    });
    for size in [bytes.len().max(1), 1].into_iter().filter(|_| !is_unended(bytes)) {
        checks.check(Check::Tap, "stream", || check_tap(row, bytes.chunks(size), &events, &outcome));
    }
    check_translations(row, &events, Mode::Stream, checks);
}

/// An error with status 200 keeps its reason.
fn in_band(row: &Dialect, events: &[Event]) -> Result<(), String> {
    let reason = |events: &[Event]| Outcome::of(events).fault;
    let again = decode_whole(row, &encoded(row, events, Mode::Whole)).map_err(|fault| fault.message.into_owned())?;
    expect("fault", reason(events), reason(&again))
}

/// A hand-made stream whose last event lacks its end: a tap, which only sees bytes go by, does not see it.
fn is_unended(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_end();
    memchr::memmem::find(bytes, b"data:").is_some() && bytes.len() < text.len() + 2
}

fn check_tap<'b>(row: &Dialect, chunks: impl Iterator<Item = &'b [u8]>, events: &[Event], outcome: &Outcome) -> Result<(), String> {
    let mut tap = (row.tap)();
    for chunk in chunks {
        tap.feed(chunk).map_err(|fault| fault.message.into_owned())?;
    }
    let seen = tap.seen();
    expect("usage", outcome.usage, seen.usage)?;
    let is_finished = !outcome.choices.is_empty() && outcome.choices.values().all(|choice| choice.finish.is_some());
    expect("finished", is_finished, seen.finished)?;
    expect("fault", outcome.fault.is_some(), seen.fault.is_some())?;
    // "{}" may be the codec's own, for a call that came without arguments.
    let has_text = |event: &Event| matches!(event, Event::Delta { delta: Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text), .. } if !matches!(text.as_str(), "" | "{}"));
    if events.iter().any(has_text) { expect("text", true, seen.text_bytes > 0) } else { Ok(()) }
}

/// Into every other chat dialect and back.
fn check_translations(row: &'static Dialect, events: &[Event], mode: Mode, checks: &mut Checks) {
    let outcome = Outcome::of(events);
    for other in DIALECTS.iter().filter(|other| other.id != row.id) {
        if ![row, other].iter().any(|dialect| Normal::of(dialect).lacks(Lack::Chat)) {
            let name = format!("answer by {}", other.name);
            checks.check(Check::Across, &name, || across(row, other, events, &outcome, mode));
        }
    }
}

fn across(row: &Dialect, other: &Dialect, events: &[Event], outcome: &Outcome, mode: Mode) -> Result<(), String> {
    let fit = |mut outcome: Outcome| {
        [row, other].iter().flat_map(|dialect| Normal::of(dialect).lacks).for_each(|lack| lack.apply(&mut outcome));
        // One provider reports more cached tokens than the prompt has; such a count is cut to the prompt.
        outcome.usage.iter_mut().for_each(|usage| usage.cached_read = usage.cached_read.min(usage.input));
        // Others count reasoning beside the output, which it is a part of.
        outcome.usage.iter_mut().for_each(|usage| usage.reasoning = usage.reasoning.min(usage.output));
        outcome
    };
    let there = decoded(other, &encoded(other, events, mode), mode, outcome)?;
    same_outcome(&fit(outcome.clone()), &fit(Outcome::of(&there)))?;
    let home = decoded(row, &encoded(row, &there, mode), mode, outcome).map_err(|why| format!("back: {why}"))?;
    same_outcome(&fit(outcome.clone()), &fit(Outcome::of(&home))).map_err(|why| format!("back: {why}"))
}

fn same_outcome(expected: &Outcome, got: &Outcome) -> Result<(), String> {
    expect("fault", expected.fault.is_some(), got.fault.is_some())?;
    if expected.fault.is_some() {
        return Ok(());
    }
    expect("end", expected.has_end, got.has_end)?;
    if expected.has_end {
        expect("usage", expected.usage.unwrap_or_default(), got.usage.unwrap_or_default())?;
    }
    for (number, choice) in &expected.choices {
        let again = got.choices.get(number).cloned().unwrap_or_default();
        expect(&format!("text of {number}"), &choice.text, &again.text)?;
        expect(&format!("reasoning of {number}"), &choice.reasoning, &again.reasoning)?;
        expect(&format!("calls of {number}"), &choice.calls, &again.calls)?;
        expect(&format!("finish of {number}"), &choice.finish, &again.finish)?;
    }
    Ok(())
}

fn client(row: &Dialect, events: &[Event], mode: Mode) -> Client<'static> {
    let model = events.iter().find_map(|event| match event {
        Event::Start { model, .. } => Some(model.clone()),
        _ => None,
    });
    Client { model: model.unwrap_or_default().into(), mode, stream_usage: true, now_unix: 1_700_000_000, framing: row.framing }
}

fn encoded(row: &Dialect, events: &[Event], mode: Mode) -> Vec<u8> {
    let mut out = Vec::new();
    match mode {
        Mode::Whole => (row.encode_answer)(events, &client(row, events, mode), &mut out),
        Mode::Stream => {
            let mut encoder = (row.stream_encoder)(client(row, events, mode));
            events.iter().for_each(|event| encoder.encode(event, &mut out));
        }
    }
    out
}

/// What it was decoded from was whole, so it must be, too.
fn decoded(row: &Dialect, bytes: &[u8], mode: Mode, outcome: &Outcome) -> Result<Vec<Event>, String> {
    let (events, result) = match mode {
        Mode::Whole => match decode_whole(row, bytes) {
            Ok(events) => (events, Ok(())),
            Err(fault) => (Vec::new(), Err(fault)),
        },
        Mode::Stream => decode_stream(row, std::iter::once(bytes)),
    };
    match result {
        Err(fault) if outcome.has_end => Err(fault.message.into_owned()),
        _ => Ok(events),
    }
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

fn expect<T: PartialEq + std::fmt::Debug>(name: &str, expected: T, got: T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{name} {got:?} instead of {expected:?}")) }
}
