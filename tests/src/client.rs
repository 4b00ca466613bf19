//! A plain HTTP/1.1 client that shows exactly what came: bytes, chunks, how the connection ended.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer as it was framed.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The body ended by its own framing: length reached, or the last chunk came.
    pub complete: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The payloads of an event stream.
    pub fn events(&self) -> Vec<serde_json::Value> {
        let text = self.text();
        let payloads = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        payloads.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
    }

    /// The text of a chat stream.
    pub fn chat_text(&self) -> String {
        let events = self.events();
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// The text of a Messages stream.
    pub fn messages_text(&self) -> String {
        self.events().iter().filter_map(|event| event["delta"]["text"].as_str()).collect()
    }

    /// Events that report an error.
    pub fn error_count(&self) -> usize {
        self.events().iter().filter(|event| event.get("error").is_some() || event["type"] == "error").count()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.set_nodelay(true).expect("TCP has no delay");
    stream
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").as_bytes())
}

/// A POST with a JSON body on a connection of its own.
pub fn post(address: SocketAddr, path: &str, body: &serde_json::Value) -> Answer {
    post_with(address, path, "", body)
}

/// The same with more header lines, each with its line end.
pub fn post_with(address: SocketAddr, path: &str, fields: &str, body: &serde_json::Value) -> Answer {
    exchange(address, &request(path, fields, &body.to_string()))
}

pub fn request(path: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{fields}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("the gateway reads");
    read(&mut stream)
}

/// Reads one answer; what follows it on the connection is left in the socket where the framing allows it.
pub fn read(stream: &mut TcpStream) -> Answer {
    let mut answer = Answer::default();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return answer,
        }
    }
    answer.head = String::from_utf8_lossy(&head).into_owned();
    answer.status = answer.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    if answer.status == 100 {
        return read(stream);
    }
    if let Some(length) = answer.field("content-length").and_then(|length| length.parse::<usize>().ok()) {
        answer.body = vec![0; length];
        answer.complete = stream.read_exact(&mut answer.body).is_ok();
    } else if answer.field("transfer-encoding").is_some() {
        answer.complete = read_chunks(stream, &mut answer.body);
    } else {
        let _ = stream.read_to_end(&mut answer.body);
    }
    answer
}

fn read_chunks(stream: &mut TcpStream, body: &mut Vec<u8>) -> bool {
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => line.push(byte[0]),
                _ => return false,
            }
        }
        let text = String::from_utf8_lossy(&line);
        let Ok(len) = usize::from_str_radix(text.trim(), 16) else { return false };
        let mut data = vec![0; len + 2];
        if stream.read_exact(&mut data).is_err() {
            return false;
        }
        if len == 0 {
            return true;
        }
        body.extend_from_slice(&data[..len]);
    }
}
