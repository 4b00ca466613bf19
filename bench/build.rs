//! Tells the binary which compiler built it: counts of two compilers are not comparable.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output().expect("cargo has just found the compiler");
    let version = String::from_utf8_lossy(&version.stdout);
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    println!("cargo::rustc-env=BENCH_RUSTC={}", version.split(" (").next().unwrap_or_default().trim());
}
