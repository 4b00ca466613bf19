//! The bill of one exchange: what it has promised on every quota that it falls under, from admission to settlement.
//!
//! Estimate: without quotas one look at two lengths at admission, one compare a read of a stream. With them one `standing` and
//! one `reserve` a quota at admission, one `settle` at the end; nothing is allocated up to `ROWS_INLINE` quotas.

use std::sync::Arc;

use ringway_adapters::fault::Fault;
use ringway_adapters::usage::Usage;
use smallvec::SmallVec;

use super::need::{self, Ask, BYTES_PER_TOKEN, Need};
use super::refusal;
use super::row::{Row, Spent, State};
use super::{At, Counts, Exhaust, Quota};
use crate::catalog::ModelFacts;
use crate::config::Measure;
use crate::facts::Facts;
use crate::key::Principal;
use crate::lease::{Account, Now, Short};
use crate::money::NanoDollars;
use crate::pipeline::Verdict;
use crate::plan::{Plan, Rules, Step, Unpriced};
use crate::snapshot::{Credential, Snapshot};

/// Quotas of an exchange that cost no allocation.
pub const ROWS_INLINE: usize = 6;
/// Output tokens that a running stream asks for at a time, once it comes near what is reserved.
pub const EXTENSION_TOKENS: u64 = 512;
/// How near is near.
pub const MARGIN_TOKENS: u64 = 64;

/// The rows of one exchange.
pub type Rows = SmallVec<[Row; ROWS_INLINE]>;

/// What a stream may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    GoOn,
    /// A budget that cuts is used up: end the answer well-formed, now.
    Cut,
}

/// What one exchange has promised. Settled exactly once; dropped unsettled it counts what it had reserved.
#[derive(Debug)]
pub struct Bill {
    /// The principal's, then those of attempts.
    rows: Rows,
    /// Where the running attempt's begin.
    attempt_from: usize,
    /// Known from admission on.
    ask: Option<Ask>,
    /// Output tokens that all open rows cover, counted over all attempts.
    covered: u64,
    /// Of it, what the principal's rows cover.
    covered_by_principal: u64,
    /// Output tokens of attempts that ended.
    earlier: u64,
    /// Steps of the plan without a price, one bit each.
    skipped: u32,
    /// What asked for in place of the model, because a budget is used up.
    downgraded: Option<Arc<str>>,
    /// The running attempt's, for as long as its stream may ask for more.
    facts: Option<Arc<ModelFacts>>,
    last: At,
    /// Of an account that is shared: the question that is open.
    asked: Option<Question>,
    /// What the last refusal wanted.
    wanted: u64,
    /// What ended a session.
    ended_by: Option<Fault>,
}

/// What a shared store was asked.
#[derive(Debug)]
struct Question {
    account: Arc<Account>,
    ticket: u64,
    amount: u64,
}

impl Default for Bill {
    fn default() -> Bill {
        Bill {
            rows: Rows::new(),
            attempt_from: 0,
            ask: None,
            covered: u64::MAX,
            covered_by_principal: u64::MAX,
            earlier: 0,
            skipped: 0,
            downgraded: None,
            facts: None,
            last: At { shard: 0, now: Now { mono_ns: 0, unix_ms: 0 } },
            asked: None,
            wanted: 0,
            ended_by: None,
        }
    }
}

impl Bill {
    /// Reserves on every quota of the principal and of the request's tags, or on none.
    pub(crate) fn admit(&mut self, principal: &Principal, snapshot: &Snapshot, facts: &Facts<'_>, plan: &Plan, at: At) -> Verdict {
        let ask = *self.ask.insert(Ask::of(facts));
        let by_tag = &snapshot.quotas.by_tag;
        if principal.quotas.is_empty() && by_tag.0.is_empty() {
            return Verdict::Continue;
        }
        let of_key = principal.quotas.list(at.now);
        let quotas = || of_key.iter().chain(by_tag.of(&facts.tags));
        if quotas().next().is_none() {
            return Verdict::Continue;
        }
        self.last = at;
        self.rows.clear();
        let unix_s = at.now.unix_ms / 1_000;
        let outlook = need::of_plan(snapshot, &ask, plan, unix_s, quotas().any(|quota| quota.counts == Counts::Usd));
        let need = outlook.need;
        let is_strict = plan.rules.unpriced == Unpriced::Refuse;
        if let Some((index, missing)) = outlook.missing
            && is_strict
            && let Some(quota) = quotas().find(|quota| quota.counts == Counts::Usd && !quota.shadow)
        {
            if !outlook.is_any_priced {
                return Verdict::Refuse(refusal::unpriced(quota, snapshot, &plan.steps[index], missing));
            }
            self.skipped = outlook.unpriced;
        }
        self.covered_by_principal = u64::MAX;
        for quota in quotas() {
            let Some((refused, fault)) = self.reserve(quota, &need, at).err() else { continue };
            self.give_back(0, at);
            if let (Exhaust::Downgrade(route), None) = (&refused.on_exhaust, &self.downgraded) {
                self.downgraded = Some(route.clone());
                self.rows.clear();
                return Verdict::Instead(route.clone());
            }
            return Verdict::Refuse(fault);
        }
        self.close_requests(0, at);
        self.attempt_from = self.rows.len();
        self.covered = self.covered_by_principal;
        Verdict::Continue
    }

