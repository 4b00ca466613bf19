//! The signing key: Ed25519, made once, readable by its owner alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::access::secret::hex;

/// The file in the log's folder, where no other is given.
pub(super) const FILE: &str = "key.pk8";
/// Largest key file.
const FILE_BYTES_MAX: u64 = 4096;

pub(super) struct Key {
    pair: Ed25519KeyPair,
    public: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.public).finish()
    }
}

impl Key {
    /// Reads the key; makes it where the file is not there and is ours to make.
    ///
    /// # Errors
    /// Which file, and why.
    pub fn open(folder: &Path, given: Option<&Path>) -> Result<Key, String> {
        let own = folder.join(FILE);
        let path = given.unwrap_or(&own);
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = match std::fs::metadata(path) {
            Ok(found) if found.len() > FILE_BYTES_MAX => return Err(told(&"it is too large for a key")),
            Ok(_) => std::fs::read(path).map_err(|error| told(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && given.is_none() => make(path).map_err(|error| told(&error))?,
            Err(error) => return Err(told(&error)),
        };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes);
        let pair =
            pair.map_err(|_| told(&"it is no Ed25519 key in PKCS#8 (DER); openssl genpkey -algorithm ed25519 -outform DER makes one"))?;
        let public = hex(pair.public_key().as_ref());
        Ok(Key { pair, public })
    }

    pub fn public(&self) -> &str {
        &self.public
    }

    pub fn sign(&self, message: &str) -> String {
        hex(self.pair.sign(message.as_bytes()).as_ref())
    }
}

fn make(path: &Path) -> std::io::Result<Vec<u8>> {
    let document = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8()).map_err(|_| std::io::Error::other("no key can be made"))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(document.as_ref())?;
    file.sync_all()?;
    Ok(document.as_ref().to_vec())
}

/// Did the key `public` sign the message?
pub(super) fn is_signed(public: &str, message: &str, signature: &str) -> bool {
    let (Some(public), Some(signature)) = (bytes(public), bytes(signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, public).verify(message.as_bytes(), &signature).is_ok()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    if text.len().is_multiple_of(2) { digits.collect() } else { None }
}

/// What a seal signs: the rows up to the one before it.
pub(super) fn seal_message(sequence: u64, before: &str) -> String {
    format!("ringway audit seal\n{sequence}\n{before}")
}

/// What the head signs: that the log goes at least so far.
pub(super) fn head_message(sequence: u64, hash: &str) -> String {
    format!("ringway audit head\n{sequence}\n{hash}")
}
