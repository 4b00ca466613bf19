use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;
use crate::tls::{Identity, server_config};

fn setup(threads: usize, driver: Driver) -> Setup {
    let config = ringway_policy::config::parse("{}", &|_| None).unwrap();
    let snapshot = Snapshot::compile(&config, ringway_adapters::provider::builtins(), None, 1).unwrap();
    Setup {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        inherited: Vec::new(),
        threads,
        pin: Pin::None,
        driver,
        ring_entries: 256,
        busy_poll_us: 0,
        tuning: Arc::default(),
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        outboxes: (0..threads).map(|_| Arc::new(Outbox::new(8))).collect(),
        counters: (0..threads).map(|_| Arc::default()).collect(),
        tls: None,
        trusted: Arc::default(),
        proxy_protocol: false,
        spend: Vec::new(),
        purge: || {},
        ask: || {},
        tracing: None,
        audit: None,
    }
}

fn drivers() -> Vec<Driver> {
    match kernel::choose(Driver::Uring, 256) {
        Ok(_) => vec![Driver::Uring, Driver::Epoll],
        Err(_) => vec![Driver::Epoll],
    }
}

fn address(engine: &Engine) -> SocketAddr {
    let ListenAddress::Tcp(address) = engine.addresses()[0] else { panic!("the first address is TCP") };
    address
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn ask(stream: &mut (impl Read + Write)) -> String {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

#[test]
fn eight_connections_on_two_shards_land_four_and_four() {
    for driver in drivers() {
        let setup = setup(2, driver);
        let counters = setup.counters.clone();
        let engine = start(setup).unwrap();
        let mut clients: Vec<_> = (0..8).map(|_| TcpStream::connect(address(&engine)).unwrap()).collect();
        let load = |index: usize| counters[index].connections.load(Ordering::Relaxed);
        wait_until("eight are counted", || load(0) + load(1) == 8);
        assert_eq!((load(0), load(1)), (4, 4), "{driver:?}");
        for client in &mut clients {
            assert_eq!(ask(client), "HTTP/1.1 ");
        }
        drop(clients);
        wait_until("all are gone", || load(0) + load(1) == 0);
        engine.drain(Duration::ZERO);
        engine.join();
    }
}

#[test]
fn a_drain_closes_idle_connections_and_the_listener() {
    for driver in drivers() {
        let engine = start(setup(2, driver)).unwrap();
        let at = address(&engine);
        let mut idle: Vec<_> = (0..4).map(|_| TcpStream::connect(at).unwrap()).collect();
        let start = Instant::now();
        engine.drain(Duration::from_secs(60));
        for client in &mut idle {
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest);
        }
        engine.join();
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(TcpStream::connect(at).is_err(), "{driver:?}");
    }
}

#[test]
fn a_unix_socket_and_an_inherited_one_are_served() {
    let path = std::env::temp_dir().join(format!("ringway-engine-test-{}.sock", std::process::id()));
    for driver in drivers() {
        let passed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let passed_address = passed.local_addr().unwrap();
        let mut setup = setup(2, driver);
        setup.listen = vec![ListenAddress::Unix(path.clone())];
        setup.inherited = vec![passed.into()];
        let engine = start(setup).unwrap();
        assert_eq!(engine.addresses(), [ListenAddress::Unix(path.clone()), ListenAddress::Tcp(passed_address)]);
        assert_eq!(ask(&mut UnixStream::connect(&path).unwrap()), "HTTP/1.1 ");
        assert_eq!(ask(&mut TcpStream::connect(passed_address).unwrap()), "HTTP/1.1 ");
        engine.drain(Duration::ZERO);
        engine.join();
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn tls_is_served_and_a_new_certificate_is_taken_without_a_restart() {
    for driver in drivers() {
        let identity = || {
            let made = rcgen::generate_simple_self_signed(vec!["gateway.test".to_owned()]).unwrap();
            let key_pem = made.signing_key.serialize_pem().into_bytes();
            (made.cert.der().clone(), Identity { certificate_pem: made.cert.pem().into_bytes(), key_pem })
        };
        let (first, first_identity) = identity();
        let tls = Arc::new(ArcSwap::from(server_config(&first_identity).unwrap()));
        let mut setup = setup(1, driver);
        setup.tls = Some(tls.clone());
        let engine = start(setup).unwrap();
        let call = |certificate: &rustls::pki_types::CertificateDer<'static>| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate.clone()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let config = config.with_root_certificates(roots).with_no_client_auth();
            let mut session = rustls::ClientConnection::new(Arc::new(config), "gateway.test".try_into().unwrap()).unwrap();
            let mut socket = TcpStream::connect(address(&engine)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut answer = [0; 9];
            stream.read_exact(&mut answer)?;
            io::Result::Ok(answer)
        };
        assert_eq!(&call(&first).unwrap(), b"HTTP/1.1 ");
        let (second, second_identity) = identity();
        tls.store(server_config(&second_identity).unwrap());
        assert!(call(&first).is_err());
        assert_eq!(&call(&second).unwrap(), b"HTTP/1.1 ");
        engine.drain(Duration::ZERO);
        engine.join();
    }
}

#[test]
fn a_taken_address_is_named_and_addresses_are_read() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut setup = setup(1, Driver::Epoll);
    setup.listen = vec![ListenAddress::Tcp(holder.local_addr().unwrap())];
    let refusal = start(setup).err().unwrap().to_string();
    assert!(refusal.contains("listen on 127.0.0.1:"), "{refusal}");
    assert_eq!("localhost:80".parse(), Ok(ListenAddress::Tcp("127.0.0.1:80".parse().unwrap())));
    assert_eq!("unix:/run/x.sock".parse(), Ok(ListenAddress::Unix("/run/x.sock".into())));
    assert!("unix:x".parse::<ListenAddress>().is_err() && "8080".parse::<ListenAddress>().is_err());
}
