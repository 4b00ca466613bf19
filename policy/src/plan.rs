//! The plan: ordered targets, and the rules under which they are tried.
//!
//! Estimate (counted in tests/allocations.rs): one allocation for the steps, and one more for the name of a model
//! that is in no route and no `models` list; everything else is a reference count or stays on the stack.

use std::sync::Arc;
use std::time::Duration;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::operation::Operation;
use schemars::JsonSchema;

use crate::facts::Facts;
use crate::key::Principal;
use crate::near::suggestion;
use crate::snapshot::{Candidate, Route, Snapshot, TargetId};
pub(crate) use resolve::{Named, cut};

mod resolve;

/// Ordered targets of one exchange. At most `TARGETS_MAX`.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub rules: Arc<Rules>,
    /// The route's name, where one matched.
    pub route: Option<Arc<str>>,
}

/// One target of a plan: provider + model + the dialect to speak with it. The credential is drawn at each attempt.
#[derive(Clone, Debug)]
pub struct Step {
    /// Breaker and retry budget; stable across snapshots by id.
    pub target: Arc<TargetId>,
    /// Index into `Snapshot::providers`.
    pub provider: usize,
    /// The model's name at the provider.
    pub model: Arc<str>,
    /// The dialect in which the provider serves the operation; the client's own where the provider has it.
    pub dialect: DialectId,
    /// Path below the provider's base URL.
    pub path: Arc<str>,
    /// Credentials that the provider has; one that is refused leaves so many others to try.
    pub credential_count: u32,
}

/// Rules of a route (or the defaults, where no route matched).
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Further tries on the same target.
    pub retries: u32,
    pub connect: Duration,
    pub first_byte: Duration,
    pub idle: Duration,
    pub total: Duration,
    pub rescue: Rescue,
    /// Losses of meaning are refused (default) or let through.
    pub losses: Losses,
    pub body_bytes_max: Option<usize>,
    pub breaker: crate::breaker::Settings,
    /// What the next target is taken for.
    pub on: Triggers,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            retries: 2,
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
            rescue: Rescue::Off,
            losses: Losses::Refuse,
            body_bytes_max: None,
            breaker: crate::breaker::Settings::default(),
            on: Triggers::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Rescue {
    #[default]
    Off,
    /// The request is sent anew; what the client already holds is suppressed.
    Restart,
    /// The text so far goes along as a prefill.
    Resume,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Losses {
    /// Losses of meaning are a 400, losses of tuning are warned of.
    #[default]
    Refuse,
    /// All are warned of.
    Warn,
}

/// What the next target may be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    Error,
    Timeout,
    RateLimit,
    ContextLength,
    ContentFilter,
}

impl Trigger {
    /// The words of `on:`.
    pub const WORDS: &[(&str, Trigger)] = &[
        ("error", Trigger::Error),
        ("timeout", Trigger::Timeout),
        ("rate_limit", Trigger::RateLimit),
        ("context_length", Trigger::ContextLength),
        ("content_filter", Trigger::ContentFilter),
    ];
}

/// A set of triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggers(u8);

impl Triggers {
    pub fn contains(self, trigger: Trigger) -> bool {
        self.0 & (1 << trigger as u8) != 0
    }
}

impl FromIterator<Trigger> for Triggers {
    fn from_iter<I: IntoIterator<Item = Trigger>>(triggers: I) -> Triggers {
        Triggers(triggers.into_iter().fold(0, |set, trigger| set | 1 << trigger as u8))
    }
}

impl Default for Triggers {
    /// All but the content filter: what one provider's filter refuses is not asked of another unless the route says so.
    fn default() -> Triggers {
        [Trigger::Error, Trigger::Timeout, Trigger::RateLimit, Trigger::ContextLength].into_iter().collect()
    }
}

/// Most targets that one plan holds.
pub const TARGETS_MAX: usize = 16;

