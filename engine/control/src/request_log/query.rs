//! Pages of records and single records: newest partition first, newest block first, only as far as it takes.

use std::ops::ControlFlow;
use std::time::Instant;

use serde_json::value::RawValue;

use super::block::{self, CHUNK_ROWS, Lines, Zone};
use super::columns::short;
use super::filter::{Filter, Sieve};
use super::folder::PartitionId;
use super::partition::{self, Broken, Partition, Parts, Span, Which, damaged};
use super::{Cursor, Page, Sources};

/// A page from all sources.
pub(super) fn page(sources: &Sources, filter: &Filter, cursor: Option<Cursor>, limit: usize, until: Instant) -> Page {
    let mut page = Page::default();
    for id in sources.days(filter).into_iter().rev() {
        let end = match cursor {
            Some(cursor) if id > cursor.partition => continue,
            Some(cursor) if id == cursor.partition => cursor.place,
            _ => u64::MAX,
        };
        let mut search = Search { filter, id, end, limit, until, page: &mut page };
        sources.look(id, |partition| search.run(partition));
        if page.next.is_some() {
            break;
        }
    }
    page
}

/// One partition's part of a page.
struct Search<'s> {
    filter: &'s Filter,
    id: PartitionId,
    /// Rows before this place.
    end: u64,
    limit: usize,
    until: Instant,
    page: &'s mut Page,
}

impl Search<'_> {
    fn run(&mut self, partition: &mut Partition) -> Result<(), Broken> {
        let tx = partition.look()?;
        let mut parts = Parts::of(&tx)?;
        let filter = self.filter;
        let span = Span {
            places: 0..self.end,
            from_ms: filter.from_ms.unwrap_or(0),
            to_ms: filter.to_ms.map_or(u64::MAX, |to| to.saturating_sub(1)),
        };
        partition::each_block(&tx, &span, |first, bytes| {
            if Instant::now() >= self.until {
                self.stop_before(first + Zone::read(bytes).map_or(0, |zone| zone.rows) as u64);
                return Ok(ControlFlow::Break(()));
            }
            let zone = Zone::read(bytes).ok_or_else(|| damaged("a block"))?;
            let Some(sieve) = filter.sift(&zone) else { return Ok(ControlFlow::Continue(())) };
            let rows = rows(&zone, &sieve, first, &mut parts)?;
            self.take(first, &rows, &mut parts)
        })
    }

    /// Takes the lines of the rows that are meant, newest first.
    fn take(&mut self, first: u64, rows: &[bool], parts: &mut Parts<'_>) -> Result<ControlFlow<()>, Broken> {
        let mut chunk: Option<(u64, Vec<Box<str>>)> = None;
        for row in (0..rows.len()).rev().filter(|row| rows[*row]) {
            let place = first + row as u64;
            if place >= self.end {
                continue;
            }
            let is_late = row % CHUNK_ROWS == 0 && Instant::now() >= self.until;
            if self.page.records.len() >= self.limit || is_late {
                self.stop_before(place + 1);
                return Ok(ControlFlow::Break(()));
            }
            let wanted = first + (row - row % CHUNK_ROWS) as u64;
            if chunk.as_ref().is_none_or(|(held, _)| *held != wanted) {
                chunk = Some((wanted, lines(parts, wanted)?));
            }
            let line = chunk.as_ref().and_then(|(_, lines)| lines.get(row % CHUNK_ROWS)).ok_or_else(|| damaged("a line"))?;
            if self.filter.text.as_deref().is_some_and(|text| !line.contains(text)) {
                continue;
            }
            let record = RawValue::from_string(line.to_string()).map_err(|_| damaged("a line"))?;
            self.page.records.push(record);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn stop_before(&mut self, place: u64) {
        self.page.next = Some(Cursor { partition: self.id, place });
    }
}

/// The rows of a block that are meant.
pub(super) fn rows(zone: &Zone<'_>, sieve: &Sieve, first: u64, parts: &mut Parts<'_>) -> Result<Vec<bool>, Broken> {
    let mut rows = vec![true; zone.rows];
    if !sieve.words.is_empty() {
        parts.show(Which::Words, first, |bytes| {
            sieve.strike_by_words(&zone.words(bytes)?, &mut rows);
            Some(())
        })?;
    }
    if !sieve.figures.is_empty() && rows.contains(&true) {
        parts.show(Which::Figures, first, |bytes| {
            sieve.strike_by_figures(&zone.figures(bytes)?, &mut rows);
            Some(())
        })?;
    }
    Ok(rows)
}

fn lines(parts: &mut Parts<'_>, chunk: u64) -> Result<Vec<Box<str>>, Broken> {
    parts.show(Which::Lines, chunk, |bytes| Some(Lines::read(bytes)?.iter().map(Into::into).collect()))
}

/// The record with this id, newest partition first.
pub(super) fn one(sources: &Sources, id: &[u8; 16]) -> Option<serde_json::Value> {
    let mut hex = Vec::new();
    ringway_policy::record::write_hex(id, &mut hex);
    let hex = String::from_utf8(hex).unwrap_or_default();
    let mut found = None;
    for partition in sources.days(&Filter::default()).into_iter().rev() {
        sources.look(partition, |partition| {
            found = find(partition, short(id), &hex)?;
            Ok(())
        });
        if found.is_some() {
            break;
        }
    }
    found
}

fn find(partition: &mut Partition, short: u32, hex: &str) -> Result<Option<serde_json::Value>, Broken> {
    let tx = partition.look()?;
    let mut parts = Parts::of(&tx)?;
    let mut places = Vec::new();
    partition::each_ids(&tx, |first, ids| places.extend(block::rows_with_id(ids, short).map(|row| (first, row))))?;
    for (first, row) in places {
        let lines = lines(&mut parts, first + (row - row % CHUNK_ROWS) as u64)?;
        let record: Option<serde_json::Value> = lines.get(row % CHUNK_ROWS).and_then(|line| serde_json::from_str(line).ok());
        if let Some(record) = record.filter(|record| record["id"] == hex) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
