//! What a query asks for: conditions on words, bounds on figures, a text that the line holds.

use ringway_policy::money::NanoDollars;

use super::block::Zone;
use super::columns::{Dimension, Figure};
use super::packed::Column;

/// Most conditions of one query.
pub const CONDITIONS_MAX: usize = 32;

/// Which records are meant. An empty one means all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Unix milliseconds, inclusive.
    pub from_ms: Option<u64>,
    /// Unix milliseconds, exclusive.
    pub to_ms: Option<u64>,
    /// The whole id, 32 hex digits.
    pub id: Option<String>,
    /// All of them hold.
    pub conditions: Vec<Condition>,
    pub cost_min: Option<NanoDollars>,
    pub total_min_us: Option<u64>,
    /// What the record's line holds somewhere, case and all: lines are unfolded for it, which is slow. Not for series.
    pub text: Option<String>,
}

/// A condition on a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Is(Dimension, String),
    /// 2 to 5: a class of statuses.
    StatusClass(u8),
    /// A tag of this name, and where given with this value.
    Tag(String, Option<String>),
}

impl Condition {
    pub(super) fn dimension(&self) -> Dimension {
        match self {
            Condition::Is(dimension, _) => *dimension,
            Condition::StatusClass(_) => Dimension::Status,
            Condition::Tag(..) => Dimension::Tags,
        }
    }

    pub(super) fn admits(&self, word: &str) -> bool {
        match self {
            Condition::Is(_, wanted) => word == wanted,
            Condition::StatusClass(class) => word.len() == 3 && word.as_bytes().first() == Some(&(b'0' + class)),
            Condition::Tag(name, value) => tags(word).any(|(own, has)| own == name && value.as_deref().is_none_or(|value| value == has)),
        }
    }
}

/// The pairs of `k=v,k=v`.
pub(super) fn tags(word: &str) -> impl Iterator<Item = (&str, &str)> {
    word.split(',').filter_map(|pair| pair.split_once('='))
}

/// Names of a query's parameters that are conditions on a word.
const WORDS: [Dimension; 11] = [
    Dimension::Key,
    Dimension::Team,
    Dimension::Customer,
    Dimension::Route,
    Dimension::Provider,
    Dimension::Model,
    Dimension::Operation,
    Dimension::Fault,
    Dimension::Asked,
    Dimension::EndUser,
    Dimension::Mode,
];

impl Filter {
    /// Takes one parameter of a query: `from_ms`, `to_ms`, `id`, `status` (200 or 5xx), `tag` (name or name=value), `min_cost_usd`,
    /// `min_ms`, `text`, or the name of a word. `Ok(false)`: it is none of a filter's.
    ///
    /// # Errors
    /// What to write instead.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if self.conditions.len() >= CONDITIONS_MAX {
            return Err(format!("more than {CONDITIONS_MAX} conditions; ask for fewer"));
        }
        if let Some(dimension) = WORDS.into_iter().find(|dimension| dimension.name() == name) {
            self.conditions.push(Condition::Is(dimension, value.to_owned()));
            return Ok(true);
        }
        let number = || value.parse::<u64>().map_err(|_| format!("{name} is {value:?}; write a whole number"));
        match name {
            "from_ms" => self.from_ms = Some(number()?),
            "to_ms" => self.to_ms = Some(number()?),
            "min_ms" => self.total_min_us = Some(number()?.saturating_mul(1_000)),
            "min_cost_usd" => self.cost_min = Some(dollars(value).ok_or_else(|| format!("{name} is {value:?}; write dollars like 0.05"))?),
            "id" => self.id = Some(value.to_owned()),
            "text" => self.text = Some(value.to_owned()),
            "status" => self.conditions.push(status(value)?),
            "tag" => self.conditions.push(match value.split_once('=') {
                Some((tag, wanted)) => Condition::Tag(tag.to_owned(), Some(wanted.to_owned())),
                None => Condition::Tag(value.to_owned(), None),
            }),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether a record's line, parsed, is meant: for a live tail.
    pub fn admits(&self, record: &serde_json::Value) -> bool {
        let word = |dimension: Dimension| match &record[dimension.name()] {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let cost = || record["cost_usd"].as_str().and_then(dollars);
        self.conditions.iter().all(|condition| condition.admits(&word(condition.dimension())))
            && self.id.as_deref().is_none_or(|id| record["id"].as_str() == Some(id))
            && self.cost_min.is_none_or(|least| cost().is_some_and(|cost| cost >= least))
            && self.text.as_deref().is_none_or(|text| record.to_string().contains(text))
            && self.total_min_us.is_none_or(|least| record["total_us"].as_u64().is_some_and(|total| total >= least))
    }

    /// What of a block can be meant; `None`: nothing.
    pub(super) fn sift(&self, zone: &Zone<'_>) -> Option<Sieve> {
        let mut sieve = Sieve::default();
        for condition in &self.conditions {
            let admitted: Vec<bool> = zone.texts(condition.dimension()).map(|word| condition.admits(word)).collect();
            if !admitted.contains(&true) {
                return None;
            }
            if admitted.contains(&false) {
                sieve.words.push((condition.dimension(), admitted));
            }
        }
        let bounds = [
            (Figure::AtMs, self.from_ms.unwrap_or(0), self.to_ms.map_or(u64::MAX, |to| to.saturating_sub(1))),
            // The column holds one more than the nano-dollars.
            (Figure::Cost, self.cost_min.map_or(0, |cost| cost.0.saturating_add(1)), u64::MAX),
            (Figure::TotalUs, self.total_min_us.unwrap_or(0), u64::MAX),
        ];
        for (figure, from, to) in bounds {
            if zone.greatest(figure) < from || zone.least(figure) > to {
                return None;
            }
            if zone.least(figure) < from || zone.greatest(figure) > to {
                sieve.figures.push((figure, from, to));
            }
        }
        Some(sieve)
    }
}

/// What is left to look at in a block, row by row.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// Which words are meant.
    pub words: Vec<(Dimension, Vec<bool>)>,
    /// Least and greatest value.
    pub figures: Vec<(Figure, u64, u64)>,
}

