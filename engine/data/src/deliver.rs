//! Delivery: attempts along the plan until one answer went out, or there is nothing left to try.
//!
//! The commit point is the first byte to the client. Before it a failed attempt may be repeated or handed to the next target;
//! after it only a rescue may go on, and only where the route allows it.

use std::borrow::Cow;
use std::time::Duration;

use ringway_adapters::dialect::{Client, Dialect};
use ringway_adapters::door::Door;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::frame::Framing;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::splice::Splice;
use ringway_policy::breaker::Outcome;
use ringway_policy::health::Watch;
use ringway_policy::key::Principal;
use ringway_policy::plan::{Plan, Rescue, Step, Trigger};
use ringway_policy::retry::{self, Next, Progress};
use ringway_policy::snapshot::credential::{self, Credential, Elsewhere};
use ringway_policy::snapshot::{Snapshot, Upstream};

use crate::answer::{self, Refusal};
use crate::attempt::{self, Deadlines, Outbound, Repeat, Teller, TryEnd};
use crate::classify::{Asked, BodyForm};
use crate::compose::Conversion;
use crate::downstream::Downstream;
use crate::events::{Events, Source};
use crate::exchange::Ending;
use crate::hedge::{self, Due};
use crate::held::{self, Target};
use crate::incoming::Incoming;
use crate::journal::Journal;
use crate::local;
use crate::owners::Owner;
use crate::race::unless_gone;
use crate::realtime;
use crate::relay::{self, Delivered, StreamClock};
use crate::request::Request;
use crate::rt::Rt;
use crate::strip::Strip;
use crate::typed;
use crate::upload::Upload;

mod beside;
mod body;
mod carry;
mod failure;
mod limits;
mod refused;
mod room;

use self::failure::Failure;

/// Everything that all attempts of one exchange share.
struct Delivery<'a> {
    snapshot: &'a Snapshot,
    principal: &'a Principal,
    request: &'a Request<'a>,
    door: &'a Door<'a>,
    asked: &'a Asked<'a>,
    body: &'a [u8],
    plan: &'a Plan,
    total_ns: u64,
    /// The client's end of a stream through the hub; it outlives attempts.
    events: Option<Events>,
    /// Assistant text that the next attempt continues.
    prefill: Option<String>,
    /// The step that answered in place of the one that was asked first, and when it was asked.
    won: Option<(usize, u64)>,
    /// The last attempt's refusal, where it is the client's to mend and in its dialect: it gets these bytes.
    refusal: Option<Refusal>,
    /// The fault that an answer was which was passed on as it came.
    told: Option<Kind>,
}

