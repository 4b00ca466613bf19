//! Runs the subcommands that ask a running gateway.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use reqwest::Method;
use ringway_policy::explain::Question;
use serde_json::{Value, json};

use super::flags::{Ask, Audit, Command, Keys, Tokens, Users};
use super::{Body, Client, Connection, If, budgets, keys, logs, people, stored, top, views};
use crate::audit;

/// Runs one and prints its answer.
///
/// # Errors
/// Why there is no answer.
pub fn run(command: Command) -> Result<ExitCode, String> {
    let client = |ask: &Ask| Client::open(&Connection::from(&ask.connection));
    match command {
        Command::Keys { command, ask } => {
            let client = client(&ask)?;
            printed(run_on(keys::run(&client, command.unwrap_or(Keys::List { search: None }), ask.json))??)
        }
        Command::Routes { name, ask } => printed(run_on(views::routes(&client(&ask)?, name.as_deref(), ask.json))??),
        Command::Budgets { search, ask } => printed(run_on(budgets::run(&client(&ask)?, search.as_deref(), ask.json))??),
        Command::Logs { filter, follow: true, ask, .. } => {
            run_on(logs::follow(&client(&ask)?, &filter, ask.json))??;
            Ok(ExitCode::SUCCESS)
        }
        Command::Logs { filter, limit, ask, .. } => printed(run_on(logs::list(&client(&ask)?, &filter, limit, ask.json))??),
        Command::Top { by, every, count, ask } => {
            run_on(top::run(&client(&ask)?, &by, every, count, ask.json))??;
            Ok(ExitCode::SUCCESS)
        }
        Command::Audit { command: Some(Audit::Verify { data_dir, file, public_key }), .. } if data_dir.is_some() || file.is_some() => {
            let (text, is_whole) = audit::verify(data_dir.as_deref(), file.as_deref(), public_key.as_deref())?;
            printed(text)?;
            Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Audit { command, ask } => {
            let command = command.unwrap_or(Audit::List { limit: 50 });
            let (text, code) = run_on(people::audit(&client(&ask)?, command, ask.json))??;
            printed(text)?;
            Ok(code)
        }
        Command::Export { ask } => printed(run_on(stored::export(&client(&ask)?))??),
        Command::Apply { file, prune, dry_run, ask } => {
            let text = stored::read(&file)?;
            printed(run_on(stored::apply(&client(&ask)?, text, prune, dry_run, ask.json))??)
        }
        Command::Status { ask } => printed(run_on(views::status(&client(&ask)?, ask.json))??),
        Command::Users { command, ask } => printed(run_on(people::users(&client(&ask)?, command.unwrap_or(Users::List), ask.json))??),
        Command::Tokens { command, ask } => printed(run_on(people::tokens(&client(&ask)?, command.unwrap_or(Tokens::List), ask.json))??),
    }
}

/// `ringway providers --live`.
///
/// # Errors
/// Why there is no answer.
pub fn providers(connection: &Connection, name: Option<&str>, json: bool) -> Result<ExitCode, String> {
    let client = Client::open(connection)?;
    printed(run_on(views::providers(&client, name, json))??)
}

/// `ringway explain --live`.
///
/// # Errors
/// Why there is no answer.
pub fn explain(connection: &Connection, question: &Question) -> Result<Value, String> {
    let body: Value = serde_json::from_slice(&question.body).map_err(|error| format!("the request is no JSON: {error}"))?;
    let pairs =
        |pairs: &[(String, String)]| pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>();
    let (headers, tags) = (pairs(&question.headers), pairs(&question.tags));
    let asked = json!({"path": question.path, "body": body, "key": question.key, "headers": headers, "tags": tags});
    let client = Client::open(connection)?;
    run_on(client.ask(Method::POST, "/api/v1/explain", Body::Json(&asked), If::Any))??.json()
}

/// Waits for an answer on a runtime of its own: one thread, which ends with it.
///
/// # Errors
/// Where no runtime can be had.
pub fn run_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("runtime: {error}"))?;
    Ok(runtime.block_on(work))
}

/// A reader that has seen enough (`| head`) is no error.
fn printed(text: String) -> Result<ExitCode, String> {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
