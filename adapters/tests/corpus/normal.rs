//! When two bodies of one dialect mean the same: one table of normalisations, applied to both sides.

use ringway_adapters::dialect::DialectId;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Request,
    Answer,
}

pub struct Rule {
    pub dialect: DialectId,
    pub side: Side,
    pub says: &'static str,
    apply: fn(&mut Value),
}

use DialectId::{Anthropic, OpenaiChat, OpenaiResponses};
use Side::{Answer, Request};

/// Beside these, numbers are equal by value (1 and 1.0) and objects whatever their order.
pub const RULES: &[Rule] = &[
    Rule { dialect: Anthropic, side: Request, says: "`stream: false` and null fields at the top are absent", apply: drop_defaults },
    Rule { dialect: Anthropic, side: Request, says: "empty `tools`, `system` and `stop_sequences` are absent", apply: drop_empty_lists },
    Rule { dialect: Anthropic, side: Request, says: "a string as content is one text block", apply: unfold_content },
    Rule {
        dialect: Anthropic,
        side: Request,
        says: "`is_error: false`, empty content of a tool_result, `ttl: \"5m\"` and `disable_parallel_tool_use: false` are absent",
        apply: drop_deep_defaults,
    },
    Rule { dialect: Anthropic, side: Answer, says: "cache counts that are null or absent are 0", apply: fill_cache_counts },
    Rule {
        dialect: OpenaiChat,
        side: Request,
        says: "`stream: false`, `logprobs: false` and null fields at the top are absent",
        apply: drop_defaults,
    },
    Rule {
        dialect: OpenaiChat,
        side: Request,
        says: "empty `tools` and `stop` are absent, a `stop` alone is a list of one",
        apply: list_stop,
    },
    Rule { dialect: OpenaiChat, side: Request, says: "`max_tokens` is the old name of `max_completion_tokens`", apply: rename_max_tokens },
    Rule {
        dialect: OpenaiChat,
        side: Request,
        says: "a string as content is one text part; null and empty content are absent",
        apply: unfold_chat,
    },
    Rule {
        dialect: OpenaiChat,
        side: Answer,
        says: "null and empty fields of a choice and its message (content, refusal, annotations, tool_calls, …), and a message without any, are absent",
        apply: drop_empty_of_choices,
    },
    Rule { dialect: OpenaiChat, side: Answer, says: "`index` of a tool call in a whole answer repeats its place", apply: drop_call_index },
    Rule { dialect: OpenaiChat, side: Answer, says: "an error with status 200 is its message and code", apply: cut_error },
    Rule { dialect: OpenaiResponses, side: Request, says: "`stream: false` and null fields at the top are absent", apply: drop_defaults },
    Rule { dialect: OpenaiResponses, side: Request, says: "empty `tools` are absent", apply: drop_empty_lists },
    Rule { dialect: OpenaiResponses, side: Request, says: "a string as input is one user message", apply: unfold_input },
    Rule {
        dialect: OpenaiResponses,
        side: Request,
        says: "an item's `type: message` may be absent, a lone plain text part is its string, a message without content is absent",
        apply: fold_items,
    },
    Rule {
        dialect: OpenaiResponses,
        side: Request,
        says: "chat's nested `function` of a tool or a tool choice is flat; empty `instructions` and nulls in `reasoning` are absent",
        apply: flatten_functions,
    },
    Rule {
        dialect: OpenaiResponses,
        side: Answer,
        says: "null fields and empty `metadata` at the top, null and empty fields of output items and their parts (content, summary, annotations, logprobs), and \
               the `status: completed` of an item are absent",
        apply: drop_empty_of_output,
    },
];

/// Compares a recorded body with an encoded one; the error names the first place that differs.
pub fn compare(dialect: DialectId, side: Side, expected: &Value, got: &[u8]) -> Result<(), String> {
    let mut got: Value = serde_json::from_slice(got).map_err(|error| format!("encoded body is not JSON: {error}"))?;
    let mut expected = expected.clone();
    for rule in RULES.iter().filter(|rule| rule.dialect == dialect && rule.side == side) {
        (rule.apply)(&mut expected);
        (rule.apply)(&mut got);
    }
    difference(&expected, &got, String::new())
}

