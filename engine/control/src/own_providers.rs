//! A folder of provider files: providers that stand beside the built-in ones, in the same form.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ringway_adapters::provider::{self, Provider};
use ringway_policy::config::Problem;

use crate::reload::{Refusal, read_bounded};

/// Most files of the folder: each costs a few kilobytes for good.
const FILES_MAX: usize = 1_000;
/// Largest file; the largest built-in one has two.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The folder, and what was last read from it.
#[derive(Debug, Default)]
pub struct OwnProviders {
    folder: Option<PathBuf>,
    /// Built-in and own; none before the first reading.
    all: ArcSwapOption<Vec<Provider>>,
}

impl OwnProviders {
    /// Those of `folder`; none without one.
    pub fn new(folder: Option<PathBuf>) -> OwnProviders {
        OwnProviders { folder, all: ArcSwapOption::empty() }
    }

    /// Reads every file again. A bad one leaves everything as it was.
    ///
    /// # Errors
    /// The first file with a mistake, its line and column.
    pub fn read(&self) -> Result<(), Refusal> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut own = Vec::new();
        for path in files(folder)? {
            own.push(read_file(&path)?);
        }
        self.all.store(Some(Arc::new(provider::beside(own))));
        Ok(())
    }

    /// The built-in providers and those that were read.
    pub fn with_all<T>(&self, ask: impl FnOnce(&[Provider]) -> T) -> T {
        match self.all.load_full() {
            Some(all) => ask(&all),
            None => ask(provider::builtins()),
        }
    }
}

/// The files that hold providers, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let origin = folder.display().to_string();
    let refused = |error: std::io::Error| Refusal::whole(&origin, format!("the folder of providers cannot be read: {error}"));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    if files.len() > FILES_MAX {
        return Err(Refusal::whole(&origin, format!("{} files are more than the {FILES_MAX} that may be read", files.len())));
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Provider, Refusal> {
    let origin = path.display().to_string();
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if name == ringway_policy::snapshot::BUILTIN {
        return Err(Refusal::whole(&origin, format!("the provider {name:?} is always there; give the file another name")));
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(Refusal::whole(&origin, "the file's name is the provider's; write letters, digits, hyphens, underscores and dots"));
    }
    let text = read_bounded(path, FILE_BYTES_MAX).map_err(|message| Refusal::whole(&origin, message))?;
    provider::parse(name, &text).map_err(|mistake| Refusal {
        origin,
        problems: vec![Problem { line: mistake.line, column: mistake.column, path: String::new(), message: mistake.message }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "base_url = \"https://api.acme.example/v1\"\nauth = \"bearer\"\n\
        operations = [{operation = \"chat\", dialect = \"openai-chat\", path = \"/chat/completions\"}]\n";

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("ringway-providers-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn has(own: &OwnProviders, name: &str) -> bool {
        own.with_all(|all| all.iter().any(|provider| provider.name == name))
    }

    #[test]
    fn a_file_is_a_provider_and_nothing_else_is_asked_for() {
        let folder = Folder::new("one");
        folder.write("acme.toml", ACME);
        folder.write("notes.txt", "not a provider");
        let own = OwnProviders::new(Some(folder.0.clone()));
        assert!(!has(&own, "acme"), "nothing is read before it is asked for");
        own.read().unwrap();
        assert!(has(&own, "acme") && has(&own, "openai"));
    }

    #[test]
    fn a_bad_file_leaves_the_good_ones_in_force_and_says_where_it_is_bad() {
        let folder = Folder::new("bad");
        folder.write("acme.toml", ACME);
        let own = OwnProviders::new(Some(folder.0.clone()));
        own.read().unwrap();
        folder.write("other.toml", &ACME.replace("auth", "auht"));
        let refusal = own.read().unwrap_err().to_string();
        assert!(refusal.contains("other.toml:2:1: unknown field `auht`"), "{refusal}");
        assert!(has(&own, "acme") && !has(&own, "other"));
        for (name, text, words) in [("ringway.toml", ACME, "is always there"), ("a b.toml", ACME, "the file's name")] {
            let folder = Folder::new(name);
            folder.write(name, text);
            let refusal = OwnProviders::new(Some(folder.0.clone())).read().unwrap_err().to_string();
            assert!(refusal.contains(words), "{refusal}");
        }
        let refusal = OwnProviders::new(Some(folder.0.join("nowhere"))).read().unwrap_err().to_string();
        assert!(refusal.contains("cannot be read"), "{refusal}");
    }
}
