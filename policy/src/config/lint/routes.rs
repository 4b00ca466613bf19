//! Warnings of routes, their targets and fallbacks.

use super::Ground;
use crate::config::{At, Problem};
use crate::pattern::Pattern;
use crate::plan::draw;
use crate::snapshot::BUILTIN;

/// `on:` says what the next target is taken for; a route with one target has no next one.
pub(super) fn on_without_fallback(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (name, route) in ground.config.routes.iter() {
        if route.on.is_some() && route.fallbacks.is_empty() && route.targets.len() < 2 {
            let message = format!("the route {:?} has `on` and one target: there is no next one to take; add fallbacks", name.value);
            warnings.push(name.problem(message));
        }
    }
}

/// A provider that lists its models, or is known for some, is asked for another one.
pub(super) fn model_that_nobody_serves(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (_, route) in ground.config.routes.iter() {
        for model in route.models() {
            if let Some((provider, rest)) = model.value.split_once('/').filter(|(_, rest)| !rest.contains('*'))
                && !serves(ground, provider, rest)
            {
                let message =
                    format!("{provider:?} is not known to serve {rest:?}; check the name, or list it under the provider's models");
                warnings.push(model.problem(message));
            }
        }
    }
}

/// Whether anything is known that speaks against it.
pub(super) fn serves(ground: &Ground<'_>, provider: &str, model: &str) -> bool {
    if provider == BUILTIN {
        return model == crate::snapshot::BUILTIN_MODEL;
    }
    let Some(config) = ground.config.providers.get(provider) else { return true };
    if config.models.iter().any(|listed| listed.name.value == model) {
        return true;
    }
    // What a built-in provider is known for says nothing of a server that is only compatible with it.
    let builtin = ground.builtins.iter().find(|builtin| builtin.name == provider && config.like.is_none());
    match builtin.map(|builtin| builtin.models.as_slice()).filter(|models| !models.is_empty()) {
        Some(patterns) => patterns.iter().any(|pattern| Pattern::new(pattern).matches(model)),
        None => config.models.is_empty(),
    }
}

/// A weight of 0 is tried after the others; where nothing else leads to a next target, it is never tried at all.
pub(super) fn weight_never_reached(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (_, route) in ground.config.routes.iter() {
        let never = route.on.as_ref().is_some_and(Vec::is_empty);
        let weights = route.targets.iter().map(|target| Some(target.weight));
        if !never || draw(weights, &mut || 0).is_none() || route.targets.iter().all(|target| target.weight == 0) {
            continue;
        }
        for target in route.targets.iter().filter(|target| target.weight == 0) {
            let message = "a target of weight 0 is tried after the others, and `on: []` takes no next one: it is never tried";
            warnings.push(target.model.problem(message));
        }
    }
}

/// A route whose every name another route takes first.
pub(super) fn shadowed_route(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    let routes: Vec<&At<String>> = ground.config.routes.iter().map(|(name, _)| name).collect();
    for (index, name) in routes.iter().enumerate().filter(|(_, name)| name.value.contains('*')) {
        let own = Pattern::new(&name.value);
        let by = routes.iter().enumerate().find(|(other_index, other)| {
            let pattern = Pattern::new(&other.value);
            let first = (pattern.literal_bytes(), std::cmp::Reverse(*other_index)) > (own.literal_bytes(), std::cmp::Reverse(index));
            other.value.contains('*') && *other_index != index && first && covers(&pattern, &name.value)
        });
        if let Some((_, other)) = by {
            warnings.push(name.problem(format!("every name that {:?} fits goes to the route {:?} before it", name.value, other.value)));
        }
    }
}

/// Whether `pattern` fits every name that the pattern `other` fits: each `*` of it is then taken by one of `pattern`'s.
fn covers(pattern: &Pattern, other: &str) -> bool {
    // A byte that no name holds stands for any text: only a `*` can take it.
    pattern.matches(&other.replace('*', "\u{0}"))
}

/// The same model twice in one route: the second time it is left out.
pub(super) fn target_twice(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    for (_, route) in ground.config.routes.iter() {
        let models: Vec<&At<String>> = route.models().collect();
        for (index, model) in models.iter().enumerate() {
            if models[..index].iter().any(|before| before.value == model.value) {
                let message = format!("{:?} is in this route already: it is tried once, at its first place", model.value);
                warnings.push(model.problem(message));
            }
        }
    }
}

/// What answers inside the gateway never fails, so nothing behind it is ever tried.
pub(super) fn fallback_after_catch_all(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    let catch_all = format!("{BUILTIN}/{}", crate::snapshot::BUILTIN_MODEL);
    for (_, route) in ground.config.routes.iter() {
        let behind = route.fallbacks.iter().skip_while(|fallback| fallback.model.value != catch_all || fallback.when.is_some());
        for fallback in behind.skip(1) {
            let message = format!("{:?} stands behind {catch_all}, which always answers: it is never tried", fallback.model.value);
            warnings.push(fallback.model.problem(message));
        }
    }
}
