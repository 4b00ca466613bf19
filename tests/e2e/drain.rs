//! Drain: readiness turns false, idle connections close, live streams get their time.

use std::io::{Read, Write};
use std::time::Duration;

use crate::client::{connect, get, read, request};
use crate::process::{Mock, Ringway};

#[test]
fn a_live_stream_ends_whole_and_idle_connections_close() {
    let mock = Mock::start(&["--gap", "30ms", "--tokens", "30"]);
    let config = format!("providers:\n  a: {{like: openai, base_url: \"http://{}/v1\", keys: [sk-test-a-key]}}\n", mock.address);
    let mut ringway = Ringway::start(&config);
    let mut idle = connect(ringway.address);
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: t\r\n\r\n").expect("written");
    assert_eq!(read(&mut idle).status, 200);
    let mut live = connect(ringway.address);
    live.write_all(&request("/v1/chat/completions", "", r#"{"model":"a/x","stream":true,"messages":[]}"#)).expect("written");
    mock.wait_log(Duration::from_secs(3), |log| !log.is_empty());
    ringway.process.signal(libc::SIGTERM);
    let mut byte = [0];
    assert_eq!(idle.read(&mut byte).expect("an end"), 0, "an idle connection closes");
    let answer = read(&mut live);
    assert!(answer.complete && answer.text().contains("[DONE]"), "{}", answer.text());
    assert_eq!(ringway.process.exit(Duration::from_secs(5)), Some(0));
}

#[test]
fn readiness_turns_false_before_the_drain_begins() {
    let ringway = Ringway::with("{}", &["--drain-delay", "2s"]);
    assert_eq!(get(ringway.address, "/readyz").status, 200);
    ringway.process.signal(libc::SIGTERM);
    let until = std::time::Instant::now() + Duration::from_secs(1);
    while get(ringway.address, "/readyz").status == 200 {
        assert!(std::time::Instant::now() < until, "still ready");
    }
    assert_eq!(get(ringway.address, "/readyz").status, 503);
    assert_eq!(get(ringway.admin, "/readyz").status, 503);
    assert_eq!(get(ringway.address, "/livez").status, 200, "everything is served as before");
}

#[test]
fn a_stream_that_outlives_the_drain_gets_the_error_event() {
    let mock = Mock::start(&["--gap", "50ms", "--tokens", "1000"]);
    let config = format!("providers:\n  a: {{like: openai, base_url: \"http://{}/v1\", keys: [sk-test-a-key]}}\n", mock.address);
    let mut ringway = Ringway::with(&config, &["--drain", "500ms"]);
    let mut live = connect(ringway.address);
    live.write_all(&request("/v1/chat/completions", "", r#"{"model":"a/x","stream":true,"messages":[]}"#)).expect("written");
    mock.wait_log(Duration::from_secs(3), |log| !log.is_empty());
    ringway.process.signal(libc::SIGTERM);
    let answer = read(&mut live);
    assert!(!answer.complete && answer.error_count() == 1 && !answer.text().contains("[DONE]"), "{}", answer.text());
    assert_eq!(ringway.process.exit(Duration::from_secs(5)), Some(0));
}
