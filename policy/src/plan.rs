//! The plan: ordered targets, and the rules under which they are tried.
//!
//! Estimate (counted in tests/allocations.rs): no allocation up to `STEPS_INLINE` targets, whatever the strategy, one beyond that,
//! and one for the name of a model that is in no route and no `models` list; everything else is a reference count or stays on the stack.

use std::sync::Arc;
use std::time::Duration;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::operation::Operation;
use ringway_adapters::shape::Shape;
use schemars::JsonSchema;
use smallvec::{SmallVec, smallvec};

use crate::breaker::Pass;
use crate::catalog::ModelFacts;
use crate::facts::Facts;
use crate::key::Principal;
use crate::lease::Now;
use crate::near::suggestion;
use crate::priority::Class;
use crate::record::Trail;
use crate::snapshot::credential::Elsewhere;
use crate::snapshot::{Candidate, Credential, Route, Snapshot, TargetId, credential};
pub use permit::permit;
pub(crate) use resolve::{Named, cut};
pub use sticky::Sticky;
use strategy::Scene;
pub use strategy::{RouteState, Strategy};

mod able;
mod permit;
mod price;
mod resolve;
mod sticky;
mod strategy;
mod taking_part;

/// Targets of a plan that cost no allocation.
pub const STEPS_INLINE: usize = 4;

/// The targets of one plan.
pub type Steps = SmallVec<[Step; STEPS_INLINE]>;

/// Ordered targets of one exchange. At most `TARGETS_MAX`.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Steps,
    pub rules: Arc<Rules>,
    /// The route's name, where one matched.
    pub route: Option<Arc<str>>,
    /// A shadow target that gets a copy of this request.
    pub mirror: Option<Box<Step>>,
    /// Where the route hedges: what it remembers of that.
    pub hedging: Option<Arc<RouteState>>,
    /// What was passed over, and why.
    pub trail: Trail,
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
    /// The form of the body there, where that is not all the dialect's.
    pub body: Option<Arc<Shape>>,
    /// Credentials that the provider has; one that is refused leaves so many others to try.
    pub credential_count: u32,
    /// What is known of the model: its context, abilities and rates.
    pub facts: Option<Arc<ModelFacts>>,
    /// Its share among the route's targets.
    pub weight: u32,
    /// What alone it is taken for, where the file says so.
    pub on: Option<Triggers>,
}

impl Plan {
    /// The first step behind `step` that is taken for `trigger`: by its own `on`, else by `others`.
    pub fn next_for(&self, step: usize, trigger: Trigger, others: Triggers) -> Option<usize> {
        let behind = self.steps.iter().enumerate().skip(step + 1);
        behind.into_iter().find(|(_, step)| step.on.unwrap_or(others).contains(trigger)).map(|(index, _)| index)
    }

    /// As `next_for`, for a target that is passed over before it was asked: the route's `on` does not hold here.
    pub fn next_beyond(&self, step: usize, trigger: Trigger) -> Option<usize> {
        self.next_for(step, trigger, Triggers::ALL)
    }

    /// Why no attempt on this step is made now, with the key's `own` credential where it has one. Asks the breaker last: a probe that it gives is made.
    pub fn unavailable(&self, snapshot: &Snapshot, step: &Step, own: Option<&Credential>, now_ns: u64) -> Option<Fault> {
        let upstream = &snapshot.providers[step.provider];
        let elsewhere = if self.steps.len() > 1 { Elsewhere::AnotherTarget } else { Elsewhere::Nowhere };
        let credentials = own.map_or(&*upstream.credentials, std::slice::from_ref);
        if let Some(fault) = credential::refusal(credentials, &upstream.name, &step.model, elsewhere, now_ns) {
            return Some(fault);
        }
        let Pass::Open { retry_in_ns } = step.target.breaker.ask(&self.rules.breaker, now_ns) else { return None };
        let message = format!("target {} is resting after failures; it is probed in {} ms", step.target.id, retry_in_ns / 1_000_000);
        let mut fault = Fault::new(Kind::UpstreamError, message);
        fault.retry_after = Some(Duration::from_nanos(retry_in_ns));
        Some(fault)
    }
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
    /// Of a realtime session, from its first byte to its last; and how long neither side may be silent in it.
    pub session: Duration,
    pub session_idle: Duration,
    pub rescue: Rescue,
    /// Losses of meaning are refused (default) or let through.
    pub losses: Losses,
    pub body_bytes_max: Option<usize>,
    pub breaker: crate::breaker::Settings,
    /// What the next target is taken for.
    pub on: Triggers,
    /// What becomes of a model without a price where a budget counts money.
    pub unpriced: Unpriced,
    /// When the next target is asked, too.
    pub hedge: Option<Hedge>,
    /// Of requests whose key has no priority.
    pub priority: Option<Class>,
    /// The audit log holds its exchanges.
    pub audited: bool,
}

