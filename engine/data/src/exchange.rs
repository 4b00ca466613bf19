//! The exchange: one request and its answer, from its last byte read to its record.
//!
//! Five steps: `classify` (what is asked) → `admit` (who asks, may they) → `plan` (where it goes) → `deliver` (attempts, relay,
//! rescue) → `settle` (exactly once). Every branch of a request's way is here or in `deliver`; the leaves do not branch.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringway_adapters::door::{self, Door};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;
use ringway_adapters::json::peek;
use ringway_adapters::operation::Operation;
use ringway_policy::facts::Facts;
use ringway_policy::key::Principal;
use ringway_policy::pipeline::{Admitted, Pipeline};
use ringway_policy::plan::{self, Plan};
use ringway_policy::quota;
use ringway_policy::record::{Subject, Why};
use ringway_policy::snapshot::Snapshot;
use ringway_policy::spend::Charge;
use ringway_policy::tags::{self, Tags};
use smallvec::SmallVec;

use crate::answer;
use crate::deliver::{self, Asked};
use crate::downstream::{Downstream, WriteEnd};
use crate::encoding;
use crate::journal::Journal;
use crate::listener::Peer;
use crate::local;
use crate::relay;
use crate::request::Request;
use crate::rt::Rt;
use crate::says::Said;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    KeepAlive,
    Close,
    /// The client must not take what it got for a whole answer.
    Reset,
}

/// How an exchange ended.
pub(crate) enum Ending {
    /// The answer went out whole.
    Answered,
    /// Nothing went out yet: the client gets this fault.
    Refused(Fault),
    /// The client got the provider's own words for this fault.
    Told(Fault),
    /// The answer broke after its head, and the client was told.
    Broken(Fault),
    /// The client left or read nothing for too long.
    Gone,
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Ending {
        Ending::Refused(fault)
    }
}

impl From<Result<(), WriteEnd>> for Ending {
    fn from(written: Result<(), WriteEnd>) -> Ending {
        written.map_or(Ending::Gone, |()| Ending::Answered)
    }
}

/// Carries one request to its end and leaves its record.
pub(crate) async fn exchange<R: Rt>(down: &mut Downstream<'_, R>, peer: &Peer, request: &Request<'_>) -> After {
    let shard = down.shard;
    let path = request.path();
    if local::is_probe(path) {
        let ending = local::probe(down, path).await;
        return after(down, &ending);
    }
    let _running = Running::begin(&shard.counters.in_flight);
    let mut journal = Journal::begin(shard, peer, Some(request));
    let mut pipeline = None;
    let door = door::find(path, request.field("anthropic-version").is_some());
    let dialect = door.as_ref().map_or(door::DIALECT_WITHOUT_DOOR, |door| door.dialect);
    let ending = match door {
        Some(door) => run(down, &mut journal, &mut pipeline, request, &door).await,
        None => Ending::Refused(no_door(path)),
    };
    let ending = match ending {
        Ending::Gone if shard.is_cut() && !down.committed => Ending::Refused(relay::draining()),
        ending => ending,
    };
    let ending = match ending {
        Ending::Refused(fault) => match answer::fault(down, &mut journal, dialect, fault.status(), &fault).await {
            Ok(()) => return settle(down, journal, pipeline, Ending::Refused(fault)),
            Err(_) => Ending::Gone,
        },
        ending => ending,
    };
    settle(down, journal, pipeline, ending)
}

/// Answers a request that could not be read, and leaves its record. `request` is there where its head was good.
pub(crate) async fn refuse<R: Rt>(down: &mut Downstream<'_, R>, peer: &Peer, request: Option<&Request<'_>>, status: u16, fault: Fault) {
    let mut journal = Journal::begin(down.shard, peer, request);
    down.keep_alive = false;
    let door = request.and_then(|request| door::find(request.path(), request.field("anthropic-version").is_some()));
    if let Some(door) = &door {
        journal.dialect(door.operation, door.dialect);
    }
    let dialect = door.map_or(door::DIALECT_WITHOUT_DOOR, |door| door.dialect);
    let _ = answer::fault(down, &mut journal, dialect, status, &fault).await;
    settle(down, journal, None, Ending::Refused(fault));
}

