use std::borrow::Cow;
use std::collections::HashMap;

use super::*;
use crate::breaker::{Outcome, Settings};
use crate::facts::Says;
use crate::health::Watch;
use crate::plan::testing::{NOW, facts, snapshot_of};
use crate::plan::{Plan, plan};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;

const MS: u64 = 1_000_000;

fn file(strategy: &str, weights: &[u32]) -> Snapshot {
    let names = ["a", "b", "c", "d", "e"];
    let providers: String =
        names.iter().map(|name| format!("  {name}: {{like: openai, base_url: \"http://127.0.0.1:1\", keys: [k]}}\n")).collect();
    let targets: Vec<String> = names.iter().zip(weights).map(|(name, weight)| format!("{{model: {name}/m, weight: {weight}}}")).collect();
    snapshot_of(&format!("providers:\n{providers}routes:\n  r: {{strategy: {strategy}, targets: [{}]}}\n", targets.join(", ")))
}

/// SplitMix64.
fn chance(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        sticky::mix(state)
    }
}

fn order(snapshot: &Snapshot, plan: &Plan) -> String {
    plan.steps.iter().map(|step| &*snapshot.providers[step.provider].name).collect()
}

/// How many of 1,000 requests each target gets first.
fn firsts(snapshot: &Snapshot) -> HashMap<String, usize> {
    let mut rng = chance(7);
    let mut counts = HashMap::new();
    for _ in 0..1_000 {
        let plan = plan(snapshot, &facts("r"), NOW, &mut rng).unwrap();
        *counts.entry(order(snapshot, &plan)[..1].to_owned()).or_default() += 1;
    }
    counts
}

fn target(snapshot: &Snapshot, name: &str) -> std::sync::Arc<crate::snapshot::TargetId> {
    snapshot.target(snapshot.provider_index(name).unwrap(), "m")
}

fn sample(snapshot: &Snapshot, name: &str, latency_ms: u64) {
    Watch::begin(&target(snapshot, name), Mode::Whole, NOW.mono_ns - latency_ms * MS).first_byte(NOW.mono_ns);
}

#[derive(Debug)]
struct User(String);

