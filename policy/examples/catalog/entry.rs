//! One entry of the price file → one row of the catalog.

use std::collections::BTreeMap;

use ringway_policy::catalog::{Abilities, Mode, ModelFacts, Row};
use ringway_policy::cost::{DAILY, Family, Hours, OffPeak, Rate, Rates, Tariff, Usd};
use serde_json::value::RawValue;

use crate::keys::{FIRST_WINS, FLAGS, LEFT_OUT, MODES_LEFT_OUT, RATES, READ, SEARCHES, fits, take_apart};
use crate::report::Report;

/// An object with its values as they are written, so that no number ever becomes a float.
pub type Object = BTreeMap<String, Box<RawValue>>;

/// Modes in which text goes in and out: time and characters are no measure of them.
const TEXT_MODES: &[Mode] = &[Mode::Chat, Mode::Completion, Mode::Responses, Mode::Embedding, Mode::Rerank, Mode::Moderation];
const IMAGE_MODES: &[Mode] = &[Mode::ImageGeneration, Mode::ImageEdit];

/// The row of one entry.
///
/// # Errors
/// Why the whole entry is left out.
pub fn convert<'t>(id: &'t str, raw: &RawValue, strings: &'t Strings, report: &mut Report) -> Result<Row<'t>, String> {
    if id == "sample_spec" {
        return Err("the file's own documentation, no model".to_owned());
    }
    if id == "fallback_generalizations" {
        return Err("rules for names that the file has not, no model".to_owned());
    }
    if id.is_empty() || id.contains(['\t', '\n', '\r', ',']) {
        return Err("an id with a tab, a line break or a comma".to_owned());
    }
    let Ok(object) = serde_json::from_str::<Object>(raw.get()) else { return Err("no object".to_owned()) };
    let Some(provider) = object.get("litellm_provider").and_then(|raw| text(raw)) else { return Err("names no provider".to_owned()) };
    if provider.contains(char::is_whitespace) {
        return Err("its provider is a sentence, no name".to_owned());
    }
    let mode = object.get("mode").and_then(|raw| text(raw)).and_then(|word| {
        let mode = Mode::from_name(&word);
        if mode.is_none() {
            let reason = MODES_LEFT_OUT.iter().find(|(mode, _)| *mode == word).map_or("is not known", |(_, reason)| reason);
            report.odd(id, &format!("mode {word:?}: {reason}"));
        }
        mode
    });
    let rates = rates(id, &object, mode, report)?;
    let mut abilities = Abilities::default();
    for (flag, ability) in FLAGS {
        if object.get(*flag).is_some_and(|raw| raw.get() == "true") {
            abilities = abilities.with(*ability);
        }
    }
    let count = |key: &str| object.get(key).and_then(|raw| whole(&number(raw)?));
    for key in object.keys() {
        note_key(key, report);
    }
    let aliases: Vec<String> = object.get("aliases").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let facts = ModelFacts {
        id: id.into(),
        mode,
        context_tokens_max: count("max_input_tokens").or_else(|| count("max_tokens")).filter(|count| *count > 0),
        output_tokens_max: count("max_output_tokens").filter(|count| *count > 0),
        abilities,
        rates,
    };
    let aliases =
        aliases.into_iter().filter(|alias| !alias.is_empty() && !alias.contains(['\t', ',', '\n'])).map(|alias| strings.keep(alias));
    Ok(Row { provider: strings.keep(provider), aliases: aliases.collect(), facts })
}

/// Texts that live as long as the rows do.
#[derive(Default)]
pub struct Strings(std::cell::RefCell<Vec<&'static str>>);

impl Strings {
    fn keep(&self, text: String) -> &'static str {
        let mut all = self.0.borrow_mut();
        if let Some(found) = all.iter().find(|one| **one == text) {
            return found;
        }
        let kept: &'static str = Box::leak(text.into_boxed_str());
        all.push(kept);
        kept
    }
}

/// All rates of an entry; `None` where it has none.
fn rates(id: &str, object: &Object, mode: Option<Mode>, report: &mut Report) -> Result<Option<Rates>, String> {
    let mut found: Vec<Rate> = Vec::new();
    for (key, first) in RATES {
        for (name, raw) in object.range((*key).to_owned()..).take_while(|(name, _)| name.starts_with(key)) {
            let (stem, above, tariff) = take_apart(name);
            let left_out = LEFT_OUT.iter().any(|(pattern, _)| fits(pattern, name));
            if stem != *key || left_out {
                continue;
            }
            let Some(family) = of_mode(*first, mode) else {
                report.beside(name, "time or characters are no measure of a model that is charged for by token");
                continue;
            };
            let Some(text) = number(raw) else { continue };
            let per = if *key == "file_search_cost_per_1k_calls" { 3 } else { 0 };
            let usd = Usd::parse_per(&text, per).map_err(|wrong| format!("{name} is {text}: {wrong}"))?;
            push(&mut found, Rate { family, tariff, above, usd }, FIRST_WINS.contains(&family));
        }
    }
    if let Some(raw) = object.get("search_context_cost_per_query") {
        let fees: Object = serde_json::from_str(raw.get()).map_err(|_| "search_context_cost_per_query is no object".to_owned())?;
        for (key, family) in SEARCHES {
            if let Some(text) = fees.get(*key).and_then(|raw| number(raw)) {
                let usd = Usd::parse(&text).map_err(|wrong| format!("{key} is {text}: {wrong}"))?;
                found.push(Rate { family: *family, tariff: Tariff::Standard, above: 0, usd });
            }
        }
    }
    images(id, object, mode, &mut found)?;
    tiers(object, &mut found)?;
    let off_peak = off_peak(id, object, report)?;
    Ok((!found.is_empty()).then(|| Rates::new(found, off_peak)))
}

