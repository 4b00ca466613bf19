use super::testing::{NOW, facts, snapshot_of};
use super::*;
use crate::key::{Access, Permits};
use crate::pattern::Pattern;

const FILE: &str = "
providers:
  openai: {keys: [k]}
  anthropic: {keys: [k]}
  my-vllm: {like: openai, base_url: \"http://10.0.0.5:8000/v1\", models: [llama, gpt-oss]}
  other: {like: openai, base_url: \"http://10.0.0.6:8000/v1\", models: [gpt-oss]}
routes:
  chat-large:
    targets: [{model: openai/gpt-4.1, weight: 3}, {model: my-vllm/llama, weight: 1}]
    fallbacks: [anthropic/claude-sonnet-4-5]
    retries: 1
    rescue: resume
  \"gpt-4*\": {targets: [\"openai/gpt-4*\"]}
  \"gpt-4o*\": {targets: [\"my-vllm/x*\"]}
  openai/pinned: {targets: [my-vllm/llama]}
";

fn ids(plan: &Plan, snapshot: &Snapshot) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{}/{}", snapshot.providers[step.provider].name, step.model)).collect()
}

fn resolved(model: &str) -> Vec<String> {
    let snapshot = snapshot_of(FILE);
    ids(&plan(&snapshot, &facts(model), NOW, &mut || 0).unwrap_or_else(|fault| panic!("{model}: {}", fault.message)), &snapshot)
}

fn refused(model: &str) -> Fault {
    plan(&snapshot_of(FILE), &facts(model), NOW, &mut || 0).unwrap_err()
}

#[test]
fn names_resolve_in_the_contracts_order() {
    assert_eq!(resolved("openai/pinned"), ["my-vllm/llama"], "an exact route before provider/model");
    assert_eq!(resolved("openai/gpt-4o"), ["openai/gpt-4o"], "provider/model before a pattern");
    assert_eq!(resolved("my-vllm/a/b"), ["my-vllm/a/b"], "split at the first slash");
    assert_eq!(resolved("gpt-4o-mini"), ["my-vllm/x-mini"], "the most literal pattern");
    assert_eq!(resolved("gpt-4.1"), ["openai/gpt-4.1"]);
    assert_eq!(resolved("llama"), ["my-vllm/llama"], "a bare name that one provider lists");
    assert_eq!(resolved("claude-haiku-4-5"), ["anthropic/claude-haiku-4-5"], "a bare name that one is known for");
    assert_eq!(resolved("ringway/echo"), ["ringway/echo"]);
}

#[test]
fn an_unknown_name_is_not_found_with_what_is_near() {
    let fault = refused("chat-lrage");
    assert_eq!(fault.kind, Kind::ModelNotFound);
    assert_eq!(fault.message, "model \"chat-lrage\" is not routed; did you mean \"chat-large\"; known models: GET /v1/models");
    assert_eq!(fault.param.as_deref(), Some("model"));
    assert_eq!(refused("gtp-9").message, "model \"gtp-9\" is not routed; known models: GET /v1/models");
    assert_eq!(refused("nobody/x").kind, Kind::ModelNotFound);
    assert_eq!(refused("openai/").kind, Kind::ModelNotFound);
    assert!(refused(&"é".repeat(100_000)).message.len() < 1_000);
}

#[test]
fn a_bare_name_that_several_serve_must_be_told_apart() {
    assert_eq!(refused("gpt-oss").message, "model \"gpt-oss\" is served by several providers; write my-vllm/gpt-oss or other/gpt-oss");
}

#[test]
fn targets_are_drawn_by_weight_without_replacement_then_come_the_fallbacks() {
    let snapshot = snapshot_of(FILE);
    let mut first = 0;
    for n in 0..100u64 {
        let plan = plan(&snapshot, &facts("chat-large"), NOW, &mut || (2 * n + 1) * (u64::MAX / 200)).unwrap();
        let ids = ids(&plan, &snapshot);
        assert_eq!(ids.len(), 3);
        assert_eq!(ids[2], "anthropic/claude-sonnet-4-5");
        first += usize::from(ids[0] == "openai/gpt-4.1");
        assert_ne!(ids[0], ids[1]);
    }
    assert_eq!(first, 75);
    let plan = plan(&snapshot, &facts("chat-large"), NOW, &mut || 0).unwrap();
    assert_eq!((plan.rules.retries, plan.rules.rescue, plan.route.as_deref()), (1, Rescue::Resume, Some("chat-large")));
}

#[test]
fn a_weight_of_zero_is_tried_last() {
    let snapshot = snapshot_of(
        "providers: {openai: {keys: [k]}}\nroutes: {r: {targets: [{model: openai/a, weight: 0}, {model: openai/b, weight: 1}, {model: openai/c, weight: 0}]}}",
    );
    for random in [0, u64::MAX] {
        let plan = plan(&snapshot, &facts("r"), NOW, &mut || random).unwrap();
        assert_eq!(ids(&plan, &snapshot), ["openai/b", "openai/a", "openai/c"]);
    }
}

#[test]
fn the_requests_own_fallbacks_come_last_and_never_twice() {
    let snapshot = snapshot_of(FILE);
    let fallbacks = ["anthropic/claude-sonnet-4-5".to_owned(), "other/gpt-oss".to_owned(), "openai/gpt-4.1".to_owned()];
    let plan_of = |fallbacks: &[String]| plan(&snapshot, &Facts { fallbacks, ..facts("chat-large") }, NOW, &mut || 0);
    assert_eq!(
        ids(&plan_of(&fallbacks).unwrap(), &snapshot),
        ["openai/gpt-4.1", "my-vllm/llama", "anthropic/claude-sonnet-4-5", "other/gpt-oss"]
    );
    let fault = plan_of(&["nobody/x".to_owned()]).unwrap_err();
    assert_eq!((fault.kind, fault.param.as_deref()), (Kind::ModelNotFound, Some("fallbacks")));
    let many: Vec<String> = (0..100).map(|n| format!("openai/m{n}")).collect();
    assert_eq!(plan_of(&many).unwrap().steps.len(), TARGETS_MAX);
}

#[test]
fn the_clients_dialect_is_taken_where_the_provider_has_it() {
    let snapshot = snapshot_of(FILE);
    let dialects = |dialect| -> Vec<(DialectId, String)> {
        let plan = plan(&snapshot, &Facts { dialect, ..facts("chat-large") }, NOW, &mut || 0).unwrap();
        plan.steps.iter().map(|step| (step.dialect, step.path.to_string())).collect()
    };
    let responses = dialects(DialectId::OpenaiResponses);
    assert_eq!(responses[0], (DialectId::OpenaiResponses, "/responses".to_owned()));
    assert_eq!(responses[2], (DialectId::Anthropic, "/v1/messages".to_owned()));
    assert_eq!(dialects(DialectId::Anthropic)[0], (DialectId::OpenaiChat, "/chat/completions".to_owned()));
}

#[test]
fn targets_that_do_not_serve_the_operation_are_left_out() {
    let snapshot = snapshot_of(FILE);
    let embed = |model| plan(&snapshot, &Facts { operation: Operation::Embed, ..facts(model) }, NOW, &mut || 0);
    assert_eq!(ids(&embed("chat-large").unwrap(), &snapshot), ["openai/gpt-4.1", "my-vllm/llama"]);
    let fault = embed("anthropic/claude-sonnet-4-5").unwrap_err();
    assert_eq!(fault.kind, Kind::InvalidRequest);
    assert!(fault.message.contains("does not serve embed"), "{}", fault.message);
}

#[test]
fn a_request_without_a_model_goes_to_who_serves_its_operation() {
    let snapshot = snapshot_of(FILE);
    let files = |dialect| plan(&snapshot, &Facts { operation: Operation::Files, dialect, ..facts("") }, NOW, &mut || 0);
    assert_eq!(ids(&files(DialectId::OpenaiChat).unwrap(), &snapshot), ["openai/", "my-vllm/", "other/"]);
    assert_eq!(ids(&files(DialectId::Anthropic).unwrap(), &snapshot), ["anthropic/"]);
    let none = snapshot_of("");
    assert_eq!(plan(&none, &Facts { operation: Operation::Files, ..facts("") }, NOW, &mut || 0).unwrap_err().kind, Kind::InvalidRequest);
}

#[test]
fn a_passthrough_goes_to_the_named_provider() {
    let snapshot = snapshot_of(FILE);
    let plan = passthrough(&snapshot, "my-vllm", &facts("")).unwrap();
    assert_eq!(ids(&plan, &snapshot), ["my-vllm/"]);
    let priced = passthrough(&snapshot, "my-vllm", &facts("my-vllm/a/b")).unwrap();
    assert_eq!(ids(&priced, &snapshot), ["my-vllm/a/b"]);
    let fault = passthrough(&snapshot, "my-vlm", &facts("")).unwrap_err();
    assert_eq!((fault.kind, &*fault.message), (Kind::NotFound, "provider \"my-vlm\" is not configured; did you mean \"my-vllm\""));
    assert!(passthrough(&snapshot, "ringway", &facts("")).is_err());
}

#[test]
fn the_list_holds_what_the_key_may_ask_for() {
    let snapshot = snapshot_of(FILE);
    let ids = |principal: &Principal| list(&snapshot, principal).iter().map(|listed| listed.id.to_string()).collect::<Vec<_>>();
    assert_eq!(
        ids(&Principal::anonymous()),
        ["chat-large", "openai/pinned", "ringway/echo", "my-vllm/llama", "my-vllm/gpt-oss", "other/gpt-oss"]
    );
    let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text)).collect();
    let key = |models: Permits, providers: Permits| Principal {
        access: Arc::new(Access { models, providers, ..Access::default() }),
        ..Principal::anonymous()
    };
    let allow = |texts: &[&str]| Permits { allow: Some(patterns(texts)), ..Permits::default() };
    let deny = |texts: &[&str]| Permits { deny: patterns(texts), ..Permits::default() };
    assert_eq!(ids(&key(allow(&["my-vllm/*", "chat-*"]), Permits::default())), ["chat-large", "my-vllm/llama", "my-vllm/gpt-oss"]);
    assert!(ids(&key(allow(&[]), Permits::default())).is_empty());
    assert_eq!(ids(&key(deny(&["*/gpt-oss", "ringway/*"]), deny(&["openai"]))), ["chat-large", "openai/pinned", "my-vllm/llama"]);
    assert_eq!(ids(&key(Permits::default(), allow(&["other"]))), ["other/gpt-oss"], "a route that reaches nobody is not listed");
}

#[test]
fn one_model_has_one_state_however_it_is_asked_for() {
    let snapshot = snapshot_of(FILE);
    let state = |model| plan(&snapshot, &facts(model), NOW, &mut || 0).unwrap().steps[0].target.clone();
    assert!(Arc::ptr_eq(&state("chat-large"), &state("openai/gpt-4.1")));
    assert_eq!(&*state("openai/gpt-4.1").id, "openai/gpt-4.1");
    assert!(Arc::ptr_eq(&state("openai/never-heard-of"), &state("openai/never-heard-of")));
}

#[test]
fn a_path_names_the_model_where_the_provider_wants_it() {
    let snapshot = snapshot_of("providers: {azure: {base_url: \"https://x.openai.azure.com\", api_version: 2025-01-01, keys: [k]}}");
    let plan = plan(&snapshot, &facts("azure/gpt 4o"), NOW, &mut || 0).unwrap();
    assert_eq!(&*plan.steps[0].path, "/openai/deployments/gpt%204o/chat/completions?api-version=2025-01-01");
}
