//! Several gateways on one store: a real Postgres, and one SQLite file with a hundred thousand keys beside it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_control::health::{Health, Part};
use ringway_control::objects::{Author, Intent, Kind, Objects, Refused, Stored};
use ringway_control::publish::Publisher;
use ringway_control::reload::{Reloader, Source};
use ringway_control::seal::MasterPlace;
use ringway_control::store::{Database, Error, Statement};
use ringway_policy::lease::Now;
use serde_json::json;
use tokio::time::{sleep, timeout};

/// A change on one gateway is served by the others within this.
const SEEN_WITHIN: Duration = Duration::from_secs(1);
const FILE: &str = "providers: {openai: {keys: [sk-of-the-file-000000], base_url: \"http://127.0.0.1:9100/v1\"}}\n";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("ringway-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server of its own, under a user that may run one.
struct Postgres {
    folder: Folder,
    process: Option<Child>,
    port: u16,
}

impl Postgres {
    fn start(name: &str) -> Postgres {
        let folder = Folder::new(name);
        assert!(given_away(&folder.0), "the user postgres");
        let mut made = unprivileged("initdb");
        made.args(["--auth=trust", "--username=ringway", "--no-sync", "-D"]).arg(folder.0.join("data")).stdout(Stdio::null());
        assert!(made.status().expect("initdb is installed: tests/run does it").success());
        let mut postgres = Postgres { folder, process: None, port: free_port() };
        postgres.run();
        postgres
    }

    fn run(&mut self) {
        let mut command = unprivileged("postgres");
        command.arg("-D").arg(self.folder.0.join("data")).args(["-p", &self.port.to_string(), "-c", "fsync=off", "-k", ""]);
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres starts"));
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < until, "postgres does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // SAFETY: a signal to our own child, which is not reaped yet; SIGINT is postgres' fast shutdown.
        unsafe { libc::kill(process.id() as i32, libc::SIGINT) };
        let _ = process.wait();
    }

    fn url(&self) -> String {
        format!("postgres://ringway@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who is not root owns what it makes.
fn given_away(folder: &Path) -> bool {
    // SAFETY: it reads a number of the process.
    let is_root = unsafe { libc::geteuid() } == 0;
    !is_root || Command::new("chown").arg("postgres").arg(folder).status().is_ok_and(|status| status.success())
}

/// Postgres refuses to run as root.
fn unprivileged(program: &str) -> Command {
    // SAFETY: it reads a number of the process.
    match unsafe { libc::geteuid() } {
        0 => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]).arg(binary(program));
            command
        }
        _ => Command::new(binary(program)),
    }
}

/// Debian keeps the server's programs out of the path.
fn binary(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(program)).find(|path| path.exists());
    found.unwrap_or_else(|| program.into())
}

