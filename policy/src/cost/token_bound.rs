//! The bound of a request that counts tokens alone: what `bound_usage` would say, from a few figures that are found once.
//!
//! Every request that falls under a budget asks for it, once for each target: two multiplications instead of a pass over all
//! families. The figures are made at the first question, as most models of a catalog are never asked for.

use std::sync::OnceLock;

use ringway_adapters::usage::{Tariff, Usage};

use super::family::{FAMILIES, Family, Side};
use super::units::Units;
use super::{Missing, Rates, THOUSAND, Usd};

/// The standard tariff's bounds, one for each tier, the lowest tier first.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenBounds(OnceLock<Box<[TokenBound]>>);

impl PartialEq for TokenBounds {
    /// They are made of the rates that they stand beside.
    fn eq(&self, _: &TokenBounds) -> bool {
        true
    }
}

/// What holds for prompts above so many tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBound {
    above: u64,
    /// The fee of the request itself, whatever its tokens.
    fixed: Result<u128, Missing>,
    input: Result<Usd, Missing>,
    output: Result<Usd, Missing>,
}

impl TokenBounds {
    pub(super) fn of(&self, rates: &Rates, input: u64) -> TokenBound {
        let bounds = self.0.get_or_init(|| TokenBound::all(rates));
        let bound = bounds.iter().rev().find(|bound| bound.above == 0 || input > bound.above);
        bound.copied().unwrap_or_else(|| TokenBound::new(rates, 0))
    }
}

impl TokenBound {
    fn all(rates: &Rates) -> Box<[TokenBound]> {
        let mut tiers: Vec<u64> = rates.iter().map(|rate| u64::from(rate.above)).chain([0]).collect();
        tiers.sort_unstable();
        tiers.dedup();
        tiers.into_iter().map(|above| TokenBound::new(rates, above)).collect()
    }

    fn new(rates: &Rates, above: u64) -> TokenBound {
        let dearest = rates.dearest(above.saturating_add(1), Tariff::Standard);
        let (mut sum, mut counted, mut missing) = (0u128, false, None);
        let units = Units::of(&Usage::default());
        let quantities = units.quantities();
        for (family, ..) in FAMILIES.iter().filter(|row| row.2 == Side::Unit && quantities[row.0 as usize] > 0) {
            match family.instead().iter().chain([family]).filter_map(|family| dearest[*family as usize]).max() {
                Some(usd) => {
                    counted = true;
                    sum = sum.saturating_add(usd.0.saturating_mul(quantities[*family as usize]));
                }
                None if units.must_have(*family) => missing = missing.or(Some(Missing { rate: family.name() })),
                None => {}
            }
        }
        let side = |side: Side, base: Family| {
            let of_side = FAMILIES.iter().filter(|row| row.2 == side).filter_map(|row| dearest[row.0 as usize]).max();
            match of_side {
                // Without its base a family may still be charged for where it is the only one that was counted.
                Some(usd) if dearest[base as usize].is_some() || counted => Ok(usd),
                None if counted => Ok(Usd(0)),
                _ => Err(Missing { rate: base.name() }),
            }
        };
        TokenBound {
            above,
            fixed: missing.map_or(Ok(sum), Err),
            input: side(Side::Input, Family::Input),
            output: side(Side::Output, Family::Output),
        }
    }

    /// The most that so many tokens can come to, before margin and rounding.
    ///
    /// # Errors
    /// `Missing`.
    pub(super) fn sum(&self, input: u64, output: u64) -> Result<u128, Missing> {
        let mut sum = self.fixed?;
        for (usd, tokens) in [(self.input, input), (self.output, output)] {
            if tokens > 0 {
                sum = sum.saturating_add(usd?.0.saturating_mul(u128::from(tokens) * THOUSAND));
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Margin, OffPeak, Rate};

    fn rate(family: Family, above: u32, tariff: Tariff, usd: u128) -> Rate {
        Rate { family, tariff, above, usd: Usd(usd) }
    }

    #[test]
    fn it_says_what_the_pass_over_all_families_says() {
        use Family as F;
        use Tariff::{Flex, Standard};
        let off_peak = OffPeak { windows: Box::default(), rates: [(F::Output, Usd(9_000_000))].into() };
        let tables: &[&[Rate]] = &[
            &[],
            &[rate(F::Input, 0, Standard, 3_000_000)],
            &[rate(F::Output, 0, Standard, 5_000_000)],
            &[rate(F::Input, 0, Standard, 3_000_000), rate(F::Output, 0, Standard, 5_000_000)],
            &[
                rate(F::Input, 0, Standard, 3_000_000),
                rate(F::Input, 200, Standard, 6_000_000),
                rate(F::CachedWrite, 1_000, Standard, 9_000_000),
                rate(F::Output, 0, Standard, 5_000_000),
                rate(F::Output, 200, Standard, 4_000_000),
                rate(F::Output, 0, Flex, 50_000_000),
            ],
            &[rate(F::Request, 0, Standard, 7_000_000_000)],
            &[rate(F::Query, 0, Standard, 7_000_000_000), rate(F::Reasoning, 0, Standard, 5_000_000)],
            &[rate(F::AudioInput, 0, Standard, 7_000_000), rate(F::Output, 300, Standard, 5_000_000)],
            &[rate(F::Image, 0, Standard, 7_000_000), rate(F::Page, 0, Standard, 7_000_000)],
        ];
        for table in tables {
            for rates in [
                Rates::new(table.iter().copied(), None),
                Rates::new(table.iter().copied(), Some(off_peak.clone())).with_margin(Margin::default()),
            ] {
                for input in [0, 1, 199, 200, 201, 1_000, 1_001, 1_000_000, u64::MAX] {
                    for output in [0, 1, 4_096, u64::MAX] {
                        let most = Usage { input, output, ..Usage::default() };
                        let (bound, whole) = (rates.bound(input, output, Standard, 0), rates.bound_usage(&most, Standard, 0));
                        assert_eq!(bound, whole, "{input} and {output} of {table:?}");
                    }
                }
            }
        }
    }
}
