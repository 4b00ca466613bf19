//! TLS configurations: the upstreams' clients, shared by all shards, and the listener's server.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use ringway_policy::snapshot::TlsMaterial;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Sessions kept for resumption, per configuration and shared by all shards.
const SESSIONS_MAX: usize = 1024;
/// Configurations kept; beyond it the cache starts anew (a reload that brings new material every time).
const CONFIGS_MAX: usize = 64;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// Touched when a shard connects anew, never per request; held for a look-up or one build.
static CLIENTS: LazyLock<Mutex<HashMap<TlsMaterial, Arc<ClientConfig>>>> = LazyLock::new(Mutex::default);

/// A server's certificate chain and key, PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate_pem: Vec<u8>,
    pub key_pem: Vec<u8>,
}

/// The configuration for upstreams with this material: public roots, own authorities, client certificate. Made once per
/// process and material, so that all shards share its session cache. The control plane may call it ahead of traffic.
///
/// # Errors
/// `InvalidData` for PEM that cannot be used.
pub fn client_config(material: &TlsMaterial) -> io::Result<Arc<ClientConfig>> {
    let mut configs = CLIENTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(config) = configs.get(material) {
        return Ok(config.clone());
    }
    let config = Arc::new(build_client(material)?);
    if configs.len() >= CONFIGS_MAX {
        configs.clear();
    }
    configs.insert(material.clone(), config.clone());
    Ok(config)
}

fn build_client(material: &TlsMaterial) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = &material.ca_pem {
        for certificate in certificates(pem)? {
            roots.add(certificate).map_err(invalid)?;
        }
    }
    let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_root_certificates(roots);
    let mut config = match (&material.client_cert_pem, &material.client_key_pem) {
        (Some(certificate), Some(key)) => builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(invalid)?,
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
    Ok(config)
}

/// The listener's configuration. A reload builds a new one and stores it into `Setup::tls`.
///
/// # Errors
/// `InvalidData` for PEM that cannot be used, and for a key that does not belong to the certificate.
pub fn server_config(identity: &Identity) -> io::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_no_client_auth()
        .with_single_cert(certificates(&identity.certificate_pem)?, private_key(&identity.key_pem)?)
        .map_err(invalid)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(invalid)?;
    // One ticket is enough for a client that comes back, and saves a record per handshake.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let list = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    if list.is_empty() { Err(invalid("no CERTIFICATE block in the PEM text")) } else { Ok(list) }
}

fn private_key(pem: &[u8]) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
