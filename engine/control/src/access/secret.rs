//! Secrets that Ringway draws: 256 random bits each, of which only the SHA-256 is kept.

use aws_lc_rs::rand;
use sha2::{Digest, Sha256};

const SECRET_BYTES: usize = 32;

/// 64 hex digits.
///
/// # Errors
/// Where the system has no random bytes.
pub(super) fn draw() -> Result<String, String> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes).map_err(|_| "the system has no random bytes".to_owned())?;
    Ok(hex(&bytes))
}

/// What is kept of a secret. It needs no salt: nobody guesses 256 bits.
pub(super) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_differ_and_their_hashes_do_not_show_them() {
        let (one, two) = (draw().unwrap(), draw().unwrap());
        assert!(one != two && one.len() == 64);
        assert!(hash(&one) != one && hash(&one) == hash(&one) && hash(&one) != hash(&two));
    }
}
