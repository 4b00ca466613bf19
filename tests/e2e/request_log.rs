//! The request log of the whole gateway: made for the first record, never in the way of traffic.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{get, post};
use crate::process::Ringway;

const CONFIG: &str = "virtual_keys: {}\n";
const WAIT: Duration = Duration::from_secs(10);

/// A data directory that goes with the test.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Data {
        let path = std::env::temp_dir().join(format!("ringway-request-log-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Data(path)
    }

    fn start(&self, flags: &[&str]) -> Ringway {
        let directory = self.0.to_string_lossy().into_owned();
        let mut arguments = vec!["--data-dir", directory.as_str()];
        arguments.extend(flags);
        Ringway::with(CONFIG, &arguments)
    }

    fn log(&self) -> PathBuf {
        self.0.join("request-log")
    }

    /// Files of the log whose name holds `part`.
    fn files(&self, part: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.log()).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part))).collect()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ask(ringway: &Ringway) {
    let answer =
        post(ringway.address, "/v1/chat/completions", &json!({"model": "ringway/echo", "messages": [{"role": "user", "content": "hi"}]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT;
    while !holds() {
        assert!(Instant::now() < end, "{what} within {WAIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `/readyz` says of the request log.
fn reason(ringway: &Ringway) -> Option<String> {
    let ready: Value = get(ringway.admin, "/readyz").json();
    assert_eq!(ready["ready"], true, "{ready}");
    let reasons = ready["reasons"].as_array().cloned().unwrap_or_default();
    reasons.iter().find(|reason| reason["part"] == "request log").map(|reason| reason["reason"].to_string())
}

#[test]
fn the_log_is_made_for_the_first_record_where_one_is_wanted() {
    let data = Data::new("lazy");
    let ringway = data.start(&[]);
    assert!(!data.log().exists());
    ask(&ringway);
    until("a partition", || !data.files(".db").is_empty());
    assert_eq!(reason(&ringway), None);
    drop(ringway);
    for (name, flags) in [("off", &["--request-log", "off"][..]), ("no-store", &["--no-store"])] {
        let data = Data::new(name);
        let ringway = data.start(flags);
        ask(&ringway);
        ringway.record();
        std::thread::sleep(Duration::from_millis(600));
        assert!(!data.log().exists(), "{name}");
    }
}

#[test]
fn a_damaged_partition_is_set_aside_while_traffic_goes_on() {
    let data = Data::new("damaged");
    let mut ringway = data.start(&[]);
    ask(&ringway);
    until("a partition", || !data.files(".db").is_empty());
    ringway.process.signal(libc::SIGTERM);
    assert_eq!(ringway.process.exit(WAIT), Some(0));
    drop(ringway);
    for file in data.files(".db") {
        std::fs::write(file, vec![b'x'; 20_000]).unwrap();
    }
    let ringway = data.start(&[]);
    ask(&ringway);
    until("a word about it", || reason(&ringway).is_some_and(|reason| reason.contains("set aside")));
    assert!(!data.files(".broken-1").is_empty());
    ask(&ringway);
}

/// A file stands where the folder should be: as a full disk or one that may not be written.
#[test]
fn a_disk_that_takes_nothing_is_said_and_recovers() {
    let data = Data::new("blocked");
    std::fs::create_dir_all(&data.0).unwrap();
    std::fs::write(data.log(), "in the way").unwrap();
    let ringway = data.start(&[]);
    ask(&ringway);
    until("a word about it", || reason(&ringway).is_some_and(|reason| reason.contains("records are dropped")));
    remove(&data.log());
    until("a recovery", || {
        ask(&ringway);
        reason(&ringway).is_none()
    });
    assert!(!data.files(".db").is_empty());
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}
