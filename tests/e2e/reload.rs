//! Reload: a whole new snapshot or none.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{post, post_with};
use crate::process::Ringway;

fn status(ringway: &Ringway) -> u16 {
    post(ringway.address, "/v1/chat/completions", &json!({"model": "r", "messages": [{"role": "user", "content": "hi"}]})).status
}

fn becomes(ringway: &Ringway, wanted: u16) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        if status(ringway) == wanted {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

const ROUTE: &str = "routes: {r: {targets: [{model: ringway/echo}]}}\n";

#[test]
fn sighup_takes_the_new_file_and_a_bad_one_changes_nothing() {
    let ringway = Ringway::start("{}");
    assert_eq!(status(&ringway), 404);
    std::fs::write(&ringway.config, ROUTE).expect("written");
    ringway.process.signal(libc::SIGHUP);
    assert!(becomes(&ringway, 200));
    std::fs::write(&ringway.config, "routes: {r: {targetz: []}}\n").expect("written");
    ringway.process.signal(libc::SIGHUP);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(status(&ringway), 200, "a bad file never replaces a good one");
}

#[test]
fn the_file_is_watched() {
    let ringway = Ringway::start("{}");
    std::fs::write(&ringway.config, ROUTE).expect("written");
    assert!(becomes(&ringway, 200));
}

#[test]
fn check_names_every_problem_with_line_and_column() {
    let file = std::env::temp_dir().join(format!("ringway-check-{}.yaml", std::process::id()));
    std::fs::write(&file, "routes:\n  r:\n    targets: [{model: nowhere/x}]\n    retrys: 2\n").expect("written");
    let output = std::process::Command::new(crate::process::ringway_binary()).arg("check").arg(&file).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(":4:") && text.contains("retries") && text.contains(":3:"), "{text}");
    std::fs::write(&file, ROUTE).expect("written");
    let output = std::process::Command::new(crate::process::ringway_binary()).arg("check").arg(&file).output().expect("it runs");
    let _ = std::fs::remove_file(&file);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn another_shared_store_is_warned_of_and_waits_for_the_next_start() {
    let ringway = Ringway::start("virtual_keys: {k: {key: test-key-of-reload-1, limits: [{requests: 5, per: 1h}]}}\n");
    let state = "state: {redis: \"redis://127.0.0.1:1\", on_partition: refuse}\n";
    let keys = "virtual_keys: {k: {key: test-key-of-reload-1, limits: [{requests: 4, per: 1h}]}}\n";
    std::fs::write(&ringway.config, format!("{state}{keys}")).expect("written");
    ringway.process.signal(libc::SIGHUP);
    let until = Instant::now() + Duration::from_secs(5);
    let mut told = Vec::new();
    while told.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        told = ringway.process.errors_with("takes effect at the next start");
    }
    assert!(told.iter().any(|line| line.contains("state") && line.to_lowercase().contains("warn")), "{told:?}");
    let body = json!({"model": "ringway/echo", "messages": [{"role": "user", "content": "hi"}]});
    let fields = "authorization: Bearer test-key-of-reload-1\r\n";
    let statuses: Vec<u16> = (0..5).map(|_| post_with(ringway.address, "/v1/chat/completions", fields, &body).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429], "the limit of the new file holds, here alone");
}
