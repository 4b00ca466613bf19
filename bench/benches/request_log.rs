//! `cargo bench -p ringway-bench --bench request_log -- [--rows N] [--seed N] [--dir DIRECTORY] [--rate N]`
//!
//! Writes a seeded week of records through the request log as the gateway does, then asks what its pages ask and says how many
//! milliseconds that took against the bars. Ends with 1 where one is missed. A directory that holds a log already is asked alone.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::Kind;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Usage};
use ringway_control::health::Health;
use ringway_control::ledger::recent::Recent;
use ringway_control::request_log::{Cursor, Filter, GroupBy, RequestLog, SeriesQuery, Settings};
use ringway_policy::money::NanoDollars;
use ringway_policy::record::{Attempt, Record};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS_DEFAULT: u64 = 200_000;
const DAYS: u64 = 7;
const DAY_MS: u64 = 86_400_000;
const PAGE_BAR_MS: f64 = 150.0;
const SERIES_BAR_MS: f64 = 200.0;
/// Each question is asked so often; the middle time counts.
const ROUNDS: usize = 5;
/// How long the log is written at `--rate`.
const STEADY: Duration = Duration::from_secs(8);
const WAIT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1)).cloned();
    let number = |name: &str, default: u64| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let own = std::env::temp_dir().join(format!("ringway-records-{}", std::process::id()));
    let directory = value("--dir").map_or_else(|| own.clone(), PathBuf::from);
    let (rows, seed, rate) = (number("--rows", ROWS_DEFAULT), number("--seed", 7), number("--rate", 5_000));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if !directory.exists() {
        steady(&own.with_extension("steady"), seed, rate);
        fill(&directory, rows, seed);
    }
    let is_good = runtime.block_on(ask(&directory, rows, seed));
    let _ = std::fs::remove_dir_all(&own);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn open(directory: &Path) -> (RequestLog, Arc<Health>) {
    let health = Arc::new(Health::default());
    let settings = Settings { folder: Some(directory.to_owned()), days: 3_650, bytes_max: 1 << 40 };
    (RequestLog::new(settings, Recent::default(), health.clone()), health)
}

