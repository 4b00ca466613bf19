use super::*;
use crate::config;

/// The part of a file that every case shares, then the lines of the case.
fn warnings(text: &str) -> Vec<String> {
    let config = config::parse(text, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}"));
    config.warnings().iter().map(ToString::to_string).collect()
}

const PROVIDERS: &str = "providers: {openai: {keys: [k]}, mine: {like: openai, base_url: \"http://10.0.0.1\"}, listed: {like: openai, base_url: \"http://10.0.0.2\", models: [a]}}\n";

/// Files that a row warns of, where, and in which words; the same file mended has no warning.
const CASES: &[(&str, &str, &str, &str)] = &[
    (
        "on_without_fallback",
        "routes:\n  r: {targets: [mine/a], on: [error]}",
        "3:3 the route \"r\" has `on` and one target",
        "routes:\n  r: {targets: [mine/a], fallbacks: [mine/b], on: [error]}",
    ),
    (
        "model_that_nobody_serves",
        "routes:\n  r: {targets: [openai/claude-3]}",
        "3:17 \"openai\" is not known to serve \"claude-3\"",
        "routes:\n  r: {targets: [openai/gpt-4.1, mine/anything, listed/a]}",
    ),
    (
        "model_that_nobody_serves",
        "routes:\n  r: {targets: [listed/b]}",
        "3:17 \"listed\" is not known",
        "routes:\n  r: {targets: [listed/a]}",
    ),
    (
        "weight_never_reached",
        "routes:\n  r: {targets: [mine/a, {model: mine/b, weight: 0}], on: []}",
        "3:33 a target of weight 0",
        "routes:\n  r: {targets: [mine/a, {model: mine/b, weight: 0}]}",
    ),
    (
        "shadowed_route",
        "routes:\n  \"a*\": {targets: [mine/a]}\n  \"a**\": {targets: [mine/b]}",
        "4:3 every name that \"a**\" fits goes to the route \"a*\"",
        "routes:\n  \"a*\": {targets: [mine/a]}\n  \"ab*\": {targets: [mine/b]}",
    ),
    (
        "target_twice",
        "routes:\n  r: {targets: [mine/a], fallbacks: [mine/a]}",
        "3:38 \"mine/a\" is in this route already",
        "routes:\n  r: {targets: [mine/a], fallbacks: [mine/b]}",
    ),
    (
        "fallback_after_catch_all",
        "routes:\n  r: {targets: [mine/a], fallbacks: [ringway/echo, mine/b]}",
        "3:52 \"mine/b\" stands behind ringway/echo",
        "routes:\n  r: {targets: [mine/a], fallbacks: [mine/b, ringway/echo]}",
    ),
    (
        "when_never",
        "routes:\n  r: {targets: [{model: mine/a, when: request.time.hour > 23}, mine/b]}",
        "3:39 this condition is never true: the target",
        "routes:\n  r: {targets: [{model: mine/a, when: request.time.hour > 22}, mine/b]}",
    ),
    (
        "when_always",
        "routes:\n  r: {when: request.tokens >= 0, targets: [mine/b]}",
        "3:13 this condition is always true: the route",
        "routes:\n  r: {when: request.tokens >= 1, targets: [mine/b]}",
    ),
    (
        "limit_of_nobody",
        "virtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, models: [], limits: [{requests: 1, per: 1m}]}",
        "3:3 the key \"k\" may ask for no model",
        "virtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, models: [mine/a], limits: [{requests: 1, per: 1m}]}",
    ),
    (
        "unused_team",
        "teams:\n  t: {limits: [{requests: 1, per: 1m}]}",
        "3:3 no virtual key belongs to the team \"t\", so its limits and budgets bind nobody",
        "teams:\n  t: {limits: [{requests: 1, per: 1m}]}\nvirtual_keys: {k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, team: t}}",
    ),
    (
        "unused_customer",
        "customers:\n  c: {}",
        "3:3 no team belongs to the customer \"c\"; write customer: c",
        "customers:\n  c: {}\nteams: {t: {customer: c}}\nvirtual_keys: {k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, team: t}}",
    ),
    (
        "weak_key",
        "virtual_keys:\n  k: {key: aaaaaaaaaaaaaaaa}",
        "3:12 the key of \"k\" can be guessed",
        "virtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0}",
    ),
    (
        "priority_without_rank",
        "virtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, priority: high}",
        "3:55 every request has priority high",
        "virtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, priority: high}\n  l: {key: rw-8Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0}",
    ),
    (
        "priority_without_rank",
        "routes: {r: {targets: [mine/a], priority: low}}\nvirtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, priority: high}\n  l: {key: rw-8Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, priority: low}",
        "2:43 every virtual key has a priority of its own",
        "routes: {r: {targets: [mine/a], priority: low}}",
    ),
    (
        "key_without_models",
        "virtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, models: [chat-large, \"other/*\"]}",
        "3:54 \"chat-large\" fits no route",
        "routes: {chat-large: {targets: [mine/a]}}\nvirtual_keys:\n  k: {key: rw-7Qm2Zx9Kd4Tf1Lb8Wn5Ry3Hc6Vp0, models: [\"chat-*\", \"mine/*\", openai/gpt-4.1, \"*\", gpt-4.1]}",
    ),
];

#[test]
fn every_row_warns_with_its_place_and_is_silent_once_mended() {
    for (name, wrong, expected, mended) in CASES {
        let found = warnings(&format!("{PROVIDERS}{wrong}\n"));
        assert!(found.iter().any(|warning| warning.starts_with(expected)), "{name}: {found:#?}");
        let left = warnings(&format!("{PROVIDERS}{mended}\n"));
        assert!(left.is_empty(), "{name}: {left:#?}");
    }
}

#[test]
fn every_row_has_a_case() {
    for (name, _) in LINTS {
        assert!(CASES.iter().any(|(case, ..)| case == name), "{name}");
    }
}

#[test]
fn warnings_stand_in_the_order_of_the_file() {
    let found = warnings(&format!("{PROVIDERS}customers: {{c: {{}}}}\nroutes:\n  r: {{targets: [listed/b], on: [error]}}\n"));
    assert_eq!(found.len(), 3);
    assert!(found[0].starts_with("2:") && found[1].starts_with("4:3 ") && found[2].starts_with("4:17 "), "{found:#?}");
}
