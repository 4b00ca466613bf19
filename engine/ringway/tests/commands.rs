//! The subcommands and refusals, as a shell sees them.

use std::path::PathBuf;
use std::process::{Command, Output};

fn ringway(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(arguments).env_clear().current_dir(std::env::temp_dir()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ringway-{name}-{}.yaml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn check_tells_every_problem_with_its_place() {
    let path = file("bad", "listen: 127.0.0.1:1\nproviders:\n  openai: {keyz: [a]}\nroutez: {}\n");
    let name = path.to_str().unwrap();
    let output = ringway(&["check", name]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains(&format!("{name}:3:12: ")) && text.contains(&format!("{name}:4:1: ")), "{text}");
}

#[test]
fn check_is_content_with_a_good_file() {
    let path = file("good", "providers: {openai: {keys: [a-key-of-mine]}}\n");
    let output = ringway(&["check", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn check_warns_of_what_can_never_happen_and_is_content() {
    let path = file("warned", "providers: {openai: {keys: [a-key-of-mine]}}\nteams:\n  lonely: {}\n");
    let name = path.to_str().unwrap();
    let output = ringway(&["check", name]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains(&format!("{name}:3:3: warning: no virtual key")) && text.ends_with(": good\n"), "{text}");
}

#[test]
fn explain_tells_what_would_become_of_a_request() {
    let route = "r: {targets: [{model: openai/a, when: 'request.tags.env == \"eu\"'}, openai/b]}";
    let config = file("explained", &format!("providers: {{openai: {{keys: [a-key-of-mine]}}}}\nroutes:\n  {route}\n"));
    let request = file("request", "{\"model\": \"r\", \"messages\": []}");
    let ask = |more: &[&str]| {
        let arguments = ["explain", "-c", config.to_str().unwrap(), request.to_str().unwrap()];
        ringway(&[&arguments[..], more].concat())
    };
    let (plain, tagged, keyed) = (ask(&[]), ask(&["--tag", "env=eu", "--json"]), ask(&["--key", "nobody"]));
    std::fs::remove_file(&config).unwrap();
    std::fs::remove_file(&request).unwrap();
    let text = stdout(&plain);
    assert!(text.contains("target 1  openai/b") && text.contains("passed    openai/a: when"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&stdout(&tagged)).unwrap();
    assert_eq!((&value["route"], &value["targets"][0]["target"]), (&"r".into(), &"openai/a".into()));
    assert_eq!(keyed.status.code(), Some(1));
    assert!(!stdout(&plain).contains("a-key-of-mine") && !stdout(&tagged).contains("a-key-of-mine"));
}

#[test]
fn the_schema_is_json_and_the_lists_name_what_is_there() {
    let schema: serde_json::Value = serde_json::from_str(&stdout(&ringway(&["schema"]))).unwrap();
    assert!(schema["properties"]["providers"].is_object());
    assert!(stdout(&ringway(&["providers"])).contains("OPENAI_API_KEY"));
    assert!(stdout(&ringway(&["models"])).lines().nth(1).unwrap().starts_with("ringway/echo "));
}

#[test]
fn models_are_listed_with_context_and_prices() {
    let model = "{name: m, context: 8192, price: {input: \"0.15\", output: \"0.60\", image: \"0.04\"}}";
    let path = file("prices", &format!("providers: {{mine: {{like: openai, base_url: \"http://127.0.0.1:1\", models: [{model}, n]}}}}\n"));
    let listed = stdout(&ringway(&["models", "--config", path.to_str().unwrap()]));
    std::fs::remove_file(&path).unwrap();
    let words: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["ringway/echo", "-", "0", "-", "0"], "free is no dash");
    assert_eq!(words[2], ["mine/m", "8192", "0.15", "-", "0.6", "image", "0.04"]);
    assert_eq!(words[3], ["mine/n", "-", "-", "-", "-"]);
    let found = stdout(&ringway(&["models", "--catalog", "gpt-4.1*"]));
    let words: Vec<Vec<&str>> = found.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["openai/gpt-4.1", "1047576", "2", "0.5", "8", "search", "0.025"]);
    let nothing = ringway(&["models", "--catalog", "no-such-model-anywhere"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no-such-model-anywhere"));
}

#[test]
fn an_open_door_without_a_key_is_refused_with_advice() {
    let output = ringway(&["--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("virtual_keys") && text.contains("--allow-anonymous"), "{text}");
}

#[test]
fn help_groups_the_flags() {
    let text = stdout(&ringway(&["--help"]));
    for group in ["Configuration:", "Access:", "Logs:", "Threads and kernel:", "Limits:", "Timeouts:"] {
        assert!(text.contains(group), "{group}");
    }
}
