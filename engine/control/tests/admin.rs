//! The admin listener over a real socket, with a client that knows nothing but bytes.

#[path = "admin/access.rs"]
mod access_over_http;
#[path = "admin/tls.rs"]
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::operation::Operation;
use ringway_control::access::{self, Access, Hosts, Origins, Token, Transport};
use ringway_control::admin::{Listener, View, serve};
use ringway_control::audit::Audit;
use ringway_control::health::{Health, Part, Phase};
use ringway_control::ledger::{self, meter, recent::Recent};
use ringway_control::publish::Publisher;
use ringway_control::reload::Source;
use ringway_control::request_log::{self, RequestLog};
use ringway_control::store::Database;
use ringway_policy::breaker::{Outcome, Settings};
use ringway_policy::config::{self, Config};
use ringway_policy::counters::ShardCounters;
use ringway_policy::record::Record;
use serde_json::Value;

const TOKEN: &str = "rw-0123456789abcdef";
const FILE: &str = "
virtual_keys: {mobile: {key: 0123456789abcdef, models: [\"ringway/*\"]}}
providers: {far: {like: openai, base_url: \"http://127.0.0.1:1\", keys: [{name: main, value: s3cret-s3cret-s3cret}]}}
routes: {chat: {strategy: least_latency, targets: [far/large], fallbacks: [{model: far/small, on: [budget]}]}}
aliases: {fast: far/small}
";

struct Gateway {
    address: SocketAddr,
    health: Arc<Health>,
    outboxes: Vec<ledger::Outbox>,
    ledger: ledger::Ledger,
    shard: Arc<ShardCounters>,
    publisher: Publisher,
    access: Access,
    runtime: tokio::runtime::Runtime,
}

/// The time stands still.
fn clock() -> u64 {
    1_700_000_000_000
}

fn access(database: Database, audit: Audit) -> Access {
    Access::new(access::Setup {
        token: Token::new(TOKEN).unwrap(),
        hosts: Hosts::new(["gateway.example".to_owned()]),
        origins: Origins::new(["https://tools.example".to_owned()]),
        transport: Transport::Loopback { port: 8081 },
        database,
        audit,
        clock,
    })
}

fn gateway() -> Gateway {
    gateway_with(Database::none(), Audit::none())
}

fn gateway_with(database: Database, audit: Audit) -> Gateway {
    gateway_serving(database, audit, None)
}

fn gateway_serving(database: Database, audit: Audit, tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>) -> Gateway {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(Listener::bind("127.0.0.1:0")).unwrap().with_tls(tls);
    let address = listener.address().unwrap();
    let config: Config = config::parse(FILE, &|_| None).unwrap();
    let health = Arc::new(Health::default());
    let (meter, recent) = (meter::Shared::default(), Recent::default());
    let outboxes = ledger::outboxes(1);
    let setup = ledger::Setup { outboxes: outboxes.clone(), log: None, meter: meter.clone(), recent: recent.clone(), sinks: Vec::new() };
    let shard = Arc::new(ShardCounters::default());
    let publisher = Publisher::new(Source::environment().compile(&config, None).unwrap());
    let access = access(database, audit.clone());
    let view = View {
        version: "0.0.0-test",
        driver: "epoll",
        access: access.clone(),
        audit,
        health: health.clone(),
        publisher: publisher.clone(),
        served: Arc::new(ArcSwap::from_pointee(config)),
        shards: vec![shard.clone()],
        outboxes: outboxes.clone(),
        telemetry: None,
        alerts: None,
        meter,
        recent: recent.clone(),
        request_log: RequestLog::new(request_log::Settings { folder: None, days: 1, bytes_max: 0 }, recent, health.clone()),
        log_dropped: Arc::new(AtomicU64::new(3)),
        started: Instant::now(),
        clock: || ringway_policy::lease::Now { mono_ns: 1_000_000_000, unix_ms: 0 },
        objects: None,
        door: None,
        settings: Value::Null,
    };
    runtime.spawn(serve(listener, view));
    Gateway { address, health, outboxes, ledger: ledger::start(setup).unwrap(), shard, publisher, access, runtime }
}

impl Gateway {
    /// Status, head and body of `GET path`.
    fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"))
    }

    fn send(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_ascii_lowercase(), body.to_owned())
    }

    /// The status of an answer whose end is not waited for, and whether the gate refused.
    fn answer_status(&self, method: &str, path: &str, headers: &str) -> (u16, bool) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
            let len = stream.read(&mut buffer).unwrap();
            assert!(len > 0, "{method} {path}: no answer");
            answer.extend_from_slice(&buffer[..len]);
        }
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        if matches!(status, 401 | 403) {
            stream.read_to_end(&mut answer).unwrap();
        }
        let body = String::from_utf8_lossy(&answer).into_owned();
        (status, body.contains("\"code\":\"invalid_api_key\"") || body.contains("\"code\":\"forbidden\""))
    }

    fn api(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path, &format!("authorization: Bearer {TOKEN}\r\n"));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn record(status: u16, fault: Option<Kind>) -> Record {
    Record {
        id: *b"0123456789abcdef",
        at_ms: 1_700_000_000_000,
        shard: 0,
        operation: Operation::Chat,
        dialect: None,
        mode: ringway_adapters::ir::Mode::Whole,
        key: Some("mobile".into()),
        team: None,
        customer: None,
        route: None,
        asked: "ringway/echo".into(),
        provider: Some("ringway".into()),
        model: Some("echo".into()),
        attempts: Vec::new(),
        status,
        fault,
        usage: Default::default(),
        provenance: Default::default(),
        delivered: None,
        tier: None,
        losses: 0,
        rescued: false,
        request_bytes: 1,
        answer_bytes: 2,
        overhead_ns: 3,
        first_byte_ns: 4,
        total_ns: 5,
        client_request_id: None,
        client: None,
        tags: None,
        end_user: None,
        cost: None,
        charges: Default::default(),
        downgraded: None,
        cut: false,
        trail: Default::default(),
        mirror_of: None,
        trace: None,
    }
}

#[test]
fn probes_follow_the_phase_and_need_no_token() {
    let gateway = gateway();
    assert_eq!(gateway.get("/livez", "").0, 200);
    let (status, head, body) = gateway.get("/readyz", "");
    assert_eq!((status, head.contains("retry-after: 1")), (503, true), "{head}");
    assert!(body.contains("\"starting\""), "{body}");
    gateway.health.enter(Phase::Serving);
    assert_eq!(gateway.get("/readyz", "").0, 200);
    gateway.health.degrade(Part::Configuration, "ringway.yaml:3:1: unknown key");
    let (status, _, body) = gateway.get("/readyz", "");
    assert_eq!(status, 200);
    assert!(body.contains("degraded") && body.contains("ringway.yaml:3:1"), "{body}");
    gateway.health.enter(Phase::Draining);
    assert_eq!(gateway.get("/readyz", "").0, 503);
    assert_eq!(gateway.get("/livez", "").0, 200);
}

#[test]
fn the_api_needs_the_token() {
    let gateway = gateway();
    for headers in ["", "authorization: Bearer wrong\r\n", "authorization: Bearer \r\n", "x-api-key: rw-0123456789abcdef\r\n"] {
        let (status, head, body) = gateway.get("/api/v1/providers", headers);
        assert_eq!(status, 401, "{headers}");
        assert!(head.contains("www-authenticate: bearer") && head.contains("application/problem+json"), "{head}");
        assert!(!body.contains(TOKEN) && serde_json::from_str::<Value>(&body).unwrap()["error"]["code"] == "invalid_api_key", "{body}");
    }
    // An unknown collection tells a stranger nothing either.
    assert_eq!(gateway.get("/api/v1/secrets", "").0, 401);
}

#[test]
fn collections_show_names_and_no_secret() {
    let gateway = gateway();
    assert_eq!(gateway.api("/api/v1/providers")["data"][0]["name"], "ringway");
    let keys = gateway.api("/api/v1/keys");
    assert_eq!(keys["data"][0]["name"], "mobile");
    assert_eq!(keys["data"][0]["models"][0], "ringway/*");
    assert!(!keys.to_string().contains("0123456789abcdef"));
    assert_eq!(gateway.api("/api/v1/models")["data"][0]["name"], "ringway/echo");
    assert!(!gateway.api("/api/v1/providers").to_string().contains("s3cret"));
}

#[test]
fn routes_show_the_health_of_their_targets_and_providers_that_of_their_credentials() {
    let gateway = gateway();
    let snapshot = gateway.publisher.current();
    let now_ns = 1_000_000_000;
    let far = snapshot.providers.iter().find(|upstream| &*upstream.name == "far").unwrap();
    far.credentials[0].tell_of("m", &Fault::new(Kind::UpstreamAuth, "401"), now_ns);
    let large = snapshot.targets().find(|target| &*target.id == "far/large").unwrap();
    (0..5).for_each(|_| large.tell(&Settings::default(), Outcome::Failure, now_ns));
    let route = &gateway.api("/api/v1/routes")["data"][0];
    assert_eq!((&route["strategy"], &route["fallbacks"][0]), (&"least_latency".into(), &"far/small".into()), "{route}");
    let health = &route["health"][0];
    assert_eq!((&health["breaker"], &health["share_percent"], &health["reason"]), (&"open".into(), &0.into(), &"breaker".into()));
    assert_eq!(route["health"][1]["share_percent"], 100);
    let credential = &gateway.api("/api/v1/providers")["data"][1]["credentials"][0];
    assert_eq!((&credential["state"], &credential["back_in_ms"]), (&"refused".into(), &60_000.into()), "{credential}");
    let (_, _, body) = gateway.get("/metrics", "");
    for line in [
        "ringway_target_share_ratio{target=\"far/large\"} 0",
        "ringway_target_degraded_state{target=\"far/large\",reason=\"breaker\"} 1",
        "ringway_target_in_flight_requests{target=\"far/small\"} 0",
        "ringway_credential_state{provider=\"far\",credential=\"main\",state=\"refused\"} 1",
        "ringway_credential_state{provider=\"far\",credential=\"main\",state=\"ready\"} 0",
    ] {
        assert!(body.contains(line), "{line} in {body}");
    }
}

#[test]
fn unknown_pages_and_methods_are_answered_in_json() {
    let gateway = gateway();
    let (status, _, body) = gateway.get("/nope.txt", "");
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()["error"]["code"].as_str()), (404, Some("not_found")), "{body}");
    let (status, _, body) = gateway.get("/api/v1/nope", &format!("authorization: Bearer {TOKEN}\r\n"));
    assert!(status == 404 && body.contains("providers, routes"), "{body}");
    let (status, _, body) = gateway.send("POST /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    assert!(status == 405 && body.contains("\"error\""), "{body}");
}

