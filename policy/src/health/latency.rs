//! Latency of a target: a peak-sensitive average for choosing, and two plain means for judging.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The peak-EWMA forgets two thirds of a peak in this time (Finagle's `peakEwma`, an idea read in its user guide).
const MEMORY_MS: f32 = 10_000.0;
/// Samples that the recent mean and the baseline remember.
const RECENT_SAMPLES: u32 = 8;
const BASELINE_SAMPLES: u32 = 256;
/// Fewest samples for the means to say something.
pub(super) const SAMPLES_MIN: u32 = 16;
/// What a failure counts as at least, so that a target that fails fast does not look fast; further ones double it.
const FAILURE_US: u32 = 2_000_000;
/// No failure counts for more.
const FAILURE_US_MAX: u32 = 120_000_000;
/// Buckets of the distribution: quarters of an octave from 1 ms (2¹⁰ µs) to 134 s (2²⁷ µs).
const BUCKETS: usize = 68;
const FIRST_OCTAVE: u32 = 10;
/// After so many samples all of them count half, so that the distribution is of now.
const HALVED_EVERY: u32 = 512;
/// Fewest samples for a percentile.
const PERCENTILE_SAMPLES_MIN: u32 = 20;
/// What one request under way counts for where no answer has come yet.
const UNKNOWN_US: u64 = 10_000_000;

/// Latency of one kind of answer.
#[derive(Debug)]
pub(crate) struct Latency {
    /// Peak-EWMA in microseconds (upper half) and the millisecond of its last sample (lower half, wraps after 49 days).
    peak: AtomicU64,
    /// Means of the recent samples (upper half) and of the baseline (lower half), microseconds.
    means: AtomicU64,
    samples: AtomicU32,
    buckets: [AtomicU16; BUCKETS],
}

impl Default for Latency {
    fn default() -> Latency {
        let buckets = std::array::from_fn(|_| AtomicU16::new(0));
        Latency { peak: AtomicU64::new(0), means: AtomicU64::new(0), samples: AtomicU32::new(0), buckets }
    }
}

impl Latency {
    pub fn observe(&self, latency_ns: u64, now_ns: u64) {
        let sample = u32::try_from(latency_ns / 1_000).unwrap_or(u32::MAX).max(1);
        self.raise(now_ns, |peak, kept| match sample >= peak {
            true => sample,
            false => (peak as f32 * kept + sample as f32 * (1.0 - kept)) as u32,
        });
        let count = self.samples.load(Ordering::Relaxed).saturating_add(1);
        self.samples.store(count, Ordering::Relaxed);
        let (recent, baseline) = halves(self.means.load(Ordering::Relaxed));
        self.means.store(
            word(toward(recent, sample, count.min(RECENT_SAMPLES)), toward(baseline, sample, count.min(BASELINE_SAMPLES))),
            Ordering::Relaxed,
        );
        if count.is_multiple_of(HALVED_EVERY) {
            self.buckets.iter().for_each(|bucket| bucket.store(bucket.load(Ordering::Relaxed) / 2, Ordering::Relaxed));
        }
        self.buckets[bucket_of(sample)].fetch_add(1, Ordering::Relaxed);
    }

    /// The time in which 95 of 100 first bytes came, to within a fifth; `None` before there are samples enough.
    pub fn p95(&self) -> Option<Duration> {
        let counts = || self.buckets.iter().map(|bucket| u32::from(bucket.load(Ordering::Relaxed)));
        let total: u32 = counts().sum();
        if total < PERCENTILE_SAMPLES_MIN {
            return None;
        }
        let mut left = total * 95 / 100;
        let index = counts().position(|count| {
            let is_here = count > left;
            left = left.saturating_sub(count);
            is_here
        });
        Some(Duration::from_micros(bucket_end(index.unwrap_or(BUCKETS - 1))))
    }

    /// A failed attempt: it does not count in the means, but nobody should hurry there.
    pub fn fail(&self, now_ns: u64) {
        self.raise(now_ns, |peak, _| peak.max(peak.saturating_mul(2).clamp(FAILURE_US, FAILURE_US_MAX)));
    }

    fn raise(&self, now_ns: u64, change: impl FnOnce(u32, f32) -> u32) {
        let (peak, stamp_ms) = halves(self.peak.load(Ordering::Relaxed));
        let now_ms = (now_ns / 1_000_000) as u32;
        let kept = kept(now_ms.wrapping_sub(stamp_ms));
        self.peak.store(word(change(peak, kept).max(1), now_ms), Ordering::Relaxed);
    }

    /// What one more request is expected to wait, in microseconds, with so many under way. It falls with the time that no sample came.
    pub fn cost(&self, in_flight: u32, now_ns: u64) -> u64 {
        let (peak, stamp_ms) = halves(self.peak.load(Ordering::Relaxed));
        if peak == 0 {
            return UNKNOWN_US * u64::from(in_flight);
        }
        let now_ms = (now_ns / 1_000_000) as u32;
        let expected = (peak as f32 * kept(now_ms.wrapping_sub(stamp_ms))) as u64;
        expected.max(1) * (u64::from(in_flight) + 1)
    }

