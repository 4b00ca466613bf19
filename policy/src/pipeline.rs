//! The pipeline: `admit` before, `observe` each event, `settle` exactly once.
//!
//! A stage is a row of `STAGES`. Stages run in its order and settle in the reverse; a stage that has admitted is never
//! run again, so a pipeline that stops at one goes on from there. Nothing here allocates unless it refuses.

use std::net::IpAddr;
use std::sync::Arc;

use ringway_adapters::event::Event;
use ringway_adapters::fault::{Fault, Kind};

use crate::facts::Facts;
use crate::key::Principal;
use crate::plan::{Named, Plan, cut};
use crate::quota::{self, Bill};
use crate::record::Record;
use crate::snapshot::Snapshot;

/// What a stage says.
#[derive(Debug)]
pub enum Verdict {
    Continue,
    /// Answer with this fault.
    Refuse(Fault),
    /// Plan as if this route or model had been asked for, and come back.
    Instead(Arc<str>),
}

/// What became of an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    Yes,
    /// Once more, with a plan for this route or model. Comes at most once an exchange.
    Instead(Arc<str>),
}

/// All that a stage may look at before the request goes out.
struct Admission<'a> {
    snapshot: &'a Snapshot,
    facts: &'a Facts<'a>,
    plan: &'a Plan,
    at: quota::At,
}

/// One stage: what it does at each of the three moments.
struct Stage {
    name: &'static str,
    admit: fn(&Principal, &Admission<'_>, &mut Bill) -> Verdict,
    observe: fn(&Principal, &Event) -> Verdict,
    /// Runs once for a stage that admitted, whatever became of the exchange.
    settle: fn(&Principal, &mut Record, &mut Bill, quota::At),
}

/// All stages, in the order in which they admit.
const STAGES: &[Stage] = &[
    Stage { name: "key", admit: admit_models, observe: |_, _| Verdict::Continue, settle: |_, _, _, _| {} },
    Stage {
        name: "quota",
        admit: |principal, admission, bill| bill.admit(principal, admission.snapshot, admission.facts, admission.plan, admission.at),
        observe: |_, _| Verdict::Continue,
        settle: |_, record, bill, at| {
            if !bill.rows().is_empty() {
                record.charges = bill.settle(&record.spent(), at);
            }
        },
    },
];

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
    /// Finds the principal of a key that `client` sent at `unix_ms`. Needs no plan: a stranger learns nothing of the models.
    ///
    /// # Errors
    /// `InvalidKey` where keys are configured and none came, or one that is unknown, has ended or is disabled;
    /// `NetworkNotAllowed` where it may not be used from there.
    pub fn authenticate(snapshot: &Snapshot, key: Option<&str>, client: Option<IpAddr>, unix_ms: u64) -> Result<Pipeline, Fault> {
        let principal = match key {
            // Without virtual keys nobody is asked for one, and SDKs send some key in any case.
            _ if snapshot.keys.is_empty() => snapshot.anonymous.clone(),
            Some(key) => snapshot.keys.find(key, client, unix_ms)?.clone(),
            None => return Err(missing_key()),
        };
        Ok(Pipeline { principal, stages: STAGES, admitted: 0, settled: Settled::NotYet })
    }

    /// Checks the plan against the key (the asked name, what it resolves to, the request's `fallbacks`) and reserves on its
    /// quotas.
    ///
    /// # Errors
    /// `ModelNotAllowed`, `RateLimited`, `BudgetExceeded`.
    pub fn admit(
        &mut self,
        snapshot: &Snapshot,
        facts: &Facts<'_>,
        plan: &Plan,
        bill: &mut Bill,
        at: quota::At,
    ) -> Result<Admitted, Fault> {
        let admission = Admission { snapshot, facts, plan, at };
        while let Some(stage) = self.stages.get(self.admitted) {
            match (stage.admit)(&self.principal, &admission, bill) {
                Verdict::Continue => self.admitted += 1,
                Verdict::Refuse(fault) => return Err(fault),
                Verdict::Instead(name) => return Ok(Admitted::Instead(name)),
            }
        }
        Ok(Admitted::Yes)
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
    pub fn settle(mut self, record: &mut Record, bill: &mut Bill, at: quota::At) {
        self.settled = Settled::Done;
        for stage in self.stages[..self.admitted].iter().rev() {
            (stage.settle)(&self.principal, record, bill, at);
        }
        // Of a refused exchange the record tells who refused.
        if record.charges.is_empty() && !bill.rows().is_empty() {
            record.charges = bill.settle(&record.spent(), at);
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

/// What the key stage says, for a request that is not sent.
///
/// # Errors
/// `ModelNotAllowed`.
pub fn check_key(principal: &Principal, snapshot: &Snapshot, facts: &Facts<'_>, plan: &Plan) -> Result<(), Fault> {
    let at = quota::At { shard: 0, now: crate::lease::Now { mono_ns: 0, unix_ms: 0 } };
    match admit_models(principal, &Admission { snapshot, facts, plan, at }, &mut Bill::default()) {
        Verdict::Refuse(fault) => Err(fault),
        Verdict::Continue | Verdict::Instead(_) => Ok(()),
    }
}

/// The key stage: may this key ask for these models?
fn admit_models(principal: &Principal, admission: &Admission<'_>, _: &mut Bill) -> Verdict {
    if principal.access.models.all() {
        return Verdict::Continue;
    }
    let asked = admission.facts.model;
    if asked.is_empty() {
        if let Some(why) = admission.facts.says.unread().filter(|_| !principal.access.models.deny.is_empty()) {
            return Verdict::Refuse(unread(principal, why));
        }
        // No model is named (files, passthrough), so the whole provider must be allowed.
        let provider = |index: usize| &*admission.snapshot.providers[index].name;
        let refused = admission.plan.steps.iter().find(|step| !principal.access.models.contains(&format!("{}/", provider(step.provider))));
        return refused.map_or(Verdict::Continue, |step| refuse(principal, &format!("{}/*", provider(step.provider)), "model"));
    }
    if !may_ask(principal, admission, asked) {
        return refuse(principal, asked, "model");
    }
    match admission.facts.fallbacks.iter().find(|name| !may_ask(principal, admission, name)) {
        Some(name) => refuse(principal, name, "fallbacks"),
        None => Verdict::Continue,
    }
}

/// Whether the key's models allow a name as asked, or the `provider/model` that it stands for, and deny neither. A route is
/// allowed by its name alone.
fn may_ask(principal: &Principal, admission: &Admission<'_>, name: &str) -> bool {
    let models = &principal.access.models;
    if models.denies(name) {
        return false;
    }
    if models.deny.is_empty() && models.contains(name) {
        return true;
    }
    let snapshot = admission.snapshot;
    match snapshot.resolve_for(name, admission.facts) {
        Ok(Named::Model(provider, model)) => {
            let full = format!("{}/{model}", snapshot.providers[provider].name);
            !models.denies(&full) && (models.contains(name) || models.contains(&full))
        }
        // A pattern route is named by its pattern, too.
        Ok(Named::Route(route, _)) => !models.denies(&route.name) && (models.contains(name) || models.contains(&route.name)),
        Err(_) => models.contains(name),
    }
}

/// What a list of denied models is to hold against has to be known.
fn unread(principal: &Principal, why: &str) -> Fault {
    let key = &principal.key;
    let message = format!("key {key:?} has denied models, and which one this asks for is not known: {why}");
    let mut fault = Fault::new(Kind::ModelNotAllowed, message);
    fault.param = Some("model".into());
    fault
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
