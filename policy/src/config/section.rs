//! A long `virtual_keys` section, entry by entry: a hundred thousand keys as one YAML tree would take ten times their room.
//!
//! Knows the plain part of YAML that such sections are made of: block mappings, lists and mappings on one line, plain and simply
//! quoted text. At anything else it gives up, and the whole file is read as YAML; so both must see the same tree in all that
//! this one reads, which a test holds them to.

use ahash::AHashSet;

use super::At;
use super::node::{Node, Place, Value};

/// Shorter sections are not worth another way.
pub(super) const SECTION_BYTES_MIN: usize = 64 * 1024;
/// Deepest nesting that is read here; no field of a key stands deeper.
const DEPTH_MAX: usize = 8;
/// Words that are no text to YAML, or were none once.
const WORDS: &[&str] = &["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// The section, and the file with empty lines in its place.
pub(super) struct Cut<'t> {
    pub section: &'t str,
    /// Line of the section's first entry or comment.
    pub line: usize,
    pub rest: String,
}

/// Takes the section that begins with the line `name:` out of a file, where it is long.
pub(super) fn cut<'t>(text: &'t str, name: &str) -> Option<Cut<'t>> {
    let mut at = 0;
    let mut begun: Option<(usize, usize)> = None;
    let mut end = text.len();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Most lines by far stand inside the section.
        if line.starts_with(' ') {
            at += line.len();
            continue;
        }
        let opens = line.trim_end().strip_suffix(':') == Some(name);
        match begun {
            None if opens => begun = Some((at + line.len(), index + 2)),
            Some(_) if opens => return None,
            // Comments and empty lines may stand anywhere.
            Some(_) if !line.trim().is_empty() && !line.starts_with('#') && end == text.len() => end = at,
            _ => {}
        }
        at += line.len();
    }
    let (start, line) = begun?;
    let section = text.get(start..end)?;
    if section.len() < SECTION_BYTES_MIN {
        return None;
    }
    let header_start = text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
    let breaks = 1 + section.bytes().filter(|byte| *byte == b'\n').count();
    let mut rest = String::with_capacity(text.len() - section.len() + breaks);
    rest.push_str(&text[..header_start]);
    rest.extend(std::iter::repeat_n('\n', breaks));
    rest.push_str(&text[end..]);
    Some(Cut { section, line, rest })
}

/// Reads the entries of a section one after the other. `None` once: the section holds something that is not read here.
pub(super) fn entries(cut: &Cut<'_>, mut each: impl FnMut(At<String>, Node)) -> Option<()> {
    let mut lines = Lines { rest: cut.section, number: cut.line, next: None };
    let indent = lines.peek()?.indent;
    let mut names: AHashSet<&str> = AHashSet::new();
    while let Some(line) = lines.peek() {
        if line.indent != indent || indent == 0 {
            return None;
        }
        let (name, node) = entry(&mut lines, 1)?;
        let (key, _) = split(line.text)?;
        if !names.insert(key) {
            return None;
        }
        each(name, node);
    }
    lines.rest.is_empty().then_some(())
}

/// The number of entries, more or less, for the room that they take.
pub(super) fn entries_hint(cut: &Cut<'_>) -> usize {
    let first = cut.section.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let indent = &first[..first.len() - first.trim_start().len()];
    let is_entry = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with([' ', '#']) && !rest.is_empty());
    cut.section.lines().filter(is_entry).count()
}

#[derive(Clone, Copy)]
struct Line<'t> {
    number: usize,
    indent: usize,
    /// Without the indent and the space behind it.
    text: &'t str,
}

/// Lines that are neither empty nor comments. What is not ASCII text ends them with input left.
struct Lines<'t> {
    rest: &'t str,
    number: usize,
    next: Option<Line<'t>>,
}

impl<'t> Lines<'t> {
    fn peek(&mut self) -> Option<Line<'t>> {
        while self.next.is_none() && !self.rest.is_empty() {
            let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            let text = line.strip_suffix('\r').unwrap_or(line).trim_start_matches(' ');
            let indent = line.trim_end_matches('\r').len() - text.len();
            if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return None;
            }
            let text = text.trim_end_matches(' ');
            if !text.is_empty() && !text.starts_with('#') {
                self.next = Some(Line { number: self.number, indent, text });
            }
            (self.rest, self.number) = (rest, self.number + 1);
        }
        self.next
    }

    fn take(&mut self) {
        self.next = None;
    }
}

