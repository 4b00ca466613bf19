//! What usage costs: exact sums of exact rates, rounded once.
//!
//! `family` has the families and the table of what is charged where one has no rate. A price allocates nothing and takes one
//! pass over the model's rates (5 to 40) and one over the families.

pub use ringway_adapters::usage::Tariff;
use ringway_adapters::usage::Usage;

pub use family::{FAMILIES, Family, Side};
pub use margin::Margin;
pub use off_peak::{DAILY, Hours, OffPeak};
pub use units::Units;
pub use usd::Usd;

use crate::money::NanoDollars;
use family::COUNT;
use token_bound::TokenBounds;

mod family;
mod margin;
mod off_peak;
mod text;
mod token_bound;
mod units;
mod usd;

/// Sums are in 10⁻²⁷ dollars, so that a thousandth of a second has a whole price.
const SUMS_PER_NANO: u128 = 1_000_000_000_000_000_000;
/// Quantities are in thousandths: only seconds have a fraction.
const THOUSAND: u128 = 1_000;

/// All price families of a model, exact decimals. Compares by value; the order of the rates is fixed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// By family, tariff and tier.
    rates: Box<[Rate]>,
    off_peak: Option<Box<OffPeak>>,
    margin: Margin,
    token_bounds: TokenBounds,
}

/// One rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    pub family: Family,
    pub tariff: Tariff,
    /// It holds for all of a request whose prompt has more tokens than this; 0 for any.
    pub above: u32,
    pub usd: Usd,
}

/// A rate that usage needs and the catalog has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name in the configuration.
    pub rate: &'static str,
}

/// The rate of each family that holds for one request.
type Selected = [Option<Usd>; COUNT];

impl Rates {
    /// Where two rates are for the same, the later one holds.
    pub fn new(rates: impl IntoIterator<Item = Rate>, off_peak: Option<OffPeak>) -> Rates {
        let place = |rate: &Rate| (rate.family, rate.tariff, rate.above);
        let mut sorted: Vec<Rate> = rates.into_iter().collect();
        // The catalog's are in order already.
        if !sorted.is_sorted_by(|one, other| place(one) < place(other)) {
            // The sort is stable: of equals the later one is behind, and is kept.
            sorted.sort_by_key(place);
            sorted.reverse();
            sorted.dedup_by_key(|rate| place(rate));
            sorted.reverse();
        }
        Rates { rates: sorted.into(), off_peak: off_peak.map(Box::new), ..Rates::default() }
    }

    /// No charge for anything: the gateway's own models.
    pub fn free() -> Rates {
        let rate = |family| Rate { family, tariff: Tariff::Standard, above: 0, usd: Usd(0) };
        Rates::new([rate(Family::Input), rate(Family::Output)], None)
    }

    /// These rates with those of `own` in their place: a family that `own` has a rate of takes no other rate from here.
    pub fn overridden_by(&self, own: &[Rate]) -> Rates {
        let is_own = |family: Family| own.iter().any(|rate| rate.family == family);
        let kept = self.rates.iter().filter(|rate| !is_own(rate.family)).copied();
        let off_peak = self.off_peak.as_ref().and_then(|off_peak| {
            let rates: Box<[(Family, Usd)]> = off_peak.rates.iter().filter(|(family, _)| !is_own(*family)).copied().collect();
            (!rates.is_empty()).then(|| OffPeak { windows: off_peak.windows.clone(), rates })
        });
        Rates { margin: self.margin, ..Rates::new(kept.chain(own.iter().copied()), off_peak) }
    }

