//! The figures that the gateway must reach, as a table, and what the JSON files of a comparison say about each.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

/// Flags of `loadtest bars`.
#[derive(Args, Debug)]
pub(crate) struct BarsArgs {
    /// Where compare.sh has put its JSON files
    #[arg(long)]
    dir: PathBuf,
    /// Fail when a bar is missed
    #[arg(long)]
    strict: bool,
}

/// One bar: a metric of a target in a file, against a limit.
struct Bar {
    about: &'static str,
    file: &'static str,
    metric: &'static str,
    target: &'static str,
    measure: Measure,
    max: f64,
}

/// How the figure is taken; each is the median over the rounds.
#[derive(Clone, Copy)]
enum Measure {
    Value,
    /// Divided by this target's figure of the same round.
    RatioTo(&'static str),
    /// Divided by its own figure in another file.
    RatioToFile(&'static str),
    /// Minus this target's figure of the same round.
    Above(&'static str),
}

use Measure::{Above, RatioTo, RatioToFile, Value as Plain};

const fn bar(about: &'static str, file: &'static str, metric: &'static str, measure: Measure, max: f64) -> Bar {
    Bar { about, file, metric, target: "ringway", measure, max }
}

const fn translation(about: &'static str, file: &'static str, metric: &'static str, max: f64) -> Bar {
    Bar { about, file, metric, target: "translated", measure: Above("same"), max }
}

const BARS: &[Bar] = &[
    bar("CPU/request saturated, × nginx", "saturated", "CPU/request", RatioTo("nginx"), 0.75),
    bar("CPU/request saturated, × haproxy", "saturated", "CPU/request", RatioTo("haproxy"), 0.85),
    bar("own user CPU/request, µs", "saturated", "user CPU/request", Plain, 5.0),
    bar("CPU/request at 1,000/s, × nginx", "rate-1000", "CPU/request", RatioTo("nginx"), 1.0),
    bar("CPU/request at 5,000/s, × nginx", "rate-5000", "CPU/request", RatioTo("nginx"), 1.0),
    bar("stated overhead p50 at 5,000/s, µs", "rate-5000", "overhead p50", Plain, 4.0),
    bar("stated overhead p99 at 5,000/s, µs", "rate-5000", "overhead p99", Plain, 11.0),
    bar("p50 at 1,000/s above nginx's, µs", "rate-1000", "latency p50", Above("nginx"), 0.0),
    bar("p99 at 1,000/s above nginx's, µs", "rate-1000", "latency p99", Above("nginx"), 0.0),
    bar("p50 at 5,000/s above nginx's, µs", "rate-5000", "latency p50", Above("nginx"), 0.0),
    bar("p99 at 5,000/s above nginx's, µs", "rate-5000", "latency p99", Above("nginx"), 0.0),
    bar("CPU/event, 64 streams, × nginx", "streams-64", "CPU/event", RatioTo("nginx"), 1.0),
    bar("CPU/event, 1,000 streams, × nginx", "streams-1000", "CPU/event", RatioTo("nginx"), 1.0),
    bar("first event p50 above nginx's, µs", "streams-64", "first event p50", Above("nginx"), 0.0),
    bar("CPU/request, 100 KB body, × nginx", "body-100k", "CPU/request", RatioTo("nginx"), 1.0),
    translation("translation, whole, µs above same", "translation-whole", "CPU/request", 25.0),
    translation("translation, per event, µs above same", "translation-stream", "CPU/event", 4.0),
    bar("memory idle, MiB", "idle", "resident memory, most", Plain, 15.0),
    bar("memory with 1,000 streams, MiB", "streams-1000", "resident memory, most", Plain, 40.0),
    bar("memory with 10,000 idle, MiB", "idle-10000", "resident memory, most", Plain, 60.0),
    bar("memory idle afterwards, × before", "idle-after", "resident memory, most", RatioToFile("idle"), 1.1),
    bar("errors saturated", "saturated", "errors", Plain, 0.0),
    bar("errors at 5,000/s", "rate-5000", "errors", Plain, 0.0),
    bar("errors in 1,000 streams", "streams-1000", "errors", Plain, 0.0),
];

/// Prints the table.
pub(crate) fn judge(args: &BarsArgs) -> Result<ExitCode, String> {
    let mut missed_count = 0;
    println!("{:<40}{:>12}{:>10}  ", "figure", "measured", "bar");
    for bar in BARS {
        let measured = measured(args, bar);
        let verdict = match measured {
            None => "not measured",
            Some(value) if value <= bar.max => "reached",
            Some(_) => {
                missed_count += 1;
                "missed"
            }
        };
        let shown = measured.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
        println!("{:<40}{shown:>12}{:>10}  {verdict}", bar.about, format!("≤ {}", bar.max));
    }
    Ok(if args.strict && missed_count > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn measured(args: &BarsArgs, bar: &Bar) -> Option<f64> {
    let file = load(args, bar.file)?;
    let own = rounds(&file, bar.target, bar.metric)?;
    let values: Vec<f64> = match bar.measure {
        Plain => own,
        RatioToFile(other) => vec![median(own)? / median(rounds(&load(args, other)?, bar.target, bar.metric)?)?],
        RatioTo(other) => own.iter().zip(rounds(&file, other, bar.metric)?).map(|(own, other)| own / other).collect(),
        Above(other) => own.iter().zip(rounds(&file, other, bar.metric)?).map(|(own, other)| own - other).collect(),
    };
    median(values)
}

fn load(args: &BarsArgs, file: &str) -> Option<Value> {
    let text = std::fs::read_to_string(args.dir.join(file).with_extension("json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn rounds(file: &Value, target: &str, metric: &str) -> Option<Vec<f64>> {
    let rounds = file.get("targets")?.get(target)?.get("metrics")?.get(metric)?.get("rounds")?.as_array()?;
    Some(rounds.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_found_and_their_median_taken() {
        let file: Value = serde_json::from_str(r#"{"targets":{"ringway":{"metrics":{"m":{"rounds":[3,1,null,2]}}}}}"#).unwrap();
        assert_eq!(median(rounds(&file, "ringway", "m").unwrap()), Some(2.0));
        assert_eq!(rounds(&file, "nginx", "m"), None);
        assert_eq!(median(Vec::new()), None);
    }
}
