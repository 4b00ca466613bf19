//! Health of a target: what its attempts say of it, and the share of its traffic that it is given for that.
//!
//! Atomics alone, shared by all shards; a sample that two of them write at once may be lost, which is no harm. An attempt costs
//! four atomic updates (begin, first byte, outcome, end), a plan six loads a target. No allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ringway_adapters::ir::Mode;

use crate::breaker::{Outcome, Settings};
use crate::snapshot::TargetId;
pub(crate) use latency::Latency;
pub use outliers::eject_outliers;

mod latency;
mod outliers;

/// A target that comes back is given its share step by step for so long.
pub const RAMP: Duration = Duration::from_secs(30);
/// The least share that a target is given that may be used at all: enough to see that it has recovered.
pub const SHARE_LEAST_PERCENT: u32 = 10;
/// How long a target is left alone that has become slow.
pub const EJECTION: Duration = Duration::from_secs(15);

/// Fewest attempts in the window (10 s) for failures to lower the share.
const ATTEMPTS_MIN: u64 = 10;
/// Failures older than this have left the window.
const WINDOW_NS: u64 = 11_000_000_000;

/// Why a target is not given all of its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its breaker is open.
    Breaker,
    /// It became slow.
    Slow,
    /// It fails now and then.
    Failures,
    /// It comes back step by step.
    Ramp,
}

impl Reason {
    /// All, for metrics: a closed set.
    pub const ALL: [Reason; 4] = [Reason::Breaker, Reason::Slow, Reason::Failures, Reason::Ramp];

    pub fn name(self) -> &'static str {
        match self {
            Reason::Breaker => "breaker",
            Reason::Slow => "slow",
            Reason::Failures => "failures",
            Reason::Ramp => "ramp",
        }
    }
}

/// What attempts have said of one target.
#[derive(Debug, Default)]
pub struct Health {
    in_flight: AtomicU32,
    /// First bytes of streams.
    streams: Latency,
    /// Whole answers: their first byte comes with their last.
    wholes: Latency,
    /// 0, or until when it is left alone; from then on it comes back step by step.
    back_ns: AtomicU64,
    /// It is left alone because it became slow (1) or its breaker has just closed (0).
    slow: AtomicU8,
    failed_ns: AtomicU64,
}

/// What a target's health comes to, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub breaker: &'static str,
    /// Of the share that its weight gives it.
    pub share_percent: u32,
    pub reason: Option<Reason>,
    pub in_flight: u32,
    /// Means over the last few and the last many streams.
    pub stream_first_byte: Option<Duration>,
    pub stream_baseline: Option<Duration>,
    pub whole: Option<Duration>,
    pub whole_baseline: Option<Duration>,
    /// Attempts and failures of the last 10 s.
    pub attempts: u64,
    pub failures: u64,
}

impl Health {
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The time in which 95 of 100 answers of this kind began; `None` before enough of them came.
    pub fn p95(&self, mode: Mode) -> Option<Duration> {
        self.latency(mode).p95()
    }

    pub(crate) fn latency(&self, mode: Mode) -> &Latency {
        match mode {
            Mode::Stream => &self.streams,
            Mode::Whole => &self.wholes,
        }
    }

    /// Left alone because it became slow.
    fn is_ejected(&self, now_ns: u64) -> bool {
        self.slow.load(Ordering::Relaxed) == 1 && now_ns < self.back_ns.load(Ordering::Relaxed)
    }

    fn eject(&self, now_ns: u64) {
        self.slow.store(1, Ordering::Relaxed);
        self.back_ns.store(now_ns.saturating_add(EJECTION.as_nanos() as u64), Ordering::Relaxed);
    }

    fn ramp_from(&self, now_ns: u64) {
        self.slow.store(0, Ordering::Relaxed);
        self.back_ns.store(now_ns.max(1), Ordering::Relaxed);
    }

    /// The share by the ramp alone.
    fn ramp(&self, now_ns: u64) -> (u32, Option<Reason>) {
        let back_ns = self.back_ns.load(Ordering::Relaxed);
        if back_ns == 0 {
            return (100, None);
        }
        if now_ns < back_ns {
            return (0, Some(Reason::Slow));
        }
        let since_ns = now_ns - back_ns;
        let ramp_ns = RAMP.as_nanos() as u64;
        if since_ns >= ramp_ns {
            return (100, None);
        }
        let grown = u64::from(100 - SHARE_LEAST_PERCENT) * since_ns / ramp_ns;
        (SHARE_LEAST_PERCENT + grown as u32, Some(Reason::Ramp))
    }
}

