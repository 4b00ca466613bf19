//! Prices for a comparison: rows of a catalog and usages in, nano-dollars out.

use std::collections::BTreeMap;
use std::io::BufRead;

use ringway_policy::catalog::Catalog;
use ringway_policy::cost::{Margin, Rates, Tariff, Units};
use serde::Deserialize;

/// One question: what these units of this model cost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    id: String,
    provider: String,
    tariff: String,
    at: u64,
    margin: String,
    units: BTreeMap<String, u64>,
}

/// Answers each line of `questions` with one line: nano-dollars, `missing RATE` or `unpriced`.
///
/// # Errors
/// The line that is no question.
pub fn answer(catalog: &str, questions: impl BufRead) -> Result<String, String> {
    let catalog = Catalog::read(catalog);
    let rates: BTreeMap<(&str, &str), Option<&Rates>> =
        catalog.iter().map(|(provider, facts)| ((provider, &*facts.id), facts.rates.as_ref())).collect();
    let mut out = String::new();
    for line in questions.lines() {
        let line = line.map_err(|error| error.to_string())?;
        let question: Question = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
        let answer = match rates.get(&(question.provider.as_str(), question.id.as_str())) {
            None => "unknown".to_owned(),
            Some(None) => "unpriced".to_owned(),
            Some(Some(rates)) => price(rates, &question)?,
        };
        out.push_str(&answer);
        out.push('\n');
    }
    Ok(out)
}

fn price(rates: &Rates, question: &Question) -> Result<String, String> {
    let tariff = Tariff::WORDS.iter().find(|(word, _)| *word == question.tariff).ok_or("no such tariff")?.1;
    let rates = rates.clone().with_margin(Margin::parse(&question.margin)?);
    let units = units(&question.units)?;
    Ok(match rates.price_units(&units, tariff, question.at) {
        Ok(nanos) => nanos.0.to_string(),
        Err(missing) => format!("missing {}", missing.rate),
    })
}

fn units(counts: &BTreeMap<String, u64>) -> Result<Units, String> {
    let mut units = Units::default();
    for (name, count) in counts {
        let field = match name.as_str() {
            "input" => &mut units.input,
            "cached_read" => &mut units.cached_read,
            "cached_write" => &mut units.cached_write,
            "cached_write_1h" => &mut units.cached_write_1h,
            "cached_write_12h" => &mut units.cached_write_12h,
            "audio_input" => &mut units.audio_input,
            "image_input" => &mut units.image_input,
            "output" => &mut units.output,
            "reasoning" => &mut units.reasoning,
            "audio_output" => &mut units.audio_output,
            "image_output" => &mut units.image_output,
            "citations" => &mut units.citations,
            "images" => &mut units.images,
            "images_read" => &mut units.images_read,
            "audio_ms" => &mut units.audio_ms,
            "characters" => &mut units.characters,
            "pages" => &mut units.pages,
            "requests" => &mut units.requests,
            "queries" => &mut units.queries,
            "searches_low" => &mut units.searches_low,
            "searches_medium" => &mut units.searches_medium,
            "searches_high" => &mut units.searches_high,
            "maps_queries" => &mut units.maps_queries,
            "file_searches" => &mut units.file_searches,
            "code_sessions" => &mut units.code_sessions,
            other => return Err(format!("no unit {other:?}")),
        };
        *field = *count;
    }
    Ok(units)
}
