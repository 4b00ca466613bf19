//! A rate as GCRA, in exact integers: the theoretical arrival time is kept in parts of a unit's own interval.
//!
//! A unit is `1 << shift` ticks, and a tick at least an eighth of a nanosecond. A spend of whole units is a whole number of
//! ticks, so nothing is rounded where it could add up; the clock is read into ticks anew each time.

const TICKS_PER_NS: u64 = 8;
/// Leaves two bits for a tag. Nine years of nanoseconds.
pub(super) const TICKS_MAX: u64 = (1 << 62) - 1;

/// A burst of `count`, refilled at `count` in `per_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gcra {
    count: u64,
    per_ns: u64,
    shift: u32,
}

impl Gcra {
    pub fn new(count: u64, per_ns: u64) -> Gcra {
        let (count, per_ns) = (count.max(1), per_ns.max(1));
        let shift = (per_ns.saturating_mul(TICKS_PER_NS) / count).checked_ilog2().unwrap_or(0);
        Gcra { count, per_ns, shift }
    }

    fn clock(self, now_ns: u64) -> u64 {
        let ticks = u128::from(now_ns) * (u128::from(self.count) << self.shift) / u128::from(self.per_ns);
        ticks.min(u128::from(TICKS_MAX)) as u64
    }

    /// Units that are not refilled at `now_ns`.
    pub fn unrefilled(self, arrival: u64, now_ns: u64) -> u64 {
        arrival.saturating_sub(self.clock(now_ns)).div_ceil(1 << self.shift)
    }

    /// The arrival time after a spend.
    pub fn spend(self, arrival: u64, units: u64, now_ns: u64) -> u64 {
        let ticks = u128::from(arrival.max(self.clock(now_ns))) + (u128::from(units) << self.shift);
        ticks.min(u128::from(TICKS_MAX)) as u64
    }

    /// Nanoseconds until no more than `units` are unrefilled: true then, and not one earlier.
    pub fn wait_ns(self, arrival: u64, units: u64, now_ns: u64) -> u64 {
        let target = u128::from(arrival).saturating_sub(u128::from(units) << self.shift);
        let at_ns = (target * u128::from(self.per_ns)).div_ceil(u128::from(self.count) << self.shift);
        u64::try_from(at_ns).unwrap_or(u64::MAX).saturating_sub(now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const RATES: &[(u64, u64)] = &[
        (1, SECOND),
        (7, 60 * SECOND),
        (60, 60 * SECOND),
        (100_003, 60 * SECOND),
        (3_000_000_000, SECOND),
        (3, 30 * 86_400 * SECOND),
        (1, 366 * 86_400 * SECOND),
    ];

    #[test]
    fn a_full_burst_comes_back_in_its_time_and_no_sooner() {
        for (count, per_ns) in RATES {
            let gcra = Gcra::new(*count, *per_ns);
            let start = 123_456_789_012_345;
            let arrival = gcra.spend(0, *count, start);
            assert_eq!(gcra.unrefilled(arrival, start), *count, "{gcra:?}");
            let wait = gcra.wait_ns(arrival, 0, start);
            assert!(wait.abs_diff(*per_ns) <= 1, "{gcra:?}: {wait}");
            assert_eq!(gcra.unrefilled(arrival, start + wait), 0, "{gcra:?}");
            assert!(gcra.unrefilled(arrival, start + wait - 1) > 0, "{gcra:?}");
        }
    }

    #[test]
    fn the_wait_for_a_unit_is_exact_to_the_nanosecond() {
        for (count, per_ns) in RATES {
            let gcra = Gcra::new(*count, *per_ns);
            let start = 77_777_777_777;
            let arrival = gcra.spend(0, *count, start);
            let wait = gcra.wait_ns(arrival, count - 1, start);
            assert!(gcra.unrefilled(arrival, start + wait) < *count, "{gcra:?}");
            assert!(wait <= 1 || gcra.unrefilled(arrival, start + wait - 1) == *count, "{gcra:?}");
        }
    }

    #[test]
    fn a_rate_that_does_not_divide_its_time_does_not_drift() {
        // Seven a minute, each taken the nanosecond it is there, for a year.
        let gcra = Gcra::new(7, 60 * SECOND);
        let mut arrival = gcra.spend(0, 7, 0);
        let mut now = 0;
        let year_units = 7 * 60 * 24 * 365;
        for _ in 0..year_units {
            now += gcra.wait_ns(arrival, 6, now);
            arrival = gcra.spend(arrival, 1, now);
        }
        assert!(now.abs_diff(365 * 86_400 * SECOND) <= 1, "{now}");
    }

    #[test]
    fn absurd_rates_and_times_do_not_wrap() {
        for (count, per_ns) in [(u64::MAX, 1), (1, u64::MAX), (0, 0), (1 << 58, SECOND)] {
            let gcra = Gcra::new(count, per_ns);
            let arrival = gcra.spend(TICKS_MAX, u64::MAX, u64::MAX);
            assert!(arrival <= TICKS_MAX);
            let _ = (gcra.unrefilled(arrival, 0), gcra.wait_ns(arrival, 0, 0));
        }
    }
}
