//! Tables for terminals, and the words in their cells.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// A table without lines, as wide as the terminal.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head.to_vec());
    for row in rows {
        table.add_row(row);
    }
    let text = table.to_string();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A value in a cell; nothing is a dash. Control characters of names and errors never reach the terminal.
pub fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    plain(&text)
}

/// Without anything that a terminal would take for a command.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A figure with at most two digits behind the point, without needless ones.
pub fn figure(value: &Value) -> String {
    match value.as_f64() {
        None => cell(value),
        Some(number) if number.fract() == 0.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.2}"),
    }
}

/// `1h 5m`, `12s`: a stretch of time to its two largest units.
pub fn span(ms: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut left = ms / 1_000;
    let mut words = Vec::new();
    for (unit, seconds) in UNITS {
        if left >= seconds && words.len() < 2 {
            words.push(format!("{}{unit}", left / seconds));
            left %= seconds;
        }
    }
    if words.is_empty() { format!("{ms}ms") } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_short_and_harmless() {
        assert_eq!(cell(&json!(null)), "-");
        assert_eq!(cell(&json!(["a", "b"])), "a, b");
        assert_eq!(cell(&json!("\u{1b}[2Jx")), "\u{fffd}[2Jx");
        assert_eq!((figure(&json!(3.0)), figure(&json!(0.126))), ("3".into(), "0.13".into()));
        assert_eq!((span(3_900_000), span(12_000), span(20)), ("1h 5m".into(), "12s".into(), "20ms".into()));
    }

    #[test]
    fn a_table_has_its_head_and_no_blanks_at_the_end() {
        let text = table(&["NAME", "B"], [vec!["x".into(), "y".into()]]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line == line.trim_end()) && text.contains("NAME"), "{text:?}");
    }
}
