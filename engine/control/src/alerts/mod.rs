//! Alerts: what the file wants watched, looked at again and again off the data threads, and told to people without a storm.
//!
//! The ledger's thread adds records to figures (`figures`), a task asks what is true of each rule (`evaluate`), a pure state
//! machine groups, cools down and resolves (`state`), and each message is posted to its channels (`channel`, `deliver`).

pub mod channel;
pub mod deliver;
pub mod evaluate;
pub mod figures;
pub mod history;
mod keep;
pub mod rule;
pub mod state;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_policy::config::{Config, Severity, Watch, word};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::channel::Channel;
use self::figures::Figures;
use self::history::{Entry, History};
use self::rule::Rule;
use self::state::{Active, Event, Message, State};
use crate::ledger::Sink;
use crate::publish::Publisher;
use crate::reload::Clock;
use crate::store::Database;
use crate::tokens::http;

/// How often rules are asked.
pub const EVALUATE_EVERY: Duration = Duration::from_secs(5);
/// Deliveries under way at once; further ones wait, up to `DELIVERIES_MAX`.
const AT_ONCE_MAX: usize = 8;
/// Deliveries that wait or are under way; beyond it they are dropped and counted.
const DELIVERIES_MAX: usize = 256;

/// What alerts work with.
pub struct Setup {
    /// The configuration that is served: its rules and channels are taken anew when it changes.
    pub served: Arc<ArcSwap<Config>>,
    pub publisher: Publisher,
    pub clock: Clock,
    pub every: Duration,
    /// Keeps what fires and what was told.
    pub database: Database,
    /// Which gateway this is, among those that share a database.
    pub gateway: String,
}

/// The alerts; clones share them.
#[derive(Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

struct Shared {
    setup: Setup,
    figures: Mutex<Figures>,
    /// Some rule is made of records.
    wants_records: AtomicBool,
    book: Mutex<Book>,
    history: History,
    room: Arc<Semaphore>,
    pending: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    numbers: AtomicU64,
    /// Something is to be kept.
    changed: AtomicBool,
}

/// Rules, channels and their state.
#[derive(Default)]
struct Book {
    /// The configuration that they are of.
    config: Option<Arc<Config>>,
    rules: Vec<Arc<Rule>>,
    channels: Vec<Arc<Channel>>,
    states: BTreeMap<Arc<str>, State>,
}

/// There is no alert of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// Figures for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub firing: u64,
    pub delivered: u64,
    pub failed: u64,
}

impl Alerts {
    /// Starts the task that asks, with what was kept. Call it inside the control plane's runtime.
    pub async fn start(setup: Setup) -> Alerts {
        let shared = Arc::new(Shared {
            setup,
            figures: Mutex::default(),
            wants_records: AtomicBool::new(false),
            book: Mutex::default(),
            history: History::default(),
            room: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            pending: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            numbers: AtomicU64::new(0),
            changed: AtomicBool::new(false),
        });
        shared.follow();
        let database = shared.setup.database.clone();
        if !shared.book().rules.is_empty() {
            keep::restore(&shared, &database).await;
        }
        tokio::spawn(run(shared.clone()));
        tokio::spawn(keep::run(shared.clone(), database));
        Alerts { shared }
    }

    /// The ledger's end of it.
    pub fn sink(&self) -> Sink {
        let shared = self.shared.clone();
        Box::new(move |records| {
            if shared.wants_records.load(Ordering::Relaxed) {
                shared.figures().observe(records);
            }
        })
    }

    /// Each alert with what fires now, for the API.
    pub fn list_state(&self) -> Vec<Value> {
        let book = self.shared.book();
        book.rules.iter().map(|rule| self.shared.show(rule, book.states.get(&rule.name))).collect()
    }

    /// One alert's state; `None` where it is not watched.
    pub fn state_of(&self, name: &str) -> Option<Value> {
        let book = self.shared.book();
        book.rules.iter().find(|rule| &*rule.name == name).map(|rule| self.shared.show(rule, book.states.get(&rule.name)))
    }

