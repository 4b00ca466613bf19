//! What is known of one provider's models: the catalog's facts under the file's, with the provider's margin.
//!
//! A model that the file names costs a look-up and a reference count. One that only a client names is looked up in the catalog,
//! without an allocation where the provider has no margin and the name is the catalog's own. The catalog is read when the first
//! of them is asked for: neither a configuration without prices nor an idle gateway holds it.

use std::sync::{Arc, OnceLock};

use ahash::AHashMap;
use ringway_adapters::provider::Provider;

use crate::catalog::{self, ModelFacts};
use crate::config::{ModelConfig, Problem, ProviderConfig};
use crate::cost::{Margin, Rates};

/// `catalog: none` in the file.
const NO_CATALOG: &str = "none";

/// The models of one provider.
#[derive(Debug, Default)]
pub(crate) struct Models {
    /// What the catalog calls the provider, first one that has a model wins.
    catalog: Box<[Box<str>]>,
    margin: Margin,
    /// Of models that the file names, once they were asked for.
    named: AHashMap<Box<str>, OnceLock<Option<Arc<ModelFacts>>>>,
    /// Every model is free: the gateway's own.
    free: Option<Arc<ModelFacts>>,
}

impl Models {
    /// Looks into the catalog only where the file says something of a model, so that a wrong name is told.
    pub fn new(config: &ProviderConfig, provider: &Provider, named: &[&str], problems: &mut Vec<Problem>) -> Models {
        let catalog = match &config.catalog {
            Some(name) if name.value == NO_CATALOG => Box::default(),
            Some(name) => Box::from([Box::from(name.value.as_str())]),
            // A server that is only compatible with a company's has prices of its own.
            None if config.like.is_some() => Box::default(),
            None => provider.catalog.iter().map(|name| name.as_str().into()).collect(),
        };
        let margin = config.margin.as_ref().map(|at| at.value).unwrap_or_default();
        let mut models = Models { catalog, margin, ..Models::default() };
        let on_demand = named.iter().map(|name| ((*name).into(), OnceLock::new()));
        models.named.extend(on_demand);
        for model in &config.models {
            let facts = if says_something(model) { OnceLock::from(models.of_file(model, problems)) } else { OnceLock::new() };
            models.named.insert(model.name.value.as_str().into(), facts);
        }
        models
    }

    /// Models that nobody is charged for.
    pub fn free() -> Models {
        Models { free: Some(Arc::new(ModelFacts { rates: Some(Rates::free()), ..ModelFacts::default() })), ..Models::default() }
    }

    pub fn find(&self, model: &str) -> Option<Arc<ModelFacts>> {
        match self.named.get(model) {
            Some(facts) => facts.get_or_init(|| self.look_up(model)).clone(),
            None => self.free.clone().or_else(|| self.look_up(model)),
        }
    }

    fn look_up(&self, model: &str) -> Option<Arc<ModelFacts>> {
        let facts = self.catalog.iter().find_map(|provider| catalog::find(provider, model))?;
        if self.margin == Margin::default() {
            return Some(facts);
        }
        Some(Arc::new(self.with_margin((*facts).clone())))
    }

    /// The facts of a model of the file's list: what stands there takes the place of what the catalog says.
    fn of_file(&self, model: &ModelConfig, problems: &mut Vec<Problem>) -> Option<Arc<ModelFacts>> {
        let known = match &model.catalog {
            None => self.look_up(&model.name.value),
            Some(name) => {
                let other = || name.value.split_once('/').and_then(|(provider, model)| catalog::find(provider, model));
                let known = self.look_up(&name.value).or_else(other);
                if known.is_none() {
                    let how = "find its id with `ringway models --catalog PATTERN`, or write its price beside it";
                    problems.push(name.problem(format!("{:?} is no model of the catalog; {how}", name.value)));
                }
                known
            }
        };
        let mut facts = known.map(|known| (*known).clone()).unwrap_or_default();
        if facts.id.is_empty() {
            facts.id = model.name.value.as_str().into();
        }
        facts.context_tokens_max = model.context.or(facts.context_tokens_max);
        facts.output_tokens_max = model.output_max.or(facts.output_tokens_max);
        facts.abilities = model.abilities.unwrap_or(facts.abilities);
        if !model.price.is_empty() {
            facts.rates = Some(facts.rates.unwrap_or_default().overridden_by(&model.price));
        }
        Some(Arc::new(self.with_margin(facts)))
    }

