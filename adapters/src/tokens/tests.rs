use std::time::{Duration, Instant};

use super::*;

/// What Python's tiktoken gives for o200k_base.
#[test]
fn known_texts_have_their_known_counts() {
    let rows = [("", 0), ("hello world", 2), ("tiktoken is great!", 6), ("antidisestablishmentarianism", 6), ("お誕生日おめでとう", 8)];
    for (text, tokens) in rows {
        assert_eq!(count(text), tokens, "{text}");
    }
}

/// What the pattern of o200k gives, alternative by alternative.
#[test]
fn texts_are_split_as_the_pattern_says() {
    let rows: [(&str, &[&str]); 14] = [
        ("The quick HTTPServer", &["The", " quick", " HTTPServer"]),
        ("camelCaseWord", &["camel", "Case", "Word"]),
        ("it's THEY'LL we're'd", &["it's", " THEY'LL", " we're", "'d"]),
        ("HTTP'ſ語'ſ", &["HTTP'ſ", "語'ſ"]),
        ("語HTTPa", &["語HTTPa"]),
        ("語HTTP", &["語", "HTTP"]),
        ("e\u{301}a \u{301}", &["e\u{301}a", " \u{301}"]),
        ("1234567 ½Ⅷ", &["123", "456", "7", " ", "½Ⅷ"]),
        ("a // !?\n/\nb", &["a", " //", " !?\n/\n", "b"]),
        ("{\"a\":1}", &["{\"", "a", "\":", "1", "}"]),
        ("a  b   ", &["a", " ", " b", "   "]),
        (" \n \n  b", &[" \n \n", " ", " b"]),
        ("\u{a0}\u{2003}1", &["\u{a0}", "\u{2003}", "1"]),
        ("ǅabc😀abc", &["ǅabc", "😀abc"]),
    ];
    for (text, split) in rows {
        let words: Vec<&str> = words::words(text).map(|word| std::str::from_utf8(word).unwrap()).collect();
        assert_eq!(words, split);
    }
}

#[test]
fn a_long_run_costs_no_more_than_other_text() {
    for text in ["a".repeat(COUNTED_BYTES_MAX), " ".repeat(COUNTED_BYTES_MAX), "語".repeat(COUNTED_BYTES_MAX / 3), "!?".repeat(30_000)] {
        let begin = Instant::now();
        let tokens = count(&text);
        assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
        assert!(tokens > 0 && tokens <= text.len() as u64);
    }
}

#[test]
fn pieces_are_the_whole_text_and_break_only_long_runs() {
    let text = format!("one two {} {} end", "x".repeat(3000), "é".repeat(700));
    let cut: Vec<&str> = pieces(&text).collect();
    assert_eq!(cut.concat(), text);
    assert!(cut.len() >= 4 && cut.iter().flat_map(|piece| piece.split(' ')).all(|run| run.len() <= RUN_BYTES_MAX));
    assert_eq!(pieces("short text of words").count(), 1);
    let words = "word ".repeat(5000);
    assert_eq!(pieces(&words).count(), 1);
}

#[test]
fn what_lies_beyond_the_bound_counts_by_its_length() {
    let text = "word ".repeat(COUNTED_BYTES_MAX / 5);
    let within = count(&text);
    let rest = format!("{text}{}", "y".repeat(4000));
    assert!(count(&rest).abs_diff(within + 1000) <= 2);
}

#[test]
fn requests_of_all_dialects_count_alike() {
    let rows = [
        (r#"{"model":"m","messages":[{"role":"user","content":"hello world"}]}"#, 3 + 4 + 2),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hello world","cache_control":{"type":"ephemeral"}}]}]}"#,
            3 + 4 + 2,
        ),
        (r#"{"model":"m","input":"hello world"}"#, 3 + 2),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"hello world"}]}],"instructions":"hello world"}"#,
            3 + 4 + 4,
        ),
        (
            r#"{"system":"hello world","messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAAAAAA"}}]}]}"#,
            3 + 2 + 4,
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"hello world"}}]}]}"#,
            3 + 4 + 2,
        ),
        (r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#, 3 + 4),
        (r#"{"input":[101,102,103]}"#, 3 + 3),
        (r#"{"input":["hello world","hello world"]}"#, 3 + 4),
    ];
    for (body, tokens) in rows {
        assert_eq!(count_request(body.as_bytes()), tokens, "{body}");
    }
}

#[test]
fn arguments_and_tools_count_as_json() {
    let called = br#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"a":"b"}}]}]}"#;
    assert_eq!(count_request(called), 3 + 4 + count("f") + count(r#"{"a":"b"}"#));
    let tools = br#"{"tools":[{"name":"f"}]}"#;
    assert_eq!(count_request(tools), 3 + count(r#"[{"name":"f"}]"#));
    let schema = count(r#"{"type":"object"}"#);
    for body in [
        r#"{"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}}"#,
        r#"{"output_format":{"type":"json_schema","schema":{"type":"object"}}}"#,
        r#"{"response_format":{"type":"json_schema","json_schema":{"type":"object"}}}"#,
    ] {
        assert_eq!(count_request(body.as_bytes()), 3 + schema, "{body}");
    }
}

#[test]
fn broken_and_deep_bodies_are_counted_as_far_as_they_go() {
    assert_eq!(count_request(b""), 3);
    assert!(count_request(br#"{"input":"hello world","messages":[{"role":"user","conte"#) >= 5);
    let deep = format!(r#"{{"input":{}"hello"{}}}"#, "[".repeat(400), "]".repeat(400));
    assert!(count_request(deep.as_bytes()) > 3);
    assert!(count_request(b"{\"input\":\"\xff\xfe\\u12\"}") > 3);
}

#[test]
fn characters_are_those_of_the_text() {
    assert_eq!(count_characters(r#"{"model":"tts-1","input":"h\u00e9llo 😀","voice":"alloy"}"#.as_bytes()), 7);
    assert_eq!(count_characters(b"{}"), 0);
}

#[test]
fn counting_needs_little_stack() {
    let count = || count("The quick brown föx jumps over antidisestablishmentarianism, 語語 and nobody minds.");
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(count).unwrap();
    assert!(thread.join().unwrap() > 10);
}