#[test]
fn metrics_are_open_to_loopback_but_not_through_a_forwarder() {
    let gateway = gateway();
    gateway.shard.connections.store(7, Ordering::Relaxed);
    gateway.shard.records_dropped.store(2, Ordering::Relaxed);
    let (status, head, body) = gateway.get("/metrics", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for line in [
        "ringway_open_connections{shard=\"0\"} 7",
        "ringway_records_dropped_total{shard=\"0\"} 2",
        "ringway_log_lines_dropped_total 3",
        "ringway_build_info{version=\"0.0.0-test\",driver=\"epoll\"} 1",
        "ringway_breaker_state{target=\"ringway/echo\",state=\"closed\"} 1",
    ] {
        assert!(body.contains(line), "{line} in {body}");
    }
    assert_eq!(gateway.get("/metrics", "x-forwarded-for: 203.0.113.9\r\n").0, 401);
    assert_eq!(gateway.get("/metrics", &format!("x-forwarded-for: 203.0.113.9\r\nauthorization: Bearer {TOKEN}\r\n")).0, 200);
}

#[test]
fn a_record_reaches_metrics_and_the_api() {
    let gateway = gateway();
    gateway.outboxes[0].push(record(200, None)).unwrap();
    gateway.outboxes[0].push(record(502, Some(Kind::UpstreamReset))).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let records = loop {
        let records = gateway.api("/api/v1/records?limit=1");
        if records["data"][0]["status"] == 502 {
            break records;
        }
        assert!(Instant::now() < until, "the ledger never came round");
    };
    assert_eq!(records["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(records["data"][0]["status"], 502);
    let (_, _, body) = gateway.get("/metrics", "");
    assert!(body.contains("status=\"5xx\",fault=\"upstream_error\"} 1"), "{body}");
    assert!(body.contains("ringway_request_duration_seconds_count{operation=\"chat\",provider=\"ringway\"} 2"), "{body}");
    gateway.ledger.finish(Duration::from_secs(1));
}

#[test]
fn the_web_ui_is_there_and_holds_nothing_of_this_gateway() {
    let gateway = gateway();
    for path in ["/", "/overview", "/requests/0123"] {
        let (status, head, body) = gateway.get(path, "x-forwarded-for: 203.0.113.9\r\n");
        assert!(status == 200 && head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{path}: {head}");
        assert!(body.contains("/assets/index-") && !body.contains("0.0.0-test"), "{body}");
    }
    assert_eq!(gateway.get("/assets/none.js", "").0, 404);
    assert_eq!(gateway.get("/nothing.txt", "").0, 404);
}

#[test]
fn a_name_that_was_bent_to_this_machine_reaches_nothing() {
    let gateway = gateway();
    let ask = |host: &str, path: &str, headers: &str| {
        gateway.send(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"))
    };
    for path in ["/", "/metrics", "/api/v1/keys"] {
        let (status, _, body) = ask("evil.example", path, "");
        assert!(status == 421 && body.contains("admin_hosts"), "{path}: {body}");
    }
    // Probes set any name, and whoever has the token is no page of another site.
    assert_eq!(ask("evil.example", "/livez", "").0, 200);
    assert_eq!(ask("evil.example", "/api/v1/keys", &format!("authorization: Bearer {TOKEN}\r\n")).0, 200);
    assert_eq!(ask("gateway.example", "/metrics", "").0, 200);
}

#[test]
fn every_answer_says_what_browsers_may_do_with_it() {
    let gateway = gateway();
    for path in ["/", "/nope", "/livez", "/api/v1/keys"] {
        let (_, head, _) = gateway.get(path, "");
        for field in ["frame-ancestors 'none'", "x-content-type-options: nosniff", "referrer-policy: no-referrer", "permissions-policy: "] {
            assert!(head.contains(field), "{path}: {field} in {head}");
        }
        assert!(!head.contains("script-src 'self' 'unsafe-inline'") && !head.contains("access-control-allow-origin"), "{head}");
    }
    assert!(gateway.get("/api/v1/keys", "").1.contains("cache-control: no-store"));
}

#[test]
fn a_listed_site_may_ask_with_a_token_and_is_answered_before_it_shows_one() {
    let gateway = gateway();
    let preflight = |origin: &str| {
        gateway.send(&format!(
            "OPTIONS /api/v1/keys HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: {origin}\r\naccess-control-request-method: PUT\r\n\r\n"
        ))
    };
    let (status, head, _) = preflight("https://tools.example");
    assert!(status == 204 && head.contains("access-control-allow-origin: https://tools.example"), "{head}");
    assert!(!head.contains("allow-credentials"), "{head}");
    assert!(!preflight("https://evil.example").1.contains("access-control-allow-origin"));
    let (_, head, _) = gateway.get("/api/v1/keys", "origin: https://tools.example\r\n");
    assert!(head.contains("access-control-allow-origin: https://tools.example") && head.contains("vary: origin"), "{head}");
}
