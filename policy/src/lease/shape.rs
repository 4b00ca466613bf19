//! An account's terms as words that can be read while they are replaced: two cells, and a version that names the valid one.

use super::{CalendarUnit, LIMIT_MAX, Terms, Window};
use crate::sync::{AtomicU64, Ordering, spin_loop};

const KIND_BITS: u32 = 2;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;

/// What happens to units that were settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Kind {
    Rate = 0,
    FirstSpend = 1,
    Calendar = 2,
    Concurrent = 3,
}

const KINDS: [Kind; 4] = [Kind::Rate, Kind::FirstSpend, Kind::Calendar, Kind::Concurrent];

impl Kind {
    pub fn has_window(self) -> bool {
        matches!(self, Kind::FirstSpend | Kind::Calendar)
    }
}

#[derive(Debug)]
pub(super) struct Shape {
    version: AtomicU64,
    /// Limit and kind; the time.
    cells: [[AtomicU64; 2]; 2],
}

impl Shape {
    pub fn new(terms: Terms) -> Shape {
        let [head, time] = pack(terms);
        let cell = || [AtomicU64::new(head), AtomicU64::new(time)];
        Shape { version: AtomicU64::new(0), cells: [cell(), cell()] }
    }

    #[inline]
    pub fn kind(&self) -> Kind {
        let version = self.version.load(Ordering::Acquire);
        KINDS[(self.cells[(version & 1) as usize][0].load(Ordering::Relaxed) & KIND_MASK) as usize]
    }

    #[inline]
    pub fn limit(&self) -> u64 {
        let version = self.version.load(Ordering::Acquire);
        self.cells[(version & 1) as usize][0].load(Ordering::Relaxed) >> KIND_BITS
    }

    /// The terms with their version.
    pub fn read(&self) -> (Terms, u64) {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let cell = &self.cells[(version & 1) as usize];
            let words = [cell[0].load(Ordering::Acquire), cell[1].load(Ordering::Acquire)];
            // Only the second replacement from here writes into this cell, and that one is announced before.
            if self.version.load(Ordering::Acquire) == version {
                return (unpack(words), version);
            }
            spin_loop();
        }
    }

    /// The terms before the ones of `version`.
    pub fn before(&self) -> Terms {
        let cell = &self.cells[((self.version.load(Ordering::Acquire) + 1) & 1) as usize];
        unpack([cell[0].load(Ordering::Acquire), cell[1].load(Ordering::Acquire)])
    }

    /// One caller at a time.
    pub fn replace(&self, terms: Terms) {
        let version = self.version.load(Ordering::Acquire) + 1;
        let cell = &self.cells[(version & 1) as usize];
        for (word, value) in cell.iter().zip(pack(terms)) {
            word.store(value, Ordering::Release);
        }
        self.version.store(version, Ordering::Release);
    }
}

fn pack(terms: Terms) -> [u64; 2] {
    let (kind, time) = match terms {
        Terms::Rate { per_ns, .. } => (Kind::Rate, per_ns),
        Terms::Window { window: Window::FirstSpend { per_ms }, .. } => (Kind::FirstSpend, per_ms),
        Terms::Window { window: Window::Calendar { unit, offset_minutes }, .. } => {
            let unit = match unit {
                CalendarUnit::Hour => 0,
                CalendarUnit::Day => 1,
                CalendarUnit::Week => 2,
                CalendarUnit::Month { first_day } => 2 + u64::from(first_day.clamp(1, 28)),
            };
            (Kind::Calendar, unit << 16 | u64::from(offset_minutes.cast_unsigned()))
        }
        Terms::Concurrent { .. } => (Kind::Concurrent, 0),
    };
    [terms.limit().min(LIMIT_MAX) << KIND_BITS | kind as u64, time]
}

fn unpack([head, time]: [u64; 2]) -> Terms {
    let limit = head >> KIND_BITS;
    match KINDS[(head & KIND_MASK) as usize] {
        Kind::Rate => Terms::Rate { count: limit, per_ns: time },
        Kind::FirstSpend => Terms::Window { amount: limit, window: Window::FirstSpend { per_ms: time } },
        Kind::Calendar => {
            let unit = match time >> 16 {
                0 => CalendarUnit::Hour,
                1 => CalendarUnit::Day,
                2 => CalendarUnit::Week,
                month => CalendarUnit::Month { first_day: (month - 2).min(28) as u8 },
            };
            let offset_minutes = (time as u16).cast_signed();
            Terms::Window { amount: limit, window: Window::Calendar { unit, offset_minutes } }
        }
        Kind::Concurrent => Terms::Concurrent { count: limit },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_come_back_as_they_were_packed() {
        let calendar = |unit, offset_minutes| Terms::Window { amount: 5, window: Window::Calendar { unit, offset_minutes } };
        for terms in [
            Terms::Rate { count: 7, per_ns: 60_000_000_000 },
            Terms::Concurrent { count: LIMIT_MAX },
            Terms::Window { amount: 0, window: Window::FirstSpend { per_ms: 86_400_000 } },
            calendar(CalendarUnit::Hour, 0),
            calendar(CalendarUnit::Day, -720),
            calendar(CalendarUnit::Week, 840),
            calendar(CalendarUnit::Month { first_day: 1 }, -1),
            calendar(CalendarUnit::Month { first_day: 28 }, 1),
        ] {
            assert_eq!(unpack(pack(terms)), terms);
        }
    }
}
