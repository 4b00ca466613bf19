//! Warnings of priorities that put nobody before anybody.

use super::{Ground, Problem};
use crate::config::At;
use crate::priority::Class;

/// Every request has the same class.
pub(super) fn priority_without_rank(ground: &Ground<'_>, warnings: &mut Vec<Problem>) {
    let config = ground.config;
    let of_routes = config.routes.iter().map(|(_, route)| route.priority.as_ref());
    let routed: Vec<Option<&At<Class>>> = of_routes.collect();
    let mut first: Option<&At<Class>> = None;
    let mut classes = [false; 3];
    let mut note = |class: Option<&'_ At<Class>>| classes[class.map(|at| at.value).unwrap_or_default().index()] = true;
    let mut is_open = config.virtual_keys.is_empty();
    for (_, key) in config.virtual_keys.iter() {
        let own = key.access.as_ref().and_then(|access| access.priority.as_ref());
        let class = own.or_else(|| config.profile_of(key)?.access.priority.as_ref());
        match class {
            Some(_) => note(class),
            None => is_open = true,
        }
        first = first.or(class);
    }
    if is_open {
        // Of models that no route names, too.
        routed.iter().copied().chain([None]).for_each(&mut note);
        first = first.or_else(|| routed.iter().copied().flatten().next());
    }
    let count = classes.iter().filter(|is_there| **is_there).count();
    if let Some(first) = first.filter(|_| count == 1) {
        let message =
            format!("every request has priority {}: nobody goes before anybody; leave it out, or give others another", first.value.name());
        warnings.push(first.problem(message));
    }
    // A route's class is for keys that have none.
    if !is_open {
        let unused = routed.iter().flatten();
        warnings.extend(
            unused.map(|at| at.problem("every virtual key has a priority of its own, which goes before a route's; leave this one out")),
        );
    }
}
