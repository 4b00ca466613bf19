//! Cohere's chat, v2 and v1.

use serde_json::{Value, json};

use super::{Lack, Normal, Rule, each, fields};

pub const NORMAL: Normal = Normal {
    dialect: "cohere",
    request: &[
        Rule { says: "`stream: false`, null fields and empty `documents` and `tools` at the top are absent", apply: drop_defaults },
        Rule {
            says: "a string as content is one text part; null and empty content, citations, tool_plan and tool_calls are absent",
            apply: unfold_messages,
        },
    ],
    answer: &[Rule { says: "empty content, citations, tool_plan and tool_calls are absent", apply: drop_empty_of_message }],
    lacks: &[
        Lack::Choices,
        Lack::CachedWrite,
        Lack::CachedWriteHour,
        Lack::AudioTokens,
        Lack::AudioLength,
        Lack::ImageTokens,
        Lack::Images,
    ],
};

/// The older form is nobody's target but its own.
pub const V1: Normal = Normal { dialect: "cohere-v1", request: NORMAL.request, answer: NORMAL.answer, lacks: &[Lack::Chat] };

fn is_empty(value: &Value) -> bool {
    value.is_null() || *value == json!("") || *value == json!([])
}

fn drop_defaults(body: &mut Value) {
    fields(body, |name, value| {
        let is_empty_list = matches!(name.as_str(), "documents" | "tools") && *value == json!([]);
        !(value.is_null() || is_empty_list || (name == "stream" && *value == false))
    });
}

fn unfold_messages(body: &mut Value) {
    for message in each(body, "messages") {
        if let Some(text) = message.get("content").and_then(Value::as_str) {
            message["content"] = json!([{"type": "text", "text": text}]);
        }
        fields(message, |_, value| !is_empty(value) && *value != json!([{"type": "text", "text": ""}]));
    }
}

fn drop_empty_of_message(body: &mut Value) {
    if let Some(message) = body.get_mut("message") {
        fields(message, |_, value| !is_empty(value));
    }
}
