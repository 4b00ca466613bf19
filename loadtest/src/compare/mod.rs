//! Several targets under the same load, in interleaved rounds, so that a machine that drifts drifts for all.

mod page;
mod procfs;
mod ratio;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::run::{Figures, LoadArgs, Target, figures_json, run_load};
use crate::units::parse_duration;
use procfs::ProcessUse;
use ratio::Metric;

/// Flags of `loadtest compare`.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// NAME=URL; give it once a target. One without --pid (the mock itself, say) is what added latencies are measured from
    #[arg(long = "target", required = true, value_parser = parse_pair)]
    targets: Vec<(String, String)>,
    /// NAME=PID[,PID…]: the processes of a target, children included, for CPU and context switches per request
    #[arg(long = "pid", value_parser = parse_pair)]
    pids: Vec<(String, String)>,
    /// NAME=MODEL: another model for one target
    #[arg(long = "model-of", value_parser = parse_pair)]
    models: Vec<(String, String)>,
    /// Ratios are taken against this target (default: the first with a pid that is not called ringway)
    #[arg(long)]
    base: Option<String>,
    /// Rounds; every target runs once in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a target runs in a round
    #[arg(long, default_value = "3s", value_parser = parse_duration)]
    round_duration: Duration,
    #[command(flatten)]
    load: LoadArgs,
    /// Write a page with plots here
    #[arg(long)]
    html: Option<PathBuf>,
    /// Write the figures here as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Headline of the table and the page
    #[arg(long, default_value = "comparison")]
    title: String,
}

/// One target and what its rounds gave.
struct Contender {
    name: String,
    target: Target,
    pids: Vec<u32>,
    rounds: Vec<Round>,
}

/// One round of one target.
struct Round {
    figures: Figures,
    process: Option<ProcessUse>,
}

impl Contender {
    /// All rounds as one.
    fn joined(&self) -> Figures {
        let mut all = Figures::new();
        self.rounds.iter().for_each(|round| all.add(&round.figures));
        all
    }
}

/// Before the first round each target gets this much, so that pools and caches are warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// Between two targets, so that the one before is at rest.
const REST: Duration = Duration::from_millis(100);

/// Runs all rounds, prints the table, writes page and JSON.
pub(crate) fn compare_command(args: &CompareArgs) -> Result<ExitCode, String> {
    let mut contenders = contenders(args)?;
    for contender in &contenders {
        run_load(&contender.target, &args.load, WARM_UP.min(args.round_duration))
            .map_err(|error| format!("{}: {error}", contender.name))?;
    }
    for round_index in 0..args.rounds.max(1) {
        // Every other round runs backwards, so that no target always follows the same one.
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round_index % 2 == 1 {
            order.reverse();
        }
        for index in order {
            std::thread::sleep(REST);
            let round = run_round(&contenders[index], args)?;
            contenders[index].rounds.push(round);
        }
    }
    let base_index = base_index(&contenders, args.base.as_deref())?;
    let metrics = ratio::measure(&contenders, base_index);
    print!("{}", table::render(&args.title, &contenders, &metrics, base_index));
    if let Some(path) = &args.html {
        write(path, &page::render(&args.title, &contenders, &metrics, base_index))?;
    }
    if let Some(path) = &args.json {
        let text =
            serde_json::to_string_pretty(&json(&args.title, &contenders, &metrics, base_index)).map_err(|error| error.to_string())?;
        write(path, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn contenders(args: &CompareArgs) -> Result<Vec<Contender>, String> {
    let known = |name: &String| args.targets.iter().any(|(target, _)| target == name);
    if let Some((name, _)) = args.pids.iter().chain(&args.models).find(|(name, _)| !known(name)) {
        return Err(format!("--pid or --model-of names {name:?}, which is no --target"));
    }
    let mut contenders = Vec::new();
    for (name, url) in &args.targets {
        let model = args.models.iter().find(|(of, _)| of == name).map(|(_, model)| model.clone());
        let load = LoadArgs { model: model.unwrap_or_else(|| args.load.model.clone()), ..args.load.clone() };
        let mut pids = Vec::new();
        for (_, list) in args.pids.iter().filter(|(of, _)| of == name) {
            for pid in list.split(',') {
                pids.push(pid.trim().parse().map_err(|_| format!("pid {pid:?} of {name} is not a number"))?);
            }
        }
        contenders.push(Contender { name: name.clone(), target: Target::new(url, &load)?, pids, rounds: Vec::new() });
    }
    Ok(contenders)
}

fn run_round(contender: &Contender, args: &CompareArgs) -> Result<Round, String> {
    let before = procfs::read(&contender.pids)?;
    let watch = procfs::watch_memory(&contender.pids);
    let figures = run_load(&contender.target, &args.load, args.round_duration).map_err(|error| format!("{}: {error}", contender.name));
    let resident_bytes_max = watch.stop();
    let after = procfs::read(&contender.pids)?;
    let figures = figures?;
    let process = before.zip(after).map(|(before, after)| ProcessUse { resident_bytes_max, ..after.since(&before) });
    Ok(Round { figures, process })
}

fn base_index(contenders: &[Contender], wanted: Option<&str>) -> Result<usize, String> {
    match wanted {
        Some(name) => {
            contenders.iter().position(|contender| contender.name == name).ok_or_else(|| format!("--base {name:?} is no --target"))
        }
        None => Ok(contenders.iter().position(|contender| !contender.pids.is_empty() && contender.name != "ringway").unwrap_or(0)),
    }
}

fn json(title: &str, contenders: &[Contender], metrics: &[Metric], base_index: usize) -> serde_json::Value {
    let targets: serde_json::Map<String, serde_json::Value> = contenders
        .iter()
        .enumerate()
        .map(|(index, contender)| {
            let mut figures = figures_json(&contender.joined());
            for metric in metrics {
                figures["metrics"][metric.name] = metric.json(index);
            }
            (contender.name.clone(), figures)
        })
        .collect();
    serde_json::json!({"title": title, "base": contenders[base_index].name, "targets": targets})
}

fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