impl Sieve {
    /// Strikes the rows that are not meant off `rows`.
    pub fn strike_by_words(&self, columns: &[Column<'_>; Dimension::ALL.len()], rows: &mut [bool]) {
        for (dimension, admitted) in &self.words {
            let column = &columns[*dimension as usize];
            for (row, is_meant) in rows.iter_mut().enumerate() {
                *is_meant &= admitted.get(column.at(row) as usize).copied().unwrap_or(false);
            }
        }
    }

    pub fn strike_by_figures(&self, columns: &[Column<'_>; Figure::ALL.len()], rows: &mut [bool]) {
        for (figure, from, to) in &self.figures {
            let column = &columns[*figure as usize];
            for (row, is_meant) in rows.iter_mut().enumerate() {
                *is_meant &= (*from..=*to).contains(&column.at(row));
            }
        }
    }
}

fn status(value: &str) -> Result<Condition, String> {
    match value.as_bytes() {
        [class @ b'1'..=b'5', b'x', b'x'] => Ok(Condition::StatusClass(class - b'0')),
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Ok(Condition::Is(Dimension::Status, value.to_owned())),
        _ => Err(format!("status is {value:?}; write a status like 429, or a class like 5xx")),
    }
}

/// Decimal dollars, to nine places.
fn dollars(text: &str) -> Option<NanoDollars> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(nanos).map(NanoDollars)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(pairs: &[(&str, &str)]) -> Filter {
        let mut filter = Filter::default();
        for (name, value) in pairs {
            assert_eq!(filter.set(name, value), Ok(true), "{name}");
        }
        filter
    }

    #[test]
    fn a_query_is_read() {
        let read =
            filter(&[("from_ms", "5"), ("status", "5xx"), ("tag", "env=prod"), ("min_cost_usd", "0.05"), ("min_ms", "3"), ("key", "a")]);
        assert_eq!((read.from_ms, read.cost_min, read.total_min_us), (Some(5), Some(NanoDollars(50_000_000)), Some(3_000)));
        assert_eq!(read.conditions.len(), 3);
        assert_eq!(Filter::default().set("limit", "5"), Ok(false));
        for (name, value) in
            [("from_ms", "x"), ("status", "6xx0"), ("min_cost_usd", "1e3"), ("min_cost_usd", "."), ("min_cost_usd", "0.0000000001")]
        {
            let error = Filter::default().set(name, value).unwrap_err();
            assert!(error.starts_with(name) && error.contains("write"), "{error}");
        }
    }

    #[test]
    fn a_live_record_is_looked_at_like_a_stored_one() {
        let record = json!({"status": 502, "key": "a", "tags": "env=prod,app=x", "cost_usd": "0.1", "total_us": 4_000});
        for (pairs, expected) in [
            (&[("status", "5xx")][..], true),
            (&[("status", "502"), ("key", "a")], true),
            (&[("status", "2xx")], false),
            (&[("tag", "app")], true),
            (&[("tag", "env=dev")], false),
            (&[("min_cost_usd", "0.1")], true),
            (&[("min_cost_usd", "0.2")], false),
            (&[("min_ms", "5")], false),
            (&[("team", "b")], false),
        ] {
            assert_eq!(filter(pairs).admits(&record), expected, "{pairs:?}");
        }
    }
}
