//! Delivery: a message to a channel, repeated with growing waits, a bounded number of times.

use std::hash::BuildHasher;
use std::time::Duration;

use reqwest::Client;

use super::channel::Post;
use crate::telemetry::queue::back_off;

/// Tries of one delivery.
pub const TRIES_MAX: u32 = 6;
/// Tries while somebody waits for the outcome.
pub const TEST_TRIES_MAX: u32 = 3;
/// Longest `Retry-After` that is kept to.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// So much of an answer is read, that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How a delivery went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub tries: u32,
    /// What went wrong last, without URL and secrets.
    pub error: Option<String>,
}

/// Posts until it is taken, or a repeat cannot help.
pub async fn deliver(client: &Client, post: &Post, tries_max: u32) -> Outcome {
    let mut tries = 0;
    loop {
        tries += 1;
        let (why, wait) = match try_once(client, post).await {
            Ok(()) => return Outcome { tries, error: None },
            Err(Refused::ForGood(why)) => return Outcome { tries, error: Some(why) },
            Err(Refused::ForNow(why, wait)) => (why, wait),
        };
        if tries >= tries_max {
            return Outcome { tries, error: Some(why) };
        }
        let draw = std::collections::hash_map::RandomState::new().hash_one(tries);
        tokio::time::sleep(wait.unwrap_or_else(|| back_off(tries - 1, draw))).await;
    }
}

enum Refused {
    ForGood(String),
    ForNow(String, Option<Duration>),
}

async fn try_once(client: &Client, post: &Post) -> Result<(), Refused> {
    let plain = |error: reqwest::Error| Refused::ForNow(error.without_url().to_string(), None);
    let mut request = client.post(&post.url).timeout(REQUEST_MAX).body(post.body.clone());
    for (name, value) in &post.fields {
        request = request.header(*name, value);
    }
    let mut answer = request.send().await.map_err(plain)?;
    let status = answer.status().as_u16();
    let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    let mut read = 0;
    while let Some(chunk) = answer.chunk().await.map_err(plain)? {
        read += chunk.len();
        if read > ANSWER_BYTES_MAX {
            break;
        }
    }
    match status {
        200..=299 => Ok(()),
        408 | 429 | 500..=599 => {
            let wait = wait.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
            Err(Refused::ForNow(format!("it answers {status}"), wait))
        }
        _ => Err(Refused::ForGood(format!("it answers {status}"))),
    }
}
