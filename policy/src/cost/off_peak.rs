//! Hours in which a provider charges less, in UTC.

use super::{Family, Usd};

const DAY_MINUTES: u16 = 1440;
/// Every day of the week.
pub const DAILY: u8 = 0x7f;

/// Rates that hold in some hours.
#[derive(Clone, Debug, PartialEq)]
pub struct OffPeak {
    /// They hold while any of these is open.
    pub windows: Box<[Hours]>,
    pub rates: Box<[(Family, Usd)]>,
}

impl OffPeak {
    pub fn open(&self, at_unix_s: u64) -> bool {
        let minute = (at_unix_s / 60 % u64::from(DAY_MINUTES)) as u16;
        // The epoch began on a Thursday; bit 0 is Monday.
        let day = 1u8 << ((at_unix_s / 86_400 + 3) % 7);
        self.windows.iter().any(|hours| hours.days & day != 0 && hours.holds(minute))
    }
}

/// From one minute of the day to before another; through midnight where the end is not behind the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Bit 0 is Monday. It is the day of the instant itself, also behind midnight.
    pub days: u8,
    pub from: u16,
    pub to: u16,
}

impl Hours {
    /// Reads `16:30-00:30`; equal ends are the whole day.
    pub fn parse(text: &str, days: u8) -> Option<Hours> {
        let (from, to) = text.trim().split_once('-')?;
        Some(Hours { days, from: minute(from)?, to: minute(to)? })
    }

    fn holds(self, minute: u16) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

/// `16:30`, and `24:00` for the day's end.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |part: &str| (part.len() <= 2).then(|| part.parse::<u16>().ok()).flatten();
    let minute = two(hour)? * 60 + two(minute).filter(|minute| *minute < 60)?;
    (minute <= DAY_MINUTES).then_some(minute % DAY_MINUTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20, a Friday, 00:00 UTC.
    const FRIDAY: u64 = 1_795_132_800;

    fn at(hour: u64, minute: u64) -> u64 {
        FRIDAY + hour * 3_600 + minute * 60
    }

    #[test]
    fn hours_go_through_midnight_and_end_before_their_end() {
        let off_peak = OffPeak { windows: [Hours::parse("16:30-00:30", DAILY).unwrap()].into(), rates: [].into() };
        for (hour, minute, open) in [(16, 29, false), (16, 30, true), (23, 59, true), (0, 0, true), (0, 29, true), (0, 30, false)] {
            assert_eq!(off_peak.open(at(hour, minute)), open, "{hour}:{minute}");
        }
        let always = OffPeak { windows: [Hours::parse("05:00-05:00", DAILY).unwrap()].into(), rates: [].into() };
        assert!((0..24).all(|hour| always.open(at(hour, 0))));
    }

    #[test]
    fn days_are_those_of_the_instant() {
        let friday = OffPeak { windows: [Hours::parse("00:00-24:00", 1 << 4).unwrap()].into(), rates: [].into() };
        assert!(friday.open(at(0, 0)) && friday.open(at(23, 59)));
        assert!(!friday.open(at(24, 0)) && !friday.open(FRIDAY - 1));
    }

    #[test]
    fn what_is_no_span_of_hours_is_refused() {
        for text in ["", "16:30", "25:00-01:00", "16:60-17:00", "a-b", "1:2:3-4:5"] {
            assert_eq!(Hours::parse(text, DAILY), None, "{text}");
        }
    }
}
