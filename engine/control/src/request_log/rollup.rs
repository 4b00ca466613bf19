//! Rollups: what the records of a minute add up to, by each word of each axis.
//!
//! The writer adds batches up in memory and writes the sums each minute, as deltas: rows that belong to an earlier minute
//! (a long stream is logged when it ends) make one more of them. About half a microsecond a record.

use ahash::AHashMap;

use super::columns::{Batch, Dimension, Figure};
use super::filter::tags;
use super::packed::{Reader, write_text, write_varint};
use super::sum::{Part, Sum};

/// Words of one axis and minute that have sums of their own; those beyond count as `other`.
const WORDS_MAX: usize = 10_000;
/// Tags are the clients' to choose.
const TAG_WORDS_MAX: usize = 500;
pub(super) const OTHER: &str = "other";

pub(super) const MINUTE_MS: u64 = 60_000;
pub(super) const DAY_MS: u64 = 86_400_000;

/// What sums are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Axis {
    /// All records together, under the empty word.
    All,
    Word(Dimension),
}

impl Axis {
    /// Statuses by their class (`2xx`), tags pair by pair (`k=v`).
    pub const ROLLED: [Axis; 11] = [
        Axis::All,
        Axis::Word(Dimension::Key),
        Axis::Word(Dimension::Team),
        Axis::Word(Dimension::Customer),
        Axis::Word(Dimension::Route),
        Axis::Word(Dimension::Provider),
        Axis::Word(Dimension::Model),
        Axis::Word(Dimension::Operation),
        Axis::Word(Dimension::Status),
        Axis::Word(Dimension::Fault),
        Axis::Word(Dimension::Tags),
    ];

    /// Its number in a partition.
    pub fn code(self) -> u8 {
        match self {
            Axis::All => 0,
            Axis::Word(dimension) => dimension as u8 + 1,
        }
    }

    fn words_max(self) -> usize {
        if self == Axis::Word(Dimension::Tags) { TAG_WORDS_MAX } else { WORDS_MAX }
    }
}

/// Sums of one axis and one span of time.
pub(super) type Sums = AHashMap<Box<str>, Sum>;

/// What was added up since it was last written.
#[derive(Default)]
pub(super) struct Deltas {
    /// By minute of the day and axis.
    pub sums: AHashMap<(u16, u8), Sums>,
    /// Sums in all of them.
    pub count: usize,
}

impl Deltas {
    /// Adds rows of one day.
    pub fn add(&mut self, batch: &Batch) {
        let at = batch.figure(Figure::AtMs);
        let mut order: Vec<(u16, u32)> = at.iter().zip(0..).map(|(at_ms, row)| ((at_ms % DAY_MS / MINUTE_MS) as u16, row)).collect();
        order.sort_unstable();
        let parts = parts(batch);
        for run in order.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(minute, _)) = run.first() else { continue };
            for axis in Axis::ROLLED {
                let added = self.sums.entry((minute, axis.code())).or_default();
                let before = added.len();
                add_run(added, axis, batch, &parts, run);
                self.count += added.len() - before;
            }
        }
    }
}

/// What each row adds.
pub(super) fn parts(batch: &Batch) -> Vec<Part> {
    let figure = |figure, row: usize| batch.figure(figure).get(row).copied().unwrap_or_default();
    let is_error = |row| is_error(batch.column(Dimension::Status).at(row), batch.column(Dimension::Fault).at(row));
    let part = |row| Part {
        is_error: is_error(row),
        input: figure(Figure::InputTokens, row),
        output: figure(Figure::OutputTokens, row),
        cached: figure(Figure::CachedTokens, row),
        cost: figure(Figure::Cost, row),
        total_us: figure(Figure::TotalUs, row),
        first_byte_us: figure(Figure::FirstByteUs, row),
        stream_us: figure(Figure::StreamUs, row),
    };
    (0..batch.rows()).map(part).collect()
}

pub(super) fn is_error(status: &str, fault: &str) -> bool {
    !fault.is_empty() || matches!(status.as_bytes().first(), Some(b'4' | b'5'))
}

fn add_run(sums: &mut Sums, axis: Axis, batch: &Batch, parts: &[Part], run: &[(u16, u32)]) {
    let Axis::Word(dimension) = axis else {
        let mut sum = Sum::default();
        run.iter().filter_map(|(_, row)| parts.get(*row as usize)).for_each(|part| sum.add(part));
        return sums.entry("".into()).or_default().merge(&sum);
    };
    let column = batch.column(dimension);
    let mut by_word: Vec<Option<Box<Sum>>> = vec![None; column.texts.len()];
    for (_, row) in run {
        let place = column.index.get(*row as usize).map(|place| *place as usize);
        if let (Some(sum), Some(part)) = (place.and_then(|place| by_word.get_mut(place)), parts.get(*row as usize)) {
            sum.get_or_insert_default().add(part);
        }
    }
    for (word, sum) in column.texts.iter().zip(by_word).filter_map(|(word, sum)| Some((word, sum?))) {
        each_word(dimension, word, |word| {
            if let Some(own) = sums.get_mut(word) {
                return own.merge(&sum);
            }
            let word = if sums.len() < axis.words_max() { word } else { OTHER };
            sums.entry(word.into()).or_default().merge(&sum);
        });
    }
}

