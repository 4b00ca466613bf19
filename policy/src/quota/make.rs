//! One rule of the file → a quota: its id, and its words for people.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::{Counts, Exhaust, Quota, Rule};
use crate::config::{Amount, Measure, OnExhaust};
use crate::lease::{Account, CalendarUnit, Terms, Window};

/// A quota that has no account yet.
pub(super) struct Draft {
    pub id: String,
    pub account_id: u64,
    pub terms: Terms,
    kind: &'static str,
    owner: Box<str>,
    allows: Box<str>,
    counts: Counts,
    rule: Rule,
}

/// What `rule` means for someone or something: `kind` is the first word of its id, `names` are the next ones. `take` gives
/// `false` for an id that is taken: the same thing said twice is two accounts; the second keeps its place behind the first.
pub(super) fn draft(kind: &'static str, names: &[&str], rule: &Rule, mut take: impl FnMut(u64) -> bool) -> Draft {
    let Words { word, span, allows, counts, terms } = words(rule);
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
    let plain = id.len();
    let mut count = 1;
    while !take(hash(&id)) {
        count += 1;
        id.truncate(plain);
        let _ = write!(id, "/{count}");
    }
    let owner = if kind == "all" { "everyone".into() } else { owner.into() };
    Draft { account_id: hash(&id), id, terms, kind, owner, allows: allows.into(), counts, rule: rule.clone() }
}

impl Draft {
    pub fn on(self, account: Arc<Account>) -> Arc<Quota> {
        let Draft { id, account_id, terms, kind, owner, allows, counts, rule } = self;
        let (shadow, on_exhaust) = match &rule {
            Rule::Limit(limit) => (limit.shadow, Exhaust::Refuse),
            Rule::Budget(budget) => (budget.shadow, exhaust(&budget.on_exhaust)),
        };
        Arc::new(Quota {
            id: id.into(),
            account_id,
            kind,
            owner,
            allows,
            counts,
            terms,
            shadow,
            on_exhaust,
            rule,
            account,
            is_retired: Default::default(),
        })
    }
}

struct Words {
    word: &'static str,
    span: Option<String>,
    allows: String,
    counts: Counts,
    terms: Terms,
}

fn words(rule: &Rule) -> Words {
    match rule {
        Rule::Limit(limit) => {
            let word = limit.measure.word();
            let (terms, span) = match limit.per {
                Some(per) => (Terms::Rate { count: limit.count, per_ns: per.as_nanos() as u64 }, Some(period(per))),
                None => (Terms::Concurrent { count: limit.count }, None),
            };
            let allows = match &span {
                Some(span) => format!("{} {} per {span}", limit.count, word.replace('_', " ")),
                None => format!("{} at once", limit.count),
            };
            Words { word, span, allows, counts: Counts::Measure(limit.measure), terms }
        }
        Rule::Budget(budget) => {
            // A token budget and a token limit of one stretch are two things.
            let (word, amount, counts, text) = match budget.amount {
                Amount::Usd(usd) => ("usd", usd.0, Counts::Usd, format!("{usd} USD")),
                Amount::Tokens(tokens) => ("budget-tokens", tokens, Counts::Measure(Measure::Tokens), format!("{tokens} tokens")),
            };
            let span = match budget.window {
                Window::FirstSpend { per_ms } => period(Duration::from_millis(per_ms)),
                Window::Calendar { unit, .. } => calendar(unit).to_owned(),
            };
            let allows = format!("{text} per {span}");
            Words { word, span: Some(span), allows, counts, terms: Terms::Window { amount, window: budget.window } }
        }
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
