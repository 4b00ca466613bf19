//! `${NAME}`, `${NAME:-default}` and `${file:/path}` in scalar values. `$${` stands for a literal `${`.
//!
//! Runs on the parsed tree, so an expanded value stays one scalar whatever it holds, and is not expanded again.

use super::Problem;
use super::node::{Node, Value};

/// Resolves a name or `file:/path`; the caller owns the environment and the disk.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands every scalar below `node`.
pub(super) fn expand(node: &mut Node, lookup: Lookup<'_>, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::Null | Value::Unresolved => {}
        Value::List(list) => list.iter_mut().for_each(|item| expand(item, lookup, problems)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| expand(value, lookup, problems)),
        Value::Scalar { text, .. } if !text.contains("${") => {}
        Value::Scalar { text, written } => match expand_text(text, lookup) {
            Ok(expanded) => {
                let original = std::mem::replace(text, expanded);
                *written = Some(original);
            }
            Err(message) => {
                problems.push(Problem { line: node.place.line, column: node.place.column, path: String::new(), message });
                node.value = Value::Unresolved;
            }
        },
    }
}

fn expand_text(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find("${") {
        let (before, after) = (&rest[..index], &rest[index + 2..]);
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (inside, tail) = after.split_once('}').ok_or("a ${ has no }; write ${NAME}, or $${ for the text itself")?;
        out.push_str(&resolve(inside, lookup)?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(inside: &str, lookup: Lookup<'_>) -> Result<String, String> {
    if let Some(path) = inside.strip_prefix("file:") {
        if path.is_empty() {
            return Err("${file:} names no file; write ${file:/path}".to_owned());
        }
        // Files end with a line break that is no part of the secret.
        return lookup(inside)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .ok_or_else(|| format!("the file {path} cannot be read"));
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let named =
        !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !named {
        return Err(format!("{name:?} is no name of a variable; write ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}"));
    }
    match (lookup(name), default) {
        // As in a shell, `:-` also stands in for a variable that is set and empty.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("the variable {name} is not set; set it, or write ${{{name}:-default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            "EVIL" => Some("x: {y: [z\n- ${A}".to_owned()),
            "file:/secret" => Some("s3cret\n".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_files_are_filled_in() {
        for (text, expected) in [
            ("${A}", "one"),
            ("a-${A}-${B:-two}", "a-one-two"),
            ("${EMPTY:-three}", "three"),
            ("${EMPTY}", ""),
            ("${B:-}", ""),
            ("${file:/secret}", "s3cret"),
            ("$${A} $A $", "${A} $A $"),
        ] {
            assert_eq!(expand_text(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_expanded_value_is_neither_structure_nor_expanded_again() {
        let mut node = super::super::node::parse("a: ${EVIL}\n").unwrap();
        let mut problems = Vec::new();
        expand(&mut node, &lookup, &mut problems);
        let Value::Map(entries) = &node.value else { panic!() };
        let Value::Scalar { text, written } = &entries[0].1.value else { panic!() };
        assert_eq!((text.as_str(), written.as_deref()), ("x: {y: [z\n- ${A}", Some("${EVIL}")));
    }

    #[test]
    fn what_cannot_be_filled_in_says_why() {
        for (text, word) in
            [("${B}", "B is not set"), ("${A", "has no }"), ("${a b}", "no name of a variable"), ("${file:/x}", "/x cannot")]
        {
            let message = expand_text(text, &lookup).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