/// Resolves the asked model and orders its targets: exact route, `provider/model`, most literal pattern, bare name.
/// Weighted targets are drawn without replacement with `rng` (uniform 64-bit draws), then come the route's fallbacks, then
/// the request's own.
///
/// # Errors
/// `Kind::ModelNotFound`, with the nearest known names; `Kind::InvalidRequest` where the provider has no such operation.
pub fn plan(snapshot: &Snapshot, facts: &Facts<'_>, rng: &mut dyn FnMut() -> u64) -> Result<Plan, Fault> {
    let mut draft = Draft { snapshot, facts, plan: Plan { steps: Vec::with_capacity(2), rules: snapshot.rules.clone(), route: None } };
    if facts.model.is_empty() {
        draft.push_by_operation();
    } else {
        match snapshot.resolve(facts.model) {
            Ok(Named::Route(route, captured)) => {
                draft.plan.rules = route.rules.clone();
                draft.plan.route = Some(route.name.clone());
                draft.push_route(route, captured, rng);
            }
            Ok(Named::Model(provider, model)) => draft.push_model(provider, model),
            Err(unknown) => return Err(unknown.fault(snapshot, facts.model)),
        }
    }
    for fallback in facts.fallbacks.iter().take(TARGETS_MAX) {
        match snapshot.resolve(fallback) {
            Ok(Named::Route(route, captured)) => draft.push_route(route, captured, rng),
            Ok(Named::Model(provider, model)) => draft.push_model(provider, model),
            Err(unknown) => {
                let mut fault = unknown.fault(snapshot, fallback);
                fault.param = Some("fallbacks".into());
                return Err(fault);
            }
        }
    }
    if draft.plan.steps.is_empty() { Err(not_served(facts)) } else { Ok(draft.plan) }
}

/// The plan of `/passthrough/PROVIDER/…`: one target, the client's dialect.
///
/// # Errors
/// `Kind::NotFound` where no such provider is configured.
pub fn passthrough(snapshot: &Snapshot, provider: &str, dialect: DialectId) -> Result<Plan, Fault> {
    let Some(index) = snapshot.provider_index(provider).filter(|&index| !snapshot.providers[index].builtin) else {
        let near = suggestion(provider, snapshot.providers.iter().map(|upstream| &*upstream.name));
        return Err(Fault::new(Kind::NotFound, format!("provider {:?} is not configured{near}", cut(provider))));
    };
    let upstream = &snapshot.providers[index];
    let step = Step {
        target: snapshot.target(index, ""),
        provider: index,
        model: Arc::from(""),
        dialect,
        path: Arc::from(""),
        credential_count: upstream.credentials.len() as u32,
    };
    Ok(Plan { steps: vec![step], rules: snapshot.rules.clone(), route: None })
}

/// One model that a key may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What to write as `model`.
    pub id: Arc<str>,
    /// Who serves it: a provider's name, or `ringway` for a route.
    pub owner: Arc<str>,
}

/// What `GET /v1/models` answers this principal: exact routes, listed models as `provider/model`, and the built-in one.
/// Patterns are no models and are left out.
pub fn list(snapshot: &Snapshot, principal: &Principal) -> Vec<Listed> {
    let owner = snapshot.builtin_name();
    let routes =
        snapshot.routes.iter().filter(|route| !route.is_pattern()).map(|route| Listed { id: route.name.clone(), owner: owner.clone() });
    let models = snapshot.providers.iter().flat_map(|upstream| {
        upstream.models.iter().map(|model| Listed { id: format!("{}/{model}", upstream.name).into(), owner: upstream.name.clone() })
    });
    routes.chain(models).filter(|listed| principal.allows(&listed.id)).collect()
}

/// A plan being made.
struct Draft<'s, 'f> {
    snapshot: &'s Snapshot,
    facts: &'f Facts<'f>,
    plan: Plan,
}