    /// Posts a test message to the channels of an alert, and tells how each took it.
    ///
    /// # Errors
    /// There is no such alert.
    pub async fn test(&self, name: &str) -> Result<Vec<Value>, Unknown> {
        let (rule, channels) = {
            let book = self.shared.book();
            let rule = book.rules.iter().find(|rule| &*rule.name == name).cloned().ok_or(Unknown)?;
            let channels = book.channels_of(&rule);
            (rule, channels)
        };
        let now_ms = (self.shared.setup.clock)().unix_ms;
        let active = Active { since_ms: now_ms, last_ms: now_ms, text: "this is only a test".to_owned(), value: 0.0, told: true };
        let subjects = vec![("test".to_owned(), active)];
        let message = Message { rule: rule.name.clone(), event: Event::Test, at_ms: now_ms, subjects, left: 0 };
        let id = self.shared.fresh_id(now_ms);
        self.shared.history.push(Entry::of(&rule, &message, &id));
        let mut outcomes = Vec::new();
        for channel in channels {
            let outcome = self.shared.post(&rule, &message, &id, &channel).await;
            outcomes.extend(outcome.map(|outcome| outcome.show(&channel.name, channel.kind())));
        }
        Ok(outcomes)
    }

    /// The messages of an alert, newest first, with how each channel took them.
    pub fn history(&self, name: &str, limit: usize) -> Vec<Value> {
        self.shared.history.of(name, limit)
    }