/// A second request where the first byte does not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// `None`: the target's own p95, once it is known.
    pub after: Option<Duration>,
    /// Of a route's requests so many are asked twice at most.
    pub share: Share,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            retries: 2,
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
            // As long as the longest that a provider allows (platform.openai.com/docs/guides/realtime-conversations, read 2026-11-20).
            session: Duration::from_secs(3600),
            session_idle: Duration::from_secs(600),
            rescue: Rescue::Off,
            losses: Losses::Refuse,
            body_bytes_max: None,
            breaker: crate::breaker::Settings::default(),
            on: Triggers::default(),
            unpriced: Unpriced::Refuse,
            hedge: None,
            priority: None,
            audited: false,
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum Unpriced {
    /// It is not asked.
    #[default]
    Refuse,
    /// It is asked, and counts nothing.
    Allow,
}

/// What the next target may be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    Error,
    Timeout,
    RateLimit,
    ContextLength,
    ContentFilter,
    /// What may be spent on the target is spent.
    Budget,
}

impl Trigger {
    /// The words of `on:`.
    pub const WORDS: &[(&str, Trigger)] = &[
        ("error", Trigger::Error),
        ("timeout", Trigger::Timeout),
        ("rate_limit", Trigger::RateLimit),
        ("context_length", Trigger::ContextLength),
        ("content_filter", Trigger::ContentFilter),
        ("budget", Trigger::Budget),
    ];
}

/// A set of triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggers(u8);

impl Triggers {
    pub const ALL: Triggers = Triggers(u8::MAX);

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
    /// All but two: what one provider's filter refuses, and what a budget does not pay, is not asked of another unless the file
    /// says so.
    fn default() -> Triggers {
        [Trigger::Error, Trigger::Timeout, Trigger::RateLimit, Trigger::ContextLength].into_iter().collect()
    }
}

/// Most targets that one plan holds.
pub const TARGETS_MAX: usize = 16;

/// Resolves the asked model and orders its targets: exact route, `provider/model`, most literal pattern, bare name.
/// The targets stand as the route's strategy says, with `rng` (uniform 64-bit draws) for chance; then come the route's fallbacks,
/// then the request's own.
///
/// # Errors
/// `Kind::ModelNotFound`, with the nearest known names; `Kind::InvalidRequest` where the provider has no such operation.
pub fn plan(snapshot: &Snapshot, facts: &Facts<'_>, now: Now, rng: &mut dyn FnMut() -> u64) -> Result<Plan, Fault> {
    plan_or_refused(snapshot, facts, now, rng).map_err(|refused| refused.fault)
}

/// No plan, and what was passed over on the way.
#[derive(Debug)]
pub struct Refused {
    pub fault: Fault,
    pub trail: Trail,
}

/// As `plan`.
///
/// # Errors
/// As `plan`.
pub fn plan_or_refused(snapshot: &Snapshot, facts: &Facts<'_>, now: Now, rng: &mut dyn FnMut() -> u64) -> Result<Plan, Box<Refused>> {
    let (rules, trail) = (snapshot.rules.clone(), Trail::default());
    let plan = Plan { steps: Steps::new(), rules, route: None, mirror: None, hedging: None, trail };
    let mut draft = Draft { snapshot, facts, now, plan };
    match draft.fill(rng) {
        Ok(()) => Ok(draft.plan),
        Err(fault) => Err(Box::new(Refused { fault, trail: draft.plan.trail })),
    }
}