/// Tries the plan's targets until one answer went out.
#[allow(clippy::too_many_arguments)]
pub(crate) async fn deliver<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    snapshot: &Snapshot,
    principal: &Principal,
    request: &Request<'_>,
    door: &Door<'_>,
    asked: &Asked<'_>,
    body: &[u8],
    plan: &Plan,
) -> Ending {
    let shard = down.shard;
    let total = asked.timeout.map_or(plan.rules.total, |timeout| timeout.min(plan.rules.total));
    let total_ns = journal.begun_ns().saturating_add(nanos(total));
    let mut delivery = Delivery {
        snapshot,
        principal,
        request,
        door,
        asked,
        body,
        plan,
        total_ns,
        events: None,
        prefill: None,
        won: None,
        refusal: None,
        told: None,
    };
    if let Some(step) = plan.mirror.as_ref().filter(|_| asked.is_json()) {
        delivery.mirror(shard, journal, step);
    }
    // What is translated back by its own request is not asked of two.
    let may_hedge = asked.is_json() && !matches!(door.operation, Operation::Embed | Operation::Rerank);
    let (mut step_index, mut tries) = (0, 0);
    let mut fault = Fault::new(Kind::ModelNotFound, "the route has no target");
    // What the next target is taken for.
    let mut cause = Trigger::Error;
    let mut admitted_ns = Some(journal.admitted_ns());
    while let Some(step) = plan.steps.get(step_index) {
        let now_ns = admitted_ns.take().unwrap_or_else(|| shard.rt.now_ns());
        if now_ns >= total_ns {
            fault = Fault::new(Kind::UpstreamTimeout, "the request's total time is over");
            break;
        }
        let own = principal.credential(step.provider);
        let skipped = journal.bill.skips(snapshot, step_index, step);
        let passed_over = skipped.or_else(|| {
            let fault = plan.unavailable(snapshot, step, own, now_ns)?;
            journal.resting(&step.target, fault.retry_after.map_or(0, nanos));
            Some(fault)
        });
        if let Some(passed_over) = passed_over {
            if journal.record.attempts.is_empty() {
                // Where a target was tried, its fault says more than why the next one was not.
                cause = retry::trigger(passed_over.kind);
                fault = passed_over;
            }
            let Some(next) = plan.next_beyond(step_index, cause) else { break };
            (step_index, tries) = (next, 0);
            continue;
        }
        tries += 1;
        if tries == 1 {
            step.target.retry_budget.deposit(now_ns);
        }
        let hedge = hedge::due(plan, asked.mode, step_index, journal.record.attempts.len()).filter(|_| may_hedge);
        let (delivered, ended_ns) = delivery.attempt(down, journal, step, now_ns, hedge).await;
        if let Some((won, _)) = delivery.won.take() {
            (step_index, tries) = (won, 1);
        }
        let step = &plan.steps[step_index];
        journal.works(ended_ns);
        let outcome = match delivery.told.take() {
            Some(kind) => Outcome::of(kind),
            None if delivery.diverged() => Outcome::Success,
            None => outcome(&delivered),
        };
        step.target.tell(&plan.rules.breaker, outcome, ended_ns);
        let failed = match delivered {
            Delivered::Done => return Ending::Answered,
            Delivered::Gone => return Ending::Gone,
            Delivered::Failed(failed) if delivery.has_begun() => delivery.rescued_failure(failed),
            Delivered::Failed(failed) => Failure::Before(failed),
            Delivered::Broken(failed) => Failure::After(failed),
        };
        let progress = Progress { step: step_index, attempts_on_step: tries, left_ns: total_ns.saturating_sub(ended_ns), now_ns: ended_ns };
        let next = match &failed {
            // What went out of an upload is gone.
            _ if request.upload.is_some_and(Upload::has_begun) => Next::GiveUp,
            Failure::Before(failed) if delivery.repeat() == Repeat::Never && retry::may_have_acted(failed.kind) => Next::GiveUp,
            // Another provider may have what this one does not know.
            Failure::Before(failed) if failed.upstream_status == Some(404) && door.stored_id().is_some() => {
                if step_index + 1 < plan.steps.len() { Next::Target { step: step_index + 1 } } else { Next::GiveUp }
            }
            Failure::Before(failed) | Failure::Again(failed) => {
                retry::next(plan, progress, failed, &step.target.retry_budget, shard.rt.random())
            }
            Failure::WithoutPrefill(_) => Next::Same { wait: Duration::ZERO },
            Failure::After(_) if delivery.rescue(journal) => match plan.next_beyond(step_index, retry::trigger(failed.kind())) {
                Some(step) => Next::Target { step },
                // A silent target is not asked again, whether or not an answer began before.
                None if tries < retry::ATTEMPTS_PER_TARGET_MAX && failed.kind() != Kind::UpstreamTimeout => {
                    Next::Same { wait: Duration::ZERO }
                }
                None => Next::GiveUp,
            },
            Failure::After(_) => Next::GiveUp,
        };
        cause = retry::trigger(failed.kind());
        fault = failed.into_fault();
        match next {
            Next::Same { wait } => {
                journal.waits(ended_ns);
                if unless_gone(down.gone, shard.wheel.sleep(wait)).await.is_none() {
                    return Ending::Gone;
                }
                journal.works(shard.rt.now_ns());
            }
            Next::Target { step } => (step_index, tries) = (step, 0),
            Next::GiveUp => break,
        }
    }
    match &mut delivery.events {
        Some(events) if events.begun => {
            events.break_off(down, &fault).await;
            Ending::Broken(fault)
        }
        _ if down.committed => Ending::Broken(fault),
        _ => match delivery.refusal.take() {
            Some(refusal) => match answer::refusal(down, journal, fault.status(), &fault, &refusal).await {
                Ok(()) => Ending::Told(fault),
                Err(_) => Ending::Gone,
            },
            None => Ending::Refused(fault),
        },
    }
}

