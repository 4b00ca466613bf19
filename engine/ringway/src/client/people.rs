//! `ringway users|tokens|audit`: who may do what, and who did.

use std::io::BufRead;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::flags::{Audit, Tokens, Users};
use super::table::{cell, table};
use super::{Body, Client, If, encoded};

/// # Errors
/// Why there is no answer.
pub async fn users(client: &Client, command: Users, json: bool) -> Result<String, String> {
    match command {
        Users::List => {
            let users = client.all("/api/v1/users").await?;
            listed(&users, &[("NAME", "name"), ("ROLE", "role"), ("TEAM", "team"), ("SINCE", "created_at")], json)
        }
        Users::Set { name, role, team, password_stdin } => {
            let mut body = json!({"role": role});
            if let Some(team) = team {
                body["team"] = json!(team);
            }
            if password_stdin {
                body["password"] = json!(line_of_stdin()?);
            }
            let answer = client.ask(Method::PUT, &format!("/api/v1/users/{}", encoded(&name)), Body::Json(&body), If::Any).await?;
            done(&answer.json()?, json, &format!("the user {name:?} is set"))
        }
        Users::Delete { name } => {
            client.ask(Method::DELETE, &format!("/api/v1/users/{}", encoded(&name)), Body::None, If::Any).await?;
            Ok(format!("the user {name:?} is gone\n"))
        }
    }
}

/// # Errors
/// Why there is no answer.
pub async fn tokens(client: &Client, command: Tokens, json: bool) -> Result<String, String> {
    match command {
        Tokens::List => {
            let tokens = client.all("/api/v1/tokens").await?;
            listed(&tokens, &[("ID", "id"), ("NAME", "name"), ("ROLE", "role"), ("TEAM", "team"), ("SINCE", "created_at")], json)
        }
        Tokens::New { name, role, team } => {
            let mut body = json!({"name": name, "role": role});
            if let Some(team) = team {
                body["team"] = json!(team);
            }
            let answer = client.ask(Method::POST, "/api/v1/tokens", Body::Json(&body), If::Any).await?;
            done(&answer.json()?, json, &format!("the token {name:?} is made; it is shown this once"))
        }
        Tokens::Delete { id } => {
            client.ask(Method::DELETE, &format!("/api/v1/tokens/{}", encoded(&id)), Body::None, If::Any).await?;
            Ok(format!("the token {id} is gone\n"))
        }
    }
}

/// # Errors
/// Why there is no answer.
pub async fn audit(client: &Client, command: Audit, json: bool) -> Result<(String, ExitCode), String> {
    match command {
        Audit::List { limit } => {
            let page = client.get(&format!("/api/v1/audit?limit={limit}")).await?;
            let acts = page["data"].as_array().cloned().unwrap_or_default();
            let columns = [("TIME", "at"), ("WHO", "who"), ("ROLE", "role"), ("DID", "method"), ("TO", "path"), ("STATUS", "status")];
            Ok((listed(&acts, &columns, json)?, ExitCode::SUCCESS))
        }
        Audit::Verify { .. } => {
            let verdict = client.get("/api/v1/audit/verify").await?;
            let is_whole = verdict["whole"] == true;
            Ok((format!("{verdict:#}\n"), if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
        }
        Audit::Export { format } => {
            let path = format!("/api/v1/audit/export?format={format}");
            Ok((client.ask(Method::GET, &path, Body::None, If::Any).await?.text, ExitCode::SUCCESS))
        }
    }
}

fn listed(entries: &[Value], columns: &[(&str, &str)], json: bool) -> Result<String, String> {
    if json {
        return Ok(format!("{:#}\n", Value::Array(entries.to_vec())));
    }
    let head: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    Ok(table(&head, entries.iter().map(|entry| columns.iter().map(|(_, name)| cell(&entry[*name])).collect())))
}

/// What a change answered; a token first, which is told this once.
fn done(answer: &Value, json: bool, sentence: &str) -> Result<String, String> {
    if json {
        return Ok(format!("{answer:#}\n"));
    }
    let secret = answer["token"].as_str().or_else(|| answer["secret"].as_str());
    Ok(secret.map_or_else(|| format!("{sentence}\n"), |secret| format!("{secret}\n\n# {sentence}\n")))
}

fn line_of_stdin() -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("stdin: {error}"))?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() { Err("stdin has no password; write it on one line".to_owned()) } else { Ok(line.to_owned()) }
}
