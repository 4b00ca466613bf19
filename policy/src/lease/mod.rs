//! Leases: how a limit or a budget is spent by all shards at once without being overspent.
//!
//! An `Account` is one limit's or budget's state, process-wide. Its units are always in exactly one place:
//!
//! `free + Σ leases + Σ reserved + Σ settled + in a hand = limit`, so `settled + reserved + Σ leases ≤ limit`, debt aside.
//!
//! | from | to | when |
//! |---|---|---|
//! | a shard's lease | its `reserved` | `reserve`, the usual way |
//! | free | `reserved`, and a lease for what comes next | `reserve` where the lease is too small |
//! | other shards' leases | `reserved` | `reserve` before it refuses |
//! | `reserved` | `settled`, the rest to the lease | `settle` |
//! | a lease | free | `reconcile`, where it lay idle |
//! | `settled` | free | a window's roll; a rate's refill |
//!
//! Every move takes first and gives then, each in one atomic step, and what is in between lies in the mover's hand alone. So a
//! mover that stops half-way loses units until the next roll, and never makes any. Moves that could hide room from a shard
//! that is about to refuse are made under the `Marker`, which such a shard takes first; nothing but the precision of a refusal
//! rests on it.
//!
//! A window's debt ends with the window. A rate's debt delays what comes next. What is promised stays promised over a roll,
//! and is counted in the window in which it is settled. A rate refills what was settled, not what is promised: at most
//! `count` are promised or unrefilled at any time. So settle at once what is known at once (a request is one request), and
//! give token limits a `per` that is longer than an answer takes.
//!
//! Cost: a `reserve` or `settle` within the lease touches its own shard's line and reads two that rarely change then; no
//! allocation after an account's first use, no lock, no division: 52 and 84 instructions (callgrind, rustc 1.95, 2026-11-20).
//! The slow way adds a few compare-and-swaps on the shared line, and a rate's a division of 128 bits. An account has 128 bytes,
//! and 64 for each shard once it is used.

mod account;
mod calendar;
mod gcra;
mod marker;
mod remote;
mod shape;
mod slot;
mod upkeep;

pub use account::Account;
pub use remote::{Demand, Told};

/// The greatest limit: 288 million dollars. Debt is counted up to the same.
pub const LIMIT_MAX: u64 = 1 << 58;

/// The two clocks that an account reads: rates run on the monotonic one, windows on the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Of one monotonic clock that all shards share.
    pub mono_ns: u64,
    pub unix_ms: u64,
}

/// What an account allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// GCRA: burst `count`, refill `count / per_ns`.
    Rate { count: u64, per_ns: u64 },
    /// So much in each window. Tokens or nano-dollars.
    Window { amount: u64, window: Window },
    /// So many at once.
    Concurrent { count: u64 },
}

impl Terms {
    /// The burst, the window's amount, the number at once.
    pub fn limit(self) -> u64 {
        match self {
            Terms::Rate { count, .. } | Terms::Concurrent { count } => count.min(LIMIT_MAX),
            Terms::Window { amount, .. } => amount.min(LIMIT_MAX),
        }
    }
}

/// When a budget's window begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Begins with its first spend, lasts so long.
    FirstSpend { per_ms: u64 },
    /// Begins at a calendar's edge, `offset_minutes` east of UTC.
    Calendar { unit: CalendarUnit, offset_minutes: i16 },
}

impl Window {
    /// Where the window that holds `unix_ms` begins and ends, if it begins now where it begins with a spend.
    pub fn bounds_ms(self, unix_ms: u64) -> (u64, u64) {
        let end_ms = calendar::end_ms(self, unix_ms);
        (calendar::start_ms(self, end_ms), end_ms)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalendarUnit {
    Hour,
    Day,
    /// From Monday.
    Week,
    /// From the `first_day`-th, 1 to 28.
    Month {
        first_day: u8,
    },
}

/// Why a reservation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// What is left now.
    pub left: u64,
    /// When so much will be there at the earliest; `None` where it never will (more than the limit itself), or where it depends
    /// on others (`Concurrent`, or too much is promised).
    pub retry_in_ns: Option<u64>,
}

/// What an account says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub limit: u64,
    /// Spent for good in this window (`Window`), 0 (`Concurrent`), or not refilled yet (`Rate`).
    pub settled: u64,
    /// Promised to exchanges under way.
    pub reserved: u64,
    /// What could be reserved now; 0 in debt.
    pub left: u64,
    /// When all of it is there again, if nothing more is spent.
    pub resets_in_ns: u64,
}
