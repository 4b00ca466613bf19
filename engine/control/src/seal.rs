//! Secrets at rest: AES-256-GCM under a data key that is itself sealed with the master key.
//!
//! The data key stands in the database, the master key never does: it comes from `RINGWAY_MASTER_KEY`, from a file, or from
//! `master.key` beside the database, which is made when the first secret is kept. What is sealed names its data key and is bound
//! to the object and field that it belongs to, so it cannot be moved to another one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use crate::store::{Database, Error, Row, Statement};

const KEY_BYTES: usize = 32;
/// Longest master key file.
const FILE_BYTES_MAX: u64 = 4096;
/// The master key's file in the data directory.
pub const MASTER_FILE: &str = "master.key";
/// Data keys that are known at once: the one in use, and former ones of other gateways' changes.
const KEYS_MAX: usize = 16;

/// Where the master key comes from.
#[derive(Clone)]
pub enum MasterPlace {
    /// `RINGWAY_MASTER_KEY`: base64 or hex of 32 bytes.
    Given(String),
    /// `--master-key-file`: the same, in a file.
    File(PathBuf),
    /// Made on first need.
    Beside(PathBuf),
    /// There is none, and nothing can be sealed; says what to do.
    Nowhere(&'static str),
}

impl std::fmt::Debug for MasterPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MasterPlace::Given(_) => "Given",
            MasterPlace::File(_) => "File",
            MasterPlace::Beside(_) => "Beside",
            MasterPlace::Nowhere(_) => "Nowhere",
        })
    }
}

/// The key that data keys are sealed with.
pub struct Master {
    key: LessSafeKey,
    /// Tells two of them apart and says nothing of either.
    fingerprint: String,
}

impl Master {
    /// Reads 32 bytes as base64 or hex.
    ///
    /// # Errors
    /// What to write instead, without what was written.
    pub fn parse(text: &str) -> Result<Master, String> {
        let text = text.trim();
        let bytes = hex(text).or_else(|| BASE64.decode(text).ok()).filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = bytes.ok_or("a master key is 32 random bytes as base64 or hex: openssl rand -base64 32")?;
        Master::of(&bytes)
    }

    fn of(bytes: &[u8]) -> Result<Master, String> {
        let digest = Sha256::new().chain_update(b"ringway master key").chain_update(bytes).finalize();
        let fingerprint = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Master { key: key_of(bytes)?, fingerprint })
    }

    /// `None` where it would have to be made.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(place: &MasterPlace) -> Result<Option<Master>, String> {
        let of_file = |path: &Path| -> Result<String, String> {
            let mut text = String::new();
            let file = File::open(path).map_err(|error| format!("the master key file {}: {error}", path.display()))?;
            let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
            read.map_err(|error| format!("the master key file {}: {error}", path.display()))?;
            Ok(text)
        };
        match place {
            MasterPlace::Given(text) => Master::parse(text).map_err(|error| format!("RINGWAY_MASTER_KEY: {error}")).map(Some),
            MasterPlace::File(path) => Master::parse(&of_file(path)?).map_err(|error| format!("{}: {error}", path.display())).map(Some),
            MasterPlace::Beside(path) if !path.exists() => Ok(None),
            MasterPlace::Beside(path) => Master::parse(&of_file(path)?).map_err(|error| format!("{}: {error}", path.display())).map(Some),
            MasterPlace::Nowhere(_) => Ok(None),
        }
    }

    /// As `read`; one that is not there is made, where that is allowed.
    ///
    /// # Errors
    /// Where it cannot be read, made or kept.
    pub fn read_or_make(place: &MasterPlace) -> Result<Master, String> {
        if let Some(master) = Master::read(place)? {
            return Ok(master);
        }
        match place {
            MasterPlace::Nowhere(reason) => Err((*reason).to_owned()),
            MasterPlace::Beside(path) => {
                make_file(path)?;
                tracing::warn!(
                    file = %path.display(),
                    "made a master key beside the data that it protects; whoever copies the folder has both: keep it elsewhere and set \
                     RINGWAY_MASTER_KEY or --master-key-file"
                );
                Master::read(place)?.ok_or_else(|| "the master key is gone again".to_owned())
            }
            MasterPlace::Given(_) | MasterPlace::File(_) => Err("no master key".to_owned()),
        }
    }
}

