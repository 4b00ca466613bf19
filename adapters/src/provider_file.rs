//! Files of providers that are not built in: the same form, read while the gateway runs, mistakes told with their place.

use std::fmt;

use crate::provider::{Provider, Spec, builtin, builtins};

/// What is wrong with a provider's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1, in characters; 0 where something is absent.
    pub line: usize,
    pub column: usize,
    /// The field, what is wrong with it, and what to write.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}, column {}: {}", self.column, self.message),
        }
    }
}

/// Reads the file of the provider called `name`.
///
/// # Errors
/// The first mistake.
pub fn parse(name: &str, text: &str) -> Result<Provider, Mistake> {
    let spec: Spec = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        let (line, column) = place(text, at);
        Mistake { line, column, message }
    })?;
    let base = match &spec.like {
        Some(like) => Some(builtin(like).ok_or_else(|| in_field(text, format!("field `like`: no built-in provider {like:?}")))?),
        None => None,
    };
    spec.build(name, base).map_err(|message| in_field(text, message))
}

/// A mistake that names its field, at the line where the field begins.
fn in_field(text: &str, message: String) -> Mistake {
    let field = message.split('`').nth(1).unwrap_or_default();
    let begins = |line: &str| line.strip_prefix(field).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']));
    let line = text.lines().position(begins).map_or(0, |index| index + 1);
    Mistake { line, column: line.min(1), message }
}

/// Line and column of a byte of the text.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The built-in providers and these beside them, by name. One that is called like a built-in one takes its place.
pub fn beside(mut own: Vec<Provider>) -> Vec<Provider> {
    let built_in = builtins().iter().filter(|provider| !own.iter().any(|own| own.name == provider.name)).cloned();
    let mut all: Vec<Provider> = built_in.collect();
    all.append(&mut own);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = r#"
base_url = "https://api.acme.example/v1"
auth = "bearer"
env_keys = ["ACME_API_KEY"]
operations = [{operation = "chat", dialect = "openai-chat", path = "/chat/completions"}]
"#;

    #[test]
    fn a_mistake_is_told_where_it_stands() {
        for (from, to, (line, column), words) in [
            ("auth", "auht", (3, 1), "unknown field `auht`"),
            ("\"bearer\"", "\"basic\"", (3, 8), "unknown variant `basic`"),
            ("\"chat\"", "\"talk\"", (5, 28), "known: chat"),
            ("\"/chat/completions\"", "\"chat\"", (5, 1), "must begin with a slash"),
            ("https://", "", (2, 1), "has no scheme"),
            ("/chat/completions", "/{wat}", (5, 1), "{wat}"),
            ("auth = \"bearer\"\n", "", (0, 0), "field `auth`: absent"),
            ("auth = \"bearer\"", "auth = ", (3, 8), ""),
            ("auth = \"bearer\"", "auth = \"bearer\"\nlike = \"nobody\"", (4, 1), "no built-in provider \"nobody\""),
        ] {
            let mistake = parse("acme", &ACME.replacen(from, to, 1)).unwrap_err();
            assert_eq!((mistake.line, mistake.column), (line, column), "{from} -> {to}: {mistake}");
            assert!(mistake.message.contains(words), "{mistake}");
        }
    }

    #[test]
    fn own_providers_stand_beside_the_built_in_ones_or_in_their_place() {
        let own = vec![parse("acme", ACME).unwrap(), parse("openai", ACME).unwrap()];
        let all = beside(own);
        assert_eq!(all.len(), builtins().len() + 1);
        assert!(all.is_sorted_by_key(|provider| provider.name.clone()));
        let url = |name: &str| all.iter().find(|provider| provider.name == name).map(|provider| provider.base_url.as_str());
        assert_eq!((url("acme"), url("openai")), (Some("https://api.acme.example/v1"), Some("https://api.acme.example/v1")));
        assert_eq!(url("groq"), Some("https://api.groq.com/openai/v1"));
    }
}