/// The plan of `/passthrough/PROVIDER/…`: one target, the client's dialect. A model that `facts` names, as `PROVIDER/MODEL`, prices it.
///
/// # Errors
/// `Kind::NotFound` where no such provider is configured.
pub fn passthrough(snapshot: &Snapshot, provider: &str, facts: &Facts<'_>) -> Result<Plan, Fault> {
    let Some(index) = snapshot.provider_index(provider).filter(|&index| !snapshot.providers[index].builtin) else {
        let near = suggestion(provider, snapshot.providers.iter().map(|upstream| &*upstream.name));
        return Err(Fault::new(Kind::NotFound, format!("provider {:?} is not configured{near}", cut(provider))));
    };
    let upstream = &snapshot.providers[index];
    let model = facts.model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or("");
    let step = Step {
        target: snapshot.target(index, model),
        provider: index,
        model: model.into(),
        dialect: facts.dialect,
        path: Arc::from(""),
        body: None,
        credential_count: upstream.credentials.len() as u32,
        facts: snapshot.facts(index, model),
        weight: 1,
        on: None,
    };
    Ok(Plan { steps: smallvec![step], rules: snapshot.rules.clone(), route: None, mirror: None, hedging: None, trail: Trail::default() })
}

/// One model that a key may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What to write as `model`.
    pub id: Arc<str>,
    /// Who serves it: a provider's name, or `ringway` for a route.
    pub owner: Arc<str>,
}

/// What `GET /v1/models` answers this principal: exact routes, aliases, listed models as `provider/model`, and the built-in one, where
/// its models allow the name and its providers anyone who serves it. Patterns are no models and are left out.
pub fn list(snapshot: &Snapshot, principal: &Principal) -> Vec<Listed> {
    let (owner, access) = (snapshot.builtin_name(), &principal.access);
    let reaches = |provider: usize| access.providers.contains(&snapshot.providers[provider].name);
    let routes = snapshot.routes.iter().filter(|route| !route.is_pattern());
    let routes = routes.filter(|route| route.targets.iter().chain(&route.fallbacks).any(|candidate| reaches(candidate.provider)));
    let routes = routes.map(|route| Listed { id: route.name.clone(), owner: owner.clone() });
    let models = snapshot.providers.iter().filter(|upstream| access.providers.contains(&upstream.name)).flat_map(|upstream| {
        upstream.models.iter().map(|model| Listed { id: format!("{}/{model}", upstream.name).into(), owner: upstream.name.clone() })
    });
    let aliases = snapshot.aliases().filter(|name| snapshot.alias(name).is_some_and(|(provider, _)| reaches(provider)));
    let mut aliases: Vec<Listed> = aliases.map(|name| Listed { id: name.clone(), owner: owner.clone() }).collect();
    aliases.sort_by(|one, other| one.id.cmp(&other.id));
    routes.chain(aliases).chain(models).filter(|listed| access.models.contains(&listed.id)).collect()
}

/// A plan being made.
struct Draft<'s, 'f> {
    snapshot: &'s Snapshot,
    facts: &'f Facts<'f>,
    now: Now,
    plan: Plan,
}

impl Draft<'_, '_> {
    fn fill(&mut self, rng: &mut dyn FnMut() -> u64) -> Result<(), Fault> {
        let (snapshot, facts) = (self.snapshot, self.facts);
        if facts.model.is_empty() {
            self.push_by_operation();
        } else {
            match self.resolve(facts.model) {
                Ok(Named::Route(route, captured)) => {
                    self.plan.rules = route.rules.clone();
                    self.plan.route = Some(route.name.clone());
                    self.plan.trail.strategy = (route.targets.len() > 1).then(|| route.strategy.name());
                    self.push_route(route, captured, rng);
                    self.mirror(route, captured, rng);
                    self.plan.hedging = route.rules.hedge.is_some().then(|| route.state.clone());
                }
                Ok(Named::Model(provider, model)) => self.push_model(provider, model),
                Err(unknown) => return Err(unknown.fault(snapshot, facts.model)),
            }
        }
        for fallback in facts.fallbacks.iter().take(TARGETS_MAX) {
            match self.resolve(fallback) {
                Ok(Named::Route(route, captured)) => self.push_route(route, captured, rng),
                Ok(Named::Model(provider, model)) => self.push_model(provider, model),
                Err(unknown) => {
                    let mut fault = unknown.fault(snapshot, fallback);
                    fault.param = Some("fallbacks".into());
                    return Err(fault);
                }
            }
        }
        if self.plan.steps.is_empty() {
            return Err(self.nothing_left());
        }
        able::keep_able(&mut self.plan, facts, |step| step.facts.clone())?;
        Ok(())
    }