    fn with_margin(&self, mut facts: ModelFacts) -> ModelFacts {
        facts.rates = facts.rates.map(|rates| rates.with_margin(self.margin));
        facts
    }
}

/// A model's entry that is more than its name.
fn says_something(model: &ModelConfig) -> bool {
    model.catalog.is_some() || model.context.is_some() || model.output_max.is_some() || model.abilities.is_some() || !model.price.is_empty()
}

#[cfg(test)]
mod tests {
    use ringway_adapters::usage::Usage;

    use crate::catalog::Abilities;
    use crate::config;
    use crate::cost::Tariff;
    use crate::plan::plan;
    use crate::plan::testing::{facts, snapshot_of};
    use crate::snapshot::Snapshot;
    use ringway_adapters::provider::builtins;

    const FILE: &str = "
providers:
  mine:
    like: openai
    base_url: \"http://10.0.0.5/v1\"
    margin: \"10%\"
    models:
      - {name: m, context: 8192, output_max: 100, abilities: [vision, tools], price: {input: \"1.00\", output: \"2.00\"}}
      - bare
routes: {r: {targets: [mine/m, mine/unlisted]}}
";

    fn dollars(snapshot: &Snapshot, provider: &str, model: &str) -> Option<String> {
        let facts = snapshot.facts(snapshot.provider_index(provider).unwrap(), model)?;
        let usage = Usage { input: 1_000, output: 1_000, ..Usage::default() };
        Some(facts.rates.as_ref()?.price(&usage, Tariff::Standard, 0).unwrap().to_string())
    }

    #[test]
    fn the_files_facts_hold_with_the_providers_margin() {
        let snapshot = snapshot_of(FILE);
        assert_eq!(dollars(&snapshot, "mine", "m").as_deref(), Some("0.0033"));
        assert_eq!((dollars(&snapshot, "mine", "bare"), dollars(&snapshot, "mine", "unlisted")), (None, None), "unknown is not free");
        let facts = snapshot.facts(snapshot.provider_index("mine").unwrap(), "m").unwrap();
        assert_eq!((facts.context_tokens_max, facts.output_tokens_max, &*facts.id), (Some(8192), Some(100), "m"));
        assert_eq!(facts.abilities, Abilities::VISION.with(Abilities::TOOLS));
    }

    #[test]
    fn the_gateways_own_model_is_free() {
        assert_eq!(dollars(&snapshot_of(""), crate::snapshot::BUILTIN, "echo").as_deref(), Some("0"));
    }

    #[test]
    fn every_step_carries_what_is_known_of_its_model() {
        let snapshot = snapshot_of(FILE);
        let plan = plan(&snapshot, &facts("r"), crate::plan::testing::NOW, &mut || 0).unwrap();
        let known: Vec<(&str, bool)> = plan.steps.iter().map(|step| (&*step.model, step.facts.is_some())).collect();
        assert_eq!(known, [("m", true), ("unlisted", false)]);
    }

    #[test]
    fn a_name_that_the_catalog_has_not_is_a_problem() {
        let text = "providers: {openai: {keys: [k], models: [{name: mine, catalog: no-such-model}]}}";
        let config = config::parse(text, &|_| None).unwrap();
        let problems = Snapshot::compile(&config, builtins(), None, 1).unwrap_err();
        assert!(problems[0].message.contains("\"no-such-model\" is no model of the catalog"), "{}", problems[0].message);
    }
}
