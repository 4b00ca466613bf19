//! Points in time as people write them: RFC 3339, in Unix milliseconds.

const WRONG: &str =
    "write a date and time, 2027-01-31T18:00:00Z or with +02:00, or a date, 2027-01-31, which means its first moment in UTC";

/// `2027-01-31T18:00:00Z`, `2027-01-31 18:00:00.5+02:00`, `2027-01-31` → Unix milliseconds. RFC 3339 §5.6.
pub(super) fn instant(text: &str) -> Result<u64, String> {
    parse(text).and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| WRONG.to_owned())
}

fn parse(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, "-", [4, 2, 2])?;
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let midnight_ms = days(year, month, day) * 86_400_000;
    if rest.is_empty() {
        return Some(midnight_ms);
    }
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let [hour, minute, second] = numbers(time, ":", [2, 2, 2])?;
    // A leap second is the first moment of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = rest.split_at(rest.find(|c: char| c != '.' && !c.is_ascii_digit())?);
    let ms = match fraction.strip_prefix('.') {
        Some(digits) if !digits.is_empty() && !digits.contains('.') => format!("{digits:0<3}").get(..3)?.parse::<i64>().ok()?,
        None if fraction.is_empty() => 0,
        _ => return None,
    };
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        zone => i64::from(super::units::utc_offset(zone).ok()?),
    };
    let seconds = i64::from(hour) * 3600 + (i64::from(minute) - offset_minutes) * 60 + i64::from(second);
    Some(midnight_ms + seconds * 1000 + ms)
}

/// Numbers of so many digits, with `mark` between them.
fn numbers(text: &str, mark: &str, widths: [usize; 3]) -> Option<[u32; 3]> {
    let mut out = [0; 3];
    let mut parts = text.split(mark);
    for (number, width) in out.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_the_record_writes_them() {
        for (text, ms, written) in [
            ("1970-01-01", 0, "1970-01-01T00:00:00.000Z"),
            ("2027-01-31T18:00:00Z", 1_801_418_400_000, "2027-01-31T18:00:00.000Z"),
            ("2027-01-31 18:00:00.25+02:00", 1_801_411_200_250, "2027-01-31T16:00:00.250Z"),
            ("2028-02-29t23:59:59.9999z", 1_835_481_599_999, "2028-02-29T23:59:59.999Z"),
            ("2026-12-31T23:59:60Z", 1_798_761_600_000, "2027-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(instant(text), Ok(ms), "{text}");
            let mut out = Vec::new();
            crate::record::write_time(ms, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2027-02-29",
            "2027-13-01",
            "2027-1-1",
            "2027-01-31T18:00:00",
            "2027-01-31T24:00:00Z",
            "2027-01-31T18:00Z",
            "2027-01-31T18:00:00.Z",
            "2027-01-31T18:00:00+2",
            "1969-12-31",
            "20270131",
            "2027-01-31Té8:00:00Z",
            "é027-01-311",
        ] {
            assert!(instant(text).is_err(), "{text}");
        }
    }
}
