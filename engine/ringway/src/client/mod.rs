//! The admin API's client: what the subcommands that ask a running gateway share.

mod budgets;
mod flags;
mod keys;
mod logs;
mod people;
mod run;
mod stored;
mod table;
mod top;
mod views;

use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode, header};
use serde_json::Value;

pub use flags::Command;
pub use run::{explain, providers, run};

/// How long a gateway may take to answer; a stream may go on for ever.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Entries that are asked for at a time.
pub const PAGE: usize = 1000;

/// Which gateway is asked, and who asks.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// The gateway's admin listener: URL or unix:/path
    #[arg(long, env = "RINGWAY_ADMIN_URL", value_name = "URL", default_value = "http://127.0.0.1:8081", help_heading = "Gateway")]
    pub admin_url: String,
    /// Its admin token, or an API token [default: none]
    #[arg(long, env = "RINGWAY_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = "Gateway")]
    pub admin_token: Option<String>,
}

/// Asks one gateway.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    base: String,
    shown: String,
    token: Option<String>,
}

/// What is sent along.
pub enum Body<'b> {
    None,
    Json(&'b Value),
    Yaml(String),
}

/// What must be so for a change to be made.
pub enum If<'t> {
    Any,
    Matches(&'t str),
    Absent,
}

/// An answer below 400.
#[derive(Debug)]
pub struct Answer {
    pub text: String,
    pub etag: Option<String>,
}

impl Answer {
    /// # Errors
    /// Where it is no JSON.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.text).map_err(|error| format!("the gateway's answer is no JSON: {error}"))
    }
}

impl Client {
    /// # Errors
    /// Where the URL is none.
    pub fn open(connection: &Connection) -> Result<Client, String> {
        let shown = connection.admin_url.trim_end_matches('/').to_owned();
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_WAIT).no_proxy();
        let base = match shown.strip_prefix("unix:") {
            Some(path) => {
                builder = builder.unix_socket(path.to_owned());
                "http://localhost".to_owned()
            }
            None if shown.starts_with("http://") || shown.starts_with("https://") => shown.clone(),
            None => return Err(format!("--admin-url {shown:?}: write http://HOST:PORT, https://HOST:PORT or unix:/path")),
        };
        let http = builder.build().map_err(|error| format!("http client: {}", whole(&error)))?;
        Ok(Client { http, base, shown, token: connection.admin_token.clone().filter(|token| !token.is_empty()) })
    }

    /// # Errors
    /// What the gateway says is wrong, or that none answers.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        self.ask(Method::GET, path, Body::None, If::Any).await?.json()
    }

    /// Every entry of a list, page after page.
    ///
    /// # Errors
    /// As `get`.
    pub async fn all(&self, path: &str) -> Result<Vec<Value>, String> {
        let (mut entries, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let from = cursor.as_ref().map(|cursor| format!("&cursor={}", encoded(cursor))).unwrap_or_default();
            let mut page = self.get(&format!("{path}{join}limit={PAGE}{from}")).await?;
            if let Value::Array(data) = page["data"].take() {
                entries.extend(data);
            }
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(entries);
            }
        }
    }

    /// # Errors
    /// As `get`.
    pub async fn ask(&self, method: Method, path: &str, body: Body<'_>, condition: If<'_>) -> Result<Answer, String> {
        let mut request = self.request(method, path).timeout(ANSWER_WAIT);
        request = match body {
            Body::None => request,
            Body::Json(value) => request.header(header::CONTENT_TYPE, "application/json").body(value.to_string()),
            Body::Yaml(text) => request.header(header::CONTENT_TYPE, "application/yaml").body(text),
        };
        request = match condition {
            If::Any => request,
            If::Matches(etag) => request.header(header::IF_MATCH, format!("\"{etag}\"")),
            If::Absent => request.header(header::IF_NONE_MATCH, "*"),
        };
        let response = self.sent(request).await?;
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.map(|etag| etag.trim_matches('"').to_owned());
        let text = response.text().await.map_err(|error| format!("{}: {}", self.shown, whole(&error)))?;
        Ok(Answer { text, etag })
    }

    /// An answer that comes bit by bit, for as long as the gateway has something to say.
    ///
    /// # Errors
    /// As `get`.
    pub async fn stream(&self, path: &str) -> Result<reqwest::Response, String> {
        self.sent(self.request(Method::GET, path)).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn sent(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, String> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        Err(self.refused(status, &text))
    }

    fn unreachable(&self, error: &reqwest::Error) -> String {
        let shown = &self.shown;
        match error.is_connect() {
            true => {
                format!("no gateway answers at {shown} ({}); start one with `ringway`, or say where it is with --admin-url", whole(error))
            }
            false => format!("{shown}: {}", whole(error)),
        }
    }

    /// A problem document in words.
    fn refused(&self, status: StatusCode, text: &str) -> String {
        let problem: Value = serde_json::from_str(text).unwrap_or_default();
        let detail = problem["detail"].as_str().or_else(|| problem["error"]["message"].as_str());
        let mut out = match (status, detail) {
            (StatusCode::UNAUTHORIZED, _) => {
                let how = "the gateway prints its admin token at start; pass it with --admin-token, or set RINGWAY_ADMIN_TOKEN";
                let what = if self.token.is_some() { "does not know this token" } else { "asks for a token" };
                return format!("{} {what}: {how}", self.shown);
            }
            (_, Some(detail)) => detail.to_owned(),
            (status, None) => format!("{} answered {status}", self.shown),
        };
        for error in problem["errors"].as_array().into_iter().flatten() {
            let (path, message) = (error["path"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default());
            if !out.contains(message) {
                let colon = if path.is_empty() { "" } else { ": " };
                out.push_str(&format!("\n{path}{colon}{message}"));
            }
        }
        out
    }
}

/// An error with its causes: the outermost says little.
fn whole(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// A name within a path or a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            true => out.push(byte as char),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(token: Option<&str>) -> Client {
        let connection = Connection { admin_url: "http://127.0.0.1:1/".into(), admin_token: token.map(str::to_owned) };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::open(&connection).unwrap()
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(encoded("gpt-4* é/x"), "gpt-4%2A%20%C3%A9%2Fx");
    }

    #[test]
    fn a_problem_is_told_with_its_places() {
        let text = r#"{"detail": "not valid", "errors": [{"path": "routes.a.targets", "message": "is empty"}]}"#;
        assert_eq!(client(None).refused(StatusCode::UNPROCESSABLE_ENTITY, text), "not valid\nroutes.a.targets: is empty");
        assert!(client(None).refused(StatusCode::UNAUTHORIZED, "").contains("asks for a token: the gateway prints"));
        assert!(client(Some("x")).refused(StatusCode::UNAUTHORIZED, "").contains("does not know this token"));
        assert!(client(None).refused(StatusCode::BAD_GATEWAY, "<html>").contains("502"));
    }

    #[test]
    fn a_place_that_is_no_url_is_refused() {
        let connection = Connection { admin_url: "localhost:8081".into(), admin_token: None };
        assert!(Client::open(&connection).unwrap_err().contains("write http://HOST:PORT"));
    }
}
