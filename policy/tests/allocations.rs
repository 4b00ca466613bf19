//! What a request costs in allocations before it is sent: the figure in `plan`'s module doc, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::borrow::Cow;
use std::cell::Cell;

use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::provider::builtins;
use ringway_policy::condition::Condition;
use ringway_policy::config;
use ringway_policy::facts::{Facts, Says};
use ringway_policy::lease::Now;
use ringway_policy::pipeline::Pipeline;
use ringway_policy::plan::plan;
use ringway_policy::quota::{At, Bill};
use ringway_policy::record::{Record, write_json};
use ringway_policy::snapshot::{self, Snapshot};
use ringway_policy::tags::Tags;

struct Counting;

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

const NOW: Now = Now { mono_ns: 1_000_000_000, unix_ms: 1_795_170_348_123 };

const FILE: &str = "
providers:
  openai: {keys: [k, l], models: [gpt-4.1]}
  my-vllm: {like: openai, base_url: \"http://10.0.0.5:8000/v1\"}
routes:
  chat: {targets: [openai/gpt-4.1, my-vllm/llama]}
  weighted: {targets: &four [openai/a, {model: openai/b, weight: 3}, my-vllm/c, {model: my-vllm/d, weight: 0}], fallbacks: [openai/e]}
  least_latency: {strategy: least_latency, targets: *four, fallbacks: [openai/e]}
  least_busy: {strategy: least_busy, targets: *four, fallbacks: [openai/e]}
  cheapest: {strategy: cheapest, targets: *four, fallbacks: [openai/e]}
  round_robin: {strategy: round_robin, targets: *four, fallbacks: [openai/e]}
  hash: {strategy: {hash: key}, targets: *four, fallbacks: [openai/e]}
virtual_keys:
  mobile: {key: aaaaaaaaaaaaaaaa, models: [chat, \"openai/*\", weighted, \"least_*\", cheapest, round_robin, hash]}
";

/// Key, plan, admit, credential, settle and the log line of one exchange; the record's own strings are the caller's.
fn allocations(snapshot: &Snapshot, model: &str, record: &mut Record, line: &mut Vec<u8>) -> u64 {
    let facts = Facts {
        operation: Operation::Chat,
        dialect: DialectId::OpenaiChat,
        model,
        fallbacks: &[],
        key: Some("aaaaaaaaaaaaaaaa"),
        mode: Mode::Whole,
        body_bytes: 750,
        max_tokens: None,
        choices: 1,
        client: None,
        tags: Tags::default(),
        says: &Keyed,
    };
    let before = ALLOCATIONS.with(Cell::get);
    let mut pipeline = Pipeline::authenticate(snapshot, facts.key, None, 0).unwrap();
    let plan = plan(snapshot, &facts, NOW, &mut || 7).unwrap();
    let (mut bill, at) = (Bill::default(), At { shard: 0, now: Now { mono_ns: 1, unix_ms: 1_780_000_000_000 } });
    pipeline.admit(snapshot, &facts, &plan, &mut bill, at).unwrap();
    let credentials = &snapshot.providers[plan.steps[0].provider].credentials;
    assert_eq!(snapshot::draw(credentials, 1, 7).is_some(), !credentials.is_empty());
    pipeline.settle(record, &mut bill, at);
    line.clear();
    write_json(record, line);
    ALLOCATIONS.with(Cell::get) - before
}

const FILE_WITH_QUOTAS: &str = "
providers:
  openai: {keys: [k, l], models: [gpt-4.1]}
  my-vllm: {like: openai, base_url: \"http://10.0.0.5:8000/v1\"}
routes:
  chat:
    targets: [openai/gpt-4.1, {model: openai/gpt-4.1-mini, when: request.tokens < 8000}, my-vllm/a]
    fallbacks: [my-vllm/b]
    unpriced: allow
virtual_keys:
  mobile:
    key: aaaaaaaaaaaaaaaa
    limits: [{requests: 1000, per: 1m}, {tokens: 1000000, per: 1m}, {concurrent: 100}]
    budgets: [{usd: \"10\", per: 1d}, {tokens: 1000000, per: 1w}, {usd: \"100\", per: 1mo, align: calendar}]
";

#[test]
fn three_limits_three_budgets_a_condition_and_four_targets_cost_no_allocation() {
    let config = config::parse(FILE_WITH_QUOTAS, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let mut record = record();
    let mut line = Vec::with_capacity(4096);
    allocations(&snapshot, "chat", &mut record, &mut line);
    assert_eq!(record.charges.len(), 6);
    assert_eq!(allocations(&snapshot, "chat", &mut record, &mut line), 0);
}

#[test]
fn a_plan_costs_no_allocation_but_for_many_targets_and_an_unlisted_model() {
    let config = config::parse(FILE, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let mut record = record();
    let mut line = Vec::with_capacity(4096);
    // Five targets are more than `STEPS_INLINE`.
    let routes = ["weighted", "least_latency", "least_busy", "cheapest", "round_robin", "hash"].map(|route| (route, 1));
    for (model, most) in routes.into_iter().chain([("chat", 0), ("openai/gpt-4.1", 0), ("openai/gpt-5", 1)]) {
        allocations(&snapshot, model, &mut record, &mut line);
        let warm = allocations(&snapshot, model, &mut record, &mut line);
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
        customer: None,
        route: None,
        asked: "chat".into(),
        provider: Some("openai".into()),
        model: Some("gpt-4.1".into()),
        attempts: Vec::new(),
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
        overhead_ns: 1,
        first_byte_ns: 1,
        total_ns: 1,
        client_request_id: None,
        client: Some("127.0.0.1".parse().unwrap()),
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
fn a_record_stays_small_enough_for_thousands_in_an_outbox() {
    assert!(size_of::<Record>() <= 800, "{}", size_of::<Record>());
}

#[test]
fn a_condition_of_plain_comparisons_costs_no_allocation() {
    let source =
        r#"request.key == "" && request.tokens < 8000 && request.model in ["a", "chat"] && !request.stream && has(request.max_tokens)"#;
    let condition = Condition::compile(source).expect("a condition");
    let facts = Facts {
        operation: Operation::Chat,
        dialect: DialectId::OpenaiChat,
        model: "chat",
        fallbacks: &[],
        key: None,
        mode: Mode::Whole,
        body_bytes: 750,
        max_tokens: Some(5),
        choices: 1,
        client: None,
        tags: Tags::default(),
        says: &ringway_policy::facts::Silent,
    };
    let before = ALLOCATIONS.with(Cell::get);
    assert!(condition.holds(&facts));
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
}
