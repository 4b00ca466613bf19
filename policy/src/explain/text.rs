//! An explanation for people: one line a fact.

use std::fmt::Write;

use serde_json::Value;

/// Writes an explanation as lines.
pub fn text(explained: &Value) -> String {
    let mut out = String::new();
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let list = |value: &Value| value.as_array().map(|list| list.iter().map(word).collect::<Vec<_>>().join(", ")).unwrap_or_default();
    let (request, key) = (&explained["request"], &explained["key"]);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "request   {} of model {:?}, about {} tokens in, at most {} out, has: {}",
        word(&request["operation"]),
        word(&request["model"]),
        request["tokens"],
        word(&request["max_tokens"]),
        Some(list(&request["has"])).filter(|has| !has.is_empty()).unwrap_or_else(|| "nothing special".to_owned()),
    );
    let _ = writeln!(out, "key       {}, team {}, customer {}", word(&key["name"]), word(&key["team"]), word(&key["customer"]));
    let _ = writeln!(out, "route     {}", word(&explained["route"]));
    for name in ["strategy", "priority"] {
        if let Some(value) = explained[name].as_str() {
            let _ = writeln!(out, "{name:<9} {value}");
        }
    }
    for condition in explained["conditions"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "condition {}: {} is {}", word(&condition["on"]), word(&condition["when"]), word(&condition["is"]));
        for (name, value) in condition["values"].as_object().into_iter().flatten() {
            let _ = writeln!(out, "          {name} = {}", word(value));
        }
    }
    for entry in explained["passed_over"].as_array().into_iter().flatten() {
        let subject = if entry["target"].is_string() { &entry["target"] } else { &entry["route"] };
        let details =
            entry.as_object().into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "target" | "route" | "passed_over"));
        let details: Vec<String> = details.map(|(name, value)| format!("{name}: {}", word(value))).collect();
        let _ = writeln!(out, "passed    {}: {} ({})", word(subject), word(&entry["passed_over"]), details.join(", "));
    }
    for (index, target) in explained["targets"].as_array().into_iter().flatten().enumerate() {
        let cost = match &target["usd_at_most"] {
            Value::String(usd) => format!("at most ${usd}"),
            unknown => format!("cost unknown: {}", word(&unknown["unknown"])),
        };
        let _ = writeln!(
            out,
            "target {}  {} at {}, keys: {}, {cost}",
            index + 1,
            word(&target["target"]),
            word(&target["url"]),
            list(&target["credentials"])
        );
    }
    for bound in explained["bounds"].as_array().into_iter().flatten() {
        let shadow = if bound["shadow"] == true { ", reported only" } else { "" };
        let _ = writeln!(out, "bound     {}: {}{}", word(&bound["of"]), word(&bound["bound"]), shadow);
    }
    if let Some(refused) = explained.get("refused") {
        let _ = writeln!(out, "refused   {} {}: {}", refused["status"], word(&refused["code"]), word(&refused["message"]));
    }
    out
}
