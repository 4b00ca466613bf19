//! The audit log as the data plane sees it: rows go out, and an exchange may wait, bounded, until its own is on the disk.

use std::sync::OnceLock;

/// Takes rows, each a JSON object. Never blocks and never waits for a disk.
pub trait Sink: Send + Sync {
    /// An exchange that is about to be sent; `ticket` tells when the row is on the disk, or why not.
    fn begin(&self, row: String, ticket: std::sync::Arc<Ticket>);

    /// How an exchange ended whose begin is on the disk. It is kept until it can be written, and meanwhile no other begins.
    fn end(&self, row: String);
}

/// What became of one row.
#[derive(Debug, Default)]
pub struct Ticket(OnceLock<Result<(), Box<str>>>);

impl Ticket {
    /// Says it, once: later words are not heard.
    pub fn settle(&self, outcome: Result<(), String>) {
        let _ = self.0.set(outcome.map_err(String::into_boxed_str));
    }

    /// `None` as long as nobody knows.
    pub fn outcome(&self) -> Option<Result<(), &str>> {
        self.0.get().map(|outcome| outcome.as_ref().copied().map_err(|reason| &**reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_settled_once() {
        let ticket = Ticket::default();
        assert_eq!(ticket.outcome(), None);
        ticket.settle(Err("full".into()));
        ticket.settle(Ok(()));
        assert_eq!(ticket.outcome(), Some(Err("full")));
    }
}
