//! The columns of a record: what pages are filtered by, and what series add up.

use std::fmt::Write;

use ahash::AHashMap;
use ringway_adapters::ir::Mode;
use ringway_policy::record::{self, Record};

/// A column of words. An absent word is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    Key,
    Team,
    Customer,
    Route,
    Provider,
    Model,
    Operation,
    /// The status in digits.
    Status,
    Fault,
    Asked,
    EndUser,
    Mode,
    /// All tags of a record as one word: `k=v,k=v`.
    Tags,
}

impl Dimension {
    pub const ALL: [Dimension; 13] = [
        Dimension::Key,
        Dimension::Team,
        Dimension::Customer,
        Dimension::Route,
        Dimension::Provider,
        Dimension::Model,
        Dimension::Operation,
        Dimension::Status,
        Dimension::Fault,
        Dimension::Asked,
        Dimension::EndUser,
        Dimension::Mode,
        Dimension::Tags,
    ];

    /// Its name in queries, which is the field's in a record.
    pub fn name(self) -> &'static str {
        match self {
            Dimension::Key => "key",
            Dimension::Team => "team",
            Dimension::Customer => "customer",
            Dimension::Route => "route",
            Dimension::Provider => "provider",
            Dimension::Model => "model",
            Dimension::Operation => "operation",
            Dimension::Status => "status",
            Dimension::Fault => "fault",
            Dimension::Asked => "asked",
            Dimension::EndUser => "end_user",
            Dimension::Mode => "mode",
            Dimension::Tags => "tags",
        }
    }
}

/// A column of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    AtMs,
    InputTokens,
    OutputTokens,
    CachedTokens,
    /// One more than the nano-dollars; 0 where the price is not known.
    Cost,
    TotalUs,
    /// 0 where no byte came.
    FirstByteUs,
    /// First to last byte of a stream; 0 of a whole answer.
    StreamUs,
}

impl Figure {
    pub const ALL: [Figure; 8] = [
        Figure::AtMs,
        Figure::InputTokens,
        Figure::OutputTokens,
        Figure::CachedTokens,
        Figure::Cost,
        Figure::TotalUs,
        Figure::FirstByteUs,
        Figure::StreamUs,
    ];
}

/// One column of words: each word once, and which one each row has.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    pub texts: Vec<Box<str>>,
    pub index: Vec<u32>,
    places: AHashMap<Box<str>, u32>,
}

impl Words {
    pub fn push(&mut self, text: &str) {
        // Neighbours are often alike.
        if let Some(&last) = self.index.last()
            && self.texts.get(last as usize).is_some_and(|word| **word == *text)
        {
            return self.index.push(last);
        }
        let place = match self.places.get(text) {
            Some(place) => *place,
            None => {
                let place = self.texts.len() as u32;
                self.texts.push(text.into());
                self.places.insert(text.into(), place);
                place
            }
        };
        self.index.push(place);
    }

    pub fn at(&self, row: usize) -> &str {
        self.index.get(row).and_then(|place| self.texts.get(*place as usize)).map_or("", |text| text)
    }
}

/// Records on their way to the log: their lines as the access log has them, and their columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub words: [Words; Dimension::ALL.len()],
    pub figures: [Vec<u64>; Figure::ALL.len()],
    /// The first four bytes of each id.
    pub ids: Vec<u32>,
    /// One JSON object and a line end each.
    pub lines: Vec<u8>,
    /// Where each line ends.
    pub ends: Vec<usize>,
}

