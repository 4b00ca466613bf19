//! `ringway-bench`: counts the instructions and allocations of every case and compares them with `baseline.txt`.

use std::process::ExitCode;

use ringway_bench::{Case, cases};

mod allocations;
mod baseline;
mod count;
mod parsers;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const USAGE: &str = "\
ringway-bench count [--accept] [CASE...]   instructions and allocations against baseline.txt; --accept rewrites it
ringway-bench parsers [FILE.jsonl...]      the table of JSON parsers, over the fixtures or over recorded traffic
ringway-bench step CASE                    what `count` runs under callgrind

A CASE is a name or the part before its slash.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().map_or(("", &[][..]), |(command, rest)| (command.as_str(), rest));
    let result = match command {
        "count" => count::run(rest),
        "parsers" => parsers::run(rest),
        "step" => rest.first().and_then(|name| case(name)).map(count::step).ok_or_else(|| USAGE.to_owned()),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn case(name: &str) -> Option<&'static Case> {
    cases().find(|case| case.name == name)
}
