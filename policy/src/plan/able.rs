//! The capability filter: a target that is known not to take what the request needs gives way to one that may.
//!
//! Only what is known counts: a model of which nothing is known is never passed over. The body is looked at a second time only
//! where there is more than one target and one of them is known to lack something.

use std::sync::Arc;

use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::needs::Has;
use ringway_adapters::operation::Operation;

use super::{Plan, Step};
use crate::catalog::{Abilities, ModelFacts};
use crate::facts::Facts;
use crate::record::{Subject, Trail, Why};

/// What a request has, and the ability that a model needs for it.
const NEEDS: &[(Has, Abilities)] = &[
    (Has::TOOLS, Abilities::TOOLS),
    (Has::IMAGES, Abilities::VISION),
    (Has::AUDIO, Abilities::AUDIO_INPUT),
    (Has::DOCUMENTS, Abilities::PDF),
    (Has::JSON_SCHEMA, Abilities::JSON_SCHEMA),
    (Has::THINKING, Abilities::REASONING),
];

/// What a model is known not to take. Nothing, where its entry names no ability at all: then nobody has looked.
pub(crate) fn lacks(facts: &ModelFacts) -> Has {
    if facts.abilities.is_empty() {
        return Has::default();
    }
    let missing = NEEDS.iter().filter(|(_, ability)| !facts.abilities.contains(*ability));
    missing.fold(Has::default(), |lacks, (has, _)| lacks.with(*has))
}

/// Removes the targets that cannot, if one is left that may.
///
/// # Errors
/// `InvalidRequest` where every target is known to lack the same kind of thing. An estimate of tokens alone refuses nothing.
pub(super) fn keep_able(plan: &mut Plan, facts: &Facts<'_>, known: impl Fn(&Step) -> Option<Arc<ModelFacts>>) -> Result<(), Fault> {
    if plan.steps.len() < 2 || facts.operation != Operation::Chat {
        return Ok(());
    }
    let known: smallvec::SmallVec<[Option<Arc<ModelFacts>>; 8]> = plan.steps.iter().map(known).collect();
    if known.iter().all(Option::is_none) {
        return Ok(());
    }
    let lacked = known.iter().flatten().fold(Has::default(), |all, facts| all.with(lacks(facts)));
    let has = if lacked.is_empty() { Has::default() } else { facts.says.has() };
    let reasons = || plan.steps.iter().zip(&known).map(|(step, known)| (step, known.as_ref().and_then(|known| reason(known, has, facts))));
    if reasons().all(|(_, why)| why.is_none()) {
        return Ok(());
    }
    if reasons().all(|(_, why)| why.is_some()) {
        return if reasons().all(|(_, why)| matches!(why, Some(Why::Cannot(_)))) { Err(refusal(plan, has, &known)) } else { Ok(()) };
    }
    let mut trail = std::mem::take(&mut plan.trail);
    let mut index = 0;
    plan.steps.retain(|step| {
        let why = known[index].as_ref().and_then(|known| reason(known, has, facts));
        index += 1;
        why.is_none_or(|why| pass_over(&mut trail, step, why))
    });
    plan.trail = trail;
    Ok(())
}

/// Notes it; `false`, as the target does not stay.
fn pass_over(trail: &mut Trail, step: &Step, why: Why) -> bool {
    trail.pass_over(Subject::Target(step.target.clone()), why);
    false
}

/// Why a model cannot answer the request.
pub(crate) fn reason(known: &ModelFacts, has: Has, facts: &Facts<'_>) -> Option<Why> {
    let lacks = has.and(lacks(known));
    if !lacks.is_empty() {
        return Some(Why::Cannot(lacks));
    }
    let tokens = facts.input_tokens().saturating_add(facts.max_tokens.unwrap_or(0));
    let context = known.context_tokens_max.filter(|context| tokens > *context)?;
    Some(Why::TooSmall { tokens, context })
}

