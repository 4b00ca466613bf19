//! A provider that nobody built in: one file, or one entry of the configuration, and nothing else.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Answer, post};
use crate::process::{Mock, Ringway, ringway_binary};

/// A folder of provider files; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ringway-e2e-providers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory takes a folder");
        Folder(path)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The file as docs/adding-a-provider.md has it, at another address.
fn acme(mock: &Mock) -> String {
    format!(
        r#"# Acme, OpenAI-compatible.
source = "docs.acme.example/api"
date = "2026-11-20"
base_url = "http://{}/v1"
auth = "bearer"
env_keys = ["ACME_API_KEY"]
models = ["acme-*"]
operations = [
    {{operation = "chat", dialect = "openai-chat", path = "/chat/completions"}},
]

[quirks]
stream_options = true
rename = [["max_completion_tokens", "max_tokens"]]
"#,
        mock.address
    )
}

fn ask(ringway: &Ringway, model: &str) -> Answer {
    let body = json!({"model": model, "max_completion_tokens": 7, "messages": [{"role": "user", "content": "hi"}]});
    post(ringway.address, "/v1/chat/completions", &body)
}

/// The body that the provider was sent last.
fn sent(mock: &Mock) -> String {
    mock.wait_log(Duration::from_secs(5), |log| !log.is_empty()).last().expect("a request").to_string()
}

#[test]
fn one_toml_file_and_a_key_are_a_provider() {
    let (mock, folder) = (Mock::quick(), Folder::new("file"));
    folder.write("acme.toml", &acme(&mock));
    let mut command = Command::new(ringway_binary());
    command.arg("--providers-dir").arg(&folder.0).env("ACME_API_KEY", "a-key-of-acme");
    let ringway = Ringway::launch("providers: {acme: {keys: [\"${ACME_API_KEY}\"]}}", &mut command);
    // By its own name, by a model of its pattern, and from another dialect's door.
    for model in ["acme/anything", "acme-large"] {
        let answer = ask(&ringway, model);
        assert_eq!((answer.status, answer.field("x-ringway-provider")), (200, Some("acme")), "{model}: {}", answer.text());
    }
    let body = json!({"model": "acme/x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(post(ringway.address, "/v1/messages", &body).status, 200);
    assert!(sent(&mock).contains("/v1/chat/completions"), "{}", sent(&mock));
}

#[test]
fn it_may_stand_in_the_configuration_itself() {
    let mock = Mock::quick();
    let config = format!(
        "providers:\n  acme:\n    base_url: http://{}/v1\n    auth: {{header: x-acme-key}}\n    keys: [a-key-of-acme]\n    models: [acme-large]\n    \
         operations:\n      - {{operation: chat, dialect: openai-chat, path: /chat/completions}}\n    \
         quirks: {{rename: [[max_completion_tokens, max_tokens]]}}\n",
        mock.address
    );
    let ringway = Ringway::start(&config);
    let answer = ask(&ringway, "acme-large");
    assert_eq!((answer.status, answer.field("x-ringway-provider")), (200, Some("acme")), "{}", answer.text());
    let embed = post(ringway.address, "/v1/embeddings", &json!({"model": "acme/x", "input": "hi"}));
    assert!(embed.status >= 400, "what it does not serve is not asked of it: {}", embed.text());
}

#[test]
fn a_reload_reads_the_folder_again_and_a_bad_file_changes_nothing() {
    let (mock, folder) = (Mock::quick(), Folder::new("reload"));
    folder.write("acme.toml", &acme(&mock));
    let folder_name = folder.0.to_str().expect("a plain name").to_owned();
    let ringway = Ringway::with("providers: {acme: {keys: [k]}}", &["--providers-dir", &folder_name]);
    assert_eq!(ask(&ringway, "acme/x").status, 200);
    folder.write("bolt.toml", &acme(&mock).replace("ACME", "BOLT").replace("acme-*", "bolt-*"));
    let both = "providers: {acme: {keys: [k]}, bolt: {keys: [k]}}";
    std::fs::write(&ringway.config, both).expect("written");
    let until = Instant::now() + Duration::from_secs(5);
    while ask(&ringway, "bolt-1").status != 200 {
        assert!(Instant::now() < until, "the second provider never came");
        std::thread::sleep(Duration::from_millis(20));
    }
    folder.write("bolt.toml", "auth = \"basic\"\n");
    ringway.process.signal(libc::SIGHUP);
    let until = Instant::now() + Duration::from_secs(5);
    while ringway.process.errors_with("bolt.toml").is_empty() {
        assert!(Instant::now() < until, "the bad file was never told of");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(ask(&ringway, "bolt-1").status, 200, "a bad file never replaces a good one");
}

#[test]
fn mistakes_are_told_with_file_line_and_column() {
    let (mock, folder) = (Mock::quick(), Folder::new("wrong"));
    folder.write("acme.toml", &acme(&mock).replace("\"chat\"", "\"talk\""));
    let output = Command::new(ringway_binary()).args(["providers", "--providers-dir"]).arg(&folder.0).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("acme.toml:9:18: no operation \"talk\"; known: chat"), "{text}");
    folder.write("acme.toml", &acme(&mock));
    let output = Command::new(ringway_binary()).args(["providers", "acme", "--providers-dir"]).arg(&folder.0).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("docs.acme.example/api") && text.contains("ACME_API_KEY"), "{text}");
}
