//! `ringway routes|providers --live|status`, and what a dry run says.

use std::fmt::Write;

use serde_json::Value;

use super::table::{cell, plain, span, table};
use super::{Client, encoded};

/// # Errors
/// Why there is no answer.
pub async fn routes(client: &Client, name: Option<&str>, json: bool) -> Result<String, String> {
    if let Some(name) = name {
        return Ok(format!("{:#}\n", client.get(&format!("/api/v1/routes/{}", encoded(name))).await?));
    }
    let routes = client.all("/api/v1/routes").await?;
    if json {
        return Ok(format!("{:#}\n", Value::Array(routes)));
    }
    let rows = routes.iter().map(|route| {
        let targets = route["targets"].as_array().into_iter().flatten();
        let targets: Vec<String> = targets.map(|target| format!("{} ×{}", cell(&target["model"]), target["weight"])).collect();
        let health = route["health"].as_array().into_iter().flatten();
        let health: Vec<String> = health.map(|target| format!("{} {}%", cell(&target["breaker"]), target["share_percent"])).collect();
        let list = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join("\n") };
        vec![cell(&route["name"]), cell(&route["origin"]), cell(&route["strategy"]), list(targets), cell(&route["fallbacks"]), list(health)]
    });
    Ok(table(&["NAME", "FROM", "STRATEGY", "TARGETS", "FALLBACKS", "BREAKER, SHARE"], rows))
}

/// # Errors
/// Why there is no answer.
pub async fn providers(client: &Client, name: Option<&str>, json: bool) -> Result<String, String> {
    if let Some(name) = name {
        return Ok(format!("{:#}\n", client.get(&format!("/api/v1/providers/{}", encoded(name))).await?));
    }
    let providers = client.all("/api/v1/providers").await?;
    if json {
        return Ok(format!("{:#}\n", Value::Array(providers)));
    }
    let rows = providers.iter().map(|provider| {
        let credentials = provider["credentials"].as_array().into_iter().flatten();
        let credentials: Vec<String> = credentials.map(|key| format!("{} {}", cell(&key["name"]), cell(&key["state"]))).collect();
        let credentials = if credentials.is_empty() { "-".to_owned() } else { credentials.join("\n") };
        let addresses = provider["addresses"].as_array().map_or(0, Vec::len).to_string();
        vec![cell(&provider["name"]), cell(&provider["origin"]), cell(&provider["base_url"]), addresses, credentials]
    });
    Ok(table(&["NAME", "FROM", "WHERE", "ADDRESSES", "CREDENTIALS"], rows))
}

/// # Errors
/// Why there is no answer.
pub async fn status(client: &Client, json: bool) -> Result<String, String> {
    let status = client.get("/api/v1/status").await?;
    if json {
        return Ok(format!("{status:#}\n"));
    }
    let counts = status["counts"].as_object().into_iter().flatten().map(|(name, count)| format!("{count} {name}"));
    let mut out = String::new();
    for (name, value) in [
        ("version", format!("{}, {}, {} shards", cell(&status["version"]), cell(&status["driver"]), status["shards"])),
        ("phase", format!("{}, for {}", cell(&status["phase"]), span(status["uptime_s"].as_u64().unwrap_or(0) * 1_000))),
        ("revision", cell(&status["revision"])),
        ("has", counts.collect::<Vec<_>>().join(", ")),
        ("store", format!("{}, {}", cell(&status["store"]["kind"]), cell(&status["store"]["state"]))),
        (
            "log",
            format!(
                "{}, {} records, {} dropped",
                cell(&status["request_log"]["state"]),
                status["request_log"]["records"],
                status["request_log"]["dropped"]
            ),
        ),
    ] {
        let _ = writeln!(out, "{name:<10}{value}");
    }
    for reason in status["reasons"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "{:<10}{}: {}", "degraded", cell(&reason["part"]), cell(&reason["reason"]));
    }
    Ok(out)
}

/// What a change would do.
pub fn dry_run(answer: &Value, valid: bool) -> String {
    let mut out = if valid { "valid; nothing was changed\n".to_owned() } else { "not valid\n".to_owned() };
    for error in answer["errors"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "{}: {}", cell(&error["path"]), cell(&error["message"]));
    }
    for step in answer["diff"].as_array().into_iter().flatten() {
        let word = match (step["before"].is_null(), step["after"].is_null()) {
            (true, _) => "+",
            (false, true) => "-",
            (false, false) => "~",
        };
        let _ = writeln!(out, "{word} {} {}", cell(&step["kind"]), plain(step["name"].as_str().unwrap_or_default()));
    }
    out
}
