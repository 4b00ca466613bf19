//! The audit log of a whole gateway: exchanges that must be in it, acts, and what is refused where it cannot be written.

use std::process::Command;

use serde_json::{Value, json};

use crate::client::{exchange, post_with};
use crate::process::{Ringway, ringway_binary};

const CONFIG: &str = "virtual_keys:\n  seen: {key: test-key-seen-00001, audit: requests}\n  free: {key: test-key-free-00001}\n  \
    team: {key: test-key-team-00001, team: legal}\nteams: {legal: {audit: requests}}\ncors: {origins: [\"https://app.example\"]}\n";
const TOKEN: &str = "authorization: Bearer test-admin-token-0001\r\n";

fn bearer(key: &str) -> String {
    format!("authorization: Bearer test-key-{key}-00001\r\n")
}

fn ask(stream: bool) -> Value {
    json!({"model": "ringway/echo", "stream": stream, "messages": [{"role": "user", "content": "a secret prompt"}]})
}

fn sha256(bytes: &[u8]) -> String {
    let mut child =
        Command::new("sha256sum").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("sha256sum");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), bytes).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout)[..64].to_owned()
}

/// The rows of a kind, oldest first.
fn rows(ringway: &Ringway, kind: &str, count: usize) -> Vec<Value> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        let head = format!("GET /api/v1/audit?kind={kind} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{TOKEN}\r\n");
        let mut rows = exchange(ringway.admin, head.as_bytes()).json()["data"].as_array().expect("a list").clone();
        rows.reverse();
        // The end of an exchange is written behind its answer.
        if rows.len() >= count || std::time::Instant::now() > until {
            return rows;
        }
    }
}

#[test]
fn an_audited_exchange_leaves_the_hashes_of_both_bodies_and_another_leaves_nothing() {
    let ringway = Ringway::start(CONFIG);
    assert_eq!(post_with(ringway.address, "/v1/chat/completions", &bearer("free"), &ask(false)).status, 200);
    let whole = post_with(ringway.address, "/v1/chat/completions", &bearer("seen"), &ask(false));
    let stream = post_with(ringway.address, "/v1/chat/completions", &bearer("team"), &ask(true));
    assert_eq!((whole.status, stream.status), (200, 200), "{}", whole.text());
    let (begun, ended) = (rows(&ringway, "exchange", 2), rows(&ringway, "exchange_end", 2));
    assert_eq!((begun.len(), ended.len()), (2, 2), "{begun:?} {ended:?}");
    for (index, (answer, key)) in [(&whole, "seen"), (&stream, "team")].into_iter().enumerate() {
        let body = ask(index == 1).to_string();
        assert_eq!((&begun[index]["key"], &begun[index]["model"]), (&json!(key), &json!("ringway/echo")));
        assert_eq!(begun[index]["request_sha256"], sha256(body.as_bytes()));
        let end = ended.iter().find(|end| end["id"] == begun[index]["id"]).expect("its end");
        assert_eq!((&end["response_sha256"], &end["status"]), (&json!(sha256(&answer.body)), &json!(200)), "{end}");
        assert_eq!(end["id"], *answer.field("x-ringway-request-id").expect("an id"));
    }
    let text = format!("{begun:?}{ended:?}");
    assert!(!text.contains("secret prompt") && !text.contains("test-key-"), "{text}");
}

#[test]
fn an_exchange_that_cannot_be_noted_is_refused_and_others_are_not() {
    let data = std::env::temp_dir().join(format!("ringway-audit-e2e-{}", std::process::id()));
    std::fs::create_dir_all(&data).expect("a folder");
    std::fs::write(data.join("audit"), "a file where the folder should be").expect("a file");
    let mut command = Command::new(ringway_binary());
    command.args(["--data-dir".as_ref(), data.as_os_str()]);
    let ringway = Ringway::launch(CONFIG, &mut command);
    let ask_with = |key: &str| post_with(ringway.address, "/v1/chat/completions", &bearer(key), &ask(false));
    let refused = ask_with("seen");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("audit_unavailable")), "{}", refused.text());
    assert_eq!((ask_with("free").status, ask_with("team").status), (200, 503));
    std::fs::remove_file(data.join("audit")).expect("it was there");
    assert_eq!(ask_with("seen").status, 200, "the disk is there again");
    drop(ringway);
    std::fs::remove_dir_all(&data).expect("it was there");
}

