//! Policy: from the key to the plan, to the settled exchange and its line in the log.

use std::borrow::Cow;
use std::hint::black_box;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::builtins;
use ringway_policy::config;
use ringway_policy::facts::{Facts, Says, Silent};
use ringway_policy::health::Watch;
use ringway_policy::lease::Now;
use ringway_policy::pipeline::Pipeline;
use ringway_policy::plan::plan;
use ringway_policy::quota::{At, Bill};
use ringway_policy::record::{Attempt, Record, write_json};
use ringway_policy::snapshot::{self, Snapshot};
use ringway_policy::tags::Tags;

use crate::{Case, Prepared};

pub const CASES: &[Case] = &[
    Case { name: "policy/admit-settle", prepare: || admit_settle(FILE) },
    Case { name: "policy/admit-settle-quotas", prepare: || admit_settle(FILE_WITH_QUOTAS) },
    Case { name: "policy/admit-settle-full", prepare: || admit_settle(FILE_FULL) },
    Case { name: "policy/record-line", prepare: record_line },
    Case { name: "policy/plan-weighted", prepare: || plan_four("weighted") },
    Case { name: "policy/plan-least-latency", prepare: || plan_four("least_latency") },
    Case { name: "policy/plan-least-busy", prepare: || plan_four("least_busy") },
    Case { name: "policy/plan-round-robin", prepare: || plan_four("round_robin") },
    Case { name: "policy/plan-hash", prepare: || plan_four("{hash: key}") },
];

const KEY: &str = "rw-0123456789abcdef0123456789abcdef";

const NOW: Now = Now { mono_ns: 1_000_000_000, unix_ms: 1_795_170_348_123 };

