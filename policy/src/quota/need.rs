//! What an exchange needs before its answer is there: estimates, and what targets have taught.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ringway_adapters::operation::Operation;

use super::Counts;
use crate::catalog::ModelFacts;
use crate::config::Measure;
use crate::cost::{Missing, Tariff};
use crate::facts::Facts;
use crate::money::NanoDollars;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;

/// Text of a request for a token, where nobody counted: too little is reserved for dense scripts, and settled all the same.
pub(crate) const BYTES_PER_TOKEN: u64 = 4;

/// What is reserved on the quotas of an exchange or an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub input: u64,
    pub output: u64,
    pub cost: NanoDollars,
    /// The client named no bound: `output` is what the model is wont to answer, and more is asked for while it does.
    pub is_guess: bool,
}

impl Need {
    /// What one quota is asked for.
    pub(crate) fn of(&self, counts: Counts) -> u64 {
        match counts {
            Counts::Measure(Measure::Requests | Measure::Concurrent) => 1,
            Counts::Measure(Measure::InputTokens) => self.input,
            Counts::Measure(Measure::OutputTokens) => self.output,
            Counts::Measure(Measure::Tokens) => self.input.saturating_add(self.output),
            Counts::Usd => self.cost.0,
        }
    }
}

/// What is asked of every target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    operation: Operation,
    /// Tokens of the request.
    pub input: u64,
    max_tokens: Option<u64>,
    choices: u64,
}

impl Ask {
    pub fn of(facts: &Facts<'_>) -> Ask {
        Ask {
            operation: facts.operation,
            input: (facts.body_bytes as u64).div_ceil(BYTES_PER_TOKEN),
            max_tokens: facts.max_tokens,
            choices: facts.choices.max(1),
        }
    }

    /// The client named no bound of the answer.
    pub fn is_guess(&self) -> bool {
        self.max_tokens.is_none()
    }

    /// Output tokens of `step`: the client's own bound, else what the target is wont to answer, within what the model can.
    pub fn output(&self, step: &Step, floor: u64) -> u64 {
        if !matches!(self.operation, Operation::Chat | Operation::Complete | Operation::Realtime) {
            return 0;
        }
        let wanted = self.max_tokens.unwrap_or_else(|| step.target.learned.p99().unwrap_or(0).max(floor));
        let most = step.facts.as_ref().and_then(|facts| facts.output_tokens_max).unwrap_or(u64::MAX);
        wanted.min(most).saturating_mul(self.choices)
    }

    /// The most that `step` can cost. A count of tokens and the gateway's own model are free.
    ///
    /// # Errors
    /// The rate that is not known.
    pub fn cost(&self, snapshot: &Snapshot, step: &Step, output: u64, unix_s: u64) -> Result<NanoDollars, Missing> {
        if snapshot.providers[step.provider].builtin || self.operation == Operation::CountTokens {
            return Ok(NanoDollars(0));
        }
        bound(step.facts.as_ref(), self.input, output, unix_s)
    }
}

/// The most that so many tokens can cost.
///
/// # Errors
/// The rate that is not known; `prices` where none is.
pub(crate) fn bound(facts: Option<&Arc<ModelFacts>>, input: u64, output: u64, unix_s: u64) -> Result<NanoDollars, Missing> {
    let rates = facts.and_then(|facts| facts.rates.as_ref()).ok_or(Missing { rate: "prices" })?;
    rates.bound(input, output, Tariff::Standard, unix_s)
}

/// What a plan may need, whichever of its steps answers.
pub(crate) struct Outlook {
    /// The dearest of each.
    pub need: Need,
    /// Steps without a price, one bit each.
    pub unpriced: u32,
    /// The first of them, and the rate that is missing.
    pub missing: Option<(usize, Missing)>,
    pub is_any_priced: bool,
}

/// The needs of a plan's steps; prices are looked at only where money counts.
pub(crate) fn of_plan(snapshot: &Snapshot, ask: &Ask, plan: &Plan, unix_s: u64, counts_money: bool) -> Outlook {
    let floor = snapshot.quotas.output_tokens_floor;
    let need = Need { input: ask.input, is_guess: ask.is_guess(), ..Need::default() };
    let mut outlook = Outlook { need, unpriced: 0, missing: None, is_any_priced: false };
    for (index, step) in plan.steps.iter().enumerate() {
        let output = ask.output(step, floor);
        outlook.need.output = outlook.need.output.max(output);
        if !counts_money {
            continue;
        }
        match ask.cost(snapshot, step, output, unix_s) {
            Ok(cost) => {
                outlook.need.cost = outlook.need.cost.max(cost);
                outlook.is_any_priced = true;
            }
            Err(rate) => {
                outlook.unpriced |= 1 << index;
                outlook.missing.get_or_insert((index, rate));
            }
        }
    }
    outlook
}

