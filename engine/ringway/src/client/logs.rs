//! `ringway logs`: records as a table, and each one as it ends.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::flags::Filter;
use super::table::{cell, table};
use super::{Client, PAGE, encoded};

/// A line of the stream that is longer is no record.
const LINE_BYTES_MAX: usize = 1 << 20;

const HEAD: [&str; 11] = ["TIME", "STATUS", "OPERATION", "KEY", "ASKED", "ANSWERED BY", "IN", "OUT", "USD", "MS", "FAULT"];
/// Of the lines that follow each other, where no table can be laid out.
const WIDTHS: [usize; 11] = [24, 6, 10, 14, 24, 30, 7, 7, 10, 8, 0];

/// The last records, oldest first, as a reader of logs expects.
///
/// # Errors
/// Why there is no answer.
pub async fn list(client: &Client, filter: &Filter, limit: u32, json: bool) -> Result<String, String> {
    let query = query(filter);
    let (mut records, mut cursor) = (Vec::new(), None::<String>);
    let limit = limit as usize;
    while records.len() < limit {
        let from = cursor.as_ref().map(|cursor| format!("&cursor={}", encoded(cursor))).unwrap_or_default();
        let count = (limit - records.len()).min(PAGE);
        let mut page = client.get(&format!("/api/v1/records?limit={count}{query}{from}")).await?;
        if let Value::Array(data) = page["data"].take() {
            records.extend(data);
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    records.reverse();
    if json {
        return Ok(records.iter().map(|record| format!("{record}\n")).collect());
    }
    Ok(table(&HEAD, records.iter().map(|record| cells(record).to_vec())))
}

/// Each record as it ends, until the gateway does.
///
/// # Errors
/// Why it does not go on.
pub async fn follow(client: &Client, filter: &Filter, json: bool) -> Result<(), String> {
    let query = query(filter);
    let mut stream = client.stream(&format!("/api/v1/records/tail?{}", query.trim_start_matches('&'))).await?;
    if !json {
        print(&line(&HEAD.map(str::to_owned)));
    }
    let mut held: Vec<u8> = Vec::new();
    while let Some(chunk) = stream.chunk().await.map_err(|error| format!("the stream of records broke: {error}"))? {
        held.extend_from_slice(&chunk);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(&held[..end]).trim_end().to_owned();
            held.drain(..=end);
            let Some(record) = text.strip_prefix("data:").map(str::trim) else { continue };
            let going_on = match (json, serde_json::from_str::<Value>(record)) {
                (true, Ok(_)) => print(record),
                (false, Ok(record)) => print(&line(&cells(&record))),
                (_, Err(_)) => true,
            };
            if !going_on {
                return Ok(());
            }
        }
        if held.len() > LINE_BYTES_MAX {
            return Err("the stream of records is none of a gateway's".to_owned());
        }
    }
    Err("the gateway ended the stream of records".to_owned())
}

/// Whether anybody still reads.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

fn line(cells: &[String; 11]) -> String {
    let padded = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:<width$}"));
    padded.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

fn cells(record: &Value) -> [String; 11] {
    let answered = match (record["provider"].as_str(), record["model"].as_str()) {
        (Some(provider), Some(model)) => format!("{provider}/{model}"),
        _ => "-".to_owned(),
    };
    let ms = record["total_us"].as_f64().map_or_else(|| "-".to_owned(), |us| format!("{:.1}", us / 1_000.0));
    let tokens = |name: &str| match &record["usage"][name] {
        Value::Null => cell(&record[format!("{name}_tokens")]),
        count => cell(count),
    };
    [
        cell(&record["at"]),
        cell(&record["status"]),
        cell(&record["operation"]),
        cell(&record["key"]),
        cell(&record["asked"]),
        super::table::plain(&answered),
        tokens("input"),
        tokens("output"),
        cell(&record["cost_usd"]),
        ms,
        cell(&record["fault"]),
    ]
}

fn query(filter: &Filter) -> String {
    let since = filter.since.as_ref().map(|span| (now_ms().saturating_sub(span.0.as_millis() as u64)).to_string());
    let pairs = [
        ("key", filter.key.clone()),
        ("team", filter.team.clone()),
        ("customer", filter.customer.clone()),
        ("provider", filter.provider.clone()),
        ("model", filter.model.clone()),
        ("route", filter.route.clone()),
        ("tag", filter.tag.clone()),
        ("status", filter.status.clone()),
        ("fault", filter.fault.clone()),
        ("operation", filter.operation.clone()),
        ("text", filter.text.clone()),
        ("min_ms", filter.min_ms.map(|ms| ms.to_string())),
        ("min_cost_usd", filter.min_cost_usd.clone()),
        ("from_ms", since),
    ];
    pairs.iter().filter_map(|(name, value)| Some(format!("&{name}={}", encoded(value.as_deref()?)))).collect()
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
