use std::borrow::Cow;

use proptest::prelude::*;
use ringway_adapters::dialect::DialectId;
use ringway_adapters::ir::Mode;
use ringway_adapters::needs::Has;
use ringway_adapters::operation::Operation;

use super::*;
use crate::facts::Says;

#[derive(Clone, Debug)]
struct Request {
    headers: Vec<(String, String)>,
    tags: Vec<(String, String)>,
    user: String,
    key: String,
    has: Has,
    share: f64,
    unix_s: u64,
}

impl Says for Request {
    fn user(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.user.as_str()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn key(&self) -> Option<&str> {
        Some(&self.key)
    }

    fn each_header(&self, each: &mut dyn FnMut(&str, &str)) {
        self.headers.iter().for_each(|(name, value)| each(name, value));
    }

    fn each_tag(&self, each: &mut dyn FnMut(&str, &str)) {
        self.tags.iter().for_each(|(name, value)| each(name, value));
    }

    fn has(&self) -> Has {
        self.has
    }

    fn budget_share(&self) -> f64 {
        self.share
    }

    fn unix_s(&self) -> u64 {
        self.unix_s
    }
}

fn request() -> Request {
    Request {
        headers: vec![("x-region".into(), "eu-west".into()), ("user-agent".into(), "sdk/1".into())],
        tags: vec![("env".into(), "eu".into())],
        user: "u1".into(),
        key: "mobile".into(),
        has: Has::TOOLS,
        share: 0.75,
        // 2026-11-20 10:25:48 UTC, a Friday.
        unix_s: 1_795_170_348,
    }
}

fn facts(says: &Request, max_tokens: Option<u64>) -> Facts<'_> {
    Facts {
        operation: Operation::Chat,
        dialect: DialectId::OpenaiChat,
        model: "chat-large",
        fallbacks: &[],
        key: None,
        mode: Mode::Stream,
        body_bytes: 100,
        max_tokens,
        choices: 1,
        client: None,
        tags: crate::tags::Tags::default(),
        says,
    }
}

fn judge(source: &str) -> Verdict {
    let condition = Condition::compile(source).unwrap_or_else(|mistakes| panic!("{source}: {mistakes:?}"));
    let request = request();
    condition.judge(&facts(&request, None))
}

const TRUE: &[&str] = &[
    r#"request.model == "chat-large" && request.operation == "chat" && request.stream"#,
    r#"request.tags.env == "eu" && request.tokens < 8000"#,
    "request.tokens == 25",
    "25 == request.tokens && 26 > request.tokens && 24 < request.tokens",
    r#"request.headers["X-Region"].startsWith("eu-") && request.headers["x-region"].endsWith("west")"#,
    r#"request.headers["user-agent"].contains("sdk") && request.model.matches("^chat-(large|small)$")"#,
    r#"request.key in ["web", "mobile"] && !(request.key in ["web"])"#,
    "request.has.tools && !request.has.images",
    "request.budget.share > 0.5 && request.budget.share < 1",
    "request.time.hour == 10 && request.time.weekday == 5 && request.time.unix > 1000000000",
    r#"has(request.tags.env) && !has(request.tags.x) && "x-region" in request.headers && !("x" in request.headers)"#,
    "!has(request.max_tokens)",
    r#"request.team == "" && request.customer == "" && request.user == "u1""#,
    r#"request.tags.nothing == "x" || request.stream"#,
    r#"request.dialect == "openai-chat""#,
];

const INTERPRETED: &[&str] = &[
    "request.tokens * 2 == 50",
    "request.tokens + 5 > 29 && request.stream",
    r#"request.headers.exists(name, name.startsWith("x-"))"#,
    r#"["a", "mobile"].exists(name, name == request.key)"#,
    "size(request.tags) == 1",
    r#"request.tags["e" + "nv"] == "eu""#,
    r#"(request.stream ? "a" : "b") == "a""#,
    r#"request.model != request.key"#,
];

#[test]
fn what_is_said_of_a_request_is_true() {
    for source in TRUE.iter().chain(INTERPRETED) {
        assert_eq!(judge(source), Verdict::True, "{source}");
        assert_eq!(judge(&format!("!({source})")), Verdict::False, "{source}");
    }
}

