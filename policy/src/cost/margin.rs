//! What is put on a provider's prices, or taken off.

/// A share of the price as an exact fraction; the default is the price itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    numerator: u64,
    denominator: u64,
}

impl Default for Margin {
    fn default() -> Margin {
        Margin { numerator: 1, denominator: 1 }
    }
}

impl Margin {
    /// Reads `10%`, `-12.5%`; the sign of percent may be left out.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Margin, String> {
        const DECIMALS_MAX: usize = 6;
        const PERCENT_MAX: u64 = 10_000;
        let wrong = || "write a percentage from -100% to 10000%: \"10%\", \"-12.5%\", at most six decimals".to_owned();
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS_MAX {
            return Err(wrong());
        }
        let one_percent = 10u64.pow(DECIMALS_MAX as u32);
        let whole = whole.parse::<u64>().ok().filter(|whole| *whole <= PERCENT_MAX).ok_or_else(wrong)?;
        let fraction: u64 = format!("{fraction:0<DECIMALS_MAX$}").parse().map_err(|_| wrong())?;
        let (margin, all) = (whole * one_percent + fraction, 100 * one_percent);
        let numerator = if negative { all.checked_sub(margin) } else { all.checked_add(margin) };
        let numerator = numerator.filter(|_| negative || margin <= PERCENT_MAX * one_percent).ok_or_else(wrong)?;
        let divisor = greatest_common_divisor(numerator, all);
        Ok(Margin { numerator: numerator / divisor, denominator: all / divisor })
    }

    /// Numerator and denominator of the share, without a common divisor.
    pub fn fraction(self) -> (u64, u64) {
        (self.numerator, self.denominator)
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_an_exact_share_of_the_price() {
        for (text, share) in [
            ("10%", (11, 10)),
            ("-12.5%", (7, 8)),
            ("0", (1, 1)),
            ("-100%", (0, 1)),
            ("+3.141592%", (12_892_699, 12_500_000)),
            ("10000%", (101, 1)),
        ] {
            assert_eq!(Margin::parse(text).unwrap().fraction(), share, "{text}");
        }
        assert_eq!(Margin::parse("0%"), Ok(Margin::default()));
        for text in ["", "%", "-100.1%", "10001%", "10000.1%", "1e2%", "ten", "1.", "1.1234567%", "--1%", "99999999999999999999%"] {
            assert!(Margin::parse(text).is_err(), "{text}");
        }
    }
}
