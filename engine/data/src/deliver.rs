//! Delivery: attempts along the plan until one answer went out, or there is nothing left to try.
//!
//! The commit point is the first byte to the client. Before it a failed attempt may be repeated or handed to the next target;
//! after it only a rescue may go on, and only where the route allows it.

use std::borrow::Cow;
use std::time::Duration;

use ringway_adapters::dialect::{Client, Target as EncodeTarget};
use ringway_adapters::door::Door;
use ringway_adapters::fault::{Blame, Fault, Kind};
use ringway_adapters::ir::{Gravity, Loss, Message, Mode, Part, Role};
use ringway_adapters::json::patch::{self, Edits};
use ringway_adapters::json::peek::{self, Peek};
use ringway_adapters::operation::Operation;
use ringway_adapters::quirk;
use ringway_adapters::splice::Splice;
use ringway_adapters::usage::Usage;
use ringway_policy::breaker::{Outcome, Pass};
use ringway_policy::plan::{Losses, Plan, Rescue, Step};
use ringway_policy::retry::{self, Next, Progress};
use ringway_policy::snapshot::credential::{self, Credential};
use ringway_policy::snapshot::{Snapshot, Upstream, UsageMode};

use crate::answer::{self, Refusal};
use crate::attempt::{self, Deadlines, Outbound, TryEnd};
use crate::compose::{Conversion, Head};
use crate::downstream::Downstream;
use crate::events::{Events, Source};
use crate::exchange::{self, Ending};
use crate::held::{self, Target};
use crate::incoming::{Incoming, ReadEnd, Room};
use crate::journal::{Journal, estimate};
use crate::local;
use crate::race::unless_gone;
use crate::relay::{self, Delivered, StreamClock};
use crate::request::Request;
use crate::rt::Rt;
use crate::strip::Strip;

/// Bytes of a provider's error body that are read for its reason.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bound of an answer that a dialect demands and the client did not give, tokens.
const MAX_TOKENS_DEFAULT: u64 = 4096;

/// What the client asks for, read from its body.
pub(crate) struct Asked<'a> {
    pub(crate) model: Cow<'a, str>,
    pub(crate) fallbacks: Vec<String>,
    pub(crate) mode: Mode,
    pub(crate) timeout: Option<Duration>,
    pub(crate) peek: Peek,
}

/// Everything that all attempts of one exchange share.
struct Delivery<'a> {
    snapshot: &'a Snapshot,
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
    /// The last attempt's refusal, where it is the client's to mend and in its dialect: it gets these bytes.
    refusal: Option<Refusal>,
}

