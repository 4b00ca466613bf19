//! One class of a queue: a lane for each key, taken from round robin.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Entry, Ticket};

/// The lanes in the order of their turns. None is empty.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: VecDeque<Lane>,
}

#[derive(Debug)]
struct Lane {
    key: Arc<str>,
    entries: VecDeque<Entry>,
}

impl Lanes {
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.entries.len()).sum()
    }

    pub fn len_of(&self, key: &str) -> usize {
        self.lanes.iter().find(|lane| *lane.key == *key).map_or(0, |lane| lane.entries.len())
    }

    pub fn longest_len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.entries.len()).max().unwrap_or(0)
    }

    /// Since when the oldest entry waits.
    pub fn oldest_ns(&self) -> Option<u64> {
        self.lanes.iter().flat_map(|lane| &lane.entries).map(|entry| entry.since_ns).min()
    }

    /// A key that did not wait comes last.
    pub fn push(&mut self, entry: Entry) {
        match self.lanes.iter_mut().find(|lane| lane.key == entry.key) {
            Some(lane) => lane.entries.push_back(entry),
            None => self.lanes.push_back(Lane { key: entry.key.clone(), entries: VecDeque::from([entry]) }),
        }
    }

    pub fn peek(&self) -> Option<&Entry> {
        self.lanes.front()?.entries.front()
    }

    /// Takes the first entry of the first lane, which comes last then.
    pub fn pop(&mut self) -> Option<Entry> {
        let mut lane = self.lanes.pop_front()?;
        let entry = lane.entries.pop_front();
        if !lane.entries.is_empty() {
            self.lanes.push_back(lane);
        }
        entry
    }

    pub fn pop_latest_of_longest(&mut self) -> Option<Ticket> {
        let at = (0..self.lanes.len()).max_by_key(|at| self.lanes[*at].entries.len())?;
        let entry = self.lanes[at].entries.pop_back()?;
        self.sweep();
        Some(entry.ticket)
    }

    pub fn remove(&mut self, ticket: Ticket) {
        self.lanes.iter_mut().for_each(|lane| lane.entries.retain(|entry| entry.ticket != ticket));
        self.sweep();
    }

    fn sweep(&mut self) {
        self.lanes.retain(|lane| !lane.entries.is_empty());
    }
}
