//! Rates as text, the form of the catalog: `input=0.00000015 input.above-200000=0.0000003 output.priority=0.000001`.

use std::fmt;

use super::{DAILY, Family, Hours, OffPeak, Rate, Rates, Tariff, Usd};

/// What stands in for a part that a model does not have.
const NONE: &str = "-";

impl Rates {
    /// Reads rates and off-peak hours, either of which may be `-`. `None` where anything is not as `Display` writes it.
    pub fn parse(rates: &str, off_peak: &str) -> Option<Rates> {
        let words = rates.split(' ').filter(|word| *word != NONE);
        // One allocation a model, of the size that stays.
        let mut list = Vec::with_capacity(rates.bytes().filter(|byte| *byte == b' ').count() + 1);
        for word in words {
            list.push(rate(word)?);
        }
        let off_peak = if off_peak == NONE { None } else { Some(parse_off_peak(off_peak)?) };
        Some(Rates::new(list, off_peak))
    }

    /// The off-peak column.
    pub fn off_peak_text(&self) -> String {
        let Some(off_peak) = &self.off_peak else { return NONE.to_owned() };
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let hours = off_peak.windows.iter().map(|hours| match hours.days {
            DAILY => format!("{}-{}", clock(hours.from), clock(hours.to)),
            days => format!("{}-{}/{days}", clock(hours.from), clock(hours.to)),
        });
        let rates = off_peak.rates.iter().map(|(family, usd)| format!("{}={usd}", family.name()));
        hours.chain(rates).collect::<Vec<_>>().join(" ")
    }
}

/// The rates' column.
impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rates.is_empty() {
            return f.write_str(NONE);
        }
        for (index, rate) in self.rates.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " " })?;
            f.write_str(rate.family.name())?;
            if rate.above > 0 {
                write!(f, ".above-{}", rate.above)?;
            }
            if rate.tariff != Tariff::Standard {
                write!(f, ".{}", rate.tariff.name())?;
            }
            write!(f, "={}", rate.usd)?;
        }
        Ok(())
    }
}

fn rate(word: &str) -> Option<Rate> {
    let (name, usd) = word.split_once('=')?;
    let mut parts = name.split('.');
    let mut rate = Rate { family: Family::from_name(parts.next()?)?, tariff: Tariff::Standard, above: 0, usd: Usd::parse(usd).ok()? };
    for part in parts {
        match part.strip_prefix("above-") {
            Some(tokens) => rate.above = tokens.parse().ok()?,
            None => rate.tariff = Tariff::WORDS.iter().find(|(word, _)| *word == part)?.1,
        }
    }
    Some(rate)
}

fn parse_off_peak(text: &str) -> Option<OffPeak> {
    let (mut windows, mut rates) = (Vec::new(), Vec::new());
    for word in text.split(' ') {
        match word.split_once('=') {
            Some((name, usd)) => rates.push((Family::from_name(name)?, Usd::parse(usd).ok()?)),
            None => {
                let (hours, days) = word.split_once('/').unwrap_or((word, ""));
                let days = if days.is_empty() { DAILY } else { days.parse().ok()? };
                windows.push(Hours::parse(hours, days)?);
            }
        }
    }
    Some(OffPeak { windows: windows.into(), rates: rates.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_they_are_read() {
        let text =
            "input=0.00000015 input.above-200000=0.0000003 input.priority=0.000001 input.above-200000.priority=2 output=0 search=0.01";
        let off_peak = "16:30-00:30 00:00-00:00/96 input=0.00000001";
        let rates = Rates::parse(text, off_peak).unwrap();
        assert_eq!((rates.to_string().as_str(), rates.off_peak_text().as_str()), (text, off_peak));
        assert_eq!(Rates::parse("-", "-").unwrap(), Rates::default());
        assert_eq!((Rates::default().to_string().as_str(), Rates::default().off_peak_text().as_str()), ("-", "-"));
        for (text, off_peak) in [("input", "-"), ("inputs=1", "-"), ("input.slow=1", "-"), ("input=x", "-"), ("input=1", "16:30")] {
            assert_eq!(Rates::parse(text, off_peak), None, "{text} {off_peak}");
        }
    }
}
