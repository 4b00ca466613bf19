//! What a request costs in allocations before it is sent: the figure in `plan`'s module doc, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::builtins;
use ringway_policy::config;
use ringway_policy::facts::Facts;
use ringway_policy::pipeline::Pipeline;
use ringway_policy::plan::plan;
use ringway_policy::record::{Record, write_json};
use ringway_policy::snapshot::{self, Snapshot};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed to the system allocator as it came; the counter is a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's own promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const FILE: &str = "
providers:
  openai: {keys: [k, l], models: [gpt-4.1]}
  my-vllm: {like: openai, base_url: \"http://10.0.0.5:8000/v1\"}
routes:
  chat: {targets: [openai/gpt-4.1, my-vllm/llama]}
virtual_keys:
  mobile: {key: aaaaaaaaaaaaaaaa, models: [chat, \"openai/*\"]}
";

/// Key, plan, admit, credential, settle and the log line of one exchange; the record's own strings are the caller's.
fn allocations(snapshot: &Snapshot, model: &str, record: &Record, line: &mut Vec<u8>) -> u64 {
    let facts = Facts {
        operation: Operation::Chat,
        dialect: DialectId::OpenaiChat,
        model,
        fallbacks: &[],
        key: Some("aaaaaaaaaaaaaaaa"),
        mode: Mode::Whole,
        body_bytes: 750,
        max_tokens: None,
        client: None,
    };
    let before = ALLOCATIONS.with(Cell::get);
    let mut pipeline = Pipeline::authenticate(snapshot, facts.key).unwrap();
    let plan = plan(snapshot, &facts, &mut || 7).unwrap();
    pipeline.admit(snapshot, &facts, &plan, 1).unwrap();
    assert!(snapshot::draw(&snapshot.providers[plan.steps[0].provider].credentials, 1, 7).is_some());
    pipeline.settle(record);
    line.clear();
    write_json(record, line);
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn a_request_costs_one_allocation_and_an_unlisted_model_one_more() {
    let config = config::parse(FILE, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let record = record();
    let mut line = Vec::with_capacity(4096);
    for (model, most) in [("chat", 1), ("openai/gpt-4.1", 1), ("openai/gpt-5", 2)] {
        allocations(&snapshot, model, &record, &mut line);
        let warm = allocations(&snapshot, model, &record, &mut line);
        assert!(warm <= most, "{model}: {warm} allocations");
    }
}

fn record() -> Record {
    Record {
        id: [1; 16],
        at_ms: 1,
        shard: 0,
        operation: Operation::Chat,
        dialect: Some(DialectId::OpenaiChat),
        mode: Mode::Whole,
        key: Some("mobile".into()),
        team: None,
        route: None,
        asked: "chat".into(),
        provider: Some("openai".into()),
        model: Some("gpt-4.1".into()),
        attempts: Vec::new(),
        status: 200,
        fault: None,
        usage: Default::default(),
        provenance: Default::default(),
        losses: 0,
        rescued: false,
        request_bytes: 750,
        answer_bytes: 830,
        overhead_ns: 1,
        first_byte_ns: 1,
        total_ns: 1,
        client_request_id: None,
        client: Some("127.0.0.1".parse().unwrap()),
        tags: None,
    }
}
