use std::fs;
use std::path::PathBuf;

use super::*;
use crate::lease::{CalendarUnit, Window};
use crate::money::NanoDollars;
use crate::snapshot::UsageMode;

/// The contract's own example, but for the providers whose dialects are not spoken yet.
const CONTRACT: &str = include_str!("../../tests/check/contract.yaml");

fn lookup(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some("sk-1".to_owned()),
        "OPENAI_API_KEY_2" => Some("sk-2".to_owned()),
        "MOBILE_KEY" => Some("rw-0123456789abcdef".to_owned()),
        "SHORT_KEY" => Some("s3cret".to_owned()),
        "file:/sa.json" => Some("{\"type\": \"service_account\"}\n".to_owned()),
        "file:/path.pem" => Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
        "file:/not.pem" => Some("hello".to_owned()),
        _ => None,
    }
}

/// Each `tests/check/NAME.yaml` has the problems that `NAME.problems` lists, one a line; none where there is no such file.
/// `RINGWAY_ACCEPT=1` writes them anew; read what it wrote.
#[test]
fn every_file_has_exactly_the_problems_written_beside_it() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/check");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 8);
    for path in files {
        let problems = parse(&fs::read_to_string(&path).unwrap(), &lookup).err().unwrap_or_default();
        let found: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        let golden = path.with_extension("problems");
        if std::env::var_os("RINGWAY_ACCEPT").is_some() && !found.is_empty() {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
        assert!(!found.contains("s3cret"), "a problem never holds a secret");
    }
}

#[test]
fn the_contracts_example_says_what_it_means() {
    let config = parse(CONTRACT, &lookup).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.listen[0].value, Listen::Ip("127.0.0.1:8080".parse().unwrap()));
    let openai = config.providers.get("openai").unwrap();
    assert_eq!((openai.keys[0].name.as_str(), openai.keys[0].weight, openai.keys[0].value.value.as_str()), ("main", 3, "sk-1"));
    assert_eq!((openai.keys[1].name.as_str(), openai.keys[1].value.value.as_str()), ("key-2", "sk-2"));
    assert_eq!(config.providers.get("azure").unwrap().api_version.as_ref().unwrap().value, "2024-10-21");
    assert_eq!(config.providers.get("my-vllm").unwrap().usage.as_ref().unwrap().value, UsageMode::Tap);
    let route = config.routes.get("chat-large").unwrap();
    assert_eq!(route.targets.iter().map(|target| target.weight).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(route.timeouts.as_ref().unwrap().total.as_ref().unwrap().value.as_secs(), 600);
    let key = config.virtual_keys.get("mobile").unwrap();
    assert_eq!(key.sha256().unwrap().value, digest("rw-0123456789abcdef"));
    let limits: Vec<Limit> = key.limits.iter().map(|limit| limit.value).collect();
    let minute = std::time::Duration::from_secs(60);
    assert_eq!(
        limits,
        [
            Limit { measure: Measure::Requests, count: 60, per: Some(minute), shadow: false },
            Limit { measure: Measure::Tokens, count: 200_000, per: Some(minute), shadow: false },
            Limit { measure: Measure::Concurrent, count: 20, per: None, shadow: false },
        ]
    );
    assert_eq!(key.budgets[1].value.amount, Amount::Usd(NanoDollars(900_000_000_000)));
    let month = CalendarUnit::Month { first_day: 1 };
    assert_eq!(key.budgets[1].value.window, Window::Calendar { unit: month, offset_minutes: 0 });
    assert_eq!(config.teams.get("apps").unwrap().customer.as_ref().unwrap().value, "acme");
    assert!(!format!("{config:?}").contains("sk-1"), "no secret is ever printed");
}

#[test]
fn limits_and_budgets_stand_where_they_count() {
    let config = parse(include_str!("../../tests/check/bounds_good.yaml"), &lookup).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let openai = config.providers.get("openai").unwrap();
    let second = Some(std::time::Duration::from_secs(1));
    assert_eq!(openai.keys[0].limits[0].value, Limit { measure: Measure::Requests, count: 500, per: second, shadow: false });
    assert_eq!(openai.budgets[0].value.window, Window::Calendar { unit: CalendarUnit::Hour, offset_minutes: 0 });
    assert_eq!(openai.budgets[0].value.on_exhaust, OnExhaust::Cut);
    assert_eq!(openai.models[0].limits[0].value.measure, Measure::InputTokens);
    assert_eq!(openai.models[0].budgets[0].value.window, Window::FirstSpend { per_ms: 86_400_000 });
    let selectors: Vec<&Selector> = config.limits.iter().map(|limit| &limit.value.selector).collect();
    let tag = Selector::Tag { name: "env".to_owned(), value: "dev".to_owned() };
    assert_eq!(selectors, [&Selector::All, &Selector::Model("openai/gpt-4*".to_owned()), &tag, &Selector::Provider("openai".to_owned())]);
    assert_eq!(config.limits.iter().map(|limit| limit.value.rule.shadow).collect::<Vec<_>>(), [false, true, false, false]);
    let monthly = &config.budgets[0].value;
    assert_eq!(monthly.selector, tag);
    let unit = CalendarUnit::Month { first_day: 15 };
    assert_eq!(monthly.rule.window, Window::Calendar { unit, offset_minutes: 120 });
    assert!(matches!(&monthly.rule.on_exhaust, OnExhaust::Downgrade(route) if route.value == "small"));
    let daily = &config.budgets[1].value.rule;
    assert_eq!((daily.amount, daily.shadow), (Amount::Tokens(1000), true));
    assert!(matches!(&daily.on_exhaust, OnExhaust::Downgrade(model) if model.value == "openai/gpt-4.1-mini"));
    assert_eq!((config.reserve.output_tokens_floor(), ReserveConfig::default().output_tokens_floor()), (1024, 512));
}

