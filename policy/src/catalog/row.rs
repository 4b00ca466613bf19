//! One line of the catalog: a model of one provider, its columns apart by tabs.

use super::{Abilities, Mode, ModelFacts};
use crate::cost::Rates;

/// The columns, in their order. `-` stands for what is not known.
pub const COLUMNS: &[&str] = &["id", "provider", "mode", "context", "output_max", "abilities", "aliases", "rates", "off_peak"];

/// One model.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'t> {
    /// As the catalog's source calls its provider.
    pub provider: &'t str,
    pub aliases: Vec<&'t str>,
    pub facts: ModelFacts,
}

/// What a line is found by.
#[derive(Debug, PartialEq)]
pub(super) struct Head<'t> {
    pub id: &'t str,
    pub provider: &'t str,
    aliases: &'t str,
}

impl<'t> Head<'t> {
    /// `None` where the line has too few columns.
    pub fn of(line: &'t str) -> Option<Head<'t>> {
        let (id, rest) = line.split_once('\t')?;
        let (provider, rest) = rest.split_once('\t')?;
        // Behind mode, context, output_max and abilities.
        let aliases = rest.split('\t').nth(4)?;
        Some(Head { id, provider, aliases })
    }

    pub fn aliases(&self) -> impl Iterator<Item = &'t str> {
        words(self.aliases)
    }
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|word| *word != "-")
}

impl<'t> Row<'t> {
    /// Reads one line. `None` where anything is not as `write` writes it.
    pub fn parse(line: &'t str) -> Option<Row<'t>> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        let (id, provider, mode, context, output_max) = (next()?, next()?, next()?, next()?, next()?);
        let (abilities, aliases, rates, off_peak) = (next()?, next()?, next()?, next()?);
        let mut abilities = words(abilities).map(Abilities::from_name);
        let rates = if rates == "-" { None } else { Some(Rates::parse(rates, off_peak)?) };
        let facts = ModelFacts {
            id: id.into(),
            mode: if mode == "-" { None } else { Some(Mode::from_name(mode)?) },
            context_tokens_max: count(context)?,
            output_tokens_max: count(output_max)?,
            abilities: abilities.try_fold(Abilities::default(), |all, one| Some(all.with(one?)))?,
            rates,
        };
        columns.next().is_none().then(|| Row { provider, aliases: words(aliases).collect(), facts })
    }

    /// The line, without its end.
    pub fn write(&self) -> String {
        let facts = &self.facts;
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let columns = [
            facts.id.to_string(),
            self.provider.to_owned(),
            facts.mode.map_or("-", Mode::name).to_owned(),
            count(facts.context_tokens_max),
            count(facts.output_tokens_max),
            facts.abilities.to_string(),
            or_none(self.aliases.join(",")),
            facts.rates.as_ref().map_or_else(|| "-".to_owned(), Rates::to_string),
            facts.rates.as_ref().map_or_else(|| "-".to_owned(), Rates::off_peak_text),
        ];
        columns.join("\t")
    }
}

fn count(text: &str) -> Option<Option<u64>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_as_it_is_read() {
        for line in [
            "m\tp\tchat\t128000\t4096\tvision,tools\tm-latest,m-2\tinput=0.000001 output=0\t16:30-00:30 input=0",
            "a/b c\tp\t-\t-\t-\t-\t-\t-\t-",
        ] {
            assert_eq!(Row::parse(line).unwrap().write(), line);
            assert_eq!(line.split('\t').count(), COLUMNS.len());
            let (row, head) = (Row::parse(line).unwrap(), Head::of(line).unwrap());
            assert_eq!((head.id, head.provider), (&*row.facts.id, row.provider));
            assert_eq!(head.aliases().collect::<Vec<_>>(), row.aliases);
        }
    }

    #[test]
    fn a_line_that_is_not_whole_is_refused() {
        for line in [
            "",
            "m\tp",
            "m\tp\ttalk\t-\t-\t-\t-\t-\t-",
            "m\tp\t-\tx\t-\t-\t-\t-\t-",
            "m\tp\t-\t-\t-\tfly\t-\t-\t-",
            "m\tp\t-\t-\t-\t-\t-\t-\t-\t-",
        ] {
            assert_eq!(Row::parse(line), None, "{line:?}");
        }
    }
}
