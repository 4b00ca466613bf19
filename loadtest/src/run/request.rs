//! The request that is sent over and over, built once.

use std::net::{SocketAddr, ToSocketAddrs};

use serde_json::json;

use super::{Api, LoadArgs};

/// Where to send and the bytes to send.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
}

impl Target {
    /// # Errors
    /// A URL that is not plain `http://`, or a host that does not resolve.
    pub(crate) fn new(url: &str, load: &LoadArgs) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| format!("url {url:?} must start with http:// (TLS is not measured here)"))?;
        let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let mut addresses = with_port.to_socket_addrs().map_err(|error| format!("host {host:?}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("host {host:?} has no address"))?;
        let path = if path.is_empty() || path == "/" { default_path(load.api).to_owned() } else { path };
        Ok(Self { address, request: build(host, &path, load) })
    }
}

fn default_path(api: Api) -> &'static str {
    match api {
        Api::Chat => "/v1/chat/completions",
        Api::Messages => "/v1/messages",
        Api::Responses => "/v1/responses",
    }
}

fn build(host: &str, path: &str, load: &LoadArgs) -> Vec<u8> {
    let empty = body(load, "").len();
    // A prompt of words, so that a tokenizer meets text and not one long letter.
    let mut prompt = "the quick brown fox jumps over the lazy dog ".repeat(load.body_bytes.saturating_sub(empty) / 44 + 1);
    prompt.truncate(load.body_bytes.saturating_sub(empty).max(1));
    let body = body(load, &prompt);
    let auth = match load.api {
        Api::Messages => format!("x-api-key: {}\r\nanthropic-version: 2023-06-01", load.key),
        Api::Chat | Api::Responses => format!("authorization: Bearer {}", load.key),
    };
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\nuser-agent: ringway-loadtest\r\n\
         content-type: application/json\r\n{auth}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn body(load: &LoadArgs, prompt: &str) -> String {
    let streams = load.stream || load.streams.is_some();
    let mut body = match load.api {
        Api::Chat => json!({"model": load.model, "messages": [
            {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]}),
        Api::Messages => json!({"model": load.model, "max_tokens": 1024, "system": "You are a helpful assistant.",
            "messages": [{"role": "user", "content": prompt}]}),
        Api::Responses => json!({"model": load.model, "instructions": "You are a helpful assistant.", "input": prompt}),
    };
    body["temperature"] = json!(0.7);
    if streams {
        body["stream"] = json!(true);
    }
    body.to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::units::Rate;
    use std::time::Duration;

    pub(crate) fn load() -> LoadArgs {
        LoadArgs {
            rate: Rate::Max,
            connections: 2,
            stream: false,
            streams: None,
            idle: 0,
            model: "bench".to_owned(),
            key: "k".to_owned(),
            body_bytes: 750,
            api: Api::Chat,
            timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn the_body_has_the_size_asked_for() {
        for (api, size) in [(Api::Chat, 750), (Api::Messages, 5_000), (Api::Responses, 100_000)] {
            let target = Target::new("http://127.0.0.1:9100", &LoadArgs { api, body_bytes: size, ..load() }).unwrap();
            let text = String::from_utf8(target.request).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.len(), size);
            assert!(head.contains(&format!("content-length: {size}")));
        }
    }

    #[test]
    fn a_url_says_what_is_wrong_with_it() {
        assert!(Target::new("https://x", &load()).unwrap_err().contains("http://"));
        let target = Target::new("http://127.0.0.1:1/a/b", &load()).unwrap();
        assert!(target.request.starts_with(b"POST /a/b HTTP/1.1\r\nhost: 127.0.0.1:1\r\n"));
    }
}