/// A family is one thing in one mode and nothing in another.
fn of_mode(family: Family, mode: Option<Mode>) -> Option<Family> {
    let is_text = mode.is_some_and(|mode| TEXT_MODES.contains(&mode));
    let is_video = mode == Some(Mode::VideoGeneration);
    match family {
        Family::Second if is_text || is_video => None,
        Family::Character if is_text => None,
        family => Some(family),
    }
}

fn push(found: &mut Vec<Rate>, rate: Rate, first_wins: bool) {
    let same = |other: &&mut Rate| (other.family, other.tariff, other.above) == (rate.family, rate.tariff, rate.above);
    match found.iter_mut().find(same) {
        Some(other) if !first_wins && rate.usd > other.usd => *other = rate,
        Some(_) => {}
        None => found.push(rate),
    }
}

/// An image made costs `output_cost_per_image`; in image modes else `input_cost_per_image`, else its pixels, where the id says
/// how many; else the dearest size that has a price.
fn images(id: &str, object: &Object, mode: Option<Mode>, found: &mut Vec<Rate>) -> Result<(), String> {
    let has = |found: &[Rate]| found.iter().any(|rate| rate.family == Family::Image && rate.above == 0 && rate.tariff == Tariff::Standard);
    if has(found) {
        return Ok(());
    }
    let standard = |usd| Rate { family: Family::Image, tariff: Tariff::Standard, above: 0, usd };
    let price = |key: &str| -> Result<Option<Usd>, String> {
        let Some(text) = object.get(key).and_then(|raw| number(raw)) else { return Ok(None) };
        Usd::parse(&text).map(Some).map_err(|wrong| format!("{key} is {text}: {wrong}"))
    };
    if mode.is_some_and(|mode| IMAGE_MODES.contains(&mode)) {
        if let Some(usd) = price("input_cost_per_image")? {
            found.retain(|rate| rate.family != Family::ImageRead);
            found.push(standard(usd));
            return Ok(());
        }
        let pixels = id.split('/').find_map(|part| {
            let (width, height) = part.split_once("-x-")?;
            width.parse::<u64>().ok()?.checked_mul(height.parse().ok()?)
        });
        let (input, output) = (price("input_cost_per_pixel")?, price("output_cost_per_pixel")?);
        if let (Some(pixels), true) = (pixels, input.or(output).is_some()) {
            let sum = Usd(input.unwrap_or_default().0 + output.unwrap_or_default().0);
            found.push(standard(sum.times(pixels).ok_or("too many pixels")?));
            return Ok(());
        }
    }
    let mut sizes = Vec::new();
    for key in object.keys().filter(|key| is_size(key)) {
        sizes.extend(price(key)?);
    }
    found.extend(sizes.into_iter().max().map(standard));
    Ok(())
}

/// `output_cost_per_image_1024`, `output_cost_per_image_4K`.
fn is_size(key: &str) -> bool {
    key.strip_prefix("output_cost_per_image_").is_some_and(|size| size.starts_with(|c: char| c.is_ascii_digit()))
}

/// `tiered_pricing`: rates for prompts above the lower end of a range. A range of results is no range of tokens; the dearest of
/// those holds.
fn tiers(object: &Object, found: &mut Vec<Rate>) -> Result<(), String> {
    let Some(raw) = object.get("tiered_pricing") else { return Ok(()) };
    let tiers: Vec<Object> = serde_json::from_str(raw.get()).map_err(|_| "tiered_pricing is no list of objects".to_owned())?;
    let mut queries = Vec::new();
    for tier in &tiers {
        let range =
            tier.get("range").map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).map_err(|_| "a range is no list".to_owned()));
        let above = match range.transpose()? {
            Some(range) => range
                .first()
                .and_then(|raw| whole(&number(raw)?))
                .and_then(|from| u32::try_from(from).ok())
                .ok_or("a range has no start")?,
            None => 0,
        };
        for (name, raw) in tier {
            let (stem, _, tariff) = take_apart(name);
            let Some((_, family)) = RATES.iter().find(|(key, _)| *key == stem) else {
                if matches!(name.as_str(), "range" | "max_results_range") {
                    continue;
                }
                return Err(format!("tiered_pricing has the key {name}, which is not known"));
            };
            let Some(text) = number(raw) else { continue };
            let usd = Usd::parse(&text).map_err(|wrong| format!("tiered_pricing {name} is {text}: {wrong}"))?;
            if tier.contains_key("max_results_range") {
                queries.push(Rate { family: *family, tariff, above: 0, usd });
                continue;
            }
            found.retain(|rate| (rate.family, rate.tariff, rate.above) != (*family, tariff, above));
            found.push(Rate { family: *family, tariff, above, usd });
        }
    }
    for rate in queries {
        push(found, rate, false);
    }
    Ok(())
}