#[test]
fn keys_say_who_they_are_and_inherit_the_rest() {
    let config = parse(include_str!("../../tests/check/keys_good.yaml"), &lookup).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let old = config.virtual_keys.get("old").unwrap();
    let access = old.access.as_ref().unwrap();
    assert_eq!(access.enabled.as_ref().map(|at| at.value), Some(false));
    assert_eq!(access.credentials[0].1.value, "sk-1");
    let digests: Vec<(u8, u64)> = old.digests().map(|(sha256, until_ms)| (sha256.value[31], until_ms)).collect();
    assert_eq!(digests, [(0xfe, u64::MAX), (0xff, 1_801_411_200_000)]);
    assert_eq!(config.limits_of(old).map(|limit| limit.value.measure).collect::<Vec<_>>(), [Measure::Concurrent, Measure::Requests]);
    assert_eq!(config.budgets_of(old).count(), 1);
    assert!(!format!("{config:?}").contains("sk-1"), "no secret is ever printed");
}

#[test]
fn a_key_that_can_be_guessed_is_warned_of() {
    let config = parse(include_str!("../../tests/check/keys_good.yaml"), &lookup).unwrap();
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    let expected = "24:15 the key of \"weak\" can be guessed: it is shorter than 22 characters; draw one with: ringway key new";
    assert_eq!(warnings, [expected]);
    let many: String = (0..200).map(|n| format!("  k{n}: {{key: aaaaaaaaaaaaaaaaaa{n}}}\n")).collect();
    let warnings = parse(&format!("virtual_keys:\n{many}"), &lookup).unwrap().warnings();
    assert_eq!(warnings.len(), 101);
    assert!(warnings[100].message.starts_with("and further keys"), "{}", warnings[100]);
}

#[test]
fn no_file_and_an_empty_file_are_the_same() {
    assert_eq!(parse("", &lookup).unwrap(), Config::default());
    assert_eq!(parse("---\n# only a comment\n", &lookup).unwrap(), Config::default());
    assert_eq!(parse("providers:\nroutes:\n", &lookup).unwrap(), Config::default());
}

#[test]
fn listen_takes_one_or_many() {
    let config = parse("listen: [\"0.0.0.0:80\", unix:/run/r.sock, \"localhost:1\"]", &lookup).unwrap();
    let local: Vec<bool> = config.listen.iter().map(|listen| listen.value.is_local()).collect();
    assert_eq!(local, [false, true, true]);
}

/// Every key that the schema names is read, and the reader knows no other: unknown keys name those that it knows.
#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    let schema = schema();
    let keys = |definition: &str| -> Vec<String> {
        let mut keys: Vec<String> = schema["$defs"][definition]["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    for (definition, text) in [
        ("ProviderConfig", "providers: {openai: {@: 1}}"),
        ("RouteConfig", "routes: {r: {@: 1}}"),
        ("VirtualKeyConfig", "virtual_keys: {k: {@: 1}}"),
        ("ProfileConfig", "profiles: {p: {@: 1}}"),
        ("TeamConfig", "teams: {t: {@: 1}}"),
        ("CustomerConfig", "customers: {c: {@: 1}}"),
        ("TimeoutsConfig", "routes: {r: {timeouts: {@: 1}}}"),
        ("BreakerConfig", "routes: {r: {breaker: {@: 1}}}"),
        ("Tls", "tls: {@: 1}"),
        ("ReserveConfig", "reserve: {@: 1}"),
        ("StateConfig", "state: {@: 1}"),
        ("StoreConfig", "store: {@: 1}"),
        ("QueueConfig", "queue: {@: 1}"),
    ] {
        let problems = parse(&text.replace('@', "zzzzzzzzzzzzzzzzzzzz"), &lookup).unwrap_err();
        let known = problems.iter().find_map(|problem| problem.message.split_once("known keys: ")).unwrap().1;
        let mut known: Vec<String> = known.split(", ").map(str::to_owned).collect();
        known.sort();
        assert_eq!(known, keys(definition), "{definition}");
    }
}

#[test]
fn a_shared_store_has_a_url_that_is_never_shown() {
    let config = parse("state: {redis: \"redis://:hunter2@127.0.0.1:6379\", on_partition: refuse}", &lookup).unwrap();
    let state = config.state.as_ref().unwrap();
    assert_eq!(state.on_partition, Some(OnPartition::Refuse));
    assert!(!format!("{config:?}").contains("hunter2"));
    for (text, word) in [("{}", "names no store"), ("{redis: \"http://x\"}", "redis://HOST"), ("{redis: \"redis://\"}", "redis://HOST")] {
        let problems = parse(&format!("state: {text}"), &lookup).unwrap_err();
        assert!(problems[0].message.contains(word), "{problems:?}");
    }
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2_000 {
        let mut bytes = CONTRACT.as_bytes().to_vec();
        for _ in 0..1 + next() % 4 {
            let at = next() as usize % bytes.len().max(1);
            if bytes.is_empty() {
                break;
            }
            match next() % 3 {
                0 => bytes[at] = b"{}[]:,-#\"'\n &*!|>%@`\t$0a"[next() as usize % 24],
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let _ = parse(&String::from_utf8_lossy(&bytes), &lookup);
    }
}
