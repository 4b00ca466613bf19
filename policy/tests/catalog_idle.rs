//! An idle gateway does not hold the catalog. Alone in its file: nobody else may load it in this process.

use ringway_adapters::provider::builtins;
use ringway_policy::catalog;
use ringway_policy::config;
use ringway_policy::snapshot::Snapshot;

#[test]
fn the_catalog_is_read_when_the_first_model_is_asked_for() {
    let text = "{providers: {openai: {keys: [k], margin: \"10%\", models: [gpt-4.1]}}, routes: {r: {targets: [openai/o3]}}}";
    let config = config::parse(text, &|_| None).unwrap();
    let snapshot = Snapshot::compile(&config, builtins(), None, 1).unwrap();
    assert!(!catalog::is_loaded());
    let openai = snapshot.provider_index("openai").unwrap();
    let known = ["gpt-4.1", "o3", "gpt-4o"].map(|model| snapshot.facts(openai, model).is_some());
    assert_eq!((known, catalog::is_loaded()), ([true; 3], true));
}
