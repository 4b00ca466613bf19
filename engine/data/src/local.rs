//! Answers that the gateway gives by itself: probes, the list of models, the echo, a count of tokens.

use ringway_adapters::dialect::models::{self, Model};
use ringway_adapters::dialect::{Client, DialectId};
use ringway_adapters::door::{self, Door};
use ringway_adapters::echo;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::{Gravity, Loss};
use ringway_adapters::tokens;
use ringway_policy::key::Principal;
use ringway_policy::key_state::{self, Counted, Rule};
use ringway_policy::plan::{self, Listed};
use ringway_policy::quota;
use ringway_policy::snapshot::Snapshot;

use crate::answer;
use crate::downstream::Downstream;
use crate::events::Events;
use crate::exchange::Ending;
use crate::held::{self, Target};
use crate::http1::write;
use crate::journal::{Journal, hex};
use crate::relay::Delivered;
use crate::request::Request;
use crate::rt::Rt;

pub(crate) fn is_probe(path: &str) -> bool {
    path == "/livez" || path == "/readyz"
}

/// `/livez` is 200 while the process serves; `/readyz` turns 503 before the drain begins.
pub(crate) async fn probe<R: Rt>(down: &mut Downstream<'_, R>, path: &str) -> Ending {
    let ready = path == "/livez" || down.shard.is_ready();
    let (status, body) = if ready { (200, &b"ok\n"[..]) } else { (503, &b"draining\n"[..]) };
    let mut head = down.shard.buffers.rent();
    write::status_line(&mut head, status);
    write::field(&mut head, "content-type", b"text/plain");
    let written = down.answer(&mut head, body).await;
    down.shard.buffers.give(head);
    written.into()
}

/// How long a browser remembers what it was told.
const PREFLIGHT_S: &[u8] = b"600";
/// Longest list of fields that a browser asks for.
const ASKED_FIELDS_MAX: usize = 2048;

/// A browser's question before a request of a listed site: no key comes with it, and policy does not see it. `None` where it is
/// no such question, or the site is not listed: then it is a request like any other.
pub(crate) async fn preflight<R: Rt>(down: &mut Downstream<'_, R>, request: &Request<'_>) -> Option<Ending> {
    request.field("access-control-request-method")?;
    let snapshot = down.shard.snapshot();
    let site = snapshot.cors.as_ref()?.listed(request.field("origin"))?;
    let mut head = down.shard.buffers.rent();
    write::status_line(&mut head, 200);
    answer::cors_fields(&mut head, site);
    write::field(&mut head, "access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE");
    if let Some(fields) = request.field("access-control-request-headers").filter(|fields| fields.len() <= ASKED_FIELDS_MAX) {
        write::field(&mut head, "access-control-allow-headers", fields.as_bytes());
    }
    write::field(&mut head, "access-control-max-age", PREFLIGHT_S);
    let written = down.answer(&mut head, b"").await;
    down.shard.buffers.give(head);
    Some(written.into())
}

/// `GET /v1/models` and `/v1/models/ID`: what this key may call.
pub(crate) async fn models<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    snapshot: &Snapshot,
    principal: &Principal,
    request: &Request<'_>,
    door: &Door<'_>,
) -> Ending {
    if !matches!(request.head.method, http::Method::GET | http::Method::HEAD) {
        return Fault::new(Kind::NotFound, "models are listed with GET").into();
    }
    let list = plan::list(snapshot, principal);
    let mut body = Vec::new();
    let found = match door.id {
        None => {
            models::list(door.dialect, list.iter().map(|listed| model(listed, snapshot, door.dialect)), &mut body);
            Ok(())
        }
        Some(id) => door::decode(id).and_then(|id| match list.iter().find(|listed| *listed.id == *id) {
            Some(listed) => {
                models::one(door.dialect, model(listed, snapshot, door.dialect), &mut body);
                Ok(())
            }
            None => Err(Fault::new(Kind::ModelNotFound, format!("model {id:?} is not known; known models: GET /v1/models"))),
        }),
    };
    match found {
        Ok(()) => answer::whole(down, journal, 200, "application/json", &body).await.into(),
        Err(fault) => fault.into(),
    }
}

/// `GET /v1/key`: what the key may do, and what is left of its limits and budgets.
pub(crate) async fn key<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    principal: &Principal,
    request: &Request<'_>,
) -> Ending {
    if !matches!(request.head.method, http::Method::GET | http::Method::HEAD) {
        return Fault::new(Kind::NotFound, "a key's state is read with GET").into();
    }
    let now = journal.at(down.shard.rt.now_ns()).now;
    let counted: Vec<Counted<'_>> = quota::standings(principal, now)
        .map(|(quota, standing)| {
            let rule = match &quota.rule {
                quota::Rule::Limit(limit) => Rule::Limit(limit),
                quota::Rule::Budget(budget) => Rule::Budget(budget),
            };
            Counted { of: quota.kind, rule, standing }
        })
        .collect();
    let mut body = Vec::new();
    key_state::write(principal, now.unix_ms, &counted, &mut body);
    answer::whole(down, journal, 200, "application/json", &body).await.into()
}

/// Limits are looked up only for a dialect that tells them: the catalog is large.
fn model<'l>(listed: &'l Listed, snapshot: &Snapshot, dialect: DialectId) -> Model<'l> {
    let facts = || {
        let (provider, model) = listed.id.split_once('/').filter(|(provider, _)| *provider == &*listed.owner)?;
        snapshot.facts(snapshot.provider_index(provider)?, model)
    };
    let facts = if models::tells_limits(dialect) { facts() } else { None };
    Model {
        id: &listed.id,
        provider: &listed.owner,
        context_tokens_max: facts.as_ref().and_then(|facts| facts.context_tokens_max),
        output_tokens_max: facts.as_ref().and_then(|facts| facts.output_tokens_max),
    }
}

/// The built-in echo: decodes the request in the client's dialect and answers in it.
pub(crate) async fn echo<R: Rt>(
    down: &mut Downstream<'_, R>,
    journal: &mut Journal,
    dialect: DialectId,
    body: &[u8],
    client: Client<'static>,
    events: &mut Option<Events>,
) -> Delivered {
    let mut scratch = body.to_vec();
    let chat = match (dialect.row().decode_request)(&mut scratch) {
        Ok(chat) => chat,
        Err(fault) => return Delivered::Failed(fault),
    };
    let id = hex(journal.record.id);
    let id = std::str::from_utf8(&id).unwrap_or_default();
    let answer = echo::answer(&chat, id, client.now_unix);
    let target = Target::for_client(dialect.row(), client, events);
    held::write_events(down, journal, body, answer, target).await
}

/// A count of tokens where the target has no operation for it: by another vendor's vocabulary, which the answer's
/// `x-ringway-losses` tells.
pub(crate) async fn count_tokens<R: Rt>(down: &mut Downstream<'_, R>, journal: &mut Journal, dialect: DialectId, body: &[u8]) -> Delivered {
    let name = dialect.row().counted_tokens;
    journal.losses.push(Loss { field: name.into(), gravity: Gravity::Tuning });
    let body = format!("{{\"{name}\":{}}}", tokens::count_request(body));
    let written = answer::whole(down, journal, 200, "application/json", body.as_bytes()).await;
    written.map_or_else(Delivered::from, |()| Delivered::Done)
}
