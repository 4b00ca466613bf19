//! What a run counts.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time a histogram tells apart: two minutes, in nanoseconds. Longer ones count as this.
const TIME_MAX_NS: u64 = 120_000_000_000;
/// 0.1 % precision.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Everything measured in one run; rounds are joined with `add`.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// From when the request was due to the last byte of its answer, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// From when the request was due to the first body byte of its stream.
    pub(crate) first_event: Histogram<u64>,
    /// Between one arrival of events and the next within a stream.
    pub(crate) between_events: Histogram<u64>,
    /// `x-ringway-overhead-us`, in nanoseconds.
    pub(crate) overhead: Histogram<u64>,
    pub(crate) completed: u64,
    pub(crate) events: u64,
    pub(crate) bytes_received: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    /// Due, but never sent because every connection was busy until the end.
    pub(crate) unsent: u64,
    pub(crate) elapsed: Duration,
    /// CPU time of the generator's own thread.
    pub(crate) own_cpu: Duration,
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self {
            latency: histogram(),
            first_event: histogram(),
            between_events: histogram(),
            overhead: histogram(),
            completed: 0,
            events: 0,
            bytes_received: 0,
            errors: BTreeMap::new(),
            unsent: 0,
            elapsed: Duration::ZERO,
            own_cpu: Duration::ZERO,
        }
    }

    pub(super) fn error(&mut self, kind: impl Into<String>) {
        *self.errors.entry(kind.into()).or_default() += 1;
    }

    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Requests completed a second.
    pub(crate) fn throughput(&self) -> f64 {
        self.completed as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Joins another run of the same kind.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.latency, &other.latency),
            (&mut self.first_event, &other.first_event),
            (&mut self.between_events, &other.between_events),
            (&mut self.overhead, &other.overhead),
        ];
        for (ours, theirs) in pairs {
            // All histograms have the same bounds, so this cannot fail.
            let _ = ours.add(theirs);
        }
        self.completed += other.completed;
        self.events += other.events;
        self.bytes_received += other.bytes_received;
        self.unsent += other.unsent;
        self.elapsed += other.elapsed;
        self.own_cpu += other.own_cpu;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, TIME_MAX_NS, SIGNIFICANT_DIGITS).expect("constant bounds are valid")
}

/// Notes a duration.
pub(super) fn note(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_figures_hold_both() {
        let mut one = Figures::new();
        note(&mut one.latency, Duration::from_micros(10));
        one.completed = 1;
        let mut two = one.clone();
        two.error("status_500");
        one.add(&two);
        assert_eq!((one.completed, one.latency.len(), one.error_count()), (2, 2, 1));
    }
}
