//! The smuggling table, `tests/smuggling/requests.txt`: adding a case adds a line.

use crate::reader::{Request, read, read_cut_at};

struct Case {
    name: &'static str,
    verdict: Verdict,
    bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Refuse(u16),
    More,
    Accept { body: String, left: String },
}

fn cases() -> Vec<Case> {
    let text = include_str!("../smuggling/requests.txt");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(case).collect()
}

fn case(line: &'static str) -> Case {
    let mut columns = line.splitn(3, " | ");
    let mut column = || columns.next().unwrap_or_else(|| panic!("NAME | VERDICT | BYTES: {line}"));
    let (name, verdict, bytes) = (column(), column(), column());
    let words: Vec<_> = verdict.split(' ').collect();
    let plain = |word: &str| if word == "-" { String::new() } else { unescape(word).escape_ascii().to_string() };
    let verdict = match words[..] {
        ["more"] => Verdict::More,
        ["accept", body, left] => Verdict::Accept { body: plain(body), left: plain(left) },
        [status] => Verdict::Refuse(status.parse().unwrap_or_else(|_| panic!("{name}: no verdict {verdict:?}"))),
        _ => panic!("{name}: no verdict {verdict:?}"),
    };
    Case { name, verdict, bytes: unescape(bytes) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let (bytes, len) = escape(&rest[at + 1..]);
        out.extend_from_slice(&bytes);
        rest = &rest[at + 1 + len..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Bytes of the escape at the start of `text`, and its length.
fn escape(text: &str) -> (Vec<u8>, usize) {
    match text.as_bytes()[0] {
        b'r' => (vec![b'\r'], 1),
        b'n' => (vec![b'\n'], 1),
        b't' => (vec![b'\t'], 1),
        b'0' => (vec![0], 1),
        b'\\' => (vec![b'\\'], 1),
        b'x' => (vec![u8::from_str_radix(&text[1..3], 16).expect("\\xHH")], 3),
        b'*' => {
            let (count, rest) = text[2..].split_once("}{").expect("\\*{COUNT}{BYTES}");
            let bytes = &rest[..rest.find('}').expect("\\*{COUNT}{BYTES}")];
            (unescape(bytes).repeat(count.parse().expect("a count")), 2 + count.len() + 2 + bytes.len() + 1)
        }
        other => panic!("no escape \\{}", other as char),
    }
}

fn verdict(bytes: &[u8], outcome: Result<Option<Request>, ringway_data::http1::head::Refusal>) -> Verdict {
    match outcome {
        Err(refusal) => Verdict::Refuse(refusal.status),
        Ok(None) => Verdict::More,
        Ok(Some(request)) => {
            Verdict::Accept { body: request.body.escape_ascii().to_string(), left: bytes[request.len..].escape_ascii().to_string() }
        }
    }
}

#[test]
fn every_request_gets_its_verdict() {
    let mut wrong = Vec::new();
    for case in cases() {
        let verdict = verdict(&case.bytes, read(&case.bytes));
        if verdict != case.verdict {
            wrong.push(format!("{}: {verdict:?}, expected {:?}", case.name, case.verdict));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_cut_changes_no_verdict() {
    // Long cases differ from short ones only in a run of equal bytes: cuts inside it are thinned out.
    for case in cases() {
        let stride = if case.bytes.len() > 2_000 { 997 } else { 1 };
        for cut in (0..case.bytes.len()).step_by(stride) {
            assert_eq!(verdict(&case.bytes, read_cut_at(&case.bytes, cut)), case.verdict, "{} cut at {cut}", case.name);
        }
    }
}

#[test]
fn bytes_that_come_one_by_one_change_no_verdict() {
    for case in cases().iter().filter(|case| case.bytes.len() <= 2_000) {
        let first = (0..=case.bytes.len()).map(|len| read(&case.bytes[..len])).find(|outcome| !matches!(outcome, Ok(None)));
        assert_eq!(verdict(&case.bytes, first.unwrap_or(Ok(None))), case.verdict, "{}", case.name);
    }
}

#[test]
fn the_table_is_as_large_as_promised() {
    let cases = cases();
    let refused = cases.iter().filter(|case| matches!(case.verdict, Verdict::Refuse(_))).count();
    let accepted = cases.iter().filter(|case| matches!(case.verdict, Verdict::Accept { .. })).count();
    assert!(refused >= 120 && accepted >= 30, "{refused} refused, {accepted} accepted");
    let names: std::collections::HashSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "names are unique");
}
