//! When two bodies of one dialect mean the same: insignificant differences as data, one file a dialect.

use ringway_adapters::dialect::Dialect;
use serde_json::{Value, json};

use crate::outcome::Outcome;

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_completions;
mod openai_responses;

/// All dialects; a new one adds its line.
pub const NORMALS: &[Normal] = &[
    openai_chat::NORMAL,
    openai_responses::NORMAL,
    anthropic::NORMAL,
    cohere::NORMAL,
    cohere::V1,
    ollama::NORMAL,
    openai_completions::NORMAL,
    gemini::NORMAL,
    bedrock::CONVERSE,
    bedrock::INVOKE,
];

/// What is insignificant in one dialect. Beside the rules, numbers are equal by value (1 and 1.0) and objects whatever their order.
pub struct Normal {
    /// By name.
    pub dialect: &'static str,
    pub request: &'static [Rule],
    pub answer: &'static [Rule],
    /// What it cannot say, so that a way through it is compared without.
    pub lacks: &'static [Lack],
}

/// A form that means the same as another; `apply` brings both to one.
pub struct Rule {
    pub says: &'static str,
    pub apply: fn(&mut Value),
}

/// What a dialect has no word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)]
pub enum Lack {
    /// It is no chat dialect: nothing is translated through it.
    Chat,
    /// More than one answer to a request.
    Choices,
    /// Reasoning beside the text.
    Reasoning,
    /// Calls of tools.
    Calls,
    /// A call that broke off: it tells them whole.
    PartsOfCalls,
    ReasoningTokens,
    CachedRead,
    CachedWrite,
    CachedWriteHour,
    AudioTokens,
    ImageTokens,
    Images,
    Searches,
    /// The length of audio that was heard or spoken.
    AudioLength,
    /// Model and streaming stand in the path.
    Mode,
}

impl Lack {
    pub fn says(self) -> &'static str {
        match self {
            Lack::Chat => "chat: nothing is translated through it",
            Lack::Choices => "a second choice",
            Lack::Reasoning => "reasoning",
            Lack::Calls => "calls of tools",
            Lack::PartsOfCalls => "a call that broke off, for it tells them whole",
            Lack::ReasoningTokens => "a count of reasoning",
            Lack::CachedRead => "tokens from the cache",
            Lack::CachedWrite => "tokens written to the cache",
            Lack::CachedWriteHour => "tokens written to the cache for an hour",
            Lack::AudioTokens => "tokens of audio",
            Lack::ImageTokens => "tokens of images",
            Lack::Images => "a count of images",
            Lack::Searches => "a count of searches (where it counts them by their items, which no other dialect has)",
            Lack::AudioLength => "the length of audio",
            Lack::Mode => "streaming, which its path says",
        }
    }

    /// Takes it out of an outcome.
    pub fn apply(self, outcome: &mut Outcome) {
        let usage = outcome.usage.get_or_insert_default();
        match self {
            Lack::Chat | Lack::Mode => {}
            Lack::Choices => outcome.choices.retain(|number, _| *number == 0),
            Lack::Reasoning => outcome.choices.values_mut().for_each(|choice| choice.reasoning.clear()),
            Lack::Calls => {
                for choice in outcome.choices.values_mut() {
                    choice.calls.clear();
                    // That it called is all that its reason said.
                    choice.finish = choice.finish.map(|finish| if finish == "tool calls" { "stop" } else { finish });
                }
            }
            Lack::PartsOfCalls if outcome.has_end => {}
            Lack::PartsOfCalls => outcome.choices.values_mut().for_each(|choice| choice.calls.clear()),
            Lack::ReasoningTokens => usage.reasoning = 0,
            Lack::CachedRead => usage.cached_read = 0,
            Lack::CachedWrite => usage.cached_write = 0,
            Lack::CachedWriteHour => usage.cached_write_1h = 0,
            Lack::AudioTokens => (usage.audio_input, usage.audio_output) = (0, 0),
            Lack::ImageTokens => (usage.image_input, usage.image_output) = (0, 0),
            Lack::Images => usage.images = 0,
            Lack::Searches => usage.searches = 0,
            Lack::AudioLength => usage.audio_ms = 0,
        }
    }
}

impl Normal {
    /// A dialect without one is an error of this harness: add its file and its line.
    pub fn of(dialect: &Dialect) -> &'static Normal {
        let found = NORMALS.iter().find(|normal| normal.dialect == dialect.name);
        found.unwrap_or_else(|| panic!("{} has no line in NORMALS: add what is insignificant in it", dialect.name))
    }

    pub fn lacks(&self, lack: Lack) -> bool {
        self.lacks.contains(&lack)
    }
}

/// Compares a recorded body with an encoded one; the error names the first place that differs.
pub fn compare(rules: &[Rule], expected: &Value, got: &[u8]) -> Result<(), String> {
    let mut got: Value = serde_json::from_slice(got).map_err(|error| format!("encoded body is not JSON: {error}"))?;
    let mut expected = expected.clone();
    for rule in rules {
        (rule.apply)(&mut expected);
        (rule.apply)(&mut got);
    }
    difference(&expected, &got, String::new())
}

/// Members that clients rely on, so that a codec writes them where a provider left them out.
const INVENTED: &[&str] = &["created", "id", "model", "total_tokens"];

/// Equal to the 12th digit, for some parsers lose the last one of a fraction.
fn is_near(left: &serde_json::Number, right: &serde_json::Number) -> bool {
    let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) else { return left == right };
    (left - right).abs() <= left.abs() * 1e-12
}

fn difference(expected: &Value, got: &Value, path: String) -> Result<(), String> {
    match (expected, got) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let Some(other) = right.get(name) else { return Err(format!("{path}.{name} is missing, it was {}", short(value))) };
                difference(value, other, format!("{path}.{name}"))?;
            }
            let is_new = |name: &&String| !left.contains_key(*name) && !INVENTED.contains(&name.as_str());
            match right.keys().find(is_new) {
                Some(name) => Err(format!("{path}.{name} is new: {}", short(&right[name]))),
                None => Ok(()),
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            (0..).zip(left.iter().zip(right)).try_for_each(|(index, (left, right))| difference(left, right, format!("{path}[{index}]")))
        }
        (Value::Number(left), Value::Number(right)) if is_near(left, right) => Ok(()),
        _ if expected == got => Ok(()),
        _ => Err(format!("{path} is {} instead of {}", short(got), short(expected))),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

/// Keeps some fields of an object.
pub fn fields(value: &mut Value, keep: impl FnMut(&String, &mut Value) -> bool) {
    if let Some(object) = value.as_object_mut() {
        object.retain(keep);
    }
}

/// The elements of a member that is an array.
pub fn each<'v>(body: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    body.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// `stream: false` and nulls at the top.
pub fn drop_defaults(body: &mut Value) {
    fields(body, |name, value| !(value.is_null() || (matches!(name.as_str(), "stream" | "logprobs") && *value == false)));
}

pub fn drop_empty_lists(body: &mut Value) {
    fields(body, |name, value| !(matches!(name.as_str(), "tools" | "system" | "stop_sequences") && *value == json!([])));
}

pub fn is_empty(value: &Value) -> bool {
    value.is_null() || *value == json!("") || *value == json!([])
}
