//! Sending: one message over OTLP/HTTP, repeated with growing waits where the collector says that this helps.
//!
//! opentelemetry.io/docs/specs/otlp (OTLP/HTTP response, retryable codes, throttling), read 2026-11-20.

use std::hash::BuildHasher;
use std::time::Duration;

use prost::Message;
use reqwest::Client;
use serde::Serialize;

use super::queue::back_off;
use super::settings::{Encoding, Target};

/// Repeats of one message; after that it is dropped and counted.
const REPEATS_MAX: u32 = 5;
/// Longest `Retry-After` that is kept to.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How one message ended.
#[derive(Debug)]
pub enum Sent {
    /// It arrived; so many of its items were refused.
    Arrived {
        rejected: u64,
    },
    Failed(String),
}

/// Whether a message that does not arrive is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Repeats,
    /// The process ends: once, or never.
    Once,
}

/// Sends `message`; `rejected` reads the answer's count of items that were not taken.
pub async fn send<M: Message + Serialize>(
    client: &Client,
    target: &Target,
    message: &M,
    patience: impl Fn() -> Patience,
    rejected: impl Fn(&[u8]) -> Option<u64>,
) -> Sent {
    let (body, kind) = match target.encoding {
        Encoding::Protobuf => (message.encode_to_vec(), "application/x-protobuf"),
        Encoding::Json => match serde_json::to_vec(message) {
            Ok(body) => (body, "application/json"),
            Err(error) => return Sent::Failed(format!("a message could not be written: {error}")),
        },
    };
    let mut repeat = 0;
    loop {
        let (why, wait) = match try_once(client, target, body.clone(), kind).await {
            Ok(answer) => return Sent::Arrived { rejected: rejected(&answer).unwrap_or(0) },
            Err(Refused::ForGood(why)) => return Sent::Failed(why),
            Err(Refused::ForNow(why, wait)) => (why, wait),
        };
        if repeat >= REPEATS_MAX || patience() == Patience::Once {
            return Sent::Failed(why);
        }
        let draw = std::collections::hash_map::RandomState::new().hash_one(repeat);
        tokio::time::sleep(wait.unwrap_or_else(|| back_off(repeat, draw))).await;
        repeat += 1;
    }
}

enum Refused {
    ForGood(String),
    /// Try again, after this long where the collector says so.
    ForNow(String, Option<Duration>),
}

async fn try_once(client: &Client, target: &Target, body: Vec<u8>, kind: &'static str) -> Result<Vec<u8>, Refused> {
    // A URL may hold a key.
    let plain = |error: reqwest::Error| Refused::ForNow(error.without_url().to_string(), None);
    let request = client.post(&target.url).timeout(target.timeout).headers(target.headers.clone()).header("content-type", kind);
    let mut answer = request.body(body).send().await.map_err(plain)?;
    let status = answer.status().as_u16();
    let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(plain)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    match status {
        200..=299 => Ok(bytes),
        429 | 502 | 503 | 504 => {
            let wait = wait.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
            Err(Refused::ForNow(format!("the collector answers {status}"), wait))
        }
        _ => Err(Refused::ForGood(format!("the collector answers {status}"))),
    }
}
