//! Several gateways on one redis-server: one limit for all, exact at its edge, and a word for the time without the store.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Answer, get, post_with};
use crate::process::{Mock, Redis, Ringway};
use crate::quotas::rounds;

const CHAT: &str = "/v1/chat/completions";
const NODES: usize = 3;

fn config(redis: &Redis, on_partition: &str, keys: &str) -> String {
    format!("state: {{redis: \"redis://{}\", on_partition: {on_partition}}}\nvirtual_keys:\n{keys}", redis.address)
}

fn key(index: usize) -> String {
    format!("test-key-of-cluster-{index}")
}

fn send(ringway: &Ringway, index: usize) -> Answer {
    send_to(ringway.address, index)
}

fn send_to(address: SocketAddr, index: usize) -> Answer {
    let body = json!({"model": "ringway/echo", "messages": [{"role": "user", "content": "hello"}]});
    post_with(address, CHAT, &format!("authorization: Bearer {}\r\n", key(index)), &body)
}

/// Waits until the gateway says that it shares (or no longer does).
fn wait_shared(ringway: &Ringway, shared: bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while get(ringway.admin, "/readyz").text().contains("shared state") == shared {
        assert!(Instant::now() < until, "{}", get(ringway.admin, "/readyz").text());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_thousand_at_three_gateways_get_exactly_what_there_is() {
    const CLIENTS: usize = 20;
    const EACH: usize = 50;
    let rounds = rounds(10);
    let redis = Redis::start();
    let keys: String =
        (0..rounds).map(|index| format!("  k{index}: {{key: {}, limits: [{{requests: 10, per: 1mo}}]}}\n", key(index))).collect();
    let nodes: Vec<Ringway> = (0..NODES).map(|_| Ringway::start(&config(&redis, "refuse", &keys))).collect();
    for round in 0..rounds {
        let (admitted, refused, start) = (AtomicUsize::new(0), AtomicUsize::new(0), Barrier::new(CLIENTS));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
                let (admitted, refused, start) = (&admitted, &refused, &start);
                scope.spawn(move || {
                    start.wait();
                    for request in 0..EACH {
                        match send_to(addresses[(client + request) % NODES], round).status {
                            200 => admitted.fetch_add(1, Ordering::Relaxed),
                            429 => refused.fetch_add(1, Ordering::Relaxed),
                            status => panic!("{status}"),
                        };
                    }
                });
            }
        });
        assert_eq!((admitted.into_inner(), refused.into_inner()), (10, CLIENTS * EACH - 10), "round {round}");
    }
}

#[test]
fn one_client_at_one_gateway_gets_the_whole_limit() {
    let redis = Redis::start();
    let keys = format!("  k: {{key: {}, limits: [{{requests: 30, per: 1mo}}]}}\n", key(0));
    let nodes: Vec<Ringway> = (0..2).map(|_| Ringway::start(&config(&redis, "refuse", &keys))).collect();
    let admitted = (0..40).filter(|_| send(&nodes[0], 0).status == 200).count();
    assert_eq!(admitted, 30);
    assert_eq!(send(&nodes[1], 0).status, 429);
}

