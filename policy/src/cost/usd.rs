//! Dollars for one unit, exactly: integers of 10⁻²⁴ dollars, read from decimal text and never through a float.

use std::fmt;

/// Decimals that are kept. Price lists hold rates like `2.4414e-07`, and results of binary arithmetic with 17 digits.
pub const DECIMALS: u32 = 24;
/// Powers of ten, as many as fit.
const POWERS: [u128; 39] = {
    let mut powers = [1u128; 39];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};
const POWERS_64: [u64; 20] = {
    let mut powers = [1u64; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};
/// No unit costs more, in whole dollars: it keeps every sum of a request far from the end of `u128`.
const DOLLARS_MAX: u128 = 1_000_000;

/// 10⁻²⁴ dollars for a token, an image, a second …. Zero is free; what is unknown has no `Usd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub u128);

impl Usd {
    /// Reads `0.15`, `1.5e-07`, `0`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Usd, &'static str> {
        Usd::scaled(text, 0)
    }

    /// Reads the price of 10^`exponent` units: `0.15` for a million tokens is 1.5e-07 for one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_per(text: &str, exponent: u32) -> Result<Usd, &'static str> {
        Usd::scaled(text, -i64::from(exponent))
    }

    fn scaled(text: &str, shift: i64) -> Result<Usd, &'static str> {
        const NO_NUMBER: &str = "no decimal number";
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i16>().map_err(|_| NO_NUMBER)?),
            None => (text, 0),
        };
        if digits.starts_with('-') {
            return Err("below zero");
        }
        // A catalog has tens of thousands of these: no allocation, and 128-bit arithmetic only at the end.
        let (mut mantissa, mut zeros, mut decimals, mut point) = (0u64, 0u32, 0i64, None);
        for (index, byte) in digits.bytes().enumerate() {
            match byte {
                b'.' if point.is_none() && index > 0 => point = Some(index),
                b'0' => zeros += 1,
                b'1'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let shifted = POWERS_64.get(zeros as usize + 1).and_then(|power| mantissa.checked_mul(*power));
                    // Zeros before the first digit shift nothing.
                    let shifted = if mantissa == 0 { Some(0) } else { shifted };
                    mantissa = shifted.and_then(|shifted| shifted.checked_add(digit)).ok_or("more digits than a price has")?;
                    zeros = 0;
                    decimals = point.map_or(0, |point| (index - point) as i64);
                }
                _ => return Err(NO_NUMBER),
            }
        }
        if digits.is_empty() || point.is_some_and(|point| point + 1 == digits.len()) {
            return Err(NO_NUMBER);
        }
        if mantissa == 0 {
            return Ok(Usd(0));
        }
        // Zeros behind the last digit that stand before the point.
        let trailing = match point {
            None => i64::from(zeros),
            Some(point) if decimals == 0 => i64::from(zeros) - (digits.len() - point - 1) as i64,
            Some(_) => 0,
        };
        let power = i64::from(DECIMALS) + i64::from(exponent) + shift + trailing - decimals;
        let power = u32::try_from(power).map_err(|_| "finer than 10⁻²⁴ dollars")?;
        let scaled = POWERS.get(power as usize).and_then(|power| u128::from(mantissa).checked_mul(*power));
        scaled.filter(|&scaled| scaled <= DOLLARS_MAX * 10u128.pow(DECIMALS)).map(Usd).ok_or("above a million dollars")
    }

    /// This many times as much.
    pub fn times(self, count: u64) -> Option<Usd> {
        self.0.checked_mul(u128::from(count)).map(Usd)
    }

    /// For a million units, as people read it.
    pub fn per_million(self) -> Usd {
        Usd(self.0.saturating_mul(1_000_000))
    }
}

/// Decimal dollars without exponent and trailing zeros: `0.00000015`, `12.5`, `3`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10u128.pow(DECIMALS);
        let (whole, fraction) = (self.0 / one, self.0 % one);
        if fraction == 0 {
            return f.pad(&whole.to_string());
        }
        let digits = format!("{fraction:024}");
        f.pad(&format!("{whole}.{}", digits.trim_end_matches('0')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_is_read_exactly_with_and_without_an_exponent() {
        for (text, plain) in [
            ("0", "0"),
            ("0.0", "0"),
            ("0e-5", "0"),
            ("1", "1"),
            ("1.50", "1.5"),
            ("5e-07", "0.0000005"),
            ("1.5E-7", "0.00000015"),
            ("2.4414e-07", "0.00000024414"),
            ("120e-7", "0.000012"),
            ("1.0000000000000002e-06", "0.0000010000000000000002"),
            ("1e2", "100"),
            ("0.10", "0.1"),
            ("00012.500", "12.5"),
            ("1020.0", "1020"),
            ("1200", "1200"),
            ("0.1020", "0.102"),
        ] {
            let usd = Usd::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            assert_eq!(usd.to_string(), plain, "{text}");
            assert_eq!(Usd::parse(plain), Ok(usd), "{text}");
        }
        assert_eq!(Usd::parse_per("0.15", 6), Usd::parse("1.5e-07"));
        assert_eq!(Usd::parse("1.5e-07").unwrap().per_million().to_string(), "0.15");
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in [
            "",
            "-1",
            "1.",
            ".5",
            "1e",
            "e5",
            "NaN",
            "1,5",
            "1e-25",
            "1e7",
            "1e99999",
            "+1",
            " 1",
            "1234567890123456789012345678901234567890",
        ] {
            assert!(Usd::parse(text).is_err(), "{text:?}");
        }
    }
}
