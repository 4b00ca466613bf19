//! Targets that have become slow: measured against their own past and against the other targets of their route.

use ringway_adapters::ir::Mode;

use super::TargetId;
use crate::plan::TARGETS_MAX;

/// So many times its own baseline, and so many times the median of the others, is slow.
const FACTOR: u32 = 3;
/// Less than this above its baseline is noise.
const LEAST_US: u32 = 100_000;

/// Leaves those of a route's targets alone for a while that have become slow. Never more than half of them, so that a slow network
/// of our own does not empty the route.
pub fn eject_outliers<'t>(targets: impl Iterator<Item = &'t TargetId> + Clone, mode: Mode, now_ns: u64) {
    let count = targets.clone().count();
    for (index, target) in targets.clone().enumerate() {
        let Some((recent, baseline)) = target.health.latency(mode).means() else { continue };
        let has_become_slow = recent > baseline.saturating_mul(FACTOR) && recent - baseline > LEAST_US;
        if !has_become_slow || target.health.is_ejected(now_ns) {
            continue;
        }
        let others = targets.clone().enumerate().filter(|(other, _)| *other != index).map(|(_, target)| target);
        let Some(median) = median(others.clone(), mode) else { continue };
        let ejected_count = others.filter(|other| other.health.is_ejected(now_ns)).count();
        if recent > median.saturating_mul(FACTOR) && 2 * (ejected_count + 1) <= count {
            target.health.eject(now_ns);
        }
    }
}

/// The median of their recent means, `None` where none has one. The lower of two: a fast one is enough to be compared with.
fn median<'t>(targets: impl Iterator<Item = &'t TargetId>, mode: Mode) -> Option<u32> {
    let mut means = [0; TARGETS_MAX];
    let mut count = 0;
    for (recent, _) in targets.filter_map(|target| target.health.latency(mode).means()).take(TARGETS_MAX) {
        means[count] = recent;
        count += 1;
    }
    means[..count].sort_unstable();
    means[..count].get(count.saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::health::Reason;
    use crate::plan::testing::plan_of;

    const MS: u64 = 1_000_000;

    fn targets() -> Vec<Arc<TargetId>> {
        plan_of(&["a/m", "b/m", "c/m", "d/m"]).steps.iter().map(|step| step.target.clone()).collect()
    }

    fn samples(target: &TargetId, count: u32, latency_ms: u64) {
        (0..count).for_each(|_| target.health.latency(Mode::Stream).observe(latency_ms * MS, MS));
    }

    fn ejected(targets: &[Arc<TargetId>]) -> usize {
        eject_outliers(targets.iter().map(|target| &**target), Mode::Stream, MS);
        targets.iter().filter(|target| target.share(MS) == (0, Some(Reason::Slow))).count()
    }

    #[test]
    fn one_that_became_slow_is_left_alone() {
        let targets = targets();
        targets.iter().for_each(|target| samples(target, 100, 200));
        assert_eq!(ejected(&targets), 0);
        samples(&targets[0], 20, 2_000);
        assert_eq!(ejected(&targets), 1);
        assert_eq!(targets[0].share(MS).0, 0);
    }

    #[test]
    fn one_that_was_always_slow_is_not() {
        let targets = targets();
        targets[1..].iter().for_each(|target| samples(target, 100, 200));
        samples(&targets[0], 100, 2_000);
        assert_eq!(ejected(&targets), 0);
    }

    #[test]
    fn nobody_is_where_all_became_slow() {
        let targets = targets();
        targets.iter().for_each(|target| samples(target, 100, 200));
        targets.iter().for_each(|target| samples(target, 20, 2_000));
        assert_eq!(ejected(&targets), 0);
    }

    #[test]
    fn never_more_than_half_are() {
        let targets = targets();
        targets.iter().for_each(|target| samples(target, 100, 200));
        targets[..2].iter().for_each(|target| samples(target, 20, 2_000));
        assert_eq!(ejected(&targets), 2);
        samples(&targets[2], 20, 20_000);
        assert_eq!(ejected(&targets), 2, "slower than all others, but the third of four");
    }
}
