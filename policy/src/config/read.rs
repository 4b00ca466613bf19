//! Readers: a node and what it should be → a value, or a problem that says what to write instead.
//!
//! A reader that finds a problem notes it and returns `None`, so that the rest of the file is still read.

use std::time::Duration;

use super::node::{Node, Place, Value};
use super::{At, Problem, units};
use crate::near::suggestion;

/// Notes a problem.
pub(super) fn note(problems: &mut Vec<Problem>, place: Place, message: impl Into<String>) {
    problems.push(Problem { line: place.line, column: place.column, path: String::new(), message: message.into() });
}

impl<T> At<T> {
    pub(super) fn place(&self) -> Place {
        Place { line: self.line, column: self.column }
    }
}

/// Fields that most mappings know, at most.
const FIELDS_USUAL: usize = 24;

/// The fields of one mapping. Each is taken by name; `close` reports those that nobody asked for.
pub(super) struct Fields<'n> {
    pub place: Place,
    entries: &'n [(At<String>, Node)],
    known: Vec<&'static str>,
    /// Names that were asked for by `take_each`.
    asked: Vec<String>,
}

impl<'n> Fields<'n> {
    /// `what` names the mapping in messages: `a route`.
    pub fn open(node: &'n Node, what: &str, problems: &mut Vec<Problem>) -> Option<Fields<'n>> {
        match &node.value {
            Value::Map(entries) => Some(Fields { place: node.place, entries, known: Vec::with_capacity(FIELDS_USUAL), asked: Vec::new() }),
            Value::Null => Some(Fields { place: node.place, entries: &[], known: Vec::new(), asked: Vec::new() }),
            Value::Unresolved => None,
            _ => {
                note(problems, node.place, format!("{what} is a mapping, not {}", node.describe()));
                None
            }
        }
    }

    /// A field, `None` where it is absent or null.
    pub fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        self.entries.iter().find(|(key, _)| key.value == name).map(|(_, node)| node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// The fields of these names that are there; a name that was asked for before is left out.
    pub fn take_each<'t>(&mut self, names: impl Iterator<Item = &'t str>) -> Vec<(&'n At<String>, &'n Node)> {
        let known = &self.known;
        self.asked = names.filter(|name| !known.contains(name)).map(str::to_owned).collect();
        let taken = self.entries.iter().filter(|(name, node)| self.asked.contains(&name.value) && !matches!(node.value, Value::Null));
        taken.map(|(name, node)| (name, node)).collect()
    }

    /// A field is written, whatever it holds.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.value == name)
    }

    /// A field as it stands, without taking it.
    pub fn look(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.value == name).map(|(_, node)| node)
    }

    /// Reports unknown fields.
    pub fn close(self, problems: &mut Vec<Problem>) {
        let known = || self.known.iter().copied().chain(self.asked.iter().map(String::as_str));
        for (key, _) in self.entries {
            if !known().any(|name| name == key.value) {
                let near = suggestion(&key.value, known());
                let near = if near.is_empty() { format!("; known keys: {}", known().collect::<Vec<_>>().join(", ")) } else { near };
                note(problems, key.place(), format!("unknown key {:?}{near}", key.value));
            }
        }
    }
}

/// The entries of a mapping whose keys are names.
pub(super) fn entries<'n>(node: &'n Node, what: &str, problems: &mut Vec<Problem>) -> &'n [(At<String>, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::Null | Value::Unresolved => &[],
        _ => {
            note(problems, node.place, format!("{what} is a mapping of names, not {}", node.describe()));
            &[]
        }
    }
}

/// The items of a list.
pub(super) fn items<'n>(node: &'n Node, what: &str, problems: &mut Vec<Problem>) -> &'n [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null | Value::Unresolved => &[],
        _ => {
            note(problems, node.place, format!("{what} is a list, not {}; write [...]", node.describe()));
            &[]
        }
    }
}

/// The items of a list, or one item written alone.
pub(super) fn one_or_many(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null | Value::Unresolved => &[],
        _ => std::slice::from_ref(node),
    }
}

/// Any scalar as text; never empty.
pub(super) fn text(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<At<String>> {
    match &node.value {
        Value::Scalar { text, .. } if text.is_empty() => note(problems, node.place, format!("{what} is empty")),
        Value::Scalar { text, .. } => return Some(node.place.with(text.clone())),
        Value::Unresolved => {}
        _ => note(problems, node.place, format!("{what} is text, not {}", node.describe())),
    }
    None
}

/// Text that `parse` understands. Its error says what to write instead; it must not repeat the text, which may be a secret.
pub(super) fn parsed<T>(
    node: &Node,
    what: &str,
    problems: &mut Vec<Problem>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<At<T>> {
    let text = text(node, what, problems)?;
    match parse(&text.value) {
        Ok(value) => Some(node.place.with(value)),
        Err(message) => {
            note(problems, node.place, format!("{what} cannot be {}: {message}", node.describe()));
            None
        }
    }
}

/// As `parsed`, for secrets: not even what stands in the file is quoted.
pub(super) fn secret<T>(
    node: &Node,
    what: &str,
    problems: &mut Vec<Problem>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<At<T>> {
    let text = text(node, what, problems)?;
    match parse(&text.value) {
        Ok(value) => Some(node.place.with(value)),
        Err(message) => {
            note(problems, node.place, format!("{what} cannot be used: {message}"));
            None
        }
    }
}

/// A whole number within bounds.
pub(super) fn number(node: &Node, what: &str, min: u64, max: u64, problems: &mut Vec<Problem>) -> Option<At<u64>> {
    parsed(node, what, problems, |text| match text.replace('_', "").parse::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ if max == u64::MAX => Err(format!("write a whole number from {min}")),
        _ => Err(format!("write a whole number from {min} to {max}")),
    })
}

/// A duration with its unit, above zero.
pub(super) fn duration(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<At<Duration>> {
    parsed(node, what, problems, units::duration)
}

/// A number of bytes, with or without a unit.
pub(super) fn size(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<At<usize>> {
    parsed(node, what, problems, units::size)
}

/// One of a closed set of words.
pub(super) fn choice<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], problems: &mut Vec<Problem>) -> Option<At<T>> {
    parsed(node, what, problems, |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("write one of {}{}", known.join(", "), suggestion(text, known.iter().copied()))
        })
    })
}

/// `true` or `false`.
pub(super) fn flag(fields: &mut Fields<'_>, name: &'static str, problems: &mut Vec<Problem>) -> Option<bool> {
    let node = fields.take(name)?;
    choice(node, name, &[("true", true), ("false", false)], problems).map(|at| at.value)
}

/// A name of a provider, virtual key, team or customer.
pub(super) fn name(name: &At<String>, what: &str, problems: &mut Vec<Problem>) {
    const NAME_BYTES_MAX: usize = 64;
    let good = !name.value.is_empty()
        && name.value.len() <= NAME_BYTES_MAX
        && name.value.as_bytes()[0].is_ascii_alphanumeric()
        && name.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !good {
        let rule = "letters, digits, hyphens, underscores and dots, a letter or digit first, at most 64";
        note(problems, name.place(), format!("{:?} is no name of {what}; write {rule}", name.value));
    }
}
