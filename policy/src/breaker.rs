//! The breaker of one target: process-wide, atomics alone, `now` passed in.
//!
//! `ask` is one relaxed load while closed. `now_ns` must come from one clock that all shards share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ringway_adapters::fault::{Blame, Kind};

use crate::window::{Counts, Window};

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Opens after this many failures in a row.
    pub consecutive: u32,
    /// Half-open probes come one at a time, this far apart.
    pub probe: Duration,
    /// Opens where this share of at least `RATIO_SAMPLES_MIN` attempts in the window failed.
    pub ratio: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { consecutive: 5, probe: Duration::from_secs(10), ratio: 0.5 }
    }
}

impl Settings {
    /// A breaker that never opens.
    pub const OFF: Settings = Settings { consecutive: u32::MAX, probe: Duration::from_secs(10), ratio: f64::INFINITY };
}

/// Fewest attempts in the window (10 s) for the ratio to count.
pub const RATIO_SAMPLES_MIN: u32 = 20;

/// A probe whose outcome was never told holds the others back for at most this many probe intervals.
const PROBE_PATIENCE_INTERVALS: u64 = 12;

/// A probe of which nothing was heard for so long counts as lost where the settings are not at hand.
const PROBE_LOST_NS: u64 = 120_000_000_000;

/// State of one target; outlives snapshots.
#[derive(Debug, Default)]
pub struct Breaker {
    /// 0 while closed; else when the next probe may go.
    next_probe_ns: AtomicU64,
    /// 0 or when the probe under way was let through.
    probing_since_ns: AtomicU64,
    failures_in_a_row: AtomicU32,
    /// First: attempts; second: failures.
    window: Window,
}

/// May an attempt go out?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Closed,
    /// The one probe of this interval.
    Probe,
    /// Skip this target; a probe may go in this many nanoseconds.
    Open {
        retry_in_ns: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    /// Ended without saying anything of the target's health (client left, 4xx of the client).
    Unknown,
}

impl Outcome {
    /// What a failed attempt says of its target. What is wrong with a credential is the credential's alone.
    pub fn of(kind: Kind) -> Outcome {
        match kind {
            Kind::UpstreamAuth | Kind::UpstreamRateLimited | Kind::UpstreamSpendCap | Kind::PrefillRefused => Outcome::Unknown,
            kind if kind.blame() == Blame::Upstream => Outcome::Failure,
            _ => Outcome::Unknown,
        }
    }
}

