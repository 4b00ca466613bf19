//! What is insignificant in openai-responses.

use serde_json::{Value, json};

use super::{Lack, Normal, Rule, drop_defaults, drop_empty_lists, each, fields};

pub const NORMAL: Normal = Normal {
    dialect: "openai-responses",
    request: &[
        Rule { says: "`stream: false` and null fields at the top are absent", apply: drop_defaults },
        Rule { says: "empty `tools` are absent", apply: drop_empty_lists },
        Rule { says: "a string as input is one user message", apply: unfold_input },
        Rule {
            says: "an item's `type: message` may be absent, a lone plain text part is its string, a message without content is absent",
            apply: fold_items,
        },
        Rule {
            says: "chat's nested `function` of a tool or a tool choice is flat; empty `instructions` and nulls in `reasoning` are absent",
            apply: flatten_functions,
        },
    ],
    answer: &[
        Rule {
            says: "null fields and empty `metadata` at the top, null and empty fields of output items and their parts (content, summary, annotations, \
               logprobs), and the `status: completed` of an item are absent",
            apply: drop_empty_of_output,
        },
        Rule { says: "`total_tokens` is the sum, `output_text` repeats the text", apply: fill_sums },
    ],
    lacks: &[Lack::Choices, Lack::CachedWriteHour, Lack::AudioTokens, Lack::ImageTokens, Lack::Searches, Lack::AudioLength],
};

fn unfold_input(body: &mut Value) {
    if let Some(input) = body.get_mut("input").filter(|input| input.is_string()) {
        *input = json!([{"role": "user", "content": input.take()}]);
    }
}

fn fold_items(body: &mut Value) {
    if let Some(items) = body.get_mut("input").and_then(Value::as_array_mut) {
        items.retain(|item| item.get("content") != Some(&json!([])));
    }
    for item in each(body, "input") {
        fields(item, |name, value| !(name == "type" && *value == "message"));
        for name in ["content", "output"] {
            let lone = item.get(name).and_then(Value::as_array).filter(|parts| parts.len() == 1).and_then(|parts| parts[0].as_object());
            if let Some(text) = lone.filter(|part| part.len() == 2).and_then(|part| part.get("text")).cloned() {
                item[name] = text;
            }
        }
    }
}

fn flatten_functions(body: &mut Value) {
    let flatten = |value: &mut Value| {
        if let Some(object) = value.as_object_mut()
            && let Some(Value::Object(function)) = object.remove("function")
        {
            object.extend(function);
        }
    };
    each(body, "tools").for_each(flatten);
    body.get_mut("tool_choice").into_iter().for_each(flatten);
    body.get_mut("reasoning").into_iter().for_each(|reasoning| fields(reasoning, |_, value| !value.is_null()));
    fields(body, |name, value| !(name == "instructions" && *value == ""));
}

fn drop_empty_of_output(body: &mut Value) {
    fields(body, |_, value| !(value.is_null() || *value == json!({})));
    for item in each(body, "output") {
        for name in ["content", "summary"] {
            let parts = item.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
            parts.for_each(|part| fields(part, |_, value| !value.is_null() && *value != json!([])));
        }
        fields(item, |name, value| !value.is_null() && *value != json!([]) && !(name == "status" && *value == "completed"));
    }
}

fn fill_sums(body: &mut Value) {
    fields(body, |name, _| name != "output_text");
    if let Some(usage) = body.get_mut("usage").and_then(Value::as_object_mut) {
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        let sum = count("input_tokens") + count("output_tokens");
        usage.entry("total_tokens").or_insert(sum.into());
    }
}