impl Batch {
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Adds one record; about a microsecond.
    pub fn push(&mut self, record: &Record) {
        record::write_json(record, &mut self.lines);
        self.ends.push(self.lines.len());
        self.ids.push(short(&record.id));
        let mut digits = Digits::default();
        let _ = write!(digits, "{}", record.status);
        for (column, dimension) in self.words.iter_mut().zip(Dimension::ALL) {
            column.push(match dimension {
                Dimension::Key => record.key.as_deref().unwrap_or_default(),
                Dimension::Team => record.team.as_deref().unwrap_or_default(),
                Dimension::Customer => record.customer.as_deref().unwrap_or_default(),
                Dimension::Route => record.route.as_deref().unwrap_or_default(),
                Dimension::Provider => record.provider.as_deref().unwrap_or_default(),
                Dimension::Model => record.model.as_deref().unwrap_or_default(),
                Dimension::Operation => record.operation.name(),
                Dimension::Status => digits.text(),
                Dimension::Fault => record.fault.map_or("", |kind| kind.code()),
                Dimension::Asked => &record.asked,
                Dimension::EndUser => record.end_user.as_deref().unwrap_or_default(),
                Dimension::Mode => mode_name(record.mode),
                Dimension::Tags => record.tags.as_deref().unwrap_or_default(),
            });
        }
        for (column, figure) in self.figures.iter_mut().zip(Figure::ALL) {
            column.push(match figure {
                Figure::AtMs => record.at_ms,
                Figure::InputTokens => record.usage.input,
                Figure::OutputTokens => record.usage.output,
                Figure::CachedTokens => record.usage.cached_read,
                Figure::Cost => record.cost.map_or(0, |cost| cost.0.saturating_add(1)),
                Figure::TotalUs => record.total_ns / 1_000,
                Figure::FirstByteUs => record.first_byte_ns / 1_000,
                Figure::StreamUs if record.mode == Mode::Stream && record.first_byte_ns > 0 => {
                    record.total_ns.saturating_sub(record.first_byte_ns) / 1_000
                }
                Figure::StreamUs => 0,
            });
        }
    }

    /// Adds one row of another batch.
    pub fn push_row(&mut self, other: &Batch, row: usize) {
        let start = row.checked_sub(1).and_then(|before| other.ends.get(before)).copied().unwrap_or(0);
        let end = other.ends.get(row).copied().unwrap_or(start);
        self.lines.extend_from_slice(other.lines.get(start..end).unwrap_or_default());
        self.ends.push(self.lines.len());
        self.ids.push(other.ids.get(row).copied().unwrap_or_default());
        self.words.iter_mut().zip(&other.words).for_each(|(column, theirs)| column.push(theirs.at(row)));
        self.figures.iter_mut().zip(&other.figures).for_each(|(column, theirs)| column.push(theirs.get(row).copied().unwrap_or_default()));
    }

    /// Adds all rows of another batch, which nobody needs any more.
    pub fn take_in(&mut self, other: Batch) {
        if self.rows() == 0 {
            *self = other;
        } else {
            self.append(&other);
        }
    }

    /// Adds all rows of another batch.
    pub fn append(&mut self, other: &Batch) {
        for (column, theirs) in self.words.iter_mut().zip(&other.words) {
            (0..theirs.index.len()).for_each(|row| column.push(theirs.at(row)));
        }
        self.figures.iter_mut().zip(&other.figures).for_each(|(column, theirs)| column.extend_from_slice(theirs));
        let before = self.lines.len();
        self.lines.extend_from_slice(&other.lines);
        self.ends.extend(other.ends.iter().map(|end| before + end));
        self.ids.extend_from_slice(&other.ids);
    }

    pub fn figure(&self, figure: Figure) -> &[u64] {
        &self.figures[figure as usize]
    }

    pub fn column(&self, dimension: Dimension) -> &Words {
        &self.words[dimension as usize]
    }
}

/// What of an id is in a column of its own, to find it by.
pub(super) fn short(id: &[u8; 16]) -> u32 {
    u32::from_le_bytes([id[0], id[1], id[2], id[3]])
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Whole => "whole",
        Mode::Stream => "stream",
    }
}

/// A status in digits, without an allocation.
#[derive(Default)]
struct Digits {
    bytes: [u8; 5],
    len: usize,
}

impl Digits {
    fn text(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sample;

    #[test]
    fn batches_are_put_together_row_by_row() {
        let mut first = Batch::default();
        first.push(&sample());
        first.push(&Record { key: Some("mobile".into()), status: 502, ..sample() });
        let mut second = Batch::default();
        second.push(&Record { key: Some("mobile".into()), at_ms: 7, ..sample() });
        let mut picked = Batch::default();
        picked.push_row(&first, 1);
        first.take_in(second);
        assert_eq!(first.rows(), 3);
        assert_eq!((0..3).map(|row| first.column(Dimension::Key).at(row)).collect::<Vec<_>>(), ["", "mobile", "mobile"]);
        assert_eq!((first.column(Dimension::Status).at(1), first.figure(Figure::AtMs)[2]), ("502", 7));
        assert_eq!(first.ends.last(), Some(&first.lines.len()));
        assert_eq!(picked.lines, first.lines[first.ends[0]..first.ends[1]]);
        assert_eq!(picked.column(Dimension::Key).at(0), "mobile");
    }
}
