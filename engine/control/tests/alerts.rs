//! Alerts end to end: records in, messages out, at stand-ins for each channel.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use ringway_adapters::dialect::DialectId;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Usage};
use ringway_control::alerts::{Alerts, Setup, channel};
use ringway_control::publish::Publisher;
use ringway_control::reload::Source;
use ringway_control::store::Database;
use ringway_policy::config::{self, Config};
use ringway_policy::lease::Now;
use ringway_policy::record::Record;
use serde_json::Value;

/// What came: path, fields, body.
type Came = (String, HeaderMap, Value, String);

#[derive(Clone, Default)]
struct StandIn {
    came: Arc<Mutex<Vec<Came>>>,
    /// Answers that are still to be given before the good ones.
    refusals: Arc<Mutex<Vec<u16>>>,
}

impl StandIn {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    async fn wait(&self, count: usize) -> Vec<Came> {
        let until = Instant::now() + Duration::from_secs(20);
        while self.came().len() < count {
            assert!(Instant::now() < until, "{} of {count} came", self.came().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.came()
    }
}

async fn take(State(stand_in): State<StandIn>, uri: Uri, fields: HeaderMap, body: Bytes) -> StatusCode {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let value = serde_json::from_str(&text).unwrap_or(Value::Null);
    stand_in.came.lock().unwrap().push((uri.path().to_owned(), fields, value, text));
    stand_in.refusals.lock().unwrap().pop().map_or(StatusCode::OK, |status| StatusCode::from_u16(status).unwrap())
}

static NOW_MS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1_700_000_000_000);

fn now() -> Now {
    let unix_ms = NOW_MS.load(std::sync::atomic::Ordering::Relaxed);
    Now { mono_ns: (unix_ms - 1_600_000_000_000) * 1_000_000, unix_ms }
}

/// Tests share one clock: one at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn pass(seconds: u64) {
    NOW_MS.fetch_add(seconds * 1_000, std::sync::atomic::Ordering::Relaxed);
}

async fn start(text: &str) -> (Alerts, Publisher, Arc<ArcSwap<Config>>) {
    start_with(text, Database::none()).await
}

async fn start_with(text: &str, database: Database) -> (Alerts, Publisher, Arc<ArcSwap<Config>>) {
    let config = config::parse(text, &|_| None).unwrap_or_else(|problems| panic!("{problems:?}"));
    let publisher = Publisher::new(Source::environment().compile(&config, None).unwrap());
    let served = Arc::new(ArcSwap::from_pointee(config));
    let setup = Setup {
        served: served.clone(),
        publisher: publisher.clone(),
        clock: now,
        every: Duration::from_millis(10),
        database,
        gateway: "test".to_owned(),
    };
    (Alerts::start(setup).await, publisher, served)
}

