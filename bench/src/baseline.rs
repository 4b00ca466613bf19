//! `baseline.txt`: what each case cost when somebody last said that this is fine, and the verdict on what it costs now.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A case may cost this much more than its baseline, percent.
const REGRESSION_PERCENT_MAX: f64 = 3.0;

/// The same where the compiler, valgrind or the CPU's vectors are others than the baseline's: a different code generator
/// moves small cases by several percent, which is nobody's regression.
const REGRESSION_PERCENT_MAX_OTHER_TOOLS: f64 = 15.0;

/// What one step of a case costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub instructions: u64,
    pub allocations: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Compiler, valgrind, CPU.
    pub tools: String,
    pub costs: BTreeMap<String, Cost>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// Beyond the tolerance in the good direction: worth accepting, so that it stays.
    Better,
    Worse,
    New,
}

impl Verdict {
    pub fn is_failure(self) -> bool {
        matches!(self, Verdict::Worse | Verdict::New)
    }

    pub fn word(self) -> &'static str {
        match self {
            Verdict::Same => "",
            Verdict::Better => "better: accept it",
            Verdict::Worse => "WORSE",
            Verdict::New => "NEW: accept it",
        }
    }
}

impl Baseline {
    pub fn path() -> PathBuf {
        let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        PathBuf::from(crate_dir).join("baseline.txt")
    }

    /// # Errors
    /// The line that is none.
    pub fn parse(text: &str) -> Result<Baseline, String> {
        let mut baseline = Baseline::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let Some(comment) = line.strip_prefix('#') {
                baseline.tools = comment.trim().strip_prefix("tools: ").map_or(baseline.tools, str::to_owned);
                continue;
            }
            let cost = || {
                let mut words = line.split_whitespace();
                let name = words.next()?.to_owned();
                let cost = Cost { instructions: words.next()?.parse().ok()?, allocations: words.next()?.parse().ok()? };
                words.next().is_none().then_some((name, cost))
            };
            let (name, cost) = cost().ok_or_else(|| format!("baseline.txt: {line:?} is not CASE INSTRUCTIONS ALLOCATIONS"))?;
            baseline.costs.insert(name, cost);
        }
        Ok(baseline)
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "# What one step of each case costs: CASE INSTRUCTIONS ALLOCATIONS. Written by `ringway-bench count --accept`.\n# tools: {}\n",
            self.tools
        );
        for (name, cost) in &self.costs {
            text.push_str(&format!("{name:<32} {:>10} {:>6}\n", cost.instructions, cost.allocations));
        }
        text
    }

    /// What `now` is worth beside the baseline, counted with `tools`.
    pub fn judge(&self, name: &str, now: Cost, tools: &str) -> Verdict {
        let Some(then) = self.costs.get(name) else { return Verdict::New };
        let tolerance = if tools == self.tools { REGRESSION_PERCENT_MAX } else { REGRESSION_PERCENT_MAX_OTHER_TOOLS };
        let percent = change_percent(*then, now);
        if percent > tolerance || now.allocations > then.allocations {
            Verdict::Worse
        } else if percent < -tolerance || now.allocations < then.allocations {
            Verdict::Better
        } else {
            Verdict::Same
        }
    }

    /// How many more instructions than before, percent.
    pub fn change(&self, name: &str, now: Cost) -> Option<f64> {
        self.costs.get(name).map(|then| change_percent(*then, now))
    }
}

fn change_percent(then: Cost, now: Cost) -> f64 {
    // The difference first: three percent stays three, not a hair more.
    (now.instructions as f64 - then.instructions as f64) * 100.0 / then.instructions.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn cost(instructions: u64, allocations: u64) -> Cost {
        Cost { instructions, allocations }
    }

    fn baseline() -> Baseline {
        Baseline { tools: "a; b".into(), costs: [("x/y".to_owned(), cost(1000, 2))].into() }
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(Baseline::parse(&baseline().text()), Ok(baseline()));
        assert!(Baseline::parse("x/y 12\n").is_err());
        assert!(Baseline::parse("x/y 12 3 4\n").is_err());
    }

    #[test]
    fn three_percent_more_passes_and_beyond_fails() {
        let verdict = |instructions, allocations| baseline().judge("x/y", cost(instructions, allocations), "a; b");
        assert_eq!(verdict(1030, 2), Verdict::Same);
        assert_eq!(verdict(1031, 2), Verdict::Worse);
        assert_eq!(verdict(970, 2), Verdict::Same);
        assert_eq!(verdict(969, 2), Verdict::Better);
        assert_eq!(verdict(1000, 3), Verdict::Worse);
        assert_eq!(verdict(1000, 1), Verdict::Better);
        assert!(baseline().judge("x/z", cost(1, 0), "a; b").is_failure());
    }

    #[test]
    fn other_tools_are_given_more_room() {
        assert_eq!(baseline().judge("x/y", cost(1150, 2), "a; c"), Verdict::Same);
        assert_eq!(baseline().judge("x/y", cost(1151, 2), "a; c"), Verdict::Worse);
    }
}