#[test]
fn slots_at_once_are_shared_and_come_back() {
    let redis = Redis::start();
    let keys = format!("  k: {{key: {}, limits: [{{concurrent: 1}}]}}\n", key(0));
    let nodes: Vec<Ringway> = (0..2).map(|_| Ringway::start(&config(&redis, "refuse", &keys))).collect();
    // The slot of one gateway is the other's once it was given back.
    for turn in 0..6 {
        let until = Instant::now() + Duration::from_secs(3);
        while send(&nodes[turn % 2], 0).status != 200 {
            assert!(Instant::now() < until, "turn {turn}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn without_the_store_each_policy_does_as_it_says() {
    for (on_partition, more) in [("refuse", 0), ("local", 8), ("allow", 20)] {
        let redis = Redis::start();
        let keys = format!("  k: {{key: {}, limits: [{{requests: 10, per: 1mo}}]}}\n", key(0));
        let node = Ringway::start(&config(&redis, on_partition, &keys));
        wait_shared(&node, true);
        assert_eq!((send(&node, 0).status, send(&node, 0).status), (200, 200));
        // What was spent is told, and what was lent goes back.
        std::thread::sleep(Duration::from_millis(1_000));
        let address = redis.address;
        drop(redis);
        let admitted = (0..20).filter(|_| send(&node, 0).status == 200).count();
        assert_eq!(admitted, more, "{on_partition}");
        wait_shared(&node, false);
        // The store comes back empty: what was spent meanwhile is told to it, and no more than the limit is left.
        let _redis = Redis::listen(address);
        wait_shared(&node, true);
        std::thread::sleep(Duration::from_millis(500));
        let admitted = (0..20).filter(|_| send(&node, 0).status == 200).count();
        assert!(admitted <= 10 - more.min(10), "{on_partition}: {admitted}");
    }
}

#[test]
fn a_paused_store_refuses_nobody_for_long_and_loses_nothing() {
    let redis = Redis::start();
    let keys = format!("  k: {{key: {}, limits: [{{requests: 10, per: 1mo}}]}}\n", key(0));
    let nodes: Vec<Ringway> = (0..2).map(|_| Ringway::start(&config(&redis, "refuse", &keys))).collect();
    nodes.iter().for_each(|node| wait_shared(node, true));
    assert_eq!(send(&nodes[0], 0).status, 200);
    redis.signal(libc::SIGSTOP);
    let begun = Instant::now();
    let during = (0..3).filter(|_| send(&nodes[0], 0).status == 200).count();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    redis.signal(libc::SIGCONT);
    std::thread::sleep(Duration::from_millis(1_500));
    let after = (0..24).filter(|index| send(&nodes[index % 2], 0).status == 200).count();
    assert_eq!(1 + during + after, 10);
}

#[test]
fn a_killed_gateway_gives_slots_back_by_its_lease() {
    let redis = Redis::start();
    let keys = format!("  k: {{key: {}, limits: [{{requests: 10, per: 1mo}}, {{concurrent: 2}}]}}\n", key(0));
    let (first, second) = (Ringway::start(&config(&redis, "refuse", &keys)), Ringway::start(&config(&redis, "refuse", &keys)));
    assert_eq!(send(&first, 0).status, 200);
    first.process.signal(libc::SIGKILL);
    let until = Instant::now() + Duration::from_secs(20);
    while send(&second, 0).status != 200 {
        assert!(Instant::now() < until, "the lease of the killed one never ran out");
        std::thread::sleep(Duration::from_millis(100));
    }
    let admitted = (0..20).filter(|_| send(&second, 0).status == 200).count();
    assert!((6..=8).contains(&admitted), "{admitted}");
}

#[test]
fn who_waits_for_a_slot_gets_the_one_that_another_gateway_gives_back() {
    let redis = Redis::start();
    let mock = Mock::start(&["--delay", "400ms", "--gap", "0ms", "--tokens", "4"]);
    let providers = format!(
        "queue: {{wait: 10s}}\nproviders: {{a: {{like: openai, base_url: \"http://{}/v1\", keys: [k], limits: [{{concurrent: 1}}]}}}}\n",
        mock.address
    );
    let file = config(&redis, "refuse", &format!("  k: {{key: {}}}\n{providers}", key(0)));
    let nodes: Vec<Ringway> = (0..2).map(|_| Ringway::start(&file)).collect();
    nodes.iter().for_each(|node| wait_shared(node, true));
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
    let body = json!({"model": "a/x", "messages": [{"role": "user", "content": "hello"}]});
    let ask = &|address: SocketAddr| post_with(address, CHAT, &format!("authorization: Bearer {}\r\n", key(0)), &body).status;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..6).map(|index| addresses[index % 2]).map(|address| scope.spawn(move || ask(address))).collect();
        assert!(clients.into_iter().all(|client| client.join().expect("a client") == 200));
    });
    assert_eq!(mock.log().len(), 6);
}
