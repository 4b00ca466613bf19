//! Numbers in few bytes: varints, and columns of one width each. What is read from a disk is checked, never trusted.

/// Appends `value`, seven bits a byte.
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a text with its length before it.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what `write_varint` and `write_text` wrote; `None` where the bytes end or are none of ours.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Bytes that a value up to `max` takes in a column: 0, 1, 2, 4 or 8.
pub(super) fn width_of(max: u64) -> usize {
    match max {
        0 => 0,
        0x1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Appends a column of values up to `width` bytes.
pub(super) fn write_column(out: &mut Vec<u8>, width: usize, values: impl Iterator<Item = u64>) {
    match width {
        0 => {}
        1 => out.extend(values.map(|value| value as u8)),
        _ => values.for_each(|value| out.extend_from_slice(&value.to_le_bytes()[..width])),
    }
}

/// A column as it lies in a block.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    bytes: &'a [u8],
    width: usize,
    /// What is added to each value.
    base: u64,
}

impl<'a> Column<'a> {
    /// Takes a column of `rows` values off the front of `bytes`.
    pub fn take(bytes: &mut &'a [u8], width: usize, base: u64, rows: usize) -> Option<Column<'a>> {
        let (column, rest) = bytes.split_at_checked(width.checked_mul(rows)?)?;
        *bytes = rest;
        Some(Column { bytes: column, width, base })
    }

    /// The value of a row; the base where there is none.
    #[inline]
    pub fn at(&self, row: usize) -> u64 {
        let stored = match self.width {
            0 => 0,
            1 => self.bytes.get(row).copied().map_or(0, u64::from),
            2 => self.bytes.get(row * 2..row * 2 + 2).map_or(0, |pair| u64::from(u16::from_le_bytes([pair[0], pair[1]]))),
            4 => self
                .bytes
                .get(row * 4..row * 4 + 4)
                .and_then(|four| four.try_into().ok())
                .map_or(0, |four| u64::from(u32::from_le_bytes(four))),
            _ => self.bytes.get(row * 8..row * 8 + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes),
        };
        self.base.wrapping_add(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back() {
        let values = [0, 1, 127, 128, 16_383, 16_384, u64::MAX];
        let mut bytes = Vec::new();
        values.iter().for_each(|value| write_varint(&mut bytes, *value));
        write_text(&mut bytes, "größe");
        let mut reader = Reader(&bytes);
        for value in values {
            assert_eq!(reader.varint(), Some(value));
        }
        assert_eq!(reader.text(), Some("größe"));
        assert!(reader.is_empty());
        for cut in 0..bytes.len() {
            let mut reader = Reader(&bytes[..cut]);
            while reader.varint().is_some() {}
        }
        assert_eq!(Reader(&[0xff; 11]).varint(), None);
        assert_eq!(Reader(&[200, 1, 2]).text(), None);
    }

    #[test]
    fn a_column_comes_back_at_every_width() {
        for (max, width) in [(0, 0), (255, 1), (256, 2), (65_536, 4), (1 << 32, 8)] {
            assert_eq!(width_of(max), width);
            let values = [0, max / 2, max];
            let mut bytes = Vec::new();
            write_column(&mut bytes, width, values.into_iter());
            bytes.push(9);
            let mut left = bytes.as_slice();
            let column = Column::take(&mut left, width, 7, 3).unwrap();
            assert_eq!(left, [9]);
            assert_eq!([0, 1, 2].map(|row| column.at(row)), values.map(|value| value + 7));
            assert!(width == 0 || Column::take(&mut &bytes[..width], width, 0, 3).is_none());
        }
    }
}
