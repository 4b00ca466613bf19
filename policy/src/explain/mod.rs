//! A request that is not sent: which key, route, conditions, targets, limits and costs it would meet.
//!
//! The answer is one JSON value, so that people (`text`) and machines read the same.

use std::borrow::Cow;

use ringway_adapters::door;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;
use ringway_adapters::json::peek;
use ringway_adapters::needs::{Has, Needs, needs};
use serde_json::{Value, json};

use crate::condition::{Condition, Verdict};
use crate::cost::Tariff;
use crate::facts::{CREDENTIALS, Facts, Says};
use crate::key::Principal;
use crate::lease::Now;
use crate::pipeline;
use crate::plan::{self, Plan};
use crate::priority;
use crate::quota;
use crate::record::{Subject, Trail, Why, write_trail};
use crate::snapshot::Snapshot;
use crate::tags::{self, Tags};

pub use text::text;

mod text;

/// The request to explain.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// `/v1/chat/completions`
    pub path: String,
    pub body: Vec<u8>,
    /// The virtual key's name.
    pub key: Option<String>,
    pub headers: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    /// Unix seconds at which it is asked.
    pub unix_s: u64,
}

/// The question as conditions see it.
struct Said<'q> {
    question: &'q Question,
    principal: &'q Principal,
    tags: Tags<'q>,
    needs: Needs<'q>,
}

impl std::fmt::Debug for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").finish_non_exhaustive()
    }
}

impl Says for Said<'_> {
    fn user(&self) -> Option<Cow<'_, str>> {
        self.needs.user.as_deref().map(Cow::Borrowed)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let is_credential = CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known));
        let mut fields = self.question.headers.iter().filter(|_| !is_credential);
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.get(name)
    }

    fn key(&self) -> Option<&str> {
        Some(&self.principal.key)
    }

    fn team(&self) -> Option<&str> {
        self.principal.team.as_deref()
    }

    fn customer(&self) -> Option<&str> {
        self.principal.customer.as_deref()
    }

    fn each_header(&self, each: &mut dyn FnMut(&str, &str)) {
        for (name, value) in &self.question.headers {
            if !CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                each(&name.to_ascii_lowercase(), value);
            }
        }
    }

    fn each_tag(&self, each: &mut dyn FnMut(&str, &str)) {
        self.tags.iter().for_each(|(name, value)| each(name, value));
    }

    fn has(&self) -> Has {
        self.needs.has
    }

    fn media_bytes(&self) -> usize {
        self.needs.media_bytes
    }

    fn budget_share(&self) -> f64 {
        quota::budget_share(self.principal, now(self.question))
    }

    fn unix_s(&self) -> u64 {
        self.question.unix_s
    }
}

/// Explains a request. A refusal that the gateway would answer is part of the explanation (`refused`).
///
/// # Errors
/// Where there is nothing to explain: a path without a door, a body that is no request, an unknown key.
pub fn explain(snapshot: &Snapshot, question: &Question) -> Result<Value, Fault> {
    let has = |wanted: &str| question.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let no_door = || Fault::new(Kind::NotFound, format!("no such path: {}; write --path /v1/chat/completions", question.path));
    let door = door::find(&question.path, &has).ok_or_else(no_door)?;
    let principal = principal(snapshot, question.key.as_deref())?;
    let found = peek::peek(&question.body)?;
    let no_model = || Fault::new(Kind::InvalidRequest, "the request names no model");
    let model = peek::string(&question.body, found.model.clone().ok_or_else(no_model)?)?;
    let fallbacks = peek::fallbacks(&question.body, &found)?;
    let sent = sent_tags(question);
    let tags = Tags::new(&principal.access.tags, Some(&sent))?;
    let said = Said { question, principal: &principal, tags, needs: needs(&question.body) };
    let facts = Facts {
        operation: door.operation,
        dialect: door.dialect,
        model: &model,
        fallbacks: &fallbacks,
        key: None,
        mode: if found.is_stream { Mode::Stream } else { Mode::Whole },
        body_bytes: question.body.len(),
        max_tokens: found.max_tokens,
        choices: found.n.unwrap_or(1),
        client: None,
        tags,
        says: &said,
    };
    let names: Vec<&str> = Has::NAMES.iter().filter(|(_, one)| said.needs.has.contains(*one)).map(|(name, _)| *name).collect();
    let mut out = json!({
        "request": {
            "model": model,
            "operation": door.operation.name(),
            "dialect": door.dialect.row().name,
            "stream": found.is_stream,
            "tokens": facts.input_tokens(),
            "max_tokens": found.max_tokens,
            "has": names,
        },
        "key": {"name": &*principal.key, "team": principal.team.as_deref(), "customer": principal.customer.as_deref()},
        "conditions": conditions(snapshot, &facts),
        "bounds": bounds(snapshot, &principal, &tags, now(question)),
    });
    // The draw is the lowest one, so the first of the weighted targets stands first.
    match plan::plan_or_refused(snapshot, &facts, now(question), &mut || 0) {
        Ok(mut plan) => {
            let mut trail = std::mem::take(&mut plan.trail);
            let permitted = plan::permit(&mut plan, snapshot, &principal, &mut |step, _| {
                trail.pass_over(Subject::Target(step.target.clone()), Why::NotPermitted);
            });
            out["route"] = json!(plan.route.as_deref());
            out["targets"] = targets(snapshot, &facts, &plan, question.unix_s);
            out["passed_over"] = passed_over(&trail);
            out["strategy"] = json!(trail.strategy);
            if snapshot.queue.is_some() {
                let wish = said.header(priority::HEADER);
                let class = principal.access.priority.or(plan.rules.priority).unwrap_or_default();
                out["priority"] = json!(class.lowered(priority::wish(wish)).name());
            }
            if let Err(fault) = permitted.and_then(|()| pipeline::check_key(&principal, snapshot, &facts, &plan)) {
                out["refused"] = refused(&fault);
            }
        }
        Err(no_plan) => {
            out["passed_over"] = passed_over(&no_plan.trail);
            out["refused"] = refused(&no_plan.fault);
        }
    }
    Ok(out)
}

