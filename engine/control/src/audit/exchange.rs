//! Exchanges that the audit log must hold: their rows, from the data plane to the writer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_policy::audit::{Sink, Ticket};

use super::Audit;

/// How often rows that could not be written are tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Hands rows over. Each end whose begin was written is kept until it is written, too: there are no more of them than exchanges
/// under way, as nothing begins meanwhile.
#[derive(Clone, Debug)]
pub struct Exchanges {
    audit: Audit,
    unwritten: Arc<Mutex<VecDeque<String>>>,
}

impl Exchanges {
    pub fn new(audit: Audit) -> Exchanges {
        Exchanges { audit, unwritten: Arc::default() }
    }

    /// Tries again, for ever, what could not be written.
    pub async fn retry(self) {
        loop {
            tokio::time::sleep(RETRY_EVERY).await;
            self.write_again();
        }
    }

    fn write_again(&self) {
        let rows = std::mem::take(&mut *lock(&self.unwritten));
        rows.into_iter().for_each(|row| self.end(row));
    }
}

impl Sink for Exchanges {
    fn begin(&self, row: String, ticket: Arc<Ticket>) {
        if !lock(&self.unwritten).is_empty() {
            return ticket.settle(Err("the ends of others wait for its disk".to_owned()));
        }
        let fields = serde_json::from_str(&row).unwrap_or_default();
        self.audit.write("exchange", fields, Box::new(move |outcome| ticket.settle(outcome)));
    }

    fn end(&self, row: String) {
        let fields = serde_json::from_str(&row).unwrap_or_default();
        let unwritten = self.unwritten.clone();
        let keep = move |outcome: Result<(), String>| {
            if outcome.is_err() {
                lock(&unwritten).push_back(row);
            }
        };
        self.audit.write("exchange_end", fields, Box::new(keep));
    }
}

fn lock(rows: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}