#[test]
fn plain_comparisons_need_no_interpreter_and_the_rest_does() {
    for source in TRUE {
        assert!(!Condition::compile(source).unwrap().is_interpreted(), "{source}");
    }
    for source in INTERPRETED {
        assert!(Condition::compile(source).unwrap().is_interpreted(), "{source}");
    }
}

#[test]
fn what_the_request_does_not_say_is_undecided_and_names_it() {
    for (source, operand) in [
        (r#"request.headers["x-none"] == "a""#, "request.headers[\"x-none\"]"),
        (r#"request.stream && request.tags.none != "a""#, "request.tags[\"none\"]"),
        ("request.max_tokens < 5", "request.max_tokens"),
        (r#"request.tags.none + "x" == "ax""#, "request.tags[\"none\"]"),
    ] {
        let condition = Condition::compile(source).unwrap();
        let request = request();
        let Verdict::Undecided(Some(index)) = condition.judge(&facts(&request, None)) else { panic!("{source}") };
        assert_eq!(condition.operand(index).as_deref(), Some(operand));
        assert!(!condition.holds(&facts(&request, None)));
    }
    assert_eq!(judge("request.tokens / (request.tokens - 25) == 1"), Verdict::Undecided(None));
}

#[test]
fn mistakes_are_found_when_the_file_is_read() {
    let mut wrong = Vec::new();
    for (source, at, message) in [
        ("request.modle == \"x\"", 7, "request.modle is not known; did you mean \"request.model\""),
        ("tags.env == \"x\"", 0, "tags is not known; write request.tags"),
        ("model == \"x\"", 0, "model is not known; write request.model"),
        ("hour < 5", 0, "hour is not known; write request.time.hour"),
        ("request.time < 5", 7, "request.time is no value by itself; name one of request.time.hour"),
        ("request.tokens", 7, "is int, not true or false"),
        ("request.tokens == \"5\"", 15, "compares int with string, which are never equal"),
        ("request.stream < true", 15, "bool and bool have no order"),
        ("request.tokens && request.stream", 7, "is int, not true or false"),
        ("request.key in \"mobile\"", 12, "`in` needs a list or a map, not string"),
        ("request.key in [\"a\", 5]", 21, "is int, never equal to string"),
        ("request.key.beginsWith(\"a\")", 22, "the function beginsWith is not known"),
        ("request.key.startsWith(5)", 22, "string.startsWith(int) does not fit; write string.startsWith(string)"),
        ("request.key.matches(\"[\")", 20, "is no regular expression: unclosed character class"),
        ("request.tokens + 1.5 > 2.0", 15, "int + double is not defined; write double(…) around one"),
        ("request.headers.authorization == \"x\"", 15, "the header \"authorization\" holds a credential"),
        ("request.tokens <", 16, "is no CEL: "),
        ("", 0, "is no CEL: "),
        ("request.tags.a.b == \"\"", 14, "request.tags.a.b is not known"),
        ("[1].exists(x, x == request.nothing)", 26, "request.nothing is not known"),
        ("Thing{a: 1} == Thing{a: 1}", 5, "makes a message"),
    ] {
        let mistakes = Condition::compile(source).expect_err(source);
        if !mistakes[0].message.starts_with(message) || mistakes[0].at != at {
            wrong.push(format!("{source}: {mistakes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(Condition::compile(&"a".repeat(5_000)).is_err());
}

#[test]
fn what_every_request_decides_alike_is_known() {
    for (source, expected) in [
        ("true", Some(true)),
        ("false && request.stream", Some(false)),
        ("request.tokens >= 0", Some(true)),
        ("request.time.hour > 23", Some(false)),
        ("request.time.hour >= 9 && request.time.hour < 18", None),
        ("request.time.hour < 9 && request.time.hour > 18", Some(false)),
        ("request.time.hour < 9 || request.time.hour >= 9", Some(true)),
        ("request.operation == \"chatt\"", Some(false)),
        ("request.operation in [\"chatt\", \"x\"]", Some(false)),
        ("request.operation == \"chat\"", None),
        ("request.key == \"a\" && request.key == \"b\"", Some(false)),
        ("request.key in []", Some(false)),
        ("!(request.time.weekday > 6)", Some(true)),
        ("request.max_tokens >= 0", None),
        ("request.tags.a == \"a\"", None),
        ("request.stream", None),
    ] {
        assert_eq!(Condition::compile(source).unwrap().constant(), expected, "{source}");
    }
}

#[test]
fn no_text_makes_the_compiler_panic() {
    let alphabet: Vec<char> = "request.tags[\"a\"]==<>!&|()in has5.0é?:'\\{}+-,\n".chars().collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..300 {
        let text: String = (0..seed % 24)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                alphabet[(seed >> 33) as usize % alphabet.len()]
            })
            .collect();
        let _ = Condition::compile(&text);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("eu"), Just("us"), Just("chat-large"), Just("mobile"), Just(""), Just("é")].prop_map(str::to_owned)
}

fn text_operand() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("request.model"),
        Just("request.key"),
        Just("request.user"),
        Just("request.tags.env"),
        Just("request.tags.zone"),
        Just("request.headers[\"x-region\"]"),
        Just("request.headers[\"X-None\"]"),
    ]
    .prop_map(str::to_owned)
}

fn int_operand() -> impl Strategy<Value = String> {
    prop_oneof![Just("request.tokens"), Just("request.max_tokens"), Just("request.time.hour"), Just("request.budget.share")]
        .prop_map(str::to_owned)
}

fn order() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![(-3i64..30).prop_map(|number| number.to_string()), Just("0.5".to_owned()), Just("10.0".to_owned()), Just("7u".to_owned())]
}

/// A plain comparison.
fn leaf() -> impl Strategy<Value = String> {
    let quoted = |word: String| format!("{word:?}");
    prop_oneof![
        (text_operand(), order(), word().prop_map(quoted)).prop_map(|(of, order, word)| format!("{of} {order} {word}")),
        (int_operand(), order(), number()).prop_map(|(of, order, number)| format!("{of} {order} {number}")),
        (int_operand(), order(), number()).prop_map(|(of, order, number)| format!("{number} {order} {of}")),
        (text_operand(), proptest::collection::vec(word().prop_map(quoted), 0..3))
            .prop_map(|(of, words)| format!("{of} in [{}]", words.join(", "))),
        (int_operand(), proptest::collection::vec(number(), 0..3)).prop_map(|(of, all)| format!("{of} in [{}]", all.join(", "))),
        (text_operand(), prop_oneof![Just("startsWith"), Just("endsWith"), Just("contains"), Just("matches")], word())
            .prop_map(|(of, function, word)| format!("{of}.{function}({word:?})")),
        prop_oneof![Just("request.stream"), Just("request.has.tools"), Just("true"), Just("has(request.tags.env)")].prop_map(str::to_owned),
        prop_oneof![Just("has(request.max_tokens)"), Just("\"zone\" in request.tags"), Just("\"x-none\" in request.headers")]
            .prop_map(str::to_owned),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.prop_map(|of| format!("!({of})")),
        ]
    })
}