    pub fn recent(&self) -> Option<Duration> {
        self.mean(|recent, _| recent)
    }

    pub fn baseline(&self) -> Option<Duration> {
        self.mean(|_, baseline| baseline)
    }

    fn mean(&self, pick: fn(u32, u32) -> u32) -> Option<Duration> {
        let (recent, baseline) = halves(self.means.load(Ordering::Relaxed));
        (self.samples.load(Ordering::Relaxed) > 0).then(|| Duration::from_micros(u64::from(pick(recent, baseline))))
    }

    /// The recent mean and the baseline in microseconds, once there are samples enough.
    pub fn means(&self) -> Option<(u32, u32)> {
        (self.samples.load(Ordering::Relaxed) >= SAMPLES_MIN).then(|| halves(self.means.load(Ordering::Relaxed)))
    }
}

fn bucket_of(us: u32) -> usize {
    let octave = us.max(1).ilog2();
    if octave < FIRST_OCTAVE {
        return 0;
    }
    let quarter = (us >> (octave - 2)) & 3;
    (((octave - FIRST_OCTAVE) * 4 + quarter) as usize).min(BUCKETS - 1)
}

/// Where a bucket ends, microseconds.
fn bucket_end(index: usize) -> u64 {
    let (octave, quarter) = (index as u32 / 4 + FIRST_OCTAVE, index as u64 % 4);
    (4 + quarter + 1) << (octave - 2)
}

fn kept(elapsed_ms: u32) -> f32 {
    (-(elapsed_ms as f32) / MEMORY_MS).exp()
}

fn toward(mean: u32, sample: u32, count: u32) -> u32 {
    let step = (i64::from(sample) - i64::from(mean)) / i64::from(count.max(1));
    (i64::from(mean) + step).clamp(0, i64::from(u32::MAX)) as u32
}

fn word(upper: u32, lower: u32) -> u64 {
    (u64::from(upper) << 32) | u64::from(lower)
}

fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_peak_is_taken_at_once_and_forgotten_slowly() {
        let latency = Latency::default();
        latency.observe(100 * MS, 1_000 * MS);
        latency.observe(2_000 * MS, 1_100 * MS);
        assert_eq!(latency.cost(0, 1_100 * MS), 2_000_000);
        latency.observe(100 * MS, 1_200 * MS);
        assert!((1_950_000..2_000_000).contains(&latency.cost(0, 1_200 * MS)));
        assert!((700_000..760_000).contains(&latency.cost(0, 11_200 * MS)), "{}", latency.cost(0, 11_200 * MS));
    }

    #[test]
    fn requests_under_way_count_and_an_unknown_target_gets_one_at_a_time() {
        let latency = Latency::default();
        assert_eq!((latency.cost(0, 0), latency.cost(2, 0)), (0, 2 * UNKNOWN_US));
        latency.observe(100 * MS, 0);
        assert_eq!(latency.cost(3, 0), 400_000);
    }

    #[test]
    fn failing_fast_is_not_fast() {
        let latency = Latency::default();
        latency.observe(10 * MS, 0);
        latency.fail(0);
        assert_eq!(latency.cost(0, 0), u64::from(FAILURE_US));
        (0..20).for_each(|_| latency.fail(0));
        assert_eq!(latency.cost(0, 0), u64::from(FAILURE_US_MAX));
        assert_eq!(latency.recent(), Some(Duration::from_millis(10)));
    }

    #[test]
    fn the_p95_is_the_time_of_95_in_100() {
        let latency = Latency::default();
        (0..19).for_each(|_| latency.observe(100 * MS, 0));
        assert_eq!(latency.p95(), None);
        (0..74).for_each(|_| latency.observe(100 * MS, 0));
        (0..7).for_each(|_| latency.observe(900 * MS, 0));
        let p95 = latency.p95().unwrap().as_millis();
        assert!((900..1_080).contains(&p95), "{p95}");
        (0..2_000).for_each(|_| latency.observe(100 * MS, 0));
        assert!(latency.p95().unwrap().as_millis() < 130, "what is long past is forgotten");
        for us in [0, 1, 999, 1_024, 1_500, 1_000_000, u32::MAX] {
            let index = bucket_of(us);
            assert!(index < BUCKETS && (u64::from(us) < bucket_end(index) || us == u32::MAX), "{us}");
        }
    }

    #[test]
    fn the_means_follow_at_their_own_pace() {
        let latency = Latency::default();
        (0..300).for_each(|_| latency.observe(100 * MS, 0));
        (0..16).for_each(|_| latency.observe(1_000 * MS, 0));
        let (recent, baseline) = latency.means().unwrap();
        assert!(recent > 850_000 && baseline < 170_000, "{recent} {baseline}");
    }
}
