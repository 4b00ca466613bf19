//! A random secret: an admin token, a virtual key.

use std::io::Read;

/// Random bytes in one: 128 bits.
const TOKEN_BYTES: usize = 16;

/// `rw-` and 32 hex digits.
///
/// # Errors
/// Where the system has no random bytes.
pub fn fresh() -> Result<String, String> {
    let mut bytes = [0; TOKEN_BYTES];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.map_err(|error| format!("/dev/urandom: {error}"))?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("rw-{hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tokens_differ_and_have_the_shape_of_keys() {
        let (one, two) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("rw-") && one.len() == 3 + 2 * TOKEN_BYTES);
    }
}