/// Writes a new master key where there is none; for its owner's eyes alone.
fn make_file(path: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("the master key file {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    // Whole or not there, and never over another one: two that start at once agree on the first.
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let written = File::options().create(true).write(true).truncate(true).mode(0o600).open(&draft).and_then(|mut file| {
        let random = random::<KEY_BYTES>().map_err(std::io::Error::other)?;
        writeln!(file, "{}", BASE64.encode(random))?;
        file.sync_all()?;
        std::fs::hard_link(&draft, path)
    });
    let _ = std::fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(told(error)),
        _ => Ok(()),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    (digits.len() == 2 * KEY_BYTES).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn random<const LEN: usize>() -> Result<[u8; LEN], String> {
    let mut bytes = [0; LEN];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random bytes".to_owned())?;
    Ok(bytes)
}

/// `len` hex digits by chance.
///
/// # Errors
/// Where the system has no random bytes.
pub fn random_hex<const BYTES: usize>() -> Result<String, String> {
    Ok(random::<BYTES>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn key_of(bytes: &[u8]) -> Result<LessSafeKey, String> {
    UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new).map_err(|_| "a key has 32 bytes".to_owned())
}

/// Nonce, what is sealed, tag. Nonces are random: a data key seals far fewer than 2³² texts (NIST SP 800-38D §8.3).
fn encrypt(key: &LessSafeKey, context: &str, plain: &[u8]) -> Result<Vec<u8>, String> {
    let nonce = random::<NONCE_LEN>()?;
    let mut bytes = plain.to_vec();
    let sealed = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.as_bytes()), &mut bytes);
    sealed.map_err(|_| "it cannot be sealed".to_owned())?;
    Ok([&nonce[..], &bytes].concat())
}

fn decrypt(key: &LessSafeKey, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN)?;
    let mut bytes = bytes.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut bytes).ok()?;
    Some(plain.to_vec())
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, LessSafeKey>,
    /// What new secrets are sealed with.
    current: Option<String>,
    /// The current one, sealed, where it is not in the database yet.
    pending: Option<(Vec<u8>, String)>,
}

/// Seals and unseals with the data keys of one database.
pub struct Sealer {
    place: MasterPlace,
    keys: Mutex<Keys>,
}

const SEALS: &str = "SELECT id, wrapped, master, is_current FROM seals ORDER BY made_at_ms, id";
const ADD: &str = "INSERT INTO seals (id, wrapped, master, made_at_ms, is_current) VALUES (?1, ?2, ?3, ?4, 1)";
/// A rotation by somebody else in between makes this touch nothing.
const STILL_CURRENT: &str = "UPDATE seals SET is_current = 1 WHERE id = ?1 AND is_current = 1";

impl Sealer {
    pub fn new(place: MasterPlace) -> Sealer {
        Sealer { place, keys: Mutex::default() }
    }

    /// Reads the data keys of the database, with the master key where there are some.
    ///
    /// # Errors
    /// Where the master key is not there or is another one, or the database cannot be read.
    pub async fn load(&self, database: &Database) -> Result<(), Error> {
        let rows = database.query(SEALS, vec![]).await?;
        self.take(&rows).map_err(Error::Other)
    }

