use std::rc::Rc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_adapters::fault::Kind;
use ringway_policy::record::Outbox;
use ringway_policy::snapshot::{Proxy, Snapshot};

use super::*;
use crate::rt::Address;
use crate::rt::sim::{self, Faults, Sim, SimListener};

fn snapshot() -> Snapshot {
    let text = "providers: {groq: {like: openai, base_url: 'http://api.test', keys: [test-key-of-sixteen]}}";
    let config = ringway_policy::config::parse(text, &|_| None).unwrap();
    Snapshot::compile(&config, ringway_adapters::provider::builtins(), None, 1).unwrap()
}

fn shard(rt: &Sim) -> Rc<Shard<Sim>> {
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot()));
    Shard::new(rt.clone(), 0, Arc::new(Tuning::default()), snapshot, Arc::new(Outbox::new(1)), Arc::default())
}

fn endpoint(addresses: &[&str]) -> Endpoint {
    Endpoint {
        tls: false,
        host: "api.test".into(),
        port: 80,
        authority: "api.test".into(),
        prefix: "".into(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        unix: None,
    }
}

fn upstream(endpoint: Endpoint) -> Upstream {
    let snapshot = snapshot();
    let mut upstream = snapshot.providers.iter().find(|upstream| &*upstream.name == "groq").unwrap().clone();
    (upstream.endpoint, upstream.proxy) = (endpoint, Proxy::Direct);
    upstream
}

fn listen(rt: &Sim, address: &str) -> SimListener {
    rt.listen(Address::Ip(address.parse().unwrap()))
}

#[test]
fn the_last_connection_given_back_is_the_first_one_taken() {
    sim::run(1, |rt| async move {
        let shard = shard(&rt);
        let upstream = upstream(endpoint(&["10.0.0.1:80"]));
        let listener = listen(&rt, "10.0.0.1:80");
        let deadline_ns = shard.wheel.after(Duration::from_secs(2));
        let first = checkout(&shard, &upstream, shard.now_ns(), deadline_ns).await.unwrap();
        let second = checkout(&shard, &upstream, shard.now_ns(), deadline_ns).await.unwrap();
        let (_one, two) = (listener.accept().await, listener.accept().await);
        assert!(!first.reused && !second.reused);
        first.checkin(&shard);
        second.checkin(&shard);
        let again = checkout(&shard, &upstream, shard.now_ns(), deadline_ns).await.unwrap();
        assert!(again.reused);
        again.stream.try_write(&[std::io::IoSlice::new(b"x")]).unwrap();
        assert!(!two.is_idle_and_open(), "the second one was given back last");
        assert_eq!(shard.counters.pool_idle.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert_eq!(shard.counters.upstream_connects.load(std::sync::atomic::Ordering::Relaxed), 2);
    });
}

#[test]
fn a_closed_a_talking_and_an_old_connection_are_not_used_again() {
    sim::run(1, |rt| async move {
        let shard = shard(&rt);
        let upstream = upstream(endpoint(&["10.0.0.1:80"]));
        let listener = listen(&rt, "10.0.0.1:80");
        for trouble in ["closed", "talking", "old", "fine"] {
            let deadline_ns = shard.wheel.after(Duration::from_secs(2));
            let connection = checkout_fresh(&shard, &upstream, deadline_ns).await.unwrap();
            let far = listener.accept().await;
            connection.checkin(&shard);
            match trouble {
                "closed" => far.shutdown(),
                "talking" => assert!(far.try_write(&[std::io::IoSlice::new(b"HTTP/1.1 408")]).is_ok()),
                "old" => shard.wheel.sleep(Duration::from_secs(301)).await,
                _ => {}
            }
            let deadline_ns = shard.wheel.after(Duration::from_secs(2));
            let next = checkout(&shard, &upstream, shard.now_ns(), deadline_ns).await.unwrap();
            assert_eq!(next.reused, trouble == "fine", "{trouble}");
            if !next.reused {
                drop(listener.accept().await);
            }
        }
    });
}

#[test]
fn the_next_address_is_tried_and_faults_name_the_upstream() {
    sim::run(1, |rt| async move {
        let shard = shard(&rt);
        let deadline_ns = shard.wheel.after(Duration::from_secs(2));
        let _listener = listen(&rt, "10.0.0.2:80");
        assert!(checkout(&shard, &upstream(endpoint(&["10.0.0.1:80", "10.0.0.2:80"])), shard.now_ns(), deadline_ns).await.is_ok());
        let refused = checkout(&shard, &upstream(Endpoint { port: 81, ..endpoint(&["10.0.0.1:80"]) }), shard.now_ns(), deadline_ns)
            .await
            .err()
            .unwrap();
        assert_eq!((refused.kind, &*refused.message), (Kind::UpstreamConnect, "upstream groq: connection refused"));
        let unresolved =
            checkout(&shard, &upstream(Endpoint { port: 82, ..endpoint(&[]) }), shard.now_ns(), deadline_ns).await.err().unwrap();
        assert_eq!((unresolved.kind, &*unresolved.message), (Kind::UpstreamConnect, "upstream groq: api.test is not resolved"));
        rt.inject(Faults { connect_emfile_in: 1, ..Faults::NONE });
        let full = checkout(&shard, &upstream(Endpoint { port: 83, ..endpoint(&["10.0.0.2:80"]) }), shard.now_ns(), deadline_ns)
            .await
            .err()
            .unwrap();
        assert_eq!(full.kind, Kind::Overloaded);
    });
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_its_silence_times_out() {
    sim::run(1, |rt| async move {
        let shard = shard(&rt);
        let mut upstream = upstream(endpoint(&[]));
        upstream.proxy = Proxy::Via(Endpoint { host: "proxy.test".into(), port: 3128, ..endpoint(&["10.0.0.9:3128"]) });
        let listener = listen(&rt, "10.0.0.9:3128");
        let silent = checkout(&shard, &upstream, shard.now_ns(), shard.wheel.after(Duration::from_secs(2))).await.err().unwrap();
        assert_eq!(silent.kind, Kind::UpstreamTimeout);
        drop(listener.accept().await);
        for (answer, opens) in [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", false)] {
            let proxy = async {
                let stream = listener.accept().await;
                let (_, buf) = stream.read(Vec::with_capacity(1000)).await;
                assert_eq!(buf, b"CONNECT api.test:80 HTTP/1.1\r\nHost: api.test:80\r\n\r\n");
                stream.try_write(&[std::io::IoSlice::new(answer.as_bytes())]).unwrap();
                std::future::pending::<()>().await;
            };
            let client = checkout_fresh(&shard, &upstream, shard.wheel.after(Duration::from_secs(2)));
            let crate::race::Either::Left(result) = crate::race::race(client, proxy).await else { unreachable!() };
            match result {
                Ok(_) => assert!(opens),
                Err(fault) => assert_eq!((opens, &*fault.message), (false, "upstream groq: the proxy answered 407")),
            }
        }
    });
}

#[test]
fn a_drain_closes_what_idles() {
    sim::run(1, |rt| async move {
        let shard = shard(&rt);
        let upstream = upstream(endpoint(&["10.0.0.1:80"]));
        let listener = listen(&rt, "10.0.0.1:80");
        let connection = checkout(&shard, &upstream, shard.now_ns(), shard.wheel.after(Duration::from_secs(2))).await.unwrap();
        let far = listener.accept().await;
        connection.checkin(&shard);
        assert!(far.is_idle_and_open());
        shard.drain();
        assert!(far.has_ended() && shard.draining());
        shard.drained().await;
    });
}
