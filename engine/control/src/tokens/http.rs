//! Requests to those who give out tokens: short ones, with short answers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::Deserialize;

use super::Fresh;
use ringway_policy::snapshot::fetch::Fetched;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Characters of an error answer that are shown.
const REASON_CHARS_MAX: usize = 200;
/// A token that says less is still not fetched anew at once, over and over.
const LIFE_SECONDS_MIN: u64 = 1;
/// A token that says more is fetched anew then; any number at all may stand there.
const LIFE_SECONDS_MAX: u64 = 30 * 86_400;
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// One client for all, made when first needed. The proxy is that of the environment.
///
/// # Errors
/// Where TLS cannot be set up.
pub(crate) fn client() -> Result<&'static Client, String> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        let builder = Client::builder().tls_backend_preconfigured(tls).timeout(REQUEST_MAX).redirect(reqwest::redirect::Policy::none());
        builder.build().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(String::clone)
}

/// Sends and reads the whole answer.
///
/// # Errors
/// What went wrong, without anything secret: the status, and the words of a JSON error.
pub(super) async fn send(request: RequestBuilder) -> Result<Vec<u8>, String> {
    // An address is no secret, but a query may be.
    let plain = |error: reqwest::Error| error.without_url().to_string();
    let mut answer = request.send().await.map_err(plain)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(plain)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer is longer than {} KiB", ANSWER_BYTES_MAX >> 10));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() { Ok(body) } else { Err(format!("{}{}", status.as_u16(), reason(&body))) }
}

/// What an error answer says (RFC 6749 §5.2).
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: Option<serde_json::Value>,
        error_description: Option<String>,
    }
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return String::new() };
    let error = refusal.error.map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned));
    let words = [error, refusal.error_description].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let shown: String = words.chars().filter(|character| !character.is_control()).take(REASON_CHARS_MAX).collect();
    if shown.is_empty() { shown } else { format!(" {shown}") }
}

/// The answer of a token endpoint (RFC 6749 §5.1).
#[derive(Deserialize)]
pub(super) struct Answer {
    pub access_token: String,
    /// Seconds; some write them as text.
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl Answer {
    /// # Errors
    /// Where it is no token.
    pub fn read(body: &[u8]) -> Result<Answer, String> {
        let answer: Answer = serde_json::from_slice(body).map_err(|_| "the answer holds no access_token".to_owned())?;
        let is_safe = !answer.access_token.is_empty() && answer.access_token.bytes().all(|byte| byte.is_ascii_graphic());
        if is_safe { Ok(answer) } else { Err("the access_token is no text that fits a header field".to_owned()) }
    }

    pub fn fresh(self) -> Fresh {
        let seconds = self.expires_in.as_ref().and_then(|value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()));
        Fresh {
            fetched: Fetched::Bearer(self.access_token.into()),
            life: seconds.map(|seconds| Duration::from_secs(seconds.clamp(LIFE_SECONDS_MIN, LIFE_SECONDS_MAX))),
        }
    }
}

/// A form as it is posted (`application/x-www-form-urlencoded`).
pub(super) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let mut body = String::new();
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => body.push(byte as char),
                _ => body.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_come_as_numbers_and_as_text() {
        for (body, life) in [
            (r#"{"access_token":"a","expires_in":3599}"#, Some(3599)),
            (r#"{"access_token":"a","expires_in":"86399"}"#, Some(86399)),
            (r#"{"access_token":"a","expires_in":0}"#, Some(LIFE_SECONDS_MIN)),
            (r#"{"access_token":"a","expires_in":18446744073709551615}"#, Some(LIFE_SECONDS_MAX)),
            (r#"{"access_token":"a"}"#, None),
        ] {
            assert_eq!(Answer::read(body.as_bytes()).unwrap().fresh().life, life.map(Duration::from_secs), "{body}");
        }
        for body in ["", "{}", r#"{"access_token":""}"#, "{\"access_token\":\"a\\r\\nx: y\"}"] {
            assert!(Answer::read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_refusal_says_why_and_nothing_else() {
        assert_eq!(reason(br#"{"error":"invalid_grant","error_description":"no such account"}"#), " invalid_grant: no such account");
        assert_eq!(reason(br#"{"error":{"code":403}}"#), r#" {"code":403}"#);
        assert_eq!(reason(b"<html>"), "");
    }
}
