//! What an answer comes to, whatever its dialect, and whether two are the same.

use std::collections::BTreeMap;

use ringway_adapters::event::{Block, Delta, Event, Finish};
use ringway_adapters::usage::Usage;
use serde_json::Value;

/// One choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Text and refusals, in order: Anthropic writes a refusal as text.
    pub text: String,
    /// Words of the reasoning: its paragraphs are other blocks in some dialects.
    pub reasoning: String,
    /// Name and arguments.
    pub calls: Vec<(String, Value)>,
    pub finish: Option<&'static str>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub choices: BTreeMap<u32, Choice>,
    pub usage: Option<Usage>,
    pub has_end: bool,
    pub fault: Option<String>,
}

impl Outcome {
    pub fn of(events: &[Event]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut blocks: BTreeMap<(u32, u32), (Block, String)> = BTreeMap::new();
        let mut finishes = BTreeMap::new();
        for event in events {
            match event {
                Event::Open { choice, block, kind } => drop(blocks.insert((*choice, *block), (kind.clone(), String::new()))),
                Event::Delta { choice, block, delta: Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) } => {
                    if let Some(block) = blocks.get_mut(&(*choice, *block)) {
                        block.1.push_str(text);
                    }
                }
                Event::Finish { choice, reason, .. } => drop(finishes.insert(*choice, reason.clone())),
                Event::Usage { usage, .. } => outcome.usage = Some(*usage),
                Event::End => outcome.has_end = true,
                Event::Fault(fault) => outcome.fault = Some(fault.message.to_string()),
                _ => {}
            }
        }
        let refused: Vec<u32> = blocks.iter().filter(|row| row.1.0 == Block::Refusal).map(|row| row.0.0).collect();
        for ((number, _), (kind, text)) in blocks {
            let choice = outcome.choices.entry(number).or_default();
            match kind {
                Block::Text | Block::Refusal => choice.text.push_str(&text),
                Block::Thinking => choice.reasoning.extend(text.split_whitespace()),
                Block::ToolCall { name, .. } => choice.calls.push((name, arguments(text))),
                _ => {}
            }
        }
        for (number, reason) in finishes {
            let choice = outcome.choices.entry(number).or_default();
            choice.finish = Some(finish_class(&reason, !choice.calls.is_empty(), refused.contains(&number)));
        }
        outcome
    }
}

/// Arguments as the object that every dialect can write.
pub fn arguments(text: String) -> Value {
    // Empty arguments are an empty object everywhere but at OpenAI.
    if text.trim().is_empty() {
        return Value::Object(Default::default());
    }
    match serde_json::from_str(&text) {
        Ok(object @ Value::Object(_)) => object,
        // Anthropic's input must be an object: broken arguments are shown in one.
        _ => serde_json::json!({"arguments": text}),
    }
}

/// Stop reasons that other dialects tell apart by the answer's content.
fn finish_class(finish: &Finish, has_calls: bool, is_refused: bool) -> &'static str {
    match finish {
        // A provider's own word, or none: other dialects have to say that it stopped.
        Finish::Stop | Finish::Other(_) if has_calls => "tool calls",
        Finish::Stop if is_refused => "refusal",
        Finish::Stop | Finish::StopSequence(_) | Finish::Pause | Finish::Other(_) => "stop",
        Finish::Length | Finish::ContextWindow => "length",
        Finish::ToolCalls => "tool calls",
        Finish::ContentFilter | Finish::Refusal => "refusal",
    }
}

/// Where two sequences of events first differ.
pub fn same_events(left: &[Event], right: &[Event]) -> Result<(), String> {
    if let Some(at) = left.iter().zip(right).position(|(left, right)| !same(left, right)) {
        return Err(format!("event {at} is {:?} instead of {:?}", right[at], left[at]));
    }
    if left.len() != right.len() {
        return Err(format!("{} events instead of {}", right.len(), left.len()));
    }
    Ok(())
}

