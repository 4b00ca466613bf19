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
                Event::Delta { choice, block, delta: Delta::Text(text) | Delta::Arguments(text) } => {
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

    /// What another dialect can hold of it: the first choice where it has but one, and no count that OpenAI does not report.
    pub fn first_choice(mut self) -> Outcome {
        self.choices.retain(|number, _| *number == 0);
        self
    }

    pub fn without_private_counts(mut self) -> Outcome {
        if let Some(usage) = &mut self.usage {
            // Only one dialect each has a word for them; Responses counts searches by their items, which no other dialect has.
            (usage.cached_write, usage.cached_write_1h, usage.audio_input, usage.audio_output) = (0, 0, 0, 0);
            (usage.image_input, usage.image_output, usage.images, usage.searches) = (0, 0, 0, 0);
            // One provider reports more cached tokens than the prompt has; such a count is cut to the prompt.
            usage.cached_read = usage.cached_read.min(usage.input);
        }
        self
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
        Finish::Stop if has_calls => "tool calls",
        Finish::Stop if is_refused => "refusal",
        Finish::Stop | Finish::StopSequence(_) | Finish::Pause => "stop",
        Finish::Length | Finish::ContextWindow => "length",
        Finish::ToolCalls => "tool calls",
        Finish::ContentFilter | Finish::Refusal => "refusal",
        Finish::Other(_) => "other",
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
