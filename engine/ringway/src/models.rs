//! `ringway models`: what is configured and what the catalog has, with context windows and prices.

use std::fmt::Write as _;

use ringway_adapters::provider::Provider;
use ringway_control::reload::Source;
use ringway_policy::catalog::{self, ModelFacts};
use ringway_policy::config::ProviderConfig;
use ringway_policy::cost::{FAMILIES, Family, Side};
use ringway_policy::pattern::Pattern;

/// The rates that are shown, dollars for a million tokens.
const SHOWN: &[(&str, Family)] = &[("INPUT", Family::Input), ("CACHED", Family::CachedRead), ("OUTPUT", Family::Output)];
/// Wider names push their line's columns to the right.
const NAME_WIDTH_MAX: usize = 72;
const LEGEND: &str = "\nDollars for a million tokens, behind them for one of what is named; without margin; - is unknown\n";
const SEARCHES: &[Family] = &[Family::SearchLow, Family::SearchMedium, Family::SearchHigh];

/// Every route and listed model, as clients name them.
///
/// # Errors
/// Why the configuration is not good.
pub fn configured(source: &Source) -> Result<String, String> {
    let config = source.load().map_err(|refusal| refusal.to_string())?;
    let snapshot = source.compile(&config, None).map_err(|refusal| refusal.to_string())?;
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut push = |provider: &str, model: &str| {
        let facts = snapshot.provider_index(provider).and_then(|index| snapshot.facts(index, model));
        lines.push((format!("{provider}/{model}"), columns(facts.as_deref())));
    };
    for upstream in snapshot.providers.iter().filter(|upstream| upstream.builtin) {
        upstream.models.iter().for_each(|model| push(&upstream.name, model));
    }
    for (provider, entry) in config.providers.iter() {
        entry.models.iter().for_each(|model| push(&provider.value, &model.name.value));
    }
    for (provider, entry) in config.providers.iter().filter(|(_, entry)| entry.models.is_empty()) {
        let known = snapshot.provider_index(&provider.value).map(|index| &*snapshot.providers[index].provider);
        let prices = match name_in_catalog(known, entry) {
            Some(name) => format!("; prices: ringway models --catalog '{name}/*'"),
            None => String::new(),
        };
        lines.push((format!("{}/*", provider.value), format!("  any model of its API{prices}")));
    }
    for (name, route) in config.routes.iter() {
        let targets: Vec<&str> = route.models().map(|at| at.value.as_str()).collect();
        lines.push((name.value.clone(), format!("  -> {}", targets.join(", "))));
    }
    Ok(table(&lines))
}

/// What the catalog calls a provider.
fn name_in_catalog<'c>(provider: Option<&'c Provider>, entry: &'c ProviderConfig) -> Option<&'c str> {
    match &entry.catalog {
        Some(name) => Some(name.value.as_str()).filter(|name| *name != "none"),
        None if entry.like.is_some() => None,
        None => provider.and_then(|provider| provider.catalog.first()).map(String::as_str),
    }
}

/// The catalog's models whose `provider/id` holds `pattern`, or fits it where it has a `*`; then the provider may be left out.
///
/// # Errors
/// There is none.
pub fn catalog(pattern: &str) -> Result<String, String> {
    let (as_pattern, part) = (Pattern::new(pattern), pattern.to_ascii_lowercase());
    let fits = |name: &str, facts: &ModelFacts| match pattern.contains('*') {
        true => as_pattern.matches(&facts.id) || as_pattern.matches(name),
        false => name.to_ascii_lowercase().contains(&part),
    };
    let named = catalog::catalog().iter().map(|(provider, facts)| (full_name(provider, facts), facts));
    let mut lines: Vec<(String, String)> =
        named.filter(|(name, facts)| fits(name, facts)).map(|(name, facts)| (name, columns(Some(facts)))).collect();
    if lines.is_empty() {
        return Err(format!("no model of the catalog's {} fits {pattern:?}", catalog::catalog().iter().count()));
    }
    lines.sort();
    Ok(table(&lines))
}

/// As a configuration's `catalog` takes it from any provider.
fn full_name(provider: &str, facts: &ModelFacts) -> String {
    let has_provider = facts.id.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'));
    if has_provider { facts.id.to_string() } else { format!("{provider}/{}", facts.id) }
}

fn table(lines: &[(String, String)]) -> String {
    let names = lines.iter().map(|(name, _)| name.chars().count());
    let width = names.filter(|width| *width <= NAME_WIDTH_MAX).max().unwrap_or(0).max("MODEL".len());
    let rates: String = SHOWN.iter().map(|(name, _)| format!(" {name:>9}")).collect();
    let mut out = format!("{:<width$}   CONTEXT{rates}\n", "MODEL");
    for (name, columns) in lines {
        let _ = writeln!(out, "{name:<width$}{columns}");
    }
    out + LEGEND
}

fn columns(facts: Option<&ModelFacts>) -> String {
    let rates = facts.and_then(|facts| facts.rates.as_ref());
    let context = facts.and_then(|facts| facts.context_tokens_max).map_or_else(|| "-".to_owned(), |tokens| tokens.to_string());
    let usd = |family: Family| rates.and_then(|rates| rates.standard(family));
    let mut out = format!(" {context:>9}");
    for (_, family) in SHOWN {
        let usd = usd(*family).map_or_else(|| "-".to_owned(), |usd| usd.per_million().to_string());
        let _ = write!(out, " {usd:>9}");
    }
    // Most charge the same for a search of any size.
    let one_search = usd(Family::SearchMedium).is_some() && SEARCHES.iter().all(|family| usd(*family) == usd(Family::SearchMedium));
    // What is charged for by the piece: an image, a second, a search.
    for (family, name, ..) in FAMILIES.iter().filter(|row| row.2 == Side::Unit) {
        let is_told = one_search && SEARCHES.contains(family) && *family != Family::SearchMedium;
        if let Some(usd) = usd(*family).filter(|_| !is_told) {
            let _ = write!(out, "  {name} {usd}");
        }
    }
    out
}
