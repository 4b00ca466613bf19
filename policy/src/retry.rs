//! What follows a failed attempt: the same target again, the next one, or giving up.
//!
//! Asked only before the commit point; after it there is rescue or an error event, never a retry.

use std::time::Duration;

use ringway_adapters::fault::{Blame, Fault, Kind};

use crate::plan::{Plan, Trigger};
use crate::window::Window;

/// Most attempts on one target of the chain.
pub const ATTEMPTS_PER_TARGET_MAX: u32 = 3;

/// The longest `Retry-After` that is waited for; a longer one sends the exchange to the next target.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// Full jitter: the n-th wait is uniform in 0..=min(`BACKOFF_MAX`, `BACKOFF_BASE` × 2ⁿ⁻¹).
pub const BACKOFF_BASE: Duration = Duration::from_millis(100);
pub const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Retries that a target always has in the window, however few its first attempts.
pub const RETRIES_MIN: u64 = 3;
/// One retry for so many first attempts.
const ATTEMPTS_PER_RETRY: u64 = 10;

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait, then the same target again. After `UpstreamAuth` and `UpstreamRateLimited` with another credential, after
    /// `PrefillRefused` without the prefill.
    Same { wait: Duration },
    /// This step of the plan, at once.
    Target { step: usize },
    /// Give the fault to the client.
    GiveUp,
}

/// Retry budget of one target, process-wide: 10 % of the attempts of the last 10 s, never below 3.
#[derive(Debug, Default)]
pub struct RetryBudget {
    /// First: first attempts; second: retries.
    window: Window,
}

impl RetryBudget {
    /// Counts a first attempt.
    pub fn deposit(&self, now_ns: u64) {
        self.window.add(1, 0, now_ns);
    }

    /// Takes one retry out, if there is one. Callers at the same instant may get fewer than there are, never more.
    pub fn withdraw(&self, now_ns: u64) -> bool {
        self.window.add(0, 1, now_ns);
        let counts = self.window.sum(now_ns);
        let within = counts.second <= RETRIES_MIN.max(counts.first / ATTEMPTS_PER_RETRY);
        if !within {
            self.window.undo_second(now_ns);
        }
        within
    }
}

/// Where the exchange stands when an attempt failed.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Index of the failed target in the plan.
    pub step: usize,
    /// Attempts made on it so far, the failed one included.
    pub attempts_on_step: u32,
    /// Nanoseconds left of `total`.
    pub left_ns: u64,
    pub now_ns: u64,
}

/// Whether a repeat on the same target can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Never,
    /// After a wait.
    Later,
    /// With another credential at once, else after a wait only where `Retry-After` or a backoff says so.
    OtherCredential,
    /// With another credential at once, else never.
    OnlyOtherCredential,
    /// Once, at once, with a changed request.
    Changed,
}

/// The failure table. A kind that has no row goes to the client: it would repeat, or is not the provider's.
const TABLE: &[(Kind, Again, Trigger)] = &[
    (Kind::UpstreamConnect, Again::Later, Trigger::Error),
    (Kind::UpstreamReset, Again::Later, Trigger::Error),
    (Kind::UpstreamError, Again::Later, Trigger::Error),
    (Kind::MalformedResponse, Again::Later, Trigger::Error),
    (Kind::UpstreamCut, Again::Later, Trigger::Error),
    (Kind::UpstreamInBand, Again::Later, Trigger::Error),
    (Kind::PrefillRefused, Again::Changed, Trigger::Error),
    (Kind::UpstreamAuth, Again::OnlyOtherCredential, Trigger::Error),
    (Kind::UpstreamTimeout, Again::Never, Trigger::Timeout),
    (Kind::UpstreamStalled, Again::Never, Trigger::Timeout),
    (Kind::UpstreamRateLimited, Again::OtherCredential, Trigger::RateLimit),
    (Kind::UpstreamSpendCap, Again::OnlyOtherCredential, Trigger::RateLimit),
    // The gateway's own limits of a provider, credential or model, and below, its budgets.
    (Kind::RateLimited, Again::Never, Trigger::RateLimit),
    (Kind::ContextLength, Again::Never, Trigger::ContextLength),
    (Kind::ContentFilter, Again::Never, Trigger::ContentFilter),
    (Kind::BudgetExceeded, Again::Never, Trigger::Budget),
];

/// The provider may have done what it was asked before this fault: a request that makes something would make it twice.
pub fn may_have_acted(kind: Kind) -> bool {
    let refuses = matches!(
        kind,
        Kind::UpstreamConnect | Kind::UpstreamAuth | Kind::UpstreamRateLimited | Kind::UpstreamSpendCap | Kind::PrefillRefused
    );
    kind.blame() == Blame::Upstream && !refuses
}

