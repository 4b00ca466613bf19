//! The load generator: one epoll thread, a constant-rate schedule, HdrHistograms.
//!
//! Open loop: request k is due at start + k / rate whatever the target does, and its latency counts from then, so a target
//! that stalls pays for every request that should have been sent meanwhile. Estimate: a request costs one `send`, one or
//! two `recv`, a head parse and two histogram increments; nothing is allocated once warm.

mod connection;
mod engine;
mod figures;
mod report;
mod request;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::units::{Rate, parse_duration, parse_rate};
pub(crate) use engine::run_load;
pub(crate) use figures::Figures;
pub(crate) use report::figures_json;
pub(crate) use request::Target;

/// What is sent and how, apart from where to.
#[derive(Args, Debug, Clone)]
pub(crate) struct LoadArgs {
    /// Requests per second, or max: as fast as the answers come
    #[arg(long, default_value = "1000", value_parser = parse_rate)]
    pub(crate) rate: Rate,
    /// Connections kept open
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Ask for streamed answers; adds times to the first event and between events
    #[arg(long)]
    pub(crate) stream: bool,
    /// Keep this many streams going at once (implies --stream; replaces --rate and --connections)
    #[arg(long, value_name = "N")]
    pub(crate) streams: Option<usize>,
    /// Connections that are opened beside the load and only held
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) idle: usize,
    /// Model to ask for; names that start with `bench` keep the mock on its plain path
    #[arg(long, default_value = "bench")]
    pub(crate) model: String,
    /// Key to send: Authorization for chat and responses, x-api-key for messages
    #[arg(long, default_value = "test-key-0000000000")]
    pub(crate) key: String,
    /// Size of the request body
    #[arg(long, default_value_t = 750)]
    pub(crate) body_bytes: usize,
    /// Dialect to speak
    #[arg(long, value_enum, default_value_t = Api::Chat)]
    pub(crate) api: Api,
    /// Give up on an answer after this long
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// The dialect of the generated requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    Chat,
    Messages,
    Responses,
}

/// Flags of `loadtest run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// http://HOST:PORT, or a whole URL; without a path the API's own is taken
    #[arg(long)]
    url: String,
    #[command(flatten)]
    load: LoadArgs,
    /// How long to send
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Write the figures here as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs and prints; fails when not one request succeeded.
pub(crate) fn run_command(args: &RunArgs) -> Result<ExitCode, String> {
    let target = Target::new(&args.url, &args.load)?;
    let figures = run_load(&target, &args.load, args.duration).map_err(|error| format!("{}: {error}", args.url))?;
    print!("{}", report::table(&figures));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&figures_json(&figures)).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(if figures.completed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