fn same(left: &Event, right: &Event) -> bool {
    use Event::*;
    match (left, right) {
        (Start { id, model, created, extra }, Start { id: right_id, model: right_model, created: right_created, extra: right_extra }) => {
            (id, model, created, extra) == (right_id, right_model, right_created, right_extra)
        }
        (Open { choice, block, kind }, Open { choice: right_choice, block: right_block, kind: right_kind }) => {
            (choice, block, kind) == (right_choice, right_block, right_kind)
        }
        (Delta { choice, block, delta }, Delta { choice: right_choice, block: right_block, delta: right_delta }) => {
            (choice, block, delta) == (right_choice, right_block, right_delta)
        }
        (Close { choice, block, extra }, Close { choice: right_choice, block: right_block, extra: right_extra }) => {
            (choice, block, extra) == (right_choice, right_block, right_extra)
        }
        (Finish { choice, reason, extra }, Finish { choice: right_choice, reason: right_reason, extra: right_extra }) => {
            (choice, reason, extra) == (right_choice, right_reason, right_extra)
        }
        (Usage { usage, extra }, Usage { usage: right_usage, extra: right_extra }) => (usage, extra) == (right_usage, right_extra),
        (Fault(left), Fault(right)) => left.kind == right.kind && left.message == right.message,
        (Ping, Ping) | (End, End) => true,
        _ => false,
    }
}

/// The events as what they mean: how a text is cut into deltas, in which order blocks beside each other go on, and what usage was
/// told before the last means nothing, and no more do keep-alives, and null and empty private members.
pub fn folded(events: &[Event]) -> Vec<Event> {
    let mut blocks: BTreeMap<(u32, u32), Vec<Event>> = BTreeMap::new();
    let (mut start, mut finishes, mut usage, mut end) = (Vec::new(), BTreeMap::new(), None, Vec::new());
    for event in events.iter().cloned().map(plain) {
        match &event {
            Event::Ping => {}
            Event::Start { .. } => start.push(event),
            Event::Open { choice, block, .. } | Event::Close { choice, block, .. } => {
                blocks.entry((*choice, *block)).or_default().push(event);
            }
            Event::Delta { choice, block, delta } => {
                let block = blocks.entry((*choice, *block)).or_default();
                let is_joined = if let Some(Event::Delta { delta: last, .. }) = block.last_mut() { join(last, delta) } else { false };
                if !is_joined {
                    block.push(event);
                }
            }
            Event::Finish { choice, .. } => drop(finishes.insert(*choice, event)),
            Event::Usage { .. } => usage = Some(event),
            Event::Fault(_) | Event::End => end.push(event),
        }
    }
    start.into_iter().chain(blocks.into_values().flatten()).chain(finishes.into_values()).chain(usage).chain(end).collect()
}

fn join(last: &mut Delta, delta: &Delta) -> bool {
    let (last, more) = match (last, delta) {
        (Delta::Text(last), Delta::Text(more)) => (last, more),
        (Delta::Thinking(last), Delta::Thinking(more)) => (last, more),
        (Delta::Arguments(last), Delta::Arguments(more)) => (last, more),
        (Delta::Signature(last), Delta::Signature(more)) => (last, more),
        _ => return false,
    };
    last.push_str(more);
    true
}

fn plain(mut event: Event) -> Event {
    let extra = match &mut event {
        Event::Start { extra, .. } | Event::Close { extra, .. } | Event::Finish { extra, .. } | Event::Usage { extra, .. } => extra,
        Event::Open { kind: Block::ToolCall { extra, .. } | Block::Private { extra }, .. } => extra,
        Event::Delta { delta: Delta::Citation(extra) | Delta::Logprobs(extra) | Delta::Private(extra), .. } => extra,
        _ => return event,
    };
    let mut fields = Value::Object(std::mem::take(&mut extra.fields));
    plain_value(&mut fields);
    extra.fields = fields.as_object().cloned().unwrap_or_default();
    if extra.fields.is_empty() {
        extra.dialect = None;
    }
    event
}

/// Without nulls and empty lists; fractions to their 12th digit, for some parsers lose the last one.
fn plain_value(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null() && *value != serde_json::json!([]));
            object.values_mut().for_each(plain_value);
        }
        Value::Array(list) => list.iter_mut().for_each(plain_value),
        Value::Number(number) if number.is_f64() => *value = Value::String(format!("{:.12e}", number.as_f64().unwrap_or_default())),
        _ => {}
    }
}