/// What a steady stream of records costs.
fn steady(directory: &Path, seed: u64, rate: u64) {
    let (log, _) = open(directory);
    let mut maker = Maker::new(seed);
    let tick = Duration::from_millis(25);
    let per_tick = rate / 40;
    let (cpu, start) = (cpu_ms(), Instant::now());
    let (mut pushed, mut pushing) = (0, Duration::ZERO);
    let mut making = 0.0;
    while start.elapsed() < STEADY {
        let made = cpu_ms();
        let records: Vec<Record> = (0..per_tick).map(|index| maker.record(pushed + index, now_ms())).collect();
        making += cpu_ms() - made;
        let push = Instant::now();
        log.push(&records);
        pushing += push.elapsed();
        pushed += per_tick;
        let next = tick * (pushed / per_tick) as u32;
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    log.finish(WAIT);
    let (spent, state) = (cpu_ms() - cpu - making, log.state());
    println!(
        "steady: {} records/s for {} s: {:.1} us CPU a record ({:.1} % of a core), of it {:.1} us on the ledger's thread; dropped {}",
        pushed / STEADY.as_secs(),
        STEADY.as_secs(),
        spent * 1_000.0 / pushed as f64,
        spent / STEADY.as_millis() as f64 * 100.0,
        pushing.as_micros() as f64 / pushed as f64,
        state.dropped
    );
    let _ = std::fs::remove_dir_all(directory);
}

/// Writes a week that ended last midnight.
fn fill(directory: &Path, rows: u64, seed: u64) {
    let (log, health) = open(directory);
    let mut maker = Maker::new(seed);
    let first_ms = first_ms();
    let (cpu, start) = (cpu_ms(), Instant::now());
    let mut records = Vec::with_capacity(1_000);
    for index in 0..rows {
        // Some seconds out of order, as requests end when they end.
        let at_ms = first_ms + index * (DAYS * DAY_MS - 60_000) / rows + maker.draw(8_000);
        records.push(maker.record(index, at_ms));
        if records.len() == 1_000 || index + 1 == rows {
            while log.state().records + 20_000 < index {
                std::thread::sleep(Duration::from_millis(1));
            }
            log.push(&records);
            records.clear();
        }
    }
    log.finish(WAIT);
    let (state, seconds) = (log.state(), start.elapsed().as_secs_f64());
    let bytes: u64 =
        std::fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    println!(
        "filled: {} records (seed {seed}) in {seconds:.0} s, {:.0} a second, {:.1} us CPU each with the making; {} dropped; {} MiB, {} bytes each; {:?}",
        state.records,
        state.records as f64 / seconds,
        (cpu_ms() - cpu) * 1_000.0 / rows as f64,
        state.dropped,
        bytes >> 20,
        bytes / rows.max(1),
        health.reasons()
    );
}

async fn ask(directory: &Path, rows: u64, seed: u64) -> bool {
    let (log, _) = open(directory);
    let (from, to) = (first_ms(), first_ms() + DAYS * DAY_MS);
    let mut is_good = true;
    let tenth = (to - DAY_MS).to_string();
    let pages: &[&[(&str, &str)]] = &[
        &[],
        &[("key", "key-1")],
        &[("key", "key-997")],
        &[("key", "nobody")],
        &[("status", "5xx"), ("model", "model-9"), ("team", "team-31")],
        &[("fault", "upstream_timeout"), ("customer", "customer-3"), ("tag", "env=dev")],
        &[("min_cost_usd", "2.2")],
        &[("min_ms", "100000"), ("provider", "provider-6")],
        &[("tag", "app=app-17"), ("to_ms", &tenth)],
        &[("end_user", "user-19999")],
    ];
    for pairs in pages {
        let mut filter = Filter::default();
        for (name, value) in *pairs {
            filter.set(name, value).expect("a parameter");
        }
        let mut times = Vec::new();
        let (mut found, mut cut) = (0, false);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let page = log.page(filter.clone(), None, 100).await.expect("a page");
            times.push(start.elapsed());
            found = page.records.len();
            cut = page.next.is_some() && found < 100;
        }
        is_good &= told(&format!("page {pairs:?}: {found} records{}", if cut { ", cut short" } else { "" }), times, PAGE_BAR_MS) && !cut;
    }
    let mut cursor: Option<Cursor> = None;
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        cursor = log.page(Filter::default(), cursor, 1_000).await.expect("a page").next;
        times.push(start.elapsed());
    }
    is_good &= told("page 1 to 50 of 1000 records", times, PAGE_BAR_MS);
    let mut id = Vec::new();
    let mut maker = Maker::new(seed);
    let mut record = maker.record(0, 0);
    (1..rows.min(100)).for_each(|index| record = maker.record(index, 0));
    // The draws of `fill` are others, but an id is the index's.
    ringway_policy::record::write_hex(&record.id, &mut id);
    let id = String::from_utf8(id).expect("hex");
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let found = log.one(&id).await.expect("an answer");
        times.push(start.elapsed());
        is_good &= found.is_some();
    }
    is_good &= told("one of the oldest records by its id", times, PAGE_BAR_MS);

    let hour = 3_600;
    let questions: &[(Option<&str>, &[(&str, &str)], u64, u64)] = &[
        (None, &[], DAYS * 24, hour),
        (Some("provider"), &[], DAYS * 24, hour),
        (Some("model"), &[], DAYS * 24, hour),
        (Some("team"), &[], DAYS * 24, hour),
        (Some("key"), &[], DAYS * 24, hour),
        (Some("route"), &[], DAYS * 24, hour),
        (Some("status"), &[], DAYS * 24, hour),
        (Some("tag:app"), &[], DAYS * 24, hour),
        (None, &[("key", "key-1")], DAYS * 24, hour),
        (None, &[], 24, 300),
        (Some("model"), &[], 24, 300),
        (Some("key"), &[], 24, 900),
        (Some("key"), &[], 1, 60),
        (Some("model"), &[("key", "key-1")], 24, 900),
        (Some("model"), &[("team", "team-5")], DAYS * 24, hour),
        (Some("provider"), &[("status", "5xx")], DAYS * 24, hour),
    ];
    for (by, pairs, hours, step_s) in questions {
        let mut filter = Filter::default();
        for (name, value) in *pairs {
            filter.set(name, value).expect("a parameter");
        }
        let group_by = by.map(|by| GroupBy::parse(by).expect("a dimension"));
        let query = SeriesQuery { from_ms: to - hours * hour * 1_000, to_ms: to, step_s: *step_s, group_by, filter, top: 10 };
        let _ = from;
        let (mut times, mut requests) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let series = log.series(query.clone()).await.expect("a series");
            times.push(start.elapsed());
            requests = series.totals.0.iter().map(|(_, sum)| sum.requests).sum();
        }
        let what = format!("series by {} {pairs:?}, {hours} h in steps of {step_s} s: {requests} requests", by.unwrap_or("nothing"));
        is_good &= told(&what, times, SERIES_BAR_MS);
    }
    is_good
}