async fn run<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    pipeline: &mut Option<Pipeline>,
    request: &Request<'_>,
    door: &Door<'_>,
) -> Ending {
    let shard = down.shard;
    let snapshot = shard.snapshot();
    journal.dialect(door.operation, door.dialect);
    if shard.counters.in_flight.load(Ordering::Relaxed) > shard.tuning.in_flight_max as u64 {
        let message = "the gateway has as many requests under way as it takes; try again, or raise --max-in-flight";
        return Fault::new(Kind::Overloaded, message).into();
    }
    let pipeline = match Pipeline::authenticate(&snapshot, key(request), journal.record.client, journal.record.at_ms) {
        Ok(admitted) => pipeline.insert(admitted),
        Err(fault) => return fault.into(),
    };
    let principal = pipeline.principal.clone();
    journal.asks(&principal, &Tags::default());
    let tags = match Tags::new(&principal.access.tags, request.field(tags::HEADER)) {
        Ok(tags) => tags,
        Err(fault) => return fault.into(),
    };
    journal.asks(&principal, &tags);
    match door.operation {
        Operation::Models => return local::models(down, journal, &snapshot, &principal, request, door).await,
        Operation::Key => return local::key(down, journal, &principal, request).await,
        _ => {}
    }
    let body = match request.field("content-encoding") {
        None => Cow::Borrowed(request.body),
        Some(coding) => match encoding::decode(coding, request.body, shard.tuning.body_bytes_max) {
            Ok(body) => Cow::Owned(body),
            Err(fault) => return fault.into(),
        },
    };
    let asked = match classify(request, door, &body) {
        Ok(asked) => asked,
        Err(fault) => return fault.into(),
    };
    journal.asked(&asked.model);
    journal.record.mode = asked.mode;
    if let Some(span) = &asked.peek.end_user
        && let Ok(name) = peek::string(&body, span.clone())
    {
        journal.end_user(&name);
    }
    let mut planned = admit(down, journal, pipeline, &snapshot, &asked, tags, door, request, &body);
    while planned.is_err() && Box::pin(shard.asked(&journal.bill)).await {
        planned = admit(down, journal, pipeline, &snapshot, &asked, tags, door, request, &body);
    }
    match planned {
        Ok(plan) => deliver::deliver(down, journal, &snapshot, &principal, request, door, &asked, &body, &plan).await,
        Err(fault) => fault.into(),
    }
}

/// What the body asks for.
fn classify<'a>(request: &Request<'_>, door: &Door<'_>, body: &'a [u8]) -> Result<Asked<'a>, Fault> {
    if request.head.method != http::Method::POST {
        let message = format!("{} {} is not served; use POST", request.head.method, request.path());
        return Err(Fault::new(Kind::NotFound, message));
    }
    match door.operation {
        Operation::Chat | Operation::Complete | Operation::Embed | Operation::CountTokens | Operation::Moderate | Operation::Rerank => {}
        Operation::Image | Operation::Speech if is_json(request) => {}
        operation => {
            let message = format!("{} is not carried on this path yet; chat, completions, embeddings and models are", operation.name());
            return Err(Fault::new(Kind::NotFound, message));
        }
    }
    let peek = peek::peek(body)?;
    let model = match (deployment(door), &peek.model) {
        (Some(id), _) => Cow::Owned(door::decode(id)?.into_owned()),
        (None, Some(span)) => peek::string(body, span.clone())?,
        (None, None) => return Err(missing_model()),
    };
    let fallbacks = peek::fallbacks(body, &peek)?;
    check_name("model", &model)?;
    fallbacks.iter().try_for_each(|name| check_name("fallbacks", name))?;
    let mode = if peek.is_stream { Mode::Stream } else { Mode::Whole };
    Ok(Asked { model, fallbacks, mode, timeout: timeout(request)?, peek })
}

/// The model that the path names; it wins over the body's, as it does at the providers whose paths these are.
fn deployment<'a>(door: &Door<'a>) -> Option<&'a str> {
    let generates = matches!(door.operation, Operation::Chat | Operation::Complete | Operation::Embed | Operation::CountTokens);
    door.id.filter(|_| generates)
}

/// Who asks, may they, and where it goes.
#[allow(clippy::too_many_arguments)]
fn admit<R: Rt>(
    down: &Downstream<'_, R>,
    journal: &mut Journal,
    pipeline: &mut Pipeline,
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    tags: Tags<'_>,
    door: &Door<'_>,
    request: &Request<'_>,
    body: &[u8],
) -> Result<Plan, Fault> {
    let shard = down.shard;
    let principal = pipeline.principal.clone();
    let at = journal.at(journal.begun_ns());
    let said = Said { request, body, principal: &principal, tags, now: at.now, needs: Default::default() };
    let mut facts = Facts {
        operation: door.operation,
        dialect: door.dialect,
        model: &asked.model,
        fallbacks: &asked.fallbacks,
        key: None,
        mode: asked.mode,
        body_bytes: body.len(),
        max_tokens: asked.peek.max_tokens,
        choices: asked.peek.n.unwrap_or(1),
        client: journal.record.client,
        tags,
        says: &said,
    };
    let draw = &mut || shard.rt.random();
    let mut plan = planned(journal, snapshot, &facts, &principal, at, draw)?;
    if let Admitted::Instead(name) = pipeline.admit(snapshot, &facts, &plan, &mut journal.bill, at)? {
        // A budget is used up and names who stands in. It is not asked a second time.
        (facts.model, facts.fallbacks) = (&name, &[]);
        plan = planned(journal, snapshot, &facts, &principal, at, draw)?;
        journal.record.downgraded = Some(name.clone());
        pipeline.admit(snapshot, &facts, &plan, &mut journal.bill, at)?;
    }
    journal.admitted(shard.rt.now_ns());
    Ok(plan)
}

