//! Durations and rates as people type them: `20ms`, `1.5s`, `5000`, `max`.

use std::time::Duration;

/// Each suffix and how many nanoseconds it stands for; the longest suffixes come first.
const SUFFIXES: &[(&str, f64)] = &[("ms", 1e6), ("us", 1e3), ("µs", 1e3), ("ns", 1.0), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// The longest duration that is accepted: a day.
const DURATION_MAX_NS: f64 = 86_400e9;

/// Reads `20ms`, `1.5s`, `2m`, or a bare `0`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    for (suffix, unit_ns) in SUFFIXES {
        let Some(number) = text.strip_suffix(suffix) else { continue };
        let Ok(number) = number.parse::<f64>() else { continue };
        let total_ns = number * unit_ns;
        if !(0.0..=DURATION_MAX_NS).contains(&total_ns) {
            return Err(format!("duration {text:?} is outside 0 to 24h"));
        }
        return Ok(Duration::from_nanos(total_ns as u64));
    }
    Err(format!("duration {text:?} is not a number with ns, us, ms, s, m or h, like 20ms"))
}

/// How fast requests are issued.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// Open loop, this many a second.
    PerSecond(f64),
    /// Closed loop: each connection asks again as soon as it has its answer.
    Max,
}

/// Reads requests per second, or `max`.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 10_000_000.0 => Ok(Rate::PerSecond(rate)),
        _ => Err(format!("rate {text:?} is not requests per second up to 10000000, or max")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_with_every_suffix() {
        let cases = [("0", 0), ("20ms", 20_000_000), ("1.5s", 1_500_000_000), ("5us", 5_000), ("2m", 120_000_000_000), ("7ns", 7)];
        for (text, nanos) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn durations_without_a_unit_or_out_of_range_are_refused() {
        for text in ["", "20", "ms", "-1s", "25h", "NaNs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_number_or_max() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("5000"), Ok(Rate::PerSecond(5000.0)));
        assert!(parse_rate("0").is_err());
        assert!(parse_rate("fast").is_err());
    }
}
