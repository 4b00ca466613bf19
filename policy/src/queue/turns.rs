//! Whose turn it is: classes by weight, counted in virtual time.
//!
//! A turn of a class lasts as long as its weight is small. Who claims a turn gets it when its own would end, the earliest first;
//! so a class that begins to claim waits for one turn of its own length, and eight of high come before the first of low.

use crate::priority::Class;

/// What a turn takes, of high, normal and low: the weights are 8, 4 and 1.
const TURN: [u64; 3] = [1, 2, 8];

#[derive(Debug, Default)]
pub(super) struct Turns {
    now: u64,
    /// When the next turn of each class that claims one would end.
    due: [Option<u64>; 3],
}

impl Turns {
    /// Whose turn is next, of those that claim one.
    pub fn next(&mut self, claims: [bool; 3]) -> Option<Class> {
        for (index, due) in self.due.iter_mut().enumerate() {
            *due = if claims[index] { Some(due.unwrap_or(self.now + TURN[index])) } else { None };
        }
        let claiming = Class::ALL.into_iter().filter_map(|class| Some((self.due[class.index()]?, class)));
        claiming.min().map(|(_, class)| class)
    }

    /// The class has had its turn.
    pub fn count(&mut self, class: Class) {
        if let Some(due) = &mut self.due[class.index()] {
            self.now = self.now.max(*due);
            *due = self.now + TURN[class.index()];
        }
    }
}
