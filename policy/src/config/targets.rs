//! `targets`, `fallbacks`, `strategy`, `hedge` and `mirror` of a route, and the file's `aliases`.

use super::node::{Node, Value};
use super::read::{self, Fields, note};
use super::when::read_when;
use super::{At, Problem, units};
use crate::condition::Condition;
use crate::near::suggestion;
use crate::plan::{Hedge, Share, Sticky, Strategy, Trigger};

/// One target among which the strategy chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetConfig {
    pub model: At<String>,
    pub weight: u32,
    /// It takes part in requests of which this is true.
    pub when: Option<At<Condition>>,
}

/// One target that is taken after the others.
#[derive(Clone, Debug, PartialEq)]
pub struct FallbackConfig {
    pub model: At<String>,
    /// What alone it is taken for.
    pub on: Option<Vec<Trigger>>,
    /// It takes part in requests of which this is true.
    pub when: Option<At<Condition>>,
}

/// A shadow target.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorConfig {
    pub model: At<String>,
    pub share: Share,
}

pub(super) fn read_target(node: &Node, problems: &mut Vec<Problem>) -> Option<TargetConfig> {
    if !matches!(node.value, Value::Map(_)) {
        return read::text(node, "a target", problems).map(|model| TargetConfig { model, weight: 1, when: None });
    }
    let mut fields = Fields::open(node, "a target", problems)?;
    let model = read_model(&mut fields, node, "a target", problems);
    let weight = fields.take("weight").and_then(|node| read::number(node, "weight", 0, 1_000_000, problems));
    let when = read_when(fields.take("when"), problems);
    fields.close(problems);
    Some(TargetConfig { model: model?, weight: weight.map_or(1, |weight| weight.value as u32), when })
}

pub(super) fn read_fallback(node: &Node, problems: &mut Vec<Problem>) -> Option<FallbackConfig> {
    if !matches!(node.value, Value::Map(_)) {
        return read::text(node, "a fallback", problems).map(|model| FallbackConfig { model, on: None, when: None });
    }
    let mut fields = Fields::open(node, "a fallback", problems)?;
    let model = read_model(&mut fields, node, "a fallback", problems);
    let on = fields.take("on").map(|node| {
        if matches!(&node.value, Value::List(items) if items.is_empty()) {
            note(problems, node.place, "a fallback that is taken for nothing is none; write on: [error], or leave on out");
        }
        read_triggers(node, problems)
    });
    let when = read_when(fields.take("when"), problems);
    fields.close(problems);
    Some(FallbackConfig { model: model?, on, when })
}

fn read_model(fields: &mut Fields<'_>, node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<At<String>> {
    let model = fields.take("model");
    if model.is_none() {
        note(problems, node.place, format!("{what} has no model; write {{model: provider/model}}"));
    }
    model.and_then(|node| read::text(node, "model", problems))
}

pub(super) fn read_triggers(node: &Node, problems: &mut Vec<Problem>) -> Vec<Trigger> {
    let nodes = read::items(node, "on", problems);
    nodes.iter().filter_map(|node| read::choice(node, "on", Trigger::WORDS, problems)).map(|at| at.value).collect()
}

/// A word, or `{hash: WHAT}`.
pub(super) fn read_strategy(node: &Node, problems: &mut Vec<Problem>) -> Option<Strategy> {
    if !matches!(node.value, Value::Map(_)) {
        let word = read::parsed(node, "strategy", problems, |text| {
            let words = || Strategy::WORDS.iter().map(|(word, _)| *word);
            let found = Strategy::WORDS.iter().find(|(word, _)| *word == text).map(|(_, strategy)| strategy());
            found.ok_or_else(|| {
                let known: Vec<&str> = words().collect();
                format!("write one of {}, or {{hash: user}}{}", known.join(", "), suggestion(text, words()))
            })
        });
        return word.map(|at| at.value);
    }
    let mut fields = Fields::open(node, "strategy", problems)?;
    let hash = fields.take("hash");
    if hash.is_none() {
        note(problems, node.place, "a strategy is a word or {hash: user}");
    }
    let sticky = hash.and_then(|node| read::parsed(node, "hash", problems, sticky));
    fields.close(problems);
    sticky.map(|at| Strategy::Hash(at.value))
}

pub(super) fn read_mirror(node: &Node, problems: &mut Vec<Problem>) -> Option<MirrorConfig> {
    let mut fields = Fields::open(node, "a mirror", problems)?;
    let model = read_model(&mut fields, node, "a mirror", problems);
    let share = fields.take("share");
    if share.is_none() {
        note(problems, node.place, "a mirror has no share; write share: \"1%\"");
    }
    let share = share.and_then(|node| read::parsed(node, "share", problems, percentage));
    fields.close(problems);
    Some(MirrorConfig { model: model?, share: share?.value })
}

pub(super) fn read_hedge(node: &Node, problems: &mut Vec<Problem>) -> Option<Hedge> {
    let mut fields = Fields::open(node, "a hedge", problems)?;
    let after = fields.take("after").and_then(|node| {
        read::parsed(node, "after", problems, |text| match text {
            "p95" => Ok(None),
            text => units::duration(text).map(Some).map_err(|_| "write p95, or a number with its unit: 500ms, 2s".to_owned()),
        })
    });
    let share = fields.take("cost_share");
    if share.is_none() {
        note(problems, node.place, "a hedge has no cost_share; write cost_share: \"5%\"");
    }
    let share = share.and_then(|node| read::parsed(node, "cost_share", problems, percentage));
    fields.close(problems);
    Some(Hedge { after: after.and_then(|at| at.value), share: share?.value })
}

/// `1%`, `0.5%`, in steps of a ten thousandth of a percent.
fn percentage(text: &str) -> Result<Share, String> {
    let number = text.strip_suffix('%').map(str::trim_end).and_then(|number| {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        (digits(whole) && digits(fraction)).then_some(())?;
        let scale = 10u32.pow(4 - fraction.len() as u32);
        Some(whole.parse::<u32>().ok()? * (Share::WHOLE / 100) + fraction.parse::<u32>().ok()? * scale)
    });
    match number {
        Some(share) if (1..=Share::WHOLE).contains(&share) => Ok(Share(share)),
        _ => Err("write a percentage above 0% and up to 100%: 1%, 0.5%".to_owned()),
    }
}

fn sticky(text: &str) -> Result<Sticky, String> {
    if let Some((_, sticky)) = Sticky::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(sticky.clone());
    }
    let good = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    match text.split_once(':') {
        Some(("header", name)) if good(name) => Ok(Sticky::Header(name.to_ascii_lowercase().into())),
        Some(("tag", name)) if good(name) => Ok(Sticky::Tag(name.into())),
        _ => Err("write user, session, key, header:NAME or tag:NAME".to_owned()),
    }
}

/// A name of the operator's own for one model.
pub(super) fn read_alias(name: &At<String>, node: &Node, problems: &mut Vec<Problem>) -> Option<At<String>> {
    let model = read::text(node, "an alias", problems)?;
    if name.value.contains('*') {
        note(
            problems,
            name.place(),
            format!("an alias is one name; a pattern is a route: routes: {{{:?}: {{targets: [...]}}}}", name.value),
        );
        return None;
    }
    if model.value.contains('*') {
        note(problems, model.place(), "an alias stands for one model; write provider/model without a *");
        return None;
    }
    Some(model)
}
