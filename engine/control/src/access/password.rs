//! Passwords: argon2id, and the rules for new ones.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

/// 19 MiB, two passes, one lane (OWASP Password Storage Cheat Sheet, argon2id, read 2026-11-20): about 30 ms of one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Shortest password, in characters.
pub const CHARACTERS_MIN: usize = 12;
/// Longest one, in bytes: hashing a longer one would be work without worth.
pub const BYTES_MAX: usize = 1024;

/// May `password` be the new one of the user `name`?
///
/// # Errors
/// What to choose instead.
pub fn check(name: &str, password: &str) -> Result<(), String> {
    let folded = password.to_lowercase();
    if password.chars().count() < CHARACTERS_MIN {
        return Err(format!("the password is shorter than {CHARACTERS_MIN} characters; a few unrelated words make a good one"));
    }
    if password.len() > BYTES_MAX {
        return Err(format!("the password is longer than {BYTES_MAX} bytes"));
    }
    if folded == name.to_lowercase() {
        return Err("the password is the user's name; choose another".to_owned());
    }
    let first = password.chars().next();
    if password.chars().all(|character| Some(character) == first) {
        return Err("the password is one character over and over; choose another".to_owned());
    }
    Ok(())
}

/// Hashes a password as `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`. Takes tens of milliseconds: never on a thread that serves.
///
/// # Errors
/// Where the system has no random bytes.
pub(super) fn hash(password: &str) -> Result<String, String> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| "the system has no random bytes".to_owned())?;
    let hash = digest(password, &salt, (MEMORY_KIB, PASSES, LANES)).ok_or("the password cannot be hashed")?;
    Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${}", BASE64.encode(salt), BASE64.encode(hash)))
}

/// Is it the password that `stored` was made of? `None` (no such user, or one without a password) takes as long and is a no.
pub(super) fn verify(password: &str, stored: Option<&str>) -> bool {
    let known = stored.and_then(parse);
    let is_known = known.is_some();
    let (parameters, salt, expected) = known.unwrap_or_else(|| ((MEMORY_KIB, PASSES, LANES), vec![0; SALT_BYTES], [0; HASH_BYTES]));
    let hash = digest(password, &salt, parameters);
    let is_equal = hash.is_some_and(|hash| aws_lc_rs::constant_time::verify_slices_are_equal(&hash, &expected).is_ok());
    is_known && is_equal
}

type Parameters = (u32, u32, u32);

fn digest(password: &str, salt: &[u8], (memory, passes, lanes): Parameters) -> Option<[u8; HASH_BYTES]> {
    let mut out = [0; HASH_BYTES];
    let parameters = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok()?;
    let password = password.as_bytes().get(..BYTES_MAX).unwrap_or(password.as_bytes());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters).hash_password_into(password, salt, &mut out).ok()?;
    Some(out)
}

fn parse(stored: &str) -> Option<(Parameters, Vec<u8>, [u8; HASH_BYTES])> {
    let mut parts = stored.strip_prefix("$argon2id$v=19$")?.split('$');
    let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let mut figures = parameters.split(',').map(|part| part.split_once('=').and_then(|(_, figure)| figure.parse::<u32>().ok()));
    let parameters = (figures.next()??, figures.next()??, figures.next()??);
    Some((parameters, BASE64.decode(salt).ok()?, BASE64.decode(hash).ok()?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_is_taken() {
        let stored = hash("four unrelated words").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !stored.contains("words"));
        assert!(verify("four unrelated words", Some(&stored)));
        for (password, stored) in [("four unrelated word", Some(&*stored)), ("four unrelated words", None), ("", Some("$argon2id$v=19$x"))]
        {
            assert!(!verify(password, stored), "{password} {stored:?}");
        }
        assert_ne!(stored, hash("four unrelated words").unwrap(), "each has a salt of its own");
    }

    #[test]
    fn short_and_obvious_passwords_are_refused() {
        for (name, password) in [("a", "short"), ("averylongname", "AVeryLongName"), ("a", "aaaaaaaaaaaaaaa"), ("a", &"x1".repeat(600))] {
            assert!(check(name, password).is_err(), "{password}");
        }
        assert!(check("averylongname", "a very long name").is_ok());
        // Twelve characters of four bytes each.
        assert!(check("a", "🦀🐙🐬🦊🐢🦉🐝🦋🐌🐞🐜🦗").is_ok());
    }
}
