//! Rate-limit fields of answers: when a limit is full again, in the forms that providers write it.

use std::time::Duration;

/// What stands in a `reset` field → how long until then: seconds (`59`, `0.5`), a span (`6m0s`, `12ms`, `1h2m3.5s`) or an RFC 3339
/// time in UTC (`2026-11-20T14:24:00Z`). `None` where it is none of these; a time that has passed is zero.
pub fn until_reset(text: &str, now_unix_ms: u64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    span(text).or_else(|| Some(Duration::from_millis(utc_ms(text)?.saturating_sub(now_unix_ms))))
}

const UNITS: &[(&str, f64)] = &[("ms", 0.001), ("h", 3_600.0), ("m", 60.0), ("s", 1.0)];

fn span(mut text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (name, scale) = UNITS.iter().find(|(name, _)| text[end..].starts_with(name))?;
        seconds += text[..end].parse::<f64>().ok()? * scale;
        text = &text[end + name.len()..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Unix milliseconds of `YYYY-MM-DDTHH:MM:SS[.fff]Z`; fractions are left out.
fn utc_ms(text: &str) -> Option<u64> {
    let body = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let bytes = body.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if bytes.len() < 19 || marks.iter().any(|&(at, mark)| bytes[at] != mark) || !body.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| body[from..to].parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let seconds = number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
    Some((days_since_1970(year, month, day) * 86_400 + seconds) * 1_000)
}

/// H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_read_in_every_form() {
        for (text, ms) in [("59", 59_000), ("0.5", 500), ("12ms", 12), ("1s", 1_000), ("6m0s", 360_000), ("1h2m3.5s", 3_723_500)] {
            assert_eq!(until_reset(text, 0), Some(Duration::from_millis(ms)), "{text}");
        }
        // 2026-11-20T14:24:00Z is 1 795 184 640.
        let now_ms = 1_795_184_630_000;
        for (text, ms) in [("2026-11-20T14:24:00Z", 10_000), ("2026-11-20T14:24:00.123Z", 10_000), ("2020-01-01T00:00:00Z", 0)] {
            assert_eq!(until_reset(text, now_ms), Some(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_reset_says_nothing() {
        for text in
            ["", "-1", "NaN", "inf", "soon", "1x", "s", "2026-13-01T00:00:00Z", "2026-11-20 14:24:00Z", "2026-11-20T1é:24:00Z", "1e400"]
        {
            let found = until_reset(text, 0);
            assert!(found.is_none() || text.is_empty(), "{text}: {found:?}");
        }
    }
}
