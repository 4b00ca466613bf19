//! What is insignificant in generateContent requests and answers.

use serde_json::{Map, Value, json};

use super::{Lack, Normal, Rule, each, fields};

pub const NORMAL: Normal = Normal {
    dialect: "gemini",
    request: &[
        Rule { says: "names of members are camelCase or snake_case", apply: camel },
        Rule { says: "null members are absent, and so is what is then empty", apply: drop_nulls },
        Rule { says: "`model` repeats the path", apply: drop_model },
        Rule { says: "`parts` alone is a list of one, and the role of `systemInstruction` says nothing", apply: list_parts },
        Rule { says: "`thought: false` and empty text of system parts are absent", apply: drop_thought },
        Rule { says: "base64 is in either alphabet", apply: one_alphabet },
        Rule { says: "function declarations stand in one list, other tools in objects of their own", apply: join_tools },
        Rule {
            says: "text is what every model gives: `responseModalities: [TEXT]` is absent; a mode is in upper case",
            apply: fold_config,
        },
        Rule { says: "absent `args` of a call are empty, a content without a role is the user's", apply: fill_args },
    ],
    answer: &[
        Rule { says: "`index: 0` of a candidate may be absent, and so may its `parts` and the role `model`", apply: fill_candidates },
        Rule { says: "a part of empty text says nothing", apply: drop_empty_parts },
        Rule { says: "absent `args` of a call are empty", apply: fill_args },
        Rule { says: "an error with status 200 is its message and status", apply: cut_error },
    ],
    lacks: &[Lack::Mode, Lack::CachedWrite, Lack::CachedWriteHour, Lack::Images, Lack::Searches, Lack::AudioLength],
};

/// Members whose own members are a user's words.
const FREE: &[&str] =
    &["args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels", "_responseJsonSchema"];

fn camel(body: &mut Value) {
    match body {
        Value::Object(object) => {
            let mut renamed = Map::new();
            for (name, mut value) in std::mem::take(object) {
                let name = camel_name(&name);
                if !FREE.contains(&name.as_str()) {
                    camel(&mut value);
                }
                renamed.insert(name, value);
            }
            *object = renamed;
        }
        Value::Array(all) => all.iter_mut().for_each(camel),
        _ => {}
    }
}

fn camel_name(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    if first.is_empty() {
        return name.to_owned();
    }
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        all.extend(letters);
        all
    })
}

fn drop_nulls(body: &mut Value) {
    fields(body, |_, value| !value.is_null());
    for tool in each(body, "tools") {
        fields(tool, |_, value| !value.is_null());
    }
    fields(body, |name, value| !(name == "generationConfig" && *value == json!({})));
}

fn drop_model(body: &mut Value) {
    if let Some(inner) = body.as_object_mut().and_then(|object| object.remove("generateContentRequest")) {
        *body = inner;
    }
    fields(body, |name, _| name != "model");
}

fn list_parts(body: &mut Value) {
    let list = |content: &mut Value| {
        if let Some(parts) = content.get_mut("parts").filter(|parts| parts.is_object()) {
            *parts = json!([parts.take()]);
        }
    };
    each(body, "contents").for_each(list);
    if let Some(system) = body.get_mut("systemInstruction") {
        list(system);
        fields(system, |name, _| name != "role");
    }
}

fn drop_thought(body: &mut Value) {
    let plain = |part: &mut Value| fields(part, |name, value| !(name == "thought" && *value == false));
    for content in each(body, "contents") {
        each(content, "parts").for_each(plain);
    }
    if let Some(system) = body.get_mut("systemInstruction") {
        each(system, "parts").for_each(plain);
    }
}

fn one_alphabet(body: &mut Value) {
    match body {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if matches!(name.as_str(), "data" | "thoughtSignature") => {
                        *text = text.replace('-', "+").replace('_', "/")
                    }
                    _ if FREE.contains(&name.as_str()) => {}
                    _ => one_alphabet(value),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(one_alphabet),
        _ => {}
    }
}

fn join_tools(body: &mut Value) {
    let Some(tools) = body.get_mut("tools") else { return };
    let all = tools.as_array().cloned().unwrap_or_else(|| vec![tools.clone()]);
    let (mut functions, mut others) = (Vec::new(), Vec::new());
    for (name, value) in all.into_iter().filter_map(|tool| tool.as_object().cloned()).flatten() {
        match value {
            Value::Array(list) if name == "functionDeclarations" => functions.extend(list),
            value => others.push(json!({ name: value })),
        }
    }
    if !functions.is_empty() {
        others.push(json!({ "functionDeclarations": functions }));
    }
    others.sort_by_key(Value::to_string);
    *tools = others.into();
    fields(body, |name, value| !(name == "tools" && *value == json!([])));
}

fn fold_config(body: &mut Value) {
    if let Some(config) = body.get_mut("generationConfig") {
        fields(config, |name, value| !(value.is_null() || name == "responseModalities" && *value == json!(["TEXT"])));
    }
    fields(body, |name, value| !(name == "generationConfig" && *value == json!({})));
    if let Some(Value::String(mode)) = body.pointer_mut("/toolConfig/functionCallingConfig/mode") {
        *mode = mode.to_ascii_uppercase();
    }
}

fn fill_args(body: &mut Value) {
    match body {
        Value::Object(object) => {
            if let Some(call) = object.get_mut("functionCall").and_then(Value::as_object_mut) {
                call.entry("args").or_insert(json!({}));
            }
            for content in object.get_mut("contents").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
                content.entry("role").or_insert("user".into());
            }
            object.values_mut().for_each(fill_args);
        }
        Value::Array(all) => all.iter_mut().for_each(fill_args),
        _ => {}
    }
}

fn fill_candidates(body: &mut Value) {
    for candidate in each(body, "candidates") {
        let Some(candidate) = candidate.as_object_mut() else { continue };
        candidate.entry("index").or_insert(0.into());
        let content = candidate.entry("content").or_insert(json!({}));
        content["role"] = "model".into();
        if content.get("parts").is_none() {
            content["parts"] = json!([]);
        }
    }
}

fn drop_empty_parts(body: &mut Value) {
    for candidate in each(body, "candidates") {
        if let Some(parts) = candidate.pointer_mut("/content/parts").and_then(Value::as_array_mut) {
            parts.retain(|part| *part != json!({"text": ""}) && *part != json!({"text": "", "thought": true}));
        }
    }
}

fn cut_error(body: &mut Value) {
    if let Some(error) = body.get_mut("error") {
        fields(error, |name, _| matches!(name.as_str(), "message" | "status"));
    }
}
