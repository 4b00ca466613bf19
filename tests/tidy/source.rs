//! The tree as tidy sees it: text files, and Rust code without comments and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold nothing of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__", "fuzz-corpus"];
const TEXT: &[&str] = &["rs", "toml", "md", "sh", "py", "mjs", "js", "ts", "json", "yaml", "yml", "txt", "lock", "html", "css", ""];

pub struct File {
    /// From the top of the tree, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tests, benches and test tools: held to fewer rules.
    pub fn is_test(&self) -> bool {
        let starts = ["tests/", "bench/", "loadtest/"];
        let holds = ["/tests/", "_tests/", "/examples/", "/benches/"];
        let ends = ["/tests.rs", "/testing.rs"];
        starts.iter().any(|start| self.path.starts_with(start))
            || holds.iter().any(|part| self.path.contains(part))
            || ends.iter().any(|end| self.path.ends_with(end))
    }

    /// Lines of code with their numbers: no comment lines, nothing behind the first `#[cfg(test)]` that opens a module.
    pub fn code(&self) -> Vec<(usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = (0..lines.len())
            .find(|index| {
                lines[*index].trim() == "#[cfg(test)]" && lines.get(index + 1).is_some_and(|next| next.trim().starts_with("mod "))
            })
            .unwrap_or(lines.len());
        let numbered = lines[..end].iter().enumerate().map(|(index, line)| (index + 1, *line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(number, line)| (number, before_comment(line))).collect()
    }

    /// Places in the code where `hit` says so.
    pub fn places(&self, mut hit: impl FnMut(&str) -> bool) -> Vec<String> {
        self.code().into_iter().filter(|(_, line)| hit(line)).map(|(number, line)| self.place(number, line)).collect()
    }

    pub fn place(&self, number: usize, line: &str) -> String {
        format!("{}:{number}: {}", self.path, line.trim())
    }
}

/// Cuts a comment behind code, unless the slashes stand in a string (an URL).
fn before_comment(line: &str) -> &str {
    line.find(" // ").filter(|at| line[..*at].matches('"').count().is_multiple_of(2)).map_or(line, |at| &line[..at])
}

pub fn root() -> PathBuf {
    // At run time: a cached binary may have been built elsewhere.
    let tests = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&tests).parent().expect("tests/ stands in the tree").to_owned()
}

/// All text files, in order.
pub fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 20, "the tree is not at {}", root.display());
    files
}

pub fn rust_files() -> Vec<File> {
    files().into_iter().filter(File::is_rust).collect()
}

fn walk(root: &Path, directory: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(directory).expect("a readable tree").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().expect("a file type");
        if name == ".git" || name == ".venv" {
            continue;
        }
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            walk(root, &path, files);
        } else if kind.is_file() && TEXT.contains(&path.extension().unwrap_or_default().to_string_lossy().as_ref()) {
            let path_text = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
            if let Ok(text) = fs::read_to_string(&path) {
                files.push(File { path: path_text, text });
            }
        }
    }
}

/// `word` stands in `line`, and no letter, digit or underscore touches it.
pub fn has_word(line: &str, word: &str) -> bool {
    let touches = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = line.as_bytes();
    line.match_indices(word)
        .any(|(at, _)| !touches(at.checked_sub(1).and_then(|before| bytes.get(before))) && !touches(bytes.get(at + word.len())))
}

/// What stands between quotes, escapes as they are written.
pub fn strings(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = None;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match (start, byte) {
            (None, b'"') => start = Some(at + 1),
            (Some(from), b'"') if !escaped => {
                found.push(&line[from..at]);
                start = None;
            }
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    found
}

#[test]
fn words_and_strings_are_found() {
    assert!(has_word("use tokio::net;", "tokio") && !has_word("let tokio_like = 1;", "tokio"));
    assert_eq!(strings(r#"f("a\"b", "c")"#), [r#"a\"b"#, "c"]);
    assert_eq!(before_comment(r#"let a = 1; // why"#), "let a = 1;");
}