    /// Why the step at `index` of the plan is not to be taken.
    pub fn skips(&self, snapshot: &Snapshot, index: usize, step: &Step) -> Option<Fault> {
        (self.skipped & (1 << index.min(31)) != 0).then(|| refusal::skipped(snapshot, step))
    }

    /// Reserves on the quotas of an attempt's provider, credential and model, or on none.
    ///
    /// # Errors
    /// `RateLimited` or `BudgetExceeded`: the next target is to be taken.
    pub fn attempt(
        &mut self,
        snapshot: &Snapshot,
        rules: &Rules,
        step: &Step,
        credential: Option<&Credential>,
        at: At,
    ) -> Result<(), Fault> {
        let upstream = &snapshot.providers[step.provider];
        let by_model = &snapshot.quotas.by_model;
        let of_credential = credential.map_or(&[][..], |credential| &credential.quotas);
        self.attempt_from = self.rows.len();
        self.covered = self.covered_by_principal;
        let Some(ask) = self.ask else { return Ok(()) };
        if upstream.quotas.is_empty() && of_credential.is_empty() && by_model.is_empty() {
            self.keep_facts(step);
            return Ok(());
        }
        self.last = at;
        let named;
        // Targets that share a state do not know the model's name.
        let id = if step.target.id.ends_with("/*") {
            named = format!("{}/{}", upstream.name, step.model);
            &named
        } else {
            &*step.target.id
        };
        let unix_s = at.now.unix_ms / 1_000;
        let output = ask.output(step, snapshot.quotas.output_tokens_floor);
        let cost = ask.cost(snapshot, step, output, unix_s);
        let need = Need { input: ask.input, output, cost: cost.unwrap_or_default(), is_guess: ask.is_guess() };
        let from = self.attempt_from;
        for quota in upstream.quotas.iter().chain(of_credential).chain(by_model.of(id)) {
            if let (Err(missing), Counts::Usd, false, Unpriced::Refuse) = (cost, quota.counts, quota.shadow, rules.unpriced) {
                self.give_back(from, at);
                return Err(refusal::unpriced(quota, snapshot, step, missing));
            }
            if let Err((_, fault)) = self.reserve(quota, &need, at) {
                self.give_back(from, at);
                return Err(fault);
            }
        }
        self.close_requests(from, at);
        self.covered = self.covered.min(self.earlier.saturating_add(output));
        self.keep_facts(step);
        Ok(())
    }

    /// As `attempt`, for a second request beside the running one; gives where its rows begin.
    ///
    /// # Errors
    /// As `attempt`: the second request is not to be made.
    pub fn beside(
        &mut self,
        snapshot: &Snapshot,
        rules: &Rules,
        step: &Step,
        credential: Option<&Credential>,
        at: At,
    ) -> Result<usize, Fault> {
        let (attempt_from, covered, facts) = (self.attempt_from, self.covered, self.facts.take());
        let rows_from = self.rows.len();
        let result = self.attempt(snapshot, rules, step, credential, at);
        (self.attempt_from, self.covered, self.facts) = (attempt_from, self.covered.min(covered), facts);
        result.map(|()| rows_from)
    }

    /// Ends the second request, whose rows begin at `rows_from`; the first one goes on.
    pub fn drop_second(&mut self, rows_from: usize, usage: &Usage, cost: Option<NanoDollars>, at: At) {
        let spent = Spent { input: usage.input, output: usage.output, cost };
        self.rows[rows_from..].iter_mut().for_each(|row| row.settle(&spent, at));
    }

