//! The subcommands: what can be asked without starting anything.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use ringway_control::own_providers::OwnProviders;
use ringway_control::reload::Source;
use ringway_policy::config::{self, Problem};
use ringway_policy::explain::{self, Question};

use crate::flags::{Command, KeyCommand, StorePlace};
use crate::providers::{self, Form};
use crate::{client, manual, models, objects, token};

/// Runs one and prints its answer.
///
/// # Errors
/// Why there is no answer.
pub fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Check { file, providers_dir, store } => Ok(check(Source::file(file).with_providers(providers_dir), &store)),
        Command::Rekey { config, store, new_master_key_file } => {
            let count = objects::rekey(crate::serve::source(config), &store, new_master_key_file)?;
            print(&format!("{count} rows are sealed anew; gateways on this store read them again by themselves\n"))
        }
        Command::Schema => print(&format!("{:#}\n", config::schema())),
        Command::Providers { name, json, live: true, gateway, .. } => client::providers(&gateway, name.as_deref(), json),
        Command::Providers { name, json, providers_dir, .. } => {
            let own = OwnProviders::new(providers_dir);
            own.read().map_err(|refusal| refusal.to_string())?;
            print(&own.with_all(|all| providers::show(all, name.as_deref(), if json { Form::Json } else { Form::Table }))?)
        }
        Command::Client(command) => client::run(command),
        Command::Completions { shell } => print(&manual::completions(&shell)?),
        Command::Man { folder: Some(folder) } => manual::write(&folder),
        Command::Man { folder: None } => print(&manual::page()?),
        Command::Key { command: KeyCommand::New } => print(&fresh_key()?),
        Command::Models { catalog: Some(pattern), .. } => print(&models::catalog(&pattern)?),
        Command::Models { catalog: None, config, providers_dir } => {
            print(&models::configured(&crate::serve::source(config).with_providers(providers_dir))?)
        }
        Command::Explain { config, key, tags, headers, path, json, request, providers_dir, live, gateway } => {
            let question = Question { path, body: body(&request)?, key, headers, tags, unix_s: unix_s() };
            let explained = match live {
                true => client::explain(&gateway, &question)?,
                false => explained(&crate::serve::source(config).with_providers(providers_dir), &question)?,
            };
            print(&if json { format!("{explained:#}\n") } else { explain::text(&explained) })
        }
    }
}

/// The file with what the store holds beside it, where there is one.
fn check(source: Source, store: &StorePlace) -> ExitCode {
    let source = match objects::beside(source, store) {
        Ok(source) => source,
        Err(message) => {
            let _ = print(&format!("{message}\n"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = source.load().and_then(|config| source.compile(&config, None).map(|_| config.warnings()));
    let (text, code) = match outcome {
        Ok(warnings) => (good(&source.origin(), &warnings), ExitCode::SUCCESS),
        Err(refusal) => (format!("{refusal}\n"), ExitCode::FAILURE),
    };
    let _ = print(&text);
    code
}

/// The warnings of a file that can be served, one a line, and that it can.
fn good(origin: &str, warnings: &[Problem]) -> String {
    let mut out = String::new();
    for warning in warnings {
        let _ = writeln!(out, "{origin}:{}:{}: warning: {}", warning.line, warning.column, warning.message);
    }
    let _ = writeln!(out, "{origin}: good");
    out
}

/// A key for its user, shown this once, and its SHA-256 for the file.
fn fresh_key() -> Result<String, String> {
    let key = token::fresh().map_err(|error| format!("no random bytes for a key: {error}"))?;
    let sha256: String = config::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{key}\n\n# The key is shown this once. Into the file, below virtual_keys, NAME:\nkey_sha256: {sha256}\n"))
}

/// Largest request that is read from a file.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn body(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?),
    };
    source.take(BODY_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes)
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn explained(source: &Source, question: &Question) -> Result<serde_json::Value, String> {
    let config = source.load().map_err(|refusal| refusal.to_string())?;
    let snapshot = source.compile(&config, None).map_err(|refusal| refusal.to_string())?;
    explain::explain(&snapshot, question).map_err(|fault| fault.message.into_owned())
}

/// A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<ExitCode, String> {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_key_comes_with_the_line_that_stands_for_it() {
        let text = fresh_key().unwrap();
        let (key, line) = (text.lines().next().unwrap(), text.lines().last().unwrap());
        let file = format!("virtual_keys: {{k: {{{line}}}, other: {{key: {key}}}}}");
        let problems = config::parse(&file, &|_| None).unwrap_err();
        assert!(problems.len() == 1 && problems[0].message.contains("also the key of"), "{problems:?}");
        let config = config::parse(&format!("virtual_keys: {{k: {{key: {key}}}}}"), &|_| None).unwrap();
        assert!(config.warnings().is_empty());
    }

    #[test]
    fn warnings_stand_before_the_good_word() {
        let warning = Problem { line: 3, column: 5, path: String::new(), message: "look".to_owned() };
        assert_eq!(good("f.yaml", &[warning]), "f.yaml:3:5: warning: look\nf.yaml: good\n");
    }
}
