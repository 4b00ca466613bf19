//! One partition: a SQLite file with blocks, rollups and logged bodies. Every statement that touches it is here.
//!
//! | table | what |
//! |---|---|
//! | `blocks` `words` `figures` `ids` | the parts of a block, under the place of its first row |
//! | `lines` | chunks of lines, under the place of their first row |
//! | `unrolled` | rows whose sums are in no rollup yet: queries add them up one by one |
//! | `minutes` `hours` | rollups, under axis, time and a counter |
//!
//! A row's place counts from 0 in its partition and never changes. All appends go to the right edge of a table, so that a
//! batch touches few pages; there is no index beside the tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, Transaction, TransactionBehavior, params};

use super::block::{BLOCK_ROWS_MAX, CHUNK_ROWS, Encoded};
use super::rollup::{self, Axis, Deltas, Sums};

/// The layout that this code knows.
const VERSION: i64 = 1;
/// How long a statement waits for another process that writes the same file.
const BUSY: Duration = Duration::from_secs(2);
/// Pages that a connection keeps, in KiB.
const CACHE_KIB: i64 = 1024;

const SCHEMA: &str = "
CREATE TABLE blocks (first INTEGER PRIMARY KEY, rows INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, zone BLOB NOT NULL);
CREATE TABLE words (first INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE figures (first INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE ids (first INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE lines (first INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE unrolled (first INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE minutes (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE hours (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
";

/// Why a partition cannot be used.
#[derive(Debug)]
pub(super) enum Broken {
    /// The file is damaged, or is none of ours.
    Damaged(String),
    /// A newer version made it.
    Newer(i64),
    /// The disk is full, the file may not be written, another process holds it …
    Unavailable(String),
}

impl From<rusqlite::Error> for Broken {
    fn from(error: rusqlite::Error) -> Broken {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Broken::Damaged(error.to_string()),
            // A table that is not there, or a column of another kind.
            None | Some(ErrorCode::Unknown | ErrorCode::TypeMismatch) => Broken::Damaged(error.to_string()),
            Some(_) => Broken::Unavailable(error.to_string()),
        }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Damaged(why) => write!(f, "damaged: {why}"),
            Broken::Newer(version) => write!(f, "made by a newer version (layout {version}, this one knows {VERSION})"),
            Broken::Unavailable(why) => f.write_str(why),
        }
    }
}

/// Bytes that are none of ours.
pub(super) fn damaged(what: &str) -> Broken {
    Broken::Damaged(format!("{what} cannot be read"))
}

/// An open partition.
pub(super) struct Partition {
    connection: Connection,
}

impl Partition {
    /// Opens a partition for writing; makes what is missing.
    pub fn write(path: &Path) -> Result<Partition, Broken> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        let version = version(&connection)?;
        if version == 0 {
            connection.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;")?;
        }
        connection.execute_batch(&format!("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -{CACHE_KIB};"))?;
        let mut partition = Partition { connection };
        partition.prepare(version)?;
        Ok(partition)
    }

    /// Opens a partition that is there, for reading; `None` where it holds nothing yet.
    pub fn read(path: &Path) -> Result<Option<Partition>, Broken> {
        // Not read-only: the first reader of a file that was closed well makes the files beside it.
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        match version(&connection)? {
            VERSION => Ok(Some(Partition { connection })),
            0 => Ok(None),
            newer => Err(Broken::Newer(newer)),
        }
    }

    /// A partition that is on no disk.
    pub fn memory() -> Result<Partition, Broken> {
        let mut partition = Partition { connection: Connection::open_in_memory()? };
        partition.prepare(0)?;
        Ok(partition)
    }

    fn prepare(&mut self, version: i64) -> Result<(), Broken> {
        match version {
            VERSION => Ok(()),
            0 => {
                let batch = format!("BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;");
                match self.connection.execute_batch(&batch) {
                    // Another process was first.
                    Err(_) if self::version(&self.connection)? == VERSION => Ok(()),
                    made => Ok(made?),
                }
            }
            newer => Err(Broken::Newer(newer)),
        }
    }

    pub fn begin(&mut self) -> Result<Transaction<'_>, Broken> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// A view that does not change while it is looked at.
    pub fn look(&mut self) -> Result<Transaction<'_>, Broken> {
        Ok(self.connection.transaction()?)
    }

    pub fn bytes(&self) -> Result<u64, Broken> {
        let pragma = |name| self.connection.query_row(name, [], |row| row.get::<_, i64>(0)).map(place);
        Ok(pragma("PRAGMA page_count")?.saturating_mul(pragma("PRAGMA page_size")?))
    }
}

fn version(connection: &Connection) -> Result<i64, Broken> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// SQLite's integers are signed.
fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn place(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The place of the next row.
pub(super) fn next_place(tx: &Transaction<'_>) -> Result<u64, Broken> {
    let mut statement = tx.prepare("SELECT first + rows FROM blocks ORDER BY first DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?.map_or(0, place))
}

/// Adds a block.
pub(super) fn insert(tx: &Transaction<'_>, first: u64, block: &Encoded) -> Result<(), Broken> {
    let first = int(first);
    let head = params![first, block.rows as i64, int(block.from_ms), int(block.to_ms), block.zone];
    tx.execute("INSERT INTO blocks (first, rows, from_ms, to_ms, zone) VALUES (?1, ?2, ?3, ?4, ?5)", head)?;
    tx.execute("INSERT INTO words (first, bytes) VALUES (?1, ?2)", params![first, block.words])?;
    tx.execute("INSERT INTO figures (first, bytes) VALUES (?1, ?2)", params![first, block.figures])?;
    tx.execute("INSERT INTO ids (first, bytes) VALUES (?1, ?2)", params![first, block.ids])?;
    let mut statement = tx.prepare("INSERT INTO lines (first, bytes) VALUES (?1, ?2)")?;
    for (place, chunk) in (first..).step_by(CHUNK_ROWS).zip(&block.lines) {
        statement.execute(params![place, chunk])?;
    }
    Ok(())
}

/// Takes out the blocks from a place on: they are put in again as one.
pub(super) fn take_out(tx: &Transaction<'_>, first: u64) -> Result<(), Broken> {
    for table in ["blocks", "words", "figures", "ids", "lines"] {
        tx.execute(&format!("DELETE FROM {table} WHERE first >= ?1"), [int(first)])?;
    }
    Ok(())
}

/// Notes rows that are in no rollup.
pub(super) fn note_unrolled(tx: &Transaction<'_>, first: u64, rows: usize) -> Result<(), Broken> {
    tx.execute("INSERT INTO unrolled (first, rows) VALUES (?1, ?2)", params![int(first), rows as i64])?;
    Ok(())
}

/// Rollups are numbered by axis, then minute or hour of the day, then a counter.
fn number(axis: u8, at: u16, count: u32) -> i64 {
    i64::from(axis) << 48 | i64::from(at) << 32 | i64::from(count)
}

/// Writes deltas, and takes the rows that they are made of off the list of those that are in none.
pub(super) fn roll(tx: &Transaction<'_>, deltas: &Deltas, unrolled: &[u64]) -> Result<(), Broken> {
    let mut keys: Vec<(u8, u16)> = deltas.sums.keys().map(|(minute, axis)| (*axis, *minute)).collect();
    keys.sort_unstable();
    let closed = hours_of(tx, "hours", 1)?;
    for (axis, minute) in keys {
        let Some(sums) = deltas.sums.get(&(minute, axis)) else { continue };
        let bytes = rollup::write_sums(sums);
        add_rollup(tx, "minutes", axis, minute, &bytes)?;
        if closed.contains(&(minute / 60)) {
            add_rollup(tx, "hours", axis, minute / 60, &bytes)?;
        }
    }
    let mut statement = tx.prepare("DELETE FROM unrolled WHERE first = ?1")?;
    for first in unrolled {
        statement.execute([int(*first)])?;
    }
    Ok(())
}

fn add_rollup(tx: &Transaction<'_>, table: &str, axis: u8, at: u16, bytes: &[u8]) -> Result<(), Broken> {
    let (from, to) = (number(axis, at, 0), number(axis, at, u32::MAX));
    let sql = format!(
        "INSERT INTO {table} (number, bytes) VALUES ((SELECT coalesce(max(number) + 1, ?1) FROM {table} WHERE number BETWEEN ?1 AND ?2), ?3)"
    );
    tx.execute(&sql, params![from, to, bytes])?;
    Ok(())
}

/// Hours of the day that a table has a rollup of; `minutes` has 60 of them in each.
fn hours_of(tx: &Transaction<'_>, table: &str, per_hour: u16) -> Result<Vec<u16>, Broken> {
    let mut statement = tx.prepare(&format!("SELECT number FROM {table} WHERE number < ?1"))?;
    let mut rows = statement.query([number(1, 0, 0)])?;
    let mut hours = Vec::new();
    while let Some(row) = rows.next()? {
        let hour = (row.get::<_, i64>(0)? >> 32) as u16 / per_hour;
        if hours.last() != Some(&hour) {
            hours.push(hour);
        }
    }
    Ok(hours)
}

/// Adds the minutes of hours before `end` up, where that is not done yet.
pub(super) fn close_hours(tx: &Transaction<'_>, end: u16) -> Result<(), Broken> {
    let closed = hours_of(tx, "hours", 1)?;
    let open: Vec<u16> = hours_of(tx, "minutes", 60)?.into_iter().filter(|hour| *hour < end && !closed.contains(hour)).collect();
    for hour in open {
        for axis in Axis::ROLLED {
            let mut sums = Sums::default();
            each_rollup(tx, "minutes", axis, hour * 60..hour * 60 + 60, |_, bytes| {
                rollup::read_sums(bytes, |word, reader| match sums.get_mut(word) {
                    Some(sum) => sum.merge_from(reader),
                    None => sums.entry(word.into()).or_default().merge_from(reader),
                })
                .ok_or_else(|| damaged("a rollup"))
            })?;
            if !sums.is_empty() {
                add_rollup(tx, "hours", axis.code(), hour, &rollup::write_sums(&sums))?;
            }
        }
    }
    Ok(())
}

/// Shows the rollups of an axis: of minutes of the day in `at`.
fn each_rollup(
    tx: &Transaction<'_>,
    table: &str,
    axis: Axis,
    at: std::ops::Range<u16>,
    mut show: impl FnMut(u16, &[u8]) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let mut statement = tx.prepare(&format!("SELECT number, bytes FROM {table} WHERE number >= ?1 AND number < ?2 ORDER BY number"))?;
    let mut rows = statement.query([number(axis.code(), at.start, 0), number(axis.code(), at.end, 0)])?;
    while let Some(row) = rows.next()? {
        let at = (row.get::<_, i64>(0)? >> 32) as u16;
        show(at, row.get_ref(1)?.as_blob().map_err(|_| damaged("a rollup"))?)?;
    }
    Ok(())
}

/// How fine a query wants its rollups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    Minute,
    /// Whole hours where they are added up already.
    Hour,
}

/// Shows the rollups of an axis in minutes of the day, each with its first minute. Hours stand for their minutes where the grain
/// allows it and the span holds all of them.
pub(super) fn each_sum(
    tx: &Transaction<'_>,
    axis: Axis,
    grain: Grain,
    minutes: std::ops::Range<u16>,
    mut show: impl FnMut(u16, &[u8]) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let closed = if grain == Grain::Hour { hours_of(tx, "hours", 1)? } else { Vec::new() };
    let whole: Vec<u16> = closed.into_iter().filter(|hour| hour * 60 >= minutes.start && hour * 60 + 60 <= minutes.end).collect();
    let mut from = minutes.start;
    for hour in whole {
        if from < hour * 60 {
            each_rollup(tx, "minutes", axis, from..hour * 60, &mut show)?;
        }
        each_rollup(tx, "hours", axis, hour..hour + 1, |hour, bytes| show(hour * 60, bytes))?;
        from = hour * 60 + 60;
    }
    each_rollup(tx, "minutes", axis, from..minutes.end, show)
}

/// Rows that are in no rollup, as ranges of places that do not touch.
pub(super) fn unrolled(tx: &Transaction<'_>) -> Result<Vec<std::ops::Range<u64>>, Broken> {
    let mut statement = tx.prepare("SELECT first, first + rows FROM unrolled ORDER BY first")?;
    let mut rows = statement.query([])?;
    let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
    while let Some(row) = rows.next()? {
        let (from, to) = (place(row.get(0)?), place(row.get(1)?));
        match ranges.last_mut() {
            Some(last) if last.end == from => last.end = to,
            _ => ranges.push(from..to),
        }
    }
    Ok(ranges)
}

/// Statements that read parts of blocks.
pub(super) struct Parts<'c> {
    words: Statement<'c>,
    figures: Statement<'c>,
    lines: Statement<'c>,
}

/// Which part of a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Words,
    Figures,
    Lines,
}

impl<'c> Parts<'c> {
    pub fn of(tx: &'c Transaction<'_>) -> Result<Parts<'c>, Broken> {
        let read = |table: &str| tx.prepare(&format!("SELECT bytes FROM {table} WHERE first = ?1"));
        Ok(Parts { words: read("words")?, figures: read("figures")?, lines: read("lines")? })
    }

    /// Shows one part.
    pub fn show<T>(&mut self, which: Which, first: u64, show: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, Broken> {
        let statement = match which {
            Which::Words => &mut self.words,
            Which::Figures => &mut self.figures,
            Which::Lines => &mut self.lines,
        };
        let mut rows = statement.query([int(first)])?;
        let row = rows.next()?.ok_or_else(|| damaged("a part of a block"))?;
        row.get_ref(0)?.as_blob().ok().and_then(show).ok_or_else(|| damaged("a part of a block"))
    }
}

/// Which blocks a query looks at.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// Places, the end exclusive.
    pub places: std::ops::Range<u64>,
    /// Unix milliseconds, both inclusive.
    pub from_ms: u64,
    pub to_ms: u64,
}

/// Shows the blocks of a span with their zones, newest first, until told to stop.
pub(super) fn each_block(
    tx: &Transaction<'_>,
    span: &Span,
    mut show: impl FnMut(u64, &[u8]) -> Result<std::ops::ControlFlow<()>, Broken>,
) -> Result<(), Broken> {
    // No block begins further before a place that it holds.
    let sql = "SELECT first, zone FROM blocks
               WHERE first < ?1 AND first > ?5 AND first + rows > ?2 AND to_ms >= ?3 AND from_ms <= ?4 ORDER BY first DESC";
    let mut statement = tx.prepare(sql)?;
    let earliest = int(span.places.start).saturating_sub(BLOCK_ROWS_MAX as i64);
    let bounds = [int(span.places.end), int(span.places.start), int(span.from_ms), int(span.to_ms), earliest];
    let mut rows = statement.query(bounds)?;
    while let Some(row) = rows.next()? {
        let zone = row.get_ref(1)?.as_blob().map_err(|_| damaged("a block"))?;
        if show(place(row.get(0)?), zone)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Shows the first bytes of all ids, block by block, newest first.
pub(super) fn each_ids(tx: &Transaction<'_>, mut show: impl FnMut(u64, &[u8])) -> Result<(), Broken> {
    let mut statement = tx.prepare("SELECT first, bytes FROM ids ORDER BY first DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        show(place(row.get(0)?), row.get_ref(1)?.as_blob().map_err(|_| damaged("ids"))?);
    }
    Ok(())
}