/// Tries the plan's targets until one answer went out.
#[allow(clippy::too_many_arguments)]
pub(crate) async fn deliver<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    snapshot: &Snapshot,
    request: &Request<'_>,
    door: &Door<'_>,
    asked: &Asked<'_>,
    body: &[u8],
    plan: &Plan,
) -> Ending {
    let shard = down.shard;
    let total = asked.timeout.map_or(plan.rules.total, |timeout| timeout.min(plan.rules.total));
    let total_ns = journal.begun_ns().saturating_add(nanos(total));
    let mut delivery = Delivery { snapshot, request, door, asked, body, plan, total_ns, events: None, prefill: None, refusal: None };
    let (mut step_index, mut tries) = (0, 0);
    let mut fault = Fault::new(Kind::ModelNotFound, "the route has no target");
    while let Some(step) = plan.steps.get(step_index) {
        let now_ns = shard.rt.now_ns();
        if now_ns >= total_ns {
            fault = Fault::new(Kind::UpstreamTimeout, "the request's total time is over");
            break;
        }
        if let Pass::Open { retry_in_ns } = step.target.breaker.ask(&plan.rules.breaker, now_ns) {
            fault = breaker_open(&step.target.id, retry_in_ns, &fault, journal);
            (step_index, tries) = (step_index + 1, 0);
            continue;
        }
        tries += 1;
        if tries == 1 {
            step.target.retry_budget.deposit(now_ns);
        }
        let (delivered, ended_ns) = delivery.attempt(down, journal, step, now_ns).await;
        journal.works(ended_ns);
        let outcome = if delivery.diverged() { Outcome::Success } else { outcome(&delivered) };
        step.target.breaker.tell(&plan.rules.breaker, outcome, ended_ns);
        let failed = match delivered {
            Delivered::Done => return Ending::Answered,
            Delivered::Gone => return Ending::Gone,
            Delivered::Failed(failed) if delivery.has_begun() => delivery.rescued_failure(failed),
            Delivered::Failed(failed) => Failure::Before(failed),
            Delivered::Broken(failed) => Failure::After(failed),
        };
        let progress = Progress { step: step_index, attempts_on_step: tries, left_ns: total_ns.saturating_sub(ended_ns), now_ns: ended_ns };
        let next = match &failed {
            Failure::Before(failed) | Failure::Again(failed) => {
                retry::next(plan, progress, failed, &step.target.retry_budget, shard.rt.random())
            }
            Failure::WithoutPrefill(_) => Next::Same { wait: Duration::ZERO },
            Failure::After(_) if delivery.rescue(journal) => match plan.steps.len() > step_index + 1 {
                true => Next::Target,
                // A silent target is not asked again, whether or not an answer began before.
                false if tries < retry::ATTEMPTS_PER_TARGET_MAX && failed.kind() != Kind::UpstreamTimeout => {
                    Next::Same { wait: Duration::ZERO }
                }
                false => Next::GiveUp,
            },
            Failure::After(_) => Next::GiveUp,
        };
        fault = failed.into_fault();
        match next {
            Next::Same { wait } => {
                journal.waits(ended_ns);
                if unless_gone(down.gone, shard.wheel.sleep(wait)).await.is_none() {
                    return Ending::Gone;
                }
                journal.works(shard.rt.now_ns());
            }
            Next::Target if step_index + 1 < plan.steps.len() => (step_index, tries) = (step_index + 1, 0),
            Next::Target | Next::GiveUp => break,
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

/// A failed attempt, by what may follow.
enum Failure {
    /// Nothing reached the client yet.
    Before(Fault),
    /// The client holds the beginning of an answer, which broke.
    After(Fault),
    /// A rescuing attempt failed before it added anything: the next one may try.
    Again(Fault),
    /// A rescuing attempt failed because its target takes no prefill.
    WithoutPrefill(Fault),
}

impl Failure {
    fn kind(&self) -> Kind {
        match self {
            Failure::Before(fault) | Failure::After(fault) | Failure::Again(fault) | Failure::WithoutPrefill(fault) => fault.kind,
        }
    }

    fn into_fault(self) -> Fault {
        match self {
            Failure::Before(fault) | Failure::After(fault) | Failure::Again(fault) | Failure::WithoutPrefill(fault) => fault,
        }
    }
}

impl Delivery<'_> {
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
        let spent = events.seen.usage.unwrap_or_else(|| estimate(self.body.len() as u64, events.seen.text_bytes));
        if let Some(attempt) = journal.record.attempts.last_mut() {
            attempt.usage = spent;
        }
        journal.record.rescued = true;
        self.prefill = match self.plan.rules.rescue {
            Rescue::Resume => splice.prefill().map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty()),
            _ => None,
        };
        match &self.prefill {
            Some(prefill) => splice.resume(prefill, estimate(0, events.seen.text_bytes).output),
            None => splice.restart(),
        }
        true
    }

    /// One attempt with its line in the record.
    /// Gives how it went and when it ended.
    async fn attempt<R: Rt>(&mut self, down: &mut Downstream<'_, R>, journal: &mut Journal, step: &Step, now_ns: u64) -> (Delivered, u64) {
        let upstream = &self.snapshot.providers[step.provider];
        journal.attempt(&upstream.name, &step.model, 0, None, 0, Usage::default());
        self.refusal = None;
        let delivered = self.send(down, journal, upstream, step, now_ns).await;
        let ended_ns = down.shard.rt.now_ns();
        if let Some(attempt) = journal.record.attempts.last_mut() {
            attempt.total_ns = ended_ns.saturating_sub(now_ns);
            attempt.fault = match &delivered {
                Delivered::Failed(fault) | Delivered::Broken(fault) => Some(fault.kind),
                Delivered::Gone => Some(Kind::ClientGone),
                Delivered::Done => None,
            };
            if let Delivered::Failed(fault) = &delivered {
                attempt.status = fault.upstream_status.unwrap_or(attempt.status);
            }
        }
        (delivered, ended_ns)
    }

    async fn send<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        upstream: &Upstream,
        step: &Step,
        now_ns: u64,
    ) -> Delivered {
        let shard = down.shard;
        let client = self.client(journal.record.at_ms / 1000);
        let dialect = self.door.dialect;
        if upstream.builtin {
            return match self.door.operation {
                Operation::Chat => Box::pin(local::echo(down, journal, dialect, self.body, client, &mut self.events)).await,
                Operation::CountTokens => local::count_tokens(down, journal, self.body).await,
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
            return local::count_tokens(down, journal, self.body).await;
        }
        let mut encoded = Vec::new();
        let conversion = if same && self.prefill.is_none() { Conversion::Untouched } else { Conversion::Translated };
        let (bent, edits);
        let outbound = match conversion {
            Conversion::Untouched => {
                bent = match self.bend(journal, upstream) {
                    Ok(bent) => bent,
                    Err(fault) => return Delivered::Failed(fault),
                };
                let (body, peek) = bent.as_ref().map_or((self.body, &self.asked.peek), |(body, peek)| (body, peek));
                edits = self.edits(upstream, step, body, peek);
                Outbound::Patched { body, edits: &edits }
            }
            Conversion::Translated => match self.encode(journal, upstream, step, &mut encoded) {
                Ok(()) => Outbound::Encoded(&encoded),
                Err(fault) => return Delivered::Failed(fault),
            },
        };
        let credential = credential::draw(&upstream.credentials, now_ns, shard.rt.random());
        let mut head = shard.buffers.rent();
        let wants_key = upstream.caller_credentials && !self.snapshot.keys.is_empty();
        let composed = Head {
            method: "POST",
            upstream,
            path: &step.path,
            query: self.request.query().filter(|_| same),
            credential,
            virtual_key: if wants_key { exchange::key(self.request) } else { None },
            conversion,
            body_len: outbound.len(),
        };
        composed.write(self.request, &mut head);
        let deadlines = Deadlines {
            now_ns,
            connect_ns: nanos(self.plan.rules.connect),
            first_byte_ns: nanos(self.plan.rules.first_byte),
            total_ns: self.total_ns,
        };
        let sent = attempt::send(down, journal, upstream, &head, &outbound, deadlines).await;
        shard.buffers.give(head);
        let (mut incoming, first_ns) = match sent {
            Ok(sent) => sent,
            Err(TryEnd::Gone) => return Delivered::Gone,
            Err(TryEnd::Fault(fault)) => return Delivered::Failed(fault),
        };
        let status = incoming.head.status;
        if let Some(attempt) = journal.record.attempts.last_mut() {
            attempt.status = status;
        }
        let clock = StreamClock { idle_ns: nanos(self.plan.rules.idle), total_ns: self.total_ns };
        let source = Source { dialect: step.dialect.row(), name: &upstream.name, clock, first_ns };
        let delivered = match status {
            200..=299 => self.pass_on(down, journal, &mut incoming, &source, client, upstream).await,
            _ => Box::pin(self.refused(down, &mut incoming, &source, credential)).await,
        };
        incoming.finish(shard);
        delivered
    }

    /// Passes a good answer on, in the way that its form and the route ask for.
    async fn pass_on<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        incoming: &mut Incoming<R>,
        source: &Source<'_>,
        client: Client<'static>,
        upstream: &Upstream,
    ) -> Delivered {
        let dialect = self.door.dialect.row();
        let same = std::ptr::eq(source.dialect, dialect);
        let is_stream = incoming.field("content-type").is_some_and(is_event_stream);
        let rescues = self.plan.rules.rescue != Rescue::Off && self.door.operation == Operation::Chat;
        let wants_stream = self.asked.mode == Mode::Stream;
        if is_stream && wants_stream && (!same || rescues) {
            let events = self.events.get_or_insert_with(|| Events::new(dialect, client, rescues.then(Splice::default)));
            let delivered = Box::pin(events.relay(down, journal, incoming, source)).await;
            journal.usage(&events.seen);
            return delivered;
        }
        if !same || (self.events.is_some() && !is_stream) {
            let target = Target::for_client(dialect, client, &mut self.events);
            return Box::pin(held::translated(down, journal, incoming, source, target)).await;
        }
        if is_stream {
            let strip = dialect.asked_usage.filter(|_| self.injects(upstream)).map(Strip::new);
            return relay::relay(down, journal, incoming, source, strip).await;
        }
        held::untouched(down, journal, incoming, source).await
    }

    /// The body without what this provider refuses; `None` where it goes as it is.
    fn bend(&self, journal: &mut Journal, upstream: &Upstream) -> Result<Option<(Vec<u8>, Peek)>, Fault> {
        let mut losses = Vec::new();
        let Some(body) = quirk::apply(&upstream.provider.quirks, self.body, &mut losses)? else { return Ok(None) };
        self.weigh(journal, upstream, losses)?;
        let peek = peek::peek(&body)?;
        Ok(Some((body, peek)))
    }

    /// Edits of a body that stays in its dialect: the model's name at the provider, the usage wish, no `fallbacks`.
    fn edits(&self, upstream: &Upstream, step: &Step, body: &[u8], peek: &Peek) -> Edits {
        let usage = self.injects(upstream).then(|| patch::include_usage(peek, body)).flatten();
        // A path may name another model than the body.
        let is_named = self.door.id.is_none() && *self.asked.model == *step.model;
        let model = (!is_named).then(|| patch::set_model(peek, body, &step.model)).flatten();
        patch::combine([model, usage, patch::cut_fallbacks(peek)].into_iter().flatten())
    }

    /// The usage event is asked for on the client's behalf, and left out of its stream.
    fn injects(&self, upstream: &Upstream) -> bool {
        upstream.usage == UsageMode::Inject
            && upstream.provider.quirks.stream_options
            && self.asked.mode == Mode::Stream
            && !self.asked.peek.include_usage
            && self.door.dialect.row().asked_usage.is_some()
            && matches!(self.door.operation, Operation::Chat | Operation::Complete)
    }

    /// The request in the target's dialect, with the prefill where there is one.
    fn encode(&self, journal: &mut Journal, upstream: &Upstream, step: &Step, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.door.operation != Operation::Chat {
            let message =
                format!("{} cannot serve {} for this client's API; ask in its own API", upstream.name, self.door.operation.name());
            return Err(Fault::new(Kind::InvalidRequest, message));
        }
        let mut scratch = self.body.to_vec();
        let mut chat = (self.door.dialect.row().decode_request)(&mut scratch)?;
        if let Some(prefill) = &self.prefill {
            let parts = vec![Part::text(prefill.as_str())];
            chat.messages.push(Message { role: Role::Assistant, parts, name: None, extra: Default::default() });
        }
        let target = EncodeTarget {
            model: &step.model,
            max_tokens_default: MAX_TOKENS_DEFAULT,
            inject_stream_usage: upstream.usage == UsageMode::Inject && upstream.provider.quirks.stream_options,
        };
        let mut losses = Vec::new();
        (step.dialect.row().encode_request)(&chat, &target, out, &mut losses)?;
        self.weigh(journal, upstream, losses)
    }

    /// Losses of meaning are refused unless the route lets them through; the others are noted.
    fn weigh(&self, journal: &mut Journal, upstream: &Upstream, losses: Vec<Loss>) -> Result<(), Fault> {
        let meaning = losses.iter().find(|loss| loss.gravity == Gravity::Meaning);
        if let (Some(loss), Losses::Refuse) = (meaning, self.plan.rules.losses) {
            let message = format!(
                "{} cannot be carried to {}; leave it out, choose another model, or set `losses: warn` on the route",
                loss.field, upstream.name
            );
            let mut fault = Fault::new(Kind::InvalidRequest, message);
            fault.param = Some(loss.field.as_ref().into());
            return Err(fault);
        }
        journal.losses = losses;
        Ok(())
    }

    /// A provider's refusal: its status and reason become the attempt's fault.
    async fn refused<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        incoming: &mut Incoming<R>,
        source: &Source<'_>,
        credential: Option<&Credential>,
    ) -> Delivered {
        let shard = down.shard;
        let mut body = Vec::new();
        // A reason that is cut or garbled is no reason; the status speaks for itself.
        while let Ok(()) = incoming.decode(source.name) {
            incoming.pieces().iter().for_each(|piece| body.extend_from_slice(piece));
            if incoming.is_ended() || body.len() >= ERROR_BODY_BYTES_MAX {
                break;
            }
            // The head stays in front of the buffer: Retry-After is still to be read.
            match incoming.read(shard, down.gone, source.first_ns, Room::Behind, source.name).await {
                Ok(()) => {}
                Err(ReadEnd::Gone) => return Delivered::Gone,
                Err(ReadEnd::Fault(_)) => break,
            }
        }
        let is_whole = incoming.is_ended() && body.len() <= ERROR_BODY_BYTES_MAX;
        body.truncate(ERROR_BODY_BYTES_MAX);
        let status = incoming.head.status;
        let mut fault = match status {
            400.. => (source.dialect.decode_error)(status, &body),
            _ => Fault::new(Kind::MalformedResponse, format!("upstream {} answered {status}, which is no answer to this", source.name)),
        };
        fault.upstream_status = Some(status);
        fault.retry_after = fault.retry_after.or_else(|| retry_after(incoming));
        if fault.kind == Kind::UpstreamAuth {
            fault.message =
                format!("upstream {} refused the gateway's credential with {status}; check its key in the configuration", source.name)
                    .into();
        }
        if let Some(credential) = credential {
            credential.tell(&fault, shard.rt.now_ns());
        }
        let is_clients = fault.kind.blame() == Blame::Client && std::ptr::eq(source.dialect, self.door.dialect.row());
        // A page of some proxy is no error of the dialect.
        if is_clients && is_whole && body.first() == Some(&b'{') {
            let content_type = incoming.field("content-type").unwrap_or(b"application/json").to_vec();
            self.refusal = Some(Refusal { content_type, body });
        }
        Delivered::Failed(fault)
    }

    fn client(&self, now_unix: u64) -> Client<'static> {
        let stream_usage = self.asked.peek.include_usage || self.door.dialect.row().asked_usage.is_none();
        Client { model: Cow::Owned(self.asked.model.to_string()), mode: self.asked.mode, stream_usage, now_unix }
    }
}

