use std::io::IoSlice;

use super::*;
use crate::rt::sim::{self, Faults, pair};

#[test]
fn a_proxy_header_is_read_to_its_last_byte_and_no_further() {
    let binary = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &[192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80]].concat();
    for header in [b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(), binary] {
        for seed in 0..32 {
            let header = header.clone();
            sim::run(seed, |rt| async move {
                rt.inject(Faults::ROUGH);
                let (near, far) = pair(&rt);
                let bytes = [&header[..], b"GET"].concat();
                rt.clone().spawn(async move {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let count = far.try_write(&[IoSlice::new(&rest[..rest.len().min(9)])]).unwrap();
                        rest = &rest[count..];
                        rt.sleep(Duration::from_millis(1)).await;
                    }
                    let _ = far.readable().await;
                });
                assert_eq!(proxy_header(&near).await.unwrap(), Some("192.0.2.1:4711".parse().unwrap()));
                let mut rest = Vec::new();
                while rest.len() < 3 {
                    let (_, piece) = near.read(Vec::with_capacity(8)).await;
                    rest.extend(piece);
                }
                assert_eq!(rest, b"GET");
            });
        }
    }
}

#[test]
fn a_connection_without_its_header_is_refused() {
    sim::run(1, |rt| async move {
        let (near, far) = pair(&rt);
        far.try_write(&[IoSlice::new(b"GET / HTTP/1.1\r\n")]).unwrap();
        assert_eq!(proxy_header(&near).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    });
}

fn crew(loads: &[u64], connections_max: u64) -> Crew {
    let counters: Vec<Arc<ShardCounters>> = loads
        .iter()
        .map(|load| {
            let counters = ShardCounters::default();
            counters.connections.store(*load, Ordering::Relaxed);
            Arc::new(counters)
        })
        .collect();
    Crew {
        arrivals: loads.iter().map(|_| ArrayQueue::new(1)).collect(),
        wakes: Vec::new(),
        counters,
        connections_max,
        tls: None,
        proxy_protocol: ProxyProtocol::Off,
    }
}

#[test]
fn a_place_is_taken_at_the_least_loaded_shard_and_here_where_loads_are_equal() {
    assert_eq!(reserve(&crew(&[3, 3], 9), 1), Some(1));
    assert_eq!(reserve(&crew(&[4, 3, 2], 9), 0), Some(2));
    assert_eq!(reserve(&crew(&[9, 9], 9), 0), None);
}

#[test]
fn places_taken_by_many_threads_at_once_stay_even() {
    let crew = Arc::new(crew(&[0, 0], 1000));
    let threads: Vec<_> = (0..4)
        .map(|index| {
            let crew = crew.clone();
            std::thread::spawn(move || (0..100).for_each(|_| assert!(reserve(&crew, index % 2).is_some())))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let loads: Vec<u64> = crew.counters.iter().map(|counters| counters.connections.load(Ordering::Relaxed)).collect();
    assert_eq!(loads.iter().sum::<u64>(), 400);
    assert!(loads[0].abs_diff(loads[1]) <= 2 * PLACE_ROUNDS_MAX as u64, "{loads:?}");
}
