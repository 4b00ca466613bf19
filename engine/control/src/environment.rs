//! The environment and the disk, as the configuration asks for them: `${NAME}` and `${file:/path}`.

use std::io::Read;
use std::path::Path;

/// Largest file that `${file:/path}` takes in: credentials are a few KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Resolves what stands between the braces: a variable's name, or `file:/path`.
pub fn lookup(name: &str) -> Option<String> {
    match name.strip_prefix("file:") {
        Some(path) => read_small(Path::new(path)),
        None => std::env::var(name).ok(),
    }
}

fn read_small(path: &Path) -> Option<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)).ok()?;
    (read as u64 <= FILE_BYTES_MAX).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_a_huge_one_is_not() {
        let path = std::env::temp_dir().join(format!("ringway-lookup-{}", std::process::id()));
        let name = format!("file:{}", path.display());
        std::fs::write(&path, "sk-1\n").unwrap();
        assert_eq!(lookup(&name).as_deref(), Some("sk-1\n"));
        std::fs::write(&path, vec![b'x'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(lookup(&name), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lookup(&name), None);
    }

    #[test]
    fn an_unset_variable_is_none() {
        assert_eq!(lookup("RINGWAY_TEST_SURELY_UNSET"), None);
    }
}
