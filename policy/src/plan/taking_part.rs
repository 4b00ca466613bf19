//! Conditions at work: which routes a name may mean for this request, and which of a route's targets take part.

use std::sync::Arc;

use ringway_adapters::fault::{Fault, Kind};

use super::resolve::{Named, Unknown};
use super::{Draft, cut, not_served};
use crate::condition::{Condition, Verdict};
use crate::facts::Facts;
use crate::record::{Subject, Why};
use crate::snapshot::{Candidate, Route, Snapshot};

impl Snapshot {
    /// What `name` stands for in this request.
    pub(crate) fn resolve_for<'n>(&'n self, name: &'n str, facts: &Facts<'_>) -> Result<Named<'n>, Unknown> {
        self.resolve_seen(name, &mut |route| route.when.as_ref().is_none_or(|when| when.holds(facts)))
    }
}

/// Why a condition does not hold; `None` where it does.
fn against(condition: &Condition, facts: &Facts<'_>) -> Option<Why> {
    match condition.judge(facts) {
        Verdict::True => None,
        Verdict::Undecided(None) => Some(Why::Undecided(condition.clone())),
        Verdict::False => Some(Why::When(condition.clone(), None)),
        Verdict::Undecided(missing) => Some(Why::When(condition.clone(), missing)),
    }
}

impl<'s> Draft<'s, '_> {
    /// What `name` stands for in this request; routes that are not there for it are noted.
    pub(super) fn resolve<'n>(&mut self, name: &'n str) -> Result<Named<'n>, Unknown>
    where
        's: 'n,
    {
        let (snapshot, facts, trail) = (self.snapshot, self.facts, &mut self.plan.trail);
        snapshot.resolve_seen(name, &mut |route: &Arc<Route>| match route.when.as_ref().and_then(|when| against(when, facts)) {
            Some(why) => {
                trail.pass_over(Subject::Route(route.name.clone()), why);
                false
            }
            None => true,
        })
    }

    /// Whether a route's target takes part in this request.
    pub(super) fn takes_part(&mut self, candidate: &Candidate, captured: &str) -> bool {
        let Some(why) = candidate.when.as_ref().and_then(|when| against(when, self.facts)) else { return true };
        let target = candidate.target.clone();
        let target = target.unwrap_or_else(|| self.snapshot.target(candidate.provider, &candidate.model.replacen('*', captured, 1)));
        self.plan.trail.pass_over(Subject::Target(target), why);
        false
    }

    /// The refusal of a plan without targets.
    pub(super) fn nothing_left(&self) -> Fault {
        let targets = |subject: &Subject| matches!(subject, Subject::Target(_));
        if !self.plan.trail.entries().iter().any(|entry| targets(&entry.subject)) {
            return not_served(self.facts);
        }
        let model = cut(self.facts.model);
        let mut fault = Fault::new(
            Kind::ModelNotFound,
            format!("model {model:?} has no target for this request: the conditions of its route exclude all of them"),
        );
        fault.param = Some("model".into());
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{NOW, facts, snapshot_of};
    use crate::plan::{Plan, plan};

    const FILE: &str = "
providers: {openai: {keys: [k]}, mine: {like: openai, base_url: \"http://10.0.0.1\"}}
routes:
  r:
    targets: [{model: mine/small, when: request.tokens < 50}, {model: mine/large, when: request.tokens >= 50}]
    fallbacks: [{model: openai/gpt-4.1, when: request.max_tokens < 10}, openai/gpt-4.1-mini]
  gpt-4.1: {when: request.stream, targets: [mine/a]}
  gpt-4.1*: {when: request.tokens > 1000, targets: [mine/b]}
  none: {targets: [{model: mine/a, when: \"false\"}]}
";

    fn planned(facts: &Facts<'_>) -> Plan {
        plan(&snapshot_of(FILE), facts, NOW, &mut || 0).unwrap_or_else(|fault| panic!("{}", fault.message))
    }

    fn ids(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(|step| &*step.target.id).collect()
    }

    #[test]
    fn targets_take_part_where_their_condition_is_true() {
        let plan = planned(&facts("r"));
        assert_eq!(ids(&plan), ["mine/small", "openai/gpt-4.1-mini"]);
        let passed: Vec<(&str, &str)> = plan.trail.entries().iter().map(|entry| (entry.subject.name(), entry.why.name())).collect();
        assert_eq!(passed, [("mine/large", "when"), ("openai/gpt-4.1", "when")]);
        let plan = planned(&Facts { body_bytes: 1_000, max_tokens: Some(5), ..facts("r") });
        assert_eq!(ids(&plan), ["mine/large", "openai/gpt-4.1", "openai/gpt-4.1-mini"]);
    }

    #[test]
    fn a_route_whose_condition_is_false_is_not_there() {
        use ringway_adapters::ir::Mode;
        assert_eq!(ids(&planned(&Facts { mode: Mode::Stream, ..facts("gpt-4.1") })), ["mine/a"]);
        assert_eq!(ids(&planned(&Facts { body_bytes: 10_000, ..facts("gpt-4.1") })), ["mine/b"], "the next that fits");
        let plan = planned(&facts("gpt-4.1"));
        assert_eq!(ids(&plan), ["openai/gpt-4.1"], "the name without any route");
        let passed: Vec<&str> = plan.trail.entries().iter().map(|entry| entry.subject.name()).collect();
        assert_eq!(passed, ["gpt-4.1", "gpt-4.1*"]);
    }

    #[test]
    fn a_route_without_a_target_for_the_request_says_so() {
        let fault = plan(&snapshot_of(FILE), &facts("none"), NOW, &mut || 0).unwrap_err();
        assert_eq!(fault.kind, Kind::ModelNotFound);
        assert!(fault.message.contains("conditions of its route exclude"), "{}", fault.message);
    }
}
