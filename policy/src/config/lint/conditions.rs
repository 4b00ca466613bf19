//! Warnings of conditions that say the same of every request.

use super::Ground;
use crate::condition::Condition;
use crate::config::{At, Problem};

/// Every condition of the file, and what it stands on.
fn all<'c>(ground: &Ground<'c>) -> impl Iterator<Item = (&'static str, &'c At<Condition>)> {
    ground.config.routes.iter().flat_map(|(_, route)| {
        let targets = route.targets.iter().filter_map(|target| target.when.as_ref()).map(|when| ("target", when));
        let fallbacks = route.fallbacks.iter().filter_map(|fallback| fallback.when.as_ref()).map(|when| ("fallback", when));
        route.when.as_ref().map(|when| ("route", when)).into_iter().chain(targets).chain(fallbacks)
    })
}

/// What stands there is never used.
pub(super) fn when_never(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    let never = all(ground).filter(|(_, when)| when.value.constant() == Some(false));
    warnings.extend(never.map(|(what, when)| when.problem(format!("this condition is never true: the {what} never takes part"))));
}

/// It decides nothing; what is meant for the other case never comes.
pub(super) fn when_always(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    let always = all(ground).filter(|(_, when)| when.value.constant() == Some(true));
    warnings.extend(always.map(|(what, when)| when.problem(format!("this condition is always true: the {what} takes part in any case"))));
}
