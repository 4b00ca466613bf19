//! The comparison as text.

use std::fmt::Write as _;

use super::Contender;
use super::ratio::{Metric, Spread};

const NAME_WIDTH: usize = 28;
const CELL_WIDTH: usize = 36;

/// A row a metric, a column a target: `value (ratio min–max)`.
pub(super) fn render(title: &str, contenders: &[Contender], metrics: &[Metric], base_index: usize) -> String {
    let rounds = contenders.iter().map(|contender| contender.rounds.len()).max().unwrap_or(0);
    let base = &contenders[base_index].name;
    let mut out = format!("{title}: median of {rounds} rounds; × is the ratio to {base}, round by round: median (smallest to largest)\n");
    // Writing to a string does not fail.
    let _ = write!(out, "{:<NAME_WIDTH$}", "");
    for contender in contenders {
        let _ = write!(out, "{:<CELL_WIDTH$}", contender.name);
    }
    out.push('\n');
    for metric in metrics {
        let label = format!("{} {}", metric.name, metric.unit);
        let _ = write!(out, "{label:<NAME_WIDTH$}");
        for index in 0..contenders.len() {
            let _ = write!(out, "{:<CELL_WIDTH$}", cell(metric, index, base_index));
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    for contender in contenders {
        for (kind, count) in &contender.joined().errors {
            let _ = writeln!(out, "{} error {kind}: {count}", contender.name);
        }
    }
    out
}

/// One cell; a dash where nothing was measured.
pub(super) fn cell(metric: &Metric, index: usize, base_index: usize) -> String {
    let value = metric.values[index];
    if !value.median.is_finite() {
        return "–".to_owned();
    }
    let Spread { median, min, max } = metric.ratios[index];
    let number = number(value.median);
    if index == base_index || !median.is_finite() { number } else { format!("{number}  ×{median:.2} ({min:.2} to {max:.2})") }
}

fn number(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
