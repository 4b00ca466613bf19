//! Money: integer nano-dollars.

use std::fmt;

/// 10⁻⁹ US dollars. Never negative: a refund is the part of a reservation that was not used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoDollars(pub u64);

const PER_DOLLAR: u64 = 1_000_000_000;

impl NanoDollars {
    pub fn saturating_add(self, other: NanoDollars) -> NanoDollars {
        NanoDollars(self.0.saturating_add(other.0))
    }
}

/// Decimal dollars without trailing zeros: `0.000123`, `12.5`, `3`.
impl fmt::Display for NanoDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / PER_DOLLAR, self.0 % PER_DOLLAR);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_reads_as_decimal_dollars() {
        for (nanos, text) in [(0, "0"), (1, "0.000000001"), (123_000, "0.000123"), (12_500_000_000, "12.5"), (3_000_000_000, "3")] {
            assert_eq!(NanoDollars(nanos).to_string(), text);
        }
    }
}