#[test]
fn the_log_of_a_gateway_that_ended_is_verified_from_its_files() {
    let data = std::env::temp_dir().join(format!("ringway-verify-e2e-{}", std::process::id()));
    let mut command = Command::new(ringway_binary());
    command.args(["--data-dir".as_ref(), data.as_os_str()]);
    let ringway = Ringway::launch(CONFIG, &mut command);
    assert_eq!(post_with(ringway.address, "/v1/chat/completions", &bearer("seen"), &ask(false)).status, 200);
    let head = format!("PUT /api/v1/users/ann HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 16\r\n{TOKEN}\r\n");
    assert_eq!(exchange(ringway.admin, (head + "{\"role\":\"admin\"}").as_bytes()).status, 201);
    rows(&ringway, "exchange_end", 1);
    ringway.process.signal(15);
    let verify = || {
        let output = Command::new(ringway_binary()).args(["audit", "verify", "--data-dir"]).arg(&data).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::net::TcpStream::connect(ringway.admin).is_ok() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (is_whole, text) = verify();
    assert!(is_whole && text.contains(": whole: "), "{text}");
    let rows = std::fs::read_dir(data.join("audit")).expect("the log").flatten().map(|entry| entry.path());
    let rows = rows.into_iter().find(|path| path.extension().is_some_and(|end| end == "jsonl")).expect("rows");
    let log = std::fs::read_to_string(&rows).expect("text");
    std::fs::write(&rows, log.replacen("/api/v1/users/ann", "/api/v1/users/bob", 1)).expect("it is ours");
    let (is_whole, text) = verify();
    assert!(!is_whole && text.contains("was changed"), "{text}");
    std::fs::remove_dir_all(&data).expect("it was there");
}

#[test]
fn browsers_of_listed_sites_alone_may_read_answers() {
    let ringway = Ringway::start(CONFIG);
    let preflight = |origin: &str| {
        let head = format!(
            "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: authorization, content-type\r\n\r\n"
        );
        exchange(ringway.address, head.as_bytes())
    };
    let told = preflight("https://app.example");
    assert_eq!((told.status, told.field("access-control-allow-origin")), (200, Some("https://app.example")), "{}", told.head);
    assert_eq!(told.field("access-control-allow-headers"), Some("authorization, content-type"));
    let other = preflight("https://evil.example");
    assert_eq!((other.status, other.field("access-control-allow-origin")), (401, None), "{}", other.head);
    let ask_from = |origin: &str| {
        let fields = format!("{}origin: {origin}\r\n", bearer("free"));
        post_with(ringway.address, "/v1/chat/completions", &fields, &ask(false))
    };
    assert_eq!(ask_from("https://app.example").field("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(ask_from("https://evil.example").field("access-control-allow-origin"), None);
    // The reason of a refusal can be read, too.
    let refused = post_with(ringway.address, "/v1/chat/completions", "origin: https://app.example\r\n", &ask(false));
    assert_eq!((refused.status, refused.field("access-control-allow-origin")), (401, Some("https://app.example")));
}

#[test]
fn an_admin_listener_off_loopback_wants_a_certificate_or_a_word() {
    let config = std::env::temp_dir().join(format!("ringway-admin-open-{}.yaml", std::process::id()));
    std::fs::write(&config, "listen: 127.0.0.1:0\n").expect("a file");
    let output =
        Command::new(ringway_binary()).args(["--admin", "0.0.0.0:0", "--no-store", "--config"]).arg(&config).output().expect("it runs");
    let _ = std::fs::remove_file(&config);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("--admin-tls-cert") && text.contains("--admin-plain-http"), "{text}");
}
