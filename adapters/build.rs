//! Lists `providers/*.toml`, so that adding a provider adds one file and nothing else; lays the tokenizer's vocabulary out.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "build/vocabulary.rs"]
mod vocabulary;

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("providers");
    for read in ["providers", "build", "src/tokens/layout.rs"] {
        println!("cargo::rerun-if-changed={read}");
    }
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("adapters/providers exists")
        .map(|entry| entry.expect("adapters/providers can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    // By name alone: with its ending, `a-b` would stand before `a`.
    files.sort_by_key(|path| path.file_stem().map(ToOwned::to_owned));
    let mut rows = String::from("&[\n");
    for path in files {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a provider's file name is plain");
        // The path is resolved where the crate is compiled, so that two checkouts may share a target folder.
        let file = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/providers/{name}.toml\")");
        writeln!(rows, "    ({name:?}, include_str!({file})),").expect("a string takes all");
    }
    rows.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("providers.rs"), rows).expect("cargo's output folder can be written");
    vocabulary::lay_out(Path::new(&out));
}
