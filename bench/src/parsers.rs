//! The table behind the choice of JSON parsers: each one over the bodies that it would read.
//!
//! Times are the least of `ROUNDS` over all bodies of a row, so they are of one process, interleaved, and comparable.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ringway_adapters::frame::sse::SseSplitter;
use ringway_adapters::json::{node, peek};
use ringway_bench::inputs;
use serde_json::Value;

const ROUNDS: usize = 15;

/// One way to read a body; `true` where it could.
struct Parser {
    name: &'static str,
    read: fn(&mut [u8]) -> bool,
}

const PARSERS: &[Parser] = &[
    Parser { name: "peek", read: |body| peek::peek(black_box(body)).map(black_box).is_ok() },
    Parser { name: "node", read: |body| node::parse(black_box(body)).map(black_box).is_ok() },
    Parser { name: "simd-json tape", read: |body| simd_json::to_tape(black_box(body)).map(black_box).is_ok() },
    Parser { name: "simd-json borrowed", read: |body| simd_json::to_borrowed_value(black_box(body)).map(black_box).is_ok() },
    Parser { name: "sonic-rs lazy", read: |body| sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(black_box(body)).map(black_box).is_ok() },
    Parser { name: "sonic-rs value", read: |body| sonic_rs::from_slice::<sonic_rs::Value>(black_box(body)).map(black_box).is_ok() },
    Parser { name: "serde_json value", read: |body| serde_json::from_slice::<Value>(black_box(body)).map(black_box).is_ok() },
];

/// Bodies of one kind.
struct Row {
    name: String,
    bodies: Vec<Vec<u8>>,
}

/// Prints nanoseconds per body and the throughput of each parser for each kind of body.
///
/// # Errors
/// Where a file cannot be read.
pub fn run(files: &[String]) -> Result<ExitCode, String> {
    let mut rows = made();
    for file in files {
        rows.extend(recorded(file)?);
    }
    print!("| bodies | count | mean bytes |");
    PARSERS.iter().for_each(|parser| print!(" {} |", parser.name));
    println!("\n|---|---|---|{}", "---|".repeat(PARSERS.len()));
    for row in rows.iter().filter(|row| !row.bodies.is_empty()) {
        let bytes: usize = row.bodies.iter().map(Vec::len).sum();
        print!("| {} | {} | {} |", row.name, row.bodies.len(), bytes / row.bodies.len());
        for time in times(&row.bodies) {
            let each = time.as_nanos() as f64 / row.bodies.len() as f64;
            print!(" {each:.0} ns, {:.2} GB/s |", bytes as f64 / time.as_nanos().max(1) as f64);
        }
        println!();
    }
    Ok(ExitCode::SUCCESS)
}

/// The least time of each parser over all bodies. The copy that simd-json needs, because it writes into its input, is paid
/// by all and subtracted from none: a body that arrives is parsed in place once.
fn times(bodies: &[Vec<u8>]) -> Vec<Duration> {
    let mut best = vec![Duration::MAX; PARSERS.len()];
    let mut scratch = vec![Vec::new(); bodies.len()];
    for _ in 0..ROUNDS {
        for (parser, best) in PARSERS.iter().zip(&mut best) {
            for (scratch, body) in scratch.iter_mut().zip(bodies) {
                scratch.clear();
                scratch.extend_from_slice(body);
            }
            let started = Instant::now();
            let read = scratch.iter_mut().map(|body| usize::from((parser.read)(body))).sum::<usize>();
            *best = (*best).min(started.elapsed());
            black_box(read);
        }
    }
    best
}

fn made() -> Vec<Row> {
    let row = |name: &str, bodies: Vec<Vec<u8>>| Row { name: name.to_owned(), bodies };
    vec![
        row("request of 1.5 KB", vec![inputs::chat_body(1536); 200]),
        row("request of 32 KB", vec![inputs::chat_body(32 * 1024); 20]),
        row("request of 100 KB", vec![inputs::chat_body(100 * 1024); 10]),
        row("request of 500 KB", vec![inputs::chat_body(500 * 1024); 4]),
        row("recorded requests", inputs::RECORDED.iter().map(|id| inputs::request(*id).as_bytes().to_vec()).collect()),
        row("recorded answers", inputs::RECORDED.iter().map(|id| inputs::answer(*id).to_vec()).collect()),
        row("recorded events", inputs::RECORDED.iter().flat_map(|id| event_data(&inputs::stream_events(*id).concat())).collect()),
    ]
}

/// Bodies of a file of recorded exchanges, one JSON object a line: `request.body`, `response.body` or `response.sse_text`.
fn recorded(file: &str) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let (mut requests, mut answers, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let exchange: Value = serde_json::from_str(line).map_err(|error| format!("{file}: {error}"))?;
        let body = |value: &Value| value.is_object().then(|| value.to_string().into_bytes());
        requests.extend(body(&exchange["request"]["body"]));
        answers.extend(body(&exchange["response"]["body"]));
        events.extend(exchange["response"]["sse_text"].as_str().map(|text| event_data(text.as_bytes())).unwrap_or_default());
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let row = |what: &str, bodies| Row { name: format!("{name}: {what}"), bodies };
    Ok(vec![row("requests", requests), row("answers", answers), row("events", events)])
}

fn event_data(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let fed = SseSplitter::default().feed(stream, |event| {
        bodies.extend(event.data.starts_with(b"{").then(|| event.data.to_vec()));
        Ok(())
    });
    fed.expect("recorded events are short");
    bodies
}
