//! The file's limits and budgets → quotas. Accounts of the snapshot before live on under their ids.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ahash::{AHashMap, AHashSet};

use super::set::{ModelQuotas, Quotas, TagQuotas};
use super::{Counts, Exhaust, List, Quota, Rule};
use crate::config::{Amount, At, Budget, Config, Limit, Measure, OnExhaust, ProfileConfig, Selector};
use crate::lease::{Account, CalendarUnit, Terms, Window};
use crate::pattern::Pattern;

/// Who spends from the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Alone,
    Cluster,
}

/// Makes the quotas of one snapshot.
pub(crate) struct Compiler<'a> {
    previous: Option<&'a Quotas>,
    shard_count: usize,
    /// Other gateways spend from the same accounts.
    sharing: Sharing,
    list: Vec<Arc<Quota>>,
    taken: AHashSet<u64>,
    of_all: List,
    of_teams: AHashMap<&'a str, List>,
    of_customers: AHashMap<&'a str, List>,
}

impl<'a> Compiler<'a> {
    /// Begins with those that many share: of everyone, of teams, of customers.
    pub(crate) fn new(config: &'a Config, previous: Option<&'a Quotas>, shard_count: usize) -> Compiler<'a> {
        let (of_teams, of_customers) = (AHashMap::new(), AHashMap::new());
        let (list, taken) = (Vec::new(), AHashSet::new());
        let sharing = if config.state.is_some() { Sharing::Cluster } else { Sharing::Alone };
        let mut compiler = Compiler { previous, shard_count, sharing, list, taken, of_all: Arc::from([]), of_teams, of_customers };
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

    /// Those of everyone.
    pub(crate) fn of_all(&self) -> List {
        self.of_all.clone()
    }

    /// Those that a key is held to: its own, its profile's (a template: each key has accounts of its own), its team's, its customer's and everyone's. Shared where only one has some.
    pub(crate) fn of_key(
        &mut self,
        name: &str,
        limits: &[At<Limit>],
        budgets: &[At<Budget>],
        profile: Option<&ProfileConfig>,
        team: Option<&str>,
        customer: Option<&str>,
    ) -> List {
        let own = self.list("key", &[name], limits, budgets);
        let inherited = profile.map(|profile| self.list("key", &[name], &profile.limits, &profile.budgets));
        let of_team = team.and_then(|team| self.of_teams.get(team));
        let of_customer = customer.and_then(|customer| self.of_customers.get(customer));
        let lists = || {
            [Some(&own), inherited.as_ref(), of_team, of_customer, Some(&self.of_all)].into_iter().flatten().filter(|list| !list.is_empty())
        };
        match (lists().next(), lists().nth(1)) {
            (None, _) => Arc::from([]),
            (Some(only), None) => only.clone(),
            _ => lists().flat_map(|list| list.iter().cloned()).collect(),
        }
    }

    /// The quotas of someone or something: `kind` is the first word of their ids, `names` are the next ones.
    pub(crate) fn list(&mut self, kind: &'static str, names: &[&str], limits: &[At<Limit>], budgets: &[At<Budget>]) -> List {
        if limits.is_empty() && budgets.is_empty() {
            return Arc::from([]);
        }
        let limits: Vec<Arc<Quota>> = limits.iter().map(|at| self.limit(kind, names, &at.value)).collect();
        let budgets = budgets.iter().map(|at| self.budget(kind, names, &at.value));
        limits.into_iter().chain(budgets).collect()
    }

    /// The quotas of the whole file that `wanted` selects.
    pub(crate) fn selected(&mut self, config: &Config, kind: &'static str, names: &[&str], wanted: &Selector) -> Vec<Arc<Quota>> {
        let limits = config.limits.iter().filter(|at| at.value.selector == *wanted).map(|at| &at.value.rule);
        let budgets = config.budgets.iter().filter(|at| at.value.selector == *wanted).map(|at| &at.value.rule);
        let limits: Vec<Arc<Quota>> = limits.map(|limit| self.limit(kind, names, limit)).collect();
        limits.into_iter().chain(budgets.map(|budget| self.budget(kind, names, budget))).collect()
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
        Quotas::new(self.list, ModelQuotas(by_model), TagQuotas(by_tag), config.reserve.output_tokens_floor())
    }

    fn limit(&mut self, kind: &'static str, names: &[&str], limit: &Limit) -> Arc<Quota> {
        let word = limit.measure.word();
        let (terms, span) = match limit.per {
            Some(per) => (Terms::Rate { count: limit.count, per_ns: per.as_nanos() as u64 }, Some(period(per))),
            None => (Terms::Concurrent { count: limit.count }, None),
        };
        let allows = match &span {
            Some(span) => format!("{} {} per {span}", limit.count, word.replace('_', " ")),
            None => format!("{} at once", limit.count),
        };
        self.quota(kind, names, (word, span), allows, Counts::Measure(limit.measure), terms, Rule::Limit(*limit))
    }