    /// Adds the targets in the strategy's order, then the fallbacks in their own.
    fn push_route(&mut self, route: &Route, captured: &str, rng: &mut dyn FnMut() -> u64) {
        self.plan.steps.reserve(route.targets.len() + route.fallbacks.len() + self.facts.fallbacks.len());
        let begin = self.plan.steps.len();
        for target in &route.targets {
            self.push_candidate(target, captured);
        }
        Scene::new(self.snapshot, self.facts, self.now, route, rng).arrange(&mut self.plan.steps[begin..]);
        for fallback in &route.fallbacks {
            self.push_candidate(fallback, captured);
        }
    }

    fn push_candidate(&mut self, candidate: &Candidate, captured: &str) {
        if !self.takes_part(candidate, captured) {
            return;
        }
        let before = self.plan.steps.len();
        match &candidate.target {
            Some(target) => self.push(candidate.provider, candidate.model.clone(), Some(target.clone())),
            None => self.push(candidate.provider, candidate.model.replacen('*', captured, 1).into(), None),
        }
        if let Some(step) = self.plan.steps.get_mut(before) {
            (step.weight, step.on) = (candidate.weight, candidate.on);
        }
    }

    fn push_model(&mut self, provider: usize, model: &str) {
        let upstream = &self.snapshot.providers[provider];
        match upstream.models.iter().find(|listed| ***listed == *model) {
            Some(listed) => self.push(provider, listed.clone(), None),
            None => self.push(provider, model.into(), None),
        }
    }

    /// A request that names no model goes to the providers that serve its operation, in the order of the file: first those that do it in
    /// its own dialect, which for what is stored there are the only ones that can.
    fn push_by_operation(&mut self) {
        let (operation, dialect) = (self.facts.operation, self.facts.dialect);
        let stores = matches!(operation, Operation::Files | Operation::Batch | Operation::Passthrough);
        for own_dialect in [true, false] {
            for index in 0..self.snapshot.providers.len() {
                let upstream = &self.snapshot.providers[index];
                let served = upstream.served(operation, dialect, "").filter(|_| !upstream.builtin);
                if served.is_some_and(|served| (served.dialect == dialect) == own_dialect && (own_dialect || !stores)) {
                    self.push(index, Arc::from(""), None);
                }
                if !stores && !self.plan.steps.is_empty() {
                    return;
                }
            }
        }
    }

    /// Adds a target unless the plan is full, has it already, or its provider has no such operation.
    fn push(&mut self, provider: usize, model: Arc<str>, target: Option<Arc<TargetId>>) {
        let twice = self.plan.steps.iter().any(|step| step.provider == provider && step.model == model);
        if twice || self.plan.steps.len() >= TARGETS_MAX {
            return;
        }
        self.plan.steps.extend(self.step(provider, model, target));
    }

    /// `None` where the provider has no such operation.
    fn step(&self, provider: usize, model: Arc<str>, target: Option<Arc<TargetId>>) -> Option<Step> {
        let upstream = &self.snapshot.providers[provider];
        let served = upstream.served(self.facts.operation, self.facts.dialect, &model)?;
        let facts = self.snapshot.facts(provider, &model);
        Some(Step {
            target: target.unwrap_or_else(|| self.snapshot.target(provider, &model)),
            provider,
            path: upstream.path(served, &model, self.facts.mode),
            body: served.body.clone(),
            model,
            dialect: served.dialect,
            credential_count: upstream.credentials.len() as u32,
            weight: 1,
            on: None,
            facts,
        })
    }

    /// Chance decides whether this request is copied.
    fn mirror(&mut self, route: &Route, captured: &str, rng: &mut dyn FnMut() -> u64) {
        let Some(mirror) = &route.mirror else { return };
        let point = ((u128::from(rng()) * u128::from(Share::WHOLE)) >> 64) as u32;
        if point < mirror.share.0 {
            let model = mirror.target.model.replacen('*', captured, 1).into();
            self.plan.mirror = self.step(mirror.target.provider, model, mirror.target.target.clone()).map(Box::new);
        }
    }
}

/// A share of requests, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u32);

impl Share {
    pub const WHOLE: u32 = 1_000_000;
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
