//! A block: up to some thousand records as they lie in a partition, column by column.
//!
//! | part | what | read for |
//! |---|---|---|
//! | `zone` | rows, least and greatest of each figure, each column's words | every query: most blocks need no more |
//! | `words` | which word each row has, 0, 1, 2 or 4 bytes | filters, groups |
//! | `figures` | each figure less the least one, 0, 1, 2, 4 or 8 bytes | times, series |
//! | `ids` | four bytes of each id | one record by its id |
//! | `lines` | the access log's lines, zstd, `CHUNK_ROWS` together | what is shown |
//!
//! A block stands for itself: words are its own, so that no table of names grows without a bound beside it. A record takes
//! some 30 bytes of columns and 100 to 200 of line.

use super::columns::{Batch, Dimension, Figure};
use super::packed::{Column, Reader, width_of, write_column, write_text, write_varint};

/// Most rows of a block; what is read from a disk and says more is broken.
pub(super) const BLOCK_ROWS_MAX: usize = 1 << 16;
/// Lines that are packed together: one that is shown costs unfolding so many.
pub(super) const CHUNK_ROWS: usize = 128;
/// Fast, and lines are so alike that more effort saves little.
const ZSTD_LEVEL: i32 = 1;
/// Most bytes that a chunk of lines may unfold to.
const LINES_BYTES_MAX: usize = 1 << 26;

/// A block's parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Encoded {
    pub rows: usize,
    pub from_ms: u64,
    /// Of the last one.
    pub to_ms: u64,
    pub zone: Vec<u8>,
    pub words: Vec<u8>,
    pub figures: Vec<u8>,
    pub ids: Vec<u8>,
    pub lines: Vec<Vec<u8>>,
}

/// Packs a batch.
pub(super) fn encode(batch: &Batch) -> std::io::Result<Encoded> {
    let rows = batch.rows();
    let mut block = Encoded { rows, ..Encoded::default() };
    write_varint(&mut block.zone, rows as u64);
    for (figure, values) in Figure::ALL.iter().zip(&batch.figures) {
        let (min, max) = values.iter().fold((u64::MAX, 0), |(min, max), value| (min.min(*value), max.max(*value)));
        let min = min.min(max);
        write_varint(&mut block.zone, min);
        write_varint(&mut block.zone, max - min);
        write_column(&mut block.figures, width_of(max - min), values.iter().map(|value| value - min));
        if *figure == Figure::AtMs {
            (block.from_ms, block.to_ms) = (min, max);
        }
    }
    let mut texts = Vec::new();
    for column in &batch.words {
        texts.clear();
        column.texts.iter().for_each(|text| write_text(&mut texts, text));
        write_varint(&mut block.zone, column.texts.len() as u64);
        write_varint(&mut block.zone, texts.len() as u64);
        block.zone.extend_from_slice(&texts);
        write_column(&mut block.words, words_width(column.texts.len()), column.index.iter().map(|place| u64::from(*place)));
    }
    block.ids.reserve(rows * 4);
    batch.ids.iter().for_each(|id| block.ids.extend_from_slice(&id.to_le_bytes()));
    let mut packer = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let mut start = 0;
    for chunk in batch.ends.chunks(CHUNK_ROWS) {
        let end = chunk.last().copied().unwrap_or(start);
        block.lines.push(packer.compress(batch.lines.get(start..end).unwrap_or_default())?);
        start = end;
    }
    Ok(block)
}

fn words_width(count: usize) -> usize {
    width_of(count.saturating_sub(1) as u64)
}

/// The first part of a block, read.
pub(super) struct Zone<'a> {
    pub rows: usize,
    /// Least, and how much more the greatest is.
    figures: [(u64, u64); Figure::ALL.len()],
    /// How many words, and their bytes.
    words: [(usize, &'a [u8]); Dimension::ALL.len()],
}

impl<'a> Zone<'a> {
    /// `None` where the bytes are none of ours.
    pub fn read(bytes: &'a [u8]) -> Option<Zone<'a>> {
        let mut reader = Reader(bytes);
        let rows = usize::try_from(reader.varint()?).ok().filter(|rows| *rows <= BLOCK_ROWS_MAX)?;
        let mut figures = [(0, 0); Figure::ALL.len()];
        for figure in &mut figures {
            *figure = (reader.varint()?, reader.varint()?);
        }
        let mut words = [(0, &[][..]); Dimension::ALL.len()];
        for texts in &mut words {
            let count = usize::try_from(reader.varint()?).ok().filter(|count| *count <= rows)?;
            let len = usize::try_from(reader.varint()?).ok()?;
            let (bytes, rest) = reader.0.split_at_checked(len)?;
            *texts = (count, bytes);
            reader.0 = rest;
        }
        reader.is_empty().then_some(Zone { rows, figures, words })
    }

    /// The words of a column, each once.
    pub fn texts(&self, dimension: Dimension) -> impl Iterator<Item = &'a str> + use<'a> {
        let (count, bytes) = self.words[dimension as usize];
        let mut reader = Reader(bytes);
        (0..count).map(move |_| reader.text().unwrap_or_default())
    }

    pub fn least(&self, figure: Figure) -> u64 {
        self.figures[figure as usize].0
    }

    pub fn greatest(&self, figure: Figure) -> u64 {
        let (least, more) = self.figures[figure as usize];
        least.saturating_add(more)
    }

    /// The columns of words.
    pub fn words<'b>(&self, mut bytes: &'b [u8]) -> Option<[Column<'b>; Dimension::ALL.len()]> {
        let mut columns = [Column::take(&mut &[][..], 0, 0, 0)?; Dimension::ALL.len()];
        for (column, (count, _)) in columns.iter_mut().zip(&self.words) {
            *column = Column::take(&mut bytes, words_width(*count), 0, self.rows)?;
        }
        Some(columns)
    }

    /// The columns of numbers.
    pub fn figures<'b>(&self, mut bytes: &'b [u8]) -> Option<[Column<'b>; Figure::ALL.len()]> {
        let mut columns = [Column::take(&mut &[][..], 0, 0, 0)?; Figure::ALL.len()];
        for (column, (least, more)) in columns.iter_mut().zip(&self.figures) {
            *column = Column::take(&mut bytes, width_of(*more), *least, self.rows)?;
        }
        Some(columns)
    }
}

