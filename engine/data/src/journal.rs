//! What an exchange notes of itself while it runs: it becomes the record, and the `x-ringway-*` fields of the answer.

use std::sync::Arc;

use ringway_adapters::dialect::{DialectId, Seen};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::{Loss, Mode};
use ringway_adapters::operation::Operation;
use ringway_adapters::tokens;
use ringway_adapters::usage::{Provenance, Tariff, Usage};
use ringway_policy::catalog::ModelFacts;
use ringway_policy::health::Watch;
use ringway_policy::key::Principal;
use ringway_policy::lease::Now;
use ringway_policy::money::NanoDollars;
use ringway_policy::plan::Step;
use ringway_policy::quota::{At, Bill, Flow, Quota};
use ringway_policy::record::{Attempt, CLIENT_ID_BYTES_MAX, Delivered, END_USER_BYTES_MAX, MODEL_BYTES_MAX, Record, Subject, Trail, Why};
use ringway_policy::snapshot::{TargetId, Upstream};
use ringway_policy::tags::Tags;
use ringway_policy::trace::{Sampler, Trace};

use crate::compose::{State, Tracing};
use crate::explain::{self, explains};
use crate::forwarded;
use crate::http1::write;
use crate::listener::Peer;
use crate::rate;
use crate::request::Request;
use crate::rt::Rt;
use crate::shard::Shard;

pub(crate) struct Journal {
    pub(crate) record: Record,
    pub(crate) losses: Vec<Loss>,
    /// What the exchange holds of limits and budgets.
    pub(crate) bill: Bill,
    price: Price,
    /// The attempt under way, for its target's health.
    pub(crate) watch: Option<Watch>,
    begun_ns: u64,
    admitted_ns: u64,
    /// When the last attempt ended.
    ended_ns: Option<u64>,
    /// When the gateway last got something to work on; `None` while it waits for others.
    working_since_ns: Option<u64>,
    /// Something was delivered whose input nobody told.
    lacks_input: bool,
    /// A limit that others wait for.
    behind: Option<Arc<Quota>>,
    /// The site whose page asks, where it may read the answer.
    pub(crate) site: Option<Arc<str>>,
    /// What is asked for, whatever carries it.
    asks: Operation,
}

/// What the running attempt's tokens cost.
#[derive(Default)]
enum Price {
    /// The gateway answers by itself.
    #[default]
    Free,
    /// By what is known of the model.
    Known(Arc<ModelFacts>),
    Unknown,
}

impl Price {
    fn of(upstream: &Upstream, step: &Step) -> Price {
        match &step.facts {
            _ if upstream.builtin => Price::Free,
            Some(facts) => Price::Known(facts.clone()),
            None => Price::Unknown,
        }
    }
}

impl Journal {
    /// Begins with the request whole.
    pub(crate) fn begin<R: Rt>(shard: &Shard<R>, peer: &Peer, request: Option<&Request<'_>>) -> Journal {
        let now_ns = shard.rt.now_ns();
        let id = fresh_id(shard);
        let cut = |name: &str| request.and_then(|request| request.field(name)).map(|value| Box::from(cut(value, CLIENT_ID_BYTES_MAX)));
        let mut trail = Trail::default();
        trail.asked = request.is_some_and(explains);
        let record = Record {
            id,
            at_ms: shard.rt.unix_ms(),
            shard: shard.index,
            operation: Operation::Passthrough,
            dialect: None,
            mode: Mode::Whole,
            key: None,
            team: None,
            customer: None,
            route: None,
            asked: Box::default(),
            provider: None,
            model: None,
            attempts: Vec::new(),
            status: 0,
            fault: None,
            usage: Usage::default(),
            provenance: Provenance::Delivered,
            delivered: None,
            tier: None,
            losses: 0,
            rescued: false,
            request_bytes: request.map_or(0, |request| (request.bytes.len() + request.body.len()) as u64),
            answer_bytes: 0,
            overhead_ns: 0,
            first_byte_ns: 0,
            total_ns: 0,
            client_request_id: cut("x-request-id"),
            client: forwarded::client_of(peer, &shard.trusted, request),
            tags: None,
            end_user: None,
            cost: None,
            charges: Default::default(),
            downgraded: None,
            cut: false,
            trail,
            mirror_of: None,
            trace: shard.tracing().map(|sampler| Box::new(trace_of(shard, sampler, request))),
        };
        Journal::of(record, now_ns, Some(now_ns))
    }

