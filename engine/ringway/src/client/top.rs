//! `ringway top`: the traffic of the last minute, one screen that is drawn again and again.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use super::logs::now_ms;
use super::table::{cell, figure, plain, span, table};
use super::{Client, encoded};

/// What is looked back at.
const WINDOW_MS: u64 = 60_000;
/// Rows of a screen.
const ROWS_MAX: usize = 30;
/// Clears the screen and goes to its first place.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// # Errors
/// Why it does not go on.
pub async fn run(client: &Client, by: &str, every_s: u64, count: u64, json: bool) -> Result<(), String> {
    let (mut looks, is_screen) = (0, std::io::stdout().is_terminal() && !json);
    loop {
        let text = look(client, by, json).await?;
        let mut out = std::io::stdout().lock();
        let clear = if is_screen { CLEAR } else { "" };
        if write!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        drop(out);
        looks += 1;
        if looks == count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(every_s)).await;
    }
}

async fn look(client: &Client, by: &str, json: bool) -> Result<String, String> {
    let to_ms = now_ms() + 1;
    let from_ms = to_ms - WINDOW_MS;
    let path = format!("/api/v1/series?from_ms={from_ms}&to_ms={to_ms}&step_s=60&by={}", encoded(by));
    let (series, status) = (client.get(&path).await?, client.get("/api/v1/status").await?);
    if json {
        return Ok(format!("{}\n", series["totals"]));
    }
    let mut groups: Vec<(&String, &Value)> = series["totals"].as_object().into_iter().flatten().collect();
    groups.sort_by_key(|(_, sum)| std::cmp::Reverse(sum["requests"].as_u64()));
    let requests: u64 = groups.iter().filter_map(|(_, sum)| sum["requests"].as_u64()).sum();
    let mut out = format!(
        "ringway {}, {} for {}: {requests} requests in the last minute, {} under way\n\n",
        cell(&status["version"]),
        cell(&status["phase"]),
        span(status["uptime_s"].as_u64().unwrap_or(0) * 1_000),
        status["in_flight"],
    );
    let rows = groups.iter().take(ROWS_MAX).map(|(name, sum)| {
        let figures = ["requests", "errors", "p50_ms", "p95_ms", "ttft_p50_ms", "tokens_in", "tokens_out", "tokens_per_s"];
        let figures = figures.map(|figure_name| figure(&sum[figure_name]));
        std::iter::once(plain(name)).chain(figures).chain([cell(&sum["cost_usd"])]).collect()
    });
    let first = by.to_uppercase();
    out.push_str(&table(&[&first, "REQUESTS", "ERRORS", "P50 MS", "P95 MS", "TTFT MS", "IN", "OUT", "TOK/S", "USD"], rows));
    for reason in status["reasons"].as_array().into_iter().flatten() {
        out.push_str(&format!("degraded: {}: {}\n", cell(&reason["part"]), cell(&reason["reason"])));
    }
    Ok(out)
}
