//! What is insignificant in openai-chat.

use serde_json::{Value, json};

use super::{Lack, Normal, Rule, drop_defaults, each, fields, is_empty};

pub const NORMAL: Normal = Normal {
    dialect: "openai-chat",
    request: &[
        Rule { says: "`stream: false`, `logprobs: false` and null fields at the top are absent", apply: drop_defaults },
        Rule { says: "empty `tools` and `stop` are absent, a `stop` alone is a list of one", apply: list_stop },
        Rule { says: "`max_tokens` is the old name of `max_completion_tokens`, `random_seed` Mistral's of `seed`", apply: rename_fields },
        Rule { says: "a string as content is one text part, as an image its URL; null and empty content are absent", apply: unfold_chat },
        Rule {
            says: "`type: function` of a tool or a call and a call's `index`, which repeats its place, may be absent; no arguments are empty ones",
            apply: plain_tools,
        },
        Rule {
            says: "`any` is Mistral's word for `required`; `parallel_tool_calls` and `tool_choice` without tools say nothing",
            apply: plain_choice,
        },
    ],
    answer: &[
        Rule {
            says: "null and empty fields of a choice and its message (content, refusal, annotations, tool_calls, …), and a message without any, are absent",
            apply: drop_empty_of_choices,
        },
        Rule {
            says: "`object` is always the same, an empty `id` is none, the index of a choice and of a tool call in a whole answer repeats its place, a call's \
                   `type` may be absent, no arguments are empty ones",
            apply: plain_answer,
        },
        Rule {
            says: "`reasoning` is another name of `reasoning_content`, and so are parts of content that think; an object as content is its text",
            apply: plain_reasoning,
        },
    ],
    lacks: &[Lack::CachedWriteHour, Lack::Images],
};

fn list_stop(body: &mut Value) {
    if let Some(stop) = body.get_mut("stop").filter(|stop| stop.is_string()) {
        *stop = json!([stop.take()]);
    }
    fields(body, |name, value| !(matches!(name.as_str(), "tools" | "stop") && *value == json!([])));
}

fn rename_fields(body: &mut Value) {
    let Some(object) = body.as_object_mut() else { return };
    for (old, new) in [("max_tokens", "max_completion_tokens"), ("random_seed", "seed")] {
        if let Some(value) = object.remove(old) {
            object.entry(new).or_insert(value);
        }
    }
}

fn unfold_chat(body: &mut Value) {
    for message in each(body, "messages") {
        fields(message, |_, value| !is_empty(value));
        if let Some(text) = message.get("content").and_then(Value::as_str) {
            message["content"] = json!([{"type": "text", "text": text}]);
        }
        for image in each(message, "content").filter_map(|part| part.get_mut("image_url")).filter(|image| image.is_string()) {
            *image = json!({"url": image.take()});
        }
    }
}

fn drop_empty_of_choices(body: &mut Value) {
    for choice in each(body, "choices") {
        if let Some(message) = choice.get_mut("message") {
            fields(message, |_, value| !is_empty(value));
        }
        fields(choice, |_, value| !is_empty(value) && *value != json!({"role": "assistant"}));
    }
}

fn plain_tools(body: &mut Value) {
    each(body, "tools").for_each(drop_function_type);
    for call in each(body, "messages").flat_map(|message| each(message, "tool_calls")) {
        plain_call(call);
    }
}

fn drop_function_type(value: &mut Value) {
    fields(value, |name, value| !(name == "type" && *value == "function"));
}

fn plain_call(call: &mut Value) {
    drop_function_type(call);
    fields(call, |name, value| name != "index" && !(name == "id" && is_empty(value)));
    if let Some(function) = call.get_mut("function") {
        fields(function, |name, value| !(name == "arguments" && (is_empty(value) || *value == "{}")));
    }
}

fn plain_choice(body: &mut Value) {
    if let Some(choice) = body.get_mut("tool_choice").filter(|choice| **choice == "any") {
        *choice = "required".into();
    }
    let has_tools = body.get("tools").is_some();
    fields(body, |name, value| has_tools || !(name == "parallel_tool_calls" || (name == "tool_choice" && !value.is_object())));
}

fn plain_answer(body: &mut Value) {
    fields(body, |name, value| name != "object" && !(name == "id" && is_empty(value)));
    for choice in each(body, "choices") {
        fields(choice, |name, _| name != "index");
        if let Some(message) = choice.get_mut("message") {
            each(message, "tool_calls").for_each(plain_call);
        }
    }
}

fn plain_reasoning(body: &mut Value) {
    for message in each(body, "choices").filter_map(|choice| choice.get_mut("message")).filter_map(Value::as_object_mut) {
        if let Some(parts) = message.get("content").and_then(Value::as_array) {
            let text_of = |part: &Value| part["text"].as_str().unwrap_or_default().to_owned();
            let thinks: Vec<&Value> = parts.iter().filter(|part| part["type"] == "thinking").collect();
            let thinking: String = thinks.iter().flat_map(|part| part["thinking"].as_array()).flatten().map(text_of).collect();
            let text: String = parts.iter().filter(|part| part["type"] != "thinking").map(text_of).collect();
            if !thinking.is_empty() {
                message.insert("reasoning_content".into(), thinking.into());
            }
            message.insert("content".into(), text.into());
        }
        if let Some(content) = message.get_mut("content").filter(|content| content.is_object()) {
            *content = content.to_string().into();
        }
        if let Some(reasoning) = message.remove("reasoning") {
            message.entry("reasoning_content").or_insert(reasoning);
        }
    }
}
