//! `price` of a model: rates as an operator writes them, dollars for a million tokens.

use super::Problem;
use super::node::Node;
use super::read::{self, Fields, note};
use crate::cost::{FAMILIES, Family, Rate, Side, Tariff, Usd};

/// Most tiers of one tariff.
const TIERS_MAX: usize = 16;

/// Reads rates, those of each tariff, and those of each tier.
pub(super) fn read(node: &Node, problems: &mut Vec<Problem>) -> Vec<Rate> {
    let mut rates = Vec::new();
    let Some(mut fields) = Fields::open(node, "a price", problems) else { return rates };
    read_tariff(&mut fields, Tariff::Standard, &mut rates, problems);
    for (name, tariff) in Tariff::WORDS.iter().filter(|(_, tariff)| *tariff != Tariff::Standard) {
        let Some(mut fields) = fields.take(name).and_then(|node| Fields::open(node, name, problems)) else { continue };
        read_tariff(&mut fields, *tariff, &mut rates, problems);
        fields.close(problems);
    }
    fields.close(problems);
    rates
}

fn read_tariff(fields: &mut Fields<'_>, tariff: Tariff, rates: &mut Vec<Rate>, problems: &mut Vec<Problem>) {
    read_rates(fields, tariff, 0, rates, problems);
    let Some(node) = fields.take("tiers") else { return };
    let tiers = read::items(node, "tiers", problems);
    if tiers.len() > TIERS_MAX {
        note(problems, node.place, format!("{} tiers are more than the {TIERS_MAX} that a price may have", tiers.len()));
    }
    for node in tiers.iter().take(TIERS_MAX) {
        let Some(mut fields) = Fields::open(node, "a tier", problems) else { continue };
        let above = fields.take("above");
        if above.is_none() {
            note(problems, node.place, "a tier does not say where it begins; write {above: 200000, input: \"3.00\"}");
        }
        let above = above.and_then(|node| read::number(node, "above", 1, u32::MAX.into(), problems)).map(|at| at.value as u32);
        let mut of_tier = Vec::new();
        read_rates(&mut fields, tariff, above.unwrap_or(1), &mut of_tier, problems);
        fields.close(problems);
        rates.extend(above.is_some().then_some(of_tier).into_iter().flatten());
    }
}

fn read_rates(fields: &mut Fields<'_>, tariff: Tariff, above: u32, rates: &mut Vec<Rate>, problems: &mut Vec<Problem>) {
    for (family, name, ..) in FAMILIES {
        let Some(node) = fields.take(name) else { continue };
        let exponent = if is_per_million(*family) { 6 } else { 0 };
        let usd = read::parsed(node, name, problems, |text| {
            Usd::parse_per(text, exponent).map_err(|wrong| format!("{wrong}; write a decimal amount of dollars: \"0.15\""))
        });
        rates.extend(usd.map(|usd| Rate { family: *family, tariff, above, usd: usd.value }));
    }
}

/// Tokens and characters are priced by the million, as providers' pages have them; all else by the piece.
pub(crate) fn is_per_million(family: Family) -> bool {
    family.side() != Side::Unit || matches!(family, Family::Character | Family::Citation)
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use crate::cost::Rates;

    #[test]
    fn a_price_is_read_by_the_million_tokens_and_by_the_piece() {
        let text =
            "providers: {openai: {keys: [k], models: [{name: m, price: {input: \"0.15\", output: 0.60, image: \"0.04\", character: 15,
            batch: {input: 0.075}, tiers: [{above: 200000, input: 0.3}], flex: {tiers: [{above: 200000, input: 0.2}]}}}]}}";
        let config = parse(text, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let price = config.providers.get("openai").unwrap().models[0].price.clone();
        let expected = "input=0.00000015 input.above-200000=0.0000003 input.batch=0.000000075 input.above-200000.flex=0.0000002 \
                        output=0.0000006 image=0.04 character=0.000015";
        assert_eq!(Rates::new(price, None).to_string(), expected);
    }

    #[test]
    fn the_schema_and_the_reader_of_a_price_know_the_same_keys() {
        let text = "providers: {openai: {keys: [k], models: [{name: m, price: {zzzzzzzzzzzzzzzzzzzz: 1}}]}}";
        let problems = parse(text, &|_| None).unwrap_err();
        let mut known: Vec<&str> = problems[0].message.split_once("known keys: ").unwrap().1.split(", ").collect();
        known.sort_unstable();
        let schema = crate::config::schema();
        let items = &schema["$defs"]["ProviderConfig"]["properties"]["models"]["items"]["anyOf"][1]["properties"];
        let mut keys: Vec<&str> = items["price"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(known, keys);
    }
}
