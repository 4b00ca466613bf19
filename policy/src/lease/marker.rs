//! Says that units are being moved, so that a shard that finds none looks again instead of refusing wrongly.
//!
//! Even: nobody moves. Odd: somebody does. Held for some tens of nanoseconds at a time, and safety never rests on it: a holder
//! that does not come back is overruled by the second `overrule` in a row that finds it unchanged.

use crate::sync::{AtomicU64, Ordering, SPINS_MAX, spin_loop};

#[derive(Debug)]
pub(super) struct Marker {
    word: AtomicU64,
    /// What the last `overrule` saw.
    seen: AtomicU64,
}

/// The right to move. Given back on drop.
pub(super) struct Held<'a> {
    marker: &'a Marker,
    word: u64,
}

impl Marker {
    pub fn new() -> Marker {
        Marker { word: AtomicU64::new(0), seen: AtomicU64::new(0) }
    }

    pub fn try_hold(&self) -> Option<Held<'_>> {
        let word = self.word.load(Ordering::Relaxed);
        if word % 2 == 1 {
            return None;
        }
        let held = self.word.compare_exchange(word, word + 1, Ordering::AcqRel, Ordering::Relaxed);
        held.ok().map(|word| Held { marker: self, word: word + 1 })
    }

    /// Waits for whoever moves, `SPINS_MAX` times at most.
    pub fn hold(&self) -> Option<Held<'_>> {
        for _ in 0..SPINS_MAX {
            if let Some(held) = self.try_hold() {
                return Some(held);
            }
            spin_loop();
        }
        None
    }

    /// Takes the marker from a holder that has had it since the last call.
    pub fn overrule(&self) {
        let word = self.word.load(Ordering::Relaxed);
        if word % 2 == 1 && self.seen.load(Ordering::Relaxed) == word {
            // Who comes back or was overruled already has another word.
            let _ = self.word.compare_exchange(word, word + 1, Ordering::AcqRel, Ordering::Relaxed);
        }
        self.seen.store(word, Ordering::Relaxed);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Fails where it was overruled.
        let _ = self.marker.word.compare_exchange(self.word, self.word + 1, Ordering::AcqRel, Ordering::Relaxed);
    }
}
