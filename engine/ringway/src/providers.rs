//! `ringway providers`: what is known of the providers that a configuration may name.

use std::fmt::Write as _;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::{Auth, Provider, Quirks};
use serde_json::{Value, json};

/// How they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Table,
    Json,
}

/// The table's columns but for the last one, with their widths: 100 columns in all.
const COLUMNS: [(&str, usize); 5] = [("NAME", 11), ("AUTH", 11), ("KEY, AND WHAT ELSE", 22), ("FACTS OF", 10), ("DIALECTS", 16)];
const OPERATIONS_WIDTH: usize = 20;
const LEGEND: &str = "\nKEY names the variable that is read without a file; +NAME is needed, too.\n\
    ringway providers NAME tells URL, paths, quirks and where the facts were read.\n\
    For any other see docs/adding-a-provider.md.\n";

/// All providers, or everything of the one called `name`.
///
/// # Errors
/// No provider has the name.
pub fn show(all: &[Provider], name: Option<&str>, form: Form) -> Result<String, String> {
    let chosen: Vec<&Provider> = all.iter().filter(|provider| name.is_none_or(|name| provider.is_called(name))).collect();
    if let (Some(name), true) = (name, chosen.is_empty()) {
        return Err(format!("no provider is called {name:?}; ringway providers lists them"));
    }
    Ok(match (form, name) {
        (Form::Json, _) => format!("{:#}\n", Value::Array(chosen.into_iter().map(described).collect())),
        (Form::Table, Some(_)) => chosen.into_iter().map(page).collect(),
        (Form::Table, None) => table(&chosen),
    })
}

fn table(providers: &[&Provider]) -> String {
    let mut out = String::new();
    let heads = COLUMNS.map(|(head, _)| vec![head.to_owned()]);
    rows(&heads, &["OPERATIONS".to_owned()], &mut out);
    for provider in providers {
        let dialects: Vec<String> = dialects(provider).iter().map(|dialect| dialect.row().name.to_owned()).collect();
        let columns = [
            vec![provider.name.clone()],
            vec![auth(&provider.auth)],
            needs(provider),
            vec![provider.date.clone()],
            if dialects.is_empty() { vec!["-".to_owned()] } else { dialects },
        ];
        let operations: Vec<&str> = operations(provider).iter().map(|operation| operation.name()).collect();
        rows(&columns, &wrapped(&operations, OPERATIONS_WIDTH), &mut out);
    }
    out.push_str(LEGEND);
    out
}

/// The lines of one row: each column has its own.
fn rows(columns: &[Vec<String>; 5], last: &[String], out: &mut String) {
    let height = columns.iter().map(Vec::len).max().unwrap_or(0).max(last.len());
    for index in 0..height {
        let mut line = String::new();
        for (cells, (_, width)) in columns.iter().zip(COLUMNS) {
            let cell = cells.get(index).map_or("", String::as_str);
            let _ = write!(line, "{cell:<width$}  ");
        }
        line.push_str(last.get(index).map_or("", String::as_str));
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Words in lines of at most `width`, if they are not longer themselves.
fn wrapped(words: &[&str], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}

fn auth(auth: &Auth) -> String {
    match auth {
        Auth::Bearer => "bearer".to_owned(),
        Auth::Scheme(scheme) => scheme.clone(),
        Auth::Header(name) => format!("{name}:"),
        Auth::Query(name) => format!("?{name}="),
        Auth::Sigv4 { .. } => "sigv4".to_owned(),
        Auth::None => "none".to_owned(),
    }
}

/// The variable of its key, and what must be said beside it.
fn needs(provider: &Provider) -> Vec<String> {
    let key = provider.env_keys.first().map_or("-", String::as_str).to_owned();
    let asked = provider.variables.iter().filter(|variable| variable.default.is_none());
    let variables = asked.map(|variable| format!("+{}", variable.env.first().unwrap_or(&variable.name)));
    let url = provider.base_url.is_empty().then(|| "+base_url".to_owned());
    std::iter::once(key).chain(variables).chain(url).collect()
}

/// In the order of the file, each once.
fn dialects(provider: &Provider) -> Vec<DialectId> {
    let mut dialects: Vec<DialectId> = Vec::new();
    // A path that is carried untouched has no dialect.
    for served in provider.operations.iter().filter(|served| served.operation != Operation::Passthrough) {
        if !dialects.contains(&served.dialect) {
            dialects.push(served.dialect);
        }
    }
    dialects
}

fn operations(provider: &Provider) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for served in &provider.operations {
        if !operations.contains(&served.operation) {
            operations.push(served.operation);
        }
    }
    operations
}

/// Everything of one provider.
fn page(provider: &Provider) -> String {
    let mut out = format!("{}\n", provider.name);
    let mut line = |what: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {what:<12} {value}");
        }
    };
    line("also called", provider.aliases.join(", "));
    line("base_url", if provider.base_url.is_empty() { "to be given".to_owned() } else { provider.base_url.clone() });
    line("auth", auth(&provider.auth));
    line("key", provider.env_keys.join(", or "));
    for variable in &provider.variables {
        let or = variable.default.as_ref().map(|default| format!(", or {default}")).unwrap_or_default();
        line("variable", format!("{}, from {}{or}", variable.name, variable.env.join(", or ")));
    }
    line("models", provider.models.join(", "));
    line("catalog", provider.catalog.join(", "));
    line("headers", provider.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", "));
    line("limits", provider.rate_limits.iter().map(|limit| limit.remaining.as_str()).collect::<Vec<_>>().join(", "));
    line("quirks", quirks(&provider.quirks).join(", "));
    line("source", provider.source.clone());
    line("read", provider.date.clone());
    for served in &provider.operations {
        let streamed = served.stream_path.as_ref().map(|path| format!(", streamed {path}")).unwrap_or_default();
        let models = if served.models.is_empty() { String::new() } else { format!(", of {}", served.models.join(", ")) };
        let (operation, dialect) = (served.operation.name(), served.dialect.row().name);
        let _ = writeln!(out, "  {operation:<12} {dialect:<18} {}{streamed}{models}", served.path);
    }
    out
}

