//! `limits`: how often and how much, in a stretch of time or at once.

use std::time::Duration;

use super::node::Node;
use super::read::{self, Fields, note};
use super::select::Selected;
use super::{At, Problem, select, units};

/// The largest count of a limit: sums of two stay within 64 bits.
pub(super) const COUNT_MAX: u64 = u64::MAX / 2;

/// One rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub measure: Measure,
    pub count: u64,
    /// `None` for `Measure::Concurrent` alone.
    pub per: Option<Duration>,
    /// Reports, and refuses nothing.
    pub shadow: bool,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Requests,
    InputTokens,
    OutputTokens,
    /// Input and output together.
    Tokens,
    /// Exchanges under way.
    Concurrent,
}

impl Measure {
    /// The words of the file.
    pub const WORDS: &'static [(&'static str, Measure)] = &[
        ("requests", Measure::Requests),
        ("tokens", Measure::Tokens),
        ("input_tokens", Measure::InputTokens),
        ("output_tokens", Measure::OutputTokens),
        ("concurrent", Measure::Concurrent),
    ];

    /// Its word in the file.
    pub fn word(self) -> &'static str {
        Measure::WORDS.iter().find(|(_, measure)| *measure == self).map_or("requests", |(word, _)| word)
    }
}

/// Reads the `limits` of someone or something.
pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Vec<At<Limit>> {
    let nodes = fields.take("limits").map(|node| read::items(node, "limits", problems)).unwrap_or_default();
    nodes.iter().filter_map(|node| Fields::open(node, "a limit", problems).and_then(|fields| read_limit(fields, problems))).collect()
}

/// Reads the `limits` of the whole file, each with whom it is for.
pub(super) fn read_selected(node: Option<&Node>, problems: &mut Vec<Problem>) -> Vec<At<Selected<Limit>>> {
    let nodes = node.map(|node| read::items(node, "limits", problems)).unwrap_or_default();
    let one = |node| {
        let mut fields = Fields::open(node, "a limit", problems)?;
        let selector = select::read(&mut fields, problems);
        let limit = read_limit(fields, problems)?;
        Some(node.place.with(Selected { selector: selector?, rule: limit.value }))
    };
    nodes.iter().filter_map(one).collect()
}

fn read_limit(mut fields: Fields<'_>, problems: &mut Vec<Problem>) -> Option<At<Limit>> {
    let place = fields.place;
    let counted: Vec<(&str, Measure, &Node)> =
        Measure::WORDS.iter().filter_map(|&(word, measure)| fields.take(word).map(|node| (word, measure, node))).collect();
    let per_node = fields.take("per");
    let per = per_node.and_then(|node| read::parsed(node, "per", problems, units::period));
    let shadow = read::flag(&mut fields, "shadow", problems).unwrap_or(false);
    fields.close(problems);
    let &[(word, measure, count)] = counted.as_slice() else {
        let what = "a limit counts one thing; write {requests: N, per: 1m}, {tokens: N, per: 1m}, {input_tokens: N, per: 1m}, \
                    {output_tokens: N, per: 1m} or {concurrent: N}";
        note(problems, place, what);
        return None;
    };
    let count = read::number(count, word, 1, COUNT_MAX, problems)?.value;
    let per = match (measure, per_node) {
        (Measure::Concurrent, None) => None,
        (Measure::Concurrent, Some(per)) => {
            note(problems, per.place, "concurrent has no per: it counts what is under way");
            return None;
        }
        (_, None) => {
            note(problems, place, format!("{word} needs its period; write {{{word}: {count}, per: 1m}}"));
            return None;
        }
        (_, Some(_)) => Some(per?.value),
    };
    Some(place.with(Limit { measure, count, per, shadow }))
}
