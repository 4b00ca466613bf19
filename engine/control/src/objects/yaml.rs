//! The store's objects as YAML, in the form of the file, and back.

use std::collections::BTreeSet;
use std::fmt::Write;

use ringway_policy::config::{Problem, Section, objects};
use serde_json::Value;

use super::change::{Edit, To};
use super::{Author, Change, Flaw, Intent, Kind, Objects, Prune, Refused};

/// Largest text that is applied.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Objects {
    /// The store's objects as the sections of a file. Secrets are masked: an `apply` to the same store keeps them, one to another
    /// store asks for them.
    pub fn export(&self) -> String {
        let set = self.stored().set();
        let mut out = format!("# {} objects of the store, revision {}\n", set.objects.len(), set.revision);
        for section in Section::ALL {
            let Some(kind) = Kind::of_section(section) else { continue };
            let mut objects = set.of(kind).peekable();
            if objects.peek().is_some() {
                let _ = writeln!(out, "{}:", section.word());
            }
            for (name, kept) in objects {
                let _ = write!(out, "  {}:", word(name));
                write_value(&self.masked(kind, name, &kept.body), 4, &mut out);
            }
        }
        out
    }

    /// Makes the store's objects what a text in the form of the file says, in one revision. Those that it does not name stay, or
    /// go with `Prune::Remove`.
    ///
    /// # Errors
    /// As `put`.
    pub async fn apply(&self, author: &Author, text: &str, prune: Prune, intent: Intent) -> Result<Change, Refused> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Refused::flaw("", format!("the text is larger than {} MiB", TEXT_BYTES_MAX >> 20)));
        }
        let (written, others) = objects::written(text).map_err(|problems| {
            let flaw = |problem: Problem| Flaw {
                path: String::new(),
                message: format!("line {}, column {}: {}", problem.line, problem.column, problem.message),
            };
            Refused::Invalid(problems.into_iter().map(flaw).collect())
        })?;
        if let Some((word, line)) = others.first() {
            let known: Vec<&str> = Section::ALL.into_iter().map(Section::word).collect();
            let message = format!("line {line}: {word:?} is no section of objects; it stands in the file. There are: {}", known.join(", "));
            return Err(Refused::flaw(word, message));
        }
        let mut edits: Vec<Edit> = Vec::with_capacity(written.len());
        let mut named: BTreeSet<(Kind, String)> = BTreeSet::new();
        for object in written {
            let Some(kind) = Kind::of_section(object.section) else { continue };
            named.insert((kind, object.name.clone()));
            edits.push(Edit { kind, name: object.name, to: To::Written(object.body), precondition: None });
        }
        if prune == Prune::Remove {
            let set = self.stored().set();
            let unnamed = set.objects.keys().map(|(kind, name)| (*kind, name.to_string())).filter(|key| !named.contains(key));
            edits.extend(unnamed.map(|(kind, name)| Edit { kind, name, to: To::Gone, precondition: None }));
        }
        self.change(author, format!("apply {} objects", named.len()), edits, intent).await
    }
}

/// A value behind its key's colon: short ones on the same line, mappings and lists of mappings below it.
fn write_value(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !is_short(value) => {
            out.push('\n');
            for (name, field) in fields {
                let _ = write!(out, "{:indent$}{}:", "", word(name));
                write_value(field, indent + 2, out);
            }
        }
        Value::Array(items) if !is_short(value) && !items.is_empty() => {
            out.push('\n');
            for item in items {
                let _ = writeln!(out, "{:indent$}- {}", "", flow(item));
            }
        }
        _ => {
            let _ = writeln!(out, " {}", flow(value));
        }
    }
}

/// It fits on one line.
fn is_short(value: &Value) -> bool {
    const SHORT: usize = 80;
    match value {
        Value::Object(fields) => fields.values().all(|field| !field.is_object() && !field.is_array()) && flow(value).len() <= SHORT,
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()) && flow(value).len() <= SHORT,
        _ => true,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, field)| format!("{}: {}", word(name), flow(field))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

/// Text that YAML reads as that text: plain where it surely is, else in JSON's quotes, which are YAML's, too.
fn word(text: &str) -> String {
    const NO_TEXT: &[&str] = &["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'))
        && !NO_TEXT.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_plain {
        return text.to_owned();
    }
    // JSON escapes fewer characters than YAML wants escaped.
    let escape =
        |c: char| if c >= '\u{7f}' && (c.is_control() || c == '\u{feff}') { format!("\\u{:04x}", c as u32) } else { c.to_string() };
    Value::from(text).to_string().chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_as_it_was() {
        let body = json!({
            "targets": [{"model": "openai/gpt-4.1", "weight": 3}, "x/y", {"model": "a/b", "when": "request.tags['a'] == \"b\""}],
            "retries": 1,
            "name": "yes",
            "empty": {}, "none": [], "odd": "a: b # c\n\u{7f}é\"", "on": true, "money": "1.50", "seven": "007", "star": "*",
            "deep": {"a": {"b": ["c", "d"]}},
        });
        let mut text = "routes:\n  \"chat*\":".to_owned();
        write_value(&body, 4, &mut text);
        let (written, _) = objects::written(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        assert_eq!((written[0].name.as_str(), &written[0].body), ("chat*", &body), "{text}");
    }
}