impl Draft<'_, '_> {
    /// Draws the weighted targets without replacement, then adds the fallbacks in order.
    fn push_route(&mut self, route: &Route, captured: &str, rng: &mut dyn FnMut() -> u64) {
        let mut taken = [false; TARGETS_MAX];
        let targets = &route.targets[..route.targets.len().min(TARGETS_MAX)];
        for _ in 0..targets.len() {
            let weights = targets.iter().zip(&taken).map(|(target, taken)| if *taken { None } else { Some(target.weight) });
            let Some(index) = draw(weights, rng) else { break };
            taken[index] = true;
            self.push_candidate(&targets[index], captured);
        }
        for fallback in &route.fallbacks {
            self.push_candidate(fallback, captured);
        }
    }

    fn push_candidate(&mut self, candidate: &Candidate, captured: &str) {
        match &candidate.target {
            Some(target) => self.push(candidate.provider, candidate.model.clone(), Some(target.clone())),
            None => self.push(candidate.provider, candidate.model.replacen('*', captured, 1).into(), None),
        }
    }

    fn push_model(&mut self, provider: usize, model: &str) {
        let upstream = &self.snapshot.providers[provider];
        match upstream.models.iter().find(|listed| ***listed == *model) {
            Some(listed) => self.push(provider, listed.clone(), None),
            None => self.push(provider, model.into(), None),
        }
    }

    /// A request that names no model goes to the first provider that serves its operation, in its own dialect if one does.
    fn push_by_operation(&mut self) {
        let serving = |own_dialect: bool| {
            self.snapshot.providers.iter().position(|upstream| {
                let served = upstream.served(self.facts.operation, self.facts.dialect);
                !upstream.builtin && served.is_some_and(|served| !own_dialect || served.dialect == self.facts.dialect)
            })
        };
        if let Some(index) = serving(true).or_else(|| serving(false)) {
            self.push(index, Arc::from(""), None);
        }
    }

    /// Adds a target unless the plan is full, has it already, or its provider has no such operation.
    fn push(&mut self, provider: usize, model: Arc<str>, target: Option<Arc<TargetId>>) {
        let twice = self.plan.steps.iter().any(|step| step.provider == provider && step.model == model);
        if twice || self.plan.steps.len() >= TARGETS_MAX {
            return;
        }
        let upstream = &self.snapshot.providers[provider];
        let Some(served) = upstream.served(self.facts.operation, self.facts.dialect) else { return };
        let path = upstream.path(served, &model);
        self.plan.steps.push(Step {
            target: target.unwrap_or_else(|| self.snapshot.target(provider, &model)),
            provider,
            model,
            dialect: served.dialect,
            path,
            credential_count: upstream.credentials.len() as u32,
        });
    }
}

/// Draws an index by weight among those that are `Some`. A weight of 0 is drawn when nothing else is left, in order.
pub(crate) fn draw(weights: impl Iterator<Item = Option<u32>> + Clone, rng: &mut dyn FnMut() -> u64) -> Option<usize> {
    let total: u64 = weights.clone().flatten().map(u64::from).sum();
    if total == 0 {
        return weights.into_iter().position(|weight| weight.is_some());
    }
    // The multiply-shift keeps the draw uniform to within 2⁻³² for any sum of weights.
    let mut point = ((u128::from(rng()) * u128::from(total)) >> 64) as u64;
    for (index, weight) in weights.enumerate() {
        let weight = u64::from(weight.unwrap_or(0));
        if point < weight {
            return Some(index);
        }
        point -= weight;
    }
    None
}

fn not_served(facts: &Facts<'_>) -> Fault {
    let operation = facts.operation.name();
    let message = match (facts.model, facts.operation) {
        ("", Operation::Passthrough) => "a passthrough names its provider: /passthrough/PROVIDER/…".to_owned(),
        ("", _) => format!("no configured provider serves {operation}; name one as model: \"provider/model\""),
        (model, _) => format!("the provider of model {:?} does not serve {operation}; known models: GET /v1/models", cut(model)),
    };
    Fault::new(Kind::InvalidRequest, message)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