/// How long a target's answers are: a histogram of its last answers in atomics, four buckets an octave.
///
/// An answer adds one to its bucket; every `LOOK_EVERY` answers the p99 is read anew, and after `FORGET_AT` all
/// buckets are halved, so that what is older weighs less. Racing halvings lose a count now and then, which an estimate can bear.
#[derive(Debug)]
pub struct Learned {
    buckets: [AtomicU32; BUCKETS],
    count: AtomicU32,
    p99: AtomicU32,
}

const BUCKETS: usize = 80;
const BUCKETS_PER_OCTAVE: u32 = 4;
/// Fewer answers teach nothing.
const ANSWERS_MIN: u32 = 20;
const LOOK_EVERY: u32 = 16;
const FORGET_AT: u32 = 4096;

impl Default for Learned {
    fn default() -> Learned {
        Learned { buckets: [const { AtomicU32::new(0) }; BUCKETS], count: AtomicU32::new(0), p99: AtomicU32::new(0) }
    }
}

impl Learned {
    /// Takes in the output tokens of one whole answer.
    pub fn add(&self, output: u64) {
        self.buckets[bucket(output)].fetch_add(1, Ordering::Relaxed);
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= ANSWERS_MIN && count.is_multiple_of(LOOK_EVERY) {
            self.p99.store(self.read(), Ordering::Relaxed);
        }
        if count >= FORGET_AT && self.count.compare_exchange(count, count / 2, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            for bucket in &self.buckets {
                bucket.store(bucket.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
        }
    }

    /// A bound that 99 of 100 answers stayed within; `None` before enough came.
    pub fn p99(&self) -> Option<u64> {
        Some(u64::from(self.p99.load(Ordering::Relaxed))).filter(|p99| *p99 > 0)
    }

    fn read(&self) -> u32 {
        let counts = || self.buckets.iter().map(|bucket| u64::from(bucket.load(Ordering::Relaxed)));
        let total: u64 = counts().sum();
        let mut within = 0;
        for (index, count) in counts().enumerate() {
            within += count;
            if within * 100 >= total * 99 {
                return upper(index);
            }
        }
        upper(BUCKETS - 1)
    }
}

fn bucket(tokens: u64) -> usize {
    let tokens = tokens.clamp(1, u64::from(u32::MAX)) as u32;
    let octave = tokens.ilog2();
    let quarter = if octave >= 2 { (tokens >> (octave - 2)) & (BUCKETS_PER_OCTAVE - 1) } else { 0 };
    ((octave * BUCKETS_PER_OCTAVE + quarter) as usize).min(BUCKETS - 1)
}

/// The largest figure of a bucket.
fn upper(bucket: usize) -> u32 {
    let (octave, quarter) = (bucket as u32 / BUCKETS_PER_OCTAVE, bucket as u32 % BUCKETS_PER_OCTAVE);
    if octave < 2 {
        return (2 << octave) - 1;
    }
    ((BUCKETS_PER_OCTAVE + quarter + 1) << (octave - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_within_a_quarter_of_an_octave() {
        for tokens in [1u64, 2, 3, 4, 5, 7, 8, 100, 1_000, 65_535, 1_000_000] {
            let most = u64::from(upper(bucket(tokens)));
            assert!(most >= tokens && most <= tokens + tokens / 4 + 1, "{tokens} → {most}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_is_learned_from_few_answers_and_the_p99_from_many() {
        let learned = Learned::default();
        for _ in 0..ANSWERS_MIN - 1 {
            learned.add(100);
        }
        assert_eq!(learned.p99(), None);
        for _ in 0..480 {
            learned.add(100);
        }
        assert!((100..=125).contains(&learned.p99().unwrap()), "{:?}", learned.p99());
        for _ in 0..100 {
            learned.add(4_000);
        }
        assert!((4_000..=5_000).contains(&learned.p99().unwrap()), "{:?}", learned.p99());
    }

    #[test]
    fn old_answers_are_forgotten() {
        let learned = Learned::default();
        (0..1_000).for_each(|_| learned.add(50_000));
        (0..60_000).for_each(|_| learned.add(10));
        assert!(learned.p99().unwrap() < 20, "{:?}", learned.p99());
    }
}
