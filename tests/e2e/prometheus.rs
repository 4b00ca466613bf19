//! The metrics page as Prometheus takes it: its own linter, its own server, every expression of the dashboard and of the rules.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ringway_tests::standin::{StandIn, answer, json};
use serde_json::{Value, json};

use crate::client::{get, post_with};
use crate::process::{Process, Ringway, free_port, ringway_binary};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "test-key-of-prometheus-0001";
/// Of a team without a budget: it may ask what has no price.
const FREE_KEY: &str = "test-key-of-prometheus-0002";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the repository").to_owned()
}

/// Streams where it is asked to, and counts cached tokens.
fn provider() -> StandIn {
    let usage = r#""usage":{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"prompt_tokens_details":{"cached_tokens":60}}"#;
    let whole = format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":"stop"}}],{usage}}}"#
    );
    let chunk =
        |rest: &str| format!("data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\",{rest}}}\n\n");
    let stream = [
        chunk(r#""choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]"#),
        chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#),
        chunk(&format!(r#""choices":[],{usage}"#)),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    StandIn::start(move |asked| match String::from_utf8_lossy(&asked.body).contains("\"stream\":true") {
        true => answer("200 OK", "text/event-stream", stream.as_bytes()),
        false => json("200 OK", &whole),
    })
}

fn start(provider: &StandIn, collector: &StandIn) -> Ringway {
    let config = format!(
        "providers:\n  near: {{like: openai, base_url: \"http://{address}/v1\", keys: [k], models: [{{name: m-1, price: {{input: \"1\", output: \"2\"}}}}]}}\n  \
         far: {{like: openai, base_url: \"http://127.0.0.1:1/v1\", keys: [k], models: [{{name: m-9, price: {{input: \"1\", output: \"2\"}}}}]}}\n\
         routes:\n  r: {{targets: [far/m-9], fallbacks: [near/m-1], retries: 1}}\n  broken: {{targets: [far/m-9], retries: 1}}\n\
         teams: {{apps: {{budgets: [{{usd: \"50\", per: 1d}}]}}, free: {{}}}}\n\
         virtual_keys: {{k: {{key: {KEY}, team: apps, limits: [{{requests: 10000, per: 1m}}]}}, f: {{key: {FREE_KEY}, team: free}}}}\n\
         queue: {{}}\n",
        address = provider.address
    );
    let mut command = Command::new(ringway_binary());
    command.args(["--driver", &std::env::var("RINGWAY_TEST_DRIVER").unwrap_or_else(|_| "auto".into())]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address));
    Ringway::launch(&config, &mut command)
}

/// Something of everything: whole, streamed, without a price, by a fallback, failed.
fn drive(ringway: &Ringway) {
    for (model, stream, expected) in [
        ("near/m-1", false, 200),
        ("near/m-1", true, 200),
        ("near/m-2", false, 200),
        ("r", false, 200),
        ("broken", false, 0),
        ("nope", false, 404),
    ] {
        let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]});
        let key = if model == "near/m-2" { FREE_KEY } else { KEY };
        let fields = format!("authorization: Bearer {key}\r\n");
        let answer = post_with(ringway.address, CHAT, &fields, &body);
        assert!(answer.status == expected || (expected == 0 && answer.status >= 500), "{model}: {}", answer.text());
    }
}

/// A Prometheus that scrapes the gateway each second.
struct Prometheus {
    address: SocketAddr,
    directory: PathBuf,
    _process: Process,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Prometheus {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let directory = std::env::temp_dir().join(format!("ringway-prometheus-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&directory).expect("the temporary directory takes a folder");
        let rules = repository().join("deploy/prometheus/ringway.rules.yaml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules:?}]\n\
             scrape_configs: [{{job_name: ringway, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        let file = directory.join("prometheus.yaml");
        std::fs::write(&file, config).expect("the folder takes a file");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display())).arg(format!("--storage.tsdb.path={}", directory.join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=warn");
        Prometheus { address, directory, _process: Process::start(&mut command) }
    }

    /// The result of a query; `Err` with Prometheus' words where it is refused.
    fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/query?query={}", encoded(expression));
        let Ok(stream) = std::net::TcpStream::connect(self.address) else { return Err("not yet".to_owned()) };
        drop(stream);
        let answer = get(self.address, &path);
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| answer.text())?;
        match body["status"].as_str() {
            Some("success") => Ok(body["data"]["result"].as_array().cloned().unwrap_or_default()),
            _ => Err(body["error"].to_string()),
        }
    }

    fn wait_for(&self, expression: &str) {
        let until = Instant::now() + Duration::from_secs(40);
        while !self.query(expression).is_ok_and(|found| !found.is_empty()) {
            assert!(Instant::now() < until, "{expression} never became true: {:?}", self.query(expression));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Every expression of the dashboard, with the panel that it stands in.
fn expressions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository().join("deploy/grafana/ringway.json")).expect("the dashboard is there");
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(|target| (panel["title"].as_str().unwrap_or_default().to_owned(), target))
    });
    targets
        .map(|(title, target)| (title, target["expr"].as_str().expect("a target has an expression").replace("$__rate_interval", "1m")))
        .collect()
}

#[test]
fn prometheus_linter_finds_nothing_in_the_page() {
    let (provider, collector) = (provider(), StandIn::start(|_| answer("200 OK", "application/x-protobuf", b"")));
    let ringway = start(&provider, &collector);
    drive(&ringway);
    let until = Instant::now() + Duration::from_secs(10);
    while !get(ringway.admin, "/metrics").text().contains("ringway_inter_token_seconds_count") {
        assert!(Instant::now() < until, "the ledger never came round");
        std::thread::sleep(Duration::from_millis(10));
    }
    let page = get(ringway.admin, "/metrics").text();
    let mut promtool = Command::new("promtool");
    let mut child =
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool");
    child.stdin.take().expect("it is piped").write_all(page.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let words = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}

#[test]
fn every_expression_of_the_dashboard_finds_data_in_a_real_prometheus() {
    let (provider, collector) = (provider(), StandIn::start(|_| answer("200 OK", "application/x-protobuf", b"")));
    let ringway = start(&provider, &collector);
    drive(&ringway);
    let prometheus = Prometheus::start(ringway.admin);
    // Rates need two samples with something in between.
    prometheus.wait_for("ringway_inter_token_seconds_count");
    drive(&ringway);
    prometheus.wait_for("changes(ringway_inter_token_seconds_count[1m]) > 0");
    let expressions = expressions();
    assert!(expressions.len() > 40, "{}", expressions.len());
    for (panel, expression) in &expressions {
        let found = prometheus.query(expression).unwrap_or_else(|error| panic!("{panel}: {expression}: {error}"));
        assert!(!found.is_empty(), "{panel}: {expression} finds nothing");
        assert!(found.len() <= 200, "{panel}: {} lines", found.len());
    }
    let errors = prometheus.query("sum(ringway_errors_total{blame=\"upstream\"})").unwrap();
    assert_eq!(errors[0]["value"][1], "2", "one of each round");
    let rules = get(prometheus.address, "/api/v1/rules").text();
    assert!(rules.contains("RingwayErrors") && !rules.contains("\"health\":\"err\""), "{rules}");
}

#[test]
fn the_alert_rules_are_valid() {
    let output = Command::new("promtool").args(["check", "rules"]).arg(repository().join("deploy/prometheus/ringway.rules.yaml")).output();
    let output = output.expect("promtool");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
