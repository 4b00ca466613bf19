//! Names to targets, in the contract's order: an exact route, an alias, `provider/model`, the most literal pattern, a bare name.

use std::sync::Arc;

use ringway_adapters::fault::{Fault, Kind};

use crate::near::suggestion;
use crate::snapshot::{Route, Snapshot, Upstream};

/// What a model name stands for.
#[derive(Debug)]
pub(crate) enum Named<'n> {
    /// A route, and what its pattern's `*` stands for.
    Route(&'n Arc<Route>, &'n str),
    /// A provider by index, and the model's name there.
    Model(usize, &'n str),
}

/// Why a name stands for nothing.
#[derive(Debug)]
pub(crate) enum Unknown {
    NotRouted,
    /// Several providers serve a model of this name.
    Ambiguous(Vec<usize>),
}

impl Unknown {
    pub fn fault(self, snapshot: &Snapshot, asked: &str) -> Fault {
        let asked = cut(asked);
        let mut fault = match self {
            Unknown::Ambiguous(providers) => {
                let names: Vec<String> = providers.iter().map(|&index| format!("{}/{asked}", snapshot.providers[index].name)).collect();
                Fault::new(Kind::ModelNotFound, format!("model {asked:?} is served by several providers; write {}", names.join(" or ")))
            }
            Unknown::NotRouted => {
                let listed = snapshot
                    .providers
                    .iter()
                    .flat_map(|upstream| upstream.models.iter().map(move |model| format!("{}/{model}", upstream.name)));
                let own = snapshot.routes.iter().map(|route| &route.name).chain(snapshot.aliases());
                let known: Vec<String> = own.map(|name| name.to_string()).chain(listed).collect();
                let near = suggestion(asked, known.iter().map(String::as_str));
                Fault::new(Kind::ModelNotFound, format!("model {asked:?} is not routed{near}; known models: GET /v1/models"))
            }
        };
        fault.param = Some("model".into());
        fault
    }
}

/// A name out of a request, short enough for a message.
pub(crate) fn cut(name: &str) -> &str {
    const SHOWN_BYTES_MAX: usize = 128;
    if name.len() <= SHOWN_BYTES_MAX {
        return name;
    }
    let end = (0..=SHOWN_BYTES_MAX).rev().find(|&index| name.is_char_boundary(index)).unwrap_or(0);
    &name[..end]
}

impl Snapshot {
    /// What `name` stands for, in the contract's order, among the routes that `sees` accepts; it is asked about those alone that
    /// the name would mean.
    pub(crate) fn resolve_seen<'n>(&'n self, name: &'n str, sees: &mut dyn FnMut(&Arc<Route>) -> bool) -> Result<Named<'n>, Unknown> {
        if let Some(route) = self.exact_route(name).filter(|route| sees(route)) {
            return Ok(Named::Route(route, name));
        }
        if let Some((provider, model)) = self.alias(name) {
            return Ok(Named::Model(provider, model));
        }
        if let Some((provider, model)) = name.split_once('/')
            && !model.is_empty()
            && let Some(index) = self.provider_index(provider)
        {
            let upstream = &self.providers[index];
            // The gateway itself serves what it lists; a provider may serve more than is known of it.
            let serves = !upstream.builtin || upstream.models.iter().any(|listed| **listed == *model);
            return if serves { Ok(Named::Model(index, model)) } else { Err(Unknown::NotRouted) };
        }
        if let Some((route, pattern)) = self.pattern_route(name, sees) {
            return Ok(Named::Route(route, pattern.captured(name)));
        }
        match self.bare(name).as_slice() {
            [index] => Ok(Named::Model(*index, name)),
            [] => Err(Unknown::NotRouted),
            several => Err(Unknown::Ambiguous(several.to_vec())),
        }
    }

    /// Providers that serve a model of this name: by their `models`, else by what is known of the built-in ones.
    fn bare(&self, name: &str) -> Vec<usize> {
        let by = |serves: &dyn Fn(&Upstream) -> bool| -> Vec<usize> {
            self.providers.iter().enumerate().filter(|(_, upstream)| serves(upstream)).map(|(index, _)| index).collect()
        };
        let listed = by(&|upstream| !upstream.builtin && upstream.models.iter().any(|model| **model == *name));
        if !listed.is_empty() {
            return listed;
        }
        by(&|upstream| upstream.model_patterns.iter().any(|pattern| pattern.matches(name)))
    }
}
