//! What reached a mock and when: the other half of every end-to-end assertion.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::Request;
use crate::mock::scan_model;

/// Entries kept; older ones fall out.
const ENTRIES_MAX: usize = 10_000;
/// All kept bodies together; beyond it the oldest entries fall out.
const KEPT_BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One request and what became of its answer. Times are milliseconds since the start of the mock.
#[derive(Debug, Serialize)]
struct Entry {
    index: u64,
    t_ms: f64,
    connection: u64,
    method: String,
    path: String,
    model: String,
    /// Values as they came: a mock sees test data only.
    headers: Map<String, Value>,
    /// Which of the credential headers were there.
    auth: Vec<&'static str>,
    body_bytes: usize,
    body: Option<String>,
    /// The status that the script answers with; 0 when it answers nothing.
    status: u16,
    events_sent: u32,
    finished_ms: Option<f64>,
    /// The client left before the answer had ended.
    closed_early: bool,
    closed_ms: Option<f64>,
}

/// Header names that carry a credential in one dialect or another.
const AUTH_HEADERS: &[&str] = &["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// The bounded log, shared by the threads of one server.
pub(crate) struct RequestLog {
    started: Instant,
    /// Bodies of this size and more are counted, not kept.
    body_bytes_max: usize,
    entries: Mutex<Entries>,
    ledger: Option<Mutex<File>>,
}

#[derive(Default)]
struct Entries {
    next_index: u64,
    kept_body_bytes: usize,
    queue: VecDeque<Entry>,
}

impl Entries {
    fn push(&mut self, entry: Entry) {
        self.kept_body_bytes += kept_bytes(&entry);
        self.queue.push_back(entry);
        while self.queue.len() > ENTRIES_MAX || self.kept_body_bytes > KEPT_BODY_BYTES_MAX {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.kept_body_bytes -= kept_bytes(&oldest);
        }
    }
}

/// The figures that an accounting run asks for: from `exchange=` to the end of the text.
fn exchange_words(body: &str) -> Option<&str> {
    let words = &body[body.find("exchange=")?..];
    Some(&words[..words.find(['"', '\\'])?])
}

fn kept_bytes(entry: &Entry) -> usize {
    entry.body.as_ref().map_or(0, String::len)
}

impl RequestLog {
    /// A log that keeps bodies below `body_bytes_max`, and writes ended exchanges to `ledger`.
    pub(crate) fn new(body_bytes_max: usize, ledger: Option<File>) -> Self {
        Self { started: Instant::now(), body_bytes_max, entries: Mutex::default(), ledger: ledger.map(Mutex::new) }
    }

    /// Notes a request and returns its index for `finish` and `closed_early`.
    pub(super) fn arrived(&self, connection: u64, request: &Request<'_>, status: u16) -> u64 {
        let mut headers = Map::new();
        for (name, value) in request.headers() {
            headers.insert(name, Value::String(value));
        }
        let auth = AUTH_HEADERS.iter().copied().filter(|name| headers.contains_key(*name)).collect();
        let short = request.body.len() < self.body_bytes_max;
        let mut entries = self.lock();
        let index = entries.next_index;
        entries.next_index += 1;
        entries.push(Entry {
            index,
            t_ms: self.now_ms(),
            connection,
            method: request.method.to_owned(),
            path: request.target.to_owned(),
            model: String::from_utf8_lossy(scan_model(&request.body).unwrap_or_default()).into_owned(),
            headers,
            auth,
            body_bytes: request.body.len(),
            body: short.then(|| String::from_utf8_lossy(&request.body).into_owned()),
            status,
            events_sent: 0,
            finished_ms: None,
            closed_early: false,
            closed_ms: None,
        });
        index
    }

    /// The script has been played to its end.
    pub(super) fn finished(&self, index: u64, events_sent: u32) {
        let now_ms = self.now_ms();
        self.with_entry(index, |entry| {
            entry.events_sent = events_sent;
            entry.finished_ms = Some(now_ms);
        });
    }

    /// The client left while the script was playing.
    pub(super) fn closed_early(&self, index: u64, events_sent: u32) {
        let now_ms = self.now_ms();
        self.with_entry(index, |entry| {
            entry.events_sent = events_sent;
            entry.closed_early = true;
            entry.closed_ms = Some(now_ms);
        });
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(&self.lock().queue).unwrap_or_else(|_| "[]".to_owned())
    }

    pub(super) fn clear(&self) {
        let mut entries = self.lock();
        entries.queue.clear();
        entries.kept_body_bytes = 0;
    }

    /// One write a line, so that a reader never sees half of one that is followed by another.
    fn enter(&self, entry: &Entry) {
        let (Some(ledger), Some(words)) = (&self.ledger, entry.body.as_deref().and_then(exchange_words)) else { return };
        let line = json!({"words": words, "index": entry.index, "model": entry.model, "path": entry.path, "status": entry.status,
            "events_sent": entry.events_sent, "left": entry.closed_early, "t_ms": entry.t_ms});
        let mut file = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            eprintln!("loadtest mock: ledger: {error}");
        }
    }

    fn with_entry(&self, index: u64, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.lock();
        let Some(first) = entries.queue.front().map(|entry| entry.index) else { return };
        let Some(position) = index.checked_sub(first) else { return };
        if let Some(entry) = entries.queue.get_mut(position as usize) {
            change(entry);
            self.enter(entry);
        }
    }

    fn now_ms(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Parsed, parse_request};

    #[test]
    fn an_entry_tells_what_arrived_and_what_became_of_it() {
        let log = RequestLog::new(100, None);
        let body = r#"{"model":"m1"}"#;
        let text = format!("POST /v1/x HTTP/1.1\r\nX-Api-Key: k\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let Ok(Parsed::Whole { request, .. }) = parse_request(text.as_bytes()) else { panic!("whole") };
        let first = log.arrived(7, &request, 200);
        let second = log.arrived(7, &request, 200);
        log.closed_early(second, 3);
        log.finished(first, 9);
        let entries: Vec<Value> = serde_json::from_str(&log.json()).unwrap();
        assert_eq!(entries[0]["model"], "m1");
        assert_eq!(entries[0]["auth"][0], "x-api-key");
        assert_eq!(entries[0]["events_sent"], 9);
        assert_eq!(entries[1]["closed_early"], true);
        assert_eq!(entries[1]["events_sent"], 3);
        log.clear();
        log.finished(first, 1);
        assert_eq!(log.json(), "[]");
    }
}