fn record(fault: Option<Kind>) -> Record {
    Record {
        id: *b"0123456789abcdef",
        at_ms: now().unix_ms,
        shard: 0,
        operation: Operation::Chat,
        dialect: Some(DialectId::OpenaiChat),
        mode: Mode::Whole,
        key: None,
        team: None,
        customer: None,
        route: None,
        asked: "m".into(),
        provider: Some("acme".into()),
        model: Some("m".into()),
        attempts: Vec::new(),
        status: fault.map_or(200, Kind::status),
        fault,
        usage: Usage::default(),
        provenance: Provenance::Provider,
        delivered: None,
        tier: None,
        losses: 0,
        rescued: false,
        request_bytes: 0,
        answer_bytes: 0,
        overhead_ns: 0,
        first_byte_ns: 0,
        total_ns: 1_000_000,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_failures_are_one_message_and_one_resolve_in_every_channel() {
    let _turn = TURN.lock().await;
    let stand_in = StandIn::default();
    let url = stand_in.start().await;
    let (alerts, ..) = start(&format!(
        "channels:\n  hook: {{webhook: \"{url}/hook\", secret: s3cret-s3cret}}\n  ops: {{slack: \"{url}/slack\"}}\n  \
         room: {{teams: \"{url}/teams\"}}\n  page: {{pagerduty: routing-key-1, url: \"{url}/pager\"}}\n\
         alerts:\n  errors: {{watch: errors, above: 5%, over: 5m, by: provider, severity: critical, to: [hook, ops, room, page]}}\n"
    ))
    .await;
    let mut sink = alerts.sink();
    for _ in 0..100 {
        sink(&(0..10).map(|_| record(Some(Kind::UpstreamReset))).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let came = stand_in.wait(4).await;
    let of = |came: &[Came], path: &str| came.iter().filter(|(known, ..)| known == path).cloned().collect::<Vec<_>>();
    for path in ["/hook", "/slack", "/teams", "/pager"] {
        assert_eq!(of(&came, path).len(), 1, "{path}");
    }
    let (_, fields, body, text) = of(&came, "/hook").remove(0);
    assert_eq!((&body["event"], &body["subjects"][0]["name"]), (&"alert.fired".into(), &"provider acme".into()));
    let sent = fields["x-ringway-signature"].to_str().unwrap();
    let seconds: u64 = sent.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap().parse().unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"s3cret-s3cret");
    assert_eq!(channel::signature(&key, seconds, &text), sent);
    assert_eq!(of(&came, "/pager")[0].2["event_action"], "trigger");
    assert!(of(&came, "/slack")[0].2["text"].as_str().unwrap().contains("provider acme: 100% of"));
    assert_eq!(alerts.state_of("errors").unwrap()["state"], "firing");
    assert_eq!(alerts.standing().firing, 1);

    // Half an hour of quiet; the window empties, the alert ends once.
    for _ in 0..30 {
        pass(60);
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let came = stand_in.wait(8).await;
    assert_eq!(came.len(), 8, "one message and one resolve a channel");
    assert_eq!(of(&came, "/hook")[1].2["event"], "alert.resolved");
    assert_eq!(of(&came, "/pager")[1].2["event_action"], "resolve");
    assert_eq!(of(&came, "/pager")[1].2["dedup_key"], of(&came, "/pager")[0].2["dedup_key"]);
    let until = Instant::now() + Duration::from_secs(10);
    let history = loop {
        let history = alerts.history("errors", 10);
        if history.iter().all(|entry| entry["deliveries"].as_array().is_some_and(|list| list.len() == 4)) {
            break history;
        }
        assert!(Instant::now() < until, "{history:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(history.iter().map(|entry| entry["event"].as_str().unwrap()).collect::<Vec<_>>(), ["resolved", "fired"]);
    assert!(!format!("{history:?}").contains("s3cret") && !format!("{history:?}").contains("routing-key-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_fails_is_tried_again_within_its_bound() {
    let _turn = TURN.lock().await;
    let stand_in = StandIn::default();
    let url = stand_in.start().await;
    *stand_in.refusals.lock().unwrap() = vec![429, 503];
    let (alerts, ..) = start(&format!(
        "channels: {{hook: {{webhook: \"{url}/hook\"}}, gone: {{webhook: \"{url}/gone\"}}}}\nalerts: {{a: {{watch: down, to: [hook]}}, b: {{watch: down, to: gone}}}}\n"
    ))
    .await;
    let outcomes = alerts.test("a").await.unwrap();
    assert_eq!((&outcomes[0]["ok"], &outcomes[0]["tries"]), (&true.into(), &3.into()), "{outcomes:?}");
    let came = stand_in.came();
    assert_eq!((came.len(), &came[0].2["event"]), (3, &"alert.test".into()));
    assert!(came.iter().all(|(_, fields, _, text)| fields["x-ringway-delivery"] == came[0].1["x-ringway-delivery"] && *text == came[0].3));
    *stand_in.refusals.lock().unwrap() = vec![404];
    let outcomes = alerts.test("b").await.unwrap();
    assert_eq!((&outcomes[0]["ok"], &outcomes[0]["tries"], &outcomes[0]["error"]), (&false.into(), &1.into(), &"it answers 404".into()));
    assert!(alerts.test("nobody").await.is_err());
    assert_eq!(alerts.history("b", 1)[0]["deliveries"][0]["ok"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_targets_that_go_down_are_told_together_and_a_reload_takes_effect() {
    let _turn = TURN.lock().await;
    let stand_in = StandIn::default();
    let url = stand_in.start().await;
    let file = format!(
        "providers: {{far: {{like: openai, base_url: \"http://127.0.0.1:1\", keys: [{{name: main, value: k1}}, {{name: other, value: k2}}]}}}}\n\
         routes: {{r: {{targets: [far/m]}}}}\nchannels: {{hook: {{webhook: \"{url}/hook\"}}}}\n"
    );
    let (alerts, publisher, served) = start(&format!("{file}alerts: {{down: {{watch: down, to: [hook], cool_down: 1m}}}}\n")).await;
    let snapshot = publisher.current();
    let far = snapshot.providers.iter().find(|upstream| &*upstream.name == "far").unwrap();
    far.credentials.iter().for_each(|credential| credential.tell_of("m", &Fault::new(Kind::UpstreamAuth, "401"), now().mono_ns));
    let came = stand_in.wait(1).await;
    let names: Vec<&str> = came[0].2["subjects"].as_array().unwrap().iter().map(|subject| subject["name"].as_str().unwrap()).collect();
    let told = alerts.history("down", 10).iter().flat_map(|entry| entry["subjects"].as_array().cloned().unwrap_or_default()).count();
    assert!(names.contains(&"key far/main") && told >= names.len(), "{names:?}");
    // The alert leaves the file: what it told of is over.
    let config = config::parse(&file, &|_| None).unwrap();
    served.store(Arc::new(config));
    let until = Instant::now() + Duration::from_secs(10);
    while alerts.history("down", 1)[0]["event"] != "resolved" {
        assert!(Instant::now() < until, "{:?}", alerts.history("down", 10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(alerts.list_state().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_is_not_told_again_after_a_restart() {
    let _turn = TURN.lock().await;
    let stand_in = StandIn::default();
    let url = stand_in.start().await;
    let directory = std::env::temp_dir().join(format!("ringway-alerts-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let file = format!(
        "providers: {{far: {{like: openai, base_url: \"http://127.0.0.1:1\", keys: [k1]}}}}\nchannels: {{hook: {{webhook: \"{url}/hook\"}}}}\n\
         alerts: {{down: {{watch: down, to: [hook]}}}}\n"
    );
    let go_down = |publisher: &Publisher| {
        let snapshot = publisher.current();
        let far = snapshot.providers.iter().find(|upstream| &*upstream.name == "far").unwrap();
        far.credentials[0].tell_of("m", &Fault::new(Kind::UpstreamAuth, "401"), now().mono_ns);
    };
    let database = Database::lazy_sqlite(directory.join("ringway.db"));
    let (_alerts, publisher, _) = start_with(&file, database.clone()).await;
    go_down(&publisher);
    stand_in.wait(1).await;
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let kept = database.query("SELECT deliveries FROM alert_messages", Vec::new()).await.unwrap_or_default();
        if kept.iter().any(|row| row.text(0).contains("\"ok\":true")) {
            break;
        }
        assert!(Instant::now() < until, "it was never kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Another process on the same store: it still fires there, and nobody is told twice.
    let (again, publisher, _) = start_with(&file, Database::lazy_sqlite(directory.join("ringway.db"))).await;
    assert_eq!(again.state_of("down").unwrap()["firing"][0]["told"], true);
    assert_eq!(again.history("down", 5)[0]["deliveries"][0]["channel"], "hook");
    go_down(&publisher);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stand_in.came().len(), 1);
    std::fs::remove_dir_all(&directory).unwrap();
}
