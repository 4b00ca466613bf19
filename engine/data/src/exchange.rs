//! The exchange: one request and its answer, from its last byte read to its record.
//!
//! Five steps: `classify` (what is asked) → `admit` (who asks, may they) → `plan` (where it goes) → `deliver` (attempts, relay,
//! rescue) → `settle` (exactly once). Every branch of a request's way is here or in `deliver`; the leaves do not branch.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use ringway_adapters::dialect::realtime;
use ringway_adapters::door::{self, Door};
use ringway_adapters::fault::{Fault, Kind};
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
use crate::audited;
use crate::classify::{Asked, classify};
use crate::deliver;
use crate::downstream::{Downstream, WriteEnd};
use crate::encoding;
use crate::journal::Journal;
use crate::listener::Peer;
use crate::local;
use crate::queue::{self, NoRoom, Who};
use crate::relay;
use crate::request::Request;
use crate::rt::Rt;
use crate::says::Said;
use crate::shard::Shard;
use crate::stored::{self, Names};

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
    if request.head.method == http::Method::OPTIONS
        && let Some(ending) = local::preflight(down, request).await
    {
        return after(down, &ending);
    }
    let _running = Running::begin(shard);
    let mut journal = Journal::begin(shard, peer, Some(request));
    let mut pipeline = None;
    let door = request.door();
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
            Ok(()) => Ending::Refused(fault),
            Err(_) => Ending::Gone,
        },
        ending => ending,
    };
    settle(down, &mut journal, pipeline, &ending);
    audited::end(down, &journal);
    shard.leave(journal.record);
    after(down, &ending)
}

