//! The admin API of a real gateway: objects that are made, changed and undone; records; the playground; what is refused.

use serde_json::{Value, json};

use crate::client::{Answer, exchange, post_with};
use crate::process::Ringway;

const TOKEN: &str = "test-admin-token-0001";
const FILE: &str =
    "virtual_keys: {mobile: {key: test-key-of-admin-1, team: apps}}\nteams: {apps: {}}\nroutes: {chat: {targets: [ringway/echo]}}\n";

fn ask(ringway: &Ringway, method: &str, path: &str, fields: &str, body: Option<&Value>) -> Answer {
    let text = body.map(Value::to_string).unwrap_or_default();
    let kind = if body.is_some() { "content-type: application/json\r\n" } else { "" };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n{kind}{fields}");
    exchange(ringway.admin, format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes())
}

fn get(ringway: &Ringway, path: &str) -> Value {
    let answer = ask(ringway, "GET", path, "", None);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn chat_with(ringway: &Ringway, key: &str) -> u16 {
    let body = json!({"model": "ringway/echo", "messages": [{"role": "user", "content": "hi"}]});
    post_with(ringway.address, "/v1/chat/completions", &format!("authorization: Bearer {key}\r\n"), &body).status
}

#[test]
fn a_key_that_is_made_works_at_once_is_rotated_and_taken_away() {
    let ringway = Ringway::start(FILE);
    let made = ask(&ringway, "PUT", "/api/v1/keys/fresh", "if-none-match: *\r\n", Some(&json!({"team": "apps"})));
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["secret"].as_str().expect("a secret, shown once").to_owned();
    assert!(secret.starts_with("rw-"));
    assert_eq!(chat_with(&ringway, &secret), 200);
    let again = ask(&ringway, "PUT", "/api/v1/keys/fresh", "if-none-match: *\r\n", Some(&json!({"team": "apps"})));
    assert_eq!((again.status, again.json()["code"].clone()), (412, json!("precondition_failed")));

    let shown = ask(&ringway, "GET", "/api/v1/keys/fresh", "", None);
    let etag = shown.field("etag").expect("an etag").to_owned();
    assert!(!shown.text().contains(&secret) && shown.json()["origin"] == "store", "{}", shown.text());
    assert_eq!(ask(&ringway, "GET", "/api/v1/keys/fresh", &format!("if-none-match: {etag}\r\n"), None).status, 304);

    let rotated = ask(&ringway, "POST", "/api/v1/keys/fresh/rotate", "", Some(&json!({"overlap": "1h"})));
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let other = rotated.json()["secret"].as_str().expect("another secret").to_owned();
    assert_eq!((chat_with(&ringway, &other), chat_with(&ringway, &secret)), (200, 200), "the former one goes on for an hour");

    let stale = ask(&ringway, "DELETE", "/api/v1/keys/fresh", &format!("if-match: {etag}\r\n"), None);
    assert_eq!(stale.status, 412, "{}", stale.text());
    assert_eq!(ask(&ringway, "DELETE", "/api/v1/keys/fresh", "", None).status, 200);
    assert_eq!((chat_with(&ringway, &other), chat_with(&ringway, &secret)), (401, 401));
    assert_eq!(ask(&ringway, "DELETE", "/api/v1/keys/fresh", "", None).status, 404);
}

#[test]
fn what_the_file_says_is_read_only_and_a_wrong_object_is_told_by_its_places() {
    let ringway = Ringway::start(FILE);
    let refused = ask(&ringway, "PUT", "/api/v1/keys/mobile", "", Some(&json!({})));
    assert_eq!((refused.status, refused.json()["code"].clone()), (409, json!("read_only")), "{}", refused.text());
    assert!(refused.field("content-type").is_some_and(|kind| kind.contains("application/problem+json")));
    let wrong = json!({"targets": [{"model": "nowhere/x"}], "retrys": 2});
    let refused = ask(&ringway, "PUT", "/api/v1/routes/new", "", Some(&wrong));
    assert_eq!(refused.status, 422, "{}", refused.text());
    let errors = refused.json()["errors"].clone();
    assert!(errors.as_array().is_some_and(|errors| !errors.is_empty()) && errors.to_string().contains("retries"), "{errors}");
    let dry = ask(&ringway, "PUT", "/api/v1/routes/new?dry_run=true", "", Some(&wrong));
    assert_eq!((dry.status, dry.json()["valid"].clone()), (200, json!(false)), "{}", dry.text());
    let dry = ask(&ringway, "PUT", "/api/v1/routes/new?dry_run=true", "", Some(&json!({"targets": ["ringway/echo"]})));
    assert_eq!((dry.status, dry.json()["valid"].clone()), (200, json!(true)), "{}", dry.text());
    assert_eq!(ask(&ringway, "GET", "/api/v1/routes/new", "", None).status, 404, "a dry run does nothing");
}

#[test]
fn changes_are_numbered_shown_undone_and_exported() {
    let ringway = Ringway::start(FILE);
    let made = ask(&ringway, "PUT", "/api/v1/routes/mine", "", Some(&json!({"targets": ["ringway/echo"]})));
    assert_eq!(made.status, 201, "{}", made.text());
    let number = made.json()["revision"].as_u64().expect("a revision");
    let revision = get(&ringway, &format!("/api/v1/revisions/{number}"));
    assert_eq!((&revision["diff"][0]["name"], &revision["diff"][0]["before"]), (&json!("mine"), &Value::Null), "{revision}");
    assert_eq!(get(&ringway, "/api/v1/revisions")["data"][0]["number"], number);
    let export = ask(&ringway, "GET", "/api/v1/export", "", None);
    assert!(export.field("content-type") == Some("application/yaml") && export.text().contains("mine"), "{}", export.text());
    let undone = ask(&ringway, "POST", &format!("/api/v1/revisions/{number}/revert"), "", None);
    assert_eq!(undone.status, 200, "{}", undone.text());
    assert_eq!(ask(&ringway, "GET", "/api/v1/routes/mine", "", None).status, 404);
}

#[test]
fn records_are_paged_found_and_added_up() {
    let ringway = Ringway::start(FILE);
    (0..5).for_each(|_| assert_eq!(chat_with(&ringway, "test-key-of-admin-1"), 200));
    (0..5).for_each(|_| drop(ringway.record()));
    let page = get(&ringway, "/api/v1/records?limit=3&key=mobile");
    assert_eq!(page["data"].as_array().map(Vec::len), Some(3), "{page}");
    let next = page["next"].as_str().expect("a second page");
    let rest = get(&ringway, &format!("/api/v1/records?limit=3&key=mobile&cursor={next}"));
    assert_eq!((rest["data"].as_array().map(Vec::len), &rest["next"]), (Some(2), &Value::Null), "{rest}");
    let id = page["data"][0]["id"].as_str().expect("an id");
    assert_eq!(get(&ringway, &format!("/api/v1/records/{id}"))["id"], id);
    assert_eq!(ask(&ringway, "GET", "/api/v1/records?status=wrong", "", None).status, 400);
    assert_eq!(ask(&ringway, "GET", "/api/v1/records?nonsense=1", "", None).status, 400);
    let series = get(&ringway, "/api/v1/series?by=key");
    assert_eq!(series["totals"]["mobile"]["requests"], 5, "{series}");
    let lines = ask(&ringway, "GET", "/api/v1/records/export?key=mobile", "", None);
    assert!(lines.complete && lines.text().lines().count() == 5, "{}", lines.text());
}

#[test]
fn the_playground_goes_through_the_data_plane_and_tells_the_cost() {
    let ringway = Ringway::start(FILE);
    let messages = json!([{"role": "user", "content": "say it"}]);
    let whole = ask(&ringway, "POST", "/api/v1/chat", "", Some(&json!({"model": "chat", "messages": messages})));
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "say it");
    assert_eq!(ringway.record()["key"], "ringway:operator");
    let body = json!({"model": "chat", "messages": messages, "stream": true});
    let stream = ask(&ringway, "POST", "/api/v1/chat", "", Some(&body));
    assert!(stream.complete && stream.chat_text().contains("say it"), "{}", stream.text());
    let (_, last) = stream.text().rsplit_once("event: ringway\ndata: ").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("the last event");
    let last: Value = serde_json::from_str(last.trim()).expect("JSON");
    assert!(last["provider"] == "ringway" && last["request_id"].is_string() && last["cost_usd"].is_string(), "{last}");
    let unknown = ask(&ringway, "POST", "/api/v1/chat", "", Some(&json!({"model": "no-such", "messages": messages})));
    assert_eq!((unknown.status, unknown.json()["code"].clone()), (404, json!("model_not_found")), "{}", unknown.text());
    let tested = ask(&ringway, "POST", "/api/v1/providers/ringway/test", "", Some(&json!({"model": "echo"})));
    assert_eq!((tested.status, tested.json()["ok"].clone()), (200, json!(true)), "{}", tested.text());
}

