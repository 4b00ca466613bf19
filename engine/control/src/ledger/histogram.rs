//! A histogram with fixed bounds, as Prometheus wants it: counts per bucket, their sum, their count.
//!
//! The ledger alone fills it, so a sample is one search in 16 bounds and two additions, without an atomic or a clock.

use super::page::Page;

/// Upper bounds of request and provider times, in seconds: from a cache-like answer to a ten-minute one.
pub const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0];

/// Upper bounds of the mean time between two tokens of a stream, in seconds: 1,000 to one a second, then worse.
pub const INTER_TOKEN_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0];

/// Upper bounds of the gateway's own time, in seconds: microseconds, and up to where something is badly wrong.
pub const OVERHEAD_SECONDS: &[f64] = &[1e-6, 2e-6, 3e-6, 4e-6, 6e-6, 8e-6, 11e-6, 16e-6, 25e-6, 50e-6, 100e-6, 250e-6, 1e-3, 1e-2, 0.1];

/// Counts per bucket. The last bucket has no bound.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Box<[u64]>,
    sum: f64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len() + 1].into_boxed_slice(), sum: 0.0 }
    }

    pub fn add_ns(&mut self, value_ns: u64) {
        self.add(value_ns as f64 * 1e-9);
    }

    pub fn add(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
    }

    /// Adds what another one with the same bounds counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
    }

    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Per bucket, the one without a bound last.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    pub fn sum(&self) -> f64 {
        self.sum
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Writes its samples.
    pub fn write(&self, page: &mut Page, name: &str, labels: &[(&str, &str)]) {
        let bucket = format!("{name}_bucket");
        let mut total = 0;
        for (index, count) in self.counts.iter().enumerate() {
            total += count;
            let bound = self.bounds.get(index).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let labels = [labels, &[("le", bound.as_str())]].concat();
            page.sample(&bucket, &labels, total);
        }
        page.sample(&format!("{name}_sum"), labels, self.sum);
        page.sample(&format!("{name}_count"), labels, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_its_bound_belongs_to_that_bucket() {
        let mut histogram = Histogram::new(&[0.001, 0.002]);
        for value_ns in [1_000_000, 1_000_001, 5_000_000] {
            histogram.add_ns(value_ns);
        }
        let mut page = Page::default();
        histogram.write(&mut page, "x_seconds", &[("a", "b")]);
        let out = page.into_text();
        assert!(out.contains("x_seconds_bucket{a=\"b\",le=\"0.001\"} 1\n"), "{out}");
        assert!(out.contains("x_seconds_bucket{a=\"b\",le=\"0.002\"} 2\n"), "{out}");
        assert!(out.contains("x_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n"), "{out}");
        assert!(out.contains("x_seconds_count{a=\"b\"} 3\n"), "{out}");
    }

    #[test]
    fn bounds_rise() {
        for bounds in [SECONDS, INTER_TOKEN_SECONDS, OVERHEAD_SECONDS] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
