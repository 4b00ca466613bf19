//! The pipeline: `admit` before, `observe` each event, `settle` exactly once.
//!
//! A stage is a row of `STAGES`. Stages run in its order and settle in the reverse; a stage that has admitted is never
//! run again, so a pipeline that stops at one goes on from there. Nothing here allocates unless it refuses.

use std::sync::Arc;

use ringway_adapters::event::Event;
use ringway_adapters::fault::{Fault, Kind};

use crate::facts::Facts;
use crate::key::Principal;
use crate::plan::{Named, Plan, cut};
use crate::record::Record;
use crate::snapshot::Snapshot;

/// What a stage says.
#[derive(Debug)]
pub enum Verdict {
    Continue,
    /// Answer with this fault.
    Refuse(Fault),
}

/// All that a stage may look at before the request goes out.
struct Admission<'a> {
    snapshot: &'a Snapshot,
    facts: &'a Facts<'a>,
    plan: &'a Plan,
    /// For the stages that count by time.
    #[allow(dead_code, reason = "no stage of today counts by time")]
    now_ns: u64,
}

/// One stage: what it does at each of the three moments.
struct Stage {
    name: &'static str,
    admit: fn(&Principal, &Admission<'_>) -> Verdict,
    observe: fn(&Principal, &Event) -> Verdict,
    /// Runs once for a stage that admitted, whatever became of the exchange.
    settle: fn(&Principal, &Record),
}

/// All stages, in the order in which they admit.
const STAGES: &[Stage] = &[Stage { name: "key", admit: admit_models, observe: |_, _| Verdict::Continue, settle: |_, _| {} }];

/// One exchange's way through the stages. Dropped without `settle` once admitted is a bug, asserted in debug builds.
#[derive(Debug)]
pub struct Pipeline {
    pub principal: Arc<Principal>,
    stages: &'static [Stage],
    /// Stages that have admitted.
    admitted: usize,
    settled: Settled,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    NotYet,
    Done,
}

impl Pipeline {
    /// Finds the principal of a key. Needs no plan: a stranger learns nothing of the models.
    ///
    /// # Errors
    /// `InvalidKey` where keys are configured and none or an unknown one came.
    pub fn authenticate(snapshot: &Snapshot, key: Option<&str>) -> Result<Pipeline, Fault> {
        let principal = match key {
            // Without virtual keys nobody is asked for one, and SDKs send some key in any case.
            _ if snapshot.keys.is_empty() => snapshot.anonymous.clone(),
            Some(key) => snapshot.keys.find(key).ok_or_else(unknown_key)?.clone(),
            None => return Err(missing_key()),
        };
        Ok(Pipeline { principal, stages: STAGES, admitted: 0, settled: Settled::NotYet })
    }

    /// Checks the plan against the key: the asked name, what it resolves to, the request's `fallbacks`.
    ///
    /// # Errors
    /// `ModelNotAllowed`, `RateLimited`, `BudgetExceeded`.
    pub fn admit(&mut self, snapshot: &Snapshot, facts: &Facts<'_>, plan: &Plan, now_ns: u64) -> Result<(), Fault> {
        let admission = Admission { snapshot, facts, plan, now_ns };
        while let Some(stage) = self.stages.get(self.admitted) {
            match (stage.admit)(&self.principal, &admission) {
                Verdict::Continue => self.admitted += 1,
                Verdict::Refuse(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Looks at one event of the answer.
    pub fn observe(&mut self, event: &Event) -> Verdict {
        for stage in &self.stages[..self.admitted] {
            if let Verdict::Refuse(fault) = (stage.observe)(&self.principal, event) {
                return Verdict::Refuse(fault);
            }
        }
        Verdict::Continue
    }

    /// Ends the exchange: reservations become actual figures. Also after a fault or a disconnect.
    pub fn settle(mut self, record: &Record) {
        self.settled = Settled::Done;
        for stage in self.stages[..self.admitted].iter().rev() {
            (stage.settle)(&self.principal, record);
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        debug_assert!(
            self.admitted == 0 || self.settled == Settled::Done || std::thread::panicking(),
            "an admitted exchange was dropped without settle"
        );
    }
}

fn missing_key() -> Fault {
    Fault::new(Kind::InvalidKey, "no virtual key was sent; send yours as Authorization: Bearer KEY (or x-api-key: KEY)")
}

fn unknown_key() -> Fault {
    Fault::new(Kind::InvalidKey, "the virtual key is not known here; check it, or ask whoever runs this gateway for one")
}

/// The key stage: may this key ask for these models?
fn admit_models(principal: &Principal, admission: &Admission<'_>) -> Verdict {
    if principal.models.is_none() {
        return Verdict::Continue;
    }
    let asked = admission.facts.model;
    if asked.is_empty() {
        // No model is named (files, passthrough), so the whole provider must be allowed.
        let provider = |index: usize| &*admission.snapshot.providers[index].name;
        let refused = admission.plan.steps.iter().find(|step| !principal.allows(&format!("{}/", provider(step.provider))));
        return refused.map_or(Verdict::Continue, |step| refuse(principal, &format!("{}/*", provider(step.provider)), "model"));
    }
    if !allows(principal, admission.snapshot, asked) {
        return refuse(principal, asked, "model");
    }
    match admission.facts.fallbacks.iter().find(|name| !allows(principal, admission.snapshot, name)) {
        Some(name) => refuse(principal, name, "fallbacks"),
        None => Verdict::Continue,
    }
}

/// By the name as asked, or by the `provider/model` that it stands for. A route is allowed by its name alone.
fn allows(principal: &Principal, snapshot: &Snapshot, name: &str) -> bool {
    if principal.allows(name) {
        return true;
    }
    match snapshot.resolve(name) {
        Ok(Named::Model(provider, model)) => principal.allows(&format!("{}/{model}", snapshot.providers[provider].name)),
        Ok(Named::Route(route, _)) => principal.allows(&route.name),
        Err(_) => false,
    }
}

fn refuse(principal: &Principal, name: &str, param: &str) -> Verdict {
    let key = &principal.key;
    let name = cut(name);
    let mut fault = Fault::new(Kind::ModelNotAllowed, format!("key {key:?} may not use model {name:?}; its models: GET /v1/models"));
    fault.param = Some(param.into());
    Verdict::Refuse(fault)
}

#[cfg(test)]
mod tests;
