//! Virtual keys that end, are bound to networks and providers, bring credentials and tags, and see their own state.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::{Answer, exchange, post_with};
use crate::process::{Mock, Ringway};

struct Gateway {
    mock: Mock,
    ringway: Ringway,
}

fn gateway() -> Gateway {
    let mock = Mock::quick();
    let config = format!(
        r#"
providers:
  oa: {{like: openai, base_url: "http://{0}/v1", keys: [sk-of-the-gateway], models: [m]}}
  claude: {{like: anthropic, base_url: "http://{0}", keys: [sk-of-the-gateway], models: [c]}}
routes:
  both: {{targets: [oa/m], fallbacks: [claude/c]}}
profiles:
  app: {{deny_providers: [oa], tags: {{env: prod}}, deny_models: [claude/secret*]}}
teams:
  apps: {{customer: acme}}
customers:
  acme: {{}}
virtual_keys:
  all: {{key: test-key-of-all-rights, team: apps}}
  expired: {{key: test-key-of-the-past, expires: 2020-01-01}}
  rotated: {{key: test-key-that-is-new, previous: [{{key: test-key-that-was-old, until: 2020-01-01}}, {{key: test-key-of-the-overlap, until: 2120-01-01}}]}}
  disabled: {{key: test-key-switched-off, enabled: false}}
  elsewhere: {{key: test-key-from-elsewhere, networks: [192.0.2.0/24]}}
  here: {{key: test-key-from-loopback, networks: [127.0.0.0/8]}}
  bound: {{key: test-key-with-a-profile, profile: app, models: ["claude/*", both]}}
  own: {{key: test-key-with-its-own, credentials: {{oa: sk-of-the-key}}}}
"#,
        mock.address
    );
    Gateway { mock, ringway: Ringway::start(&config) }
}

fn ask(gateway: &Gateway, key: &str, fields: &str, model: &str) -> Answer {
    let body = json!({"model": model, "max_tokens": 16, "user": "u-7", "messages": [{"role": "user", "content": "hi"}]});
    post_with(gateway.ringway.address, "/v1/chat/completions", &format!("authorization: Bearer {key}\r\n{fields}"), &body)
}

fn get_with(address: SocketAddr, path: &str, key: &str) -> Answer {
    exchange(address, format!("GET {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n\r\n").as_bytes())
}

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json()["error"]["code"].clone())
}

#[test]
fn a_key_works_while_it_may() {
    let gateway = gateway();
    for (key, status, expected, word) in [
        ("test-key-of-the-past", 401, "invalid_api_key", "expired at 2020-01-01"),
        ("test-key-that-was-old", 401, "invalid_api_key", "ended at 2020-01-01"),
        ("test-key-switched-off", 401, "invalid_api_key", "is disabled"),
        ("test-key-from-elsewhere", 403, "network_not_allowed", "may not be used from 127.0.0.1"),
    ] {
        let answer = ask(&gateway, key, "", "oa/m");
        assert_eq!(code(&answer), (status, json!(expected)), "{}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
        assert_eq!(get_with(gateway.ringway.address, "/v1/key", key).status, status);
    }
    for key in ["test-key-that-is-new", "test-key-of-the-overlap", "test-key-from-loopback"] {
        assert_eq!(ask(&gateway, key, "", "oa/m").status, 200, "{key}");
    }
}

#[test]
fn a_key_reaches_its_providers_and_no_other() {
    let gateway = gateway();
    let answer = ask(&gateway, "test-key-with-a-profile", "", "both");
    assert_eq!((answer.status, answer.field("x-ringway-provider")), (200, Some("claude")), "{}", answer.text());
    let answer = ask(&gateway, "test-key-with-a-profile", "", "oa/m");
    assert_eq!(code(&answer), (403, json!("model_not_allowed")), "{}", answer.text());
    let answer = ask(&gateway, "test-key-with-a-profile", "", "claude/secret-1");
    assert_eq!(code(&answer), (403, json!("model_not_allowed")), "{}", answer.text());
    let list = get_with(gateway.ringway.address, "/v1/models", "test-key-with-a-profile").json();
    let ids: Vec<&str> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["both", "claude/c"]);
    assert_eq!(get_with(gateway.ringway.address, "/v1/models/oa/m", "test-key-with-a-profile").status, 404);
    assert_eq!(get_with(gateway.ringway.address, "/v1/models/oa/m", "test-key-of-all-rights").status, 200);
}

#[test]
fn a_keys_own_credential_goes_to_the_provider() {
    let gateway = gateway();
    assert_eq!(ask(&gateway, "test-key-with-its-own", "", "oa/m").status, 200);
    assert_eq!(ask(&gateway, "test-key-of-all-rights", "", "oa/m").status, 200);
    let log = gateway.mock.log();
    let sent: Vec<bool> = ["sk-of-the-key", "sk-of-the-gateway"]
        .iter()
        .zip(&log)
        .map(|(secret, request)| request["headers"]["authorization"] == json!(format!("Bearer {secret}")))
        .collect();
    assert_eq!(sent, [true, true], "{log:?}");
}

#[test]
fn tags_and_end_user_stand_on_the_record() {
    let gateway = gateway();
    assert_eq!(ask(&gateway, "test-key-with-a-profile", "x-ringway-tags: env=dev, feature=chat\r\n", "claude/c").status, 200);
    let record = gateway.ringway.record();
    assert_eq!((&record["tags"], &record["end_user"]), (&json!("env=prod,feature=chat"), &json!("u-7")), "{record}");
    assert_eq!(ask(&gateway, "test-key-of-all-rights", "", "oa/m").status, 200);
    let record = gateway.ringway.record();
    assert_eq!((&record["team"], &record["customer"], &record["tags"]), (&json!("apps"), &json!("acme"), &Value::Null), "{record}");
    let answer = ask(&gateway, "test-key-of-all-rights", "x-ringway-tags: env\r\n", "oa/m");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("write name=value,name=value"), "{}", answer.text());
}

#[test]
fn a_key_sees_its_own_state() {
    let gateway = gateway();
    let answer = get_with(gateway.ringway.address, "/v1/key", "test-key-with-a-profile");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")), "{}", answer.text());
    let state = answer.json();
    assert_eq!(
        (&state["name"], &state["models"], &state["tags"]),
        (&json!("bound"), &json!(["claude/*", "both"]), &json!({"env": "prod"}))
    );
    assert_eq!((&state["deny_models"], &state["deny_providers"]), (&json!(["claude/secret*"]), &json!(["oa"])));
    let record = gateway.ringway.record();
    assert_eq!((&record["operation"], &record["key"]), (&json!("key"), &json!("bound")), "{record}");
    assert_eq!(get_with(gateway.ringway.address, "/v1/key", "test-key-of-nobody-here").status, 401);
}
