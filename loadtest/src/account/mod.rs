//! A seeded mixture of exchanges whose cost can be reckoned from outside: each request carries the usage that the mock reports.
//!
//! Closed loop: every connection sends its next request when the last one has ended, or leaves in the middle of it. What the
//! client saw of each goes to a file, one JSON line an exchange, for the oracle in tests/accounting.

mod client;
mod plan;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use serde_json::json;

use client::Client;
use plan::Exchange;

/// Flags of `loadtest account`.
#[derive(Args, Debug)]
pub(crate) struct AccountArgs {
    /// HOST:PORT of the gateway
    #[arg(long)]
    target: String,
    /// Virtual keys; requests are spread over them
    #[arg(long, required = true)]
    key: Vec<String>,
    /// Models to ask for; `+NAME` is taken by streams alone
    #[arg(long, required = true)]
    model: Vec<String>,
    /// Exchanges
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// The same seed sends the same requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Of a hundred exchanges so many are left by the client
    #[arg(long, default_value_t = 15)]
    leave_percent: u64,
    /// Where to write what the client saw
    #[arg(long)]
    out: PathBuf,
}

/// Sends all exchanges.
pub(crate) fn run(args: &AccountArgs) -> Result<ExitCode, String> {
    let address = resolve(&args.target)?;
    let out = File::create(&args.out).map_err(|error| format!("{}: {error}", args.out.display()))?;
    let out = Mutex::new(BufWriter::new(out));
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.connections.max(1)).map(|_| scope.spawn(|| work(args, address, &next, &out))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a client panicked".to_owned())))
    })?;
    out.into_inner().unwrap_or_else(PoisonError::into_inner).flush().map_err(|error| error.to_string())?;
    println!("{} exchanges sent", args.count);
    Ok(ExitCode::SUCCESS)
}

fn resolve(target: &str) -> Result<SocketAddr, String> {
    let mut addresses = target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))?;
    addresses.next().ok_or_else(|| format!("{target} has no address"))
}

fn work(args: &AccountArgs, address: SocketAddr, next: &AtomicU64, out: &Mutex<BufWriter<File>>) -> Result<(), String> {
    let mut client = Client::new(address);
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if id >= args.count {
            return Ok(());
        }
        let exchange = Exchange::draw(id, args.seed, &args.model, args.key.len(), args.leave_percent);
        let key = &args.key[exchange.key_index];
        let saw = client.carry(&exchange, key).map_err(|error| format!("exchange {id}: {error}"))?;
        let line = json!({"id": id, "model": exchange.model, "door": exchange.door.name(), "stream": exchange.streams,
            "key": exchange.key_index, "left": saw.left, "status": saw.status, "bytes": saw.body_bytes, "whole": saw.whole});
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(out, "{line}").map_err(|error| format!("{}: {error}", args.out.display()))?;
    }
}