    #[inline(always)]
    fn of(record: Record, begun_ns: u64, working_since_ns: Option<u64>) -> Journal {
        let (bill, price) = (Bill::default(), Price::Free);
        let (losses, admitted_ns, ended_ns) = (Vec::new(), begun_ns, None);
        let (watch, lacks_input, behind, site, asks) = (None, false, None, None, record.operation);
        Journal { record, losses, watch, bill, price, begun_ns, admitted_ns, ended_ns, working_since_ns, lacks_input, behind, site, asks }
    }

    /// The journal of a copy of this exchange's request. No limit and no budget counts the copy.
    pub(crate) fn of_mirror<R: Rt>(&self, shard: &Shard<R>, now_ns: u64) -> Journal {
        let record = Record {
            id: fresh_id(shard),
            mirror_of: Some(Box::new(self.record.id)),
            trace: self.record.trace.as_ref().map(|trace| Box::new(trace.copied(shard.rt.random()))),
            attempts: Vec::new(),
            overhead_ns: 0,
            trail: Trail::default(),
            ..self.record.clone()
        };
        Journal::of(record, now_ns, None)
    }

    pub(crate) fn begun_ns(&self) -> u64 {
        self.begun_ns
    }

    /// Who asks, with what the request says of itself.
    pub(crate) fn asks(&mut self, principal: &Principal, tags: &Tags<'_>) {
        self.record.tags = tags.to_text();
        self.record.key = Some(principal.key.clone());
        self.record.team = principal.team.clone();
        self.record.customer = principal.customer.clone();
    }

    pub(crate) fn end_user(&mut self, name: &str) {
        self.record.end_user = Some(Box::from(cut(name, END_USER_BYTES_MAX)));
    }

    pub(crate) fn asked(&mut self, model: &str) {
        self.record.asked = Box::from(cut(model, MODEL_BYTES_MAX));
    }

    /// The plan is made and admitted.
    pub(crate) fn admitted(&mut self, now_ns: u64) {
        self.admitted_ns = now_ns;
        self.record.trail.phases.plan_ns = now_ns.saturating_sub(self.begun_ns);
    }

    /// When the plan was made and admitted.
    pub(crate) fn admitted_ns(&self) -> u64 {
        self.admitted_ns
    }

    /// When the last attempt ended, if there was one.
    pub(crate) fn ended_ns(&self) -> Option<u64> {
        self.ended_ns
    }

    /// When the gateway last got something to work on, where it has not waited since.
    pub(crate) fn working_since_ns(&self) -> Option<u64> {
        self.working_since_ns
    }

    /// A target was not asked, as its breaker is open.
    pub(crate) fn resting(&mut self, target: &Arc<TargetId>, retry_in_ns: u64) {
        let why = Why::Resting { retry_in_ms: retry_in_ns / 1_000_000 };
        self.record.trail.pass_over(Subject::Target(target.clone()), why);
    }

    /// The attempt that began at `since_ns` has a connection of its own.
    pub(crate) fn connected(&mut self, since_ns: u64, now_ns: u64) {
        self.connect_took(now_ns.saturating_sub(since_ns));
    }

