//! Runs each case under callgrind in a process of its own and reads what it counted.
//!
//! Only `counted_steps` is counted (`--toggle-collect`), so neither start-up nor input making is in the figure. Callgrind
//! has no AVX-512, so that glibc and memchr take the same AVX2 forms on every machine that has those. Malloc is glibc's: the
//! binary's own allocator reads clocks, whose answers change the path taken. Figures repeat to a few instructions; what moves is
//! the address of the stack.

use std::process::{Command, ExitCode};
use std::sync::Mutex;

use ringway_bench::{Case, cases};

use crate::allocations;
use crate::baseline::{Baseline, Cost};

/// Steps before counting: buffers reach their size.
const WARM_STEPS: u64 = 8;
/// Steps counted.
const STEPS: u64 = 64;
/// Valgrind processes at once.
const PROCESSES_MAX: usize = 8;

/// Counts what `arguments` name (all cases if none) and says how many passed.
///
/// # Errors
/// Where valgrind is missing or a case does not run; the message says which.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let (flags, names): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|argument| argument.starts_with("--"));
    if let Some(unknown) = flags.iter().find(|flag| **flag != "--accept") {
        return Err(format!("unknown flag {unknown}"));
    }
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| is_named(case.name, name));
    let chosen: Vec<&Case> = cases().filter(wanted).collect();
    let tools = tools()?;
    let counted = count_all(&chosen)?;
    let text = std::fs::read_to_string(Baseline::path()).unwrap_or_default();
    let baseline = Baseline::parse(&text)?;
    let failed = print(&counted, &baseline, &tools);
    if !flags.is_empty() {
        return accept(baseline, &counted, tools, names.is_empty());
    }
    let gone = baseline.costs.keys().filter(|name| !cases().any(|case| case.name == name.as_str())).count();
    if gone > 0 {
        println!("{gone} rows of baseline.txt have no case: accept it");
    }
    let failed = failed + gone;
    println!("{} passed, {failed} failed", counted.len() + gone - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_named(case: &str, name: &str) -> bool {
    case == name || case.split('/').next() == Some(name)
}

/// A case's cost, and the number of things that one step handles.
struct Counted {
    name: &'static str,
    cost: Cost,
    units: u64,
}

fn count_all(chosen: &[&'static Case]) -> Result<Vec<Counted>, String> {
    let process_count = std::thread::available_parallelism().map_or(1, usize::from).min(PROCESSES_MAX);
    let next = Mutex::new(chosen.iter());
    let worker = || {
        let mut counted = Vec::new();
        loop {
            let case = next.lock().expect("no worker panics while it holds this").next();
            let Some(case) = case else { return Ok(counted) };
            counted.push(count(case)?);
        }
    };
    let results: Vec<Result<Vec<Counted>, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..process_count).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker returns its errors")).collect()
    });
    let mut all: Vec<Counted> = results.into_iter().collect::<Result<Vec<_>, String>>()?.into_iter().flatten().collect();
    all.sort_by_key(|counted| chosen.iter().position(|case| case.name == counted.name));
    Ok(all)
}

fn count(case: &'static Case) -> Result<Counted, String> {
    let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_steps*"])
        .arg(own)
        .args(["step", case.name])
        .output()
        .map_err(|error| format!("valgrind: {error}; install the package valgrind"))?;
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let number = |text: &str, mark: &str| -> Option<u64> { text.split_once(mark)?.1.split_whitespace().next()?.parse().ok() };
    let read = || Some((number(&log, "Collected :")?, number(&said, "allocations:")?, number(&said, "units:")?));
    match read() {
        Some((instructions, allocations, units)) if instructions > 0 => {
            let cost = Cost { instructions: instructions / STEPS, allocations: allocations.div_ceil(STEPS) };
            Ok(Counted { name: case.name, cost, units })
        }
        _ => Err(format!("{}: callgrind counted nothing ({}):\n{said}{log}", case.name, output.status)),
    }
}

/// The process under callgrind: one case, warmed and counted.
pub fn step(case: &Case) -> ExitCode {
    let mut prepared = (case.prepare)();
    (0..WARM_STEPS).for_each(|_| (prepared.step)());
    let before = allocations::count();
    counted_steps(&mut prepared.step);
    println!("allocations: {} units: {}", allocations::count() - before, prepared.units);
    ExitCode::SUCCESS
}

/// What callgrind looks for by name.
#[inline(never)]
fn counted_steps(step: &mut dyn FnMut()) {
    for _ in 0..STEPS {
        std::hint::black_box(&mut *step)();
    }
}

/// What the figures depend on beside the code.
fn tools() -> Result<String, String> {
    let output =
        Command::new("valgrind").arg("--version").output().map_err(|error| format!("valgrind: {error}; install the package valgrind"))?;
    let valgrind = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(format!("{}; {valgrind}; {}", env!("BENCH_RUSTC"), cpu()))
}

fn cpu() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    return if std::arch::is_x86_feature_detected!("avx2") { "x86_64 avx2" } else { "x86_64" };
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH
}

/// The table; returns how many failed.
fn print(counted: &[Counted], baseline: &Baseline, tools: &str) -> usize {
    if baseline.tools != tools {
        println!("count: the baseline is of other tools ({}), these are {tools}: up to 15 % passes", baseline.tools);
    }
    println!("{:<32} {:>12} {:>11} {:>11} {:>8}", "case", "instructions", "each event", "allocations", "change");
    let mut failed = 0;
    for Counted { name, cost, units } in counted {
        let verdict = baseline.judge(name, *cost, tools);
        failed += usize::from(verdict.is_failure());
        let each = if *units > 1 { (cost.instructions / units).to_string() } else { String::new() };
        let change = baseline.change(name, *cost).map(|percent| format!("{percent:+.1} %")).unwrap_or_default();
        let line = format!("{name:<32} {:>12} {each:>11} {:>11} {change:>8}  {}", cost.instructions, cost.allocations, verdict.word());
        println!("{}", line.trim_end());
    }
    failed
}

/// Writes the counted costs; of some cases alone, the others keep theirs.
fn accept(baseline: Baseline, counted: &[Counted], tools: String, is_all: bool) -> Result<ExitCode, String> {
    let mut costs = if is_all { Default::default() } else { baseline.costs };
    costs.extend(counted.iter().map(|counted| (counted.name.to_owned(), counted.cost)));
    let path = Baseline::path();
    std::fs::write(&path, Baseline { tools, costs }.text()).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("accepted: {}", path.display());
    Ok(ExitCode::SUCCESS)
}
