//! The tokenizer's vocabulary: loaded on a thread of its own once something is, or will be, counted, and dropped after a quiet time.
//!
//! Loaded, it is larger than the idle gateway. It stays for good where the configuration bounds anything that is counted in tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringway_adapters::tokens::{self, Vocabulary};
use ringway_policy::config::Config;

/// After so long without a count the vocabulary is dropped, at the next look. To load it again takes a seventh of a second of another thread.
pub const QUIET: Duration = Duration::from_secs(10);

static NEEDED: AtomicBool = AtomicBool::new(false);

/// Has it stay where the configuration in force bounds anything that is counted in tokens or paid by them.
pub fn keep_for(config: &Config) {
    NEEDED.store(config.has_bounds(), Ordering::Relaxed);
}

/// Decides when the vocabulary is there. One for the process; its owner has it `tend` often, on a thread that does not serve.
pub struct Keeping {
    /// Gives a thread's unused memory back to the system: unpacking leaves several times what stays.
    purge: fn(),
    asked_at: Instant,
    loading: Option<JoinHandle<()>>,
    /// Taken away; freed here, once no count holds it.
    retired: Option<Arc<Vocabulary>>,
}

impl Keeping {
    pub fn new(purge: fn(), now: Instant) -> Keeping {
        Keeping { purge, asked_at: now, loading: None, retired: None }
    }

    /// Loads it where it is missed, takes it away where nobody asked for it in `QUIET`. Never waits.
    pub fn tend(&mut self, now: Instant) {
        if self.loading.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.loading = None;
        if tokens::was_asked() || NEEDED.load(Ordering::Relaxed) {
            self.asked_at = now;
            if !tokens::is_warm() {
                self.load();
            }
        } else if now.saturating_duration_since(self.asked_at) >= QUIET && tokens::is_warm() {
            self.retired = tokens::install(None);
        }
        if self.retired.take_if(|retired| Arc::strong_count(retired) == 1).is_some() {
            (self.purge)();
        }
    }

    fn load(&mut self) {
        let purge = self.purge;
        let work = move || {
            // What was there, if anything, is the same.
            drop(tokens::install(Some(Arc::new(Vocabulary::unpack()))));
            purge();
        };
        match std::thread::Builder::new().name("vocabulary".into()).spawn(work) {
            Ok(thread) => self.loading = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread to load the tokenizer; tokens that no provider reports are counted by length");
            }
        }
    }
}
