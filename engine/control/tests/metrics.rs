//! The metrics page holds its bound, whatever is configured and whatever clients ask for.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::Kind;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Usage};
use ringway_control::access::{self, Access, Hosts, Origins, Token, Transport};
use ringway_control::admin::{Listener, View, serve};
use ringway_control::audit::Audit;
use ringway_control::health::Health;
use ringway_control::ledger::meter::Meter;
use ringway_control::ledger::{self, recent::Recent, share};
use ringway_control::publish::Publisher;
use ringway_control::reload::Source;
use ringway_control::request_log::RequestLog;
use ringway_control::store::Database;
use ringway_policy::config;
use ringway_policy::counters::ShardCounters;
use ringway_policy::lease::Now;
use ringway_policy::money::NanoDollars;
use ringway_policy::quota::At;
use ringway_policy::record::{Attempt, Record};

const PROVIDERS: usize = 300;
const KEYS: usize = 10_000;
const MODELS: usize = 1_000;
const SHARDS: usize = 96;

fn file() -> String {
    let mut file = String::from("providers:\n");
    for index in 0..PROVIDERS {
        let keys = "[{name: a, value: a}, {name: b, value: b}]";
        let _ = writeln!(file, "  p{index}: {{like: openai, base_url: \"http://127.0.0.1:9\", keys: {keys}}}");
    }
    file.push_str("routes:\n");
    for index in 0..PROVIDERS {
        let _ = writeln!(file, "  r{index}: {{targets: [p{index}/m]}}");
    }
    file.push_str("teams:\n");
    for index in 0..200 {
        let _ = writeln!(file, "  t{index}: {{budgets: [{{usd: \"50\", per: 1d}}]}}");
    }
    file.push_str("virtual_keys:\n");
    for index in 0..KEYS {
        let bounds = "limits: [{requests: 60, per: 1m}, {tokens: 9, per: 1m}], budgets: [{usd: \"1\", per: 1d}]";
        let _ = writeln!(file, "  k{index}: {{key: rw-0123456789abcdef{index:05}, team: t{}, {bounds}}}", index % 200);
    }
    file
}

fn record(index: usize) -> Record {
    let provider: Arc<str> = format!("p{}", index % PROVIDERS).into();
    let model: Arc<str> = format!("m{}", index % MODELS).into();
    let faults = [None, None, Some(Kind::UpstreamReset), Some(Kind::RateLimited), Some(Kind::UpstreamTimeout), Some(Kind::Overloaded)];
    let fault = faults[index / 7 % faults.len()];
    let attempt = Attempt {
        provider: provider.clone(),
        model: model.clone(),
        status: 200,
        fault,
        total_ns: 5_000_000,
        usage: Usage::default(),
        delivered: None,
        cost: None,
        times: Default::default(),
        tier: None,
        overtaken: index.is_multiple_of(11),
        span: 0,
    };
    Record {
        id: *b"0123456789abcdef",
        at_ms: 1_700_000_000_000,
        shard: 0,
        operation: Operation::ALL[index % Operation::ALL.len()],
        dialect: Some([DialectId::OpenaiChat, DialectId::Anthropic, DialectId::Gemini][index % 3]),
        mode: if index.is_multiple_of(2) { Mode::Stream } else { Mode::Whole },
        key: Some(format!("k{}", index % KEYS).into()),
        team: Some(format!("t{}", index % 200).into()),
        customer: None,
        route: None,
        asked: format!("asked-{index}").into(),
        provider: Some(provider),
        model: Some(model),
        attempts: vec![attempt.clone(), Attempt { overtaken: false, ..attempt.clone() }, attempt],
        status: fault.map_or(200, Kind::status),
        fault,
        usage: Usage {
            input: 10,
            output: 5,
            cached_read: 3,
            cached_write: 2,
            reasoning: 1,
            audio_input: 1,
            audio_output: 1,
            ..Usage::default()
        },
        provenance: Provenance::Provider,
        delivered: None,
        tier: None,
        losses: 1,
        rescued: false,
        request_bytes: 1,
        answer_bytes: 1,
        overhead_ns: 3_000,
        first_byte_ns: 2_000_000,
        total_ns: 9_000_000,
        client_request_id: None,
        client: None,
        tags: None,
        end_user: None,
        cost: if index.is_multiple_of(5) { None } else { Some(NanoDollars(10)) },
        charges: Default::default(),
        downgraded: None,
        cut: false,
        trail: Default::default(),
        mirror_of: index.is_multiple_of(13).then(|| Box::new(*b"0123456789abcdef")),
        trace: None,
    }
}

