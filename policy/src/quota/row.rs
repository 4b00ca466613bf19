//! One quota's line in an exchange: what was there, what was promised, what it came to.

use std::sync::Arc;

use ringway_adapters::fault::Fault;

use super::{At, Counts, Exhaust, Need, Quota, refusal};
use crate::config::Measure;
use crate::money::NanoDollars;
use crate::spend::Charge;

/// What one quota promised an exchange, and what it came to. The record keeps it.
#[derive(Clone, Debug)]
pub struct Row {
    pub quota: Arc<Quota>,
    pub reserved: u64,
    /// Counted for good. `Measure::Concurrent` counts nothing for good.
    pub actual: u64,
    /// What could have been reserved before.
    pub left_before: u64,
    /// When the window began in which it was counted; 0 where there is none.
    pub window_start_ms: u64,
    pub state: State,
}

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Promised, not settled yet.
    Open,
    /// Passed over although it was not there: a shadow, or a budget whose downgrade was taken. What it comes to is debt.
    Over,
    /// Refused the exchange.
    Refused,
    /// Given back because another one refused.
    Undone,
    Settled,
}

impl State {
    /// Its word in records.
    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Over => "over",
            State::Refused => "refused",
            State::Undone => "undone",
            State::Settled => "settled",
        }
    }
}

/// What an exchange or an attempt came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub input: u64,
    pub output: u64,
    /// `None` where a rate is not known: what was reserved stands for it.
    pub cost: Option<NanoDollars>,
}

impl Spent {
    fn of(&self, counts: Counts, reserved: u64) -> u64 {
        match counts {
            Counts::Measure(Measure::Requests) => 1,
            Counts::Measure(Measure::Concurrent) => 0,
            Counts::Measure(Measure::InputTokens) => self.input,
            Counts::Measure(Measure::OutputTokens) => self.output,
            Counts::Measure(Measure::Tokens) => self.input.saturating_add(self.output),
            Counts::Usd => self.cost.map_or(reserved, |cost| cost.0),
        }
    }
}

impl Row {
    /// Counts what it came to; a row that is not open is left alone.
    pub(super) fn settle(&mut self, spent: &Spent, at: At) {
        if !matches!(self.state, State::Open | State::Over) {
            return;
        }
        self.actual = spent.of(self.quota.counts, self.reserved);
        if self.state == State::Open {
            self.state = State::Settled;
            self.quota.account.settle(at.shard, self.reserved, self.actual, at.now);
        } else if self.actual > 0 {
            self.quota.account.settle(at.shard, 0, self.actual, at.now);
        }
        self.note_window();
    }

    fn note_window(&mut self) {
        if self.quota.is_budget() {
            self.window_start_ms = self.quota.account.window_start_ms().unwrap_or(0);
        }
    }

    /// What it adds to a budget; `None` for limits, and where it came to nothing.
    pub fn charge(&self) -> Option<Charge> {
        let (account_id, window_start_ms, amount) = (self.quota.account_id, self.window_start_ms, self.actual);
        (self.quota.is_budget() && amount > 0).then_some(Charge { account_id, window_start_ms, amount })
    }

    /// Counts what was reserved, where nobody knows what it came to.
    pub(super) fn forfeit(&mut self, at: At) {
        if self.state == State::Open {
            let is_concurrent = self.quota.counts == Counts::Measure(Measure::Concurrent);
            self.actual = if is_concurrent { 0 } else { self.reserved };
            self.state = State::Settled;
            self.quota.account.settle(at.shard, self.reserved, self.actual, at.now);
            self.note_window();
        }
    }

    /// An open promise on a budget that ends streams.
    pub(super) fn cuts(&self) -> bool {
        self.state == State::Open && self.quota.on_exhaust == Exhaust::Cut && !self.quota.shadow
    }

    /// Reserves more; `false` where it is not there.
    pub(super) fn extend(&mut self, need: &Need, at: At) -> bool {
        let amount = need.of(self.quota.counts);
        let is_there = self.state == State::Open && self.quota.account.reserve(at.shard, amount, at.now).is_ok();
        if is_there {
            self.reserved += amount;
        }
        is_there
    }

    /// Reserves what a session has come to beyond what is held.
    ///
    /// # Errors
    /// What the quota says where it has no room for it; a shadow has always.
    pub(super) fn hold(&mut self, spent: &Spent, at: At) -> Result<(), Fault> {
        let lacking = spent.of(self.quota.counts, self.reserved).saturating_sub(self.reserved);
        if lacking == 0 || matches!(self.quota.counts, Counts::Measure(Measure::Requests | Measure::Concurrent)) {
            return Ok(());
        }
        match self.quota.account.reserve(at.shard, lacking, at.now) {
            Ok(()) => {
                self.reserved += lacking;
                Ok(())
            }
            Err(_) if self.quota.shadow => Ok(()),
            Err(short) => Err(refusal::short(&self.quota, lacking, short)),
        }
    }

    /// Gives back what it was just extended by.
    pub(super) fn shrink(&mut self, need: &Need, at: At) {
        let amount = need.of(self.quota.counts);
        self.quota.account.settle(at.shard, amount, 0, at.now);
        self.reserved -= amount;
    }

    /// Gives everything back.
    pub(super) fn undo(&mut self, at: At) {
        if self.state == State::Open {
            self.quota.account.settle(at.shard, self.reserved, 0, at.now);
            self.reserved = 0;
            self.state = State::Undone;
        }
    }

    /// What can be reserved after it.
    pub fn left_after(&self) -> u64 {
        let counted = if self.state == State::Settled { self.actual } else { self.reserved };
        self.left_before.saturating_sub(counted)
    }
}
