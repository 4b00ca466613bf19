//! Strategies: in which order a route's targets are tried.
//!
//! First the targets are told apart: those that are given their share now, then the rest, which are tried last. Each part is put in
//! order by the strategy's row of the table. In place: no allocation, at most `TARGETS_MAX` costs on the stack.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sticky::{self, Sticky};
use super::{Share, Step, TARGETS_MAX, draw};
use crate::facts::Facts;
use crate::health;
use crate::lease::Now;
use crate::snapshot::Snapshot;
use crate::snapshot::credential;

/// How a route's targets are put in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Drawn by weight.
    #[default]
    Weighted,
    /// The better of two that chance picks, by expected latency; then the others by it.
    LeastLatency,
    /// Fewest requests under way, measured by weight.
    LeastBusy,
    /// The lowest price for a request like this; an unknown price last.
    Cheapest,
    /// In turn, by weight.
    RoundRobin,
    /// The same target for the same value, shares by weight.
    Hash(Sticky),
}

impl Strategy {
    /// The words of `strategy:` that stand alone.
    pub const WORDS: &[(&str, fn() -> Strategy)] = &[
        ("weighted", || Strategy::Weighted),
        ("least_latency", || Strategy::LeastLatency),
        ("least_busy", || Strategy::LeastBusy),
        ("cheapest", || Strategy::Cheapest),
        ("round_robin", || Strategy::RoundRobin),
    ];

    /// Its word in records.
    pub fn name(&self) -> &'static str {
        match self {
            Strategy::Weighted => "weighted",
            Strategy::LeastLatency => "least_latency",
            Strategy::LeastBusy => "least_busy",
            Strategy::Cheapest => "cheapest",
            Strategy::RoundRobin => "round_robin",
            Strategy::Hash(_) => "hash",
        }
    }

    fn arrange(&self) -> Arrange {
        match self {
            Strategy::Weighted => weighted,
            Strategy::LeastLatency => least_latency,
            Strategy::LeastBusy => least_busy,
            Strategy::Cheapest => cheapest,
            Strategy::RoundRobin => round_robin,
            Strategy::Hash(_) => hash,
        }
    }
}