/// What a fault is to the next target; an error where the table has no row.
pub fn trigger(kind: Kind) -> Trigger {
    TABLE.iter().find(|row| row.0 == kind).map_or(Trigger::Error, |row| row.2)
}

/// Decides by the failure table. `random` is uniform in 0..=u64::MAX, for full jitter.
pub fn next(plan: &Plan, progress: Progress, fault: &Fault, budget: &RetryBudget, random: u64) -> Next {
    let Some(&(_, again, trigger)) = TABLE.iter().find(|row| row.0 == fault.kind) else { return Next::GiveUp };
    if progress.left_ns == 0 {
        return Next::GiveUp;
    }
    if let Some(wait) = same(plan, progress, fault, again, random)
        && wait.as_nanos() < u128::from(progress.left_ns)
        && budget.withdraw(progress.now_ns)
    {
        return Next::Same { wait };
    }
    plan.next_for(progress.step, trigger, plan.rules.on).map_or(Next::GiveUp, |step| Next::Target { step })
}

/// The wait before the same target may be tried again, `None` where it may not.
fn same(plan: &Plan, progress: Progress, fault: &Fault, again: Again, random: u64) -> Option<Duration> {
    let tried = progress.attempts_on_step;
    if tried >= ATTEMPTS_PER_TARGET_MAX {
        return None;
    }
    // Another credential is another target by the words of the design, so `retries` does not bound it.
    let other_credential = plan.steps.get(progress.step).is_some_and(|step| tried < step.credential_count);
    match again {
        Again::Never => None,
        Again::OtherCredential | Again::OnlyOtherCredential if other_credential => Some(Duration::ZERO),
        Again::OnlyOtherCredential => None,
        Again::Changed => Some(Duration::ZERO),
        Again::Later | Again::OtherCredential if tried > plan.rules.retries => None,
        Again::Later | Again::OtherCredential => match fault.retry_after {
            Some(after) if after > RETRY_AFTER_MAX => None,
            // The provider's word is the least wait; the jitter on top keeps clients from coming back all at once.
            Some(after) => Some(after + jitter(1, random)),
            None => Some(jitter(tried, random)),
        },
    }
}