fn now() -> Now {
    Now { mono_ns: 1_000_000_000, unix_ms: 1_700_000_000_000 }
}

fn page(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn access() -> Access {
    Access::new(access::Setup {
        token: Token::new("0123456789abcdef0123456789abcdef").unwrap(),
        hosts: Hosts::default(),
        origins: Origins::default(),
        transport: Transport::Loopback { port: 8081 },
        database: Database::none(),
        audit: Audit::none(),
        clock: || 0,
    })
}

/// Every virtual key has spent something: its limits and budgets exist.
fn use_all_keys(publisher: &Publisher) {
    let snapshot = publisher.current();
    for index in 0..KEYS {
        let principal = snapshot.keys.named(&format!("k{index}")).unwrap();
        let at = At { shard: 0, now: now() };
        assert!(principal.quotas.list(at.now).iter().count() >= 3);
    }
}

#[test]
fn ten_thousand_keys_and_a_thousand_models_stay_within_the_series_bound() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(Listener::bind("127.0.0.1:0")).unwrap();
    let address = listener.address().unwrap();
    let config = config::parse(&file(), &|_| None).unwrap_or_else(|problems| panic!("{:?}", problems.first()));
    let mut meter = Meter::default();
    for index in 0..60_000 {
        meter.observe(&record(index));
    }
    let publisher = Publisher::new(Source::environment().compile(&config, None).unwrap());
    use_all_keys(&publisher);
    let view = View {
        version: "0.0.0-test",
        driver: "epoll",
        access: access(),
        health: Arc::new(Health::default()),
        publisher,
        served: Arc::new(ArcSwap::from_pointee(config)),
        shards: (0..SHARDS).map(|_| Arc::new(ShardCounters::default())).collect(),
        outboxes: ledger::outboxes(SHARDS),
        telemetry: None,
        alerts: None,
        audit: Audit::none(),
        request_log: RequestLog::none(),
        door: None,
        settings: serde_json::Value::Null,
        objects: None,
        meter: Arc::new(Mutex::new(meter)),
        recent: Recent::default(),
        log_dropped: Arc::default(),
        started: Instant::now(),
        clock: now,
    };
    runtime.spawn(serve(listener, view));
    let page = page(address);
    let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(samples.len() <= share::SERIES_MAX, "{} series", samples.len());
    assert!(samples.len() > share::SERIES_MAX * 3 / 4, "the bound is used: {}", samples.len());
    let names: HashSet<&str> = samples.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(names.len(), samples.len(), "no series stands twice");
    for family in [
        "ringway_requests_total{operation=\"other\"",
        "ringway_tokens_total{kind=\"other\"",
        "ringway_cost_nano_usd_total{provider=\"other\"",
        "ringway_attempts_total{provider=\"other\"",
        "ringway_request_duration_seconds_count{operation=\"other\"",
        "ringway_team_requests_total{team=\"other\"",
        "ringway_breaker_state{target=\"other\"",
        "ringway_credential_state{provider=\"other\"",
        "ringway_quota_remaining{id=\"other\"",
        "ringway_in_flight_requests{shard=\"other\"",
    ] {
        assert!(page.contains(family), "{family}");
    }
    // Nothing is lost: what has no label of its own is in `other`.
    let sum = |name: &str| -> f64 {
        let of = samples.iter().filter(|line| line.starts_with(&format!("{name}{{")));
        of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    let mirrors = (0..60_000).filter(|index: &usize| index.is_multiple_of(13)).count() as f64;
    assert_eq!(sum("ringway_requests_total"), 60_000.0 - mirrors);
    assert_eq!(sum("ringway_attempts_total"), 3.0 * (60_000.0 - mirrors));
    assert_eq!(sum("ringway_mirrors_total"), 3.0 * mirrors);
    assert_eq!(sum("ringway_breaker_state"), (PROVIDERS + 1) as f64);
    assert_eq!(sum("ringway_quotas"), (3 * KEYS + 200) as f64);
}
