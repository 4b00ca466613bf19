//! The table provider × api × check, and the bars that it must reach.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::Checks;
use crate::load::Exchange;
use crate::normal::NORMALS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// (b) Decoded and encoded again.
    Again,
    /// (c) Through another dialect and back.
    Across,
    /// (d) Cut anywhere.
    Cut,
    /// What the tap sees of it without decoding.
    Tap,
    /// (e) Errors.
    Error,
}

/// Heading, and the least share of checks that must pass, in percent.
const CHECKS: &[(Check, &str, f64)] = &[
    (Check::Again, "(b) again", 98.0),
    (Check::Across, "(c) across", 95.0),
    (Check::Cut, "(d) cut", 100.0),
    (Check::Tap, "tap", 100.0),
    (Check::Error, "(e) errors", 100.0),
];

#[derive(Clone, Copy, Default)]
struct Cell {
    passed: usize,
    failed: usize,
    left_out: usize,
}

impl Cell {
    fn show(self) -> String {
        match self.passed + self.failed + self.left_out {
            0 => "-".to_owned(),
            _ => format!("{}/{}/{}", self.passed, self.failed, self.left_out),
        }
    }
}

#[derive(Clone, Default)]
struct Row {
    exchanges: usize,
    cells: [Cell; CHECKS.len()],
}

#[derive(Default)]
pub struct Table {
    rows: BTreeMap<String, Row>,
    left_out: BTreeMap<(Check, Cow<'static, str>), usize>,
    failures: Vec<String>,
}

impl Table {
    pub fn add(&mut self, exchange: &Exchange, checks: Checks) {
        let row = self.rows.entry(format!("{} {}", exchange.provider, exchange.api)).or_default();
        row.exchanges += 1;
        checks.passed.iter().for_each(|check| row.cells[*check as usize].passed += 1);
        for (check, why) in checks.failed {
            row.cells[check as usize].failed += 1;
            self.failures.push(format!("{} {} {why}", exchange.id, CHECKS[check as usize].1));
        }
        for (check, reason) in checks.left_out {
            row.cells[check as usize].left_out += 1;
            *self.left_out.entry((check, reason)).or_default() += 1;
        }
    }

    /// Prints it; fails where a bar is missed.
    pub fn report(mut self) -> ExitCode {
        let mut sum = Row::default();
        line("provider api", "exchanges", CHECKS.iter().map(|check| check.1.to_owned()));
        for (name, row) in &self.rows {
            line(name, &row.exchanges.to_string(), row.cells.iter().map(|cell| cell.show()));
            sum.exchanges += row.exchanges;
            for (sum, cell) in sum.cells.iter_mut().zip(row.cells) {
                sum.passed += cell.passed;
                sum.failed += cell.failed;
                sum.left_out += cell.left_out;
            }
        }
        line("all (passed/failed/left out)", &sum.exchanges.to_string(), sum.cells.iter().map(|cell| cell.show()));
        println!("taken as equal:");
        for normal in NORMALS {
            normal.request.iter().for_each(|rule| println!("  {} request: {}", normal.dialect, rule.says));
            normal.answer.iter().for_each(|rule| println!("  {} answer: {}", normal.dialect, rule.says));
            normal.lacks.iter().for_each(|lack| println!("  {} has no word for {}", normal.dialect, lack.says()));
        }
        for ((check, reason), count) in &self.left_out {
            println!("left out: {} {count}: {reason}", CHECKS[*check as usize].1);
        }
        self.failures.sort();
        self.failures.iter().for_each(|failure| println!("FAIL {failure}"));
        let missed = CHECKS.iter().zip(sum.cells).filter(|(bar, cell)| is_missed(bar, *cell)).count();
        println!("{} passed, {missed} failed", CHECKS.len() - missed);
        if missed == 0 && sum.exchanges > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn is_missed((_, name, bar): &(Check, &str, f64), cell: Cell) -> bool {
    let share = 100.0 * cell.passed as f64 / (cell.passed + cell.failed).max(1) as f64;
    println!("count: {name}: {} passed, {} failed, {} left out: {share:.2} %, at least {bar} %", cell.passed, cell.failed, cell.left_out);
    share < *bar
}

fn line(name: &str, exchanges: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!(" {cell:>15}")).collect();
    println!("{name:<36} {exchanges:>9}{cells}");
}
