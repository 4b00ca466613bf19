//! Rows as RFC 5424 syslog messages, and the way of each row to a collector.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::Value;

/// Facility 13, `log audit`.
const FACILITY: u8 = 13;
const NOTICE: u8 = 5;
const WARNING: u8 = 4;
/// Rows that wait for the collector. The log has them all: beyond this they are left out and counted.
const QUEUE_MAX: usize = 4096;
const CONNECT_MAX: Duration = Duration::from_secs(5);
const WRITE_MAX: Duration = Duration::from_secs(5);
/// Pause after a collector that was not reached.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// A collector: `tcp://HOST:PORT` or `udp://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Tcp(String),
    Udp(String),
}

impl Target {
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Target, String> {
        let target = match text.split_once("://") {
            Some(("tcp", address)) => Target::Tcp(address.to_owned()),
            Some(("udp", address)) => Target::Udp(address.to_owned()),
            _ => return Err("write tcp://HOST:PORT or udp://HOST:PORT".to_owned()),
        };
        let (Target::Tcp(address) | Target::Udp(address)) = &target;
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(target),
            _ => Err("write tcp://HOST:PORT or udp://HOST:PORT".to_owned()),
        }
    }
}

/// A row as one message, without framing. What the row says is a parameter each; the message itself is a sentence.
pub fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default();
    let kind = text("kind");
    let severity = if kind == "denied" { WARNING } else { NOTICE };
    let mut time = Vec::new();
    ringway_policy::record::write_time(row["at_ms"].as_u64().unwrap_or_default(), &mut time);
    let time = String::from_utf8(time).unwrap_or_default();
    let mut parameters = String::new();
    for (name, value) in row.as_object().into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "at_ms" | "signature")) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        parameters.push_str(&format!(" {name}=\"{}\"", escape(&value)));
    }
    let sentence = match text("method") {
        "" => kind.to_owned(),
        method => format!("{} {} {}: {}", text("who"), method, text("path"), row["status"]),
    };
    let sentence: String = sentence.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    // 32473 is the enterprise number for examples (RFC 5612): Ringway has none of its own.
    format!(
        "<{}>1 {time} - ringway {} {} [ringway@32473{parameters}] {sentence}",
        FACILITY * 8 + severity,
        std::process::id(),
        name_of(kind)
    )
}

/// A message id has no spaces.
fn name_of(kind: &str) -> String {
    kind.chars().filter(char::is_ascii_graphic).take(32).collect()
}

/// RFC 5424 §6.3.3.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(if character.is_control() { ' ' } else { character });
    }
    out
}

/// The sender to a collector, on a thread of its own.
pub(super) struct Syslog {
    queue: SyncSender<String>,
}

impl Syslog {
    pub fn start(target: Target) -> io::Result<Syslog> {
        let (queue, rows) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new().name("audit-syslog".to_owned()).spawn(move || run(&target, &rows))?;
        Ok(Syslog { queue })
    }

    /// Never waits.
    pub fn push(&self, row: &str) {
        if self.queue.try_send(row.to_owned()).is_err() {
            tracing::warn!("the syslog collector does not keep up; a row of the audit log did not go there");
        }
    }
}

fn run(target: &Target, rows: &Receiver<String>) {
    let mut sink = None;
    while let Ok(row) = rows.recv() {
        let Ok(row) = serde_json::from_str::<Value>(&row) else { continue };
        let message = line(&row);
        loop {
            let outcome = match &mut sink {
                Some(sink) => send(sink, &message),
                None => connect(target)
                    .map(|connected| sink = Some(connected))
                    .and_then(|()| sink.as_mut().map_or(Ok(()), |sink| send(sink, &message))),
            };
            let Err(error) = outcome else { break };
            tracing::warn!(%error, "the syslog collector cannot be reached; rows of the audit log wait");
            sink = None;
            std::thread::sleep(RETRY_EVERY);
        }
    }
}

enum Sink {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

fn connect(target: &Target) -> io::Result<Sink> {
    match target {
        Target::Tcp(address) => {
            let address = address.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
            let stream = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
            stream.set_write_timeout(Some(WRITE_MAX))?;
            Ok(Sink::Tcp(stream))
        }
        Target::Udp(address) => {
            let address = address.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
            let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
            socket.connect(address)?;
            Ok(Sink::Udp(socket))
        }
    }
}

fn send(sink: &mut Sink, message: &str) -> io::Result<()> {
    match sink {
        // Octet counting, RFC 6587 §3.4.1.
        Sink::Tcp(stream) => stream.write_all(format!("{} {message}", message.len()).as_bytes()),
        Sink::Udp(socket) => socket.send(message.as_bytes()).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    fn row() -> Value {
        json!({"seq": 7, "at_ms": 1_700_000_000_000_u64, "kind": "denied", "who": "a]\"\\\n", "method": "PUT", "path": "/api/v1/keys/a",
            "status": 403, "hash": "ab"})
    }

    #[test]
    fn a_row_is_one_message_with_its_fields_as_parameters() {
        let message = line(&row());
        assert!(message.starts_with("<108>1 2023-11-14T22:13:20"), "{message}");
        assert!(message.contains("[ringway@32473 seq=\"7\" kind=\"denied\" who=\"a\\]\\\"\\\\ \""), "{message}");
        assert!(!message.contains('\n') && message.ends_with(": 403"), "{message}");
    }

    #[test]
    fn a_collector_gets_each_row_with_its_length() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
        let syslog = Syslog::start(target).unwrap();
        syslog.push(&row().to_string());
        drop(syslog);
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        let (len, message) = text.split_once(' ').unwrap();
        assert_eq!(len.parse::<usize>().unwrap(), message.len());
    }

    #[test]
    fn other_addresses_are_told() {
        for text in ["", "host:514", "tls://host:514", "tcp://host", "tcp://:514", "udp://host:99999"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
