//! Durations and sizes as flags write them: `500ms`, `2s`, `10m`, `64KiB`, `32MiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Bytes with their unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

/// From the largest down, so that a value is shown in the largest unit that divides it.
const SPAN_UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: &[(&str, usize)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let (number, unit) = split(text);
        let milliseconds = number.and_then(|number: u64| {
            let (_, factor) = SPAN_UNITS.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*factor)
        });
        milliseconds
            .map(|ms| Span(Duration::from_millis(ms)))
            .ok_or_else(|| "write a whole number with its unit: 500ms, 2s, 10m, 1h".into())
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let (number, unit) = split(text);
        let unit = if unit.is_empty() { "B" } else { unit };
        let bytes = number.and_then(|number: usize| {
            let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
            number.checked_mul(*factor)
        });
        bytes.map(Size).ok_or_else(|| "write a whole number with its unit: 512B, 64KiB, 32MiB, 1GiB".into())
    }
}

fn split<T: FromStr>(text: &str) -> (Option<T>, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.parse().ok(), unit.trim())
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis() as u64;
        let (unit, factor) = SPAN_UNITS.iter().find(|(_, factor)| ms > 0 && ms.is_multiple_of(*factor)).unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", ms / factor)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["0ms", "500ms", "10s", "75s", "10m", "1h", "90s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["0B", "512B", "64KiB", "32MiB", "1GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("120s".parse::<Span>().unwrap().to_string(), "2m");
        assert_eq!("65536".parse::<Size>(), Ok(Size(65_536)));
        assert_eq!("64kib".parse::<Size>(), Ok(Size(65_536)));
    }

    #[test]
    fn nonsense_says_what_to_write() {
        for text in ["", "5", "s", "1.5s", "-1s", "5 years", "99999999999999999999s"] {
            assert!(text.parse::<Span>().unwrap_err().contains("500ms"), "{text}");
        }
        for text in ["", "x", "5 apples", "99999999999999999999B", "18446744073709551615GiB"] {
            assert!(text.parse::<Size>().unwrap_err().contains("64KiB"), "{text}");
        }
    }
}
