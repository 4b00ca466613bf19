//! OpenAI's completions before chat.

use serde_json::Value;

use super::{Lack, Normal, Rule, each, fields};

pub const NORMAL: Normal = Normal {
    dialect: "openai-completions",
    request: &[Rule {
        says: "null, false and empty fields at the top are absent, and so is `best_of: 1`; a `stop` alone is a list of one",
        apply: drop_empty,
    }],
    answer: &[
        Rule { says: "`object` is always the same; null fields of a choice are absent", apply: drop_empty_of_choices },
        Rule { says: "a count of no completion tokens may be absent", apply: fill_count },
    ],
    lacks: &[Lack::Reasoning, Lack::Calls, Lack::CachedWriteHour, Lack::Images],
};

fn drop_empty(body: &mut Value) {
    fields(body, |name, value| {
        let is_empty = value.is_null() || *value == false || *value == "" || value.as_object().is_some_and(serde_json::Map::is_empty);
        !(is_empty || (name == "best_of" && *value == 1))
    });
    if let Some(stop) = body.get_mut("stop").filter(|stop| stop.is_string()) {
        *stop = Value::Array(vec![stop.take()]);
    }
}

fn drop_empty_of_choices(body: &mut Value) {
    fields(body, |name, _| name != "object");
    each(body, "choices").for_each(|choice| fields(choice, |_, value| !value.is_null()));
}

fn fill_count(body: &mut Value) {
    if let Some(usage) = body.get_mut("usage").and_then(Value::as_object_mut) {
        usage.entry("completion_tokens").or_insert(0.into());
    }
}
