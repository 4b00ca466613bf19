//! Virtual keys: who may ask for what.

use serde_json::json;

use crate::client::{get, post, post_with};
use crate::process::Ringway;

const CONFIG: &str = "virtual_keys:\n  all: {key: test-key-all-000001}\n  some: {key: test-key-some-00001, models: [\"other/*\"]}\n  none: {key: test-key-none-00001, models: []}\n";

#[test]
fn a_key_opens_its_models_and_no_other() {
    let ringway = Ringway::start(CONFIG);
    let ask = json!({"model": "ringway/echo", "messages": [{"role": "user", "content": "hi"}]});
    let with = |field: &str| post_with(ringway.address, "/v1/chat/completions", field, &ask);
    assert_eq!(post(ringway.address, "/v1/chat/completions", &ask).status, 401);
    let wrong = with("authorization: Bearer test-key-wrong-0001\r\n");
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    for field in [
        "authorization: Bearer test-key-all-000001\r\n",
        "x-api-key: test-key-all-000001\r\n",
        "api-key: test-key-all-000001\r\n",
        "x-goog-api-key: test-key-all-000001\r\n",
    ] {
        assert_eq!(with(field).status, 200, "{field}");
    }
    assert_eq!(post(ringway.address, "/v1/chat/completions?key=test-key-all-000001", &ask).status, 200);
    for key in ["test-key-some-00001", "test-key-none-00001"] {
        let answer = with(&format!("authorization: Bearer {key}\r\n"));
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &json!("model_not_allowed")), "{}", answer.text());
    }
    assert_eq!(get(ringway.address, "/v1/models").status, 401);
    let anthropic = post(ringway.address, "/v1/messages", &ask);
    assert_eq!((anthropic.status, &anthropic.json()["error"]["type"]), (401, &json!("authentication_error")));
}

#[test]
fn an_open_listener_without_keys_is_refused() {
    let config = std::env::temp_dir().join(format!("ringway-open-{}.yaml", std::process::id()));
    std::fs::write(&config, "listen: 0.0.0.0:0\n").expect("a file");
    let output = std::process::Command::new(crate::process::ringway_binary()).arg("--config").arg(&config).output().expect("it runs");
    let _ = std::fs::remove_file(&config);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("--allow-anonymous"), "{text}");
}