    /// Ends the first request; the second one goes on at `step`.
    pub fn drop_first(&mut self, rows_from: usize, step: &Step, usage: &Usage, cost: Option<NanoDollars>, at: At) {
        let spent = Spent { input: usage.input, output: usage.output, cost };
        self.rows[self.attempt_from..rows_from].iter_mut().for_each(|row| row.settle(&spent, at));
        self.attempt_from = rows_from;
        self.keep_facts(step);
    }

    /// Looks at what a stream has delivered, and asks for more where it comes near what is reserved.
    pub fn delivered(&mut self, text_bytes: u64, at: impl FnOnce() -> At) -> Flow {
        let output = self.earlier.saturating_add(text_bytes / BYTES_PER_TOKEN);
        if output.saturating_add(MARGIN_TOKENS) < self.covered {
            return Flow::GoOn;
        }
        self.extend(output, at())
    }

    /// A session that goes on has come to so much: what that is beyond what is held is reserved. `Cut` where a limit or budget has no room
    /// for it; what it came to counts all the same.
    pub fn uses(&mut self, usage: &Usage, cost: Option<NanoDollars>, at: At) -> Flow {
        let spent = Spent { input: usage.input, output: usage.output, cost };
        self.last = at;
        // Each row is asked: all of them count what was used.
        let rows = self.rows.iter_mut().filter(|row| row.state == State::Open);
        let refused = rows.fold(None, |refused, row| match row.hold(&spent, at) {
            Ok(()) => refused,
            Err(fault) => refused.or(Some(fault)),
        });
        self.ended_by = refused;
        if self.ended_by.is_some() { Flow::Cut } else { Flow::GoOn }
    }

    /// Why the last `uses` cut.
    pub fn ended_by(&mut self) -> Option<Fault> {
        self.ended_by.take()
    }

    /// A budget of this exchange ends streams when it is used up: its events must be looked at before they go out.
    pub fn may_cut(&self) -> bool {
        self.rows.iter().any(Row::cuts)
    }

    /// Ends an attempt with what it came to.
    pub fn settle_attempt(&mut self, usage: &Usage, cost: Option<NanoDollars>, at: At) {
        self.earlier = self.earlier.saturating_add(usage.output);
        self.facts = None;
        if self.rows.len() == self.attempt_from {
            return;
        }
        let spent = Spent { input: usage.input, output: usage.output, cost };
        self.rows[self.attempt_from..].iter_mut().for_each(|row| row.settle(&spent, at));
        self.attempt_from = self.rows.len();
    }

    /// Ends the exchange with what all its attempts came to.
    pub(crate) fn settle(&mut self, spent: &Spent, at: At) -> Rows {
        self.rows.iter_mut().for_each(|row| row.settle(spent, at));
        std::mem::take(&mut self.rows)
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The route or model that is asked in place of the client's own.
    pub fn downgraded(&self) -> Option<&Arc<str>> {
        self.downgraded.as_ref()
    }

    /// One quota. A shadow, and the budget whose downgrade was taken, are passed over where there is not enough.
    fn reserve<'q>(&mut self, quota: &'q Arc<Quota>, need: &Need, at: At) -> Result<(), (&'q Arc<Quota>, Fault)> {
        let wanted = need.of(quota.counts);
        let (amount, covered) = fit(quota, need, wanted);
        let left_before = quota.account.left(at.now);
        let mut row = Row { quota: quota.clone(), reserved: amount, actual: 0, left_before, window_start_ms: 0, state: State::Open };
        if let Err(short) = quota.account.reserve(at.shard, amount, at.now) {
            row.reserved = 0;
            self.ask(quota, amount);
            let short = Short { retry_in_ns: quota.account.answered_wait_ns(at.now).or(short.retry_in_ns), ..short };
            let is_left_behind = self.downgraded.is_some() && matches!(quota.on_exhaust, Exhaust::Downgrade(_));
            if !quota.shadow && !is_left_behind {
                self.wanted = amount;
                row.left_before = short.left;
                row.state = State::Refused;
                self.rows.push(row);
                return Err((quota, refusal::short(quota, amount, short)));
            }
            row.state = State::Over;
        }
        self.rows.push(row);
        self.covered_by_principal = self.covered_by_principal.min(covered);
        Ok(())
    }

    /// Asks the store that the account is shared through, once for each shortage.
    fn ask(&mut self, quota: &Quota, amount: u64) {
        self.asked = match self.asked.take() {
            // It has answered, and this is what there is.
            Some(asked) if Arc::ptr_eq(&asked.account, &quota.account) && asked.account.is_answered(asked.ticket) => None,
            _ => quota.account.ask(amount).map(|ticket| Question { account: quota.account.clone(), ticket, amount }),
        };
    }

