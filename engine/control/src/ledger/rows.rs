//! Rows of one family of metrics, by the values of their labels: bounded, with `other` for what finds no room.

use ahash::{AHashMap, RandomState};

use super::page::{Head, Page};
use super::share::Share;

/// Stands for a label's value where the family is full.
pub(super) const OTHER: &str = "other";

/// At most `rows_max` rows; a row once there stays, and its index with it.
pub(super) struct Rows<T> {
    head: Head,
    labels: &'static [&'static str],
    rows: Vec<(Box<[Box<str>]>, T)>,
    /// By the keyed 64-bit hash of the values, so that a lookup clones no name.
    by_values: AHashMap<u64, usize>,
    hasher: RandomState,
    rows_max: usize,
}

impl<T> Rows<T> {
    pub(super) fn new(head: Head, labels: &'static [&'static str], share: Share, series_max: usize) -> Rows<T> {
        let rows_max = share.rows(series_max);
        Rows { head, labels, rows: Vec::new(), by_values: AHashMap::new(), hasher: RandomState::new(), rows_max }
    }

    /// The row of these values; where there is no room, that of `overflow`, whose values come from sets so small that
    /// `reserved` rows hold them all.
    pub(super) fn index(&mut self, values: &[&str], overflow: &[&str], reserved: usize, fresh: impl FnOnce() -> T) -> usize {
        if let Some(index) = self.find(values) {
            return index;
        }
        if self.rows.len() + reserved < self.rows_max {
            return self.add(values, fresh());
        }
        match self.find(overflow) {
            Some(index) => index,
            None if self.rows.len() < self.rows_max => self.add(overflow, fresh()),
            None => self.rows.len() - 1,
        }
    }

    pub(super) fn get(&mut self, index: usize) -> Option<&mut T> {
        self.rows.get_mut(index).map(|(_, value)| value)
    }

    fn find(&self, values: &[&str]) -> Option<usize> {
        self.by_values.get(&self.hasher.hash_one(values)).copied()
    }

    fn add(&mut self, values: &[&str], value: T) -> usize {
        self.rows.push((values.iter().map(|value| Box::from(*value)).collect(), value));
        self.by_values.insert(self.hasher.hash_one(values), self.rows.len() - 1);
        self.rows.len() - 1
    }

    /// Writes the family; nothing where it has no row.
    pub(super) fn write(&self, page: &mut Page, mut each: impl FnMut(&mut Page, &'static str, &[(&str, &str)], &T)) {
        if self.rows.is_empty() {
            return;
        }
        page.family(self.head);
        for (values, value) in &self.rows {
            let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(values.iter().map(|value| &**value)).collect();
            each(page, self.head.0, &labels, value);
        }
    }
}

impl Rows<u64> {
    /// The row of a counter, with all values `other` where there is no room.
    pub(super) fn counter(&mut self, values: &[&str]) -> usize {
        let others = vec![OTHER; values.len()];
        self.index(values, &others, 1, || 0)
    }

    pub(super) fn add_to(&mut self, index: usize, amount: u64) {
        if let Some(count) = self.get(index) {
            *count = count.saturating_add(amount);
        }
    }

    pub(super) fn write_counts(&self, page: &mut Page) {
        self.write(page, |page, name, labels, count| page.sample(name, labels, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::page::Kind;
    use crate::ledger::share;

    #[test]
    fn what_finds_no_room_is_counted_as_other() {
        let mut rows: Rows<u64> = Rows::new(("x_total", Kind::Counter, "X"), &["a"], share::FURTHER_ATTEMPTS, 1_000);
        for round in 0..3 {
            for value in 0..50 {
                let index = rows.counter(&[&format!("v{value}")]);
                rows.add_to(index, 1);
            }
            assert_eq!(rows.rows.len(), 10, "round {round}");
        }
        let mut page = Page::default();
        rows.write_counts(&mut page);
        let text = page.into_text();
        assert!(text.contains("x_total{a=\"v8\"} 3\n") && text.contains("x_total{a=\"other\"} 123\n"), "{text}");
    }
}
