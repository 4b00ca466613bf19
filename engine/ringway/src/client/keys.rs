//! `ringway keys`: virtual keys of a running gateway.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::flags::{KeyFields, Keys};
use super::table::{cell, figure, table};
use super::{Answer, Body, Client, If, encoded};

/// Runs one and gives its text.
///
/// # Errors
/// Why there is none.
pub async fn run(client: &Client, command: Keys, json: bool) -> Result<String, String> {
    match command {
        Keys::List { search } => list(client, search.as_deref(), json).await,
        Keys::Show { name } => Ok(format!("{:#}\n", client.get(&path(&name)).await?)),
        Keys::New { name, fields, dry_run } => {
            let body = spec(json!({}), &fields)?;
            let answer = client.ask(Method::PUT, &asked(&name, dry_run), Body::Json(&body), If::Absent).await?;
            shown(&answer, json, &format!("the key {name:?} is made"))
        }
        Keys::Set { name, fields, dry_run } => {
            let before = client.ask(Method::GET, &path(&name), Body::None, If::Any).await?;
            let etag = before.etag.clone().unwrap_or_default();
            let body = spec(before.json()?["spec"].take(), &fields)?;
            let answer = client.ask(Method::PUT, &asked(&name, dry_run), Body::Json(&body), If::Matches(&etag)).await?;
            shown(&answer, json, &format!("the key {name:?} is changed"))
        }
        Keys::Delete { name } => {
            let answer = client.ask(Method::DELETE, &path(&name), Body::None, If::Any).await?;
            if json { Ok(answer.text) } else { Ok(format!("the key {name:?} is gone\n")) }
        }
        Keys::Rotate { name, overlap } => {
            let rotate = format!("{}/rotate", path(&name));
            let answer = client.ask(Method::POST, &rotate, Body::Json(&json!({"overlap": overlap})), If::Any).await?;
            shown(&answer, json, &format!("the key {name:?} has another secret"))
        }
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/keys/{}", encoded(name))
}

fn asked(name: &str, dry_run: bool) -> String {
    format!("{}{}", path(name), if dry_run { "?dry_run=true" } else { "" })
}

async fn list(client: &Client, search: Option<&str>, json: bool) -> Result<String, String> {
    let search = search.map(|part| format!("?search={}", encoded(part))).unwrap_or_default();
    let keys = client.all(&format!("/api/v1/keys{search}")).await?;
    if json {
        return Ok(format!("{:#}\n", Value::Array(keys)));
    }
    let quota = |quota: &Value| format!("{}: {} left", cell(&quota["allows"]), figure(&quota["remaining"]));
    let rows = keys.iter().map(|key| {
        let quotas: Vec<String> = key["quotas"].as_array().into_iter().flatten().map(quota).collect();
        let models = if key["models"].is_null() { "all".to_owned() } else { cell(&key["models"]) };
        let enabled = if key["enabled"] == false { "no" } else { "yes" };
        vec![
            cell(&key["name"]),
            cell(&key["origin"]),
            cell(&key["team"]),
            cell(&key["customer"]),
            models,
            enabled.to_owned(),
            if quotas.is_empty() { "-".to_owned() } else { quotas.join("\n") },
        ]
    });
    Ok(table(&["NAME", "FROM", "TEAM", "CUSTOMER", "MODELS", "ENABLED", "LIMITS AND BUDGETS"], rows))
}

/// The section of the key with the fields that were named in place of its own.
fn spec(before: Value, fields: &KeyFields) -> Result<Value, String> {
    let mut spec = match before {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (name, value) in
        [("team", &fields.team), ("customer", &fields.customer), ("profile", &fields.profile), ("expires", &fields.expires)]
    {
        if let Some(value) = value {
            spec.insert(name.to_owned(), json!(value));
        }
    }
    if !fields.models.is_empty() {
        spec.insert("models".to_owned(), json!(fields.models));
    }
    if let Some(enabled) = fields.enabled {
        spec.insert("enabled".to_owned(), json!(enabled));
    }
    for (name, rules) in [("limits", &fields.limits), ("budgets", &fields.budgets)] {
        if !rules.is_empty() {
            let rules: Vec<Value> = rules.iter().map(|text| rule(name, text)).collect::<Result<_, _>>()?;
            spec.insert(name.to_owned(), json!(rules));
        }
    }
    for text in &fields.others {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("--field {text:?}: write NAME=JSON"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        spec.insert(name.to_owned(), value);
    }
    Ok(Value::Object(spec))
}

/// `requests=60/1m` → `{requests: 60, per: 1m}`, `usd=50/1d` → `{usd: "50", per: 1d}`.
fn rule(kind: &str, text: &str) -> Result<Value, String> {
    let wrong = || match kind {
        "limits" => format!("--limit {text:?}: write requests=60/1m, tokens=200000/1m or concurrent=20"),
        _ => format!("--budget {text:?}: write usd=50.00/1d or tokens=1000000/1mo"),
    };
    let (what, amount) = text.split_once('=').ok_or_else(wrong)?;
    let (amount, per) = amount.split_once('/').map_or((amount, None), |(amount, per)| (amount, Some(per)));
    let amount = match what {
        "usd" => json!(amount),
        _ => json!(amount.replace('_', "").parse::<u64>().map_err(|_| wrong())?),
    };
    let mut rule = Map::new();
    rule.insert(what.to_owned(), amount);
    if let Some(per) = per {
        rule.insert("per".to_owned(), json!(per));
    }
    Ok(Value::Object(rule))
}

/// What a change answered: the secret first, which is told this once.
fn shown(answer: &Answer, json: bool, done: &str) -> Result<String, String> {
    let value = answer.json()?;
    if json {
        return Ok(format!("{value:#}\n"));
    }
    if let Some(valid) = value["valid"].as_bool() {
        return Ok(super::views::dry_run(&value, valid));
    }
    Ok(match value["secret"].as_str() {
        Some(secret) => format!("{secret}\n\n# {done}; it is shown this once\n"),
        None => format!("{done}\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_the_file_has_them() {
        assert_eq!(rule("limits", "requests=60/1m"), Ok(json!({"requests": 60, "per": "1m"})));
        assert_eq!(rule("limits", "concurrent=20"), Ok(json!({"concurrent": 20})));
        assert_eq!(rule("budgets", "usd=50.00/1d"), Ok(json!({"usd": "50.00", "per": "1d"})));
        assert!(rule("limits", "requests").unwrap_err().contains("write requests=60/1m"));
        assert!(rule("budgets", "tokens=many/1d").unwrap_err().contains("write usd="));
    }

    #[test]
    fn what_is_not_named_stays() {
        let fields = KeyFields {
            team: Some("b".into()),
            customer: None,
            profile: None,
            models: vec![],
            limits: vec![],
            budgets: vec!["usd=1/1d".into()],
            expires: None,
            enabled: Some(false),
            others: vec!["tags={\"env\":\"dev\"}".into()],
        };
        let after = spec(json!({"team": "a", "models": ["x"]}), &fields).unwrap();
        let budgets = json!([{"usd": "1", "per": "1d"}]);
        let expected = json!({"team": "b", "models": ["x"], "enabled": false, "budgets": budgets, "tags": {"env": "dev"}});
        assert_eq!(after, expected);
    }
}
