//! Whom a limit or budget of the whole file is for.

use super::Problem;
use super::read::{self, Fields, note};
use crate::tags;

/// A limit or budget with whom it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected<T> {
    pub selector: Selector,
    pub rule: T,
}

/// Whom a limit or budget of the whole file is for. All that it selects share one count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// Every exchange.
    #[default]
    All,
    /// What goes to a model: the text of a pattern over `provider/model`.
    Model(String),
    /// What goes to a provider, by its name in the file.
    Provider(String),
    /// What carries a tag with this value.
    Tag { name: String, value: String },
}

/// Reads `model`, `provider` or `tag`; none of them selects all.
pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> Option<Selector> {
    let written: Vec<_> = ["model", "provider", "tag"].into_iter().filter_map(|name| Some((name, fields.take(name)?))).collect();
    let &[(name, node)] = written.as_slice() else {
        if written.is_empty() {
            return Some(Selector::All);
        }
        note(problems, written[1].1.place, "one limit or budget has one of model, provider and tag; write one for each");
        return None;
    };
    if name == "tag" {
        let tag = read::parsed(node, name, problems, |text| match text.split_once('=') {
            Some((name, value)) => {
                let (name, value) = (name.trim(), value.trim());
                tags::check(name, value).map(|()| (name.to_owned(), value.to_owned()))
            }
            None => Err("write NAME=VALUE, like env=dev".to_owned()),
        })?;
        let (name, value) = tag.value;
        return Some(Selector::Tag { name, value });
    }
    let text = read::text(node, name, problems)?.value;
    Some(if name == "model" { Selector::Model(text) } else { Selector::Provider(text) })
}
