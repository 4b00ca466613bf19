use std::time::Duration;

use ringway_policy::snapshot::TlsMaterial;
use rustls::ServerConfig;
use std::sync::Arc;

use super::*;
use crate::rt::sim::{self, Faults, Sim, pair};
use crate::wheel::Wheel;

struct Paper {
    identity: Identity,
    material: TlsMaterial,
}

fn paper() -> Paper {
    let made = rcgen::generate_simple_self_signed(vec!["upstream.test".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let identity = Identity { certificate_pem: certificate.clone().into_bytes(), key_pem: made.signing_key.serialize_pem().into_bytes() };
    Paper { identity, material: TlsMaterial { ca_pem: Some(certificate.into_bytes().into()), ..TlsMaterial::default() } }
}

type Ends = (io::Result<Box<TlsStream<sim::SimStream>>>, io::Result<Box<TlsStream<sim::SimStream>>>);

async fn shake(rt: &Sim, wheel: &Wheel<Sim>, server: Arc<ServerConfig>, material: &TlsMaterial, host: &str) -> Ends {
    let (left, right) = pair(rt);
    let deadline_ns = wheel.after(Duration::from_secs(5));
    let accepted = std::rc::Rc::new(std::cell::RefCell::new(None));
    let (slot, wheel_there) = (accepted.clone(), wheel.clone());
    rt.spawn(async move {
        let stream = accept(&wheel_there, right, server, deadline_ns).await;
        *slot.borrow_mut() = Some(stream);
    });
    let client = connect(wheel, left, client_config(material).unwrap(), host, deadline_ns).await;
    while accepted.borrow().is_none() {
        rt.sleep(Duration::from_millis(1)).await;
    }
    let server = accepted.borrow_mut().take().unwrap();
    (client, server)
}

async fn write_all(stream: &impl Io, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.try_write(&[IoSlice::new(bytes)]) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await.unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

async fn read_all(stream: &impl Io) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let (result, buf) = stream.read(Vec::with_capacity(5000)).await;
        if result? == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&buf);
    }
}

#[test]
fn bytes_cross_tls_whole_on_a_rough_wire_and_the_end_is_clean() {
    let paper = paper();
    let server = server_config(&paper.identity).unwrap();
    for seed in 0..8 {
        let (server, material) = (server.clone(), paper.material.clone());
        sim::run(seed, |rt| async move {
            rt.inject(Faults::ROUGH);
            let wheel = Wheel::new(rt.clone());
            let (client, server) = shake(&rt, &wheel, server, &material, "upstream.test").await;
            let (client, server) = (client.unwrap(), server.unwrap());
            let sent: Vec<u8> = (0..300_000u32).map(|number| (number / 7) as u8).collect();
            let bytes = sent.clone();
            rt.spawn(async move {
                write_all(&*server, &bytes).await;
                server.shutdown();
                // Held open until the other side is through.
                let _ = read_all(&*server).await;
            });
            assert_eq!(read_all(&*client).await.unwrap(), sent);
            client.shutdown();
        });
    }
}

#[test]
fn an_end_without_close_notify_is_an_error() {
    let paper = paper();
    sim::run(1, |rt| async move {
        let wheel = Wheel::new(rt.clone());
        let server = server_config(&paper.identity).unwrap();
        let (client, server) = shake(&rt, &wheel, server, &paper.material, "upstream.test").await;
        let (client, server) = (client.unwrap(), server.unwrap());
        write_all(&*server, b"half an answ").await;
        drop(server);
        assert_eq!(read_all(&*client).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_leaving_tls_client_is_seen_without_reading() {
    let paper = paper();
    sim::run(1, |rt| async move {
        let wheel = Wheel::new(rt.clone());
        let server = server_config(&paper.identity).unwrap();
        let (client, server) = shake(&rt, &wheel, server, &paper.material, "upstream.test").await;
        let (client, server) = (client.unwrap(), server.unwrap());
        assert!(server.is_idle_and_open() && !server.has_ended());
        client.shutdown();
        server.readable().await.unwrap();
        assert!(server.has_ended() && !server.is_idle_and_open());
    });
}

#[test]
fn a_wrong_name_an_unknown_authority_and_silence_fail_the_handshake() {
    let paper = paper();
    sim::run(1, |rt| async move {
        let wheel = Wheel::new(rt.clone());
        let server = server_config(&paper.identity).unwrap();
        let (client, _) = shake(&rt, &wheel, server.clone(), &paper.material, "other.test").await;
        assert_eq!(client.err().unwrap().kind(), io::ErrorKind::InvalidData);
        let (client, _) = shake(&rt, &wheel, server, &TlsMaterial::default(), "upstream.test").await;
        assert_eq!(client.err().unwrap().kind(), io::ErrorKind::InvalidData);
        let (left, _right) = pair(&rt);
        let config = client_config(&paper.material).unwrap();
        let silent = connect(&wheel, left, config, "upstream.test", wheel.after(Duration::from_secs(2))).await;
        assert_eq!(silent.err().unwrap().kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn one_material_has_one_configuration_and_bad_pem_is_named() {
    let paper = paper();
    assert!(Arc::ptr_eq(&client_config(&paper.material).unwrap(), &client_config(&paper.material).unwrap()));
    let bad = TlsMaterial { ca_pem: Some((*b"nothing").into()), ..TlsMaterial::default() };
    assert!(client_config(&bad).unwrap_err().to_string().contains("CERTIFICATE"));
}
