//! Which crate may depend on which, and what stands at the top of the tree.

use std::fs;

use toml::Table;

use crate::none;
use crate::source::root;

/// Directory, package, and which of our own crates its code may use.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("adapters", "ringway-adapters", &[]),
    ("policy", "ringway-policy", &["ringway-adapters"]),
    ("engine/data", "ringway-data", &["ringway-adapters", "ringway-policy"]),
    ("engine/control", "ringway-control", &["ringway-adapters", "ringway-policy"]),
    ("engine/ringway", "ringway", &["ringway-adapters", "ringway-policy", "ringway-data", "ringway-control"]),
    ("bench", "ringway-bench", &["ringway-adapters", "ringway-policy", "ringway-data"]),
    ("loadtest", "loadtest", &[]),
    ("tests", "ringway-tests", &["ringway-adapters", "ringway-policy", "ringway-data", "ringway-control"]),
];

/// Runtimes, and the crates whose code may use them.
const RUNTIMES: &[(&str, &[&str])] = &[("monoio", &["engine/data"]), ("tokio", &["engine/control", "engine/ringway", "tests"])];

/// Besides dot-files.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "adapters",
    "policy",
    "engine",
    "bench",
    "loadtest",
    "tests",
    "deploy",
    "docs",
    "target",
];

fn manifest(directory: &str) -> Table {
    let path = root().join(directory).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names that code of the crate depends on, those of its own tests left out.
fn dependencies(directory: &str) -> Vec<String> {
    let manifest = manifest(directory);
    let targets =
        manifest.get("target").and_then(|targets| targets.as_table()).into_iter().flatten().filter_map(|(_, target)| target.as_table());
    let tables =
        std::iter::once(&manifest).chain(targets).flat_map(|table| ["dependencies", "build-dependencies"].map(|key| table.get(key)));
    tables.flatten().filter_map(|table| table.as_table()).flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn crates_depend_only_downwards() {
    let ours = |name: &String| CRATES.iter().any(|(_, package, _)| package == name);
    let mut offenders = Vec::new();
    for (directory, package, allowed) in CRATES {
        for dependency in dependencies(directory).iter().filter(|name| ours(name)) {
            if !allowed.contains(&dependency.as_str()) {
                offenders.push(format!("{directory}/Cargo.toml: {package} depends on {dependency}"));
            }
        }
    }
    none(
        offenders,
        "The edges are adapters <- policy <- {data, control} <- ringway. A word that two crates share lives with its owner, the lower one; \
         data and control meet in an Arc<Snapshot> and in Records.",
    );
}

#[test]
fn every_member_of_the_workspace_has_its_edges() {
    let members = manifest("")["workspace"]["members"].as_array().expect("members").clone();
    let unknown =
        members.iter().filter_map(|member| member.as_str()).filter(|member| CRATES.iter().all(|(directory, ..)| directory != member));
    none(unknown.map(str::to_owned).collect(), "A new crate needs a row in CRATES of tests/tidy/edges.rs, and a good reason.");
}

#[test]
fn runtimes_are_dependencies_where_they_belong_alone() {
    let mut offenders = Vec::new();
    for (runtime, allowed) in RUNTIMES {
        for (directory, ..) in CRATES.iter().filter(|(directory, ..)| !allowed.contains(directory)) {
            if dependencies(directory).iter().any(|name| name == runtime) {
                offenders.push(format!("{directory}/Cargo.toml: {runtime}"));
            }
        }
    }
    none(offenders, "monoio is engine/data's, tokio is engine/control's and the binary's. Tests take them as dev-dependencies.");
}

#[test]
fn the_top_holds_only_what_the_house_has() {
    let entries = fs::read_dir(root()).expect("a readable tree").flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let strangers = entries.filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str())).collect();
    none(strangers, "Put it into one of the crates, docs/ or deploy/; the top of the tree is the map.");
}
