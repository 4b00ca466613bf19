//! The metrics of a comparison: a value a round and target, a ratio a round against the base.

use serde_json::{Value, json};

use super::{Contender, Round};

/// One metric over all targets and rounds.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// Per target and round; not a number where it was not measured.
    pub(super) rounds: Vec<Vec<f64>>,
    /// Per target.
    pub(super) values: Vec<Spread>,
    /// Per target, against the base, where both were measured.
    pub(super) ratios: Vec<Spread>,
}

/// Median, smallest and largest of the rounds; empty when nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Metric {
    pub(super) fn is_measured(&self) -> bool {
        self.values.iter().any(|spread| spread.median.is_finite())
    }

    pub(super) fn json(&self, target_index: usize) -> Value {
        let spread = |spread: Spread| json!({"median": spread.median, "min": spread.min, "max": spread.max});
        json!({"unit": self.unit, "rounds": self.rounds[target_index], "value": spread(self.values[target_index]), "ratio_to_base": spread(self.ratios[target_index])})
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        match (values.first(), values.last()) {
            (Some(min), Some(max)) => {
                Self { median: f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]), min: *min, max: *max }
            }
            _ => Self { median: f64::NAN, min: f64::NAN, max: f64::NAN },
        }
    }
}

/// How a round becomes a value; not a number where it was not measured.
type Reading = fn(&Round) -> f64;

fn quantile_us(histogram: &hdrhistogram::Histogram<u64>, quantile: f64) -> f64 {
    if histogram.is_empty() { f64::NAN } else { histogram.value_at_quantile(quantile) as f64 / 1e3 }
}

fn per_request(round: &Round, total: impl Fn(&super::ProcessUse) -> f64) -> f64 {
    match &round.process {
        Some(process) if round.figures.completed > 0 => total(process) / round.figures.completed as f64,
        _ => f64::NAN,
    }
}

fn cpu_per_event(round: &Round) -> f64 {
    match &round.process {
        Some(process) if round.figures.events > 0 => process.cpu_ns as f64 / 1e3 / round.figures.events as f64,
        _ => f64::NAN,
    }
}

const METRICS: &[(&str, &str, Reading)] = &[
    ("throughput", "1/s", |round| round.figures.throughput()),
    ("CPU/request", "µs", |round| per_request(round, |process| process.cpu_ns as f64 / 1e3)),
    ("user CPU/request", "µs", |round| per_request(round, |process| process.user_ns() / 1e3)),
    ("CPU/event", "µs", cpu_per_event),
    ("switches/request", "", |round| per_request(round, |process| process.context_switches as f64)),
    ("latency p50", "µs", |round| quantile_us(&round.figures.latency, 0.5)),
    ("latency p99", "µs", |round| quantile_us(&round.figures.latency, 0.99)),
    ("latency p99.9", "µs", |round| quantile_us(&round.figures.latency, 0.999)),
    ("first event p50", "µs", |round| quantile_us(&round.figures.first_event, 0.5)),
    ("first event p99", "µs", |round| quantile_us(&round.figures.first_event, 0.99)),
    ("overhead p50", "µs", |round| quantile_us(&round.figures.overhead, 0.5)),
    ("overhead p99", "µs", |round| quantile_us(&round.figures.overhead, 0.99)),
    ("resident memory, most", "MiB", |round| {
        round.process.as_ref().map_or(f64::NAN, |process| process.resident_bytes_max as f64 / 1_048_576.0)
    }),
    ("events", "1/s", |round| {
        if round.figures.events == 0 { f64::NAN } else { round.figures.events as f64 / round.figures.elapsed.as_secs_f64().max(1e-9) }
    }),
    ("errors", "", |round| round.figures.error_count() as f64),
];

/// Latencies that a proxy adds, measured from the first target without a pid.
const ADDED: &[(&str, &str, Reading)] = &[
    ("added p50", "µs", |round| quantile_us(&round.figures.latency, 0.5)),
    ("added p99", "µs", |round| quantile_us(&round.figures.latency, 0.99)),
    ("added first event p50", "µs", |round| quantile_us(&round.figures.first_event, 0.5)),
];

/// Reads every metric off the rounds; those that nothing measured are left out.
pub(super) fn measure(contenders: &[Contender], base_index: usize) -> Vec<Metric> {
    let readings =
        |reading: Reading| -> Vec<Vec<f64>> { contenders.iter().map(|contender| contender.rounds.iter().map(reading).collect()).collect() };
    let mut metrics: Vec<Metric> =
        METRICS.iter().map(|(name, unit, reading)| metric(name, unit, &readings(*reading), base_index)).collect();
    if let Some(direct_index) = contenders.iter().position(|contender| contender.pids.is_empty()) {
        for (name, unit, reading) in ADDED {
            let absolute = readings(*reading);
            let added: Vec<Vec<f64>> = absolute
                .iter()
                .enumerate()
                .map(|(index, rounds)| {
                    let from = |(value, direct): (&f64, &f64)| if index == direct_index { f64::NAN } else { value - direct };
                    rounds.iter().zip(&absolute[direct_index]).map(from).collect()
                })
                .collect();
            metrics.push(metric(name, unit, &added, base_index));
        }
    }
    metrics.retain(Metric::is_measured);
    metrics
}

fn metric(name: &'static str, unit: &'static str, readings: &[Vec<f64>], base_index: usize) -> Metric {
    let ratio = |rounds: &Vec<f64>| rounds.iter().zip(&readings[base_index]).map(|(value, base)| value / base).collect();
    Metric {
        name,
        unit,
        rounds: readings.to_vec(),
        values: readings.iter().map(|rounds| Spread::of(rounds.clone())).collect(),
        ratios: readings.iter().map(|rounds| Spread::of(ratio(rounds))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let metric = metric("m", "", &[vec![1.0, 4.0, 3.0], vec![2.0, 4.0, 12.0]], 1);
        assert_eq!(metric.ratios[0], Spread { median: 0.5, min: 0.25, max: 1.0 });
        assert_eq!(metric.values[1], Spread { median: 4.0, min: 2.0, max: 12.0 });
    }

    #[test]
    fn nothing_measured_is_not_a_number() {
        assert!(!metric("m", "", &[vec![f64::NAN], vec![]], 0).is_measured());
    }
}
