//! Where a window ends: from its first spend, or at the calendar's next edge. Days have 24 hours: an offset is fixed.

use super::{CalendarUnit, Window};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const MINUTE_MS: i64 = 60_000;
/// 1970-01-05 was a Monday.
const FIRST_MONDAY: i64 = 4;

/// The end of the window that `unix_ms` begins or lies in.
pub(super) fn end_ms(window: Window, unix_ms: u64) -> u64 {
    match window {
        Window::FirstSpend { per_ms } => unix_ms.saturating_add(per_ms.max(1)),
        Window::Calendar { unit, offset_minutes } => edge(unit, offset_minutes, unix_ms, 1),
    }
}

/// The beginning of the window that ends at `end_ms`.
pub(super) fn start_ms(window: Window, end_ms: u64) -> u64 {
    match window {
        Window::FirstSpend { per_ms } => end_ms.saturating_sub(per_ms.max(1)),
        Window::Calendar { unit, offset_minutes } => edge(unit, offset_minutes, end_ms.saturating_sub(1), 0),
    }
}

/// The edge at or before `unix_ms`, or `later` edges after that.
fn edge(unit: CalendarUnit, offset_minutes: i16, unix_ms: u64, later: i64) -> u64 {
    let offset = i64::from(offset_minutes) * MINUTE_MS;
    let local = i64::try_from(unix_ms).unwrap_or(i64::MAX / 2).min(i64::MAX / 2) + offset;
    let day = local.div_euclid(DAY_MS);
    let edge = match unit {
        CalendarUnit::Hour => (local.div_euclid(HOUR_MS) + later) * HOUR_MS,
        CalendarUnit::Day => (day + later) * DAY_MS,
        CalendarUnit::Week => (day - (day - FIRST_MONDAY).rem_euclid(7) + 7 * later) * DAY_MS,
        CalendarUnit::Month { first_day } => {
            let first_day = i64::from(first_day.clamp(1, 28));
            let (year, month, day_of_month) = civil(day);
            let month = year * 12 + (month - 1) - i64::from(day_of_month < first_day) + later;
            days(month.div_euclid(12), month.rem_euclid(12) + 1, first_day) * DAY_MS
        }
    };
    u64::try_from(edge - offset).unwrap_or(0)
}

/// Days since 1970-01-01 of a date. Years are counted from March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month, day of a day since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * month_from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix_ms(year: i64, month: i64, day: i64, hour: i64) -> u64 {
        (days(year, month, day) * DAY_MS + hour * HOUR_MS) as u64
    }

    fn window(unit: CalendarUnit, offset_minutes: i16) -> Window {
        Window::Calendar { unit, offset_minutes }
    }

    #[test]
    fn days_and_dates_agree_for_four_centuries() {
        assert_eq!((days(1970, 1, 1), days(2000, 3, 1), days(2026, 11, 20)), (0, 11_017, 20_777));
        let mut expected = (1970, 1, 1);
        for day in 0..146_097 {
            assert_eq!(civil(day), expected);
            let (year, month, date) = expected;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            expected = match (date < length, month < 12) {
                (true, _) => (year, month, date + 1),
                (false, true) => (year, month + 1, 1),
                (false, false) => (year + 1, 1, 1),
            };
        }
    }

    #[test]
    fn windows_end_at_the_calendars_edges() {
        // 2026-11-20 is a Friday.
        let at = unix_ms(2026, 11, 20, 13) + 1;
        let month = |first_day| CalendarUnit::Month { first_day };
        for (unit, offset, start, end) in [
            (CalendarUnit::Hour, 0, unix_ms(2026, 11, 20, 13), unix_ms(2026, 11, 20, 14)),
            (CalendarUnit::Day, 0, unix_ms(2026, 11, 20, 0), unix_ms(2026, 11, 21, 0)),
            (CalendarUnit::Day, 120, unix_ms(2026, 11, 19, 22), unix_ms(2026, 11, 20, 22)),
            (CalendarUnit::Day, -600, unix_ms(2026, 11, 20, 10), unix_ms(2026, 11, 21, 10)),
            (CalendarUnit::Day, 840, unix_ms(2026, 11, 20, 10), unix_ms(2026, 11, 21, 10)),
            (CalendarUnit::Week, 0, unix_ms(2026, 11, 16, 0), unix_ms(2026, 11, 23, 0)),
            (month(1), 0, unix_ms(2026, 11, 1, 0), unix_ms(2026, 12, 1, 0)),
            (month(20), 0, unix_ms(2026, 11, 20, 0), unix_ms(2026, 12, 20, 0)),
            (month(21), 0, unix_ms(2026, 10, 21, 0), unix_ms(2026, 11, 21, 0)),
        ] {
            let window = window(unit, offset);
            assert_eq!((start_ms(window, end), end_ms(window, at)), (start, end), "{window:?}");
            assert_eq!(end_ms(window, start), end, "an edge begins its window: {window:?}");
            assert_eq!(end_ms(window, end - 1), end, "{window:?}");
        }
    }

    #[test]
    fn months_go_over_the_year_and_the_leap_day() {
        let month = |first_day| window(CalendarUnit::Month { first_day }, 0);
        assert_eq!(end_ms(month(1), unix_ms(2026, 12, 31, 23)), unix_ms(2027, 1, 1, 0));
        assert_eq!(end_ms(month(15), unix_ms(2027, 1, 1, 0)), unix_ms(2027, 1, 15, 0));
        assert_eq!(end_ms(month(28), unix_ms(2028, 2, 29, 0)), unix_ms(2028, 3, 28, 0));
        assert_eq!(start_ms(month(15), unix_ms(2027, 1, 15, 0)), unix_ms(2026, 12, 15, 0));
    }
}