impl Delivery<'_> {
    /// What is carried makes things that nobody here knows of; the methods that do not are safe to repeat.
    fn repeat(&self) -> Repeat {
        let is_idempotent = matches!(
            self.request.head.method,
            http::Method::GET | http::Method::HEAD | http::Method::OPTIONS | http::Method::PUT | http::Method::DELETE
        );
        if self.asked.body == BodyForm::Carried && !is_idempotent { Repeat::Never } else { Repeat::Allowed }
    }

    /// Its path is known to ask for generated text, its body is there.
    fn counts(&self) -> bool {
        let generates = matches!(self.door.passes, Some(Operation::Chat | Operation::Complete));
        generates && self.request.upload.is_none() && self.request.field("content-encoding").is_none()
    }

    fn has_begun(&self) -> bool {
        self.events.as_ref().is_some_and(|events| events.begun)
    }

    /// The attempt gave another answer than the client holds the beginning of.
    fn diverged(&self) -> bool {
        self.events.as_ref().and_then(|events| events.splice.as_ref()).is_some_and(Splice::diverged)
    }

    /// What a rescuing attempt's failure means.
    fn rescued_failure(&mut self, fault: Fault) -> Failure {
        let refused = matches!(fault.kind, Kind::PrefillRefused | Kind::UpstreamRefused);
        if refused && self.prefill.take().is_some() {
            if let Some(splice) = self.events.as_mut().and_then(|events| events.splice.as_mut()) {
                splice.restart();
            }
            return Failure::WithoutPrefill(fault);
        }
        Failure::Again(fault)
    }

    /// Prepares the next attempt to go on where this one broke; `false` where the route or the answer does not allow it.
    fn rescue(&mut self, journal: &mut Journal) -> bool {
        let Some(events) = &mut self.events else { return false };
        let Some(splice) = events.splice.as_mut().filter(|splice| splice.may_rescue()) else { return false };
        journal.record.rescued = true;
        self.prefill = match self.plan.rules.rescue {
            Rescue::Resume => splice.prefill().map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty()),
            _ => None,
        };
        match &self.prefill {
            Some(prefill) => splice.resume(prefill, events.seen.delivered_tokens()),
            None => splice.restart(),
        }
        true
    }

    /// One attempt with its line in the record.
    /// Gives how it went and when it ended.
    async fn attempt<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        step: &Step,
        now_ns: u64,
        hedge: Option<Due>,
    ) -> (Delivered, u64) {
        let upstream = &self.snapshot.providers[step.provider];
        journal.attempt(upstream, step);
        self.refusal = None;
        let mut watch = Some(Watch::begin(&step.target, self.asked.mode, now_ns));
        // What takes no time to generate, or is answered here, says nothing of how fast the target is.
        if matches!(self.door.operation, Operation::Chat | Operation::Complete) {
            journal.watch = watch.take();
        }
        let delivered = self.funded(down, journal, upstream, step, now_ns, hedge).await;
        journal.watch = None;
        drop(watch);
        journal.input(if self.asked.is_json() || self.counts() { self.body } else { &[] });
        let ended_ns = down.shard.rt.now_ns();
        let (step, now_ns) = self.won.map_or((step, now_ns), |(index, begun_ns)| (&self.plan.steps[index], begun_ns));
        let (fault, status) = match &delivered {
            Delivered::Failed(fault) => (Some(fault.kind), fault.upstream_status),
            Delivered::Broken(fault) => (Some(fault.kind), None),
            Delivered::Gone => (Some(Kind::ClientGone), None),
            Delivered::Done => (None, None),
        };
        if fault.is_none() && !journal.record.cut && !self.snapshot.quotas.is_empty() {
            step.target.learned.add(journal.record.usage.output);
        }
        journal.end_attempt(now_ns, fault, status, ended_ns);
        down.shard.made_room();
        (delivered, ended_ns)
    }

    /// Draws the credential, promises what the attempt may come to, and sends.
    async fn funded<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        upstream: &Upstream,
        step: &Step,
        now_ns: u64,
        hedge: Option<Due>,
    ) -> Delivered {
        let credential = beside::draw(self.principal, down.shard, upstream, step, now_ns);
        if credential.is_none()
            && let Some(fault) = credential::refusal(&upstream.credentials, &upstream.name, &step.model, Elsewhere::Nowhere, now_ns)
        {
            return Delivered::Failed(fault);
        }
        if credential.is_none() && upstream.fetch.is_some() {
            let message = format!("there is no token for {} yet; /readyz of this gateway says why", upstream.name);
            return Delivered::Failed(Fault::new(Kind::UpstreamAuth, message));
        }
        let at = journal.at(now_ns);
        let reserved = match self.waited_for(down.shard, upstream, step, credential) {
            Some(quota) => Err(journal.behind(quota, now_ns)),
            None => journal.bill.attempt(self.snapshot, &self.plan.rules, step, credential, at),
        };
        let (credential, now_ns) = match reserved {
            Ok(()) => (credential, now_ns),
            Err(fault) => match Box::pin(self.room(down, journal, upstream, step, credential, fault)).await {
                Ok(credential) => (credential, down.shard.rt.now_ns()),
                Err(delivered) => return delivered,
            },
        };
        self.send(down, journal, upstream, step, credential, now_ns, hedge).await
    }

    #[allow(clippy::too_many_arguments)]
    async fn send<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        upstream: &Upstream,
        step: &Step,
        credential: Option<&Credential>,
        now_ns: u64,
        hedge: Option<Due>,
    ) -> Delivered {
        let shard = down.shard;
        let now_unix = journal.record.at_ms / 1000;
        let dialect = self.door.dialect;
        if upstream.builtin {
            let client = self.client(now_unix);
            return match self.door.operation {
                Operation::Chat => Box::pin(local::echo(down, journal, dialect, self.body, client, &mut self.events)).await,
                Operation::CountTokens => local::count_tokens(down, journal, dialect, self.body).await,
                operation => Delivered::Failed(Fault::new(
                    Kind::InvalidRequest,
                    format!("model {} serves chat, not {}", step.model, operation.name()),
                )),
            };
        }
        // A prefill that this target would refuse is not sent.
        if self.prefill.is_some() && !upstream.provider.quirks.takes_prefill(&step.model) {
            self.prefill = None;
            if let Some(splice) = self.events.as_mut().and_then(|events| events.splice.as_mut()) {
                splice.restart();
            }
        }
        let same = step.dialect == dialect;
        if !same && self.door.operation == Operation::CountTokens {
            return local::count_tokens(down, journal, dialect, self.body).await;
        }
        let mut encoded = Vec::new();
        let mut translation = None;
        let is_typed = self.is_typed(upstream, step);
        let conversion = match (&self.asked.body, same && self.prefill.is_none()) {
            _ if self.door.operation == Operation::Realtime => Conversion::Upgrade,
            (BodyForm::Carried, _) => Conversion::Raw,
            (BodyForm::Json, _) if is_typed => Conversion::Translated,
            (BodyForm::Json, false) => Conversion::Translated,
            (_, true) => Conversion::Untouched,
            (BodyForm::Form(_), false) => return Delivered::Failed(self.cannot_serve(upstream)),
        };
        let (bent, edits);
        let outbound = match conversion {
            Conversion::Upgrade => Outbound::Upgrade,
            Conversion::Raw | Conversion::Untouched if !self.asked.is_json() => {
                edits = self.model_edit(step);
                self.as_it_came(&edits)
            }
            Conversion::Untouched | Conversion::Raw => {
                bent = match self.bend(journal, upstream, step) {
                    Ok(bent) => bent,
                    Err(fault) => return Delivered::Failed(fault),
                };
                let (body, peek) = bent.as_ref().map_or((self.body, &self.asked.peek), |(body, peek)| (body, peek));
                edits = self.edits(upstream, step, body, peek);
                Outbound::Patched { body, edits: &edits }
            }
            Conversion::Translated if is_typed => match self.translate(journal, upstream, step) {
                Ok((body, asked)) => {
                    (encoded, translation) = (body, Some(asked));
                    Outbound::Encoded(&encoded)
                }
                Err(fault) => return Delivered::Failed(fault),
            },
            Conversion::Translated => match self.encode(journal, upstream, step, &mut encoded) {
                Ok(()) => Outbound::Encoded(&encoded),
                Err(fault) => return Delivered::Failed(fault),
            },
        };
        let mut head = shard.buffers.rent();
        let tracing = journal.tracing(journal.span());
        let composed = self.head(upstream, step, credential, conversion, &outbound, shard.rt.unix_ms()).traced(tracing);
        let signed = composed.write(self.request, &mut head);
        if let Err(fault) = signed {
            shard.buffers.give(head);
            return Delivered::Failed(fault);
        }
        let deadlines = Deadlines {
            now_ns,
            connect_ns: nanos(self.plan.rules.connect),
            first_byte_ns: nanos(self.plan.rules.first_byte),
            total_ns: self.total_ns,
            repeat: self.repeat(),
        };
        let raced = match hedge {
            None => {
                let sent = attempt::send(shard, down.gone, Teller::Journal(journal), upstream, &head, &outbound, deadlines).await;
                hedge::Raced { sent, second: None }
            }
            Some(due) => {
                let first = hedge::First { step, upstream, head: &head, outbound: &outbound, deadlines };
                let raced = Box::pin(self.hedged(down, journal, first, due)).await;
                // The one that lost gave its places back.
                shard.made_room();
                raced
            }
        };
        shard.buffers.give(head);
        let (upstream, step, credential) = match &raced.second {
            None => (upstream, step, credential),
            Some(second) => {
                self.won = Some((second.index, second.begun_ns));
                let step = &self.plan.steps[second.index];
                (&self.snapshot.providers[step.provider], step, second.credential.as_ref())
            }
        };
        let (mut incoming, first_ns) = match raced.sent {
            Ok(sent) => sent,
            Err(TryEnd::Gone) => return Delivered::Gone,
            Err(TryEnd::Fault(fault)) => return Delivered::Failed(fault),
        };
        if self.request.upload.is_some_and(Upload::is_ended) {
            down.keep_alive = self.request.head.keep_alive;
        }
        let status = incoming.head.status;
        if let Some(attempt) = journal.record.attempts.last_mut() {
            attempt.status = status;
        }
        if let Some(credential) = credential.filter(|_| status < 300) {
            let now_ns = journal.working_since_ns().unwrap_or_else(|| shard.rt.now_ns());
            limits::read_ahead(credential, upstream, &incoming, now_ns, || shard.rt.unix_ms());
        }
        let clock = StreamClock { idle_ns: nanos(self.plan.rules.idle), total_ns: self.total_ns };
        let (framing, mode) = self.framing(step.dialect.row(), conversion, &incoming);
        let body = if self.asked.is_json() { self.body } else { &[] };
        // Where there is but one provider and no key, nobody asks whose an answer is.
        let is_asked = !self.snapshot.keys.is_empty() || self.snapshot.providers.len() > 2;
        let owner = is_asked.then(|| Owner::new(&upstream.name, &self.principal.key));
        let source = Source { dialect: step.dialect.row(), framing, mode, name: &upstream.name, body, owner, clock, first_ns };
        if conversion == Conversion::Upgrade && status == 101 {
            return Box::pin(realtime::relay(down, journal, *incoming, &upstream.name, &self.plan.rules)).await;
        }
        let delivered = match status {
            _ if conversion == Conversion::Upgrade => Box::pin(self.refused(down, &mut incoming, &source, credential, &step.model)).await,
            _ if self.door.provider.is_some() => {
                Box::pin(self.carry(down, journal, &mut incoming, &source, upstream, credential, step)).await
            }
            200..=299 if conversion == Conversion::Raw || self.is_unread(mode) => {
                Box::pin(self.carry(down, journal, &mut incoming, &source, upstream, credential, step)).await
            }
            200..=299 => match &translation {
                Some(asked) => Box::pin(typed::translated(down, journal, &mut incoming, &source, asked, &self.asked.model)).await,
                None => self.pass_on(down, journal, &mut incoming, &source, now_unix, upstream).await,
            },
            _ => Box::pin(self.refused(down, &mut incoming, &source, credential, &step.model)).await,
        };
        incoming.finish(shard);
        delivered
    }

    /// A stream of events that no dialect here knows.
    fn is_unread(&self, mode: Mode) -> bool {
        mode == Mode::Stream && !matches!(self.door.operation, Operation::Chat | Operation::Complete)
    }

    /// Passes a good answer on, in the way that its form and the route ask for.
    async fn pass_on<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        incoming: &mut Incoming<R>,
        source: &Source<'_>,
        now_unix: u64,
        upstream: &Upstream,
    ) -> Delivered {
        let dialect = self.door.dialect.row();
        let same = std::ptr::eq(source.dialect, dialect);
        let is_stream = source.mode == Mode::Stream;
        let rescues = self.plan.rules.rescue != Rescue::Off && self.door.operation == Operation::Chat;
        let wants_stream = self.asked.mode == Mode::Stream;
        // An answer that a budget may end is looked at before it goes out.
        let may_end = journal.bill.may_cut() && self.door.operation == Operation::Chat;
        if is_stream && wants_stream && (!same || rescues || may_end) {
            let client = self.client(now_unix);
            let events = self.events.get_or_insert_with(|| Events::new(dialect, client, rescues.then(Splice::default)));
            let delivered = Box::pin(events.relay(down, journal, incoming, source)).await;
            journal.usage(&events.seen);
            return delivered;
        }
        if !same || (self.events.is_some() && !is_stream) {
            let client = self.client(now_unix);
            let target = Target::for_client(dialect, client, &mut self.events);
            return Box::pin(held::translated(down, journal, incoming, source, target)).await;
        }
        if is_stream {
            let usage = dialect.asked_usage.filter(|_| self.injects(upstream));
            let strip = usage.map(|is_usage| Strip::usage(source.framing, is_usage)).or_else(|| Strip::whole(source.framing));
            return relay::relay(down, journal, incoming, source, strip).await;
        }
        held::untouched(down, journal, incoming, source).await
    }

    /// How the answer is framed, and whether it is a stream. An array of events looks like any JSON answer: it is one where one was
    /// asked for.
    fn framing<R: Rt>(&self, dialect: &Dialect, conversion: Conversion, incoming: &Incoming<R>) -> (Framing, Mode) {
        let content_type = incoming.field("content-type").unwrap_or_default();
        if let Some(framing) = Framing::of_content_type(content_type) {
            return (framing, Mode::Stream);
        }
        let asked = dialect.framing_for(self.request.query().filter(|_| conversion == Conversion::Untouched));
        match self.asked.mode {
            Mode::Stream if asked.fits(content_type) => (asked, Mode::Stream),
            _ => (asked, Mode::Whole),
        }
    }

    fn client(&self, now_unix: u64) -> Client<'static> {
        let dialect = self.door.dialect.row();
        Client {
            model: Cow::Owned(self.asked.model.to_string()),
            mode: self.asked.mode,
            stream_usage: self.asked.peek.include_usage || dialect.asked_usage.is_none(),
            framing: dialect.framing_for(self.request.query()),
            now_unix,
        }
    }
}

/// What an attempt says of its target's health.
fn outcome(delivered: &Delivered) -> Outcome {
    match delivered {
        Delivered::Done => Outcome::Success,
        Delivered::Gone => Outcome::Unknown,
        Delivered::Failed(fault) | Delivered::Broken(fault) => Outcome::of(fault.kind),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
