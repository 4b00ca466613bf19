use std::time::Duration;

use super::*;
use crate::breaker::{Outcome, Pass, Settings};
use crate::config;
use crate::plan::testing::{snapshot_after, snapshot_of};
use crate::plan::{Losses, Trigger};
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::provider::builtins;

const FILE: &str = "
providers:
  openai: {keys: [{name: main, value: k1, weight: 3}, k2]}
  anthropic: {base_url: \"http://127.0.0.1:9100/\", keys: [test], usage: tap}
routes:
  r:
    targets: [openai/gpt-4.1]
    timeouts: {connect: 1s, first_byte: 30s}
    breaker: {consecutive: 2}
    losses: warn
    on: [error, rate_limit]
    body_bytes_max: 64MiB
";

fn upstream<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Upstream {
    &snapshot.providers[snapshot.provider_index(name).unwrap()]
}

#[test]
fn the_built_in_provider_is_always_there() {
    let snapshot = snapshot_of("");
    assert_eq!(snapshot.providers.len(), 1);
    let builtin = upstream(&snapshot, BUILTIN);
    assert!(builtin.builtin && snapshot.keys.is_empty() && snapshot.names_to_resolve().is_empty());
    for row in ringway_adapters::dialect::DIALECTS {
        assert_eq!(builtin.served(Operation::Chat, row.id, "").map(|served| served.dialect), Some(row.id));
    }
}

#[test]
fn providers_have_their_place_and_their_bytes_ready() {
    let snapshot = snapshot_of(FILE);
    let openai = upstream(&snapshot, "openai");
    assert!(openai.endpoint.tls && openai.endpoint.port == 443 && &*openai.endpoint.prefix == "/v1");
    let names: Vec<(&str, u32)> = openai.credentials.iter().map(|credential| (&*credential.name, credential.weight)).collect();
    assert_eq!(names, [("main", 3), ("key-2", 1)]);
    assert_eq!(&*openai.credentials[0].header_line, b"authorization: Bearer k1\r\n");
    let anthropic = upstream(&snapshot, "anthropic");
    assert_eq!((anthropic.usage, &*anthropic.credentials[0].header_line), (UsageMode::Tap, &b"x-api-key: test\r\n"[..]));
    assert_eq!(&*anthropic.endpoint.addresses, ["127.0.0.1:9100".parse().unwrap()]);
    assert_eq!(snapshot.names_to_resolve().len(), 1);
    assert!(!format!("{snapshot:?}").contains("k1"), "no secret is ever printed");
}

#[test]
fn a_routes_rules_fill_up_with_the_defaults() {
    let snapshot = snapshot_of(FILE);
    let rules = &snapshot.routes[0].rules;
    assert_eq!((rules.connect, rules.first_byte, rules.idle), (Duration::from_secs(1), Duration::from_secs(30), Duration::from_secs(60)));
    assert_eq!((rules.breaker.consecutive, rules.breaker.probe, rules.losses), (2, Duration::from_secs(10), Losses::Warn));
    assert!(rules.on.contains(Trigger::Error) && !rules.on.contains(Trigger::Timeout));
    assert_eq!((rules.body_bytes_max, snapshot.body_bytes_max), (Some(64 << 20), Some(64 << 20)));
}

#[test]
fn state_outlives_a_reload_by_id() {
    let first = snapshot_of(FILE);
    let settings = Settings { consecutive: 1, ..Settings::default() };
    first.target(1, "gpt-4.1").breaker.tell(&settings, Outcome::Failure, 1);
    upstream(&first, "openai").credentials[0].tell_of("m", &Fault::new(Kind::UpstreamAuth, "401"), 1);
    let changed = FILE.replace("retries: 1", "retries: 0").replace("k2", "k3").replace("openai: {keys", "openai: {models: [x], keys");
    let second = snapshot_after(&changed, Some(&first), 2);
    let openai = second.provider_index("openai").unwrap();
    assert!(matches!(second.target(openai, "gpt-4.1").breaker.ask(&settings, 2), Pass::Open { .. }));
    assert!(second.providers[openai].credentials[0].bench(2).is_some());
    assert!(Arc::ptr_eq(&second.target(openai, "stranger"), &first.target(openai, "stranger")));
    let rekeyed = snapshot_after(&FILE.replace("k1", "k9"), Some(&first), 3);
    assert_eq!(rekeyed.providers[openai].credentials[0].bench(2), None, "a new secret under an old name starts rested");
}

#[test]
fn addresses_are_filled_in_kept_and_shared() {
    let first = snapshot_of(FILE);
    let address: SocketAddr = "192.0.2.1:443".parse().unwrap();
    let resolved = first.with_addresses(2, &|host, port| (host == "api.openai.com" && port == 443).then(|| Arc::from([address])));
    assert_eq!((resolved.revision, &*upstream(&resolved, "openai").endpoint.addresses), (2, &[address][..]));
    assert!(Arc::ptr_eq(&resolved.keys, &first.keys) && Arc::ptr_eq(&resolved.routes, &first.routes));
    let nothing = resolved.with_addresses(3, &|_, _| Some(Arc::from([])));
    assert_eq!(&*upstream(&nothing, "openai").endpoint.addresses, [address], "the last good answer is kept");
    let reloaded = snapshot_after(FILE, Some(&resolved), 4);
    assert_eq!(&*upstream(&reloaded, "openai").endpoint.addresses, [address], "also over a reload");
}

#[test]
fn virtual_keys_become_principals() {
    let text = "
virtual_keys:
  mobile: {key: abcdefghijklmnop, team: apps, models: [\"openai/*\"]}
teams: {apps: {customer: acme}}
customers: {acme: {}}
";
    let snapshot = snapshot_of(text);
    let principal = snapshot.keys.find("abcdefghijklmnop", None, 0).unwrap();
    assert_eq!((&*principal.key, principal.team.as_deref(), principal.customer.as_deref()), ("mobile", Some("apps"), Some("acme")));
    let models = &principal.access.models;
    assert!(models.contains("openai/x") && !models.contains("x"));
}

const INHERITING: &str = "
providers:
  openai: {base_url: \"http://127.0.0.1:1\"}
  anthropic: {keys: [k]}
profiles:
  app:
    models: [\"openai/*\"]
    deny_models: [openai/o1]
    networks: [10.0.0.0/8]
    expires: 2027-01-31
    tags: {env: prod, tier: gold}
    credentials: {openai: sk-profile, anthropic: sk-both}
virtual_keys:
  plain: {key: aaaaaaaaaaaaaaaa, profile: app}
  twin: {key: bbbbbbbbbbbbbbbb, profile: app}
  own:
    key: cccccccccccccccc
    previous: [{key: dddddddddddddddd, until: 2027-01-01}]
    profile: app
    customer: acme
    models: [\"*\"]
    networks: [192.0.2.0/24]
    expires: 2030-01-01T00:00:00Z
    tags: {env: dev}
    credentials: {openai: sk-own}
customers: {acme: {}}
";

#[test]
fn a_keys_own_field_stands_in_place_of_its_profiles() {
    let snapshot = snapshot_of(INHERITING);
    let key = |key: &str| snapshot.keys.by_sha256(&config::digest(key)).unwrap().clone();
    let (plain, twin, own) = (key("aaaaaaaaaaaaaaaa"), key("bbbbbbbbbbbbbbbb"), key("cccccccccccccccc"));
    assert!(Arc::ptr_eq(&plain.access, &twin.access), "keys that say the same share it");
    assert!(Arc::ptr_eq(&own, &key("dddddddddddddddd")), "a former key is the same principal");
    assert_eq!((plain.expires_ms, own.expires_ms), (1_801_353_600_000, 1_893_456_000_000));
    assert_eq!(own.customer.as_deref(), Some("acme"));
    assert!(plain.access.models.contains("openai/gpt") && !plain.access.models.contains("anthropic/x"));
    assert!(own.access.models.contains("anthropic/x") && !own.access.models.contains("openai/o1"), "deny is inherited by itself");
    let tags = |principal: &Principal| principal.access.tags.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!((tags(&plain), tags(&own)), (vec!["env=prod".into(), "tier=gold".into()], vec!["env=dev".into(), "tier=gold".into()]));
    let secret = |principal: &Principal, provider: &str| {
        principal.credential(snapshot.provider_index(provider).unwrap()).map(|credential| credential.value.to_string())
    };
    assert_eq!((secret(&plain, "openai"), secret(&own, "openai")), (Some("sk-profile".into()), Some("sk-own".into())));
    assert_eq!(secret(&own, "anthropic"), Some("sk-both".into()));
    let find = |client: &str| snapshot.keys.find("cccccccccccccccc", client.parse().ok(), 0);
    assert!(find("192.0.2.9").is_ok() && find("10.0.0.1").is_err());
    assert!(!format!("{snapshot:?}").contains("sk-"), "no secret is ever printed");
}

#[test]
fn what_a_keys_credential_went_through_outlives_a_reload() {
    let before = snapshot_of(INHERITING);
    let credential = |snapshot: &Snapshot, key: &str| {
        let provider = snapshot.provider_index("openai").unwrap();
        snapshot.keys.by_sha256(&config::digest(key)).unwrap().credential(provider).unwrap().clone()
    };
    let after = snapshot_after(&INHERITING.replace("sk-profile", "sk-other"), Some(&before), 2);
    let same = |key: &str| Arc::ptr_eq(&credential(&before, key).state, &credential(&after, key).state);
    assert!(same("cccccccccccccccc"));
    assert!(!same("aaaaaaaaaaaaaaaa"), "a new secret starts rested");
}

#[test]
fn the_environment_alone_makes_providers() {
    let config = config::from_environment(builtins(), &|name| match name {
        "OPENAI_API_KEY" => Some("sk-1".to_owned()),
        "ANTHROPIC_API_KEY" => Some(" ".to_owned()),
        "MISTRAL_API_KEY" => Some("a\r\nb: c".to_owned()),
        _ => None,
    });
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap();
    let names: Vec<&str> = snapshot.providers.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, [BUILTIN, "openai"]);
    assert_eq!(&*upstream(&snapshot, "openai").credentials[0].header_line, b"authorization: Bearer sk-1\r\n");
}

#[test]
fn what_parse_would_refuse_compile_refuses_too() {
    let mut config = config::Config::default();
    config.providers.push(config::At::nowhere("nobody".to_owned()), config::ProviderConfig::default());
    assert_eq!(Snapshot::compile(&config, builtins(), None, 1).unwrap_err().len(), 1);
}
