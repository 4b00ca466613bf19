//! The server over real sockets on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::*;

/// Answers by path: `/whole`, `/slow` (an event, a long pause, another), `/reset`, `/silent`.
struct ByPath;

impl Handler for ByPath {
    fn answer(&mut self, request: &Request<'_>) -> Rc<Script> {
        let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len());
        let mut script = ScriptBuilder::new(200);
        Rc::new(match request.path() {
            "/slow" => script.send_event(b"one").pause(Duration::from_secs(60)).send_event(b"two").build(),
            "/reset" => script.reset().build(),
            "/silent" => script.hang().build(),
            _ => script.send(whole.as_bytes()).send(&request.body).build(),
        })
    }
}

fn start() -> (SocketAddr, Arc<RequestLog>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let log = Arc::new(RequestLog::new(1024, None));
    let shared = log.clone();
    std::thread::spawn(move || event_loop::serve_connections(listener, ByPath, Some(shared)));
    (address, log)
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn read_until(socket: &mut TcpStream, ending: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(ending) {
        let count = socket.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

/// Asks the server itself for its log, so that what it did before is done.
fn log_entries(address: SocketAddr) -> Vec<serde_json::Value> {
    let mut socket = connect(address);
    socket.write_all(b"GET /_log HTTP/1.1\r\n\r\n").unwrap();
    let text = read_until(&mut socket, "]");
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let (address, _) = start();
    let bytes = b"POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\nfirstPOST /b HTTP/1.1\r\ncontent-length: 6\r\n\r\nsecond";
    for cut in [1, 20, 42, 60, bytes.len() - 1] {
        let mut socket = connect(address);
        socket.set_nodelay(true).unwrap();
        socket.write_all(&bytes[..cut]).unwrap();
        socket.write_all(&bytes[cut..]).unwrap();
        let text = read_until(&mut socket, "second");
        assert!(text.contains("first"), "{text}");
    }
}

#[test]
fn a_body_larger_than_the_read_buffer_arrives_whole() {
    let (address, _) = start();
    let mut socket = connect(address);
    let body = vec![b'x'; 1_000_000];
    socket.write_all(format!("POST /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    assert!(read_until(&mut socket, "\r\n\r\n").contains("100 Continue"));
    let mut reader = socket.try_clone().unwrap();
    let writer = std::thread::spawn(move || socket.write_all(&body));
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".len();
    let mut answer = vec![0; head + 1_000_000];
    reader.read_exact(&mut answer).unwrap();
    writer.join().unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
}

#[test]
fn a_client_that_leaves_is_in_the_log_with_what_it_got() {
    let (address, _) = start();
    let mut socket = connect(address);
    socket.write_all(b"GET /slow HTTP/1.1\r\n\r\n").unwrap();
    read_until(&mut socket, "one");
    assert_eq!(log_entries(address)[0]["closed_early"], false);
    drop(socket);
    // The close is an event of the loop; asking again waits for it.
    let entry = (0..1000).map(|_| log_entries(address).remove(0)).find(|entry| entry["closed_early"] == true).unwrap();
    assert_eq!(entry["events_sent"], 1);
    assert!(entry["closed_ms"].is_number());
}

#[test]
fn a_reset_is_a_reset_and_silence_is_silence() {
    let (address, log) = start();
    let mut socket = connect(address);
    socket.write_all(b"GET /reset HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let mut socket = connect(address);
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    socket.write_all(b"GET /silent HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(socket.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(log_entries(address).len(), 2);
    log.clear();
}

#[test]
fn garbage_is_refused_and_closed() {
    let (address, _) = start();
    let mut socket = connect(address);
    socket.write_all(b"\x16\x03\x01 not http\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400"));
}
