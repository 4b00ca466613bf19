//! Google's chain against a stand-in of its token endpoint: what it is asked, and that what it gives reaches the snapshot.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use ringway_adapters::provider;
use ringway_control::tokens::Tokens;
use ringway_policy::config;
use ringway_policy::snapshot::Snapshot;
use serde_json::{Value, json};

const PROVIDER: &str = r#"
source = "made up"
date = "2026-11-20"
base_url = "http://127.0.0.1:1"
auth = "bearer"
tokens = {chain = "google", scope = "https://www.googleapis.com/auth/cloud-platform"}
operations = [{operation = "chat", dialect = "openai-chat", path = "/chat"}]
"#;

type Asked = Arc<Mutex<Vec<String>>>;

/// Answers one request after the other; a path that ends in `generateAccessToken` as that method does.
fn giver() -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let seen = asked.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut request, mut bytes) = (String::new(), [0; 8192]);
            let is_whole = |text: &str| {
                text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    body.len() >= length.unwrap_or(0usize)
                })
            };
            while !is_whole(&request) {
                match stream.read(&mut bytes) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.push_str(&String::from_utf8_lossy(&bytes[..count])),
                }
            }
            let body = match request.lines().next().unwrap_or_default() {
                line if line.contains("generateAccessToken") => r#"{"accessToken":"impersonated","expireTime":"2030-01-01T00:00:00Z"}"#,
                line if line.contains("/refused") => r#"{"error":"invalid_grant","error_description":"no such account"}"#,
                _ => r#"{"access_token":"given","expires_in":3599,"token_type":"Bearer"}"#,
            };
            let status = if request.contains("/refused") { "400 Bad Request" } else { "200 OK" };
            seen.lock().unwrap().push(request);
            let _ = stream
                .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    (address, asked)
}

/// The authorization line that the provider gets with this account file.
fn fetched(account: &Value) -> Option<String> {
    let builtins = [provider::parse("g", PROVIDER).unwrap()];
    let text = json!({"providers": {"g": {"credentials": account.to_string(), "models": ["m"]}}}).to_string();
    let config = config::parse_with(&text, &|_| None, &builtins).unwrap();
    let snapshot = Snapshot::compile(&config, &builtins, None, 1).unwrap();
    let tokens = Tokens::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokens.learn(&snapshot, Duration::from_secs(10)));
    let snapshot = tokens.apply(&snapshot, 2)?;
    assert!(tokens.apply(&snapshot, 3).is_none(), "what is there already is no change");
    let upstream = &snapshot.providers[snapshot.provider_index("g").unwrap()];
    Some(String::from_utf8(upstream.credentials[0].header_line.to_vec()).unwrap())
}

/// A field of the form that was posted.
fn posted<'a>(request: &'a str, name: &str) -> &'a str {
    let body = request.split_once("\r\n\r\n").unwrap().1;
    body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_else(|| panic!("{name}: {body}"))
}

#[test]
fn a_service_account_signs_its_assertion() {
    let (address, asked) = giver();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let token_uri = format!("http://{address}/token");
    let account = json!({"type": "service_account", "project_id": "p", "private_key_id": "key-1", "private_key": key.serialize_pem(),
        "client_email": "me@p.iam.gserviceaccount.com", "token_uri": token_uri});
    assert_eq!(fetched(&account).as_deref(), Some("authorization: Bearer given\r\n"));
    let request = asked.lock().unwrap()[0].clone();
    assert_eq!(posted(&request, "grant_type"), "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[&token_uri]);
    let public = DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes()).unwrap();
    let token = decode::<Value>(posted(&request, "assertion"), &public, &validation).unwrap();
    assert_eq!(token.header.kid.as_deref(), Some("key-1"));
    assert_eq!(token.claims["iss"], "me@p.iam.gserviceaccount.com");
    assert_eq!(token.claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert_eq!(token.claims["exp"].as_u64().unwrap() - token.claims["iat"].as_u64().unwrap(), 3600);
}

#[test]
fn a_user_refreshes_and_a_workload_exchanges() {
    let (address, asked) = giver();
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r/1",
        "token_uri": format!("http://{address}/token")});
    assert_eq!(fetched(&user).as_deref(), Some("authorization: Bearer given\r\n"));
    assert_eq!(posted(&asked.lock().unwrap()[0], "refresh_token"), "r%2F1");
    let file = std::env::temp_dir().join(format!("ringway-subject-{}", address.port()));
    std::fs::write(&file, r#"{"token": "subject-1"}"#).unwrap();
    let workload = json!({"type": "external_account", "audience": "//iam/pool", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("http://{address}/sts"),
        "service_account_impersonation_url": format!("http://{address}/v1/sa:generateAccessToken"),
        "credential_source": {"file": file, "format": {"type": "json", "subject_token_field_name": "token"}}});
    assert_eq!(fetched(&workload).as_deref(), Some("authorization: Bearer impersonated\r\n"));
    let asked = asked.lock().unwrap();
    assert_eq!(posted(&asked[1], "subject_token"), "subject-1");
    assert!(asked[2].to_lowercase().contains("authorization: bearer given\r\n"), "{}", asked[2]);
    let _ = std::fs::remove_file(file);
}

#[test]
fn what_is_no_account_gives_no_token() {
    let (address, _) = giver();
    let refused = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": format!("http://{address}/refused")});
    for account in
        [json!({"type": "something_else"}), json!({"type": "service_account", "client_email": "e", "private_key": "no key"}), refused]
    {
        assert_eq!(fetched(&account), None, "{account}");
    }
}