prop_compose! {
    fn any_request()(env in proptest::option::of(word()), zone in proptest::option::of(word()), region in proptest::option::of(word()),
        key in word(), user in word(), tools in any::<bool>(), share in prop_oneof![Just(0.0), Just(0.5), Just(1.0), Just(7.0)],
        unix_s in 0u64..100_000) -> Request {
        let named = |name: &str, value: Option<String>| value.map(|value| (name.to_owned(), value));
        Request {
            headers: named("x-region", region).into_iter().collect(),
            tags: named("env", env).into_iter().chain(named("zone", zone)).collect(),
            user,
            key,
            has: if tools { Has::TOOLS } else { Has::default() },
            share,
            unix_s,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// The nodes and CEL's own interpreter say the same, undecided included.
    #[test]
    fn nodes_and_interpreter_agree(source in expression(), request in any_request(), max_tokens in proptest::option::of(0u64..30)) {
        let condition = Condition::compile(&source).unwrap();
        prop_assert!(!condition.is_interpreted(), "{}", source);
        let program = Program::compile(&source).unwrap();
        let mut operands = Vec::new();
        let whole = interpret::Interpreted::new(program.expression(), &mut operands);
        let facts = facts(&request, max_tokens);
        let decided = |tri: Tri| match tri { Tri::True => Some(true), Tri::False => Some(false), Tri::Undecided(_) => None };
        let nodes = decided(condition.0.root.run(&condition.0.operands, &facts));
        prop_assert_eq!(nodes, decided(whole.run(&operands, &facts)), "{}", source);
        if let Some(constant) = condition.constant() {
            prop_assert!(nodes.is_none_or(|value| value == constant), "{}", source);
        }
    }
}
