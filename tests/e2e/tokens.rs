//! Tokens that the gateway fetches for a provider: given by a stand-in, used, renewed, and missed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Answer, exchange, post};
use crate::process::{Mock, Ringway, ringway_binary};

/// Gives out tokens: each request gets the next answer, the last one again and again.
struct Giver {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<(u16, String)>>>,
}

impl Giver {
    fn start(answers: &[(u16, &str)]) -> Giver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let answers: Vec<(u16, String)> = answers.iter().rev().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let giver = Giver { address, asked: Arc::default(), answers: Arc::new(Mutex::new(answers)) };
        let (asked, answers) = (giver.asked.clone(), giver.answers.clone());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = Vec::new();
                let mut bytes = [0; 4096];
                let whole = |request: &[u8]| {
                    let text = String::from_utf8_lossy(request).into_owned();
                    let (head, body) = text.split_once("\r\n\r\n")?;
                    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                    (body.len() >= length.unwrap_or(0)).then_some(text.clone())
                };
                let text = loop {
                    match stream.read(&mut bytes) {
                        Ok(0) | Err(_) => break None,
                        Ok(count) => request.extend_from_slice(&bytes[..count]),
                    }
                    if let Some(text) = whole(&request) {
                        break Some(text);
                    }
                };
                let Some(text) = text else { continue };
                asked.lock().unwrap().push(text);
                let mut answers = answers.lock().unwrap();
                let (status, body) = if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() };
                let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
                let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
            }
        });
        giver
    }

    fn now_gives(&self, status: u16, body: &str) {
        *self.answers.lock().unwrap() = vec![(status, body.to_owned())];
    }
}

fn launch(mock: &Mock, giver: &Giver, keys: &str, environment: &[(&str, &str)]) -> Ringway {
    let config = format!("providers: {{azure: {{base_url: \"http://{}\", {keys}, models: [m]}}}}\n", mock.address);
    let mut command = Command::new(ringway_binary());
    command.env("AZURE_AUTHORITY_HOST", format!("http://{}", giver.address)).envs(environment.iter().copied());
    Ringway::launch(&config, &mut command)
}

fn ask(ringway: &Ringway) -> Answer {
    let body = json!({"model": "azure/m", "messages": [{"role": "user", "content": "hi"}]});
    post(ringway.address, "/v1/chat/completions", &body)
}

/// The credential of the last request that reached the provider.
fn seen(mock: &Mock) -> String {
    mock.log().last().map(|line| line["headers"]["authorization"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

const APPLICATION: &str = "tenant_id: tenant-1, client_id: app-1, client_secret: s3cret-of-the-app";

#[test]
fn an_application_gets_a_token_and_a_new_one_before_it_ends() {
    let mock = Mock::quick();
    let giver = Giver::start(&[
        (200, r#"{"token_type":"Bearer","expires_in":2,"access_token":"token-1"}"#),
        (200, r#"{"token_type":"Bearer","expires_in":"3600","access_token":"token-2"}"#),
    ]);
    let ringway = launch(&mock, &giver, APPLICATION, &[]);
    assert_eq!(ask(&ringway).status, 200);
    assert_eq!(seen(&mock), "Bearer token-1");
    let until = Instant::now() + Duration::from_secs(8);
    while seen(&mock) != "Bearer token-2" {
        assert!(Instant::now() < until, "{}", seen(&mock));
        assert_eq!(ask(&ringway).status, 200, "no request falls between two tokens");
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked = giver.asked.lock().unwrap();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("POST /tenant-1/oauth2/v2.0/token HTTP/1.1\r\n"), "{}", asked[0]);
    for field in [
        "grant_type=client_credentials",
        "client_id=app-1",
        "client_secret=s3cret-of-the-app",
        "scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default",
    ] {
        assert!(asked[0].contains(field), "{field}: {}", asked[0]);
    }
}

#[test]
fn a_refused_application_is_told_of_and_tried_again() {
    let mock = Mock::quick();
    let giver = Giver::start(&[(401, r#"{"error":"invalid_client","error_description":"the secret is wrong"}"#)]);
    let ringway = launch(&mock, &giver, APPLICATION, &[]);
    let answer = ask(&ringway);
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (502, Some("upstream_error")), "{}", answer.text());
    assert!(mock.log().is_empty(), "nothing goes out without a token");
    let ready = exchange(ringway.admin, b"GET /readyz HTTP/1.1\r\nhost: test\r\n\r\n");
    let text = ready.text();
    assert!(text.contains("azure: 401 invalid_client: the secret is wrong") && !text.contains("s3cret"), "{text}");
    giver.now_gives(200, r#"{"expires_in":3600,"access_token":"token-1"}"#);
    let until = Instant::now() + Duration::from_secs(15);
    while ask(&ringway).status != 200 {
        assert!(Instant::now() < until, "the token comes with the next try");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(seen(&mock), "Bearer token-1");
}

#[test]
fn a_token_outlives_a_giver_that_is_down_and_a_reload() {
    let mock = Mock::quick();
    let giver = Giver::start(&[(200, r#"{"expires_in":4,"access_token":"token-1"}"#), (503, "down")]);
    let ringway = launch(&mock, &giver, APPLICATION, &[]);
    let began = Instant::now();
    ringway.process.signal(libc::SIGHUP);
    let until = Instant::now() + Duration::from_secs(10);
    while giver.asked.lock().unwrap().len() < 2 {
        assert!(Instant::now() < until && ask(&ringway).status == 200, "it is asked ahead of the end");
        std::thread::sleep(Duration::from_millis(50));
    }
    if began.elapsed() < Duration::from_millis(3_500) {
        assert_eq!(ask(&ringway).status, 200, "what was good is used until it ends");
    }
    while ask(&ringway).status == 200 {
        assert!(began.elapsed() < Duration::from_secs(15), "a token that ended is not sent");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(mock.log().iter().all(|line| line["headers"]["authorization"] == "Bearer token-1"));
}

#[test]
fn a_federated_token_file_stands_for_the_secret() {
    let mock = Mock::quick();
    let giver = Giver::start(&[(200, r#"{"expires_in":3600,"access_token":"token-1"}"#)]);
    let file = std::env::temp_dir().join(format!("ringway-e2e-federated-{}", giver.address.port()));
    std::fs::write(&file, "federated.token.text\n").unwrap();
    let path = file.to_string_lossy().into_owned();
    let ringway = launch(&mock, &giver, "tenant_id: tenant-1, client_id: app-1", &[("AZURE_FEDERATED_TOKEN_FILE", &path)]);
    assert_eq!(ask(&ringway).status, 200);
    let asked = giver.asked.lock().unwrap()[0].clone();
    assert!(asked.contains("client_assertion=federated.token.text&") && asked.contains("client_assertion_type="), "{asked}");
    let _ = std::fs::remove_file(file);
}

#[test]
fn a_service_without_keys_asks_for_its_managed_identity() {
    let mock = Mock::quick();
    let giver = Giver::start(&[(200, r#"{"expires_in":"3600","access_token":"token-1"}"#)]);
    let endpoint = format!("http://{}/msi/token", giver.address);
    let ringway = launch(&mock, &giver, "usage: tap", &[("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", "header-1")]);
    assert_eq!(ask(&ringway).status, 200);
    let asked = giver.asked.lock().unwrap()[0].to_lowercase();
    assert!(asked.starts_with("get /msi/token?api-version=2019-08-01&resource=https://cognitiveservices.azure.com "), "{asked}");
    assert!(asked.contains("x-identity-header: header-1"), "{asked}");
}