    fn budget(&mut self, kind: &'static str, names: &[&str], budget: &Budget) -> Arc<Quota> {
        let (word, amount, counts, text) = match budget.amount {
            Amount::Usd(usd) => ("usd", usd.0, Counts::Usd, format!("{usd} USD")),
            Amount::Tokens(tokens) => ("tokens", tokens, Counts::Measure(Measure::Tokens), format!("{tokens} tokens")),
        };
        let span = match budget.window {
            Window::FirstSpend { per_ms } => period(Duration::from_millis(per_ms)),
            Window::Calendar { unit, .. } => calendar(unit).to_owned(),
        };
        let terms = Terms::Window { amount, window: budget.window };
        let allows = format!("{text} per {span}");
        // A token budget and a token limit of one stretch are two things.
        let word = if word == "tokens" { "budget-tokens" } else { word };
        self.quota(kind, names, (word, Some(span)), allows, counts, terms, Rule::Budget(Box::new(budget.clone())))
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a quota")]
    fn quota(
        &mut self,
        kind: &'static str,
        names: &[&str],
        (word, span): (&str, Option<String>),
        allows: String,
        counts: Counts,
        terms: Terms,
        rule: Rule,
    ) -> Arc<Quota> {
        let (shadow, on_exhaust) = match &rule {
            Rule::Limit(limit) => (limit.shadow, Exhaust::Refuse),
            Rule::Budget(budget) => (budget.shadow, exhaust(&budget.on_exhaust)),
        };
        let (mut id, mut owner) = (kind.to_owned(), kind.to_owned());
        for name in names {
            id.push('/');
            escape(name, &mut id);
            let _ = write!(owner, " {name:?}");
        }
        let _ = write!(id, "/{word}");
        if let Some(span) = span {
            let _ = write!(id, "/{span}");
        }
        // The same thing said twice is two accounts; the second keeps its place behind the first.
        let plain = id.len();
        let mut count = 1;
        while !self.taken.insert(hash(&id)) {
            count += 1;
            id.truncate(plain);
            let _ = write!(id, "/{count}");
        }
        let account_id = hash(&id);
        let before = self.previous.and_then(|previous| previous.by_id(account_id, &id));
        let before = before.filter(|before| before.account.is_shared() == (self.sharing == Sharing::Cluster));
        let account = match (before, self.sharing) {
            (Some(before), _) => before.account.clone(),
            (None, Sharing::Alone) => Arc::new(Account::new(self.shard_count, terms)),
            (None, Sharing::Cluster) => Arc::new(Account::shared(self.shard_count, terms)),
        };
        let owner = if kind == "all" { "everyone".into() } else { owner.into() };
        let (id, allows) = (id.into(), allows.into());
        let quota = Arc::new(Quota { id, account_id, kind, owner, allows, counts, terms, shadow, on_exhaust, rule, account });
        self.list.push(quota.clone());
        quota
    }
}

fn exhaust(config: &OnExhaust) -> Exhaust {
    match config {
        OnExhaust::Refuse => Exhaust::Refuse,
        OnExhaust::Cut => Exhaust::Cut,
        OnExhaust::Downgrade(route) => Exhaust::Downgrade(route.value.as_str().into()),
    }
}

/// FNV-1a with Murmur3's finish. It stands in journals on disk: it must not change.
fn hash(id: &str) -> u64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// A name within an id: a slash in it must not begin another part.
fn escape(name: &str, out: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'/' && byte != b'%' {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The largest unit that says it in a whole number: `1m`, `90s`, `1mo`.
fn period(per: Duration) -> String {
    const UNITS: &[(&str, u128)] =
        &[("mo", 30 * 86_400_000), ("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let ms = per.as_millis();
    let (unit, factor) = UNITS.iter().find(|(_, factor)| ms.is_multiple_of(*factor)).copied().unwrap_or(("ms", 1));
    format!("{}{unit}", ms / factor)
}

fn calendar(unit: CalendarUnit) -> &'static str {
    match unit {
        CalendarUnit::Hour => "hour",
        CalendarUnit::Day => "day",
        CalendarUnit::Week => "week",
        CalendarUnit::Month { .. } => "month",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_written_as_people_do() {
        for (seconds, text) in [(60, "1m"), (90, "90s"), (86_400, "1d"), (2_592_000, "1mo"), (1_209_600, "2w"), (1, "1s")] {
            assert_eq!(period(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_slash_in_a_name_begins_no_other_part() {
        let mut out = String::new();
        escape("openai/gpt 4%*=é", &mut out);
        assert_eq!(out, "openai%2Fgpt%204%25*=%C3%A9");
    }
}
