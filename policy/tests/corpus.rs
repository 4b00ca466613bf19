//! The usage of every recorded answer is priced where the catalog has its model.

#[allow(dead_code, reason = "the suite of the codecs uses the rest")]
#[path = "../../adapters/tests/corpus/apis.rs"]
mod apis;
#[path = "../../adapters/tests/corpus/base64.rs"]
mod base64;
#[allow(dead_code, reason = "the suite of the codecs uses the rest")]
#[path = "../../adapters/tests/corpus/left_out.rs"]
mod left_out;
#[allow(dead_code, reason = "the suite of the codecs uses the rest")]
#[path = "../../adapters/tests/corpus/load.rs"]
mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use load::{Exchange, Part, Reply};
use ringway_adapters::event::Event;
use ringway_adapters::provider::builtin;
use ringway_adapters::usage::{Tariff, Usage};
use ringway_policy::catalog::{self, ModelFacts};

/// Any time will do: off-peak hours have rates, too.
const AT_UNIX_S: u64 = 1_763_596_800;

#[derive(Default)]
struct Row {
    priced: usize,
    /// The catalog has no such model, or no rates of it.
    unknown: BTreeSet<String>,
    unknown_count: usize,
    /// The provider told no usage.
    unmetered: usize,
}

#[test]
fn every_usage_is_priced_where_the_catalog_has_the_model() {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut failures = Vec::new();
    for exchange in load::exchanges().expect("the recordings are readable") {
        let is_answer = exchange.status < 400 && left_out::reason(&exchange, Part::Answer).is_none();
        let Some(events) = is_answer.then(|| decode(&exchange)).flatten() else { continue };
        let row = rows.entry(format!("{} {}", exchange.provider, exchange.api)).or_default();
        let told = events.iter().rev().find_map(|event| if let Event::Usage { usage, .. } = event { Some(*usage) } else { None });
        let Some(usage) = told else {
            row.unmetered += 1;
            continue;
        };
        match facts(&exchange, &events).and_then(|facts| price(&facts, &usage)) {
            None => {
                row.unknown_count += 1;
                row.unknown.insert(exchange.model.clone());
            }
            Some(Ok(())) => row.priced += 1,
            Some(Err(why)) => failures.push(format!("{}: {why}", exchange.id)),
        }
    }
    println!("{:<36} {:>8} {:>16} {:>10}", "provider api", "priced", "not in catalog", "no usage");
    for (name, row) in &rows {
        println!("{name:<36} {:>8} {:>16} {:>10}", row.priced, row.unknown_count, row.unmetered);
    }
    for (name, row) in rows.iter().filter(|(_, row)| !row.unknown.is_empty()) {
        println!("not in the catalog: {name}: {}", row.unknown.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
    }
    let priced: usize = rows.values().map(|row| row.priced).sum();
    println!("count: {priced} usages priced, {} failed", failures.len());
    assert!(failures.is_empty() && priced > 1_000, "{priced} priced; {failures:#?}");
}

/// The events of an answer that is whole; the codecs' own suite looks at the others.
fn decode(exchange: &Exchange) -> Option<Vec<Event>> {
    let row = exchange.row.dialect(exchange)?;
    let mut events = Vec::new();
    match &exchange.reply {
        Reply::Json(body) => (row.decode_answer)(&mut body.to_string().into_bytes(), &mut events).ok()?,
        Reply::Stream { bytes, .. } => {
            let mut decoder = (row.stream_decoder)();
            decoder.feed(bytes, &mut events).and_then(|()| decoder.finish(&mut events)).ok()?;
        }
        _ => return None,
    }
    Some(events)
}

/// By the name that was asked for, else by the one that answered.
fn facts(exchange: &Exchange, events: &[Event]) -> Option<Arc<ModelFacts>> {
    let answered = events.iter().find_map(|event| if let Event::Start { model, .. } = event { Some(model.as_str()) } else { None });
    let asked = exchange.request.as_ref().and_then(|body| body["model"].as_str()).unwrap_or(&exchange.model);
    let known = builtin(&exchange.provider).map(|provider| provider.catalog.clone()).filter(|names| !names.is_empty());
    let names = known.unwrap_or_else(|| vec![exchange.provider.clone()]);
    [Some(asked), answered].into_iter().flatten().find_map(|model| names.iter().find_map(|name| catalog::find(name, model)))
}

/// `None` where the catalog has no rates.
fn price(facts: &ModelFacts, usage: &Usage) -> Option<Result<(), String>> {
    let rates = facts.rates.as_ref()?;
    let cost = match rates.price(usage, Tariff::Standard, AT_UNIX_S) {
        Ok(cost) => cost.to_string(),
        Err(missing) => return Some(Err(format!("{}: {missing:?} of {usage:?}", facts.id))),
    };
    let is_free = rates.iter().all(|rate| rate.usd.0 == 0);
    let is_nothing = cost.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let is_right = is_free || usage.total() == 0 || !is_nothing;
    Some(if is_right { Ok(()) } else { Err(format!("{} is free of charge for {usage:?}", facts.id)) })
}
