//! The catalog in memory: where each row is, and every name that leads to one.
//!
//! To read it is one pass over the text that takes names and providers alone, a few milliseconds. A row is parsed when it is
//! first asked for, and kept; from then on it costs two hash look-ups, one atomic load and no allocation.

use std::sync::{Arc, OnceLock};

use ahash::AHashMap;

use super::row::Head;
use super::{ModelFacts, Row, names};
use crate::cost::Family;

/// Names in a request come from a network; longer ones are in no catalog.
const NAME_BYTES_MAX: usize = 256;
/// Micro-dollars in 10⁻²⁴ dollars.
const PER_MICRO: u128 = 1_000_000_000_000_000_000;

/// All models, found by their names.
#[derive(Debug, Default)]
pub struct Catalog<'t> {
    lines: Vec<Line<'t>>,
    /// Provider → name → where it leads.
    names: AHashMap<&'t str, AHashMap<&'t str, Entry>>,
}

/// One line of the text, and what stands in it once somebody asked.
#[derive(Debug)]
struct Line<'t> {
    provider: &'t str,
    text: &'t str,
    /// `None` where the line cannot be read.
    facts: OnceLock<Option<Arc<ModelFacts>>>,
}

/// Where a name leads.
#[derive(Clone, Copy, Debug)]
struct Entry {
    line: u32,
    rank: Rank,
}

/// How well a name fits a row; the higher one wins, and among equals the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The newest date of an undated name: the date's digits.
    Dated(u32),
    /// The dearest size of an image model, in micro-dollars.
    Sized(u32),
    Alias,
    /// Another provider's name that the id begins with.
    Prefix,
    Own,
}

impl<'t> Catalog<'t> {
    /// Reads the catalog's text. Comments begin with `#`; a line that cannot be read is left out, see `unreadable`.
    pub fn read(text: &'t str) -> Catalog<'t> {
        let mut catalog = Catalog::default();
        for line in lines(text) {
            if let Some(head) = Head::of(line) {
                catalog.add(line, &head);
            }
        }
        catalog.lines.shrink_to_fit();
        catalog
    }

    /// Lines that are neither comments nor rows.
    pub fn unreadable(text: &str) -> impl Iterator<Item = &str> {
        lines(text).filter(|line| Row::parse(line).is_none())
    }

    fn add(&mut self, text: &'t str, head: &Head<'t>) {
        let index = self.lines.len() as u32;
        let line = Line { provider: head.provider, text, facts: OnceLock::new() };
        let (first, rest) = head.id.split_once('/').unwrap_or(("", head.id));
        // `provider/model` is known under both, and under the provider that its name begins with: a company may have several
        // in the catalog's source, one for each kind of model.
        let prefix = if first == head.provider { Rank::Own } else { Rank::Prefix };
        let other = if first.is_empty() { None } else { Some((first, rest, prefix)) };
        let own = [Some((head.provider, head.id, Rank::Own)), other];
        for (provider, name, rank) in own.into_iter().flatten() {
            self.name(provider, name, index, rank);
            if let Some((stem, date)) = names::undated(name) {
                let date: u32 = date.bytes().filter(u8::is_ascii_digit).fold(0, |date, digit| date * 10 + u32::from(digit - b'0'));
                self.name(provider, stem, index, Rank::Dated(date));
            }
            if let Some(model) = names::without_size(name)
                && let Some(usd) = line.facts().and_then(|facts| facts.rates.as_ref()?.standard(Family::Image))
            {
                self.name(provider, model, index, Rank::Sized(u32::try_from(usd.0 / PER_MICRO).unwrap_or(u32::MAX)));
            }
        }
        for alias in head.aliases() {
            self.name(head.provider, alias, index, Rank::Alias);
        }
        self.lines.push(line);
    }

    fn name(&mut self, provider: &'t str, name: &'t str, line: u32, rank: Rank) {
        let entry = self.names.entry(provider).or_default().entry(name).or_insert(Entry { line, rank });
        if rank > entry.rank {
            *entry = Entry { line, rank };
        }
    }

    /// The facts of `model` at `provider`: by its name, else without provider, region, date or owner of a fine-tune.
    pub fn find(&self, provider: &str, model: &str) -> Option<&Arc<ModelFacts>> {
        if model.is_empty() || model.len() > NAME_BYTES_MAX {
            return None;
        }
        let exact = |name: &str| self.exact(provider, name);
        let bare = model.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
        let loose = |name: &str| {
            let undated = || names::undated(name).and_then(|(stem, _)| exact(stem));
            let latest = || name.strip_suffix("-latest").and_then(exact);
            exact(name).or_else(undated).or_else(latest)
        };
        // A fine-tune costs what fine-tunes of its base cost, never what the base costs.
        if let Some(tuned) = names::fine_tuned(bare) {
            return loose(tuned);
        }
        loose(model).or_else(|| loose(bare)).or_else(|| names::without_region(bare).and_then(loose))
    }

    /// As `find`, for an image of one size and quality: the row of both, else of the size, else of the model.
    pub fn find_image(&self, provider: &str, model: &str, size: Option<&str>, quality: Option<&str>) -> Option<&Arc<ModelFacts>> {
        const SIZE_BYTES_MAX: usize = 32;
        let short = |text: &&str| text.len() <= SIZE_BYTES_MAX;
        let (size, quality) = (size.filter(short), quality.filter(short));
        let sized = size.and_then(|size| {
            let (width, height) = size.split_once('x')?;
            let size = format!("{}-x-{}", width.trim_end_matches('-'), height.trim_start_matches('-'));
            let with = |quality: &str| self.find(provider, &format!("{quality}/{size}/{model}"));
            quality.and_then(with).or_else(|| self.find(provider, &format!("{size}/{model}"))).or_else(|| with("standard"))
        });
        sized.or_else(|| self.find(provider, model))
    }

    /// All models with their providers, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<ModelFacts>)> {
        self.lines.iter().filter_map(|line| Some((line.provider, line.facts()?)))
    }

    fn exact(&self, provider: &str, name: &str) -> Option<&Arc<ModelFacts>> {
        let entry = self.names.get(provider)?.get(name)?;
        self.lines[entry.line as usize].facts()
    }
}

impl Line<'_> {
    fn facts(&self) -> Option<&Arc<ModelFacts>> {
        self.facts.get_or_init(|| Row::parse(self.text).map(|row| Arc::new(row.facts))).as_ref()
    }
}

/// All lines but comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}
