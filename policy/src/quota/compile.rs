//! The file's limits and budgets → quotas. Accounts of the snapshot before live on under their ids.

use std::sync::{Arc, OnceLock};

use ahash::{AHashMap, AHashSet};

use super::held::{Accounts, Held, Own};
use super::maker::{Maker, Sharing};
use super::set::{ModelQuotas, Quotas, TagQuotas};
use super::{List, Quota, Rule, make};
use crate::config::{At, Budget, Config, Limit, ProfileConfig, Selector, VirtualKeyConfig};
use crate::pattern::Pattern;

/// Makes the quotas of one snapshot.
pub(crate) struct Compiler<'a> {
    previous: Option<&'a Quotas>,
    maker: Arc<Maker>,
    revision: u64,
    list: Vec<Arc<Quota>>,
    taken: AHashSet<u64>,
    of_all: List,
    of_teams: AHashMap<&'a str, List>,
    of_customers: AHashMap<&'a str, List>,
    /// What keys of a team and a customer share, each list kept once.
    shared: AHashMap<(Option<&'a str>, Option<&'a str>), List>,
    /// The rules of the key before: keys of one kind stand together in a file, and share them.
    latest: Arc<[Rule]>,
}

impl<'a> Compiler<'a> {
    /// Begins with those that many share: of everyone, of teams, of customers.
    pub(crate) fn new(config: &'a Config, previous: Option<&'a Quotas>, shard_count: usize, revision: u64) -> Compiler<'a> {
        let of_file = if config.state.is_some() { Sharing::Cluster } else { Sharing::Alone };
        // Another way to share begins with another process.
        let sharing = previous.map_or(of_file, |previous| previous.maker.sharing);
        let restored = previous.map_or_else(|| Arc::new(OnceLock::new()), |previous| previous.maker.restored.clone());
        let mut compiler = Compiler {
            previous,
            maker: Arc::new(Maker { shard_count, sharing, restored, ..Maker::default() }),
            revision,
            list: Vec::new(),
            taken: AHashSet::new(),
            of_all: Arc::from([]),
            of_teams: AHashMap::new(),
            of_customers: AHashMap::new(),
            shared: AHashMap::new(),
            latest: Arc::from([]),
        };
        compiler.of_all = compiler.selected(config, "all", &[], &Selector::All).into();
        for (name, team) in config.teams.iter() {
            let list = compiler.list("team", &[&name.value], &team.limits, &team.budgets);
            compiler.of_teams.insert(&name.value, list);
        }
        for (name, customer) in config.customers.iter() {
            let list = compiler.list("customer", &[&name.value], &customer.limits, &customer.budgets);
            compiler.of_customers.insert(&name.value, list);
        }
        compiler
    }

    /// Makes those of one key beside the ones of a snapshot, which stay.
    pub(crate) fn beside(config: &'a Config, quotas: &Quotas, of_all: List, revision: u64, key: &'a VirtualKeyConfig) -> Compiler<'a> {
        let mut compiler = Compiler {
            previous: None,
            maker: quotas.maker.clone(),
            revision,
            list: Vec::new(),
            taken: AHashSet::new(),
            of_all,
            of_teams: AHashMap::new(),
            of_customers: AHashMap::new(),
            shared: AHashMap::new(),
            latest: Arc::from([]),
        };
        let mut there = |kind, name: &str, limits: &[At<Limit>], budgets: &[At<Budget>]| -> List {
            let drafts = rules(limits, budgets).map(|rule| make::draft(kind, &[name], &rule, |id| compiler.taken.insert(id)));
            drafts.filter_map(|draft| quotas.by_account(draft.account_id).cloned()).collect()
        };
        let team = key.team.as_ref().and_then(|team| Some((team.value.as_str(), config.teams.get(&team.value)?)));
        let customer = key.customer.as_ref().or_else(|| team?.1.customer.as_ref());
        let customer = customer.and_then(|customer| Some((customer.value.as_str(), config.customers.get(&customer.value)?)));
        let of_team = team.map(|(name, team)| (name, there("team", name, &team.limits, &team.budgets)));
        let of_customer = customer.map(|(name, customer)| (name, there("customer", name, &customer.limits, &customer.budgets)));
        compiler.of_teams.extend(of_team);
        compiler.of_customers.extend(of_customer);
        compiler
    }

    /// Those of everyone.
    pub(crate) fn of_all(&self) -> List {
        self.of_all.clone()
    }

    /// What a key is held to: its own, its profile's (a template: each key has accounts of its own), its team's, its customer's
    /// and everyone's. `before` are the accounts that it had.
    pub(crate) fn of_key(
        &mut self,
        name: &Arc<str>,
        key: &VirtualKeyConfig,
        profile: Option<&ProfileConfig>,
        team: Option<&'a str>,
        customer: Option<&'a str>,
        before: Option<&Arc<Accounts>>,
    ) -> Held {
        let shared = self.shared.entry((team, customer)).or_insert_with(|| {
            let of_team = team.and_then(|team| self.of_teams.get(team));
            let of_customer = customer.and_then(|customer| self.of_customers.get(customer));
            let lists = [of_team, of_customer, Some(&self.of_all)];
            lists.into_iter().flatten().flat_map(|list| list.iter().cloned()).collect()
        });
        let inherited: (&[_], &[_]) = profile.map_or((&[], &[]), |profile| (&profile.limits, &profile.budgets));
        let sources = [(&key.limits[..], &key.budgets[..]), inherited];
        if sources.iter().all(|(limits, budgets)| limits.is_empty() && budgets.is_empty()) {
            return Held::Shared(shared.clone());
        }
        if !says(&self.latest, sources) {
            let one = |(limits, budgets)| rules(limits, budgets);
            self.latest = sources.into_iter().flat_map(one).collect();
        }
        let accounts = before.cloned().unwrap_or_default();
        Held::Own(Arc::new(Own::new(name.clone(), self.latest.clone(), shared.clone(), accounts, self.maker.clone(), self.revision)))
    }

    /// The quotas of someone or something: `kind` is the first word of their ids, `names` are the next ones.
    pub(crate) fn list(&mut self, kind: &'static str, names: &[&str], limits: &[At<Limit>], budgets: &[At<Budget>]) -> List {
        rules(limits, budgets).map(|rule| self.quota(kind, names, &rule)).collect()
    }

    /// The quotas of the whole file that `wanted` selects.
    pub(crate) fn selected(&mut self, config: &Config, kind: &'static str, names: &[&str], wanted: &Selector) -> Vec<Arc<Quota>> {
        let limits = config.limits.iter().filter(|at| at.value.selector == *wanted).map(|at| Rule::Limit(at.value.rule));
        let budgets = config.budgets.iter().filter(|at| at.value.selector == *wanted);
        let budgets = budgets.map(|at| Rule::Budget(Box::new(at.value.rule.clone())));
        limits.chain(budgets).map(|rule| self.quota(kind, names, &rule)).collect()
    }

    /// Ends with those that are found by model or tag.
    pub(crate) fn finish(mut self, config: &Config) -> Quotas {
        let mut by_model: Vec<(Pattern, List)> = Vec::new();
        for (provider, entry) in config.providers.iter() {
            for model in &entry.models {
                let id = format!("{}/{}", provider.value, model.name.value);
                let list = self.list("model", &[&id], &model.limits, &model.budgets);
                if !list.is_empty() {
                    by_model.push((Pattern::new(&id), list));
                }
            }
        }
        let mut by_tag = Vec::new();
        let selectors = config.limits.iter().map(|at| &at.value.selector).chain(config.budgets.iter().map(|at| &at.value.selector));
        let mut done: Vec<&Selector> = Vec::new();
        for selector in selectors {
            if done.contains(&selector) {
                continue;
            }
            done.push(selector);
            match selector {
                Selector::Model(pattern) => {
                    by_model.push((Pattern::new(pattern), self.selected(config, "model", &[pattern], selector).into()));
                }
                Selector::Tag { name, value } => {
                    let id = format!("{name}={value}");
                    let list = self.selected(config, "tag", &[&id], selector);
                    by_tag.push((name.as_str().into(), value.as_str().into(), list.into()));
                }
                Selector::All | Selector::Provider(_) => {}
            }
        }
        let floor = config.reserve.output_tokens_floor();
        Quotas::new(self.list, self.maker, ModelQuotas(by_model), TagQuotas(by_tag), floor)
    }

    fn quota(&mut self, kind: &'static str, names: &[&str], rule: &Rule) -> Arc<Quota> {
        let draft = make::draft(kind, names, rule, |id| self.taken.insert(id));
        let before = self.previous.and_then(|previous| previous.by_id(draft.account_id, &draft.id));
        let account = before.map_or_else(|| Arc::new(self.maker.account(draft.terms)), |before| before.account.clone());
        let quota = draft.on(account);
        self.list.push(quota.clone());
        quota
    }
}

fn rules<'c>(limits: &'c [At<Limit>], budgets: &'c [At<Budget>]) -> impl Iterator<Item = Rule> + use<'c> {
    let budgets = budgets.iter().map(|at| Rule::Budget(Box::new(at.value.clone())));
    limits.iter().map(|at| Rule::Limit(at.value)).chain(budgets)
}

/// Whether `rules` are what the limits and budgets say, in their order.
fn says(rules: &[Rule], sources: [(&[At<Limit>], &[At<Budget>]); 2]) -> bool {
    let mut rules = rules.iter();
    sources.into_iter().all(|(limits, budgets)| {
        limits.iter().all(|at| matches!(rules.next(), Some(Rule::Limit(rule)) if *rule == at.value))
            && budgets.iter().all(|at| matches!(rules.next(), Some(Rule::Budget(rule)) if **rule == at.value))
    }) && rules.next().is_none()
}
