//! The scenarios, a row each: who is there, what befalls them, and what must come of it at least.

use crate::world::{Behaviour, Phase, Place};
use Behaviour::{Announced, BadKeys, Capacity, Down, Fails, Flaps, Good, Limited, Silent, Spent, Warming};

pub struct Scenario {
    pub name: &'static str,
    pub strategy: &'static str,
    /// Keys of each provider, of equal weight.
    pub keys: usize,
    /// So many of the places are targets of equal weight, the others fallbacks.
    pub targets: usize,
    pub places: &'static [Place],
    pub per_s: u64,
    pub seconds: u64,
    pub good_percent_min: f64,
    /// Per request.
    pub attempts_max: f64,
    /// Per request; an answer of a target costs 1.
    pub cost_max: f64,
    /// Of good answers.
    pub p95_ms_max: u64,
}

const FINE: Place = place(&[at(0, Good(200))]);

const fn place(phases: &'static [Phase]) -> Place {
    Place { price: 1.0, phases }
}

/// A fallback that costs three times as much.
const SPARE: Place = Place { price: 3.0, phases: &[at(0, Good(400))] };

const fn at(from_s: u64, behaviour: Behaviour) -> Phase {
    Phase { from_s, behaviour }
}

const BASE: Scenario = Scenario {
    name: "",
    strategy: "weighted",
    keys: 1,
    targets: 3,
    places: &[FINE, FINE, FINE],
    per_s: 50,
    seconds: 120,
    good_percent_min: 100.0,
    attempts_max: 1.0,
    cost_max: 1.0,
    p95_ms_max: 260,
};

pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "all well", ..BASE },
    Scenario { name: "one becomes slow", places: &[place(&[at(0, Good(200)), at(30, Good(1_200))]), FINE, FINE], ..BASE },
    Scenario {
        name: "one becomes slow, least_latency",
        strategy: "least_latency",
        places: &[place(&[at(0, Good(200)), at(30, Good(1_200))]), FINE, FINE],
        ..BASE
    },
    Scenario { name: "everything becomes slow", places: &[place(&[at(0, Good(200)), at(60, Good(900))]); 3], p95_ms_max: 1_200, ..BASE },
    Scenario { name: "flapping", places: &[place(&[at(0, Flaps(5))]), FINE, FINE], attempts_max: 1.1, ..BASE },
    Scenario {
        name: "flapping, alone with a spare",
        targets: 1,
        places: &[place(&[at(0, Flaps(7))]), SPARE],
        attempts_max: 1.05,
        cost_max: 2.5,
        p95_ms_max: 700,
        ..BASE
    },
    // Probes that always come while it is down: the spare serves nearly all, and nothing is lost but money.
    Scenario {
        name: "flapping in step with the probes",
        targets: 1,
        places: &[place(&[at(0, Flaps(5))]), SPARE],
        attempts_max: 1.05,
        cost_max: 3.0,
        p95_ms_max: 700,
        ..BASE
    },
    Scenario {
        name: "limited with Retry-After",
        targets: 2,
        places: &[place(&[at(0, Limited { per_s: 15, retry_after_s: Some(1) })]), FINE],
        attempts_max: 1.05,
        ..BASE
    },
    Scenario {
        name: "limited without Retry-After",
        targets: 2,
        places: &[place(&[at(0, Limited { per_s: 15, retry_after_s: None })]), FINE],
        attempts_max: 1.1,
        ..BASE
    },
    Scenario {
        name: "limited, announced ahead",
        targets: 2,
        places: &[place(&[at(0, Announced { per_s: 10 })]), FINE],
        attempts_max: 1.05,
        ..BASE
    },
    Scenario { name: "one bad key of five", keys: 5, targets: 1, places: &[place(&[at(0, BadKeys(0))])], attempts_max: 1.01, ..BASE },
    Scenario {
        name: "one key of two refused for a while",
        keys: 2,
        targets: 1,
        places: &[place(&[at(0, Good(200)), at(20, BadKeys(0)), at(70, Good(200))])],
        seconds: 200,
        attempts_max: 1.01,
        ..BASE
    },
    Scenario {
        name: "one key of two spent",
        keys: 2,
        targets: 1,
        places: &[place(&[at(0, Good(200)), at(10, Spent(0))])],
        attempts_max: 1.01,
        ..BASE
    },
    Scenario {
        name: "all keys spent, a spare",
        keys: 2,
        targets: 1,
        places: &[place(&[at(0, Good(200)), at(60, Spent(1))]), SPARE],
        attempts_max: 1.01,
        cost_max: 2.1,
        p95_ms_max: 520,
        ..BASE
    },
    Scenario {
        name: "regional outage, two of four",
        targets: 4,
        places: &[
            place(&[at(0, Good(200)), at(30, Down), at(90, Good(200))]),
            place(&[at(0, Good(200)), at(30, Down), at(90, Good(200))]),
            FINE,
            FINE,
        ],
        attempts_max: 1.05,
        ..BASE
    },
    Scenario {
        name: "all down for 20 s of 120",
        places: &[place(&[at(0, Good(200)), at(50, Down), at(70, Good(200))]); 3],
        good_percent_min: 82.0,
        attempts_max: 1.05,
        ..BASE
    },
    Scenario {
        name: "slow start after an outage",
        targets: 2,
        per_s: 200,
        places: &[place(&[at(0, Good(200)), at(20, Down), at(40, Warming(0))]), FINE],
        good_percent_min: 99.9,
        attempts_max: 1.008,
        p95_ms_max: 300,
        ..BASE
    },
    Scenario {
        name: "brown-out, one of three",
        places: &[place(&[at(0, Good(200)), at(20, Fails(30))]), FINE, FINE],
        attempts_max: 1.1,
        p95_ms_max: 330,
        ..BASE
    },
    Scenario {
        name: "brown-out, light, everywhere",
        places: &[place(&[at(0, Fails(5))]); 3],
        good_percent_min: 99.9,
        attempts_max: 1.1,
        p95_ms_max: 400,
        ..BASE
    },
    Scenario {
        name: "one falls silent",
        places: &[place(&[at(0, Good(200)), at(30, Silent)]), FINE, FINE],
        attempts_max: 1.05,
        cost_max: 1.05,
        ..BASE
    },
    Scenario {
        name: "one falls silent, least_latency",
        strategy: "least_latency",
        places: &[place(&[at(0, Good(200)), at(30, Silent)]), FINE, FINE],
        attempts_max: 1.05,
        cost_max: 1.05,
        ..BASE
    },
    Scenario {
        name: "little room, least_busy",
        strategy: "least_busy",
        places: &[place(&[at(0, Capacity(6))]), place(&[at(0, Capacity(6))]), place(&[at(0, Capacity(12))])],
        good_percent_min: 99.9,
        attempts_max: 1.1,
        p95_ms_max: 350,
        ..BASE
    },
    Scenario {
        name: "a dead target in turn",
        strategy: "round_robin",
        places: &[place(&[at(0, Down)]), FINE, FINE],
        attempts_max: 1.05,
        ..BASE
    },
    Scenario {
        name: "sticky users, one dies and returns",
        strategy: "{hash: user}",
        places: &[place(&[at(0, Good(200)), at(30, Down), at(60, Good(200))]), FINE, FINE],
        attempts_max: 1.05,
        ..BASE
    },
];
