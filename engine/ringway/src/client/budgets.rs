//! `ringway budgets`: limits and budgets, and what is left of them.

use serde_json::Value;

use super::table::{cell, figure, span, table};
use super::{Client, encoded};

/// # Errors
/// Why there is no answer.
pub async fn run(client: &Client, search: Option<&str>, json: bool) -> Result<String, String> {
    let search = search.map(|part| format!("?search={}", encoded(part))).unwrap_or_default();
    let all = client.all(&format!("/api/v1/budgets{search}")).await?;
    if json {
        return Ok(format!("{:#}\n", Value::Array(all)));
    }
    let rows = all.iter().map(|quota| {
        let resets = quota["resets_in_ms"].as_u64().filter(|ms| *ms > 0).map_or_else(|| "-".to_owned(), span);
        let shadow = if quota["shadow"] == true { " (reported only)" } else { "" };
        vec![
            cell(&quota["subject"]),
            format!("{}{shadow}", cell(&quota["allows"])),
            figure(&quota["used"]),
            figure(&quota["reserved"]),
            figure(&quota["remaining"]),
            cell(&quota["unit"]),
            resets,
        ]
    });
    Ok(table(&["WHOSE", "ALLOWS", "USED", "RESERVED", "LEFT", "UNIT", "ANEW IN"], rows))
}