    pub fn standing(&self) -> Standing {
        let firing = self.shared.book().states.values().flat_map(|state| state.active.values()).filter(|active| active.told).count();
        Standing {
            firing: firing as u64,
            delivered: self.shared.delivered.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }
}

/// Unix milliseconds as people and machines read them.
fn rfc3339(unix_ms: u64) -> String {
    let mut text = Vec::with_capacity(24);
    ringway_policy::record::write_time(unix_ms, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Asks again and again, for ever.
async fn run(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.setup.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ended = shared.follow();
        for (rule, message) in ended.into_iter().chain(shared.evaluate()) {
            Shared::tell(&shared, &rule, message);
        }
    }
}

impl Shared {
    /// Takes rules and channels anew where the configuration changed; gives the last words of rules that went.
    fn follow(&self) -> Vec<(Arc<Rule>, Message)> {
        let config = self.setup.served.load_full();
        let mut book = self.book();
        if book.config.as_ref().is_some_and(|known| Arc::ptr_eq(known, &config)) {
            return Vec::new();
        }
        let before = std::mem::take(&mut book.rules);
        book.rules = Rule::all(&config);
        book.channels = Channel::all(&config);
        self.figures().follow(&book.rules);
        let of_records = |rule: &Arc<Rule>| matches!(rule.watch, Watch::Errors | Watch::Latency | Watch::Spend);
        self.wants_records.store(book.rules.iter().any(of_records), Ordering::Relaxed);
        let now_ms = (self.setup.clock)().unix_ms;
        let gone: Vec<Arc<Rule>> =
            before.into_iter().filter(|old| !book.rules.iter().any(|rule| rule.name == old.name && rule.watch == old.watch)).collect();
        let ended = gone.into_iter().filter_map(|rule| {
            let message = book.states.remove(&rule.name)?.end(&rule.name, now_ms)?;
            Some((rule, message))
        });
        let ended = ended.collect();
        book.config = Some(config);
        ended
    }

    fn evaluate(&self) -> Vec<(Arc<Rule>, Message)> {
        let now = (self.setup.clock)();
        let snapshot = self.setup.publisher.current();
        let mut book = self.book();
        if book.rules.is_empty() {
            return Vec::new();
        }
        let mut messages = Vec::new();
        for rule in book.rules.clone() {
            let findings = evaluate::findings(&rule, &self.figures(), &snapshot, now);
            let state = book.states.entry(rule.name.clone()).or_default();
            messages.extend(state.step(&rule, findings, now.unix_ms).into_iter().map(|message| (rule.clone(), message)));
        }
        messages
    }

    /// Leaves a message to its channels.
    fn tell(shared: &Arc<Shared>, rule: &Arc<Rule>, message: Message) {
        let id = shared.fresh_id(message.at_ms);
        shared.history.push(Entry::of(rule, &message, &id));
        shared.changed.store(true, Ordering::Release);
        match message.event {
            Event::Fired => tracing::warn!(alert = &*rule.name, subjects = message.subjects.len(), "an alert fires"),
            _ => tracing::info!(alert = &*rule.name, left = message.left, "an alert is over"),
        }
        let message = Arc::new(message);
        for channel in shared.book().channels_of(rule) {
            if shared.pending.load(Ordering::Relaxed) >= DELIVERIES_MAX as u64 {
                shared.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(channel = &*channel.name, "too many messages wait for channels; one is dropped");
                continue;
            }
            shared.pending.fetch_add(1, Ordering::Relaxed);
            let (shared, rule, message, id) = (shared.clone(), rule.clone(), message.clone(), id.clone());
            tokio::spawn(async move {
                // It is never closed.
                let _room = shared.room.clone().acquire_owned().await;
                shared.post(&rule, &message, &id, &channel).await;
                shared.pending.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    /// Posts to one channel, and notes how that went. `None` where the channel has no word for it.
    async fn post(&self, rule: &Rule, message: &Message, id: &str, channel: &Channel) -> Option<deliver::Outcome> {
        let post = channel.post(rule, message, id)?;
        let tries_max = if message.event == Event::Test { deliver::TEST_TRIES_MAX } else { deliver::TRIES_MAX };
        let outcome = match http::client() {
            Ok(client) => deliver::deliver(client, &post, tries_max).await,
            Err(error) => deliver::Outcome { tries: 0, error: Some(error) },
        };
        match &outcome.error {
            None => self.delivered.fetch_add(1, Ordering::Relaxed),
            Some(reason) => {
                tracing::warn!(channel = &*channel.name, tries = outcome.tries, reason, "a channel did not take a message");
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
        self.history.delivered(id, outcome.show(&channel.name, channel.kind()));
        self.changed.store(true, Ordering::Release);
        Some(outcome)
    }

    fn show(&self, rule: &Rule, state: Option<&State>) -> Value {
        let active = state.map(|state| &state.active);
        let firing: Vec<Value> = active
            .into_iter()
            .flatten()
            .map(|(subject, active)| {
                json!({"subject": subject, "text": active.text, "value": active.value, "since": rfc3339(active.since_ms), "told": active.told})
            })
            .collect();
        json!({
            "name": &*rule.name,
            "watch": word(Watch::WORDS, rule.watch),
            "severity": word(Severity::WORDS, rule.severity),
            "state": if firing.is_empty() { "ok" } else { "firing" },
            "to": rule.to.iter().map(|channel| &**channel).collect::<Vec<_>>(),
            "firing": firing,
            "last_told": state.and_then(|state| state.told_ms).map(rfc3339),
        })
    }

    fn fresh_id(&self, now_ms: u64) -> String {
        format!("{now_ms:012x}-{:04x}", self.numbers.fetch_add(1, Ordering::Relaxed) & 0xffff)
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn channels_of(&self, rule: &Rule) -> Vec<Arc<Channel>> {
        self.channels.iter().filter(|channel| rule.to.contains(&channel.name)).cloned().collect()
    }
}

impl deliver::Outcome {
    fn show(&self, channel: &str, kind: &str) -> Value {
        json!({"channel": channel, "kind": kind, "ok": self.error.is_none(), "tries": self.tries, "error": self.error})
    }
}
