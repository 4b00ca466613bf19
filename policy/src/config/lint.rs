//! Warnings: what the file says and what can never happen, or is weaker than it looks. A good file may have some.
//!
//! A warning is a row of `LINTS`. Each looks at the whole file, which is sound: `parse` has refused any other.

use ringway_adapters::provider::{self, Provider};

use super::{Config, Problem};

mod conditions;
mod keys;
mod priorities;
mod routes;
mod tenants;

/// What a row looks at.
struct Ground<'c> {
    config: &'c Config,
    builtins: &'c [Provider],
}

/// Notes every place of the file that it warns of.
type Lint = fn(&Ground<'_>, &mut Vec<Problem>);

/// All warnings by name.
const LINTS: &[(&str, Lint)] = &[
    ("on_without_fallback", routes::on_without_fallback),
    ("model_that_nobody_serves", routes::model_that_nobody_serves),
    ("weight_never_reached", routes::weight_never_reached),
    ("shadowed_route", routes::shadowed_route),
    ("target_twice", routes::target_twice),
    ("fallback_after_catch_all", routes::fallback_after_catch_all),
    ("when_never", conditions::when_never),
    ("when_always", conditions::when_always),
    ("limit_of_nobody", tenants::limit_of_nobody),
    ("unused_team", tenants::unused_team),
    ("unused_customer", tenants::unused_customer),
    ("weak_key", keys::weak_key),
    ("priority_without_rank", priorities::priority_without_rank),
    ("key_without_models", tenants::key_without_models),
];

impl Config {
    /// Every warning, in the order of the file.
    pub fn warnings(&self) -> Vec<Problem> {
        self.warnings_with(provider::builtins())
    }

    /// As `warnings`, with other built-in providers.
    pub fn warnings_with(&self, builtins: &[Provider]) -> Vec<Problem> {
        let ground = Ground { config: self, builtins };
        let mut warnings = Vec::new();
        LINTS.iter().for_each(|(_, lint)| lint(&ground, &mut warnings));
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        warnings.dedup();
        warnings
    }
}

#[cfg(test)]
mod tests;