/// `NAME: VALUE`, or `NAME:` with a mapping below it.
fn entry(lines: &mut Lines<'_>, depth: usize) -> Option<(At<String>, Node)> {
    let line = lines.peek()?;
    let (name, value) = split(line.text)?;
    let key = key(name, line.number, line.indent + 1)?;
    lines.take();
    if value.is_empty() {
        return Some((key, mapping(lines, line.indent, depth + 1)?));
    }
    let column = line.indent + name.len() + 2;
    let mut flow = Flow { text: value.strip_prefix(' ')?, line: line.number, column: column + 1, at: 0 };
    let node = flow.value(Context::Block, depth + 1)?;
    flow.spaces();
    (flow.at == flow.text.len()).then_some((key, node))
}

/// What stands before and behind the first colon. Names are short: a searcher costs more than the search.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b':')?;
    Some((&text[..at], &text[at + 1..]))
}

fn mapping(lines: &mut Lines<'_>, above: usize, depth: usize) -> Option<Node> {
    let first = lines.peek().filter(|line| line.indent > above && depth <= DEPTH_MAX)?;
    let mut entries: Vec<(At<String>, Node)> = Vec::with_capacity(4);
    while let Some(line) = lines.peek().filter(|line| line.indent > above) {
        if line.indent != first.indent {
            return None;
        }
        push(&mut entries, entry(lines, depth)?)?;
    }
    Some(Node { place: Place { line: first.number, column: first.indent + 1 }, value: Value::Map(entries) })
}

/// Names that stand twice are YAML's to report.
fn push(entries: &mut Vec<(At<String>, Node)>, entry: (At<String>, Node)) -> Option<()> {
    let twice = entries.iter().any(|(name, _)| name.value == entry.0.value);
    (!twice).then(|| entries.push(entry))
}

fn key(name: &str, line: usize, column: usize) -> Option<At<String>> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let good = plain && name.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_word(name);
    good.then(|| Place { line, column }.with(name.to_owned()))
}

fn is_word(text: &str) -> bool {
    text.len() <= "false".len() && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// What ends plain text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Block,
    Flow,
}

/// The rest of one line.
struct Flow<'t> {
    text: &'t str,
    line: usize,
    /// Of the first byte of `text`.
    column: usize,
    at: usize,
}

