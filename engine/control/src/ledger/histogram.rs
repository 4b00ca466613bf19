//! A histogram with fixed bounds, as Prometheus wants it: counts per bucket, their sum, their count.
//!
//! The ledger alone fills it, so a sample is one search in 16 bounds and two additions, without an atomic or a
//! clock; the registry's own histogram keeps each sample with its time until the next scrape.

use std::fmt::Write;

/// Upper bounds of request and first-byte times, in seconds: from a cache-like answer to a ten-minute one.
pub const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

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
        let value = value_ns as f64 * 1e-9;
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += value;
    }

    /// Writes its lines; `labels` are rendered already, without braces, and not empty.
    pub fn render(&self, out: &mut String, name: &str, labels: &str) {
        let mut total = 0;
        for (index, count) in self.counts.iter().enumerate() {
            total += count;
            let _ = match self.bounds.get(index) {
                Some(bound) => writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {total}"),
                None => writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {total}"),
            };
        }
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", self.sum);
        let _ = writeln!(out, "{name}_count{{{labels}}} {total}");
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
        let mut out = String::new();
        histogram.render(&mut out, "x_seconds", "a=\"b\"");
        assert!(out.contains("x_seconds_bucket{a=\"b\",le=\"0.001\"} 1\n"), "{out}");
        assert!(out.contains("x_seconds_bucket{a=\"b\",le=\"0.002\"} 2\n"), "{out}");
        assert!(out.contains("x_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n"), "{out}");
        assert!(out.contains("x_seconds_count{a=\"b\"} 3\n"), "{out}");
    }

    #[test]
    fn bounds_rise() {
        for bounds in [SECONDS, OVERHEAD_SECONDS] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
