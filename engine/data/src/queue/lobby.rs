//! The lobby: who waits for which limit, of all shards of the process.
//!
//! Lost wake-ups: who begins to wait counts itself first (sequentially consistent) and looks for room then; who gives room back
//! does that first (the account's own moves, sequentially consistent) and looks for those who wait then. One of the two sees
//! the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringway_policy::lease::Now;
use ringway_policy::queue::{Bounds, Entry, Pushed, Queue, Ticket, WAITING_MAX};
use ringway_policy::quota::Quota;

/// How often the first of those who wait asks the store of a shared limit, which wakes nobody.
pub(super) const STORE_ASK: Duration = Duration::from_millis(50);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A shard's bound of requests under way.
    InFlight(u16),
    /// A limit, by its account's id.
    Quota(u64),
}

/// What somebody who waits was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Told {
    Nothing = 0,
    /// There may be room: try.
    Called = 1,
    /// Another one took the place.
    Displaced = 2,
}

/// One request's place.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(super) ticket: Ticket,
    pub(super) place: Place,
    shard: u16,
    told: AtomicU8,
}

impl Seat {
    pub(crate) fn told(&self) -> Told {
        match self.told.load(Ordering::Acquire) {
            1 => Told::Called,
            2 => Told::Displaced,
            _ => Told::Nothing,
        }
    }

    fn tell(&self, told: Told) {
        self.told.store(told as u8, Ordering::Release);
    }
}

/// Those who wait for one place.
struct Row {
    queue: Queue,
    quota: Option<Arc<Quota>>,
    bounds: Bounds,
    seats: BTreeMap<Ticket, Arc<Seat>>,
    /// When a shared limit's store may be asked again.
    store_ask_ns: u64,
}

#[derive(Default)]
struct Book {
    rows: BTreeMap<Place, Row>,
    tickets: u64,
}

/// Shards whose requests were told something.
pub(super) type Shards = smallvec::SmallVec<[u16; 4]>;

/// A shard's own room: requests under way, those who wait among them, and the most that there may be.
#[derive(Clone, Copy)]
pub(super) struct OwnRoom {
    pub(super) shard: u16,
    pub(super) in_flight: u64,
    pub(super) in_flight_max: u64,
}

/// Who waits, in the whole process. Shards share it.
pub struct Lobby {
    waiting: AtomicUsize,
    book: Mutex<Book>,
    wake: Box<dyn Fn(usize) + Send + Sync>,
}

impl Lobby {
    /// `wake` has a shard, by its index, look at those of its requests that were told something; any thread calls it.
    pub fn new(wake: impl Fn(usize) + Send + Sync + 'static) -> Lobby {
        Lobby { waiting: AtomicUsize::new(0), book: Mutex::default(), wake: Box::new(wake) }
    }

    /// Nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn wake(&self, shard: u16) {
        (self.wake)(usize::from(shard));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_waited_for(&self, place: Place) -> bool {
        self.book().rows.contains_key(&place)
    }

    /// Takes a place in line. Gives the shard of a request that had to leave for it, too; `None` where it is full.
    pub(super) fn enter(
        &self,
        place: Place,
        shard: u16,
        quota: Option<&Arc<Quota>>,
        bounds: &Bounds,
        entry: impl FnOnce(Ticket) -> Entry,
    ) -> Option<(Arc<Seat>, Shards)> {
        let mut book = self.book();
        let ticket = Ticket(book.tickets);
        book.tickets += 1;
        let is_over = self.waiting.load(Ordering::Relaxed) >= WAITING_MAX;
        let row = book.rows.entry(place).or_insert_with(|| Row {
            queue: Queue::default(),
            quota: quota.cloned(),
            bounds: *bounds,
            seats: BTreeMap::new(),
            store_ask_ns: 0,
        });
        row.bounds = *bounds;
        let mut shards = Shards::new();
        let pushed = if is_over { Pushed::Full } else { row.queue.push(entry(ticket), bounds) };
        if let Pushed::InFor(other) = pushed
            && let Some(displaced) = row.seats.remove(&other)
        {
            displaced.tell(Told::Displaced);
            shards.push(displaced.shard);
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        if pushed == Pushed::Full {
            let is_empty = row.queue.is_empty();
            if is_empty {
                book.rows.remove(&place);
            }
            return None;
        }
        let seat = Arc::new(Seat { ticket, place, shard, told: AtomicU8::new(Told::Nothing as u8) });
        row.seats.insert(ticket, seat.clone());
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // What others gave back before they could see it is seen from here on.
        fence(Ordering::SeqCst);
        Some((seat, shards))
    }

    /// One that was called found no room, and needs `amount`: it stays first.
    pub(super) fn give_back(&self, seat: &Seat, amount: u64) {
        let mut book = self.book();
        if let Some(row) = book.rows.get_mut(&seat.place) {
            row.queue.give_back(seat.ticket, amount);
            seat.tell(Told::Nothing);
        }
        fence(Ordering::SeqCst);
    }

    /// Waits no more.
    pub(super) fn leave(&self, seat: &Seat) {
        let mut book = self.book();
        let Some(row) = book.rows.get_mut(&seat.place) else { return };
        row.queue.remove(seat.ticket);
        if row.seats.remove(&seat.ticket).is_some() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        if row.queue.is_empty() {
            book.rows.remove(&seat.place);
        }
    }

    /// Calls all who may go now; gives their shards. Of the shards' own bounds it looks at `own` alone.
    pub(super) fn call(&self, now: Now, own: OwnRoom) -> Shards {
        let mut shards = Shards::new();
        for (place, row) in &mut self.book().rows {
            let mut called = |row: &Row, ticket: Ticket| {
                if let Some(seat) = row.seats.get(&ticket) {
                    seat.tell(Told::Called);
                    if !shards.contains(&seat.shard) {
                        shards.push(seat.shard);
                    }
                }
            };
            let waiting = row.queue.len() as u64;
            let quota = row.quota.clone();
            let has_room = |amount: u64| match (place, &quota) {
                (Place::InFlight(shard), _) => *shard == own.shard && own.in_flight.saturating_sub(waiting) + amount <= own.in_flight_max,
                (Place::Quota(_), Some(quota)) => quota.account.makes_room(amount, now),
                (Place::Quota(_), None) => false,
            };
            while let Some(ticket) = row.queue.call(now.mono_ns, &row.bounds, has_room) {
                called(row, ticket);
            }
            // What other gateways give back is known to the store alone: one who waits asks it now and then.
            let is_shared = quota.as_ref().is_some_and(|quota| quota.account.is_shared());
            if is_shared && !row.queue.is_calling() && now.mono_ns >= row.store_ask_ns {
                row.store_ask_ns = now.mono_ns + STORE_ASK.as_nanos() as u64;
                if let Some(ticket) = row.queue.call(now.mono_ns, &row.bounds, |_| true) {
                    called(row, ticket);
                }
            }
        }
        shards
    }
}

impl Default for Lobby {
    /// Of a shard that is alone.
    fn default() -> Lobby {
        Lobby::new(|_| {})
    }
}

impl std::fmt::Debug for Lobby {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lobby").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
