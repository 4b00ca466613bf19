//! What goes out beside the one attempt that an exchange makes: a copy for a shadow target, a second request where the first is late.

use std::cell::Cell;

use ringway_adapters::fault::Fault;
use ringway_adapters::ir::Mode;
use ringway_adapters::json::patch;
use ringway_adapters::operation::Operation;
use ringway_adapters::tokens;
use ringway_policy::breaker::Outcome;
use ringway_policy::health::Watch;
use ringway_policy::key::Principal;
use ringway_policy::plan::{Step, Trigger};
use ringway_policy::snapshot::Upstream;
use ringway_policy::snapshot::credential::{self, Credential};

use super::{Delivery, nanos};
use crate::attempt::{Deadlines, Outbound, Repeat, TryEnd};
use crate::compose::{Conversion, Head};
use crate::downstream::Downstream;
use crate::exchange;
use crate::hedge::{self, Due};
use crate::journal::Journal;
use crate::mirror;
use crate::race::{Either, race, unless_gone};
use crate::rt::Rt;
use crate::shard::Shard;

impl Delivery<'_> {
    /// Sends a copy to a shadow target, beside this exchange. What stands in its way is on the copy's own record.
    pub(super) fn mirror<R: Rt>(&self, shard: &Shard<R>, journal: &Journal, step: &Step) {
        let upstream = &self.snapshot.providers[step.provider];
        let now_ns = shard.rt.now_ns();
        // The breaker is not asked: a probe that it gives would have to be told of.
        if step.target.breaker.rests(now_ns) || upstream.builtin {
            return;
        }
        let credential = draw(self.principal, shard, upstream, step, now_ns);
        if credential.is_none() && wants_credential(upstream) {
            return;
        }
        let Some(mirror) = mirror::begin(shard, self.body.len()) else { return };
        let mut journal = journal.of_mirror(shard, now_ns);
        let (body, conversion) = match self.copy(&mut journal, upstream, step) {
            Ok(copy) => copy,
            Err(fault) => return mirror::leave(shard, journal, Some(&fault)),
        };
        let mut head = Vec::new();
        let outbound = Outbound::Encoded(&body);
        let unix_ms = shard.rt.unix_ms();
        let tracing = journal.tracing(journal.next_span());
        if let Err(fault) =
            self.head(upstream, step, credential, conversion, &outbound, unix_ms).traced(tracing).write(self.request, &mut head)
        {
            return mirror::leave(shard, journal, Some(&fault));
        }
        let rules = &self.plan.rules;
        mirror.send(mirror::Copy {
            journal,
            upstream: upstream.clone(),
            step: step.clone(),
            credential: credential.cloned(),
            head,
            body,
            deadlines: Deadlines {
                now_ns,
                connect_ns: nanos(rules.connect),
                first_byte_ns: nanos(rules.first_byte),
                total_ns: now_ns.saturating_add(nanos(rules.total)),
                repeat: Repeat::Allowed,
            },
            idle_ns: nanos(rules.idle),
        });
    }

    /// The whole body for a target, in bytes of its own.
    fn copy(&self, journal: &mut Journal, upstream: &Upstream, step: &Step) -> Result<(Vec<u8>, Conversion), Fault> {
        let mut copy = Vec::new();
        if step.dialect != self.door.dialect {
            self.encode(journal, upstream, step, &mut copy)?;
            return Ok((copy, Conversion::Translated));
        }
        let bent = self.bend(journal, upstream, step)?;
        let (body, peek) = bent.as_ref().map_or((self.body, &self.asked.peek), |(body, peek)| (body, peek));
        patch::pieces(body, &self.edits(upstream, step, body, peek), |piece| copy.extend_from_slice(piece));
        Ok((copy, Conversion::Untouched))
    }

    /// Sends to the first target, and after its time to the next one, too. The first good answer to begin is kept, the other attempt is
    /// cancelled; both are on the record, the one that goes on last.
    pub(super) async fn hedged<R: Rt>(
        &self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        first: hedge::First<'_>,
        due: Due,
    ) -> hedge::Raced<R> {
        let shard = down.shard;
        journal.waits(first.deadlines.now_ns);
        let (one_connect_ns, two_connect_ns) = (Cell::new(0), Cell::new(0));
        let mut one = Box::pin(hedge::send(shard, first.upstream, first.head, first.outbound, first.deadlines, &one_connect_ns));
        let alone = unless_gone(down.gone, race(&mut one, shard.wheel.sleep(due.after))).await;
        let sent = match alone {
            None => Some(Err(TryEnd::Gone)),
            Some(Either::Left(sent)) => Some(sent),
            Some(Either::Right(())) => None,
        };
        let now_ns = shard.rt.now_ns();
        journal.works(now_ns);
        if let Some(sent) = sent {
            journal.connect_took(one_connect_ns.get());
            return hedge::Raced { sent, second: None };
        }
        let Some(second) = self.second(shard, journal, due, now_ns) else {
            journal.waits(shard.rt.now_ns());
            let sent = unless_gone(down.gone, one).await.unwrap_or(Err(TryEnd::Gone));
            journal.works(shard.rt.now_ns());
            journal.connect_took(one_connect_ns.get());
            return hedge::Raced { sent, second: None };
        };
        journal.waits(shard.rt.now_ns());
        let deadlines = Deadlines { now_ns, ..first.deadlines };
        let outbound = Outbound::Encoded(&second.body);
        let step = &self.plan.steps[second.index];
        let upstream = &self.snapshot.providers[step.provider];
        let two = Box::pin(hedge::send(shard, upstream, &second.head, &outbound, deadlines, &two_connect_ns));
        let outcome = hedge::first_good(down.gone, one, two).await;
        let ended_ns = shard.rt.now_ns();
        journal.works(ended_ns);
        journal.connect_took(one_connect_ns.get());
        let input = tokens::count_request(self.body);
        let settings = &self.plan.rules.breaker;
        match outcome {
            hedge::Outcome { sent, who: hedge::Who::First, other } => {
                // Its copy was on its way: whoever bills by the request bills it.
                let mut line = second.line(upstream, step, &other, input, ended_ns);
                line.cost = journal.cost_at(upstream, step, &line.usage);
                line.times.connect_ns = two_connect_ns.get();
                line.times.begun_ns = second.begun_ns.saturating_sub(journal.begun_ns());
                let at = journal.at(ended_ns);
                journal.bill.drop_second(second.rows_from, &line.usage, line.cost, at);
                journal.beside(line);
                journal.answered(first.deadlines.now_ns, ended_ns);
                step.target.tell(settings, other.health(), ended_ns);
                hedge::Raced { sent, second: None }
            }
            hedge::Outcome { sent, who: hedge::Who::Second, other } => {
                if let Some(watch) = journal.watch.take() {
                    // It took this long at least.
                    watch.first_byte(ended_ns);
                    journal.watch = Some(second.watch);
                }
                first.step.target.tell(settings, other.health(), ended_ns);
                journal.attempt(upstream, step);
                journal.keep_span(second.span);
                journal.connect_took(two_connect_ns.get());
                journal.answered(second.begun_ns, ended_ns);
                if let Some(index) = journal.record.attempts.len().checked_sub(2) {
                    let begun_ns = first.deadlines.now_ns.saturating_sub(journal.begun_ns());
                    let line = &mut journal.record.attempts[index];
                    line.times.begun_ns = begun_ns;
                    other.note(line, input, ended_ns.saturating_sub(first.deadlines.now_ns));
                    let usage = line.usage;
                    let (cost, at) = (journal.cost_at(first.upstream, first.step, &usage), journal.at(ended_ns));
                    journal.record.attempts[index].cost = cost;
                    journal.bill.drop_first(second.rows_from, step, &usage, cost, at);
                }
                journal.losses = second.losses;
                let kept = hedge::Kept { index: second.index, begun_ns: second.begun_ns, credential: second.credential };
                hedge::Raced { sent, second: Some(kept) }
            }
        }
    }

    /// The second request, where the next target may be asked and the route can pay for it.
    fn second<R: Rt>(&self, shard: &Shard<R>, journal: &mut Journal, due: Due, now_ns: u64) -> Option<hedge::Second> {
        let index = self.plan.next_beyond(due.step, Trigger::Timeout)?;
        let step = &self.plan.steps[index];
        if step.target.breaker.rests(now_ns) {
            return None;
        }
        let upstream = &self.snapshot.providers[step.provider];
        let mut scratch = journal.of_mirror(shard, now_ns);
        let (body, conversion) = self.copy(&mut scratch, upstream, step).ok().filter(|_| !upstream.builtin)?;
        let own = self.principal.credential(step.provider);
        let credential = draw(self.principal, shard, upstream, step, now_ns);
        let mut head = Vec::new();
        let outbound = Outbound::Encoded(&body);
        let tracing = journal.tracing(journal.next_span());
        self.head(upstream, step, credential, conversion, &outbound, shard.rt.unix_ms())
            .traced(tracing)
            .write(self.request, &mut head)
            .ok()?;
        let pays = || self.plan.hedging.as_ref().is_some_and(|state| state.take_hedge());
        // The breaker last: a probe that it gives is made and told of.
        if (credential.is_none() && wants_credential(upstream))
            || self.waited_for(shard, upstream, step, credential).is_some()
            || !pays()
            || self.plan.unavailable(self.snapshot, step, own, now_ns).is_some()
        {
            return None;
        }
        let at = journal.at(now_ns);
        let rows_from = match journal.bill.beside(self.snapshot, &self.plan.rules, step, credential, at) {
            Ok(rows_from) => rows_from,
            Err(_) => {
                // The breaker may have given a probe that is not made now.
                step.target.tell(&self.plan.rules.breaker, Outcome::Unknown, now_ns);
                return None;
            }
        };
        let watch = Watch::begin(&step.target, self.asked.mode, now_ns);
        let losses = std::mem::take(&mut scratch.losses);
        let (credential, span) = (credential.cloned(), journal.take_span());
        Some(hedge::Second { index, begun_ns: now_ns, head, body, credential, losses, watch, rows_from, span })
    }

    /// The head of a request to a target.
    pub(super) fn head<'h>(
        &'h self,
        upstream: &'h Upstream,
        step: &'h Step,
        credential: Option<&'h Credential>,
        conversion: Conversion,
        body: &'h Outbound<'h>,
        unix_ms: u64,
    ) -> Head<'h> {
        let wants_key = upstream.caller_credentials && !self.snapshot.keys.is_empty();
        let is_raw = conversion == Conversion::Raw;
        // Of what is carried only a passthrough keeps its coding: all else was decoded on its way in.
        let conversion = if is_raw && self.door.operation != Operation::Passthrough { Conversion::Untouched } else { conversion };
        let asked = || step.dialect.row().framing_asked.filter(|_| self.asked.mode == Mode::Stream).map(|(pair, _)| pair);
        Head {
            method: self.request.head.method.as_str(),
            upstream,
            path: self.path(upstream, step),
            query: if step.dialect == self.door.dialect || is_raw { self.request.query() } else { asked() },
            credential,
            virtual_key: if wants_key { exchange::key(self.request) } else { None },
            conversion,
            body,
            unix_ms,
            tracing: None,
        }
    }
}

/// It has credentials, or its token has not come yet.
fn wants_credential(upstream: &Upstream) -> bool {
    !upstream.credentials.is_empty() || upstream.fetch.is_some()
}

/// The key's own credential for the target, else one that is drawn.
pub(super) fn draw<'c, R: Rt>(
    principal: &'c Principal,
    shard: &Shard<R>,
    upstream: &'c Upstream,
    step: &Step,
    now_ns: u64,
) -> Option<&'c Credential> {
    let own = principal.credential(step.provider);
    own.or_else(|| credential::draw(&upstream.credentials, now_ns, shard.rt.random()))
}