impl TargetId {
    /// The share of its traffic that it is given now, in percent, and why not all. Zero where it is to be tried last.
    pub fn share(&self, now_ns: u64) -> (u32, Option<Reason>) {
        if self.breaker.rests(now_ns) {
            return (0, Some(Reason::Breaker));
        }
        let ramp = self.health.ramp(now_ns);
        let failed_ns = self.health.failed_ns.load(Ordering::Relaxed);
        if ramp.0 == 0 || failed_ns == 0 || now_ns.saturating_sub(failed_ns) > WINDOW_NS {
            return ramp;
        }
        let counts = self.breaker.counts(now_ns);
        if counts.first < ATTEMPTS_MIN {
            return ramp;
        }
        // Squared: a target that fails three times in ten loses half of its share, not three tenths.
        let good = counts.first.saturating_sub(counts.second);
        let by_failures = (100 * good * good / (counts.first * counts.first)).max(u64::from(SHARE_LEAST_PERCENT)) as u32;
        if by_failures < ramp.0 { (by_failures, Some(Reason::Failures)) } else { ramp }
    }

    /// Tells the outcome of an attempt that `Breaker::ask` let through, to the breaker and to the rest of the health.
    pub fn tell(&self, settings: &Settings, outcome: Outcome, now_ns: u64) {
        let was_open = self.breaker.is_open();
        self.breaker.tell(settings, outcome, now_ns);
        match outcome {
            Outcome::Failure => {
                self.health.failed_ns.store(now_ns.max(1), Ordering::Relaxed);
                self.health.streams.fail(now_ns);
                self.health.wholes.fail(now_ns);
            }
            Outcome::Success if was_open && !self.breaker.is_open() => self.health.ramp_from(now_ns),
            Outcome::Success | Outcome::Unknown => {}
        }
    }

    pub fn standing(&self, now_ns: u64) -> Standing {
        let (share_percent, reason) = self.share(now_ns);
        let counts = self.breaker.counts(now_ns);
        Standing {
            breaker: self.breaker.state(),
            share_percent,
            reason,
            in_flight: self.health.in_flight(),
            stream_first_byte: self.health.streams.recent(),
            stream_baseline: self.health.streams.baseline(),
            whole: self.health.wholes.recent(),
            whole_baseline: self.health.wholes.baseline(),
            attempts: counts.first,
            failures: counts.second,
        }
    }
}

/// One attempt under way; it counts as in flight until it is dropped.
#[derive(Debug)]
pub struct Watch {
    target: Arc<TargetId>,
    mode: Mode,
    begun_ns: u64,
}

impl Watch {
    pub fn begin(target: &Arc<TargetId>, mode: Mode, now_ns: u64) -> Watch {
        target.health.in_flight.fetch_add(1, Ordering::Relaxed);
        Watch { target: target.clone(), mode, begun_ns: now_ns }
    }

    /// The first byte of a good answer's body is there.
    pub fn first_byte(&self, now_ns: u64) {
        self.target.health.latency(self.mode).observe(now_ns.saturating_sub(self.begun_ns), now_ns);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.target.health.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::plan_of;

    const SECOND: u64 = 1_000_000_000;

    fn target() -> Arc<TargetId> {
        plan_of(&["a/m"]).steps[0].target.clone()
    }

    #[test]
    fn an_attempt_is_in_flight_until_it_is_dropped() {
        let target = target();
        let (one, two) = (Watch::begin(&target, Mode::Stream, 0), Watch::begin(&target, Mode::Whole, 0));
        assert_eq!(target.health.in_flight(), 2);
        one.first_byte(SECOND);
        drop(one);
        drop(two);
        let standing = target.standing(SECOND);
        assert_eq!((standing.in_flight, standing.stream_first_byte, standing.whole), (0, Some(Duration::from_secs(1)), None));
    }

    #[test]
    fn a_target_that_recovers_is_given_its_share_step_by_step() {
        let (target, settings) = (target(), Settings::default());
        assert_eq!(target.share(SECOND), (100, None));
        (0..5).for_each(|_| target.tell(&settings, Outcome::Failure, SECOND));
        assert_eq!(target.share(2 * SECOND), (0, Some(Reason::Breaker)));
        assert_eq!(target.share(11 * SECOND), (100, None), "a probe is due: somebody must ask");
        target.breaker.ask(&settings, 11 * SECOND);
        assert_eq!(target.share(11 * SECOND), (0, Some(Reason::Breaker)), "nobody else while it is under way");
        target.tell(&settings, Outcome::Success, 12 * SECOND);
        assert_eq!(target.share(12 * SECOND), (10, Some(Reason::Ramp)));
        assert_eq!(target.share(27 * SECOND), (55, Some(Reason::Ramp)));
        assert_eq!(target.share(42 * SECOND), (100, None));
    }

    #[test]
    fn failures_lower_the_share_before_the_breaker_opens() {
        let (target, settings) = (target(), Settings::default());
        for n in 0..20 {
            target.tell(&settings, if n % 10 < 3 { Outcome::Failure } else { Outcome::Success }, SECOND);
        }
        assert_eq!(target.share(2 * SECOND), (49, Some(Reason::Failures)));
        assert_eq!(target.share(20 * SECOND), (100, None), "what is past is past");
    }
}