    fn take(&self, rows: &[Row]) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        let absent = "the store holds sealed secrets, and there is no master key; set RINGWAY_MASTER_KEY or --master-key-file to the one \
                      that they were sealed with";
        let master = Master::read(&self.place)?.ok_or(absent)?;
        // Former keys stay: what was read with them is still in memory.
        let mut by_id = std::mem::take(&mut self.keys().by_id);
        if by_id.len() > KEYS_MAX {
            by_id.clear();
        }
        let mut keys = Keys { by_id, ..Keys::default() };
        for row in rows.iter().rev().take(KEYS_MAX) {
            let (id, wrapped, fingerprint) = (row.text(0), row.bytes(1), row.text(2));
            let bytes = decrypt(&master.key, id, wrapped).ok_or_else(|| {
                format!(
                    "the store's secrets were sealed with another master key ({fingerprint}, and this one is {}); set \
                     RINGWAY_MASTER_KEY or --master-key-file to that one",
                    master.fingerprint
                )
            })?;
            keys.by_id.insert(id.to_owned(), key_of(&bytes)?);
            if row.integer(3) == 1 && keys.current.is_none() {
                keys.current = Some(id.to_owned());
            }
        }
        *self.keys() = keys;
        Ok(())
    }

    /// Seals a text that belongs to `context`, with the first data key where there is none yet.
    ///
    /// # Errors
    /// Where there is no master key and none can be made.
    pub fn seal(&self, context: &str, plain: &str) -> Result<String, String> {
        let mut keys = self.keys();
        if keys.current.is_none() {
            self.make(&mut keys)?;
        }
        let current = keys.current.clone().unwrap_or_default();
        let key = keys.by_id.get(&current).ok_or("the data key is not there")?;
        Ok(format!("{current}:{}", BASE64.encode(encrypt(key, context, plain.as_bytes())?)))
    }

    /// # Errors
    /// Where it was sealed with a data key that is not known here, or for something else.
    pub fn unseal(&self, context: &str, sealed: &str) -> Result<String, String> {
        let (id, text) = sealed.split_once(':').ok_or("it is no sealed secret")?;
        let keys = self.keys();
        let key = keys.by_id.get(id).ok_or_else(|| format!("it was sealed with the data key {id:?}, which is not known here"))?;
        let bytes = BASE64.decode(text).map_err(|_| "it is no sealed secret".to_owned())?;
        let plain = decrypt(key, context, &bytes).ok_or("it was changed, or belongs elsewhere")?;
        String::from_utf8(plain).map_err(|_| "it is no text".to_owned())
    }

    /// What a transaction that keeps sealed secrets begins with: they must be readable when it has ended.
    pub fn statements(&self, now_ms: u64) -> Vec<Statement> {
        let keys = self.keys();
        let Some(current) = &keys.current else { return Vec::new() };
        vec![match &keys.pending {
            Some((wrapped, master)) => {
                let values = vec![current.as_str().into(), wrapped.clone().into(), master.as_str().into(), now_ms.into()];
                Statement::expecting(ADD, values, 1)
            }
            None => Statement::expecting(STILL_CURRENT, vec![current.as_str().into()], 1),
        }]
    }

    /// The transaction went well.
    pub fn kept(&self) {
        self.keys().pending = None;
    }

    /// Makes the master key now rather than on first need.
    ///
    /// # Errors
    /// As `Master::read_or_make`.
    pub fn prepare(&self) -> Result<(), String> {
        Master::read_or_make(&self.place).map(drop)
    }

    fn make(&self, keys: &mut Keys) -> Result<(), String> {
        let master = Master::read_or_make(&self.place)?;
        let (id, bytes) = (random_hex::<4>()?, random::<KEY_BYTES>()?);
        let wrapped = encrypt(&master.key, &id, &bytes)?;
        keys.by_id.insert(id.clone(), key_of(&bytes)?);
        keys.current = Some(id);
        keys.pending = Some((wrapped, master.fingerprint));
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(MasterPlace::Given("42".repeat(KEY_BYTES)))
    }

    #[test]
    fn what_is_sealed_comes_back_for_whom_it_was_sealed_alone() {
        let sealer = sealer();
        let sealed = sealer.seal("providers/openai/keys", "sk-secret").unwrap();
        assert!(!sealed.contains("sk-secret"));
        assert_ne!(sealed, sealer.seal("providers/openai/keys", "sk-secret").unwrap(), "nonces differ");
        assert_eq!(sealer.unseal("providers/openai/keys", &sealed).as_deref(), Ok("sk-secret"));
        assert!(sealer.unseal("providers/other/keys", &sealed).unwrap_err().contains("belongs elsewhere"));
        let (id, text) = sealed.split_once(':').unwrap();
        let mut bytes = BASE64.decode(text).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert!(sealer.unseal("providers/openai/keys", &format!("{id}:{}", BASE64.encode(&bytes))).is_err(), "{index}");
            bytes[index] ^= 1;
        }
        for garbage in ["", "x", ":", "ab:", "ab:!!", &format!("{id}:"), &format!("{id}:AAAA")] {
            assert!(sealer.unseal("c", garbage).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_master_key_has_32_bytes_and_is_never_repeated() {
        assert!(Master::parse(&"0f".repeat(32)).is_ok());
        assert!(Master::parse(&format!("{}\n", BASE64.encode([7; 32]))).is_ok());
        for bad in ["", "hunter2", &"0f".repeat(31), &BASE64.encode([7; 31])] {
            let error = Master::parse(bad).err().unwrap();
            assert!(error.contains("openssl rand") && (bad.is_empty() || !error.contains(bad)), "{error}");
        }
        assert!(!format!("{:?}", MasterPlace::Given("secret".to_owned())).contains("secret"));
    }

    #[test]
    fn the_file_is_made_once_and_for_its_owner_alone() {
        let folder = std::env::temp_dir().join(format!("ringway-seal-{}", std::process::id()));
        let place = MasterPlace::Beside(folder.join(MASTER_FILE));
        assert!(Master::read(&place).unwrap().is_none());
        let first = Master::read_or_make(&place).unwrap().fingerprint;
        assert_eq!(Master::read_or_make(&place).unwrap().fingerprint, first);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder.join(MASTER_FILE)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
