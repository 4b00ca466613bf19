//! Reload from a real file: whole or not at all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_control::health::{Health, Part};
use ringway_control::publish::Publisher;
use ringway_control::reload::{Reloader, Source, follow, look};
use ringway_control::resolve::Names;
use ringway_policy::lease::Now;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

const FIRST: &str = "providers: {openai: {keys: [first-key-value], base_url: \"http://127.0.0.1:9100/v1\"}}\n";
const SECOND: &str = "providers: {anthropic: {keys: [second-key-value], base_url: \"http://127.0.0.1:9100\"}}\n";
const BAD: &str = "providers:\n  openai: {keyz: [x]}\n";

struct Stage {
    folder: PathBuf,
    runtime: Runtime,
    reloader: Arc<Reloader>,
}

impl Stage {
    fn new(name: &str) -> Stage {
        let folder = std::env::temp_dir().join(format!("ringway-reload-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("ringway.yaml");
        std::fs::write(&file, FIRST).unwrap();
        let source = Source::file(file);
        let config = source.load().unwrap();
        let reloader = Reloader {
            publisher: Publisher::new(source.compile(&config, None).unwrap()),
            source,
            tokens: Default::default(),
            names: Names::default(),
            health: Arc::new(Health::default()),
            certificates: None,
            admin_certificates: None,
            served: Arc::new(ArcSwap::from_pointee(config)),
            demand: Box::new(|config| if config.providers.is_empty() { Err("no provider is left".into()) } else { Ok(()) }),
            shard_count: 1,
            clock: || Now { mono_ns: 0, unix_ms: 0 },
            store: None,
            changing: Default::default(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Stage { folder, runtime, reloader: Arc::new(reloader) }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.join("ringway.yaml"), text).unwrap();
    }

    fn reload(&self) {
        self.runtime.block_on(self.reloader.reload());
    }

    fn providers(&self) -> Vec<String> {
        self.reloader.publisher.current().providers.iter().map(|provider| provider.name.to_string()).collect()
    }

    fn reason(&self) -> Option<String> {
        self.reloader.health.reasons().into_iter().find(|(part, _)| *part == Part::Configuration).map(|(_, reason)| reason)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_bad_file_never_replaces_a_good_one_and_is_told_with_its_place() {
    let stage = Stage::new("bad");
    let revision = stage.reloader.publisher.current().revision;
    stage.write(BAD);
    stage.reload();
    assert_eq!(stage.providers(), ["ringway", "openai"]);
    assert_eq!(stage.reloader.publisher.current().revision, revision);
    let reason = stage.reason().unwrap();
    assert!(reason.contains("ringway.yaml:2:12: ") && reason.contains("keyz"), "{reason}");
    stage.write(SECOND);
    stage.reload();
    assert_eq!(stage.providers(), ["ringway", "anthropic"]);
    assert_eq!(stage.reason(), None);
    assert!(stage.reloader.publisher.current().revision > revision);
    assert_eq!(stage.reloader.served.load().providers.names().collect::<Vec<_>>(), ["anthropic"]);
}

#[test]
fn what_the_process_demands_holds_for_every_reload() {
    let stage = Stage::new("demand");
    stage.write("routes: {}\n");
    stage.reload();
    assert_eq!(stage.providers(), ["ringway", "openai"]);
    assert!(stage.reason().unwrap().ends_with("no provider is left"));
}

#[test]
fn a_file_that_is_gone_leaves_everything_as_it_is() {
    let stage = Stage::new("gone");
    std::fs::remove_file(stage.folder.join("ringway.yaml")).unwrap();
    stage.reload();
    assert_eq!(stage.providers(), ["ringway", "openai"]);
    assert!(stage.reason().is_some());
}

#[test]
fn an_old_snapshot_is_freed_once_its_last_reader_is_gone() {
    let stage = Stage::new("freed");
    let reader = stage.reloader.publisher.current();
    let gone = Arc::downgrade(&reader);
    stage.write(SECOND);
    stage.reload();
    drop(reader);
    assert!(gone.upgrade().is_some(), "the reader must not be the one who frees it");
    stage.reloader.publisher.sweep();
    assert!(gone.upgrade().is_none());
}

#[test]
fn a_changed_file_is_followed() {
    let stage = Stage::new("follow");
    let loaded = look(&stage.reloader.source.files());
    stage.runtime.spawn(follow(stage.reloader.clone(), loaded));
    stage.runtime.block_on(async {
        // The watch may not stand yet when the file first changes, so it is written until it is seen.
        let seen = async {
            let mut round = 0;
            while stage.providers() != ["ringway", "anthropic"] {
                round += 1;
                stage.write(&format!("{SECOND}# {round}\n"));
                sleep(Duration::from_millis(400)).await;
            }
        };
        timeout(Duration::from_secs(20), seen).await.unwrap();
    });
}
