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
fn the_schema_is_json_and_the_lists_name_what_is_there() {
    let schema: serde_json::Value = serde_json::from_str(&stdout(&ringway(&["schema"]))).unwrap();
    assert!(schema["properties"]["providers"].is_object());
    assert!(stdout(&ringway(&["providers"])).contains("OPENAI_API_KEY"));
    assert!(stdout(&ringway(&["models"])).starts_with("ringway/echo\n"));
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
