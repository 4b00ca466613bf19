//! `ringway keys|routes|budgets|logs|top|status|…` against a real gateway.

use std::process::{Command, Output};

use serde_json::Value;

use crate::client::post_with;
use crate::process::{Ringway, ringway_binary};

const FILE: &str =
    "virtual_keys: {mobile: {key: test-key-of-cli-0001, limits: [{requests: 60, per: 1m}]}}\nroutes: {chat: {targets: [ringway/echo]}}\n";

fn run(ringway: &Ringway, words: &[&str]) -> Output {
    let mut command = Command::new(ringway_binary());
    command.args(words).env("RINGWAY_ADMIN_URL", format!("http://{}", ringway.admin)).env("RINGWAY_ADMIN_TOKEN", "test-admin-token-0001");
    command.output().expect("the binary runs")
}

fn text(ringway: &Ringway, words: &[&str]) -> String {
    let output = run(ringway, words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn chat(ringway: &Ringway, key: &str) -> u16 {
    let body = serde_json::json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]});
    post_with(ringway.address, "/v1/chat/completions", &format!("authorization: Bearer {key}\r\n"), &body).status
}

#[test]
fn keys_are_listed_made_changed_and_taken_away() {
    let ringway = Ringway::start(FILE);
    let listed = text(&ringway, &["keys"]);
    assert!(listed.contains("NAME") && listed.contains("mobile") && listed.contains("60 requests per 1m"), "{listed}");
    let made = text(&ringway, &["keys", "new", "fresh", "--models", "ringway/*,chat", "--limit", "requests=5/1m", "--budget", "usd=1/1d"]);
    let secret = made.lines().next().expect("the key comes first");
    assert_eq!(chat(&ringway, secret), 200);
    text(&ringway, &["keys", "set", "fresh", "--enabled", "false"]);
    assert_eq!(chat(&ringway, secret), 401);
    let shown: Value = serde_json::from_str(&text(&ringway, &["keys", "show", "fresh"])).expect("JSON");
    assert_eq!((&shown["spec"]["enabled"], &shown["spec"]["limits"][0]["requests"]), (&Value::Bool(false), &5.into()), "{shown}");
    text(&ringway, &["keys", "delete", "fresh"]);
    let gone = run(&ringway, &["keys", "show", "fresh"]);
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("there is no virtual key \"fresh\""));
}

#[test]
fn traffic_is_shown() {
    let ringway = Ringway::start(FILE);
    (0..3).for_each(|_| assert_eq!(chat(&ringway, "test-key-of-cli-0001"), 200));
    (0..3).for_each(|_| drop(ringway.record()));
    let logs = text(&ringway, &["logs", "--key", "mobile"]);
    assert!(logs.lines().filter(|line| line.contains("ringway/echo")).count() == 3, "{logs}");
    let lines = text(&ringway, &["logs", "-n", "2", "--json"]);
    assert!(lines.lines().count() == 2 && lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
    let top = text(&ringway, &["top", "--by", "key", "--count", "1"]);
    assert!(top.contains("3 requests in the last minute") && top.contains("mobile"), "{top}");
    let budgets = text(&ringway, &["budgets"]);
    assert!(budgets.contains("key \"mobile\"") && budgets.contains("60 requests per 1m"), "{budgets}");
    assert!(text(&ringway, &["routes"]).contains("ringway/echo"));
    assert!(text(&ringway, &["status"]).contains("serving"));
    assert!(text(&ringway, &["providers", "--live"]).contains("ringway"));
}

#[test]
fn logs_follow_what_happens() {
    let ringway = Ringway::start(FILE);
    let mut command = Command::new(ringway_binary());
    command.args([
        "logs",
        "--follow",
        "--json",
        "--admin-url",
        &format!("http://{}", ringway.admin),
        "--admin-token",
        "test-admin-token-0001",
    ]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("the binary runs");
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::BufRead;
        std::io::BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    // It may not have begun to listen when the first ones end.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let line = loop {
        assert!(std::time::Instant::now() < until, "no record was followed");
        assert_eq!(chat(&ringway, "test-key-of-cli-0001"), 200);
        if let Ok(line) = lines.recv_timeout(std::time::Duration::from_millis(500)) {
            break line;
        }
    };
    let _ = child.kill();
    let _ = child.wait();
    let record: Value = serde_json::from_str(&line).expect("a record");
    assert_eq!(record["key"], "mobile");
}

#[test]
fn what_is_in_the_way_is_told_with_what_to_do() {
    let ringway = Ringway::start(FILE);
    let ask = |url: &str, token: &str| {
        let output = Command::new(ringway_binary()).args(["status", "--admin-url", url, "--admin-token", token]).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, error) = ask("http://127.0.0.1:1", "x");
    assert!(code == Some(1) && error.contains("no gateway answers at http://127.0.0.1:1") && error.contains("--admin-url"), "{error}");
    let (code, error) = ask(&format!("http://{}", ringway.admin), "wrong");
    assert!(code == Some(1) && error.contains("--admin-token"), "{error}");
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let run = |words: &[&str]| Command::new(ringway_binary()).args(words).output().expect("it runs");
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("budgets"), "{shell}");
    }
    let folder = std::env::temp_dir().join(format!("ringway-man-{}", std::process::id()));
    let output = run(&["man", "--folder", folder.to_str().expect("UTF-8")]);
    let pages: Vec<String> =
        std::fs::read_dir(&folder).expect("pages").flatten().map(|page| page.file_name().to_string_lossy().into_owned()).collect();
    let _ = std::fs::remove_dir_all(&folder);
    assert!(output.status.success() && pages.iter().any(|page| page == "ringway-keys.1"), "{pages:?}");
}
