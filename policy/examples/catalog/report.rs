//! What was taken and what was left out, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::keys::is_price;

/// Counts of one run.
#[derive(Default)]
pub struct Report {
    taken: BTreeMap<String, usize>,
    beside: BTreeMap<(String, String), usize>,
    unknown: BTreeMap<String, usize>,
    odd: Vec<String>,
    left_out: Vec<String>,
}

impl Report {
    pub fn taken(&mut self, key: &str) {
        *self.taken.entry(key.to_owned()).or_default() += 1;
    }

    pub fn beside(&mut self, key: &str, reason: &str) {
        *self.beside.entry((key.to_owned(), reason.to_owned())).or_default() += 1;
    }

    pub fn unknown(&mut self, key: &str) {
        *self.unknown.entry(key.to_owned()).or_default() += 1;
    }

    /// Something about an entry that is taken all the same.
    pub fn odd(&mut self, id: &str, what: &str) {
        self.odd.push(format!("{id}: {what}"));
    }

    pub fn left_out(&mut self, id: &str, why: &str) {
        self.left_out.push(format!("{id}: {why}"));
    }

    /// Keys that state a price and that no table names: the catalog would be wrong without them.
    pub fn unknown_prices(&self) -> Vec<&str> {
        self.unknown.keys().map(String::as_str).filter(|key| is_price(key)).collect()
    }

    pub fn text(&self, entries: usize) -> String {
        let mut out = String::new();
        let mut section = |title: &str, lines: Vec<String>| {
            let _ = writeln!(out, "{title} ({})", lines.len());
            for line in lines {
                let _ = writeln!(out, "  {line}");
            }
        };
        section("keys taken", self.taken.iter().map(|(key, count)| format!("{key}: {count}")).collect());
        section("keys left out", self.beside.iter().map(|((key, why), count)| format!("{key}: {count}, {why}")).collect());
        section("keys that are not known", self.unknown.iter().map(|(key, count)| format!("{key}: {count}")).collect());
        section("entries with something left out", self.odd.clone());
        section("entries left out", self.left_out.clone());
        let _ = writeln!(out, "{} of {entries} entries taken", entries - self.left_out.len());
        out
    }
}
