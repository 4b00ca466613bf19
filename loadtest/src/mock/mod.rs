//! The mock provider: the dialects of OpenAI, Anthropic, Bedrock, Cohere, Ollama and Gemini, whole and streamed, with a wall of
//! faults behind model names.
//!
//! Estimate for the plain path (no tools, no fault): one head parse, eight memchr scans over the body, one hash lookup of
//! the answer by (endpoint, mode, model), one `send`. Anything that needs understanding takes the slow path, which
//! parses the JSON and builds its answer anew. Models that start with `bench` always take the plain path.

mod answer;
mod asked;
mod bedrock;
mod chat;
mod cohere;
mod completions;
mod endpoint;
mod errors;
mod fault;
mod gemini;
mod gzip;
mod handler;
mod listing;
mod messages;
mod ollama;
mod responses;
mod sample;
mod scan;
mod wall;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::server::{RequestLog, ServerOptions, serve as serve_handler};
use crate::units::parse_duration;

pub(crate) use fault::fault_table;
pub(crate) use scan::scan_model;

/// Input tokens of every answer; fixed, so that tests can count on it.
const INPUT_TOKENS: u32 = 10;

/// Bodies of this size and more are counted in the log, not kept.
const LOGGED_BODY_BYTES_MAX: usize = 64 * 1024;

/// Flags of `loadtest mock`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "The model's name picks a fault: see `loadtest faults`. Words that a request can use:
  a last user message with the word `tool` (`tools`: two parallel calls) and offered tools gets tool calls;
  `describe` gets the facts of the request as text; a JSON schema gets a JSON that matches it; thinking gets a
  thinking block with a signature. The text is `word0 word1 …`, the same for every model, so that a second target
  repeats it; an assistant prefill is continued; a model `…-gap-20ms` or `…-delay-1s` brings its own clock; a model `diverge-…` says other words, `multibyte-…` longer letters.
  Usage is always 10 tokens in and one a word out; a model with `cached` in its name reports 4 cached tokens, one
  with `reason` 3 reasoning tokens; the words `exchange=ID input=N output=N cached=N written=N reasoning=N tier=NAME` report
  these figures instead. `GET /_log` and `DELETE /_log` serve the request log (with --log).")]
pub(crate) struct MockArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:9100")]
    pub(crate) listen: SocketAddr,
    /// Wait before the first byte of an answer, like 20ms
    #[arg(long, default_value = "0", value_parser = parse_duration)]
    pub(crate) delay: Duration,
    /// Words (each one token and one event) in an answer; a smaller max_tokens of the request wins
    #[arg(long, default_value_t = 64)]
    pub(crate) tokens: u32,
    /// Time between the events of a stream
    #[arg(long, default_value = "5ms", value_parser = parse_duration)]
    pub(crate) gap: Duration,
    /// Pad whole answers to about this many body bytes
    #[arg(long, default_value_t = 0)]
    pub(crate) body_bytes: usize,
    /// Server threads, each with its own listener
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Keep the last 10,000 requests for GET /_log
    #[arg(long)]
    pub(crate) log: bool,
    /// Append a JSON line here for each request whose text holds `exchange=ID`, once its answer has ended
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
}

/// Serves until the process is ended.
pub(crate) fn serve(args: &MockArgs) -> Result<ExitCode, String> {
    let ledger = match &args.ledger {
        Some(path) => Some(std::fs::File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
        None => None,
    };
    let log = (args.log || ledger.is_some()).then(|| Arc::new(RequestLog::new(LOGGED_BODY_BYTES_MAX, ledger)));
    let options = ServerOptions { listen: args.listen, thread_count: args.threads, log };
    let memory = Arc::new(fault::Memory::new());
    serve_handler(&options, || handler::Mock::new(args.clone(), memory.clone()))
        .map_err(|error| format!("mock on {}: {error}", args.listen))?;
    Ok(ExitCode::SUCCESS)
}