/// Uniform in 0..=the n-th backoff.
fn jitter(tried: u32, random: u64) -> Duration {
    let factor = 1u32 << tried.saturating_sub(1).min(16);
    let most_ns = BACKOFF_BASE.saturating_mul(factor).min(BACKOFF_MAX).as_nanos();
    Duration::from_nanos(((u128::from(random) * (most_ns + 1)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::plan_of;

    const SECOND: u64 = 1_000_000_000;

    fn ask(plan: &Plan, step: usize, attempts_on_step: u32, fault: &Fault) -> Next {
        let progress = Progress { step, attempts_on_step, left_ns: 60 * SECOND, now_ns: SECOND };
        next(plan, progress, fault, &RetryBudget::default(), u64::MAX)
    }

    fn fault(kind: Kind) -> Fault {
        Fault::new(kind, "test")
    }

    #[test]
    fn the_failure_table_holds() {
        let plan = plan_of(&["a/m", "b/m"]);
        let wait = BACKOFF_BASE;
        for (kind, expected) in [
            (Kind::UpstreamConnect, Next::Same { wait }),
            (Kind::UpstreamReset, Next::Same { wait }),
            (Kind::UpstreamError, Next::Same { wait }),
            (Kind::MalformedResponse, Next::Same { wait }),
            (Kind::UpstreamRateLimited, Next::Same { wait }),
            (Kind::PrefillRefused, Next::Same { wait: Duration::ZERO }),
            (Kind::UpstreamTimeout, Next::Target { step: 1 }),
            (Kind::UpstreamStalled, Next::Target { step: 1 }),
            (Kind::UpstreamSpendCap, Next::Target { step: 1 }),
            (Kind::UpstreamAuth, Next::Target { step: 1 }),
            (Kind::ContextLength, Next::Target { step: 1 }),
            (Kind::UpstreamRefused, Next::GiveUp),
            (Kind::ContentFilter, Next::GiveUp),
            (Kind::InvalidRequest, Next::GiveUp),
            (Kind::ClientGone, Next::GiveUp),
            (Kind::Internal, Next::GiveUp),
        ] {
            assert_eq!(ask(&plan, 0, 1, &fault(kind)), expected, "{kind:?}");
        }
    }

    #[test]
    fn what_was_refused_was_not_done() {
        for kind in [Kind::UpstreamReset, Kind::UpstreamTimeout, Kind::UpstreamError, Kind::MalformedResponse, Kind::UpstreamCut] {
            assert!(may_have_acted(kind), "{kind:?}");
        }
        for kind in [Kind::UpstreamConnect, Kind::UpstreamAuth, Kind::UpstreamRateLimited, Kind::RateLimited, Kind::BudgetExceeded] {
            assert!(!may_have_acted(kind), "{kind:?}");
        }
    }

    #[test]
    fn attempts_on_a_target_are_bounded_and_the_last_target_gives_up() {
        let plan = plan_of(&["a/m", "b/m"]);
        let error = fault(Kind::UpstreamError);
        assert!(matches!(ask(&plan, 0, 2, &error), Next::Same { .. }));
        assert_eq!(ask(&plan, 0, 3, &error), Next::Target { step: 1 });
        assert_eq!(ask(&plan, 1, 3, &error), Next::GiveUp);
        assert_eq!(ask(&plan, 1, 1, &fault(Kind::UpstreamTimeout)), Next::GiveUp);
    }

    #[test]
    fn retries_of_zero_go_straight_to_the_next_target() {
        let mut plan = plan_of(&["a/m", "b/m"]);
        std::sync::Arc::make_mut(&mut plan.rules).retries = 0;
        assert_eq!(ask(&plan, 0, 1, &fault(Kind::UpstreamError)), Next::Target { step: 1 });
    }

    #[test]
    fn retry_after_is_honoured_up_to_its_bound() {
        let plan = plan_of(&["a/m", "b/m"]);
        let mut limited = fault(Kind::UpstreamRateLimited);
        limited.retry_after = Some(Duration::from_secs(2));
        let Next::Same { wait } = ask(&plan, 0, 1, &limited) else { panic!("a short Retry-After is waited for") };
        assert!((Duration::from_secs(2)..=Duration::from_millis(2_100)).contains(&wait), "{wait:?}");
        limited.retry_after = Some(Duration::from_secs(11));
        assert_eq!(ask(&plan, 0, 1, &limited), Next::Target { step: 1 });
        assert_eq!(ask(&plan, 1, 1, &limited), Next::GiveUp);
        limited.retry_after = Some(Duration::from_secs(5));
        let progress = Progress { step: 0, attempts_on_step: 1, left_ns: 3 * SECOND, now_ns: SECOND };
        assert_eq!(
            next(&plan, progress, &limited, &RetryBudget::default(), 0),
            Next::Target { step: 1 },
            "the wait outlasts the time left"
        );
    }

    #[test]
    fn another_credential_is_tried_at_once() {
        let mut plan = plan_of(&["a/m"]);
        plan.steps[0].credential_count = 2;
        for kind in [Kind::UpstreamAuth, Kind::UpstreamRateLimited, Kind::UpstreamSpendCap] {
            assert_eq!(ask(&plan, 0, 1, &fault(kind)), Next::Same { wait: Duration::ZERO }, "{kind:?}");
        }
        assert_eq!(ask(&plan, 0, 2, &fault(Kind::UpstreamAuth)), Next::GiveUp);
    }

    #[test]
    fn on_filters_what_the_next_target_is_taken_for() {
        let mut plan = plan_of(&["a/m", "b/m"]);
        std::sync::Arc::make_mut(&mut plan.rules).on = [Trigger::RateLimit, Trigger::ContentFilter].into_iter().collect();
        assert_eq!(ask(&plan, 0, 1, &fault(Kind::UpstreamTimeout)), Next::GiveUp);
        assert_eq!(ask(&plan, 0, 3, &fault(Kind::UpstreamRateLimited)), Next::Target { step: 1 });
        assert_eq!(ask(&plan, 0, 1, &fault(Kind::ContentFilter)), Next::Target { step: 1 });
    }

    #[test]
    fn no_time_left_gives_up() {
        let plan = plan_of(&["a/m", "b/m"]);
        let progress = Progress { step: 0, attempts_on_step: 1, left_ns: 0, now_ns: SECOND };
        assert_eq!(next(&plan, progress, &fault(Kind::UpstreamError), &RetryBudget::default(), 0), Next::GiveUp);
    }

    #[test]
    fn a_quiet_target_has_three_retries_in_ten_seconds() {
        let budget = RetryBudget::default();
        let granted = (0..100).filter(|tick| budget.withdraw(SECOND + tick * SECOND / 10)).count();
        assert_eq!(granted, 3);
        assert!(budget.withdraw(13 * SECOND));
    }

    #[test]
    fn a_busy_target_has_a_tenth() {
        let budget = RetryBudget::default();
        for _ in 0..1_000 {
            budget.deposit(5 * SECOND);
        }
        assert_eq!((0..1_000).filter(|_| budget.withdraw(6 * SECOND)).count(), 100);
    }

    #[test]
    fn jitter_covers_its_range_and_stops_at_the_cap() {
        assert_eq!(jitter(1, 0), Duration::ZERO);
        assert_eq!(jitter(2, u64::MAX), Duration::from_millis(200));
        assert_eq!(jitter(40, u64::MAX), BACKOFF_MAX);
    }
}