fn passed_over(trail: &Trail) -> Value {
    let mut entries = Vec::new();
    write_trail(trail, &mut entries);
    serde_json::from_slice(&entries).unwrap_or_default()
}

fn refused(fault: &Fault) -> Value {
    json!({"status": fault.status(), "code": fault.kind.code(), "message": fault.message})
}

fn principal(snapshot: &Snapshot, name: Option<&str>) -> Result<std::sync::Arc<Principal>, Fault> {
    match name {
        Some(name) => snapshot.keys.named(name).cloned().ok_or_else(|| {
            Fault::new(Kind::InvalidKey, format!("the virtual key {name:?} is not in the file; --key takes its name, not the key itself"))
        }),
        None if snapshot.keys.is_empty() => Ok(snapshot.anonymous.clone()),
        None => Err(Fault::new(Kind::InvalidKey, "virtual keys are configured; name one with --key NAME")),
    }
}

/// The conditions of the asked route, with what they read and say.
fn conditions(snapshot: &Snapshot, facts: &Facts<'_>) -> Value {
    let show = |on: String, condition: &Condition| {
        let verdict = match condition.judge(facts) {
            Verdict::True => "true",
            Verdict::False => "false",
            Verdict::Undecided(_) => "undecided, so false",
        };
        let values: serde_json::Map<String, Value> =
            condition.values(facts).into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        json!({"on": on, "when": condition.source(), "is": verdict, "values": values, "interpreted": condition.is_interpreted()})
    };
    let fits = |name: &str| crate::pattern::Pattern::new(name).matches(facts.model);
    let mut out = Vec::new();
    for route in snapshot.routes.iter().filter(|route| fits(&route.name)) {
        out.extend(route.when.as_ref().map(|when| show(format!("route {}", route.name), when)));
        for candidate in route.targets.iter().chain(&route.fallbacks) {
            let name = || format!("{}/{}", snapshot.providers[candidate.provider].name, candidate.model);
            out.extend(candidate.when.as_ref().map(|when| show(name(), when)));
        }
    }
    Value::Array(out)
}

/// The targets in the order in which they would be tried, each with the most that it could cost.
fn targets(snapshot: &Snapshot, facts: &Facts<'_>, plan: &Plan, unix_s: u64) -> Value {
    let one = |step: &plan::Step| {
        let upstream = &snapshot.providers[step.provider];
        let known = &step.facts;
        let output = facts.max_tokens.or(known.as_ref().and_then(|known| known.output_tokens_max));
        let cost = match known.as_ref().and_then(|known| known.rates.as_ref()).zip(output) {
            Some((rates, output)) => match rates.bound(facts.body_bytes as u64, output, Tariff::default(), unix_s) {
                Ok(most) => json!(most.to_string()),
                Err(missing) => json!({"unknown": format!("the rate {} is not known", missing.rate)}),
            },
            None => json!({"unknown": "no rates, or no bound of the output, are known"}),
        };
        json!({
            "target": &*step.target.id,
            "url": format!("{}{}{}", upstream.endpoint.authority, upstream.endpoint.prefix, step.path),
            "dialect": step.dialect.row().name,
            "credentials": upstream.credentials.iter().map(|credential| &*credential.name).collect::<Vec<_>>(),
            "context": known.as_ref().and_then(|known| known.context_tokens_max),
            "usd_at_most": cost,
        })
    };
    plan.steps.iter().map(one).collect()
}

/// Every limit and budget of the key, its team and customer, everyone and the tags that would be asked.
fn bounds(snapshot: &Snapshot, principal: &Principal, tags: &Tags<'_>, now: Now) -> Value {
    let own = principal.quotas.look(now);
    let all = own.iter().chain(snapshot.quotas.by_tag.of(tags));
    let one = |quota: &std::sync::Arc<quota::Quota>| json!({"of": &*quota.owner, "bound": &*quota.allows, "shadow": quota.shadow});
    all.map(one).collect()
}

/// As the header would send them.
fn sent_tags(question: &Question) -> String {
    let header = question.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(tags::HEADER)).map(|(_, value)| value.clone());
    let pairs = question.tags.iter().map(|(name, value)| format!("{name}={value}"));
    header.chain(pairs).collect::<Vec<_>>().join(",")
}

fn now(question: &Question) -> Now {
    Now { mono_ns: 0, unix_ms: question.unix_s.saturating_mul(1_000) }
}

#[cfg(test)]
mod tests;
