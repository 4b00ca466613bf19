//! What is insignificant in anthropic.

use serde_json::{Value, json};

use super::{Lack, Normal, Rule, drop_defaults, drop_empty_lists, each, fields};

pub const NORMAL: Normal = Normal {
    dialect: "anthropic",
    request: &[
        Rule { says: "`stream: false` and null fields at the top are absent", apply: drop_defaults },
        Rule { says: "empty `tools`, `system` and `stop_sequences` are absent", apply: drop_empty_lists },
        Rule { says: "a string as content is one text block", apply: unfold_content },
        Rule {
            says: "`is_error: false`, empty content of a tool_result, `ttl: \"5m\"` and `disable_parallel_tool_use: false` are absent",
            apply: drop_deep_defaults,
        },
        Rule {
            says: "a body to count needs no max_tokens, the codec writes one",
            apply: |body| drop(body.as_object_mut().map(|body| body.remove("max_tokens"))),
        },
    ],
    answer: &[
        Rule {
            says: "a stop_sequence that is null is absent",
            apply: |body| fields(body, |name, value| !(name == "stop_sequence" && value.is_null())),
        },
        Rule { says: "cache counts that are null or absent are 0", apply: fill_cache_counts },
    ],
    lacks: &[Lack::Choices, Lack::AudioTokens, Lack::ImageTokens, Lack::Images, Lack::AudioLength],
};

fn unfold(content: &mut Value) {
    if let Some(text) = content.as_str() {
        *content = json!([{"type": "text", "text": text}]);
    }
    for block in content.as_array_mut().into_iter().flatten().filter(|block| block["type"] == "tool_result") {
        if let Some(inner) = block.get_mut("content") {
            unfold(inner);
        }
    }
}

fn unfold_content(body: &mut Value) {
    if let Some(system) = body.get_mut("system") {
        unfold(system);
    }
    let messages = each(body, "messages");
    messages.filter_map(|message| message.get_mut("content")).for_each(unfold);
}

fn drop_deep_defaults(body: &mut Value) {
    let messages = each(body, "messages");
    let blocks = messages.filter_map(|message| message.get_mut("content")?.as_array_mut()).flatten();
    for block in blocks.filter(|block| block["type"] == "tool_result") {
        fields(block, |name, value| !((name == "is_error" && *value == false) || (name == "content" && *value == json!([]))));
    }
    drop_ttl(body);
    if let Some(choice) = body.get_mut("tool_choice") {
        fields(choice, |name, value| !(name == "disable_parallel_tool_use" && *value == false));
    }
}

fn drop_ttl(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if name == "cache_control" && *value == json!({"type": "ephemeral", "ttl": "5m"}) {
                    *value = json!({"type": "ephemeral"});
                }
                drop_ttl(value);
            }
        }
        Value::Array(array) => array.iter_mut().for_each(drop_ttl),
        _ => {}
    }
}

pub fn fill_cache_counts(body: &mut Value) {
    if let Some(usage) = body.get_mut("usage").and_then(Value::as_object_mut) {
        for name in ["cache_creation_input_tokens", "cache_read_input_tokens"] {
            let count = usage.entry(name).or_insert(Value::Null);
            if count.is_null() {
                *count = 0.into();
            }
        }
    }
}
