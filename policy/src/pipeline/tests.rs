use std::sync::atomic::{AtomicU32, Ordering};

use ringway_adapters::ir::Mode;
use ringway_adapters::operation::Operation;
use ringway_adapters::usage::{Provenance, Usage};

use super::*;
use crate::facts::{Says, Silent};
use crate::plan::plan;
use crate::plan::testing::{NOW, facts, snapshot_of};

const FILE: &str = "
providers:
  openai: {keys: [k]}
  anthropic: {keys: [k]}
routes:
  chat-large: {targets: [anthropic/claude-sonnet-4-5]}
virtual_keys:
  all: {key: aaaaaaaaaaaaaaaa}
  some: {key: bbbbbbbbbbbbbbbb, models: [\"openai/*\", chat-large]}
  none: {key: cccccccccccccccc, models: []}
";
const AT: quota::At = quota::At { shard: 0, now: crate::lease::Now { mono_ns: 0, unix_ms: 0 } };
const SOME: &str = "bbbbbbbbbbbbbbbb";

fn record() -> Record {
    Record {
        id: [0; 16],
        at_ms: 0,
        shard: 0,
        operation: Operation::Chat,
        dialect: None,
        mode: Mode::Whole,
        key: None,
        team: None,
        customer: None,
        route: None,
        asked: "".into(),
        provider: None,
        model: None,
        attempts: Vec::new(),
        status: 502,
        fault: Some(Kind::UpstreamError),
        usage: Usage::default(),
        provenance: Provenance::Delivered,
        delivered: None,
        tier: None,
        losses: 0,
        rescued: false,
        request_bytes: 0,
        answer_bytes: 0,
        overhead_ns: 0,
        first_byte_ns: 0,
        total_ns: 0,
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

fn admit(key: &str, facts: &Facts<'_>) -> Result<(), Fault> {
    let snapshot = snapshot_of(FILE);
    let plan = plan(&snapshot, facts, NOW, &mut || 0).unwrap();
    let mut pipeline = Pipeline::authenticate(&snapshot, Some(key), None, 0)?;
    let mut bill = Bill::default();
    let result = pipeline.admit(&snapshot, facts, &plan, &mut bill, AT);
    pipeline.settle(&mut record(), &mut bill, AT);
    result.map(drop)
}

#[test]
fn without_keys_everybody_is_anonymous() {
    let snapshot = snapshot_of("");
    for key in [None, Some("sk-whatever")] {
        assert_eq!(&*Pipeline::authenticate(&snapshot, key, None, 0).unwrap().principal.key, "anonymous");
    }
}

#[test]
fn with_keys_a_missing_and_an_unknown_one_are_refused() {
    let snapshot = snapshot_of(FILE);
    for (key, word) in [(None, "no virtual key was sent"), (Some("wrong-wrong-wrong"), "not known here"), (Some(""), "not known here")] {
        let fault = Pipeline::authenticate(&snapshot, key, None, 0).unwrap_err();
        assert_eq!(fault.kind, Kind::InvalidKey);
        assert!(fault.message.contains(word) && !fault.message.contains("wrong"), "{}", fault.message);
    }
    assert_eq!(&*Pipeline::authenticate(&snapshot, Some(SOME), None, 0).unwrap().principal.key, "some");
}

#[test]
fn a_key_may_use_its_models_by_any_of_their_names() {
    for model in ["openai/gpt-4.1", "gpt-4.1", "chat-large"] {
        assert!(admit(SOME, &facts(model)).is_ok(), "{model}");
    }
    assert!(admit("aaaaaaaaaaaaaaaa", &facts("anthropic/claude-sonnet-4-5")).is_ok());
}

#[test]
fn other_models_are_refused_by_name() {
    let fault = admit(SOME, &facts("anthropic/claude-sonnet-4-5")).unwrap_err();
    assert_eq!(fault.kind, Kind::ModelNotAllowed);
    assert_eq!(fault.message, "key \"some\" may not use model \"anthropic/claude-sonnet-4-5\"; its models: GET /v1/models");
    assert!(admit(SOME, &facts("claude-sonnet-4-5")).is_err(), "the bare name resolves to a model that is not allowed");
    assert!(admit("cccccccccccccccc", &facts("openai/gpt-4.1")).is_err());
}

#[test]
fn the_requests_fallbacks_are_checked_but_not_a_routes_own_targets() {
    let fallbacks = ["anthropic/claude-sonnet-4-5".to_owned()];
    let fault = admit(SOME, &Facts { fallbacks: &fallbacks, ..facts("openai/gpt-4.1") }).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref()), (Kind::ModelNotAllowed, Some("fallbacks")));
    let fallbacks = ["chat-large".to_owned()];
    assert!(admit(SOME, &Facts { fallbacks: &fallbacks, ..facts("openai/gpt-4.1") }).is_ok());
}

#[test]
fn a_request_without_a_model_needs_the_whole_provider() {
    let files = Facts { operation: Operation::Files, ..facts("") };
    assert!(admit(SOME, &files).is_ok(), "openai/* is the whole provider");
    assert!(admit("aaaaaaaaaaaaaaaa", &files).is_ok());
    let fault = admit("cccccccccccccccc", &files).unwrap_err();
    assert!(fault.message.contains("openai/*"), "{}", fault.message);
}

#[test]
fn a_denied_model_is_refused_by_any_of_its_names() {
    let snapshot = snapshot_of(
        "{providers: {openai: {keys: [k]}}, routes: {chat: {targets: [openai/o1]}}, \
         virtual_keys: {k: {key: aaaaaaaaaaaaaaaa, deny_models: [\"openai/o1*\"]}}}",
    );
    for (model, allowed) in [("openai/o1", false), ("o1-pro", false), ("openai/gpt-4.1", true), ("gpt-4.1", true), ("chat", true)] {
        let facts = facts(model);
        let plan = plan(&snapshot, &facts, NOW, &mut || 0).unwrap();
        let mut pipeline = Pipeline::authenticate(&snapshot, Some("aaaaaaaaaaaaaaaa"), None, 0).unwrap();
        let mut bill = Bill::default();
        assert_eq!(pipeline.admit(&snapshot, &facts, &plan, &mut bill, AT).is_ok(), allowed, "{model}");
        pipeline.settle(&mut record(), &mut bill, AT);
    }
}

/// A request whose model cannot be read.
#[derive(Debug)]
struct Unread;

impl Says for Unread {
    fn user(&self) -> Option<std::borrow::Cow<'_, str>> {
        None
    }
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
    fn tag(&self, _: &str) -> Option<&str> {
        None
    }
    fn key(&self) -> Option<&str> {
        None
    }
    fn unread(&self) -> Option<&str> {
        Some("its body is compressed")
    }
}

#[test]
fn a_key_with_denied_models_says_which_one_it_asks_for() {
    let snapshot = snapshot_of(
        "{providers: {openai: {keys: [k]}}, virtual_keys: {denies: {key: aaaaaaaaaaaaaaaa, deny_models: [\"openai/o1*\"]}, \
         allows: {key: bbbbbbbbbbbbbbbb, models: [\"openai/*\"]}}}",
    );
    for (key, says, refused) in
        [("aaaaaaaaaaaaaaaa", &Unread as &dyn Says, true), ("aaaaaaaaaaaaaaaa", &Silent, false), ("bbbbbbbbbbbbbbbb", &Unread, false)]
    {
        let facts = Facts { operation: Operation::Files, says, ..facts("") };
        let plan = plan(&snapshot, &facts, NOW, &mut || 0).unwrap();
        let mut pipeline = Pipeline::authenticate(&snapshot, Some(key), None, 0).unwrap();
        let mut bill = Bill::default();
        let admitted = pipeline.admit(&snapshot, &facts, &plan, &mut bill, AT);
        pipeline.settle(&mut record(), &mut bill, AT);
        assert_eq!(admitted.is_err(), refused, "{key}");
        if let Err(fault) = admitted {
            assert!(fault.kind == Kind::ModelNotAllowed && fault.message.contains("compressed"), "{}", fault.message);
        }
    }
}

static ADMITTED: AtomicU32 = AtomicU32::new(0);
static SETTLED: AtomicU32 = AtomicU32::new(0);
static PAUSED: AtomicU32 = AtomicU32::new(1);

/// A stage that counts, and one that refuses at first.
const COUNTING: &[Stage] = &[
    Stage {
        name: "count",
        admit: |_, _, _| {
            ADMITTED.fetch_add(1, Ordering::Relaxed);
            Verdict::Continue
        },
        observe: |_, _| Verdict::Continue,
        settle: |_, _, _, _| {
            SETTLED.fetch_add(1, Ordering::Relaxed);
        },
    },
    Stage {
        name: "refuse",
        admit: |_, _, _| match PAUSED.load(Ordering::Relaxed) {
            0 => Verdict::Continue,
            _ => Verdict::Refuse(Fault::new(Kind::RateLimited, "not yet")),
        },
        observe: |_, event| match event {
            Event::Ping => Verdict::Refuse(Fault::new(Kind::BudgetExceeded, "enough")),
            _ => Verdict::Continue,
        },
        settle: |_, _, _, _| panic!("a stage that refused is not settled"),
    },
];

#[test]
fn a_stage_that_admitted_is_settled_once_after_a_failure_and_never_run_again() {
    let snapshot = snapshot_of(FILE);
    let facts = facts("openai/gpt-4.1");
    let plan = plan(&snapshot, &facts, NOW, &mut || 0).unwrap();
    let mut pipeline = bare(&snapshot);
    pipeline.stages = COUNTING;
    assert!(pipeline.admit(&snapshot, &facts, &plan, &mut Bill::default(), AT).is_err());
    assert!(pipeline.admit(&snapshot, &facts, &plan, &mut Bill::default(), AT).is_err());
    assert_eq!(ADMITTED.load(Ordering::Relaxed), 1, "the pipeline goes on where it stopped");
    assert!(matches!(pipeline.observe(&Event::Ping), Verdict::Continue), "a stage that did not admit does not observe");
    pipeline.settle(&mut record(), &mut Bill::default(), AT);
    assert_eq!(SETTLED.load(Ordering::Relaxed), 1);
}

fn bare(snapshot: &Snapshot) -> Pipeline {
    Pipeline::authenticate(snapshot, Some(SOME), None, 0).unwrap()
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "dropped without settle")]
fn an_admitted_exchange_that_is_not_settled_is_a_bug() {
    let snapshot = snapshot_of(FILE);
    let facts = facts("openai/gpt-4.1");
    let plan = plan(&snapshot, &facts, NOW, &mut || 0).unwrap();
    let mut pipeline = bare(&snapshot);
    pipeline.admit(&snapshot, &facts, &plan, &mut Bill::default(), AT).unwrap();
}
