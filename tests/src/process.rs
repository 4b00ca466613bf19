//! Processes under test: each on a free loopback port, ended by its id when the test is over.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a process may take to listen.
const START: Duration = Duration::from_secs(15);

pub struct Process {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let lines = lines_of(child.stdout.take().expect("stdout is piped"));
        let errors = lines_of(child.stderr.take().expect("stderr is piped"));
        Process { child, lines, errors }
    }

    /// Lines on its stderr so far that hold `part`.
    pub fn errors_with(&self, part: &str) -> Vec<String> {
        self.errors.try_iter().filter(|line| line.contains(part)).collect()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: a signal to our own child, which is not reaped before `drop`.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits for the exit; `None` where it does not come.
    pub fn exit(&mut self, within: Duration) -> Option<i32> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads on, so that the process never waits for us.
fn lines_of(source: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

/// The directory of the binaries under test.
fn binary(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let exe = std::env::current_exe().expect("a test has a path");
    exe.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps").join(name)
}

pub fn ringway_binary() -> PathBuf {
    binary("RINGWAY_BIN", "ringway")
}

/// A port that was free a moment ago. Not one of those that the kernel gives to outgoing connections (32768 to 60999): a waiting
/// client could take it before the process under test does, or even connect to itself.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("loopback has no free port from {FIRST} on");
}

fn wait_for(address: SocketAddr) {
    let until = Instant::now() + START;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "nothing listens on {address}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A `loadtest mock` with its request log.
pub struct Mock {
    pub address: SocketAddr,
    _process: Process,
}

impl Mock {
    pub fn start(arguments: &[&str]) -> Mock {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(binary("LOADTEST_BIN", "loadtest"));
        let process = Process::start(command.args(["mock", "--log", "--listen", &address.to_string()]).args(arguments));
        wait_for(address);
        Mock { address, _process: process }
    }

    /// A mock that answers at once.
    pub fn quick() -> Mock {
        Mock::start(&["--gap", "1ms", "--tokens", "16"])
    }

    /// What reached it.
    pub fn log(&self) -> Vec<serde_json::Value> {
        let answer = crate::client::get(self.address, "/_log");
        serde_json::from_slice(&answer.body).expect("the log is JSON")
    }

    /// Waits until `condition` holds for the log.
    pub fn wait_log(&self, within: Duration, condition: impl Fn(&[serde_json::Value]) -> bool) -> Vec<serde_json::Value> {
        let until = Instant::now() + within;
        loop {
            let log = self.log();
            if condition(&log) || Instant::now() > until {
                return log;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A `loadtest replay` of recorded exchanges.
pub struct Replay {
    pub address: SocketAddr,
    _process: Process,
}

impl Replay {
    pub fn start(corpus: &[PathBuf]) -> Replay {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(binary("LOADTEST_BIN", "loadtest"));
        let process = Process::start(command.args(["replay", "--listen", &address.to_string(), "--corpus"]).args(corpus));
        wait_for(address);
        Replay { address, _process: process }
    }

    /// What reached it since the last call.
    pub fn take_log(&self) -> Vec<serde_json::Value> {
        let answer = crate::client::get(self.address, "/_log");
        crate::client::exchange(self.address, b"DELETE /_log HTTP/1.1\r\nhost: test\r\n\r\n");
        serde_json::from_slice(&answer.body).expect("the log is JSON")
    }
}

/// A redis-server of its own, without anything on disk.
pub struct Redis {
    pub address: SocketAddr,
    process: Process,
}

impl Redis {
    pub fn start() -> Redis {
        Redis::listen(SocketAddr::from(([127, 0, 0, 1], free_port())))
    }

    /// On this address, where the one before has ended.
    pub fn listen(address: SocketAddr) -> Redis {
        let mut command = Command::new("redis-server");
        command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = Process::start(&mut command);
        wait_for(address);
        Redis { address, process }
    }

    pub fn signal(&self, signal: i32) {
        self.process.signal(signal);
    }
}

/// A running gateway.
pub struct Ringway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub process: Process,
    pub config: PathBuf,
    /// Its spend, where the test names no directory of its own.
    data: PathBuf,
}

impl Ringway {
    /// With this configuration file, two threads.
    pub fn start(config: &str) -> Ringway {
        Ringway::with(config, &[])
    }

    pub fn with(config: &str, arguments: &[&str]) -> Ringway {
        let driver = std::env::var("RINGWAY_TEST_DRIVER").unwrap_or_else(|_| "auto".into());
        let mut command = Command::new(ringway_binary());
        command.args(["--driver", &driver]).args(arguments);
        Ringway::launch(config, &mut command)
    }

    /// The binary as `command` has it, with the flags of a test.
    pub fn launch(config: &str, command: &mut Command) -> Ringway {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = std::env::temp_dir().join(format!("ringway-e2e-{}-{}.yaml", std::process::id(), address.port()));
        std::fs::write(&file, config).expect("the temporary directory takes a file");
        let data = file.with_extension("data");
        command.env("RINGWAY_DATA_DIR", &data);
        command.args(["--listen", &address.to_string(), "--admin", &admin.to_string(), "--threads", "2"]);
        command.args(["--log-format", "json", "--admin-token", "test-admin-token-0001", "--config"]).arg(&file);
        let process = Process::start(command);
        wait_for(address);
        wait_for(admin);
        Ringway { address, admin, process, config: file, data }
    }

    /// The next record on its log, skipping other lines.
    pub fn record(&self) -> serde_json::Value {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.process.lines.recv_timeout(left).expect("a record within 5 s");
            match serde_json::from_str::<serde_json::Value>(&line) {
                Ok(value) if value.get("attempts").is_some() => return value,
                _ => {}
            }
        }
    }

    /// Records that come within `within`.
    pub fn records(&self, within: Duration) -> Vec<serde_json::Value> {
        let until = Instant::now() + within;
        let mut records = Vec::new();
        while let Ok(line) = self.process.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&line)
                && value.get("attempts").is_some()
            {
                records.push(value);
            }
        }
        records
    }
}

impl Drop for Ringway {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.config);
        let _ = std::fs::remove_dir_all(&self.data);
    }
}