fn difference(expected: &Value, got: &Value, path: String) -> Result<(), String> {
    match (expected, got) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let Some(other) = right.get(name) else { return Err(format!("{path}.{name} is missing, it was {}", short(value))) };
                difference(value, other, format!("{path}.{name}"))?;
            }
            match right.keys().find(|name| !left.contains_key(*name)) {
                Some(name) => Err(format!("{path}.{name} is new: {}", short(&right[name]))),
                None => Ok(()),
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            (0..).zip(left.iter().zip(right)).try_for_each(|(index, (left, right))| difference(left, right, format!("{path}[{index}]")))
        }
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => Ok(()),
        _ if expected == got => Ok(()),
        _ => Err(format!("{path} is {} instead of {}", short(got), short(expected))),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

fn fields(value: &mut Value, keep: impl FnMut(&String, &mut Value) -> bool) {
    if let Some(object) = value.as_object_mut() {
        object.retain(keep);
    }
}

fn drop_defaults(body: &mut Value) {
    fields(body, |name, value| !(value.is_null() || (matches!(name.as_str(), "stream" | "logprobs") && *value == false)));
}

fn drop_empty_lists(body: &mut Value) {
    fields(body, |name, value| !(matches!(name.as_str(), "tools" | "system" | "stop_sequences") && *value == json!([])));
}

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
    let messages = body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten();
    messages.filter_map(|message| message.get_mut("content")).for_each(unfold);
}

fn drop_deep_defaults(body: &mut Value) {
    let messages = body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten();
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

fn fill_cache_counts(body: &mut Value) {
    if let Some(usage) = body.get_mut("usage").and_then(Value::as_object_mut) {
        for name in ["cache_creation_input_tokens", "cache_read_input_tokens"] {
            let count = usage.entry(name).or_insert(Value::Null);
            if count.is_null() {
                *count = 0.into();
            }
        }
    }
}

fn list_stop(body: &mut Value) {
    if let Some(stop) = body.get_mut("stop").filter(|stop| stop.is_string()) {
        *stop = json!([stop.take()]);
    }
    fields(body, |name, value| !(matches!(name.as_str(), "tools" | "stop") && *value == json!([])));
}

fn rename_max_tokens(body: &mut Value) {
    if let Some(object) = body.as_object_mut()
        && let Some(bound) = object.remove("max_tokens")
    {
        object.entry("max_completion_tokens").or_insert(bound);
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || *value == json!("") || *value == json!([])
}

fn unfold_chat(body: &mut Value) {
    for message in body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
        fields(message, |_, value| !is_empty(value));
        if let Some(text) = message.get("content").and_then(Value::as_str) {
            message["content"] = json!([{"type": "text", "text": text}]);
        }
    }
}

fn drop_empty_of_choices(body: &mut Value) {
    for choice in body.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(message) = choice.get_mut("message") {
            fields(message, |_, value| !is_empty(value));
        }
        fields(choice, |_, value| !is_empty(value) && *value != json!({"role": "assistant"}));
    }
}

fn drop_call_index(body: &mut Value) {
    let choices = body.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten();
    let calls = choices.filter_map(|choice| choice.get_mut("message")?.get_mut("tool_calls")?.as_array_mut()).flatten();
    calls.for_each(|call| fields(call, |name, _| name != "index"));
}

fn cut_error(body: &mut Value) {
    if let Some(error) = body.get_mut("error") {
        fields(error, |name, _| matches!(name.as_str(), "message" | "code"));
    }
}

fn unfold_input(body: &mut Value) {
    if let Some(input) = body.get_mut("input").filter(|input| input.is_string()) {
        *input = json!([{"role": "user", "content": input.take()}]);
    }
}

fn fold_items(body: &mut Value) {
    if let Some(items) = body.get_mut("input").and_then(Value::as_array_mut) {
        items.retain(|item| item.get("content") != Some(&json!([])));
    }
    for item in body.get_mut("input").and_then(Value::as_array_mut).into_iter().flatten() {
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
    body.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten().for_each(flatten);
    body.get_mut("tool_choice").into_iter().for_each(flatten);
    body.get_mut("reasoning").into_iter().for_each(|reasoning| fields(reasoning, |_, value| !value.is_null()));
    fields(body, |name, value| !(name == "instructions" && *value == ""));
}

fn drop_empty_of_output(body: &mut Value) {
    fields(body, |name, value| !(value.is_null() || (name == "metadata" && *value == json!({}))));
    for item in body.get_mut("output").and_then(Value::as_array_mut).into_iter().flatten() {
        for name in ["content", "summary"] {
            let parts = item.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
            parts.for_each(|part| fields(part, |_, value| !value.is_null() && *value != json!([])));
        }
        fields(item, |name, value| !value.is_null() && *value != json!([]) && !(name == "status" && *value == "completed"));
    }
}
