//! Ollama's own API.

use serde_json::{Value, json};

use super::{Lack, Normal, Rule, each, fields};

pub const NORMAL: Normal = Normal {
    dialect: "ollama",
    request: &[
        Rule { says: "null, false and empty fields at the top are absent, but for `stream` and `think`", apply: drop_empty },
        Rule { says: "an answer streams unless the request says no", apply: fill_stream },
        Rule { says: "a tool's and a call's `type` is always function", apply: drop_types },
    ],
    answer: &[],
    lacks: &[
        Lack::Choices,
        Lack::PartsOfCalls,
        Lack::ReasoningTokens,
        Lack::CachedRead,
        Lack::CachedWrite,
        Lack::CachedWriteHour,
        Lack::AudioTokens,
        Lack::AudioLength,
        Lack::ImageTokens,
        Lack::Images,
        Lack::Searches,
        Lack::AudioLength,
    ],
};

fn is_empty(value: &Value) -> bool {
    value.is_null() || *value == false || *value == json!("") || *value == json!([]) || *value == json!({})
}

fn drop_empty(body: &mut Value) {
    fields(body, |name, value| matches!(name.as_str(), "stream" | "think") || !is_empty(value));
}

fn fill_stream(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        body.entry("stream").or_insert(true.into());
    }
}

fn drop_types(body: &mut Value) {
    let drop_type = |value: &mut Value| fields(value, |name, value| !(name == "type" && *value == "function"));
    each(body, "tools").for_each(drop_type);
    for message in each(body, "messages") {
        each(message, "tool_calls").for_each(drop_type);
    }
}