    pub fn with_margin(self, margin: Margin) -> Rates {
        Rates { margin, ..self }
    }

    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }

    /// Every rate, by family, tariff and tier, without the margin.
    pub fn iter(&self) -> impl Iterator<Item = &Rate> {
        self.rates.iter()
    }

    pub fn off_peak(&self) -> Option<&OffPeak> {
        self.off_peak.as_deref()
    }

    /// The standard rate of the lowest tier, without the margin; what `ringway models` shows.
    pub fn standard(&self, family: Family) -> Option<Usd> {
        self.rates.iter().find(|rate| rate.family == family && rate.tariff == Tariff::Standard && rate.above == 0).map(|rate| rate.usd)
    }

    /// What `usage` costs, summed exactly and rounded once, half-even.
    ///
    /// # Errors
    /// `Missing`.
    pub fn price(&self, usage: &Usage, tariff: Tariff, at_unix_s: u64) -> Result<NanoDollars, Missing> {
        self.price_units(&Units::of(usage), tariff, at_unix_s)
    }

    /// As `price`, for all that is ever charged for.
    ///
    /// # Errors
    /// `Missing`.
    pub fn price_units(&self, units: &Units, tariff: Tariff, at_unix_s: u64) -> Result<NanoDollars, Missing> {
        let mut quantities = units.quantities();
        let selected = self.select(units.input, tariff, at_unix_s);
        for (count, tokens) in [(Family::Image, Family::ImageOutput), (Family::ImageRead, Family::ImageInput)] {
            // An image is charged for once: by its tokens where these are counted and have a rate of their own, else by count.
            if quantities[count as usize] > 0 && selected[count as usize].is_some() {
                let by_token = quantities[tokens as usize] > 0 && selected[tokens as usize].is_some();
                quantities[if by_token { count } else { tokens } as usize] = 0;
            }
        }
        let mut sum = 0u128;
        let mut unpriced: Option<Family> = None;
        // Something that has a rate was counted, beside tokens.
        let mut counted = false;
        for (family, _, side, ..) in FAMILIES {
            let quantity = quantities[*family as usize];
            if quantity == 0 {
                continue;
            }
            let Some(usd) = rate(&selected, *family) else {
                let needed = match side {
                    Side::Input => Some(Family::Input),
                    Side::Output => Some(Family::Output),
                    Side::Unit => units.must_have(*family).then_some(*family),
                };
                unpriced = unpriced.or(needed);
                continue;
            };
            counted |= *side == Side::Unit;
            sum = sum.saturating_add(usd.0.saturating_mul(quantity));
        }
        match unpriced {
            Some(family) if !counted => Err(Missing { rate: family.name() }),
            _ => Ok(self.rounded(sum)),
        }
    }

    /// The most that a request of so many tokens can cost: whatever their split, in whatever tier below them, under the tariff
    /// or the standard one that a provider falls back to, in and out of off-peak hours. What a request counts beside tokens is
    /// not in it, but for the fee of the request itself: see `bound_usage`.
    ///
    /// # Errors
    /// `Missing`.
    pub fn bound(&self, input_max: u64, output_max: u64, tariff: Tariff, at_unix_s: u64) -> Result<NanoDollars, Missing> {
        if tariff != Tariff::Standard {
            return self.bound_usage(&Usage { input: input_max, output: output_max, ..Usage::default() }, tariff, at_unix_s);
        }
        self.token_bounds.of(self, input_max).sum(input_max, output_max).map(|sum| self.rounded(sum))
    }

    /// As `bound`, where more than tokens may be counted: `most` holds the highest figure of each; how its tokens are split
    /// does not matter.
    ///
    /// # Errors
    /// `Missing`.
    pub fn bound_usage(&self, most: &Usage, tariff: Tariff, _at_unix_s: u64) -> Result<NanoDollars, Missing> {
        let units = Units::of(most);
        let quantities = units.quantities();
        let dearest = self.dearest(units.input, tariff);
        let mut sum = 0u128;
        let mut counted = false;
        for (family, _, side, ..) in FAMILIES {
            let quantity = quantities[*family as usize];
            if *side != Side::Unit || quantity == 0 {
                continue;
            }
            // A search may turn out to be of any size.
            let instead = family.instead().iter().chain([family]);
            let Some(usd) = instead.filter_map(|family| dearest[*family as usize]).max() else {
                if units.must_have(*family) {
                    return Err(Missing { rate: family.name() });
                }
                continue;
            };
            counted = true;
            sum = sum.saturating_add(usd.0.saturating_mul(quantity));
        }
        for (side, base, tokens) in [(Side::Input, Family::Input, units.input), (Side::Output, Family::Output, units.output)] {
            let of_side = FAMILIES.iter().filter(|row| row.2 == side).filter_map(|row| dearest[row.0 as usize]).max();
            match of_side {
                _ if tokens == 0 => {}
                Some(usd) if dearest[base as usize].is_some() => {
                    sum = sum.saturating_add(usd.0.saturating_mul(u128::from(tokens) * THOUSAND));
                }
                // Without its base a family may still be charged for where it is the only one that was counted.
                Some(usd) if counted => sum = sum.saturating_add(usd.0.saturating_mul(u128::from(tokens) * THOUSAND)),
                None if counted => {}
                _ => return Err(Missing { rate: base.name() }),
            }
        }
        Ok(self.rounded(sum))
    }

    /// The rates that hold: the highest tier that the prompt is above, in it the asked tariff before the standard one.
    fn select(&self, input: u64, tariff: Tariff, at_unix_s: u64) -> Selected {
        let mut selected: Selected = [None; COUNT];
        let mut ranks = [(0u32, false); COUNT];
        for rate in self.applicable(input, tariff) {
            let index = rate.family as usize;
            let rank = (rate.above, rate.tariff == tariff);
            if selected[index].is_none() || rank >= ranks[index] {
                (selected[index], ranks[index]) = (Some(rate.usd), rank);
            }
        }
        if let Some(off_peak) = &self.off_peak
            && tariff == Tariff::Standard
            && off_peak.open(at_unix_s)
        {
            for (family, usd) in &off_peak.rates {
                selected[*family as usize] = Some(*usd);
            }
        }
        selected
    }

    /// The dearest rate of each family that may come to hold.
    fn dearest(&self, input_max: u64, tariff: Tariff) -> Selected {
        let mut dearest: Selected = [None; COUNT];
        let off_peak = self.off_peak.iter().flat_map(|off_peak| off_peak.rates.iter().copied());
        let rates = self.applicable(input_max, tariff).map(|rate| (rate.family, rate.usd));
        for (family, usd) in rates.chain(off_peak) {
            let dearest = &mut dearest[family as usize];
            *dearest = (*dearest).max(Some(usd));
        }
        dearest
    }

    fn applicable(&self, input: u64, tariff: Tariff) -> impl Iterator<Item = &Rate> {
        self.rates.iter().filter(move |rate| {
            (rate.above == 0 || input > u64::from(rate.above)) && (rate.tariff == Tariff::Standard || rate.tariff == tariff)
        })
    }

    /// The margin, and the one rounding: half-even to nano-dollars. Past the end of the numbers it is the most there is.
    fn rounded(&self, sum: u128) -> NanoDollars {
        let (numerator, denominator) = self.margin.fraction();
        let (Some(product), divisor) = (sum.checked_mul(u128::from(numerator)), SUMS_PER_NANO * u128::from(denominator)) else {
            return NanoDollars(u64::MAX);
        };
        let (whole, rest) = (product / divisor, product % divisor);
        let up = match (rest * 2).cmp(&divisor) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => whole % 2,
            std::cmp::Ordering::Greater => 1,
        };
        NanoDollars(u64::try_from(whole + up).unwrap_or(u64::MAX))
    }
}

fn rate(selected: &Selected, family: Family) -> Option<Usd> {
    selected[family as usize].or_else(|| family.instead().iter().find_map(|other| selected[*other as usize]))
}

#[cfg(test)]
mod tests;
