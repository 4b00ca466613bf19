//! Durations, periods, sizes and amounts of money as people write them.

use std::time::Duration;

/// No duration in the file is longer than a year.
const DURATION_MAX_MS: u64 = 366 * 86_400_000;

const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// Of limits and budgets: `1mo` is 30 days.
const PERIODS: &[(&str, u64)] =
    &[("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 7 * 86_400_000), ("mo", 30 * 86_400_000)];
const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gib", 1 << 30),
];

/// `500ms`, `2s`, `1.5s`, `10m`, `1h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let ms = scaled(text, DURATIONS).filter(|ms| (1..=DURATION_MAX_MS).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| "write a number with its unit: 500ms, 2s, 10m, 1h, 7d".to_owned())
}

/// `1s`, `1m`, `1h`, `1d`, `1w`, `1mo`.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let ms = scaled(text, PERIODS).filter(|ms| (1_000..=DURATION_MAX_MS).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| "write a number with its unit: 1s, 1m, 1h, 1d, 1w, 1mo".to_owned())
}

/// `+02:00`, `-03:30` → minutes east of UTC.
pub(super) fn utc_offset(text: &str) -> Result<i16, String> {
    let digits = |text: &str, max: i16| {
        let number = (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<i16>().ok())??;
        (number <= max).then_some(number)
    };
    let parsed = || {
        let (sign, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':')?;
        let minutes = digits(hours, 14)? * 60 + digits(minutes, 59)?;
        // No place on earth is further than that from UTC.
        (minutes <= 14 * 60).then_some(sign * minutes)
    };
    parsed().ok_or_else(|| "write hours and minutes east of UTC, from -14:00 to +14:00: \"+02:00\"".to_owned())
}

/// `65536`, `64KiB`, `32MiB`, `1GiB`; K, M and G count in powers of 1024.
pub(super) fn size(text: &str) -> Result<usize, String> {
    const SIZE_MAX: u64 = 4 << 30;
    let bytes = scaled(&text.to_ascii_lowercase(), SIZES).filter(|bytes| (1..=SIZE_MAX).contains(bytes));
    bytes.map(|bytes| bytes as usize).ok_or_else(|| "write a number of bytes: 65536, 64KiB, 32MiB, at most 4GiB".to_owned())
}

/// A decimal amount of dollars → nano-dollars, exactly.
pub(super) fn nano_dollars(text: &str) -> Result<u64, String> {
    decimal(text, 1_000_000_000).ok_or_else(|| "write a decimal amount of dollars: \"50.00\", at most nine decimals".to_owned())
}

/// `NUMBER UNIT` in the smallest unit of `units`.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    decimal(number, factor)
}

/// A decimal times `factor`, `None` where that is no whole number or too large.
fn decimal(text: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || (text.contains('.') && !digits(fraction)) || fraction.len() > 9 {
        return None;
    }
    let divisor = 10u128.pow(fraction.len() as u32);
    let number: u128 =
        whole.parse::<u64>().ok()? as u128 * divisor + if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? };
    let product = number * u128::from(factor);
    if product.is_multiple_of(divisor) { u64::try_from(product / divisor).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        for (text, ms) in [("2s", 2_000), ("10m", 600_000), ("500ms", 500), ("1.5s", 1_500), ("1h", 3_600_000), ("3 s", 3_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "2", "s", "-1s", "0s", "1.s", ".5s", "1.0001ms", "400d", "99999999999999999999s", "1mo", "2 sec"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(period("1mo"), Ok(Duration::from_secs(30 * 86_400)));
        assert!(period("100ms").is_err());
    }

    #[test]
    fn offsets_have_a_sign_and_two_digits_each() {
        for (text, minutes) in [("+02:00", 120), ("-03:30", -210), ("+00:00", 0), ("+14:00", 840)] {
            assert_eq!(utc_offset(text), Ok(minutes), "{text}");
        }
        for text in ["", "2", "02:00", "+2:00", "+14:01", "+02:60", "+0200", "UTC", "é02:00", "+-2:00"] {
            assert!(utc_offset(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit() {
        for (text, bytes) in [("1024", 1024), ("64KiB", 65_536), ("32MB", 32 << 20), ("1g", 1 << 30), ("1.5 k", 1536)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "5T", "8GiB", "1.3b", "k"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn money_is_exact() {
        assert_eq!(nano_dollars("50.00"), Ok(50_000_000_000));
        assert_eq!(nano_dollars("0.000000001"), Ok(1));
        for text in ["", "1e3", "-1", "0.0000000001", "$5", "1,000", "18446744073709551615"] {
            assert!(nano_dollars(text).is_err(), "{text}");
        }
    }
}