/// Prints the middle and the longest time.
fn told(what: &str, mut times: Vec<Duration>, bar_ms: f64) -> bool {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let (middle, longest) = (ms(times[times.len() / 2]), ms(times[times.len() - 1]));
    let is_good = middle <= bar_ms;
    println!("{:>8.1} ms (longest {longest:.1}, bar {bar_ms}) {} {what}", middle, if is_good { "  " } else { "!!" });
    is_good
}

/// Makes records: the same ones from the same seed.
struct Maker {
    state: u64,
    seed: u64,
}

impl Maker {
    fn new(seed: u64) -> Maker {
        Maker { state: seed, seed }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    /// Small ones more often.
    fn skewed(&mut self, below: u64) -> u64 {
        let unit = self.draw(1 << 20) as f64 / f64::from(1 << 20);
        (unit * unit * unit * below as f64) as u64
    }

    fn record(&mut self, index: u64, at_ms: u64) -> Record {
        let (key, model, provider) = (self.skewed(1_000), self.skewed(12), self.skewed(8));
        let (status, fault) = match self.draw(1_000) {
            0..=9 => (502, Some(Kind::UpstreamReset)),
            10..=14 => (504, Some(Kind::UpstreamStalled)),
            15..=34 => (429, Some(Kind::RateLimited)),
            35..=44 => (400, Some(Kind::InvalidRequest)),
            _ => (200, None),
        };
        let mode = if self.draw(3) == 0 { Mode::Whole } else { Mode::Stream };
        let first_byte_ns = 80_000_000 + self.skewed(3_000_000_000);
        let total_ns = first_byte_ns + self.skewed(110_000_000_000);
        let cost = NanoDollars(self.skewed(2_300_000_000));
        let (provider, model): (Arc<str>, Arc<str>) = (format!("provider-{provider}").into(), format!("model-{model}").into());
        let attempt = Attempt {
            provider: provider.clone(),
            model: model.clone(),
            status,
            fault,
            total_ns,
            usage: Usage::default(),
            delivered: None,
            cost: Some(cost),
            times: Default::default(),
            tier: None,
            overtaken: false,
            span: 0,
        };
        let mut id = [0; 16];
        id[..8].copy_from_slice(&mixed(self.seed ^ index).to_le_bytes());
        id[8..].copy_from_slice(&mixed(index).to_le_bytes());
        Record {
            id,
            at_ms,
            shard: (index % 4) as u16,
            operation: Operation::Chat,
            dialect: Some(DialectId::OpenaiChat),
            mode,
            key: Some(format!("key-{key}").into()),
            team: Some(format!("team-{}", key % 40).into()),
            customer: Some(format!("customer-{}", key % 8).into()),
            route: Some(format!("route-{}", self.skewed(25)).into()),
            asked: format!("{provider}/{model}").into(),
            provider: Some(provider),
            model: Some(model),
            attempts: vec![attempt],
            status,
            fault,
            usage: Usage {
                input: 20 + self.skewed(8_000),
                output: self.skewed(2_000),
                cached_read: self.skewed(1_000),
                ..Usage::default()
            },
            provenance: Provenance::Provider,
            delivered: None,
            tier: None,
            losses: 0,
            rescued: false,
            request_bytes: 500 + self.skewed(30_000),
            answer_bytes: 500 + self.skewed(9_000),
            overhead_ns: 3_000 + self.skewed(40_000),
            first_byte_ns,
            total_ns,
            client_request_id: None,
            client: Some(std::net::IpAddr::from([10, 0, (key % 200) as u8, self.draw(250) as u8])),
            tags: Some(format!("env={},app=app-{}", ["prod", "dev", "test"][self.skewed(3) as usize], self.draw(20)).into()),
            end_user: Some(format!("user-{}", self.draw(20_000)).into()),
            cost: Some(cost),
            charges: Default::default(),
            downgraded: None,
            cut: false,
            trail: Default::default(),
            mirror_of: None,
            trace: None,
        }
    }
}

fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn first_ms() -> u64 {
    let now = now_ms();
    now - now % DAY_MS - DAYS * DAY_MS
}

/// CPU time of this process, in steps of 10 ms (proc(5): fields 14 and 15 of stat, in ticks of 1/100 s).
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) * 10.0
}
