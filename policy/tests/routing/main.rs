//! Routing in virtual time: twenty scenarios of provider health against the pure policy (plan, retries, breaker, health, credentials).
//!
//! One seed is one run, to the last bit. `cargo test -p ringway-policy --test routing -- --nocapture` prints the table.

mod run;
mod scenarios;
mod world;

use run::Report;
use scenarios::{SCENARIOS, Scenario};

const SEED: u64 = 20_261_120;

#[test]
fn every_scenario_keeps_its_thresholds() {
    println!("{:<34} {:>8} {:>9} {:>8} {:>8}   thresholds", "scenario", "good %", "attempts", "cost", "p95 ms");
    let mut broken = Vec::new();
    for scenario in SCENARIOS {
        let report = run::run(scenario, SEED);
        println!("{}", row(scenario, &report));
        broken.extend(violations(scenario, &report));
    }
    assert!(SCENARIOS.len() >= 20, "{}", SCENARIOS.len());
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_seed_repeats_itself_and_another_one_does_not() {
    let flapping = SCENARIOS.iter().find(|scenario| scenario.name == "flapping").expect("a row of the table");
    assert_eq!(run::run(flapping, 1), run::run(flapping, 1));
    assert_ne!(run::run(flapping, 1), run::run(flapping, 2));
}

#[test]
fn thresholds_hold_for_other_seeds_too() {
    for seed in 1..=3 {
        let broken: Vec<String> = SCENARIOS.iter().flat_map(|scenario| violations(scenario, &run::run(scenario, seed))).collect();
        assert!(broken.is_empty(), "seed {seed}:\n{}", broken.join("\n"));
    }
}

fn row(scenario: &Scenario, report: &Report) -> String {
    format!(
        "{:<34} {:>8.3} {:>9.3} {:>8.2} {:>8}   >= {} %, <= {} attempts, cost <= {}, p95 <= {} ms",
        scenario.name,
        report.good_percent(),
        report.attempts_per_request(),
        report.cost_per_request(),
        report.p95_ms(),
        scenario.good_percent_min,
        scenario.attempts_max,
        scenario.cost_max,
        scenario.p95_ms_max
    )
}

fn violations(scenario: &Scenario, report: &Report) -> Option<String> {
    let good = report.good_percent() >= scenario.good_percent_min
        && report.attempts_per_request() <= scenario.attempts_max
        && report.cost_per_request() <= scenario.cost_max
        && report.p95_ms() <= scenario.p95_ms_max;
    (!good).then(|| row(scenario, report))
}
