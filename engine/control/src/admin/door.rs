//! The way from the control plane to the data plane's own listener: what an operator tries goes through all that clients go
//! through, with a key that this process drew for itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use reqwest::{Client, Response, header};
use serde_json::Value;

use super::problem::Problem;
use crate::operator;

/// How long the data plane may take to let us in.
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// Longest answer that is read whole.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where the data plane of this process listens.
#[derive(Clone, Debug)]
pub struct Door {
    pub place: Place,
    pub tls: Tls,
}

#[derive(Clone, Debug)]
pub enum Place {
    /// An address that this process holds; loopback in place of an unspecified one.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// The certificate is for the names that clients know: it is not looked at, as nobody else can hold our own address.
    On,
}

/// An answer that was read whole.
pub(super) struct Whole {
    pub status: StatusCode,
    pub id: Option<String>,
    pub body: Value,
}

impl Door {
    /// Asks for a chat.
    ///
    /// # Errors
    /// Where the data plane lets nobody in.
    pub(super) async fn chat(&self, body: &Value, timeout: Option<Duration>) -> Result<Response, Problem> {
        let shut = |error: reqwest::Error| Problem::unavailable(format!("the data plane does not answer: {}", cause(&error)));
        let mut builder = Client::builder().no_proxy().connect_timeout(CONNECT_WAIT).pool_max_idle_per_host(0);
        if self.tls == Tls::On {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let scheme = if self.tls == Tls::On { "https" } else { "http" };
        let authority = match &self.place {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(path) => {
                builder = builder.unix_socket(path.clone());
                "localhost".to_owned()
            }
        };
        let client = builder.build().map_err(shut)?;
        let mut request = client
            .post(format!("{scheme}://{authority}/v1/chat/completions"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", operator::operator().key()))
            .body(body.to_string());
        if let Some(timeout) = timeout {
            request = request.header("x-ringway-timeout-ms", timeout.as_millis().to_string());
        }
        request.send().await.map_err(shut)
    }
}

/// Reads an answer whole, up to its bound.
///
/// # Errors
/// Where it breaks, or is too large.
pub(super) async fn whole(mut response: Response) -> Result<Whole, Problem> {
    let (status, id) = (response.status(), id_of(&response));
    let broken =
        |error: &dyn std::fmt::Display| Problem::new(StatusCode::BAD_GATEWAY, "upstream_error", format!("the answer broke off: {error}"));
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&cause(&error)))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(broken(&format!("it is larger than {} MiB", ANSWER_BYTES_MAX >> 20)));
        }
    }
    Ok(Whole { status, id, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}

/// The id of its record.
pub(super) fn id_of(response: &Response) -> Option<String> {
    response.headers().get("x-ringway-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned)
}

fn cause(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