/// As in the file: `least_latency`, `hash: user`.
impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Strategy::Hash(sticky) = self {
            return write!(f, "hash: {sticky}");
        }
        let word = Strategy::WORDS.iter().find(|(_, strategy)| strategy() == *self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// What a route remembers from request to request; outlives snapshots.
#[derive(Debug, Default)]
pub struct RouteState {
    turn: AtomicU64,
    /// What requests have paid in for hedges, in millionths of one.
    hedges: AtomicU64,
}

/// Hedges that may be saved up.
const HEDGES_SAVED_MAX: u64 = 10;

impl RouteState {
    /// Counts a request of a route that hedges `share` of them.
    pub fn pay_in(&self, share: Share) {
        let most = HEDGES_SAVED_MAX * u64::from(Share::WHOLE);
        let add = |saved: u64| Some((saved + u64::from(share.0)).min(most));
        let _ = self.hedges.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes the price of one hedge out, if it is there: never more hedges than the share of the requests.
    pub fn take_hedge(&self) -> bool {
        let take = |saved: u64| saved.checked_sub(u64::from(Share::WHOLE));
        self.hedges.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// All that an order depends on beside the targets themselves.
pub(super) struct Scene<'a> {
    pub snapshot: &'a Snapshot,
    pub facts: &'a Facts<'a>,
    pub now: Now,
    pub strategy: &'a Strategy,
    pub state: &'a RouteState,
    /// The route's name: experiments of two routes do not go together.
    pub route: &'a str,
    pub rng: &'a mut dyn FnMut() -> u64,
    /// What the request is stuck by, and whose turn it is, once known.
    value: Option<u64>,
    turn: u64,
}

type Arrange = fn(&mut [Step], &mut Scene<'_>);

impl<'a> Scene<'a> {
    pub fn new(
        snapshot: &'a Snapshot,
        facts: &'a Facts<'a>,
        now: Now,
        route: &'a crate::snapshot::Route,
        rng: &'a mut dyn FnMut() -> u64,
    ) -> Scene<'a> {
        Scene { snapshot, facts, now, strategy: &route.strategy, state: &route.state, route: &route.name, rng, value: None, turn: 0 }
    }

    /// Puts a route's targets in order.
    pub fn arrange(&mut self, steps: &mut [Step]) {
        if steps.len() < 2 {
            return;
        }
        match self.strategy {
            Strategy::Hash(sticky) => self.value = sticky::value(sticky, self.facts).map(|value| sticky::hash(&[self.route, &value])),
            Strategy::RoundRobin => self.turn = self.state.turn.fetch_add(1, Ordering::Relaxed),
            _ => {}
        }
        health::eject_outliers(steps.iter().map(|step| &*step.target), self.facts.mode, self.now.mono_ns);
        let mut first_count = 0;
        for index in 0..steps.len() {
            if self.is_given_its_share(&steps[index]) {
                steps[first_count..=index].rotate_right(1);
                first_count += 1;
            }
        }
        let (first, last) = steps.split_at_mut(first_count);
        let arrange = self.strategy.arrange();
        arrange(first, self);
        arrange(last, self);
    }

    /// Chance decides over those that are given a part of their share; over what is sticky its value does.
    fn is_given_its_share(&mut self, step: &Step) -> bool {
        let share = match credential::are_resting(&self.snapshot.providers[step.provider].credentials, &step.model, self.now.mono_ns) {
            true => 0,
            false => step.target.share(self.now.mono_ns).0,
        };
        match (share, self.value) {
            (100.., _) => true,
            (0, _) => false,
            (share, None) => sticky::percent((self.rng)()) < share,
            (share, Some(value)) => sticky::percent(sticky::mix(value ^ sticky::hash(&["share", &step.target.id]))) < share,
        }
    }
}

/// Draws without replacement; a weight of 0 comes when nothing else is left, in order.
fn weighted(steps: &mut [Step], scene: &mut Scene<'_>) {
    for taken in 0..steps.len() {
        let left = &mut steps[taken..];
        let Some(index) = draw(left.iter().map(|step| Some(step.weight)), scene.rng) else { return };
        left[..=index].rotate_right(1);
    }
}

/// M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing": the better of two does nearly as well as the best, and
/// does not send everyone to the same one.
fn least_latency(steps: &mut [Step], scene: &mut Scene<'_>) {
    let (mode, now_ns) = (scene.facts.mode, scene.now.mono_ns);
    let cost = |step: &Step| {
        let health = &step.target.health;
        by_weight(health.latency(mode).cost(health.in_flight(), now_ns), step.weight)
    };
    // Those of equal cost, as at the start, are not always tried in the order of the file.
    shuffle(steps, scene);
    sort(steps, cost);
    let able = steps.iter().filter(|step| step.weight > 0).count();
    if able > 2 {
        let one = below((scene.rng)(), able);
        let other = (one + 1 + below((scene.rng)(), able - 1)) % able;
        steps[..=one.min(other)].rotate_right(1);
    }
}

fn least_busy(steps: &mut [Step], scene: &mut Scene<'_>) {
    const SCALE: u64 = 1_000_000;
    shuffle(steps, scene);
    sort(steps, |step| by_weight((u64::from(step.target.health.in_flight()) + 1) * SCALE, step.weight));
}

/// Targets of one price are drawn by weight.
fn cheapest(steps: &mut [Step], scene: &mut Scene<'_>) {
    weighted(steps, scene);
    let (facts, at_unix_s) = (scene.facts, scene.now.unix_ms / 1_000);
    sort(steps, |step| match step.weight {
        0 => u64::MAX,
        _ => super::price::of(step, facts, at_unix_s).map_or(u64::MAX - 1, |price| price.0),
    });
}

/// The turn's number picks a target by weight, the others follow in the order of the file.
fn round_robin(steps: &mut [Step], scene: &mut Scene<'_>) {
    sort(steps, |step| u64::from(step.weight == 0));
    let total: u64 = steps.iter().map(|step| u64::from(step.weight)).sum();
    let able = steps.iter().filter(|step| step.weight > 0).count();
    if total == 0 {
        return;
    }
    let mut point = scene.turn % total;
    for index in 0..able {
        let weight = u64::from(steps[index].weight);
        if point < weight {
            return steps[..able].rotate_left(index);
        }
        point -= weight;
    }
}

/// Rendezvous hashing (Thaler, Ravishankar 1998) with weights: each target scores by itself, so that one that goes moves its own
/// requests alone, and one that grows takes only what it needs from each of the others.
fn hash(steps: &mut [Step], scene: &mut Scene<'_>) {
    let Some(value) = scene.value else { return weighted(steps, scene) };
    sort(steps, |step| {
        let point = sticky::mix(value ^ sticky::hash(&[&step.target.id]));
        // Uniform in (0, 1]; -ln of it, divided by the weight, is exponential: the least of them is the target's by its share.
        let unit = ((point >> 11) + 1) as f64 / (1u64 << 53) as f64;
        match step.weight {
            0 => u64::MAX,
            // A float that is not negative sorts as its bits do.
            weight => (-unit.ln() / f64::from(weight)).to_bits(),
        }
    });
}

/// A weight of 0 is tried last.
fn by_weight(cost: u64, weight: u32) -> u64 {
    match weight {
        0 => u64::MAX,
        weight => cost.saturating_mul(1_000) / u64::from(weight),
    }
}

fn shuffle(steps: &mut [Step], scene: &mut Scene<'_>) {
    let count = steps.len();
    if count > 1 {
        steps.rotate_left(below((scene.rng)(), count));
    }
}

/// Insertion sort, stable; each cost is asked for once.
fn sort(steps: &mut [Step], mut cost: impl FnMut(&Step) -> u64) {
    let mut costs = [0; TARGETS_MAX];
    for index in 0..steps.len().min(TARGETS_MAX) {
        let own = cost(&steps[index]);
        let place = costs[..index].partition_point(|&other| other <= own);
        costs[place..=index].rotate_right(1);
        costs[place] = own;
        steps[place..=index].rotate_right(1);
    }
}

/// Uniform in `0..bound`.
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests;
