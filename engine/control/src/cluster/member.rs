//! One shared account on this node: what is still to be told, and how it goes on without the store.

use std::sync::Arc;

use ringway_policy::config::OnPartition;
use ringway_policy::lease::{Account, Demand, Now, Terms, Told, Window};

use super::client::{AMOUNT_MAX, Answer, Kind, Turn};

const MS_NS: u64 = 1_000_000;
/// What a node keeps beyond what it spent since the last round.
const KEEP_ROUNDS: u64 = 2;
/// Rounds in which nothing happened after which a lease is told of no more: it was given back.
const QUIET_ROUNDS: u32 = 3;

pub(super) struct Member {
    id: Arc<str>,
    pub account: Arc<Account>,
    /// Ever, and how much of it the store has heard of.
    spent: u64,
    heard: u64,
    /// Granted in the last rounds: who waits for it has not come yet.
    fresh: [u64; 2],
    /// What the last look at the account said.
    demand: Option<Demand>,
    /// Spent between the last two looks.
    pace: u64,
    quiet_rounds: u32,
    /// Settled by all when the store last spoke.
    settled: u64,
    /// Stands in for the store.
    alone: Option<Account>,
    expired: bool,
}

impl Member {
    pub fn new(id: Arc<str>, account: Arc<Account>) -> Member {
        Member {
            id,
            account,
            spent: 0,
            heard: 0,
            fresh: [0; 2],
            demand: None,
            pace: 0,
            quiet_rounds: 0,
            settled: 0,
            alone: None,
            expired: false,
        }
    }

    /// Looks what there is to tell.
    pub fn collect(&mut self) {
        let keep = self.pace.saturating_mul(KEEP_ROUNDS).saturating_add(self.fresh.iter().sum());
        self.fresh = [0, self.fresh[0]];
        let Some(demand) = self.account.demand(keep) else { return };
        self.pace = demand.spent.max(self.pace / 2);
        self.quiet_rounds = if demand.is_idle && self.spent == self.heard { self.quiet_rounds.saturating_add(1) } else { 0 };
        self.spent = self.spent.saturating_add(demand.spent);
        // Nobody answered the last one: who waited then waits still.
        self.demand = Some(match self.demand {
            Some(before) if before.want > 0 => Demand {
                need: if demand.want > 0 { before.need.min(demand.need) } else { before.need },
                want: before.want.saturating_add(demand.want),
                ..demand
            },
            _ => demand,
        });
    }

    pub fn has_news(&self) -> bool {
        self.demand.is_some() && self.quiet_rounds < QUIET_ROUNDS
    }

    /// It holds nothing and owes nothing.
    pub fn is_done(&self) -> bool {
        self.quiet_rounds >= QUIET_ROUNDS
    }

    /// Its turn at the store.
    pub fn turn(&self, now: Now) -> Turn {
        let (terms, held, need, want) = match self.demand {
            Some(demand) => (demand.terms, demand.held, demand.need, demand.want),
            None => (Terms::Concurrent { count: 0 }, 0, 0, 0),
        };
        let kind = match terms {
            Terms::Rate { per_ns, .. } => Kind::Rate { per_ms: (per_ns / MS_NS).max(1) },
            Terms::Window { window: Window::FirstSpend { per_ms }, .. } => Kind::Window { per_ms, calendar_start_ms: 0 },
            Terms::Window { window, .. } => {
                let (start_ms, end_ms) = window.bounds_ms(now.unix_ms);
                Kind::Window { per_ms: end_ms - start_ms, calendar_start_ms: start_ms }
            }
            Terms::Concurrent { .. } => Kind::Concurrent,
        };
        let amount = |amount: u64| amount.min(AMOUNT_MAX);
        Turn {
            account: self.id.to_string(),
            kind,
            limit: amount(terms.limit()),
            spent: amount(self.spent),
            heard: amount(self.heard),
            held: amount(held),
            need: amount(need),
            want: amount(want),
            spare: amount(self.pace.saturating_mul(KEEP_ROUNDS)),
        }
    }

    /// The store answered.
    pub fn told(&mut self, answer: Answer, now: Now) {
        self.heard = self.spent;
        self.fresh[0] = self.fresh[0].saturating_add(answer.granted);
        self.settled = answer.settled;
        let Some(demand) = self.demand.take() else { return };
        let told = Told {
            granted: answer.granted,
            settled: answer.settled,
            leased: answer.leased,
            retry_in_ns: answer.wait.map(|wait| wait.as_nanos() as u64),
        };
        self.account.told(&demand, told, now);
    }

    /// The store is there again: it decides from now on.
    pub fn rejoin(&mut self) {
        self.alone = None;
        self.expired = false;
    }

    /// The leases of this node have run out.
    pub fn expire(&mut self) {
        if !std::mem::replace(&mut self.expired, true) {
            self.account.expire();
        }
    }

    /// Answers who waits in place of the store.
    pub fn go_on_alone(&mut self, on_partition: OnPartition, now: Now) {
        let Some(demand) = self.demand.take() else { return };
        let (granted, retry_in_ns) = match on_partition {
            OnPartition::Refuse => (0, None),
            OnPartition::Allow => (demand.want, None),
            OnPartition::Local => self.lend_locally(&demand, now),
        };
        self.fresh[0] = self.fresh[0].saturating_add(granted);
        // What this node holds beside the store's leases is known to it alone.
        self.account.told(
            &demand,
            Told { granted, settled: self.settled.saturating_add(self.spent - self.heard), leased: 0, retry_in_ns },
            now,
        );
    }

    fn lend_locally(&mut self, demand: &Demand, now: Now) -> (u64, Option<u64>) {
        let settled = self.settled;
        let alone = self.alone.get_or_insert_with(|| {
            let alone = Account::new(1, demand.terms);
            if settled > 0 && !matches!(demand.terms, Terms::Concurrent { .. }) {
                alone.settle(0, 0, settled, now);
            }
            // What the store lent before is spent from the same limit.
            let _ = alone.reserve(0, demand.held + demand.spent + demand.returned, now);
            alone
        });
        alone.settle(0, demand.spent, demand.spent, now);
        alone.settle(0, demand.returned, 0, now);
        for amount in [demand.want, demand.need] {
            match alone.reserve(0, amount, now) {
                Ok(()) => return (amount, None),
                Err(short) if short.left >= demand.need && amount == demand.want && short.left > 0 => {
                    if alone.reserve(0, short.left, now).is_ok() {
                        return (short.left, None);
                    }
                }
                Err(short) if amount == demand.need => return (0, short.retry_in_ns),
                Err(_) => {}
            }
        }
        (0, None)
    }
}
