use super::*;
use crate::plan::testing::snapshot_of;

const FILE: &str = "
providers: {openai: {keys: [{name: main, value: k}]}, mine: {like: openai, base_url: \"http://10.0.0.1/v1\"}}
routes:
  r:
    targets: [{model: mine/small, when: 'request.tags.env == \"eu\"'}, openai/gpt-4.1]
    fallbacks: [openai/gpt-4.1-mini]
virtual_keys:
  mobile: {key: aaaaaaaaaaaaaaaa, team: apps, models: [r], limits: [{requests: 60, per: 1m}, {concurrent: 5}]}
teams: {apps: {budgets: [{usd: \"50\", per: 1d}]}}
";

fn ask(model: &str) -> Question {
    let body = format!(r#"{{"model": "{model}", "max_tokens": 9, "tools": [{{}}], "messages": []}}"#);
    Question { path: "/v1/chat/completions".into(), body: body.into(), key: Some("mobile".into()), ..Question::default() }
}

fn explained(question: &Question) -> Value {
    explain(&snapshot_of(FILE), question).unwrap_or_else(|fault| panic!("{}", fault.message))
}

#[test]
fn a_dry_run_tells_the_whole_way() {
    let value = explained(&ask("r"));
    assert_eq!(value["route"], "r");
    assert_eq!(value["key"], json!({"name": "mobile", "team": "apps", "customer": null}));
    assert_eq!(value["request"]["has"], json!(["tools"]));
    let targets: Vec<&Value> = value["targets"].as_array().unwrap().iter().map(|target| &target["target"]).collect();
    assert_eq!(targets, ["openai/gpt-4.1", "openai/gpt-4.1-mini"]);
    assert_eq!(value["targets"][0]["credentials"], json!(["main"]));
    assert_eq!(value["conditions"][0]["values"]["request.tags[\"env\"]"], "missing");
    assert_eq!(
        (&value["passed_over"][0]["target"], &value["passed_over"][0]["missing"]),
        (&json!("mine/small"), &json!("request.tags[\"env\"]"))
    );
    assert_eq!(value["bounds"].as_array().unwrap().len(), 3);
    assert!(value.get("refused").is_none());
    let text = text(&value);
    for part in [
        "route     r",
        "condition mine/small: ",
        "is undecided, so false",
        "passed    mine/small: when",
        "target 1  openai/gpt-4.1 at ",
        "bound     team \"apps\": 50 USD per 1d",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn tags_and_headers_of_the_question_count() {
    let value = explained(&Question { tags: vec![("env".into(), "eu".into())], ..ask("r") });
    assert_eq!(value["targets"][0]["target"], "mine/small");
    assert_eq!(value["conditions"][0]["is"], "true");
}

#[test]
fn a_refusal_is_part_of_the_explanation() {
    let value = explained(&ask("openai/gpt-4.1"));
    assert_eq!((&value["refused"]["status"], &value["refused"]["code"]), (&json!(403), &json!("model_not_allowed")));
    assert_eq!(explained(&ask("nothing"))["refused"]["code"], "model_not_found");
    assert!(text(&explained(&ask("nothing"))).contains("refused   404 model_not_found"));
}

#[test]
fn what_cannot_be_explained_says_why() {
    let snapshot = snapshot_of(FILE);
    for (question, part) in [
        (Question { path: "/nowhere".into(), ..ask("r") }, "--path"),
        (Question { key: None, ..ask("r") }, "--key NAME"),
        (Question { key: Some("nobody".into()), ..ask("r") }, "is not in the file"),
        (Question { body: b"[]".to_vec(), ..ask("r") }, "expected a json object"),
        (Question { body: b"{}".to_vec(), ..ask("r") }, "names no model"),
    ] {
        let fault = explain(&snapshot, &question).unwrap_err();
        assert!(fault.message.contains(part), "{}", fault.message);
    }
}
