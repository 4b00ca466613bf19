//! A stand-in for a provider of which a test knows every byte: each request is kept, and answered by a function.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `POST /v1/files`, query included.
    pub line: String,
    pub head: String,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Bytes of the body that were there when its first part had come.
    pub first_read_bytes: usize,
}

impl Asked {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// It listens until the test ends.
pub struct StandIn {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What to answer, all of it: status line, fields, body; nothing ends the connection.
type Answers = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

impl StandIn {
    pub fn start(answers: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, answers): (_, Arc<Answers>) = (asked.clone(), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answers) = (kept.clone(), answers.clone());
                std::thread::spawn(move || serve(stream, &kept, &*answers));
            }
        });
        StandIn { address, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics while it holds this").clone()
    }
}

/// An answer with this body.
pub fn answer(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub fn json(status: &str, body: &str) -> Vec<u8> {
    answer(status, "application/json", body.as_bytes())
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Asked>>, answers: &Answers) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    while let Some(asked) = read(&mut stream) {
        kept.lock().expect("no test panics while it holds this").push(asked.clone());
        let answer = answers(&asked);
        // Nothing to say: the connection ends.
        if answer.is_empty() || stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut asked = Asked::default();
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, &mut bytes)?;
    };
    asked.head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    asked.line = asked.head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    bytes.drain(..end);
    asked.first_read_bytes = bytes.len();
    if asked.field("transfer-encoding") == Some("chunked") {
        asked.body = chunks(stream, bytes)?;
        return Some(asked);
    }
    let length: usize = asked.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < length {
        more(stream, &mut bytes)?;
    }
    asked.body = bytes;
    Some(asked)
}

fn chunks(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            match bytes.windows(2).position(|window| window == b"\r\n") {
                Some(at) => break at,
                None => more(stream, &mut bytes)?,
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line_end]).ok()?, 16).ok()?;
        while bytes.len() < line_end + 2 + size + 2 {
            more(stream, &mut bytes)?;
        }
        body.extend_from_slice(&bytes[line_end + 2..line_end + 2 + size]);
        bytes.drain(..line_end + 2 + size + 2);
        if size == 0 {
            return Some(body);
        }
    }
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 64 * 1024];
    let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
    bytes.extend_from_slice(&buffer[..count]);
    Some(())
}