impl Flow<'_> {
    fn spaces(&mut self) {
        self.at += self.text[self.at..].bytes().take_while(|byte| *byte == b' ').count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn place(&self) -> Place {
        Place { line: self.line, column: self.column + self.at }
    }

    fn value(&mut self, context: Context, depth: usize) -> Option<Node> {
        self.spaces();
        let place = self.place();
        let value = match self.peek()? {
            _ if depth > DEPTH_MAX => return None,
            b'[' => Value::List(self.list(depth)?),
            b'{' => Value::Map(self.map(depth)?),
            b'"' | b'\'' => Value::Scalar { text: self.quoted()?, written: None },
            _ => Value::Scalar { text: self.plain(context)?, written: None },
        };
        Some(Node { place, value })
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        self.at += 1;
        self.spaces();
        if self.takes(b']') {
            return Some(items);
        }
        loop {
            items.push(self.value(Context::Flow, depth + 1)?);
            self.spaces();
            if self.takes(b']') {
                return Some(items);
            }
            self.takes(b',').then_some(())?;
        }
    }

    fn map(&mut self, depth: usize) -> Option<Vec<(At<String>, Node)>> {
        let mut entries = Vec::new();
        self.at += 1;
        self.spaces();
        if self.takes(b'}') {
            return Some(entries);
        }
        loop {
            self.spaces();
            let len = split(&self.text[self.at..])?.0.len();
            let key = key(&self.text[self.at..self.at + len], self.line, self.column + self.at)?;
            self.at += len + 1;
            (self.peek() == Some(b' ')).then_some(())?;
            let node = self.value(Context::Flow, depth + 1)?;
            push(&mut entries, (key, node))?;
            self.spaces();
            if self.takes(b'}') {
                return Some(entries);
            }
            self.takes(b',').then_some(())?;
        }
    }

    /// Text in quotes without escapes.
    fn quoted(&mut self) -> Option<String> {
        let quote = char::from(self.peek()?);
        let inside = &self.text[self.at + 1..];
        let text = &inside[..inside.find(quote)?];
        self.at += text.len() + 2;
        let escaped = text.contains('\\') || self.peek() == Some(b'\'');
        (!escaped).then(|| text.to_owned())
    }

    /// Plain text of the letters that mean nothing to YAML where they stand.
    fn plain(&mut self, context: Context) -> Option<String> {
        let rest = &self.text[self.at..];
        let end = match context {
            Context::Block => rest.len(),
            Context::Flow => rest.bytes().position(|byte| matches!(byte, b',' | b']' | b'}'))?,
        };
        let text = rest[..end].trim_end_matches(' ');
        let letter = |index: usize, byte: u8| match byte {
            b'_' | b'.' | b'/' | b'-' | b'*' | b'+' | b'@' | b'=' => index > 0,
            b':' => text.as_bytes().get(index + 1).is_some_and(u8::is_ascii_digit),
            _ => byte.is_ascii_alphanumeric(),
        };
        let is_null = text.is_empty() || text.eq_ignore_ascii_case("null");
        if is_null || !text.bytes().enumerate().all(|(index, byte)| letter(index, byte)) || text.starts_with(':') {
            return None;
        }
        self.at += text.len();
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::node;
    use super::*;

    /// What stands under `virtual_keys` here and to YAML, where both read it.
    fn both(section: &str) -> Option<(String, String)> {
        let cut = Cut { section, line: 2, rest: String::new() };
        let mut here = Vec::new();
        entries(&cut, |name, node| here.push((name, node)))?;
        let root = node::parse(&format!("virtual_keys:\n{section}"));
        let there = root.map(|root| match root.value {
            Value::Map(mut entries) => format!("{:?}", entries.remove(0).1.value),
            other => format!("{other:?}"),
        });
        Some((format!("{:?}", Value::Map(here)), there.unwrap_or_else(|problem| problem.message)))
    }

    const SECTION: &str = "
  # a comment
  mobile:
    key_sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef

    team: apps
    models: [\"openai/*\", chat-large, 'x y', a*]
    limits: [{requests: 60, per: 1m}, { concurrent: 0x10 }]
    access:
        deep: {a: {b: [1.50, 007]}}
    budgets: []
    tags: {}
    expires: 2027-01-31T18:00:00Z
  web-2: {key: rw-0123456789abcdef, enabled: true, until: 2027-01-31}\r
  last: {usd: \"50.00\"}
";

    #[test]
    fn what_is_read_here_is_what_yaml_says() {
        let (here, there) = both(SECTION).unwrap();
        assert_eq!(here, there);
    }

    /// Sections with bytes changed by chance: each is refused here, or read as YAML reads it.
    #[test]
    fn no_change_makes_the_two_differ() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize
        };
        let mut read = 0;
        for _ in 0..20_000 {
            let mut bytes = SECTION.as_bytes().to_vec();
            for _ in 0..1 + next() % 3 {
                let at = next() % bytes.len();
                let byte = b"{}[]:,-#\"'\n &*!|>%@`\t$0a~.=+\\?"[next() % 30];
                match next() % 3 {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            let text = String::from_utf8(bytes).unwrap();
            if let Some((here, there)) = both(&text) {
                read += 1;
                assert_eq!(here, there, "{text}");
            }
        }
        assert!(read > 2_000, "{read} were read here");
    }

    #[test]
    fn the_rest_of_the_file_keeps_its_lines() {
        let keys: String = (0..4_000).map(|n| format!("  k{n}: {{team: apps}}\n")).collect();
        let text = format!("teams:\n  apps: {{}}\nvirtual_keys:\n{keys}routes:\n  r: {{}}\n");
        let cut = cut(&text, "virtual_keys").unwrap();
        assert_eq!((cut.section, cut.line, entries_hint(&cut)), (keys.as_str(), 4, 4_000));
        assert_eq!(cut.rest.lines().count(), text.lines().count());
        assert_eq!(cut.rest.lines().nth(4_003), Some("routes:"));
        assert!(super::cut("virtual_keys:\n  k: {}\n", "virtual_keys").is_none(), "short ones are read as YAML");
        assert!(super::cut(&format!("{text}virtual_keys:\n"), "virtual_keys").is_none());
    }
}