/// The plan of what the key may reach, where its route takes a body of this size.
fn planned(
    journal: &mut Journal,
    snapshot: &Snapshot,
    facts: &Facts<'_>,
    principal: &Principal,
    at: quota::At,
    draw: &mut dyn FnMut() -> u64,
) -> Result<Plan, Fault> {
    let mut plan = plan::plan_or_refused(snapshot, facts, at.now, draw).map_err(|refused| {
        journal.record.trail.append(&refused.trail);
        refused.fault
    })?;
    journal.record.route = plan.route.clone();
    let trail = &mut journal.record.trail;
    trail.append(&plan.trail);
    let len = facts.body_bytes;
    if let Some(bytes_max) = plan.rules.body_bytes_max.filter(|bytes_max| len > *bytes_max) {
        let message = format!("the body has {len} bytes, this route takes {bytes_max}; send less or raise its body_bytes_max");
        return Err(Fault::new(Kind::RequestTooLarge, message));
    }
    plan::permit(&mut plan, snapshot, principal, &mut |step, _| {
        trail.pass_over(Subject::Target(step.target.clone()), Why::NotPermitted);
    })?;
    Ok(plan)
}

/// Ends the exchange: the stages settle, the record leaves the shard.
fn settle<R: Rt>(down: &mut Downstream<'_, R>, journal: Journal, pipeline: Option<Pipeline>, ending: Ending) -> After {
    let shard = down.shard;
    let gone = Fault::new(Kind::ClientGone, "the client left");
    let fault = match &ending {
        Ending::Answered => None,
        Ending::Refused(fault) | Ending::Told(fault) | Ending::Broken(fault) => Some(fault),
        Ending::Gone => Some(&gone),
    };
    let now_ns = shard.rt.now_ns();
    let at = journal.at(now_ns);
    let (mut record, mut bill) = journal.end(fault, down.written_bytes, now_ns);
    if let Some(pipeline) = pipeline {
        pipeline.settle(&mut record, &mut bill, at);
        let charges: SmallVec<[Charge; quota::ROWS_INLINE]> = record.budget_charges().collect();
        shard.append(&charges);
    }
    shard.counters.downstream_written_bytes.fetch_add(down.written_bytes, Ordering::Relaxed);
    shard.counters.downstream_read_bytes.fetch_add(record.request_bytes, Ordering::Relaxed);
    shard.leave(record);
    after(down, &ending)
}

fn after<R: Rt>(down: &Downstream<'_, R>, ending: &Ending) -> After {
    match ending {
        Ending::Gone => After::Reset,
        // Without chunks only a reset tells a cut answer from a whole one.
        Ending::Broken(_) if down.minor_version == 0 => After::Reset,
        Ending::Broken(_) => After::Close,
        Ending::Answered | Ending::Refused(_) | Ending::Told(_) if down.keep_alive && !down.shard.draining() => After::KeepAlive,
        Ending::Answered | Ending::Refused(_) | Ending::Told(_) => After::Close,
    }
}

/// Counts an exchange that is under way, also where its task is dropped.
struct Running<'a>(&'a AtomicU64);

impl<'a> Running<'a> {
    fn begin(in_flight: &'a AtomicU64) -> Running<'a> {
        in_flight.fetch_add(1, Ordering::Relaxed);
        Running(in_flight)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The virtual key, from the first place that holds one.
pub(crate) fn key<'a>(request: &Request<'a>) -> Option<&'a str> {
    let bearer = request.field("authorization").and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer
        .or_else(|| request.field("x-api-key"))
        .or_else(|| request.field("api-key"))
        .or_else(|| request.field("x-goog-api-key"))
        .or_else(|| request.query()?.split('&').find_map(|pair| pair.strip_prefix("key=")))
}

fn is_json(request: &Request<'_>) -> bool {
    request.field("content-type").is_none_or(|value| value.starts_with("application/json"))
}

fn timeout(request: &Request<'_>) -> Result<Option<Duration>, Fault> {
    let Some(value) = request.field("x-ringway-timeout-ms") else { return Ok(None) };
    match value.parse() {
        Ok(ms) if ms > 0 => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Fault::new(Kind::InvalidRequest, format!("x-ringway-timeout-ms: {value:?} is no count of milliseconds; write 1 or more"))),
    }
}

/// Characters of a wrong name that the refusal quotes.
const NAME_SHOWN_MAX: usize = 128;

/// Names of models stand in header fields and log lines, where a line end would begin another one.
fn check_name(field: &str, name: &str) -> Result<(), Fault> {
    if !name.is_empty() && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
    let message = format!("{field}: {shown:?} is no name of a model; leave out control characters, known models: GET /v1/models");
    let mut fault = Fault::new(Kind::InvalidRequest, message);
    fault.param = Some(field.to_owned().into());
    Err(fault)
}

fn missing_model() -> Fault {
    let mut fault = Fault::new(Kind::InvalidRequest, "model is missing; name one, known models: GET /v1/models");
    fault.param = Some("model".into());
    fault
}

fn no_door(path: &str) -> Fault {
    let shown: String = path.chars().filter(|character| !character.is_control()).take(200).collect();
    Fault::new(
        Kind::NotFound,
        format!("no such path: {shown}; the paths are those of the provider APIs, such as /v1/chat/completions or /v1/messages"),
    )
}
