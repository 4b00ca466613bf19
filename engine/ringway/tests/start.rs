//! The binary from its start to its end, as an operator sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const BODY: &str = r#"{"model":"ringway/echo","messages":[{"role":"user","content":"good morning"}]}"#;
/// How long any of this may take on a busy machine.
const WAIT: Duration = Duration::from_secs(20);

struct Gateway {
    child: Child,
    data: SocketAddr,
    admin: SocketAddr,
    token: String,
}

/// Starts `command` and reads its banner.
fn start(mut command: Command) -> Gateway {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (mut data, mut admin, mut token) = (None, None, None);
    while token.is_none() || data.is_none() || admin.is_none() {
        let line = lines.next().expect("the banner").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let address = |url: &str| url.strip_prefix("http://").and_then(|address| address.parse().ok());
        match words.as_slice() {
            ["data", url] => data = address(url),
            ["admin", url] => admin = address(url),
            ["token", value, ..] => token = Some((*value).to_owned()),
            _ => {}
        }
    }
    // Somebody must read on, or the gateway waits for room in the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Gateway { child, data: data.unwrap(), admin: admin.unwrap(), token: token.unwrap() }
}

fn ringway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.env_clear().current_dir(std::env::temp_dir()).args(["--admin", "127.0.0.1:0", "--threads", "1"]);
    command
}

impl Gateway {
    fn signal(&self, signal: i32) {
        // SAFETY: `kill` takes numbers alone; the child is ours and not yet waited for, so its id is still its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + WAIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the gateway does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn admin_status(&self, path: &str) -> String {
        exchange(
            self.admin,
            &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n", self.token),
        )
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn chat(address: SocketAddr) -> String {
    let len = BODY.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n"
    );
    exchange(address, &format!("{head}{BODY}"))
}

#[test]
fn from_the_banner_to_the_end_one_request_leaves_one_line() {
    let mut command = ringway();
    command.args(["--listen", "127.0.0.1:0"]);
    let mut gateway = start(command);
    let answer = chat(gateway.data);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("good morning"), "{answer}");
    assert!(gateway.admin_status("/readyz").starts_with("HTTP/1.1 200"));
    assert!(gateway.admin_status("/api/v1/providers").contains("\"ringway\""));
    gateway.signal(libc::SIGTERM);
    assert_eq!(gateway.wait().code(), Some(0));
    let mut log = String::new();
    gateway.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 1, "{log}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!((&line["status"], &line["asked"]), (&200.into(), &"ringway/echo".into()));
    assert!(!log.contains("good morning"), "bodies are never in the log");
}

#[test]
fn a_chosen_data_directory_is_made_and_one_that_cannot_be_is_an_error() {
    let folder = std::env::temp_dir().join(format!("ringway-data-dir-{}", std::process::id()));
    let with_folder = |folder: &std::path::Path| {
        let mut command = ringway();
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(folder);
        command
    };
    for _ in 0..2 {
        let mut gateway = start(with_folder(&folder));
        assert!(folder.join("node-0/shard-0.0").exists());
        assert!(gateway.admin_status("/readyz").starts_with("HTTP/1.1 200"));
        gateway.signal(libc::SIGTERM);
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(!folder.join("node-1").exists(), "the directory of the process before is free again");
    }
    let refused = with_folder(&folder.join("node-0/checkpoint")).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("--data-dir") && told.contains("node-0/checkpoint"), "{told}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_second_signal_does_not_wait_for_live_requests() {
    let mut command = ringway();
    command.args(["--listen", "127.0.0.1:0", "--drain", "300s"]);
    let mut gateway = start(command);
    // A request that is never finished: the drain would wait for it.
    let mut stream = TcpStream::connect(gateway.data).unwrap();
    stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{").unwrap();
    gateway.signal(libc::SIGTERM);
    let until = Instant::now() + WAIT;
    while !gateway.admin_status("/readyz").starts_with("HTTP/1.1 503") {
        assert!(Instant::now() < until, "readiness stays true");
    }
    gateway.signal(libc::SIGINT);
    assert_eq!(gateway.wait().code(), Some(130));
}

#[test]
fn a_socket_of_the_service_manager_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let expected = listener.local_addr().unwrap();
    let fd = listener.as_raw_fd();
    let mut command = Command::new("/bin/sh");
    // The variable must hold the id of the process that `exec` turns into the gateway.
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ringway")]);
    command.args(["--admin", "127.0.0.1:0", "--threads", "1"]).env_clear().current_dir(std::env::temp_dir());
    // SAFETY: between fork and exec only `dup2` runs, which is async-signal-safe and takes numbers alone.
    unsafe {
        command.pre_exec(move || match libc::dup2(fd, 3) {
            -1 => Err(std::io::Error::last_os_error()),
            // The same number is not duplicated and keeps its close-on-exec mark.
            _ if fd == 3 && libc::fcntl(3, libc::F_SETFD, 0) == -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let gateway = start(command);
    assert_eq!(gateway.data, expected);
    drop(listener);
    assert!(chat(expected).contains("good morning"));
}

#[test]
fn a_hang_up_reloads_the_file() {
    let path = std::env::temp_dir().join(format!("ringway-hup-{}.yaml", std::process::id()));
    std::fs::write(&path, "listen: 127.0.0.1:0\n").unwrap();
    let mut command = ringway();
    command.arg("--config").arg(&path);
    let gateway = start(command);
    assert!(!gateway.admin_status("/api/v1/providers").contains("acme"));
    std::fs::write(&path, "listen: 127.0.0.1:0\nproviders: {acme: {like: openai, base_url: \"http://127.0.0.1:9/v1\", keys: [a-key]}}\n")
        .unwrap();
    gateway.signal(libc::SIGHUP);
    let until = Instant::now() + WAIT;
    while !gateway.admin_status("/api/v1/providers").contains("acme") {
        assert!(Instant::now() < until, "no reload");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::remove_file(&path).unwrap();
}