fn refusal(plan: &Plan, has: Has, known: &[Option<Arc<ModelFacts>>]) -> Fault {
    let name = |has: Has| {
        let names: Vec<&str> = Has::NAMES.iter().filter(|(_, one)| has.contains(*one)).map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let each: Vec<String> = plan
        .steps
        .iter()
        .zip(known)
        .map(|(step, known)| {
            format!("{} takes no {}", step.target.id, name(has.and(known.as_ref().map_or(Has::default(), |known| lacks(known)))))
        })
        .collect();
    let message = format!("no target of this route can answer: {}; leave it out, or ask for another model", each.join("; "));
    Fault::new(Kind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Says;
    use crate::plan::testing::{facts, plan_of};

    #[derive(Debug)]
    struct With(Has);

    impl Says for With {
        fn user(&self) -> Option<std::borrow::Cow<'_, str>> {
            None
        }

        fn header(&self, _: &str) -> Option<&str> {
            None
        }

        fn tag(&self, _: &str) -> Option<&str> {
            None
        }

        fn key(&self) -> Option<&str> {
            None
        }

        fn has(&self) -> Has {
            self.0
        }
    }

    fn model(abilities: Abilities, context: Option<u64>) -> Option<Arc<ModelFacts>> {
        Some(Arc::new(ModelFacts { abilities, context_tokens_max: context, ..ModelFacts::default() }))
    }

    /// Models that stay of `a/x`, `b/x`, …, or the refusal.
    fn kept(has: Has, max_tokens: Option<u64>, models: &[Option<Arc<ModelFacts>>]) -> Result<Vec<String>, String> {
        let names = ["a/x", "b/x", "c/x"];
        let mut plan = plan_of(&names[..models.len()]);
        let says = With(has);
        let facts = Facts { says: &says, max_tokens, ..facts("r") };
        let of = |step: &Step| models[names.iter().position(|name| **name == *step.target.id).unwrap()].clone();
        keep_able(&mut plan, &facts, of).map_err(|fault| fault.message.into_owned())?;
        assert_eq!(plan.steps.len() + plan.trail.entries().len(), models.len());
        Ok(plan.steps.iter().map(|step| step.target.id.to_string()).collect())
    }

    #[test]
    fn who_cannot_gives_way_to_who_may() {
        let all = NEEDS.iter().fold(Abilities::default(), |all, (_, ability)| all.with(*ability));
        for (has, ability) in NEEDS {
            let without = NEEDS.iter().filter(|(_, one)| one != ability).fold(Abilities::default(), |all, (_, one)| all.with(*one));
            assert_eq!(kept(*has, None, &[model(without, None), model(all, None)]).unwrap(), ["b/x"], "{has:?}");
            assert_eq!(kept(*has, None, &[model(without, None), None]).unwrap(), ["b/x"], "what is unknown may");
            assert_eq!(kept(Has::default(), None, &[model(without, None), model(all, None)]).unwrap(), ["a/x", "b/x"]);
        }
    }

    #[test]
    fn what_is_unknown_is_never_passed_over() {
        assert_eq!(kept(Has::TOOLS, Some(1_000_000), &[None, None]).unwrap(), ["a/x", "b/x"]);
        let unlooked = || model(Abilities::default(), None);
        assert_eq!(kept(Has::TOOLS, None, &[unlooked(), unlooked()]).unwrap(), ["a/x", "b/x"]);
    }

    #[test]
    fn none_that_can_is_refused_with_what_each_lacks() {
        let blind = || model(Abilities::TOOLS, None);
        let message = kept(Has::IMAGES.with(Has::TOOLS), None, &[blind(), blind()]).unwrap_err();
        assert!(message.contains("a/x takes no images; b/x takes no images"), "{message}");
        assert_eq!(kept(Has::IMAGES, None, &[blind()]).unwrap(), ["a/x"], "one target answers for itself");
    }

    #[test]
    fn a_context_that_is_too_short_by_estimate_gives_way_and_never_refuses() {
        let short = || model(Abilities::TOOLS, Some(100));
        assert_eq!(kept(Has::default(), Some(90), &[short(), model(Abilities::TOOLS, Some(1_000))]).unwrap(), ["b/x"]);
        assert_eq!(kept(Has::default(), Some(10), &[short(), model(Abilities::TOOLS, Some(1_000))]).unwrap(), ["a/x", "b/x"]);
        assert_eq!(kept(Has::default(), Some(900), &[short(), short()]).unwrap(), ["a/x", "b/x"]);
    }
}
