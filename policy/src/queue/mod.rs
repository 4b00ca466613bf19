//! The queue before one limit: who waits, and who goes next when there is room.
//!
//! High goes before normal before low. A class whose oldest entry has waited `PATIENCE_DIVISOR`-th of the longest wait takes
//! turns with those above it by weight, 8 : 4 : 1, so that nobody starves. Within a class keys go round robin, and a key's own
//! requests in their order. The queue is bounded; where it is full a higher class, or a key with fewer places, takes the place
//! of the latest entry of who has most.
//!
//! An entry is called, and then either takes its room or goes on waiting at the head: its turn was counted. Nothing here knows
//! the time but by `now_ns`, and what wakes whom is the caller's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::priority::Class;

use lanes::Lanes;
use turns::Turns;

mod lanes;
#[cfg(test)]
mod tests;
mod turns;

/// A lower class takes turns by weight once its oldest entry has waited this part of the longest wait.
pub const PATIENCE_DIVISOR: u64 = 4;
/// Most entries that a file may allow one queue.
pub const ENTRIES_MAX: u64 = 4096;
/// Most requests that wait in one process, in all queues together: each holds its body.
pub const WAITING_MAX: usize = 16_384;
/// The longest wait that a file may allow.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// The bounds of every queue, as the file says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most requests that wait for one limit.
    pub entries_max: usize,
    /// The longest that one request waits, all its waits together.
    pub wait: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { entries_max: 64, wait: Duration::from_secs(1) }
    }
}

impl Bounds {
    pub fn wait_ns(&self) -> u64 {
        self.wait.as_nanos().min(u128::from(u64::MAX)) as u64
    }
}

/// Names an entry. Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One request that waits.
#[derive(Clone, Debug)]
pub struct Entry {
    pub ticket: Ticket,
    pub class: Class,
    /// The virtual key's name: whose share it is.
    pub key: Arc<str>,
    /// What it needs of the limit.
    pub amount: u64,
    pub since_ns: u64,
}

/// What became of a `push`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    In,
    /// It took the place of this one, which waits no more.
    InFor(Ticket),
    Full,
}

/// Those who wait for one limit.
#[derive(Debug, Default)]
pub struct Queue {
    classes: [Lanes; 3],
    turns: Turns,
    /// Those that found no room when it was their turn: they are called before all others.
    returned: VecDeque<Entry>,
    /// Those that were told to try.
    called: Vec<Entry>,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.classes.iter().map(Lanes::len).sum::<usize>() + self.returned.len() + self.called.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Somebody was called who has not tried yet.
    pub fn is_calling(&self) -> bool {
        !self.called.is_empty()
    }

    /// Puts an entry at the end of its key's lane.
    pub fn push(&mut self, entry: Entry, bounds: &Bounds) -> Pushed {
        let mut pushed = Pushed::In;
        if self.len() >= bounds.entries_max {
            match self.displace(entry.class, &entry.key) {
                Some(ticket) => pushed = Pushed::InFor(ticket),
                None => return Pushed::Full,
            }
        }
        self.classes[entry.class.index()].push(entry);
        pushed
    }

    /// Makes room for one of `class` and `key`: the latest entry of the longest lane of the lowest class, where that is below
    /// `class`, or where its key has at least two more places than `key`.
    fn displace(&mut self, class: Class, key: &str) -> Option<Ticket> {
        let lowest = Class::ALL.into_iter().rev().find(|class| !self.classes[class.index()].is_empty())?;
        let lanes = &mut self.classes[lowest.index()];
        let may = lowest > class || (lowest == class && lanes.longest_len() >= lanes.len_of(key) + 2);
        if may { lanes.pop_latest_of_longest() } else { None }
    }

    /// Calls the next entry if `has_room` for it and for all that are called and have not tried yet. One that does not fit
    /// is not passed by: what is large would never get its turn.
    pub fn call(&mut self, now_ns: u64, bounds: &Bounds, has_room: impl Fn(u64) -> bool) -> Option<Ticket> {
        let promised = self.called.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.amount));
        let fits = |entry: &Entry| has_room(promised.saturating_add(entry.amount));
        if let Some(entry) = self.returned.front() {
            if !fits(entry) {
                return None;
            }
            let entry = self.returned.pop_front()?;
            return Some(self.called(entry));
        }
        let class = self.turns.next(self.claims(now_ns, bounds))?;
        if !self.classes[class.index()].peek().is_some_and(fits) {
            return None;
        }
        let entry = self.classes[class.index()].pop()?;
        self.turns.count(class);
        Some(self.called(entry))
    }

    fn called(&mut self, entry: Entry) -> Ticket {
        let ticket = entry.ticket;
        self.called.push(entry);
        ticket
    }

    /// The first class that waits, and those below it that have waited long.
    fn claims(&self, now_ns: u64, bounds: &Bounds) -> [bool; 3] {
        let patience_ns = bounds.wait_ns() / PATIENCE_DIVISOR;
        let mut claims = [false; 3];
        let mut is_first = true;
        for (claim, lanes) in claims.iter_mut().zip(&self.classes) {
            let Some(oldest_ns) = lanes.oldest_ns() else { continue };
            *claim = is_first || now_ns.saturating_sub(oldest_ns) >= patience_ns;
            is_first = false;
        }
        claims
    }

    /// One that was called found no room, or not all that it needs: it stays at the head, and needs `amount`.
    pub fn give_back(&mut self, ticket: Ticket, amount: u64) {
        if let Some(at) = self.called.iter().position(|entry| entry.ticket == ticket) {
            let entry = self.called.remove(at);
            self.returned.push_back(Entry { amount, ..entry });
        }
    }

    /// Takes an entry out: it has its room, or waits no more. Says whether it was there.
    pub fn remove(&mut self, ticket: Ticket) -> bool {
        let before = self.len();
        self.called.retain(|entry| entry.ticket != ticket);
        self.returned.retain(|entry| entry.ticket != ticket);
        if self.len() == before {
            self.classes.iter_mut().for_each(|lanes| lanes.remove(ticket));
        }
        self.len() < before
    }
}