/// Those that it has, in words of its file.
fn quirks(quirks: &Quirks) -> Vec<String> {
    let mut words = Vec::new();
    words.extend((!quirks.drop.is_empty()).then(|| format!("drop {}", quirks.drop.join(" "))));
    words.extend(quirks.rename.iter().map(|(from, to)| format!("rename {from} to {to}")));
    words.extend(quirks.force.iter().map(|(name, value)| format!("force {name} {value}")));
    words.extend((!quirks.rewrites.is_empty()).then(|| format!("rewrites {}", quirks.rewrites.join(" "))));
    words.extend(quirks.reasoning_field.iter().map(|name| format!("reasoning_field {name:?}")));
    words.extend(quirks.temperature_max.map(|max| format!("temperature_max {max}")));
    let flags = [("stream_options", quirks.stream_options), ("flatten_content", quirks.flatten_content), ("prefill", quirks.prefill)];
    words.extend(flags.iter().filter(|(_, is_so)| *is_so).map(|(name, _)| (*name).to_owned()));
    words.extend((!quirks.prefill_models.is_empty()).then(|| format!("prefill of {}", quirks.prefill_models.join(" "))));
    words.extend((!quirks.api_version.is_empty()).then(|| format!("api_version {}", quirks.api_version)));
    words
}

fn described(provider: &Provider) -> Value {
    let operations = provider.operations.iter().map(|served| {
        json!({
            "operation": served.operation.name(),
            "dialect": served.dialect.row().name,
            "path": served.path,
            "stream_path": served.stream_path,
            "models": served.models,
            "body": served.body.as_ref().map(|body| json!({"set": body.set, "drop": body.drop})),
        })
    });
    let variables = provider.variables.iter();
    let variables = variables.map(|variable| json!({"name": variable.name, "env": variable.env, "default": variable.default}));
    json!({
        "name": provider.name,
        "aliases": provider.aliases,
        "base_url": provider.base_url,
        "auth": auth(&provider.auth),
        "env_keys": provider.env_keys,
        "variables": variables.collect::<Vec<_>>(),
        "operations": operations.collect::<Vec<_>>(),
        "models": provider.models,
        "catalog": provider.catalog,
        "quirks": quirks(&provider.quirks),
        "source": provider.source,
        "date": provider.date,
    })
}

#[cfg(test)]
mod tests {
    use ringway_adapters::provider::builtins;

    use super::*;

    #[test]
    fn the_table_fits_a_terminal_and_has_every_provider_with_its_operations() {
        let text = show(builtins(), None, Form::Table).unwrap();
        let longest = text.lines().map(str::len).max();
        assert!(longest <= Some(100), "{longest:?}");
        for provider in builtins() {
            let line =
                text.lines().find(|line| line.split(' ').next() == Some(&provider.name)).unwrap_or_else(|| panic!("{}", provider.name));
            assert!(line.contains(&provider.date) && line.contains(operations(provider)[0].name()), "{line}");
        }
    }

    #[test]
    fn a_provider_is_told_whole_by_each_of_its_names() {
        let page = show(builtins(), Some("dashscope"), Form::Table).unwrap();
        for words in ["qwen\n", "also called  dashscope", "DASHSCOPE_API_KEY", "/chat/completions", "stream_options", "alibabacloud.com"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(show(builtins(), Some("nobody"), Form::Table).unwrap_err().contains("\"nobody\""));
    }

    #[test]
    fn json_has_the_same() {
        let all: Value = serde_json::from_str(&show(builtins(), None, Form::Json).unwrap()).unwrap();
        assert_eq!(all.as_array().unwrap().len(), builtins().len());
        let one: Value = serde_json::from_str(&show(builtins(), Some("groq"), Form::Json).unwrap()).unwrap();
        assert_eq!(
            (&one[0]["name"], &one[0]["auth"], &one[0]["operations"][0]["dialect"]),
            (&json!("groq"), &json!("bearer"), &json!("openai-chat"))
        );
    }

    #[test]
    fn words_are_wrapped_between_words() {
        assert_eq!(wrapped(&["a", "bb", "ccc", "dddddd"], 4), ["a bb", "ccc", "dddddd"]);
    }
}
