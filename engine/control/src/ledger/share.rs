//! How many series the metrics may have, and how they are divided among the families.
//!
//! The sum holds however many keys, models, targets and shards there are: a family that is full counts the rest as `other`.

/// Series on the metrics page, by default.
pub const SERIES_MAX: usize = 2_000;
/// The fewest that every family still has room in.
pub const SERIES_MIN: usize = 1_000;

/// One family's part.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    permille: usize,
    /// Samples of one row: the buckets, sum and count of a histogram; all gauges of one target.
    samples: usize,
}

impl Share {
    const fn of(permille: usize, samples: usize) -> Share {
        Share { permille, samples }
    }

    /// Most rows, the one for `other` included.
    pub fn rows(self, series_max: usize) -> usize {
        (series_max * self.permille / 1_000 / self.samples).max(2)
    }
}

/// Buckets of `histogram::SECONDS` with the unbounded one, sum and count.
const SECONDS: usize = super::histogram::SECONDS.len() + 3;
const INTER_TOKEN: usize = super::histogram::INTER_TOKEN_SECONDS.len() + 3;
const OVERHEAD: usize = super::histogram::OVERHEAD_SECONDS.len() + 3;

pub const REQUESTS: Share = Share::of(120, 1);
pub const TOKENS: Share = Share::of(60, 1);
pub const COST: Share = Share::of(25, 1);
pub const UNPRICED: Share = Share::of(10, 1);
pub const ATTEMPTS: Share = Share::of(25, 1);
/// Of retries, of fallbacks, of hedges and of mirrors.
pub const FURTHER_ATTEMPTS: Share = Share::of(10, 1);
/// Of a team's requests, and of its cost.
pub const TEAMS: Share = Share::of(10, 1);
pub const DURATION: Share = Share::of(108, SECONDS);
pub const FIRST_TOKEN: Share = Share::of(72, SECONDS);
pub const UPSTREAM: Share = Share::of(72, SECONDS);
pub const BETWEEN_TOKENS: Share = Share::of(56, INTER_TOKEN);
pub const OVERHEADS: Share = Share::of(36, OVERHEAD);
pub const TARGETS: Share = Share::of(78, 11);
pub const CREDENTIALS: Share = Share::of(28, 4);
pub const QUOTAS: Share = Share::of(60, 4);
pub const SHARDS: Share = Share::of(72, 15);

/// What is left for figures that are there once: of the process, of the queues, of errors by class.
pub const ONCE_PERMILLE: usize = 118;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_no_more_than_the_whole() {
        let several = 4 * FURTHER_ATTEMPTS.permille + 2 * TEAMS.permille;
        let each = [
            REQUESTS,
            TOKENS,
            COST,
            UNPRICED,
            ATTEMPTS,
            DURATION,
            FIRST_TOKEN,
            UPSTREAM,
            BETWEEN_TOKENS,
            OVERHEADS,
            TARGETS,
            CREDENTIALS,
            QUOTAS,
            SHARDS,
        ];
        let sum: usize = each.iter().map(|share| share.permille).sum::<usize>() + several + ONCE_PERMILLE;
        assert!(sum <= 1_000, "{sum}");
        for share in each {
            assert!(share.permille * SERIES_MIN / 1_000 >= 2 * share.samples, "{share:?} has no room at {SERIES_MIN}");
        }
    }
}
