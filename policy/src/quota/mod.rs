//! Quotas: the limits and budgets of the file, compiled; what an exchange reserves, extends and settles on them.
//!
//! A `Quota` is one limit or budget with its account. Its id is made of the file's own words, so that an account lives on
//! through every snapshot that still has it. Those of the principal are reserved once an exchange, those of provider,
//! credential and model once an attempt. An exchange whose principal has none pays for the look at a length.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringway_adapters::fault::Fault;

use crate::config::{Budget, Limit, Measure};
use crate::lease::{Account, Now, Terms};

pub use bill::{Bill, Flow, ROWS_INLINE, Rows};
pub(crate) use held::Accounts;
pub use held::Held;
pub use need::{Learned, Need};
pub use row::{Row, Spent, State};
pub use set::{ModelQuotas, Quotas, TagQuotas};
pub use standing::{Tightest, budget_share, standings, tightest};

mod bill;
mod compile;
mod held;
mod make;
mod maker;
mod need;
mod refusal;
mod row;
mod set;
mod standing;
#[cfg(test)]
mod tests;

pub(crate) use compile::Compiler;

/// Quotas in the order in which they are reserved.
pub type List = Arc<[Arc<Quota>]>;

/// One limit or budget.
#[derive(Debug)]
pub struct Quota {
    /// `key/mobile/requests/1m`: whose, what it counts, in which stretch of time. Stable as long as the file says the same.
    pub id: Box<str>,
    /// The id for machines: what a journal writes.
    pub account_id: u64,
    /// Whose it is: `key`, `team`, `customer`, `all`, `tag`, `provider`, `credential` or `model`.
    pub kind: &'static str,
    /// Whose it is, for people: `key "mobile"`.
    pub owner: Box<str>,
    /// What it allows, for people: `60 requests per 1m`, `50.5 USD per 1d`.
    pub allows: Box<str>,
    pub counts: Counts,
    pub terms: Terms,
    /// Reports, and refuses nothing.
    pub shadow: bool,
    pub on_exhaust: Exhaust,
    /// As the file says it.
    pub rule: Rule,
    pub account: Arc<Account>,
    /// Its key was changed since: another one with the same account stands in its place.
    is_retired: AtomicBool,
}

/// A limit or a budget as the file says it.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    Limit(Limit),
    Budget(Box<Budget>),
}

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// As a limit counts.
    Measure(Measure),
    /// Nano-dollars.
    Usd,
}

/// What happens when it is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exhaust {
    /// New requests are refused; streams under way go on and become debt.
    Refuse,
    /// Streams under way end with a well-formed last event, too.
    Cut,
    /// New requests are planned as if they had asked for this route or model.
    Downgrade(Arc<str>),
}

/// Where and when something is reserved or settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub shard: usize,
    pub now: Now,
}

impl Quota {
    /// The most that can ever be reserved.
    pub fn limit(&self) -> u64 {
        self.terms.limit()
    }

    fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// A budget is what has a window; the others are limits.
    pub fn is_budget(&self) -> bool {
        matches!(self.terms, Terms::Window { .. })
    }

    /// Many clients share it who do not know of each other, so that who finds it used up may wait for room.
    pub fn is_common(&self) -> bool {
        let is_limit = !self.is_budget() && !self.shadow;
        is_limit && matches!(self.kind, "all" | "provider" | "credential" | "model")
    }

    /// Why `amount` is refused now.
    pub fn refusal(&self, amount: u64, now: Now) -> Fault {
        refusal::short(self, amount, self.account.shortage(amount, now))
    }

    /// The unit of its figures, for metrics and the admin API.
    pub fn unit(&self) -> &'static str {
        match self.counts {
            Counts::Measure(measure) => measure.word(),
            Counts::Usd => "usd",
        }
    }

    /// A figure of it in its unit: dollars for nano-dollars.
    pub fn in_unit(&self, figure: u64) -> f64 {
        match self.counts {
            Counts::Usd => figure as f64 * 1e-9,
            Counts::Measure(_) => figure as f64,
        }
    }
}