/// Not one of the ports that outgoing connections get.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 20_000) as u16;
    let mut ports = (0..2_000).map(|_| 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

struct Gateway {
    objects: Arc<Objects>,
    publisher: Publisher,
    health: Arc<Health>,
    following: tokio::task::JoinHandle<()>,
}

impl Gateway {
    async fn start(folder: &Path, text: &str, database: Database) -> Gateway {
        let file = folder.join("ringway.yaml");
        std::fs::write(&file, text).expect("a file");
        let stored = Stored::new(MasterPlace::Given("5c".repeat(32)));
        stored.load(&database).await.expect("the store can be read");
        let source = Source::file(file).with_stored(stored);
        let config = source.load().expect("the configuration is sound");
        let publisher = Publisher::new(source.compile(&config, None).expect("it compiles"));
        let health = Arc::new(Health::default());
        let reloader = Reloader {
            publisher: publisher.clone(),
            source,
            tokens: Default::default(),
            names: Default::default(),
            health: health.clone(),
            certificates: None,
            admin_certificates: None,
            served: Arc::new(ArcSwap::from_pointee(config)),
            demand: Box::new(|_| Ok(())),
            shard_count: 2,
            clock: || Now { mono_ns: 0, unix_ms: 0 },
            store: None,
            changing: Default::default(),
        };
        let objects = Arc::new(Objects::new(Arc::new(reloader), database));
        Gateway { following: tokio::spawn(objects.clone().follow()), objects, publisher, health }
    }

    async fn put(&self, kind: Kind, name: &str, body: serde_json::Value) -> Result<ringway_control::objects::Change, Refused> {
        let author = Author { name: "ann".to_owned(), role: "admin".to_owned(), address: "127.0.0.1".to_owned() };
        self.objects.put(&author, kind, name, body, None, Intent::Apply).await
    }

    fn knows(&self, key: &str) -> bool {
        self.publisher.current().keys.find(key, None, 0).is_ok()
    }

    async fn comes_to_know(&self, key: &str) -> Duration {
        let started = Instant::now();
        let wait = async {
            while !self.knows(key) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(10), wait).await.expect("the other gateway's key");
        started.elapsed()
    }

    fn store_trouble(&self) -> Option<String> {
        self.health.reasons().into_iter().find(|(part, _)| *part == Part::Store).map(|(_, reason)| reason)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_on_one_gateway_works_on_the_other_and_postgres_may_stop() {
    let mut postgres = Postgres::start("postgres");
    let folders = [Folder::new("pg-one"), Folder::new("pg-two")];
    let open = || Database::postgres(&postgres.url()).expect("a URL");
    let (one_database, other_database) = (open(), open());
    let until = Instant::now() + Duration::from_secs(20);
    while one_database.query("SELECT 1", vec![]).await.is_err() {
        assert!(Instant::now() < until, "postgres does not answer");
        sleep(Duration::from_millis(50)).await;
    }
    let one = Gateway::start(&folders[0].0, FILE, one_database).await;
    let other = Gateway::start(&folders[1].0, FILE, other_database).await;

    let key = one.put(Kind::VirtualKey, "mobile", json!({})).await.expect("a key").secret.expect("its secret");
    assert!(one.knows(&key));
    let taken = other.comes_to_know(&key).await;
    println!("seen by the other gateway after {} ms", taken.as_millis());
    assert!(taken < SEEN_WITHIN, "{taken:?}");
    // A secret that one sealed is one that the other can use.
    let mine = json!({"like": "openai", "base_url": "http://127.0.0.1:1/v1", "keys": ["sk-canary-0123456789abcdef"]});
    other.put(Kind::Provider, "mine", mine).await.expect("a provider");
    let back = other.put(Kind::VirtualKey, "back", json!({"credentials": {"mine": "sk-canary-of-a-key-000"}})).await;
    one.comes_to_know(&back.expect("a key").secret.expect("its secret")).await;
    assert!(one.publisher.current().provider_index("mine").is_some());
    // Both change at once: every change is there, none twice.
    let both = futures_of(&one, &other).await;
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    assert_eq!(one.objects.revisions(None, 100).await.expect("revisions").len(), 3 + both.len());

    postgres.stop();
    let refused = one.put(Kind::Team, "web", json!({})).await.expect_err("the store is down");
    assert!(matches!(refused, Refused::Unavailable(_)), "{refused:?}");
    assert!(one.knows(&key) && other.knows(&key), "traffic goes on");
    let until = Instant::now() + Duration::from_secs(10);
    while one.store_trouble().is_none() {
        assert!(Instant::now() < until, "it is told");
        sleep(Duration::from_millis(20)).await;
    }
    let unknown = one.publisher.current().keys.find("rw-surely-not-a-key-of-ours", None, 0).expect_err("nobody knows it");
    assert_eq!(unknown.status(), 503, "somebody may have made it");
    postgres.run();
    let until = Instant::now() + Duration::from_secs(20);
    while one.store_trouble().is_some() || other.store_trouble().is_some() {
        assert!(Instant::now() < until, "{:?}", one.store_trouble());
        sleep(Duration::from_millis(20)).await;
    }
    let after = one.put(Kind::VirtualKey, "after", json!({})).await.expect("a key").secret.expect("its secret");
    assert!(other.comes_to_know(&after).await < SEEN_WITHIN);

    let unknown = one.publisher.current().keys.find("rw-surely-not-a-key-of-ours", None, 0).expect_err("nobody knows it");
    assert_eq!(unknown.status(), 401);

    // A newer gateway migrated: this one says so and leaves everything alone.
    let database = Database::postgres(&postgres.url()).expect("a URL");
    database.apply(vec![Statement::new("UPDATE ringway_schema SET version = 9999", vec![])]).await.expect("it is ours");
    let old = Database::postgres(&postgres.url()).expect("a URL");
    assert!(matches!(old.query("SELECT 1", vec![]).await, Err(Error::NewerSchema { found: 9999, .. })));
}

async fn futures_of(one: &Gateway, other: &Gateway) -> Vec<Result<ringway_control::objects::Change, Refused>> {
    let mut all = Vec::new();
    for round in 0..5 {
        let (mine, theirs) = (format!("one-{round}"), format!("other-{round}"));
        let (a, b) = tokio::join!(one.put(Kind::Team, &mine, json!({})), other.put(Kind::Team, &theirs, json!({})));
        all.extend([a, b]);
    }
    all
}

/// A file system of its own, which is soon full.
struct Tmpfs(Folder);

impl Tmpfs {
    /// `None` where this process may not mount one.
    fn mount(name: &str) -> Option<Tmpfs> {
        let folder = Folder::new(name);
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&folder.0).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Tmpfs(folder))
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.0.0.join("filler");
        let mut file = std::fs::File::create(&path).expect("a filler");
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_changes_and_nothing_else() {
    let Some(disk) = Tmpfs::mount("full-disk") else {
        println!("skipped: no tmpfs can be mounted here");
        return;
    };
    let config = Folder::new("full-disk-config");
    let open = || Database::lazy_sqlite(disk.0.0.join("ringway.db"));
    let gateway = Gateway::start(&config.0, FILE, open()).await;
    let key = gateway.put(Kind::VirtualKey, "mobile", json!({})).await.expect("a key").secret.expect("its secret");
    let filler = disk.fill();
    let large = json!({"tags": (0..16).map(|n| (format!("tag-{n}"), json!("x".repeat(60)))).collect::<serde_json::Map<_, _>>()});
    let mut refused = None;
    // What is left of the last page may take a few more.
    for n in 0..200 {
        match gateway.put(Kind::VirtualKey, &format!("more-{n}"), large.clone()).await {
            Ok(_) => {}
            Err(reason) => {
                refused = Some(reason);
                break;
            }
        }
    }
    let refused = refused.expect("the disk is full");
    assert!(matches!(refused, Refused::Unavailable(_)), "{refused:?}");
    assert!(gateway.knows(&key), "traffic goes on");
    let count = gateway.objects.store_count();
    std::fs::remove_file(filler).expect("the filler goes");
    gateway.put(Kind::Team, "web", json!({})).await.expect("there is room again");
    let again = Gateway::start(&config.0, FILE, open()).await;
    assert!(again.knows(&key));
    assert_eq!(again.objects.store_count(), count + 1, "a restart shows exactly what was there");
}

/// One object of each kind changes beside 100,000 keys of the file. The bar is for a release build; this one prints what it took
/// and holds a debug build to what no machine needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_change_beside_a_hundred_thousand_keys_is_published_at_once() {
    const KEYS: usize = 100_000;
    let folder = Folder::new("scale");
    let mut text = format!("{FILE}teams:\n");
    (0..100).for_each(|n| text.push_str(&format!("  team-{n}: {{budgets: [{{usd: \"2000\", per: 1mo}}]}}\n")));
    text.push_str("virtual_keys:\n");
    for n in 0..KEYS {
        text.push_str(&format!(
            "  user-{n}:\n    key_sha256: {n:064x}\n    team: team-{}\n    models: [\"openai/*\"]\n    limits: [{{requests: 60, per: 1m}}]\n",
            n % 100
        ));
    }
    let gateway = Gateway::start(&folder.0, &text, Database::lazy_sqlite(folder.0.join("ringway.db"))).await;
    // The database is made by the first change.
    gateway.put(Kind::VirtualKey, "first", json!({"team": "team-1"})).await.expect("a key");
    let mut took: Vec<(&str, Duration)> = Vec::new();
    let mut keys = Vec::new();
    for round in 0..5 {
        let started = Instant::now();
        let change = gateway.put(Kind::VirtualKey, &format!("new-{round}"), json!({"team": "team-7"})).await.expect("a key");
        took.push(("key", started.elapsed()));
        keys.push(change.secret.expect("its secret"));
    }
    assert!(keys.iter().all(|key| gateway.knows(key)));
    for (what, kind, name, body) in [
        ("route", Kind::Route, "chat", json!({"targets": ["openai/gpt-4.1"]})),
        ("alias", Kind::Alias, "fast", json!("openai/gpt-4.1-mini")),
        ("team", Kind::Team, "web", json!({"budgets": [{"usd": "5", "per": "1d"}]})),
        ("provider", Kind::Provider, "mine", json!({"like": "openai", "base_url": "http://127.0.0.1:1/v1"})),
    ] {
        let started = Instant::now();
        gateway.put(kind, name, body).await.expect(what);
        took.push((what, started.elapsed()));
    }
    assert_eq!(gateway.publisher.current().keys.len(), KEYS + 6);
    for (what, took) in &took {
        println!("{what}: {:.1} ms", took.as_secs_f64() * 1e3);
        assert!(*took < Duration::from_secs(10), "{what} took {took:?}");
    }
    let slowest_key = took.iter().filter(|(what, _)| *what == "key").map(|(_, took)| *took).max().expect("keys");
    assert!(slowest_key < Duration::from_millis(500), "{slowest_key:?}");
}
