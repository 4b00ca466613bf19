//! The history of alerts: their last messages, and how each channel took them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringway_policy::config::{Severity, word};
use serde_json::{Value, json};

use super::channel::title;
use super::rfc3339;
use super::rule::Rule;
use super::state::Message;

/// Messages that are kept.
pub const ENTRIES_MAX: usize = 500;
/// Subjects of one message that are kept.
const SUBJECTS_MAX: usize = 50;

/// Messages that are written again with their outcomes.
const SAVED_MAX: usize = 50;

/// One message.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: String,
    pub rule: Arc<str>,
    /// 0 where it was told by the process before.
    pub at_ms: u64,
    pub body: Value,
    pub deliveries: Vec<Value>,
}

impl Entry {
    pub fn of(rule: &Rule, message: &Message, id: &str) -> Entry {
        let subjects: Vec<Value> = message
            .subjects
            .iter()
            .take(SUBJECTS_MAX)
            .map(|(subject, active)| json!({"subject": subject, "text": active.text, "since": rfc3339(active.since_ms)}))
            .collect();
        let body = json!({
            "id": id,
            "at": rfc3339(message.at_ms),
            "event": message.event.name(),
            "severity": word(Severity::WORDS, rule.severity),
            "title": title(rule, message),
            "subjects": subjects,
            "subject_count": message.subjects.len(),
        });
        Entry { id: id.to_owned(), rule: rule.name.clone(), at_ms: message.at_ms, body, deliveries: Vec::new() }
    }

    pub fn show(&self) -> Value {
        let mut body = self.body.clone();
        body["deliveries"] = self.deliveries.clone().into();
        body
    }
}

/// The last messages of all alerts.
#[derive(Debug, Default)]
pub struct History {
    entries: Mutex<VecDeque<Entry>>,
}

impl History {
    pub fn push(&self, entry: Entry) {
        let mut entries = self.entries();
        if entries.len() >= ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// Notes how a channel took a message.
    pub fn delivered(&self, id: &str, outcome: Value) {
        if let Some(entry) = self.entries().iter_mut().rev().find(|entry| entry.id == id) {
            entry.deliveries.push(outcome);
        }
    }

    /// Of one alert, newest first.
    pub fn of(&self, rule: &str, limit: usize) -> Vec<Value> {
        self.entries().iter().rev().filter(|entry| &*entry.rule == rule).take(limit).map(Entry::show).collect()
    }

    /// The last `SAVED_MAX` messages of this process: later outcomes are added to them.
    pub fn newest(&self) -> Vec<Entry> {
        self.entries().iter().rev().filter(|entry| entry.at_ms > 0).take(SAVED_MAX).cloned().collect()
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