#[test]
fn a_dry_run_explains_as_the_command_does() {
    let ringway = Ringway::start(FILE);
    let asked = json!({"body": {"messages": [{"role": "user", "content": "x"}]}, "key": "mobile"});
    let answer = ask(&ringway, "POST", "/api/v1/routes/chat/dry-run", "", Some(&asked));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((&answer.json()["route"], &answer.json()["targets"][0]["target"]), (&json!("chat"), &json!("ringway/echo")));
    assert_eq!(ask(&ringway, "POST", "/api/v1/explain", "", Some(&json!({"body": 3}))).status, 400);
    let status = get(&ringway, "/api/v1/status");
    assert_eq!((&status["ready"], &status["counts"]["keys"], &status["first_steps"]["has_key"]), (&json!(true), &json!(1), &json!(true)));
    assert!(get(&ringway, "/api/v1/settings")["threads"]["threads"] == 2);
    assert!(get(&ringway, "/api/v1/provider-types?limit=1000")["data"].as_array().is_some_and(|all| all.len() > 50));
    assert_eq!(get(&ringway, "/api/v1/models?catalog=1&search=gpt-4.1&limit=1")["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn without_a_store_changes_are_refused_with_what_to_do() {
    let ringway = Ringway::with(FILE, &["--no-store"]);
    let refused = ask(&ringway, "PUT", "/api/v1/keys/fresh", "", Some(&json!({})));
    assert!(refused.status == 409 && refused.text().contains("--no-store"), "{}", refused.text());
    assert_eq!(get(&ringway, "/api/v1/keys")["data"][0]["name"], "mobile");
}