/// `off_peak_pricing`: spans of hours, on all or some days of the week, and the rates that hold in them.
fn off_peak(id: &str, object: &Object, report: &mut Report) -> Result<Option<OffPeak>, String> {
    let Some(raw) = object.get("off_peak_pricing") else { return Ok(None) };
    let block: Object = serde_json::from_str(raw.get()).map_err(|_| "off_peak_pricing is no object".to_owned())?;
    let zone = block.get("weekday_timezone").and_then(|raw| text(raw));
    if zone.is_some_and(|zone| zone != "UTC") {
        report.odd(id, "its off-peak hours are on days of another time zone than UTC; the rates of other hours hold");
        return Ok(None);
    }
    let mut windows = Vec::new();
    if let Some(raw) = block.get("hours_utc") {
        windows.extend(spans(raw, DAILY)?);
    }
    if let Some(raw) = block.get("windows") {
        let list: Vec<Object> = serde_json::from_str(raw.get()).map_err(|_| "windows is no list of objects".to_owned())?;
        for window in &list {
            let days = window.get("weekdays").map_or(Ok(DAILY), |raw| weekdays(raw))?;
            windows.extend(spans(window.get("hours_utc").ok_or("a window has no hours_utc")?, days)?);
        }
    }
    let mut rates = Vec::new();
    for (name, raw) in &block {
        if matches!(name.as_str(), "hours_utc" | "windows" | "weekday_timezone") {
            continue;
        }
        let Some((_, family)) = RATES.iter().find(|(key, _)| key == name) else {
            return Err(format!("off_peak_pricing has the key {name}, which is not known"));
        };
        let Some(text) = number(raw) else { continue };
        rates.push((*family, Usd::parse(&text).map_err(|wrong| format!("off_peak_pricing {name} is {text}: {wrong}"))?));
    }
    if windows.is_empty() || rates.is_empty() {
        report.odd(id, "its off_peak_pricing has no hours or no rates");
        return Ok(None);
    }
    Ok(Some(OffPeak { windows: windows.into(), rates: rates.into() }))
}

fn spans(raw: &RawValue, days: u8) -> Result<Vec<Hours>, String> {
    let texts: Vec<String> = match text(raw) {
        Some(one) => vec![one],
        None => serde_json::from_str(raw.get()).map_err(|_| "hours_utc is neither text nor a list of texts".to_owned())?,
    };
    texts.iter().map(|text| Hours::parse(text, days).ok_or_else(|| format!("{text:?} is no span of hours"))).collect()
}

/// ISO numbers 1 to 7 or names of days.
fn weekdays(raw: &RawValue) -> Result<u8, String> {
    const DAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| "weekdays is no list".to_owned())?;
    let mut days = 0;
    for raw in list {
        let word = text(raw).unwrap_or_else(|| raw.get().to_owned()).to_ascii_lowercase();
        let by_name = DAYS.iter().position(|day| word.len() >= 3 && day.starts_with(&word));
        let by_number = || word.parse::<usize>().ok().filter(|day| (1..=7).contains(day)).map(|day| day - 1);
        days |= 1 << by_name.or_else(by_number).ok_or_else(|| format!("{word:?} is no day of the week"))?;
    }
    Ok(days)
}

/// What becomes of a key, for the report.
fn note_key(key: &str, report: &mut Report) {
    let (stem, _, _) = take_apart(key);
    let taken = READ.contains(&key) || FLAGS.iter().any(|(flag, _)| *flag == key) || is_size(key);
    match LEFT_OUT.iter().find(|(pattern, _)| fits(pattern, key)) {
        _ if taken => report.taken(key),
        Some((_, reason)) if !READ.contains(&key) => report.beside(key, reason),
        _ if RATES.iter().any(|(name, _)| *name == stem) => report.taken(key),
        _ => report.unknown(key),
    }
}

/// A JSON string's text.
fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A number as it is written, also where it is written as a string; nothing for null.
fn number(raw: &RawValue) -> Option<String> {
    let written = text(raw).unwrap_or_else(|| raw.get().to_owned());
    let written = written.trim();
    (written != "null").then(|| written.to_owned())
}

/// A whole number that may be written as 8192, 8192.0 or 8e3.
fn whole(text: &str) -> Option<u64> {
    let usd = Usd::parse_per(text, 9).ok()?;
    let unit = 10u128.pow(24 - 9);
    usd.0.is_multiple_of(unit).then(|| u64::try_from(usd.0 / unit).ok()).flatten()
}
