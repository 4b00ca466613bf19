//! The protocol of a shared store against a real redis-server: what three nodes hold never exceeds the limit.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use ringway_control::cluster::client::{Answer, Kind, Store, Turn};

const HOUR_MS: u64 = 3_600_000;
const TTL: Duration = Duration::from_secs(10);

struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    fn start() -> Redis {
        let port = free_port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: tests/run does it");
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < until, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Redis { process, port }
    }

    async fn node(&self, name: &str, ttl: Duration) -> Store {
        Store::connect(&format!("redis://127.0.0.1:{}", self.port), "test:", name, ttl).await.expect("connects")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not one of the ports that outgoing connections get, and another one for each test of this process.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 20_000) as u16;
    let mut ports = (0..2_000).map(|_| 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

fn turn(kind: Kind, limit: u64) -> Turn {
    Turn { account: "a".into(), kind, limit, spent: 0, heard: 0, held: 0, need: 0, want: 0, spare: 0 }
}

async fn take(store: &mut Store, turn: Turn) -> Answer {
    store.take(&[turn]).await.expect("an answer")[0]
}

const WINDOW: Kind = Kind::Window { per_ms: HOUR_MS, calendar_start_ms: 0 };

#[tokio::test]
async fn what_three_nodes_hold_never_exceeds_the_limit() {
    let redis = Redis::start();
    for (case, kind) in [WINDOW, Kind::Concurrent, Kind::Rate { per_ms: 1_000_000 * HOUR_MS }].into_iter().enumerate() {
        let limit = 1_000;
        let mut nodes = Vec::new();
        for name in ["n1", "n2", "n3"] {
            nodes.push((redis.node(name, TTL).await, 0_u64, 0_u64));
        }
        let (mut spent_in_all, mut seed) = (0, 7 + case as u64);
        let mut random = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % bound.max(1)
        };
        for round in 0..600 {
            let index = random(3) as usize;
            let held = nodes[index].1;
            let spent = if kind == Kind::Concurrent { 0 } else { random(held + 1).min(5) };
            let returned = random(held - spent + 1);
            let (need, spare) = (random(60), random(200));
            let want = if need > 0 { need + random(100) } else { 0 };
            let (heard, spent_ever) = (nodes[index].2, nodes[index].2 + spent);
            let held_now = held - spent - returned;
            let told =
                Turn { account: format!("case{case}"), spent: spent_ever, heard, held: held_now, need, want, spare, ..turn(kind, limit) };
            // Told twice, as after an answer that was lost: what the first one granted is given back by the second.
            if random(4) == 0 {
                take(&mut nodes[index].0, told.clone()).await;
            }
            nodes[index].2 = spent_ever;
            let answer = take(&mut nodes[index].0, told).await;
            assert!(answer.granted == 0 || need == 0 || answer.granted >= need || answer.granted <= spare, "{answer:?}");
            nodes[index].1 = held - spent - returned + answer.granted;
            spent_in_all += spent;
            let leased: u64 = nodes.iter().map(|(_, held, _)| held).sum();
            assert_eq!(answer.leased, leased, "round {round} of {kind:?}");
            assert!(spent_in_all + leased <= limit, "round {round} of {kind:?}: {spent_in_all} + {leased}");
            let free = limit - spent_in_all - leased;
            assert!(
                answer.granted >= need || need > free + answer.granted,
                "room for {need} in {free} was refused, round {round} of {kind:?}"
            );
        }
        assert!(kind == Kind::Concurrent || spent_in_all > limit / 2, "{spent_in_all}");
    }
}

#[tokio::test]
async fn a_silent_node_is_charged_in_full_and_refunded_when_it_is_back() {
    let redis = Redis::start();
    let (mut gone, mut other) = (redis.node("gone", Duration::from_millis(50)).await, redis.node("other", TTL).await);
    assert_eq!(take(&mut gone, Turn { need: 400, want: 400, ..turn(WINDOW, 1_000) }).await.granted, 400);
    tokio::time::sleep(Duration::from_millis(80)).await;
    let refused = take(&mut other, Turn { need: 700, want: 700, ..turn(WINDOW, 1_000) }).await;
    assert_eq!((refused.granted, refused.settled), (0, 400), "charged: nobody knows what it did with it");
    assert!(refused.wait.is_some_and(|wait| wait <= Duration::from_millis(HOUR_MS)), "{refused:?}");
    let back = take(&mut gone, Turn { spent: 150, held: 0, ..turn(WINDOW, 1_000) }).await;
    assert_eq!((back.settled, back.leased), (150, 0));
    assert_eq!(take(&mut other, Turn { need: 700, want: 700, ..turn(WINDOW, 1_000) }).await.granted, 700);
}

#[tokio::test]
async fn slots_of_a_silent_node_flow_back() {
    let redis = Redis::start();
    let (mut gone, mut other) = (redis.node("gone", Duration::from_millis(50)).await, redis.node("other", TTL).await);
    assert_eq!(take(&mut gone, Turn { need: 10, want: 10, ..turn(Kind::Concurrent, 10) }).await.granted, 10);
    assert_eq!(take(&mut other, Turn { need: 1, want: 1, ..turn(Kind::Concurrent, 10) }).await.granted, 0);
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(take(&mut other, Turn { need: 10, want: 10, ..turn(Kind::Concurrent, 10) }).await.granted, 10);
}

#[tokio::test]
async fn a_rate_refills_and_says_when() {
    let redis = Redis::start();
    let mut node = redis.node("n", TTL).await;
    let rate = Kind::Rate { per_ms: 1_000 };
    assert_eq!(take(&mut node, Turn { need: 10, want: 10, ..turn(rate, 10) }).await.granted, 10);
    let short = take(&mut node, Turn { spent: 10, need: 2, want: 2, ..turn(rate, 10) }).await;
    let wait = short.wait.expect("a rate knows when");
    assert!(short.granted == 0 && wait > Duration::from_millis(120) && wait <= Duration::from_millis(200), "{short:?}");
    tokio::time::sleep(wait).await;
    assert_eq!(take(&mut node, Turn { spent: 10, need: 2, want: 2, ..turn(rate, 10) }).await.granted, 2);
}

#[tokio::test]
async fn a_store_that_forgot_the_script_is_told_again() {
    let redis = Redis::start();
    let mut node = redis.node("n", TTL).await;
    let flushed = Command::new("redis-cli").args(["-p", &redis.port.to_string(), "script", "flush"]).stdout(Stdio::null()).status();
    assert!(flushed.expect("redis-cli comes with redis-server").success());
    assert_eq!(take(&mut node, Turn { need: 1, want: 1, ..turn(WINDOW, 10) }).await.granted, 1);
}