    /// How long the last attempt's own connection took; 0 where it has none.
    pub(crate) fn connect_took(&mut self, connect_ns: u64) {
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.times.connect_ns = connect_ns;
        }
    }

    /// The answer of the attempt that began at `since_ns` begins.
    pub(crate) fn answered(&mut self, since_ns: u64, now_ns: u64) {
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.times.first_byte_ns = now_ns.saturating_sub(since_ns);
        }
    }

    /// The gateway has something to do from now on.
    pub(crate) fn works(&mut self, now_ns: u64) {
        self.working_since_ns.get_or_insert(now_ns);
    }

    /// What came since `works` was not all there was to wait for: the work begins now.
    pub(crate) fn works_anew(&mut self, now_ns: u64) {
        self.working_since_ns = Some(now_ns);
    }

    /// From now on it waits for someone else; the work since `works` is overhead.
    pub(crate) fn waits(&mut self, now_ns: u64) {
        if let Some(since_ns) = self.working_since_ns.take() {
            self.record.overhead_ns += now_ns.saturating_sub(since_ns);
        }
    }

    /// The answer's head goes out now.
    pub(crate) fn first_byte(&mut self, status: u16, now_ns: u64) {
        self.waits(now_ns);
        self.record.status = status;
        self.record.first_byte_ns = now_ns.saturating_sub(self.begun_ns);
        if let Some(watch) = &self.watch {
            watch.first_byte(now_ns);
        }
    }

    /// Begins an attempt. What was used by the one before is its own from now on: another one answers.
    pub(crate) fn attempt(&mut self, upstream: &Upstream, step: &Step) {
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.usage = std::mem::take(&mut self.record.usage);
            attempt.delivered = self.record.delivered.take().map(|delivered| *delivered);
            attempt.tier = self.record.tier;
            (self.record.provenance, self.record.tier) = (Provenance::Delivered, None);
        }
        self.price = Price::of(upstream, step);
        let (provider, model) = (upstream.name.clone(), step.model.clone());
        self.record.provider = Some(provider.clone());
        self.record.model = Some(model.clone());
        let (usage, span) = (Usage::default(), self.take_span());
        if self.record.attempts.is_empty() {
            // Most records have one, and a vector's own first step is room for four.
            self.record.attempts.reserve_exact(1);
        }
        self.record.attempts.push(Attempt {
            provider,
            model,
            status: 0,
            fault: None,
            total_ns: 0,
            usage,
            delivered: None,
            cost: None,
            times: Default::default(),
            tier: None,
            overtaken: false,
            span,
        });
    }

    /// What tells the provider of the attempt that is asked with `span`, and whether the caller's own state goes along.
    pub(crate) fn tracing(&self, span: u64) -> Option<Tracing> {
        let trace = self.record.trace.as_ref()?;
        let state = if trace.parent.is_some() { State::GoesAlong } else { State::Ends };
        Some(Tracing { traceparent: trace.traceparent(span), state })
    }

    /// The running attempt's span; 0 where tracing is off.
    pub(crate) fn span(&self) -> u64 {
        self.record.attempts.last().map_or(0, |attempt| attempt.span)
    }

    /// A span for an attempt; 0 where tracing is off.
    pub(crate) fn take_span(&mut self) -> u64 {
        self.record.trace.as_mut().map_or(0, |trace| trace.child())
    }

    /// The running attempt was asked with this span.
    pub(crate) fn keep_span(&mut self, span: u64) {
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.span = span;
        }
    }

    /// The span of the attempt that is to begin next.
    pub(crate) fn next_span(&self) -> u64 {
        self.record.trace.as_ref().map_or(0, |trace| trace.next_child())
    }

    /// Puts an attempt that ran beside the last one before it: the last one is the one that goes on.
    pub(crate) fn beside(&mut self, attempt: Attempt) {
        let last = self.record.attempts.len().saturating_sub(1);
        self.record.attempts.insert(last, attempt);
    }

    /// Ends the running attempt: what it cost is known, its limits and budgets are settled.
    pub(crate) fn end_attempt(&mut self, begun_ns: u64, fault: Option<Kind>, status: Option<u16>, now_ns: u64) {
        let (cost, at) = (self.running_cost(), self.at(now_ns));
        self.ended_ns = Some(now_ns);
        self.bill.settle_attempt(&self.record.usage, cost, at);
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.total_ns = now_ns.saturating_sub(begun_ns);
            attempt.times.begun_ns = begun_ns.saturating_sub(self.begun_ns);
            attempt.fault = fault;
            attempt.status = status.unwrap_or(attempt.status);
            attempt.cost = cost;
        }
    }

    /// What the running attempt has cost so far.
    fn running_cost(&self) -> Option<NanoDollars> {
        self.cost(&self.price, &self.record.usage, self.record.tier)
    }

    /// What `usage` costs at a target beside the running one.
    pub(crate) fn cost_at(&self, upstream: &Upstream, step: &Step, usage: &Usage) -> Option<NanoDollars> {
        self.cost(&Price::of(upstream, step), usage, None)
    }

    /// What used no token costs nothing, whatever its price.
    fn cost(&self, price: &Price, usage: &Usage, tier: Option<Tariff>) -> Option<NanoDollars> {
        if *usage == Usage::default() {
            return Some(NanoDollars(0));
        }
        match price {
            Price::Free => Some(NanoDollars(0)),
            Price::Unknown => None,
            Price::Known(facts) => facts.rates.as_ref()?.price(usage, tier.unwrap_or_default(), self.record.at_ms / 1_000).ok(),
        }
    }

    /// The limit that refused last, where its room is worth waiting for, and how much is wanted of it.
    pub(crate) fn tight(&mut self) -> Option<(Arc<Quota>, u64)> {
        let behind = self.behind.take().map(|quota| (quota, 1));
        behind.or_else(|| self.bill.tight().map(|(quota, amount)| (quota.clone(), amount)))
    }

    /// Others wait for this limit: it comes behind them, and does not try.
    pub(crate) fn behind(&mut self, quota: &Arc<Quota>, now_ns: u64) -> Fault {
        self.behind = Some(quota.clone());
        quota.refusal(1, self.at(now_ns).now)
    }

    /// Where and when it is for limits and budgets.
    pub(crate) fn at(&self, now_ns: u64) -> At {
        at(&self.record, self.begun_ns, now_ns)
    }

    /// Tells limits and budgets how much of the running attempt's answer was delivered.
    pub(crate) fn delivered(&mut self, text_bytes: u64, now_ns: impl FnOnce() -> u64) -> Flow {
        let Journal { bill, record, begun_ns, .. } = self;
        bill.delivered(text_bytes, || at(record, *begun_ns, now_ns()))
    }

    /// Tells limits and budgets what a session has come to so far.
    pub(crate) fn used(&mut self, seen: &Seen, now_ns: u64) -> Flow {
        self.usage(seen);
        let (cost, at) = (self.running_cost(), self.at(now_ns));
        self.bill.uses(&self.record.usage, cost, at)
    }

    /// Takes the usage that was seen, or counts what was delivered.
    pub(crate) fn usage(&mut self, seen: &Seen) {
        let bill = seen.bill();
        (self.record.usage, self.record.provenance, self.record.tier) = (bill.usage, bill.provenance, seen.tier);
        let is_counted = bill.provenance == Provenance::Delivered && (bill.lacks_input || bill.usage != Usage::default());
        self.record.delivered =
            is_counted.then(|| Box::new(Delivered { bytes: seen.text_bytes, events: seen.event_count, counter: tokens::COUNTER }));
        // Speech is billed by its text, and its answer tells nothing.
        self.lacks_input = bill.lacks_input || (self.record.operation == Operation::Speech && seen.usage.is_none());
    }

    /// Counts the input in the request's body where nobody told it. Images and audio are not billed by it.
    pub(crate) fn input(&mut self, body: &[u8]) {
        if !std::mem::take(&mut self.lacks_input) {
            return;
        }
        match self.asks {
            Operation::Chat | Operation::Complete | Operation::Embed | Operation::Moderate | Operation::Rerank => {
                self.record.usage.input = tokens::count_request(body);
            }
            Operation::Speech => self.record.usage.characters = tokens::count_characters(body),
            _ => {}
        }
    }

    pub(crate) fn dialect(&mut self, operation: Operation, dialect: DialectId) {
        self.record.operation = operation;
        self.record.dialect = Some(dialect);
    }

    /// What is asked for where a passthrough carries it: its input counts as that of any other.
    pub(crate) fn asks_for(&mut self, operation: Operation) {
        self.asks = operation;
    }

    /// The `x-ringway-*` fields of an answer that begins at `now_ns`.
    pub(crate) fn fields(&self, out: &mut Vec<u8>, now_ns: u64) {
        let mut number = itoa::Buffer::new();
        write::field(out, "x-ringway-request-id", &hex(self.record.id));
        if let (Some(provider), Some(model)) = (&self.record.provider, &self.record.model) {
            write::field(out, "x-ringway-provider", provider.as_bytes());
            write::field(out, "x-ringway-model", model.as_bytes());
            write::field(out, "x-ringway-attempts", number.format(self.record.attempts.len()).as_bytes());
        }
        if let Some(route) = &self.record.downgraded {
            write::field(out, "x-ringway-downgraded", route.as_bytes());
        }
        if self.record.usage != Usage::default()
            && let Some(cost) = self.whole_cost()
        {
            write::field(out, "x-ringway-cost-usd", cost.to_string().as_bytes());
        }
        self.rate_fields(out, now_ns);
        let open_ns = self.working_since_ns.map_or(0, |since_ns| now_ns.saturating_sub(since_ns));
        write::field(out, "x-ringway-overhead-us", number.format((self.record.overhead_ns + open_ns + 500) / 1000).as_bytes());
        if !self.losses.is_empty() {
            let fields: Vec<&str> = self.losses.iter().map(|loss| loss.field.as_ref()).take(LOSSES_LISTED_MAX).collect();
            // Some are named by the client: a line end in one must not begin another field.
            let text = fields.join(", ").replace(|letter: char| !matches!(letter, ' '..='~'), "?");
            write::field(out, "x-ringway-losses", text.as_bytes());
        }
        if self.record.trail.asked {
            explain::field(&self.record, out);
        }
    }

    /// What all attempts cost, the running one with what is known of it now.
    fn whole_cost(&self) -> Option<NanoDollars> {
        let ended = self.record.attempts.iter().rev().skip(1).map(|attempt| attempt.cost);
        ended.chain([self.running_cost()]).try_fold(NanoDollars(0), |sum, cost| Some(sum.saturating_add(cost?)))
    }

    /// The limits of the client's own, in its dialect's words.
    fn rate_fields(&self, out: &mut Vec<u8>, now_ns: u64) {
        if let (Some(dialect), false) = (self.record.dialect, self.bill.rows().is_empty()) {
            rate::fields(&dialect.row().rate_fields, self.bill.rows(), self.at(now_ns), out);
        }
    }

    /// Ends the record; the bill is still to be settled.
    pub(crate) fn end(&mut self, fault: Option<&Fault>, answer_bytes: u64, now_ns: u64) {
        self.waits(now_ns);
        self.record.cost = self.whole_cost();
        self.record.losses = self.losses.len().min(u16::MAX as usize) as u16;
        self.record.fault = fault.map(|fault| fault.kind);
        self.record.answer_bytes = answer_bytes;
        self.record.total_ns = now_ns.saturating_sub(self.begun_ns);
        if self.record.status == 0 {
            self.record.status = fault.map_or(499, Fault::status);
        }
    }
}

