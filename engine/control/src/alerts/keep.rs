//! What alerts keep beyond the process's end: what fires, what people were told, and an hour's spend on past days.
//!
//! Written every few seconds where something changed, read at the start. Without a store all of it lives in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::Shared;
use super::history::Entry;
use super::state::{Active, State};
use crate::store::{Database, Error, Statement};

/// How often changes are written.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// Spend is written when other things are, and at least this often.
const SPEND_EVERY_ROUNDS: u64 = 12;
/// How long the start waits for what was kept.
const RESTORE_MAX: Duration = Duration::from_secs(3);
/// Messages are kept this long.
const MESSAGES_MS: u64 = 90 * 86_400_000;

const LOAD_STATES: &str = "SELECT alert, body FROM alert_states WHERE gateway = ?1";
const LOAD_MESSAGES: &str = "SELECT alert, id, body, deliveries FROM alert_messages ORDER BY at_ms DESC, id DESC LIMIT 500";
const SAVE_STATE: &str = "INSERT INTO alert_states (gateway, alert, body) VALUES (?1, ?2, ?3) \
                          ON CONFLICT (gateway, alert) DO UPDATE SET body = excluded.body";
const SAVE_MESSAGE: &str = "INSERT INTO alert_messages (id, alert, at_ms, body, deliveries) VALUES (?1, ?2, ?3, ?4, ?5) \
                            ON CONFLICT (id) DO UPDATE SET deliveries = excluded.deliveries";
const FORGET_MESSAGES: &str = "DELETE FROM alert_messages WHERE at_ms < ?1";

/// Puts back what was kept; a store that does not answer in time is left alone.
pub(super) async fn restore(shared: &Shared, database: &Database) {
    let load = async {
        let states = database.query(LOAD_STATES, vec![shared.setup.gateway.as_str().into()]).await?;
        let messages = database.query(LOAD_MESSAGES, Vec::new()).await?;
        Ok::<_, Error>((states, messages))
    };
    let (states, messages) = match tokio::time::timeout(RESTORE_MAX, load).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => return tracing::warn!(%error, "what alerts kept cannot be read; they begin anew"),
        Err(_) => return tracing::warn!("the store does not answer; alerts begin anew"),
    };
    let now_ms = (shared.setup.clock)().unix_ms;
    for row in states {
        let Ok(body) = serde_json::from_str::<Value>(row.text(1)) else { continue };
        shared.book().states.insert(row.text(0).into(), state(&body, now_ms));
        let mut figures = shared.figures();
        for hour in body["hours"].as_array().into_iter().flatten() {
            let (Some(subject), Some(at), Some(cost)) = (hour[0].as_str(), hour[1].as_u64(), hour[2].as_u64()) else { continue };
            figures.restore(row.text(0), subject, at, cost);
        }
    }
    for row in messages.iter().rev() {
        let body = serde_json::from_str(row.text(2)).unwrap_or_default();
        let deliveries: Value = serde_json::from_str(row.text(3)).unwrap_or_default();
        let deliveries = deliveries.as_array().cloned().unwrap_or_default();
        shared.history.push(Entry { id: row.text(1).to_owned(), rule: row.text(0).into(), at_ms: 0, body, deliveries });
    }
}

/// Writes what changed, again and again, for ever.
pub(super) async fn run(shared: Arc<Shared>, database: Database) {
    let mut rounds = tokio::time::interval(SAVE_EVERY);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut round, mut is_failing) = (0u64, false);
    loop {
        rounds.tick().await;
        round += 1;
        let wants_spend = round.is_multiple_of(SPEND_EVERY_ROUNDS) && !shared.figures().hours().is_empty();
        if !shared.changed.swap(false, Ordering::AcqRel) && !wants_spend {
            continue;
        }
        match database.apply(statements(&shared)).await {
            Ok(()) => is_failing = false,
            // There is no store, or it takes nothing: all of it stays in memory.
            Err(Error::ReadOnly(_)) => {}
            Err(error) => {
                shared.changed.store(true, Ordering::Release);
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "what alerts keep cannot be written; it stays in memory");
                }
            }
        }
    }
}

fn statements(shared: &Shared) -> Vec<Statement> {
    let mut hours: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for (rule, subject, at, cost) in shared.figures().hours() {
        hours.entry(rule).or_default().push(json!([subject, at, cost]));
    }
    let book = shared.book();
    let nothing = State::default();
    let mut all: Vec<Statement> = Vec::new();
    for rule in &book.rules {
        let state = book.states.get(&rule.name).unwrap_or(&nothing);
        let body = body(state, hours.remove(&rule.name).unwrap_or_default()).to_string();
        let values = vec![shared.setup.gateway.as_str().into(), (&*rule.name).into(), body.into()];
        all.push(Statement { sql: SAVE_STATE, values, expect_rows: None });
    }
    drop(book);
    for entry in shared.history.newest() {
        let deliveries = Value::from(entry.deliveries).to_string();
        let values = vec![entry.id.into(), (&*entry.rule).into(), entry.at_ms.into(), entry.body.to_string().into(), deliveries.into()];
        all.push(Statement { sql: SAVE_MESSAGE, values, expect_rows: None });
    }
    let oldest_ms = (shared.setup.clock)().unix_ms.saturating_sub(MESSAGES_MS);
    all.push(Statement { sql: FORGET_MESSAGES, values: vec![oldest_ms.into()], expect_rows: None });
    all
}

fn body(state: &State, hours: Vec<Value>) -> Value {
    let active: Vec<Value> =
        state.active.iter().map(|(subject, active)| json!([subject, active.since_ms, active.text, active.value, active.told])).collect();
    json!({"told_ms": state.told_ms, "active": active, "hours": hours})
}

/// What fired when the process ended has its whole time to be found again, before it is called over.
fn state(body: &Value, now_ms: u64) -> State {
    let active = body["active"].as_array().into_iter().flatten().filter_map(|row| {
        let (subject, since_ms, text) = (row[0].as_str()?, row[1].as_u64()?, row[2].as_str()?);
        let (value, told) = (row[3].as_f64().unwrap_or(0.0), row[4].as_bool()?);
        Some((subject.to_owned(), Active { since_ms, last_ms: now_ms, text: text.to_owned(), value, told }))
    });
    State { active: active.collect(), told_ms: body["told_ms"].as_u64() }
}
