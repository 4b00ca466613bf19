//! What is insignificant in bedrock-converse and bedrock-invoke.

use serde_json::{Value, json};

use super::{Lack, Normal, Rule, anthropic, each, fields};

pub const CONVERSE: Normal = Normal {
    dialect: "bedrock-converse",
    request: &[
        Rule { says: "empty `system`, `inferenceConfig` and `stopSequences` are absent, `ttl: \"5m\"` too", apply: drop_empty },
        Rule { says: "a tool result's `status: success` and an empty description of a tool are absent", apply: drop_status },
        Rule { says: "an output schema is the JSON in its string", apply: parse_schema },
    ],
    answer: &[Rule {
        says: "cache counts that are absent are 0, as is their sum; `…TokenCount` is the old name of `…Tokens`",
        apply: fill_counts,
    }],
    lacks: &[
        Lack::Choices,
        Lack::ReasoningTokens,
        Lack::CachedWriteHour,
        Lack::AudioTokens,
        Lack::AudioLength,
        Lack::ImageTokens,
        Lack::Images,
        Lack::Searches,
        Lack::Mode,
    ],
};

pub const INVOKE: Normal = Normal {
    dialect: "bedrock-invoke",
    request: anthropic::NORMAL.request,
    answer: &[
        Rule { says: "a hand-made answer without usage used nothing", apply: fill_usage },
        Rule { says: "cache counts that are null or absent are 0", apply: anthropic::fill_cache_counts },
    ],
    lacks: &[Lack::Choices, Lack::AudioTokens, Lack::AudioLength, Lack::ImageTokens, Lack::Images, Lack::Mode],
};

fn drop_empty(body: &mut Value) {
    if let Some(config) = body.get_mut("inferenceConfig") {
        fields(config, |_, value| *value != json!([]));
    }
    fields(body, |name, value| !(matches!(name.as_str(), "system" | "inferenceConfig") && (*value == json!([]) || *value == json!({}))));
    drop_ttl(body);
}

fn drop_ttl(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match name.as_str() {
                    "cachePoint" => fields(value, |name, value| !(name == "ttl" && *value == "5m")),
                    _ => drop_ttl(value),
                }
            }
        }
        Value::Array(array) => array.iter_mut().for_each(drop_ttl),
        _ => {}
    }
}

fn drop_status(body: &mut Value) {
    for message in each(body, "messages") {
        for block in each(message, "content") {
            if let Some(result) = block.get_mut("toolResult") {
                fields(result, |name, value| !(name == "status" && *value == "success"));
            }
        }
    }
    if let Some(config) = body.get_mut("toolConfig") {
        for tool in each(config, "tools") {
            if let Some(spec) = tool.get_mut("toolSpec") {
                fields(spec, |name, value| !(name == "description" && *value == ""));
            }
        }
    }
}

fn parse_schema(body: &mut Value) {
    if let Some(schema) = body.pointer_mut("/outputConfig/textFormat/structure/jsonSchema/schema")
        && let Some(parsed) = schema.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *schema = parsed;
    }
}

fn fill_usage(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        body.entry("usage").or_insert_with(|| json!({"input_tokens": 0, "output_tokens": 0}));
    }
}

fn fill_counts(body: &mut Value) {
    let Some(usage) = body.get_mut("usage").and_then(Value::as_object_mut) else { return };
    for name in ["cacheReadInputToken", "cacheWriteInputToken"] {
        usage.remove(&format!("{name}Count"));
        usage.entry(format!("{name}s")).or_insert(json!(0));
    }
    for name in ["inputTokens", "outputTokens"] {
        usage.entry(name).or_insert(json!(0));
    }
    let total: u64 = usage.iter().filter(|(name, _)| *name != "totalTokens").filter_map(|(_, value)| value.as_u64()).sum();
    usage.entry("totalTokens").or_insert(total.into());
}
