//! `ringway export|apply`: what the store of a running gateway holds, as YAML, and back.

use std::io::Read;
use std::path::Path;

use reqwest::Method;

use super::{Body, Client, If};

/// Largest file that is applied.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// # Errors
/// Why there is no answer.
pub async fn export(client: &Client) -> Result<String, String> {
    Ok(client.ask(Method::GET, "/api/v1/export", Body::None, If::Any).await?.text)
}

/// The text of `file`; `-` is stdin.
///
/// # Errors
/// Where it cannot be read, or is larger than `FILE_BYTES_MAX`.
pub fn read(file: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let source: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file).map_err(told)?),
    };
    let mut text = String::new();
    source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(told)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{}: it is larger than {} MiB; apply it in parts", file.display(), FILE_BYTES_MAX >> 20));
    }
    Ok(text)
}

/// # Errors
/// What is wrong with the objects, or why there is no answer.
pub async fn apply(client: &Client, text: String, prune: bool, dry_run: bool, json: bool) -> Result<String, String> {
    let path = format!("/api/v1/apply?prune={prune}&dry_run={dry_run}");
    let answer = client.ask(Method::POST, &path, Body::Yaml(text), If::Any).await?.json()?;
    if json {
        return Ok(format!("{answer:#}\n"));
    }
    if answer["valid"] == false {
        return Err(format!("these objects would be refused: {}", answer["errors"]));
    }
    let changes = answer["diff"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = String::new();
    for change in changes {
        let text = |name: &str| change[name].as_str().unwrap_or_default();
        let what = match (change["before"].is_null(), change["after"].is_null()) {
            (true, _) => "made",
            (_, true) => "taken away",
            _ => "changed",
        };
        out.push_str(&format!("{} {} {what}\n", text("kind"), text("name")));
    }
    let end = match (changes.is_empty(), dry_run) {
        (true, _) => "nothing differs from what is there",
        (false, true) => "nothing was done: this was a dry run",
        (false, false) => "done",
    };
    Ok(format!("{out}{end}\n"))
}
