//! The admin listener over TLS: its certificate, a new one, and a peer that never shakes hands.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringway_control::audit::Audit;
use ringway_control::certificates::Certificates;
use ringway_control::store::Database;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Gateway, gateway_serving};

/// A certificate of `localhost` and its key, in two files.
struct Pair {
    folder: PathBuf,
    der: CertificateDer<'static>,
}

impl Pair {
    fn write(folder: &str) -> Pair {
        let folder = std::env::temp_dir().join(format!("ringway-admin-tls-{folder}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Pair { folder, der: made.cert.der().clone() }
    }

    fn open(&self) -> Certificates {
        Certificates::open(&self.folder.join("cert.pem"), &self.folder.join("key.pem")).unwrap()
    }
}

/// The answer to a probe, by a client that trusts this certificate alone.
fn probe(gateway: &Gateway, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(gateway.address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

#[test]
fn the_listener_speaks_tls_and_takes_a_new_certificate() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pair = Pair::write("reload");
    let certificates = pair.open();
    let gateway = gateway_serving(Database::none(), Audit::none(), Some(certificates.shared()));
    // A peer that says nothing holds up nobody.
    let _silent = TcpStream::connect(gateway.address).unwrap();
    assert!(probe(&gateway, &pair.der).unwrap().starts_with("HTTP/1.1 200"));
    let mut plain = TcpStream::connect(gateway.address).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "plain HTTP is not answered");

    let fresh = Pair::write("reload");
    certificates.reload().unwrap();
    assert!(probe(&gateway, &fresh.der).unwrap().starts_with("HTTP/1.1 200"));
    assert!(probe(&gateway, &pair.der).is_err(), "the old certificate is no longer shown");
    std::fs::write(fresh.folder.join("cert.pem"), "nothing").unwrap();
    assert!(certificates.reload().is_err());
    assert!(probe(&gateway, &fresh.der).is_ok(), "a bad file replaces nothing");
    std::fs::remove_dir_all(&fresh.folder).unwrap();
}