/// Answers a request that could not be read, and leaves its record. `request` is there where its head was good.
pub(crate) async fn refuse<R: Rt>(down: &mut Downstream<'_, R>, peer: &Peer, request: Option<&Request<'_>>, status: u16, fault: Fault) {
    let mut journal = Journal::begin(down.shard, peer, request);
    down.keep_alive = false;
    let door = request.and_then(Request::door);
    if let Some(door) = &door {
        journal.dialect(door.operation, door.dialect);
    }
    let dialect = door.map_or(door::DIALECT_WITHOUT_DOOR, |door| door.dialect);
    let _ = answer::fault(down, &mut journal, dialect, status, &fault).await;
    settle(down, &mut journal, None, &Ending::Refused(fault));
    down.shard.leave(journal.record);
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
    if let Some(cors) = &snapshot.cors {
        journal.site = cors.listed(request.field("origin")).cloned();
    }
    journal.asks_for(door.asks());
    let mut is_crowded = false;
    if shard.counters.in_flight.load(Ordering::Relaxed) > shard.tuning.in_flight_max as u64 {
        match snapshot.queue {
            None => return crowded().into(),
            // Who asks decides who goes first.
            Some(_) => is_crowded = true,
        }
    }
    let pipeline = match Pipeline::authenticate(&snapshot, key(request), journal.record.client, journal.record.at_ms) {
        Ok(admitted) => pipeline.insert(admitted),
        Err(fault) => {
            journal.record.trail.asked = false;
            return fault.into();
        }
    };
    let principal = pipeline.principal.clone();
    journal.record.trail.asked &= principal.access.explain;
    if is_crowded && let Some(bounds) = snapshot.queue {
        journal.asks(&principal, &Tags::default());
        let who = Who::new(&principal, None, request, bounds, u64::MAX);
        match Box::pin(queue::until_uncrowded(shard, down.gone, journal, who, crowded())).await {
            Ok(()) => {}
            Err(NoRoom::Gone) => return Ending::Gone,
            Err(NoRoom::Fault(fault)) => return fault.into(),
        }
    }
    let tags = match Tags::new(&principal.access.tags, request.field(tags::HEADER)) {
        Ok(tags) => tags,
        Err(fault) => {
            journal.asks(&principal, &Tags::default());
            return fault.into();
        }
    };
    journal.asks(&principal, &tags);
    match door.operation {
        Operation::Models => return local::models(down, journal, &snapshot, &principal, request, door).await,
        Operation::Key => return local::key(down, journal, &principal, request).await,
        _ => {}
    }
    if request.upload.is_some() {
        // Until the body is read to its end, nothing can follow it.
        down.keep_alive = false;
    }
    let body = match request.field("content-encoding") {
        None => Cow::Borrowed(request.body),
        Some(_) if door.operation == Operation::Passthrough => Cow::Borrowed(request.body),
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
    let mut again = |journal: &mut Journal| admit(shard, journal, pipeline, &snapshot, &asked, tags, door, request, &body);
    let of_key = principal.quotas.list(journal.at(journal.begun_ns()).now);
    let mut planned = match shard.waited_for(of_key.iter()).filter(|_| snapshot.queue.is_some()) {
        Some(quota) => Err(journal.behind(quota, shard.rt.now_ns())),
        None => again(journal),
    };
    while planned.is_err() && Box::pin(shard.asked(&journal.bill)).await {
        planned = again(journal);
    }
    let tight = if planned.is_err() { journal.tight() } else { None };
    planned = match (planned, snapshot.queue, tight) {
        (Err(fault), Some(bounds), Some(tight)) => {
            let who = Who::new(&principal, None, request, bounds, u64::MAX);
            match Box::pin(queue::until_room(shard, down.gone, journal, who, (fault, tight), again)).await {
                Ok(plan) => Ok(plan),
                Err(NoRoom::Gone) => return Ending::Gone,
                Err(NoRoom::Fault(fault)) => Err(fault),
            }
        }
        (planned, ..) => planned,
    };
    match planned {
        Ok(plan) if audited::is_asked(&snapshot, &principal, &plan) => match Box::pin(audited::begin(down, journal, request)).await {
            Ok(()) => deliver::deliver(down, journal, &snapshot, &principal, request, door, &asked, &body, &plan).await,
            Err(fault) => fault.into(),
        },
        Ok(plan) => deliver::deliver(down, journal, &snapshot, &principal, request, door, &asked, &body, &plan).await,
        Err(fault) => fault.into(),
    }
}

/// The gateway's own bound.
fn crowded() -> Fault {
    let message = "the gateway has as many requests under way as it takes; try again, or raise --max-in-flight";
    Fault::new(Kind::Overloaded, message)
}

/// Who asks, may they, and where it goes.
#[allow(clippy::too_many_arguments)]
fn admit<R: Rt>(
    shard: &Shard<R>,
    journal: &mut Journal,
    pipeline: &mut Pipeline,
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    tags: Tags<'_>,
    door: &Door<'_>,
    request: &Request<'_>,
    body: &[u8],
) -> Result<Plan, Fault> {
    let principal = pipeline.principal.clone();
    let at = journal.at(journal.begun_ns());
    // Of a form or a file the bytes are no tokens.
    let body_bytes = body.len() + request.upload.and_then(|upload| upload.len).unwrap_or(0) as usize;
    let names = Names { path: door.upstream_path, body };
    let body = if asked.is_json() { body } else { &[] };
    let said = Said { request, body, principal: &principal, tags, now: at.now, unread: asked.unread, needs: Default::default() };
    let mut facts = Facts {
        operation: door.operation,
        dialect: door.dialect,
        model: &asked.model,
        fallbacks: &asked.fallbacks,
        key: None,
        mode: asked.mode,
        body_bytes: if asked.is_json() { body_bytes } else { 0 },
        max_tokens: asked.peek.max_tokens,
        choices: asked.peek.n.unwrap_or(1),
        client: journal.record.client,
        tags,
        says: &said,
    };
    // What stands in was decided before it had to wait: the model that the budget does not pay is not asked after all.
    let instead = journal.bill.downgraded().cloned();
    if let Some(name) = &instead {
        (facts.model, facts.fallbacks) = (name, &[]);
    }
    let draw = &mut || shard.rt.random();
    let mut plan = planned(journal, snapshot, door, &facts, body_bytes, names, &principal, at, draw)?;
    if let Admitted::Instead(name) = pipeline.admit(snapshot, &facts, &plan, &mut journal.bill, at)? {
        // A budget is used up and names who stands in. It is not asked a second time.
        (facts.model, facts.fallbacks) = (&name, &[]);
        plan = planned(journal, snapshot, door, &facts, body_bytes, names, &principal, at, draw)?;
        journal.record.downgraded = Some(Box::new(name.clone()));
        pipeline.admit(snapshot, &facts, &plan, &mut journal.bill, at)?;
    }
    journal.admitted(shard.rt.now_ns());
    if let (Some(upload), Some(bytes_max)) = (request.upload, plan.rules.body_bytes_max) {
        // Its length may not be known yet.
        upload.limit(bytes_max as u64);
    }
    Ok(plan)
}

/// The plan of what the key may reach, where its route takes a body of this size.
#[allow(clippy::too_many_arguments)]
fn planned(
    journal: &mut Journal,
    snapshot: &Snapshot,
    door: &Door<'_>,
    facts: &Facts<'_>,
    len: usize,
    names: Names<'_>,
    principal: &Principal,
    at: quota::At,
    draw: &mut dyn FnMut() -> u64,
) -> Result<Plan, Fault> {
    let mut plan = match door.provider {
        Some(provider) => plan::passthrough(snapshot, provider, facts)?,
        None => plan::plan_or_refused(snapshot, facts, at.now, draw).map_err(|refused| {
            journal.record.trail.append(&refused.trail);
            refused.fault
        })?,
    };
    stored::keep_maker(&mut plan, snapshot, door, principal, names)?;
    journal.record.route = plan.route.clone();
    let trail = &mut journal.record.trail;
    trail.append(&plan.trail);
    if let Some(bytes_max) = plan.rules.body_bytes_max.filter(|bytes_max| len > *bytes_max) {
        let message = format!("the body has {len} bytes, this route takes {bytes_max}; send less or raise its body_bytes_max");
        return Err(Fault::new(Kind::RequestTooLarge, message));
    }
    plan::permit(&mut plan, snapshot, principal, &mut |step, _| {
        trail.pass_over(Subject::Target(step.target.clone()), Why::NotPermitted);
    })?;
    Ok(plan)
}

/// Ends the exchange: the stages settle, and the record is ready to leave. In place: a record is large, and each move copies it.
fn settle<R: Rt>(down: &mut Downstream<'_, R>, journal: &mut Journal, pipeline: Option<Pipeline>, ending: &Ending) {
    let shard = down.shard;
    let gone;
    let fault = match ending {
        Ending::Answered => None,
        Ending::Refused(fault) | Ending::Told(fault) | Ending::Broken(fault) => Some(fault),
        Ending::Gone => {
            gone = Fault::new(Kind::ClientGone, "the client left");
            Some(&gone)
        }
    };
    // Nothing is waited for behind the attempt that answered.
    let ended_ns = journal.ended_ns().filter(|_| matches!(ending, Ending::Answered));
    let now_ns = ended_ns.unwrap_or_else(|| shard.rt.now_ns());
    let at = journal.at(now_ns);
    journal.end(fault, down.written_bytes, now_ns);
    if let Some(pipeline) = pipeline {
        pipeline.settle(&mut journal.record, &mut journal.bill, at);
        if !journal.record.charges.is_empty() {
            let charges: SmallVec<[Charge; quota::ROWS_INLINE]> = journal.record.budget_charges().collect();
            shard.append(&charges);
        }
    }
    shard.counters.downstream_written_bytes.fetch_add(down.written_bytes, Ordering::Relaxed);
    shard.counters.downstream_read_bytes.fetch_add(journal.record.request_bytes, Ordering::Relaxed);
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
struct Running<'a, R: Rt>(&'a Shard<R>);

impl<'a, R: Rt> Running<'a, R> {
    fn begin(shard: &'a Shard<R>) -> Running<'a, R> {
        shard.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        Running(shard)
    }
}

impl<R: Rt> Drop for Running<'_, R> {
    fn drop(&mut self) {
        self.0.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.made_room();
    }
}

/// The virtual key, from the first place that holds one.
pub(crate) fn key<'a>(request: &Request<'a>) -> Option<&'a str> {
    let bearer = request.field("authorization").and_then(|value| {
        let (scheme, key) = value.split_at_checked("bearer ".len())?;
        scheme.eq_ignore_ascii_case("bearer ").then(|| key.trim_ascii())
    });
    // Of a request that is signed, the key's id.
    let signed = || {
        let parameters = request.field("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let scope = parameters.split(',').find_map(|parameter| parameter.trim().strip_prefix("Credential="))?;
        scope.split('/').next()
    };
    bearer
        .or_else(signed)
        .or_else(|| request.field("x-api-key"))
        .or_else(|| request.field("api-key"))
        .or_else(|| request.field("x-goog-api-key"))
        .or_else(|| request.query()?.split('&').find_map(|pair| pair.strip_prefix("key=")))
        .or_else(|| realtime::key_of(request.field(realtime::PROTOCOL_FIELD)?))
}

fn no_door(path: &str) -> Fault {
    let shown: String = path.chars().filter(|character| !character.is_control()).take(200).collect();
    Fault::new(
        Kind::NotFound,
        format!("no such path: {shown}; the paths are those of the provider APIs, such as /v1/chat/completions or /v1/messages"),
    )
}