impl Breaker {
    /// Asks before an attempt. A `Probe` is given to exactly one caller per interval, and to none while one is under way.
    /// Whoever got `Probe` must `tell`, at least `Unknown`.
    pub fn ask(&self, settings: &Settings, now_ns: u64) -> Pass {
        let next = self.next_probe_ns.load(Ordering::Acquire);
        if next == 0 {
            return Pass::Closed;
        }
        let probe_ns = settings.probe.as_nanos() as u64;
        let since = self.probing_since_ns.load(Ordering::Acquire);
        let held = since != 0 && now_ns.saturating_sub(since) < probe_ns.saturating_mul(PROBE_PATIENCE_INTERVALS);
        if now_ns < next || held {
            return Pass::Open { retry_in_ns: next.saturating_sub(now_ns).max(1) };
        }
        let after = now_ns.saturating_add(probe_ns).max(1);
        match self.next_probe_ns.compare_exchange(next, after, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.probing_since_ns.store(now_ns.max(1), Ordering::Release);
                Pass::Probe
            }
            Err(0) => Pass::Closed,
            Err(seen) => Pass::Open { retry_in_ns: seen.saturating_sub(now_ns).max(1) },
        }
    }

    /// Tells the outcome of an attempt that `ask` let through. Faults of the client do not count.
    pub fn tell(&self, settings: &Settings, outcome: Outcome, now_ns: u64) {
        if self.probing_since_ns.load(Ordering::Relaxed) != 0 {
            self.probing_since_ns.store(0, Ordering::Release);
        }
        match outcome {
            Outcome::Unknown => {}
            Outcome::Success => self.succeed(now_ns),
            Outcome::Failure => self.fail(settings, now_ns),
        }
    }

    fn succeed(&self, now_ns: u64) {
        // Looked at first: a write would take the cache line from the other shards at every success.
        if self.failures_in_a_row.load(Ordering::Relaxed) != 0 {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
        }
        if self.next_probe_ns.load(Ordering::Relaxed) != 0 && self.next_probe_ns.swap(0, Ordering::AcqRel) != 0 {
            // The failures that opened it must not open it again at the next one.
            self.window.clear();
        }
        self.window.add(1, 0, now_ns);
    }

    fn fail(&self, settings: &Settings, now_ns: u64) {
        let in_a_row = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.window.add(1, 1, now_ns);
        let counts = self.window.sum(now_ns);
        let by_ratio = counts.first >= u64::from(RATIO_SAMPLES_MIN) && counts.second as f64 >= counts.first as f64 * settings.ratio;
        if in_a_row >= settings.consecutive || by_ratio {
            let next = now_ns.saturating_add(settings.probe.as_nanos() as u64).max(1);
            // An open breaker keeps its clock: late failures do not push the next probe away.
            let _ = self.next_probe_ns.compare_exchange(0, next, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Open or half-open.
    pub fn is_open(&self) -> bool {
        self.next_probe_ns.load(Ordering::Relaxed) != 0
    }

    /// An attempt would be refused now. Unlike `ask` it takes nothing.
    pub fn rests(&self, now_ns: u64) -> bool {
        let next = self.next_probe_ns.load(Ordering::Relaxed);
        if next == 0 || now_ns < next {
            return next != 0;
        }
        let since = self.probing_since_ns.load(Ordering::Relaxed);
        since != 0 && now_ns.saturating_sub(since) < PROBE_LOST_NS
    }

    /// Attempts and failures of the last 10 s.
    pub(crate) fn counts(&self, now_ns: u64) -> Counts {
        self.window.sum(now_ns)
    }

    /// For metrics and the admin API: closed, open, half-open.
    pub fn state(&self) -> &'static str {
        if self.next_probe_ns.load(Ordering::Relaxed) == 0 {
            "closed"
        } else if self.probing_since_ns.load(Ordering::Relaxed) == 0 {
            "open"
        } else {
            "half-open"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn opened(settings: &Settings, now_ns: u64) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..settings.consecutive {
            assert_eq!(breaker.ask(settings, now_ns), Pass::Closed);
            breaker.tell(settings, Outcome::Failure, now_ns);
        }
        breaker
    }

    #[test]
    fn an_outage_sees_one_attempt_per_probe_interval() {
        let settings = Settings::default();
        let breaker = Breaker::default();
        let mut attempts: Vec<u64> = Vec::new();
        for tick in 0..=15u64 {
            let now = 1_000 * SECOND + tick * 4 * SECOND;
            if !matches!(breaker.ask(&settings, now), Pass::Open { .. }) {
                attempts.push(now);
                breaker.tell(&settings, Outcome::Failure, now);
            }
        }
        let probes = &attempts[settings.consecutive as usize..];
        assert!(!probes.is_empty());
        let opened_at = attempts[settings.consecutive as usize - 1];
        for pair in std::iter::once(opened_at).chain(probes.iter().copied()).collect::<Vec<_>>().windows(2) {
            assert!(pair[1] - pair[0] >= 10 * SECOND, "{attempts:?}");
        }
    }

    #[test]
    fn a_probe_that_succeeds_closes_it() {
        let settings = Settings::default();
        let breaker = opened(&settings, SECOND);
        assert_eq!(breaker.state(), "open");
        assert_eq!(breaker.ask(&settings, 6 * SECOND), Pass::Open { retry_in_ns: 5 * SECOND });
        assert_eq!(breaker.ask(&settings, 11 * SECOND), Pass::Probe);
        assert_eq!(breaker.state(), "half-open");
        breaker.tell(&settings, Outcome::Success, 12 * SECOND);
        assert_eq!((breaker.state(), breaker.ask(&settings, 12 * SECOND)), ("closed", Pass::Closed));
        breaker.tell(&settings, Outcome::Failure, 12 * SECOND);
        assert_eq!(breaker.state(), "closed", "one failure after a recovery is one failure");
    }

    #[test]
    fn probes_go_one_at_a_time() {
        let settings = Settings::default();
        let breaker = opened(&settings, SECOND);
        assert_eq!(breaker.ask(&settings, 20 * SECOND), Pass::Probe);
        for seconds in 20..120 {
            assert!(matches!(breaker.ask(&settings, seconds * SECOND), Pass::Open { .. }), "at {seconds} s");
        }
        breaker.tell(&settings, Outcome::Unknown, 120 * SECOND);
        assert_eq!(breaker.ask(&settings, 120 * SECOND), Pass::Probe);
        assert_eq!(breaker.ask(&settings, 2_000 * SECOND), Pass::Probe, "a lost probe does not hold it for ever");
    }

    #[test]
    fn exactly_one_of_many_callers_gets_the_probe() {
        let settings = Settings::default();
        let breaker = opened(&settings, SECOND);
        let probes: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| usize::from(breaker.ask(&settings, 30 * SECOND) == Pass::Probe))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(probes, 1);
    }

    #[test]
    fn half_of_twenty_attempts_open_it_though_none_followed_another() {
        let settings = Settings::default();
        let breaker = Breaker::default();
        for attempt in 0..RATIO_SAMPLES_MIN {
            assert_eq!(breaker.state(), "closed", "after {attempt}");
            breaker.tell(&settings, if attempt % 2 == 0 { Outcome::Success } else { Outcome::Failure }, SECOND);
        }
        assert_eq!(breaker.state(), "open");
    }

    #[test]
    fn off_never_opens() {
        let breaker = Breaker::default();
        for _ in 0..1_000 {
            breaker.tell(&Settings::OFF, Outcome::Failure, SECOND);
        }
        assert_eq!(breaker.state(), "closed");
    }
}
