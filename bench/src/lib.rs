//! What is measured: a table of named cases over the pure crates and the request path.
//!
//! `benches/time.rs` takes their time, the binary counts their instructions and allocations. Inputs are made in code or lie
//! in `fixtures/`, so that every run does the same work.

pub mod cases;
pub mod inputs;

/// One thing that is measured.
pub struct Case {
    /// `part/what`; the key in `baseline.txt`.
    pub name: &'static str,
    pub prepare: fn() -> Prepared,
}

/// A case with its inputs made: only `step` is measured.
pub struct Prepared {
    /// What one step handles (events of a stream), where that is more than one thing.
    pub units: u64,
    pub step: Box<dyn FnMut()>,
}

impl Prepared {
    pub fn new(step: impl FnMut() + 'static) -> Prepared {
        Prepared { units: 1, step: Box::new(step) }
    }

    pub fn per(self, units: usize) -> Prepared {
        Prepared { units: units as u64, ..self }
    }
}

/// All cases, in the order in which they are shown.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [cases::http1::CASES, cases::json::CASES, cases::stream::CASES, cases::translate::CASES, cases::policy::CASES].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs_twice_and_has_its_own_name() {
        let mut names = Vec::new();
        for case in cases() {
            let mut prepared = (case.prepare)();
            assert!(prepared.units > 0, "{}", case.name);
            (prepared.step)();
            (prepared.step)();
            assert!(!names.contains(&case.name), "{} stands twice", case.name);
            names.push(case.name);
        }
    }
}
