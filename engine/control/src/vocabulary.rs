//! The tokenizer's vocabulary: loaded on a thread of its own once something is, or will be, counted.

use std::sync::atomic::{AtomicBool, Ordering};

use ringway_adapters::tokens;
use ringway_policy::config::Config;

static STARTED: AtomicBool = AtomicBool::new(false);

/// Loads it where the configuration bounds anything that is counted in tokens or paid by them.
pub fn load_for(config: &Config, purge: fn()) {
    if config.has_bounds() {
        load(purge);
    }
}

/// Loads it where a shard wanted to count and could not.
pub fn load_where_wanted(purge: fn()) {
    if tokens::is_wanted() {
        load(purge);
    }
}

/// `purge` gives back what the unpacking leaves behind, several times what stays.
fn load(purge: fn()) {
    if STARTED.swap(true, Ordering::Relaxed) {
        return;
    }
    let work = move || {
        tokens::warm();
        purge();
    };
    if let Err(error) = std::thread::Builder::new().name("vocabulary".into()).spawn(work) {
        tracing::warn!(%error, "no thread to load the tokenizer; tokens that no provider reports are counted by length");
        STARTED.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_loaded_once_something_was_counted_without_it() {
        load_for(&Config::default(), || ());
        assert!(!tokens::is_warm());
        assert_eq!(tokens::count("hello world"), 3);
        load_where_wanted(|| ());
        let is_warm = (0..4000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            tokens::is_warm()
        });
        assert!(is_warm);
        assert_eq!(tokens::count("hello world"), 2);
    }
}
