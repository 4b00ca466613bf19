//! The subcommands: what can be asked without starting anything.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use ringway_adapters::provider;
use ringway_control::reload::Source;
use ringway_policy::config;

use crate::flags::Command;

/// Runs one and prints its answer.
///
/// # Errors
/// Why there is no answer.
pub fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Check { file } => Ok(check(file)),
        Command::Schema => print(&format!("{:#}\n", config::schema())),
        Command::Providers => print(&providers()),
        Command::Models { config } => print(&models(&crate::serve::source(config))?),
    }
}

fn check(file: PathBuf) -> ExitCode {
    let source = Source::File(file);
    let outcome = source.load().and_then(|config| source.compile(&config, None).map(drop));
    let (text, code) = match outcome {
        Ok(()) => (format!("{}: good\n", source.origin()), ExitCode::SUCCESS),
        Err(refusal) => (format!("{refusal}\n"), ExitCode::FAILURE),
    };
    let _ = print(&text);
    code
}

fn providers() -> String {
    let mut out = format!("{:<14} {:<24} {:<56} OPERATIONS\n", "NAME", "KEY", "URL");
    for provider in provider::builtins() {
        let key = provider.env_keys.first().map_or("-", String::as_str);
        let mut operations: Vec<&str> = provider.operations.iter().map(|served| served.operation.name()).collect();
        operations.dedup();
        let _ = writeln!(out, "{:<14} {key:<24} {:<56} {}", provider.name, provider.base_url, operations.join(" "));
    }
    out
}

fn models(source: &Source) -> Result<String, String> {
    let config = source.load().map_err(|refusal| refusal.to_string())?;
    let mut out = "ringway/echo\n".to_owned();
    for name in config.routes.names() {
        let _ = writeln!(out, "{name}");
    }
    for (provider, entry) in config.providers.iter() {
        for model in &entry.models {
            let _ = writeln!(out, "{}/{}", provider.value, model.name.value);
        }
        if entry.models.is_empty() {
            let _ = writeln!(out, "{}/*", provider.value);
        }
    }
    Ok(out)
}

/// A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<ExitCode, String> {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