/// Rows whose id begins like this.
pub(super) fn rows_with_id(ids: &[u8], short: u32) -> impl Iterator<Item = usize> {
    let wanted = short.to_le_bytes();
    ids.chunks_exact(4).enumerate().filter(move |(_, id)| **id == wanted).map(|(row, _)| row)
}

/// A chunk of lines, unfolded.
pub(super) struct Lines {
    text: Vec<u8>,
}

impl Lines {
    /// `None` where the bytes are none of ours.
    pub fn read(bytes: &[u8]) -> Option<Lines> {
        let size = zstd::zstd_safe::get_frame_content_size(bytes).ok()??;
        let size = usize::try_from(size).ok().filter(|size| *size <= LINES_BYTES_MAX)?;
        Some(Lines { text: zstd::bulk::decompress(bytes, size).ok()? })
    }

    /// Each line, without its end.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split(|byte| *byte == b'\n').map(|line| std::str::from_utf8(line).unwrap_or_default()).filter(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use ringway_policy::record::Record;

    use super::*;
    use crate::ledger::sample;

    fn batch() -> Batch {
        let mut batch = Batch::default();
        for index in 0..300_u32 {
            let key = format!("key-{index}");
            let id = std::array::from_fn(|at| (index.to_le_bytes()[at % 4]).wrapping_add(at as u8));
            batch.push(&Record {
                id,
                key: Some(key.as_str().into()),
                at_ms: 1_000_000 + u64::from(index) * 7,
                status: if index % 3 == 0 { 502 } else { 200 },
                ..sample()
            });
        }
        batch
    }

    #[test]
    fn a_block_holds_what_was_put_in() {
        let batch = batch();
        let block = encode(&batch).unwrap();
        let zone = Zone::read(&block.zone).unwrap();
        assert_eq!((zone.rows, block.from_ms, block.to_ms), (300, 1_000_000, 1_000_000 + 299 * 7));
        assert_eq!((zone.least(Figure::InputTokens), zone.greatest(Figure::AtMs)), (10, block.to_ms));
        let (words, figures) = (zone.words(&block.words).unwrap(), zone.figures(&block.figures).unwrap());
        let chunks: Vec<Lines> = block.lines.iter().map(|bytes| Lines::read(bytes).unwrap()).collect();
        for (row, line) in chunks.iter().flat_map(Lines::iter).enumerate() {
            let text = |dimension: Dimension| zone.texts(dimension).nth(words[dimension as usize].at(row) as usize).unwrap();
            assert_eq!(text(Dimension::Key), format!("key-{row}"));
            assert_eq!(text(Dimension::Status), if row % 3 == 0 { "502" } else { "200" });
            assert_eq!(figures[Figure::AtMs as usize].at(row), 1_000_000 + row as u64 * 7);
            assert_eq!(figures[Figure::InputTokens as usize].at(row), 10);
            assert!(line.contains(&format!("\"key-{row}\"")), "{line}");
        }
        assert_eq!(chunks.iter().map(|lines| lines.iter().count()).collect::<Vec<_>>(), [CHUNK_ROWS, CHUNK_ROWS, 300 - 2 * CHUNK_ROWS]);
        assert_eq!(rows_with_id(&block.ids, batch.ids[257]).collect::<Vec<_>>(), [257]);
    }

    #[test]
    fn broken_bytes_are_no_block() {
        let block = encode(&batch()).unwrap();
        for cut in (0..block.zone.len()).step_by(7) {
            assert!(Zone::read(&block.zone[..cut]).is_none(), "{cut}");
        }
        let zone = Zone::read(&block.zone).unwrap();
        assert!(zone.words(&block.words[1..]).is_none());
        assert!(zone.figures(&block.figures[..block.figures.len() - 1]).is_none());
        assert!(Lines::read(&block.lines[0][..block.lines[0].len() / 2]).is_none());
        assert!(Lines::read(b"nothing").is_none());
        for at in (0..block.zone.len()).step_by(11) {
            let mut bytes = block.zone.clone();
            bytes[at] ^= 0x55;
            if let Some(zone) = Zone::read(&bytes) {
                let _ = (zone.words(&block.words).is_some(), zone.figures(&block.figures).is_some());
            }
        }
    }
}
