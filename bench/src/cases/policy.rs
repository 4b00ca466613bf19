//! Policy: from the key to the plan, to the settled exchange and its line in the log.

use std::hint::black_box;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::builtins;
use ringway_policy::config;
use ringway_policy::facts::Facts;
use ringway_policy::pipeline::Pipeline;
use ringway_policy::plan::plan;
use ringway_policy::record::{Attempt, Record, write_json};
use ringway_policy::snapshot::{self, Snapshot};

use crate::{Case, Prepared};

pub const CASES: &[Case] =
    &[Case { name: "policy/admit-settle", prepare: admit_settle }, Case { name: "policy/record-line", prepare: record_line }];

const KEY: &str = "rw-0123456789abcdef0123456789abcdef";

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

/// Key, plan, admit, credential, settle.
fn admit_settle() -> Prepared {
    let config = config::parse(FILE, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let record = record();
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
            client: None,
        };
        let mut pipeline = Pipeline::authenticate(&snapshot, facts.key).expect("a known key");
        let plan = plan(&snapshot, &facts, &mut || 7).expect("a known route");
        pipeline.admit(&snapshot, &facts, &plan, 1).expect("an allowed model");
        let step = plan.steps.first().expect("a target");
        black_box(snapshot::draw(&snapshot.providers[step.provider].credentials, 1, 7));
        pipeline.settle(&record);
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
        }],
        status: 200,
        fault: None,
        usage: Default::default(),
        provenance: Default::default(),
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
    }
}