/// The words of an axis that a column's word stands for.
pub(super) fn each_word(dimension: Dimension, word: &str, mut tell: impl FnMut(&str)) {
    match dimension {
        Dimension::Status => tell(class_of(word)),
        Dimension::Tags => tags(word).for_each(|(name, value)| tell(&format!("{name}={value}"))),
        _ => tell(word),
    }
}

pub(super) fn class_of(status: &str) -> &'static str {
    match status.as_bytes() {
        [b'1', _, _] => "1xx",
        [b'2', _, _] => "2xx",
        [b'3', _, _] => "3xx",
        [b'4', _, _] => "4xx",
        [b'5', _, _] => "5xx",
        _ => "none",
    }
}

/// Sums as they lie in a partition: word, length, sum; again and again.
pub(super) fn write_sums(sums: &Sums) -> Vec<u8> {
    let (mut out, mut one) = (Vec::with_capacity(sums.len() * 96), Vec::with_capacity(128));
    for (word, sum) in sums {
        one.clear();
        sum.write(&mut one);
        write_text(&mut out, word);
        write_varint(&mut out, one.len() as u64);
        out.extend_from_slice(&one);
    }
    out
}

/// Shows the sums that `write_sums` wrote, one by one; `None` where the bytes are none of ours.
pub(super) fn read_sums(bytes: &[u8], mut show: impl FnMut(&str, &mut Reader<'_>) -> Option<()>) -> Option<()> {
    let mut reader = Reader(bytes);
    while !reader.is_empty() {
        let word = reader.text()?;
        let len = usize::try_from(reader.varint()?).ok()?;
        let (one, rest) = reader.0.split_at_checked(len)?;
        show(word, &mut Reader(one))?;
        reader.0 = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use ringway_policy::record::Record;

    use super::*;
    use crate::ledger::sample;

    #[test]
    fn records_add_up_by_minute_and_word() {
        let mut batch = Batch::default();
        for index in 0..90 {
            let tags = if index % 2 == 0 { "env=prod,app=x" } else { "env=dev" };
            let at_ms = DAY_MS * 20_000 + index * 1_000;
            batch.push(&Record { at_ms, tags: Some(tags.into()), status: if index < 3 { 502 } else { 200 }, ..sample() });
        }
        let mut deltas = Deltas::default();
        deltas.add(&batch);
        let requests = |minute, axis: Axis, word: &str| deltas.sums[&(minute, axis.code())].get(word).map(|sum| sum.counts.requests);
        assert_eq!((requests(0, Axis::All, ""), requests(1, Axis::All, "")), (Some(60), Some(30)));
        let tags = Axis::Word(Dimension::Tags);
        assert_eq!(
            (requests(0, tags, "env=prod"), requests(0, tags, "app=x"), requests(1, tags, "env=dev")),
            (Some(30), Some(30), Some(15))
        );
        let status = Axis::Word(Dimension::Status);
        assert_eq!((requests(0, status, "5xx"), requests(1, status, "5xx")), (Some(3), None));
        assert_eq!(deltas.sums[&(0, 0)][""].counts.errors, 3);
        let bytes = write_sums(&deltas.sums[&(0, tags.code())]);
        let mut seen = Vec::new();
        read_sums(&bytes, |word, reader| {
            let mut sum = Sum::default();
            sum.merge_from(reader)?;
            seen.push((word.to_owned(), sum.counts.requests));
            Some(())
        })
        .unwrap();
        seen.sort();
        assert_eq!(seen, [("app=x".to_owned(), 30), ("env=dev".to_owned(), 30), ("env=prod".to_owned(), 30)]);
    }

    #[test]
    fn tags_beyond_the_bound_are_other() {
        let mut batch = Batch::default();
        for index in 0..TAG_WORDS_MAX + 7 {
            batch.push(&Record { tags: Some(format!("user={index}").into()), ..sample() });
        }
        let mut deltas = Deltas::default();
        deltas.add(&batch);
        let sums = deltas.sums.iter().find(|((_, axis), _)| *axis == Axis::Word(Dimension::Tags).code()).unwrap().1;
        assert_eq!((sums.len(), sums[OTHER].counts.requests), (TAG_WORDS_MAX + 1, 7));
    }
}