/// The trace of a request that begins.
#[cold]
fn trace_of<R: Rt>(shard: &Shard<R>, sampler: Sampler, request: Option<&Request<'_>>) -> Trace {
    let field = |name: &str| request.and_then(|request| request.field(name));
    Trace::begin(sampler, field("traceparent"), field("tracestate"), || shard.rt.random())
}

fn at(record: &Record, begun_ns: u64, now_ns: u64) -> At {
    let unix_ms = record.at_ms + now_ns.saturating_sub(begun_ns) / 1_000_000;
    At { shard: usize::from(record.shard), now: Now { mono_ns: now_ns, unix_ms } }
}

fn fresh_id<R: Rt>(shard: &Shard<R>) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&shard.rt.random().to_be_bytes());
    id[8..].copy_from_slice(&shard.rt.random().to_be_bytes());
    id
}

/// Losses that the answer's field names; the record counts all.
const LOSSES_LISTED_MAX: usize = 16;

/// The first `bytes_max` bytes, cut at a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

pub(crate) fn hex(id: [u8; 16]) -> [u8; 32] {
    let mut text = [0; 32];
    for (index, byte) in id.iter().enumerate() {
        text[2 * index] = b"0123456789abcdef"[usize::from(byte >> 4)];
        text[2 * index + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
}
