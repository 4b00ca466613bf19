//! `loadtest`: mock providers with a fault wall, recorded-traffic replay, an open-loop load generator and paired comparisons.
//!
//! It depends on no other crate of the workspace: what measures must not share code with what is measured.

mod account;
mod bars;
mod compare;
mod http;
mod mock;
mod proxies;
mod replay;
mod run;
mod server;
mod timer;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "loadtest", version, about = "Mock providers, faults, load and comparisons for the gateway")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A mock provider: OpenAI and Anthropic dialects, whole and streamed; the model's name picks a fault
    Mock(mock::MockArgs),
    /// Answers with recorded exchanges, picked by the header x-replay-id, the query replay_id or the model's name
    Replay(replay::ReplayArgs),
    /// Open-loop load: latency counts from when a request was due, so a stalled target cannot hide
    Run(run::RunArgs),
    /// Sends a seeded mixture of requests, some of which leave at any phase, and notes what the client saw of each
    Account(account::AccountArgs),
    /// Interleaved rounds over several targets: ratios with their spread, CPU and context switches per request
    Compare(compare::CompareArgs),
    /// Writes nginx.conf and haproxy.cfg as plain keep-alive reverse proxies to compare with
    Proxies(proxies::ProxiesArgs),
    /// Reads the JSON files of a whole comparison and prints which bars are reached
    Bars(bars::BarsArgs),
    /// Prints the fault wall: each model name and what it does
    Faults,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Mock(args) => mock::serve(&args),
        Command::Replay(args) => replay::serve(&args),
        Command::Run(args) => run::run_command(&args),
        Command::Account(args) => account::run(&args),
        Command::Compare(args) => compare::compare_command(&args),
        Command::Proxies(args) => proxies::write_configurations(&args),
        Command::Bars(args) => bars::judge(&args),
        Command::Faults => {
            print!("{}", mock::fault_table());
            Ok(ExitCode::SUCCESS)
        }
    };
    match outcome {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("loadtest: {reason}");
            ExitCode::FAILURE
        }
    }
}