impl Says for User {
    fn user(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(self.0.clone()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        (name == "x-tenant").then_some("acme")
    }

    fn tag(&self, _: &str) -> Option<&str> {
        None
    }

    fn key(&self) -> Option<&str> {
        None
    }
}

fn of_user(snapshot: &Snapshot, user: usize) -> String {
    let says = User(format!("user-{user}"));
    let mut rng = chance(user as u64);
    order(snapshot, &plan(snapshot, &Facts { says: &says, ..facts("r") }, NOW, &mut rng).unwrap())
}

#[test]
fn every_strategy_tries_each_target_once_and_a_weight_of_zero_last() {
    for strategy in ["weighted", "least_latency", "least_busy", "cheapest", "round_robin", "{hash: user}"] {
        let snapshot = file(strategy, &[1, 0, 2, 3]);
        for user in 0..200 {
            let order = of_user(&snapshot, user);
            assert!(order.ends_with('b') && "acd".chars().all(|name| order.contains(name)) && order.len() == 4, "{strategy}: {order}");
        }
    }
}

#[test]
fn the_words_of_the_file_are_the_ones_that_are_shown() {
    for strategy in ["weighted", "least_latency", "least_busy", "cheapest", "round_robin"] {
        assert_eq!(file(strategy, &[1]).routes[0].strategy.to_string(), strategy);
    }
    for sticky in ["user", "session", "key", "header:x-tenant", "tag:project"] {
        let snapshot = file(&format!("{{hash: \"{sticky}\"}}"), &[1]);
        assert_eq!(snapshot.routes[0].strategy.to_string(), format!("hash: {sticky}"));
    }
}

#[test]
fn least_latency_prefers_the_fast_and_never_begins_with_the_slowest() {
    let snapshot = file("least_latency", &[1, 1, 1, 1]);
    for (name, latency_ms) in [("a", 400), ("b", 100), ("c", 200), ("d", 300)] {
        sample(&snapshot, name, latency_ms);
    }
    let counts = firsts(&snapshot);
    assert!(counts["b"] > 400 && !counts.contains_key("a"), "{counts:?}");
    let _busy: Vec<Watch> = (0..9).map(|_| Watch::begin(&target(&snapshot, "b"), Mode::Whole, NOW.mono_ns)).collect();
    assert!(!firsts(&snapshot).contains_key("b"), "nine under way on the fast one are slower than any other");
}

#[test]
fn cheapest_takes_the_lowest_price_of_the_file_and_an_unknown_one_last() {
    let of = |name: &str, price: &str| {
        format!("  {name}: {{like: openai, base_url: \"http://127.0.0.1:1\", keys: [k], models: [{{name: m{price}}}]}}\n")
    };
    // b costs less for a request of few output tokens, c for one of many.
    let (b, c) = (", price: {input: 1, output: 20}", ", price: {input: 20, output: 1}");
    let providers = [of("a", ""), of("b", b), of("c", c), of("d", ", price: {input: 30, output: 30}")].concat();
    let file = format!("providers:\n{providers}routes:\n  r: {{strategy: cheapest, targets: [a/m, b/m, c/m, d/m]}}\n");
    let snapshot = snapshot_of(&file);
    let mut rng = chance(7);
    let mut ordered =
        |max_tokens| order(&snapshot, &plan(&snapshot, &Facts { max_tokens, body_bytes: 4_000, ..facts("r") }, NOW, &mut rng).unwrap());
    assert_eq!((ordered(Some(10)).as_str(), ordered(Some(100_000)).as_str()), ("bcda", "cbda"));
}

#[test]
fn least_busy_takes_the_fewest_by_weight() {
    let snapshot = file("least_busy", &[1, 1, 2]);
    let busy = |name: &str, count: usize| -> Vec<Watch> {
        (0..count).map(|_| Watch::begin(&target(&snapshot, name), Mode::Whole, NOW.mono_ns)).collect()
    };
    let _held = (busy("a", 3), busy("b", 2), busy("c", 4));
    assert_eq!(firsts(&snapshot)["c"], 1_000, "five by two is less than three");
    let _more = busy("c", 3);
    assert_eq!(firsts(&snapshot)["b"], 1_000);
}

#[test]
fn idle_targets_of_least_busy_share_evenly() {
    let counts = firsts(&file("least_busy", &[1, 1, 1, 1]));
    assert!(counts.values().all(|count| (200..300).contains(count)) && counts.len() == 4, "{counts:?}");
}

#[test]
fn round_robin_gives_each_turn_by_weight() {
    let snapshot = file("round_robin", &[2, 1]);
    let mut rng = chance(1);
    let firsts: String = (0..6).map(|_| order(&snapshot, &plan(&snapshot, &facts("r"), NOW, &mut rng).unwrap())[..1].to_owned()).collect();
    assert_eq!(firsts, "aabaab");
}

#[test]
fn turns_go_on_over_a_reload() {
    let first = file("round_robin", &[1, 1]);
    let again = crate::plan::testing::snapshot_after(
        "providers: {a: {like: openai, base_url: \"http://127.0.0.1:1\"}}\nroutes: {r: {targets: [a/m]}}",
        Some(&first),
        2,
    );
    assert!(std::sync::Arc::ptr_eq(&first.routes[0].state, &again.routes[0].state));
}

#[test]
fn a_user_stays_and_the_shares_are_the_weights() {
    let snapshot = file("{hash: user}", &[90, 10]);
    let share = (0..10_000).filter(|&user| of_user(&snapshot, user).starts_with('b')).count();
    assert!((900..1_100).contains(&share), "{share}");
    (0..100).for_each(|user| assert_eq!(of_user(&snapshot, user), of_user(&snapshot, user)));
}

#[test]
fn a_target_that_goes_moves_its_own_users_alone() {
    let (all, fewer) = (file("{hash: user}", &[1, 1, 1, 1]), file("{hash: user}", &[1, 1, 1]));
    let mut moved = 0;
    for user in 0..2_000 {
        let before = of_user(&all, user);
        assert_eq!(before.replace('d', ""), of_user(&fewer, user), "the others keep their order");
        moved += usize::from(before.starts_with('d'));
    }
    assert!((400..600).contains(&moved), "{moved}");
}

#[test]
fn experiments_of_two_routes_do_not_go_together() {
    let text = "providers:\n  a: {like: openai, base_url: \"http://127.0.0.1:1\"}\n  b: {like: openai, base_url: \"http://127.0.0.1:1\"}\nroutes:\n  r: &r {strategy: {hash: user}, targets: [a/m, b/m]}\n  s: *r\n";
    let snapshot = snapshot_of(text);
    let first = |route: &str, user: usize| {
        let says = User(format!("u{user}"));
        order(&snapshot, &plan(&snapshot, &Facts { says: &says, ..facts(route) }, NOW, &mut || 0).unwrap())
    };
    let same = (0..1_000).filter(|&user| first("r", user) == first("s", user)).count();
    assert!((400..600).contains(&same), "{same}");
}

#[test]
fn a_request_without_the_value_is_drawn_by_weight() {
    let counts = firsts(&file("{hash: \"header:x-none\"}", &[3, 1]));
    assert!((700..800).contains(&counts["a"]), "{counts:?}");
    let counts = firsts(&file("{hash: \"header:x-tenant\"}", &[3, 1]));
    assert_eq!(counts.len(), 2, "silent requests have no header either");
}

#[test]
fn what_is_unhealthy_comes_last_and_never_vanishes() {
    for strategy in ["weighted", "least_latency", "least_busy", "round_robin", "{hash: user}"] {
        let snapshot = file(strategy, &[1, 1, 1]);
        (0..5).for_each(|_| target(&snapshot, "b").tell(&Settings::default(), Outcome::Failure, NOW.mono_ns));
        let limited = Fault { retry_after: Some(std::time::Duration::from_secs(9)), ..Fault::new(Kind::UpstreamRateLimited, "429") };
        snapshot.providers[snapshot.provider_index("c").unwrap()].credentials[0].tell_of("m", &limited, NOW.mono_ns);
        for user in 0..50 {
            let order = of_user(&snapshot, user);
            assert!(order.starts_with('a') && order.len() == 3, "{strategy}: {order}");
        }
    }
}

#[test]
fn a_target_that_comes_back_gets_a_tenth_of_its_share_first() {
    for strategy in ["weighted", "round_robin", "{hash: user}"] {
        let snapshot = file(strategy, &[1, 1]);
        let (settings, before_ns) = (Settings { consecutive: 1, ..Settings::default() }, 0);
        target(&snapshot, "b").tell(&settings, Outcome::Failure, before_ns);
        target(&snapshot, "b").tell(&settings, Outcome::Success, NOW.mono_ns);
        let share = (0..4_000).filter(|&user| of_user(&snapshot, user).starts_with('b')).count();
        assert!((120..280).contains(&share), "{strategy}: {share} of 4000, half of a tenth is 200");
    }
}

#[test]
fn hedges_are_never_more_than_their_share() {
    let state = RouteState::default();
    assert!(!state.take_hedge(), "nothing was paid in");
    let taken = (0..1_000).filter(|_| {
        state.pay_in(Share(50_000));
        state.take_hedge()
    });
    assert_eq!(taken.count(), 50);
    (0..100_000).for_each(|_| state.pay_in(Share(50_000)));
    assert_eq!((0..100).filter(|_| state.take_hedge()).count() as u64, HEDGES_SAVED_MAX);
}
