//! The data listener's certificate: read from PEM files, swapped without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Most certificates in one chain file.
const CHAIN_MAX: usize = 16;

/// The files and what was last read from them. Clones share one.
#[derive(Clone, Debug)]
pub struct Certificates {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl Certificates {
    /// Reads both files for the first time.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn open(cert: &Path, key: &Path) -> Result<Certificates, String> {
        let first = server_config(cert, key)?;
        Ok(Certificates { cert: cert.to_owned(), key: key.to_owned(), current: Arc::new(ArcSwap::from_pointee(first)) })
    }

    /// What the data plane takes for each new connection.
    pub fn shared(&self) -> Arc<ArcSwap<ServerConfig>> {
        self.current.clone()
    }

    pub fn files(&self) -> [PathBuf; 2] {
        [self.cert.clone(), self.key.clone()]
    }

    /// Reads both files again. A bad pair never replaces a good one; open connections keep theirs.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn reload(&self) -> Result<(), String> {
        self.current.store(Arc::new(server_config(&self.cert, &self.key)?));
        Ok(())
    }
}

fn server_config(cert: &Path, key: &Path) -> Result<ServerConfig, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(|certs| certs.take(CHAIN_MAX).collect::<Result<Vec<_>, _>>())
        .map_err(|error| told(cert, &error))?;
    if chain.is_empty() {
        return Err(told(cert, &"no certificate is in it; write the chain as PEM, the server's own first"));
    }
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, &error))?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key_der).map_err(|error| told(key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| told(key, &error))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let error = Certificates::open(Path::new("/nonexistent/cert.pem"), Path::new("/nonexistent/key.pem")).unwrap_err();
        assert!(error.starts_with("/nonexistent/cert.pem: "), "{error}");
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let path = std::env::temp_dir().join(format!("ringway-cert-{}", std::process::id()));
        std::fs::write(&path, "nothing\n").unwrap();
        let error = Certificates::open(&path, &path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("no certificate is in it"), "{error}");
    }
}