/// `Retry-After` in seconds, or OpenAI's `retry-after-ms`. The form with a date is not read: clocks differ.
fn retry_after<R: Rt>(incoming: &Incoming<R>) -> Option<Duration> {
    let number = |name| std::str::from_utf8(incoming.field(name)?).ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn breaker_open(target: &str, retry_in_ns: u64, before: &Fault, journal: &Journal) -> Fault {
    // Where a target was tried, its fault says more than the next one's breaker.
    if !journal.record.attempts.is_empty() {
        return before.clone();
    }
    let mut fault = Fault::new(
        Kind::UpstreamError,
        format!("target {target} is resting after failures; it is probed in {} ms", retry_in_ns / 1_000_000),
    );
    fault.retry_after = Some(Duration::from_nanos(retry_in_ns));
    fault
}

/// What an attempt says of its target's health.
fn outcome(delivered: &Delivered) -> Outcome {
    match delivered {
        Delivered::Done => Outcome::Success,
        Delivered::Gone => Outcome::Unknown,
        Delivered::Failed(fault) | Delivered::Broken(fault) => match fault.kind {
            Kind::UpstreamRateLimited | Kind::UpstreamSpendCap | Kind::PrefillRefused => Outcome::Unknown,
            kind if kind.blame() == Blame::Upstream => Outcome::Failure,
            _ => Outcome::Unknown,
        },
    }
}

fn is_event_stream(content_type: &[u8]) -> bool {
    let wanted = ringway_adapters::frame::sse::CONTENT_TYPE.as_bytes();
    content_type.get(..wanted.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(wanted))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