    /// The last refusal is not final: a shared store was asked, which has not answered yet or has answered with more.
    pub fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// The store that was asked has answered, or enough is there: it is worth trying again.
    pub fn is_answered(&self, now: Now) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.account.is_answered(asked.ticket) || asked.account.has_room(asked.amount, now))
    }

    /// The limit that refused last, where its room is worth waiting for, and how much was wanted of it.
    pub fn tight(&self) -> Option<(&Arc<Quota>, u64)> {
        let row = self.rows.get(self.attempt_from..)?.last().filter(|row| row.state == State::Refused && row.quota.is_common())?;
        (self.wanted <= row.quota.limit()).then_some((&row.quota, self.wanted))
    }

    /// A limit or budget of the attempt's credential refused: another one may have room.
    pub fn is_credential_tight(&self) -> bool {
        let last = self.rows.get(self.attempt_from..).and_then(<[Row]>::last);
        last.is_some_and(|row| row.state == State::Refused && row.quota.kind == "credential")
    }

    /// Forgets the attempt that was just refused: it is tried again.
    pub fn forget_refused(&mut self) {
        self.rows.truncate(self.attempt_from);
    }

    fn give_back(&mut self, from: usize, at: At) {
        self.rows[from..].iter_mut().for_each(|row| row.undo(at));
    }

    /// A request is one request whatever becomes of it: its rate refills from now on.
    fn close_requests(&mut self, from: usize, at: At) {
        let requests = |row: &&mut Row| row.quota.counts == Counts::Measure(Measure::Requests);
        self.rows[from..].iter_mut().filter(requests).for_each(|row| row.settle(&Spent::default(), at));
    }

    fn keep_facts(&mut self, step: &Step) {
        self.facts = if self.covered == u64::MAX { None } else { step.facts.clone() };
    }

    /// Reserves another stretch on every row that counts output. What is not there becomes debt, or cuts.
    fn extend(&mut self, output: u64, at: At) -> Flow {
        let chunk = output.saturating_sub(self.covered).saturating_add(EXTENSION_TOKENS);
        let cost = need::bound(self.facts.as_ref(), 0, chunk, at.now.unix_ms / 1_000).unwrap_or_default();
        let need = Need { input: 0, output: chunk, cost, is_guess: true };
        // Those that cut come first: where one refuses, nothing more is asked of any.
        let refused =
            self.rows.iter_mut().filter(|row| row.cuts() && counts_output(row.quota.counts)).position(|row| !row.extend(&need, at));
        if let Some(count) = refused {
            let extended = self.rows.iter_mut().filter(|row| row.cuts() && counts_output(row.quota.counts)).take(count);
            extended.for_each(|row| row.shrink(&need, at));
            // What is reserved is still there to be used up.
            return if output < self.covered { Flow::GoOn } else { Flow::Cut };
        }
        for row in self.rows.iter_mut().filter(|row| !row.cuts() && counts_output(row.quota.counts)) {
            row.extend(&need, at);
        }
        self.covered = self.covered.saturating_add(chunk);
        self.covered_by_principal = self.covered_by_principal.saturating_add(chunk);
        self.last = at;
        Flow::GoOn
    }
}

impl Drop for Bill {
    /// An exchange that ended by a bug still gives back what it holds; what it cost is not known, so what was reserved counts.
    fn drop(&mut self) {
        let at = self.last;
        self.rows.iter_mut().for_each(|row| row.forfeit(at));
    }
}

fn counts_output(counts: Counts) -> bool {
    matches!(counts, Counts::Usd | Counts::Measure(Measure::OutputTokens | Measure::Tokens))
}

/// What is asked of one quota, and the output tokens that it covers. A guess never asks for more than there can be: a quota
/// that nobody has used lets a request in, and the stream asks for more as it goes.
fn fit(quota: &Quota, need: &Need, wanted: u64) -> (u64, u64) {
    if !counts_output(quota.counts) {
        return (wanted, u64::MAX);
    }
    let limit = quota.limit();
    if !need.is_guess || wanted <= limit {
        return (wanted, need.output);
    }
    match quota.counts {
        Counts::Usd => (limit, 0),
        Counts::Measure(Measure::OutputTokens) => (limit, limit),
        Counts::Measure(_) => (limit.max(need.input), limit.saturating_sub(need.input)),
    }
}
