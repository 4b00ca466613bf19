//! The figures of a run as a table and as JSON.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::Figures;

/// The quantiles that are shown, with their names.
const QUANTILES: &[(&str, f64)] =
    &[("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// Name and microseconds of each shown quantile; empty when nothing was measured.
fn quantiles_us(histogram: &Histogram<u64>) -> Vec<(&'static str, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    QUANTILES.iter().map(|(name, quantile)| (*name, histogram.value_at_quantile(*quantile) as f64 / 1e3)).collect()
}

fn parts(figures: &Figures) -> [(&'static str, &Histogram<u64>); 4] {
    [
        ("latency", &figures.latency),
        ("first_event", &figures.first_event),
        ("between_events", &figures.between_events),
        ("overhead", &figures.overhead),
    ]
}

/// For people.
pub(super) fn table(figures: &Figures) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        out,
        "{} answers in {:.2} s: {:.0}/s, {} errors, {} unsent, {} events, {:.1} MB received, generator {:.2} µs CPU/request",
        figures.completed,
        figures.elapsed.as_secs_f64(),
        figures.throughput(),
        figures.error_count(),
        figures.unsent,
        figures.events,
        figures.bytes_received as f64 / 1e6,
        figures.own_cpu.as_secs_f64() * 1e6 / figures.completed.max(1) as f64,
    );
    for (kind, count) in &figures.errors {
        let _ = writeln!(out, "  error {kind}: {count}");
    }
    let _ = write!(out, "{:<16}", "µs");
    for (name, _) in QUANTILES {
        let _ = write!(out, "{name:>11}");
    }
    let _ = writeln!(out, "{:>11}", "mean");
    for (name, histogram) in parts(figures) {
        let quantiles = quantiles_us(histogram);
        if !quantiles.is_empty() {
            let _ = write!(out, "{name:<16}");
            for (_, value) in quantiles {
                let _ = write!(out, "{value:>11.1}");
            }
            let _ = writeln!(out, "{:>11.1}", histogram.mean() / 1e3);
        }
    }
    out
}

/// For programs: all times in microseconds.
pub(crate) fn figures_json(figures: &Figures) -> Value {
    let mut out = json!({
        "completed": figures.completed, "seconds": figures.elapsed.as_secs_f64(), "requests_per_second": figures.throughput(),
        "errors": figures.errors, "error_count": figures.error_count(), "unsent": figures.unsent, "events": figures.events,
        "bytes_received": figures.bytes_received,
        "generator_cpu_us_per_request": figures.own_cpu.as_secs_f64() * 1e6 / figures.completed.max(1) as f64,
    });
    for (name, histogram) in parts(figures) {
        let mut values: Map<String, Value> =
            quantiles_us(histogram).into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        if !values.is_empty() {
            values.insert("mean".to_owned(), json!(histogram.mean() / 1e3));
            values.insert("count".to_owned(), json!(histogram.len()));
            out[format!("{name}_us")] = Value::Object(values);
        }
    }
    out
}
