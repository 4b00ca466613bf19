//! Google's chain: a service account's file, application default credentials, workload identity, the metadata server.
//!
//! developers.google.com/identity/protocols/oauth2/service-account, cloud.google.com/docs/authentication/application-default-credentials
//! and google.aip.dev/auth/4117, read 2026-11-20.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ringway_policy::snapshot::fetch::Fetch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Fresh;
use super::http::{self, Answer};
use crate::environment;

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const METADATA_HOST: &str = "metadata.google.internal";
/// Longest that an assertion may live.
const ASSERTION_SECONDS: u64 = 3600;
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A credential file, whatever its kind.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Account {
    #[serde(rename = "service_account")]
    Service {
        client_email: String,
        private_key: String,
        private_key_id: Option<String>,
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        token_uri: Option<String>,
    },
    #[serde(rename = "external_account")]
    External(Box<External>),
}

/// Workload identity: another identity provider's token, exchanged.
#[derive(Deserialize)]
struct External {
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: Source,
    service_account_impersonation_url: Option<String>,
}

#[derive(Deserialize)]
struct Source {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
    subject_token_field_name: Option<String>,
}

/// # Errors
/// Why there is no token.
pub(super) async fn get(fetch: &Fetch) -> Result<Fresh, String> {
    let text = match &fetch.account {
        Some(text) => Some(text.to_string()),
        None => default_file()?,
    };
    let Some(text) = text else { return metadata(&fetch.tokens.scope).await };
    let account: Account = serde_json::from_str(&text).map_err(|_| {
        "the credentials are no service_account, authorized_user or external_account file; give the JSON text that Google wrote".to_owned()
    })?;
    match account {
        Account::Service { client_email, private_key, private_key_id, token_uri } => {
            let token_uri = token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
            let assertion = assertion(&client_email, &private_key, private_key_id, &token_uri, &fetch.tokens.scope)?;
            post(&token_uri, &[("grant_type", JWT_BEARER), ("assertion", &assertion)]).await.map(Answer::fresh)
        }
        Account::AuthorizedUser { client_id, client_secret, refresh_token, token_uri } => {
            let fields = [
                ("grant_type", "refresh_token"),
                ("client_id", client_id.as_str()),
                ("client_secret", &client_secret),
                ("refresh_token", &refresh_token),
            ];
            post(token_uri.as_deref().unwrap_or(TOKEN_URI), &fields).await.map(Answer::fresh)
        }
        Account::External(external) => exchanged(&external, &fetch.tokens.scope).await,
    }
}

/// The file of application default credentials, where there is one.
fn default_file() -> Result<Option<String>, String> {
    if let Some(path) = environment::lookup("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty()) {
        let read = std::fs::read_to_string(&path);
        return read.map(Some).map_err(|error| format!("GOOGLE_APPLICATION_CREDENTIALS: {path}: {error}"));
    }
    let home = environment::lookup("HOME").map(|home| PathBuf::from(home).join(".config/gcloud/application_default_credentials.json"));
    Ok(home.and_then(|path| std::fs::read_to_string(path).ok()))
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

fn assertion(email: &str, key: &str, key_id: Option<String>, aud: &str, scope: &str) -> Result<String, String> {
    let iat = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let key =
        EncodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| "the private_key of the service account is no RSA key in PEM".to_owned())?;
    let header = Header { kid: key_id, ..Header::new(Algorithm::RS256) };
    let claims = Claims { iss: email, scope, aud, iat, exp: iat + ASSERTION_SECONDS };
    jsonwebtoken::encode(&header, &claims, &key).map_err(|error| format!("the assertion cannot be signed: {error}"))
}

async fn post(url: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
    Answer::read(&http::send(http::form(http::client()?.post(url), fields)).await?)
}

/// The token of the machine's own service account.
async fn metadata(scope: &str) -> Result<Fresh, String> {
    let host = environment::lookup("GCE_METADATA_HOST").unwrap_or_else(|| METADATA_HOST.to_owned());
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={scope}");
    let request = http::client()?.get(url).header("metadata-flavor", "Google");
    let body = http::send(request).await.map_err(|error| {
        format!("no credentials are configured, none is in GOOGLE_APPLICATION_CREDENTIALS, and the metadata server says: {error}")
    })?;
    Answer::read(&body).map(Answer::fresh)
}

async fn exchanged(external: &External, scope: &str) -> Result<Fresh, String> {
    let subject = subject(&external.credential_source).await?;
    let fields = [
        ("grant_type", TOKEN_EXCHANGE),
        ("audience", external.audience.as_str()),
        ("scope", scope),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token_type", &external.subject_token_type),
        ("subject_token", &subject),
    ];
    let answer = post(&external.token_url, &fields).await?;
    let Some(url) = &external.service_account_impersonation_url else { return Ok(answer.fresh()) };
    let body = serde_json::json!({"scope": [scope]}).to_string();
    let request = http::client()?.post(url).bearer_auth(&answer.access_token).header("content-type", "application/json").body(body);
    impersonated(&http::send(request).await?)
}

/// The other identity provider's token.
async fn subject(source: &Source) -> Result<String, String> {
    let text = match (&source.file, &source.url) {
        (Some(path), _) => std::fs::read_to_string(path).map_err(|error| format!("credential_source: {}: {error}", path.display()))?,
        (None, Some(url)) => {
            let request = source.headers.iter().fold(http::client()?.get(url), |request, (name, value)| request.header(name, value));
            String::from_utf8(http::send(request).await?).map_err(|_| "the subject token is no text".to_owned())?
        }
        (None, None) => return Err("credential_source has neither file nor url; other sources are not supported".to_owned()),
    };
    let field = source.format.as_ref().filter(|format| format.kind == "json").and_then(|format| format.subject_token_field_name.as_ref());
    let Some(field) = field else { return Ok(text.trim().to_owned()) };
    let value: Value = serde_json::from_str(&text).map_err(|_| "the subject token's file is no JSON".to_owned())?;
    value.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("the subject token's file has no {field}"))
}

/// The answer of `generateAccessToken`, whose tokens live for an hour where the request asks for nothing else.
fn impersonated(body: &[u8]) -> Result<Fresh, String> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "the answer holds no accessToken".to_owned())?;
    let token = value.get("accessToken").and_then(Value::as_str).ok_or("the answer holds no accessToken")?;
    let answer = serde_json::json!({"access_token": token, "expires_in": ASSERTION_SECONDS}).to_string();
    Answer::read(answer.as_bytes()).map(Answer::fresh)
}