const FILE: &str = "
providers:
  openai: {keys: [k, l], models: [gpt-4.1]}
  my-vllm: {like: openai, base_url: \"http://127.0.0.1:8000/v1\"}
routes:
  chat: {targets: [{model: openai/gpt-4.1, weight: 3}, my-vllm/llama], fallbacks: [openai/gpt-4.1]}
virtual_keys:
  mobile: {key: rw-0123456789abcdef0123456789abcdef, team: apps, models: [chat, \"openai/*\"]}
teams: {apps: {}}
";

/// Three limits, three budgets, a route of four targets.
const FILE_WITH_QUOTAS: &str = "
providers:
  openai: {keys: [k, l], models: [gpt-4.1]}
  my-vllm: {like: openai, base_url: \"http://127.0.0.1:8000/v1\"}
routes:
  chat: {targets: [{model: openai/gpt-4.1, weight: 3}, openai/gpt-4.1-mini, my-vllm/a], fallbacks: [my-vllm/b], unpriced: allow}
virtual_keys:
  mobile:
    key: rw-0123456789abcdef0123456789abcdef
    team: apps
    models: [chat, \"openai/*\"]
    limits: [{requests: 1000000000000, per: 1m}, {tokens: 1000000000000, per: 1m}, {concurrent: 100}]
    budgets: [{usd: \"100000000\", per: 1d}, {tokens: 1000000000000, per: 1w}]
teams: {apps: {budgets: [{usd: \"100000000\", per: 1mo, align: calendar}]}}
";

/// All of it at once: a key with three limits and three budgets, a condition, a route of four targets with prices.
const FILE_FULL: &str = "
providers:
  openai: {keys: [k, l], models: [gpt-4.1]}
  my-vllm: {like: openai, base_url: \"http://127.0.0.1:8000/v1\"}
routes:
  chat:
    targets: [{model: openai/gpt-4.1, weight: 3}, {model: openai/gpt-4.1-mini, when: \"request.tokens < 8000 && !request.stream\"}, my-vllm/a]
    fallbacks: [my-vllm/b]
    unpriced: allow
virtual_keys:
  mobile:
    key: rw-0123456789abcdef0123456789abcdef
    models: [chat, \"openai/*\"]
    limits: [{requests: 1000000000000, per: 1m}, {tokens: 1000000000000, per: 1m}, {concurrent: 100}]
    budgets: [{usd: \"100000000\", per: 1d}, {tokens: 1000000000000, per: 1w}, {usd: \"100000000\", per: 1mo, align: calendar}]
";

/// Key, plan, admit, credential, settle.
fn admit_settle(file: &str) -> Prepared {
    let config = config::parse(file, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let mut record = record();
    Prepared::new(move || {
        let facts = Facts {
            operation: Operation::Chat,
            dialect: DialectId::OpenaiChat,
            model: black_box("chat"),
            fallbacks: &[],
            key: Some(black_box(KEY)),
            mode: Mode::Whole,
            body_bytes: 750,
            max_tokens: None,
            choices: 1,
            client: None,
            tags: Tags::default(),
            says: &Silent,
        };
        let mut pipeline = Pipeline::authenticate(&snapshot, facts.key, None, 0).expect("a known key");
        let plan = plan(&snapshot, &facts, NOW, &mut || 7).expect("a known route");
        let (mut bill, at) = (Bill::default(), At { shard: 0, now: Now { mono_ns: 1, unix_ms: 1_780_000_000_000 } });
        pipeline.admit(&snapshot, &facts, &plan, &mut bill, at).expect("an allowed model");
        let step = plan.steps.first().expect("a target");
        black_box(snapshot::draw(&snapshot.providers[step.provider].credentials, 1, 7));
        pipeline.settle(&mut record, &mut bill, at);
    })
}

/// Says its key alone, for the route that is stuck by it.
#[derive(Debug)]
struct Keyed;

impl Says for Keyed {
    fn user(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn header(&self, _: &str) -> Option<&str> {
        None
    }

    fn tag(&self, _: &str) -> Option<&str> {
        None
    }

    fn key(&self) -> Option<&str> {
        Some("mobile")
    }
}

/// The plan of a route with four targets of which something is known.
fn plan_four(strategy: &str) -> Prepared {
    let file = format!(
        "providers:\n  a: {{like: openai, base_url: \"http://127.0.0.1:1\", keys: [k]}}\nroutes:\n  r: {{strategy: {strategy}, targets: [a/1, a/2, a/3, a/4]}}\n"
    );
    let config = config::parse(&file, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap_or_else(|problems| panic!("{problems:#?}"));
    for target in snapshot.targets() {
        (0..32).for_each(|n| Watch::begin(target, Mode::Whole, n).first_byte(n + 200_000_000));
    }
    let mut random = 7u64;
    Prepared::new(move || {
        let facts = Facts {
            operation: Operation::Chat,
            dialect: DialectId::OpenaiChat,
            model: black_box("r"),
            fallbacks: &[],
            key: None,
            mode: Mode::Whole,
            body_bytes: 750,
            max_tokens: None,
            choices: 1,
            client: None,
            tags: Tags::default(),
            says: &Keyed,
        };
        let plan = plan(&snapshot, &facts, NOW, &mut || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random
        });
        black_box(plan.expect("a known route"));
    })
}

fn record_line() -> Prepared {
    let record = record();
    let mut line = Vec::with_capacity(4096);
    Prepared::new(move || {
        line.clear();
        write_json(black_box(&record), &mut line);
        black_box(&line);
    })
}

fn record() -> Record {
    Record {
        id: [0xa7; 16],
        at_ms: 1_780_000_000_123,
        shard: 1,
        operation: Operation::Chat,
        dialect: Some(DialectId::OpenaiChat),
        mode: Mode::Whole,
        key: Some("mobile".into()),
        team: Some("apps".into()),
        customer: None,
        route: Some("chat".into()),
        asked: "chat".into(),
        provider: Some("openai".into()),
        model: Some("gpt-4.1".into()),
        attempts: vec![Attempt {
            provider: "openai".into(),
            model: "gpt-4.1".into(),
            status: 200,
            fault: None,
            total_ns: 21_345_678,
            usage: Default::default(),
            delivered: None,
            cost: None,
            times: Default::default(),
            tier: None,
            overtaken: false,
            span: 0,
        }],
        status: 200,
        fault: None,
        usage: Default::default(),
        provenance: Default::default(),
        delivered: None,
        tier: None,
        losses: 0,
        rescued: false,
        request_bytes: 750,
        answer_bytes: 830,
        overhead_ns: 3_456,
        first_byte_ns: 20_345_678,
        total_ns: 21_345_678,
        client_request_id: None,
        client: Some("127.0.0.1".parse().expect("an address")),
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
