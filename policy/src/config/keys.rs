//! `virtual_keys`: who may ask.

use schemars::JsonSchema;
use sha2::{Digest, Sha256};

use super::access::{self, Access};
use super::node::Node;
use super::read::{self, Fields, note};
use super::strength::{self, Weakness};
use super::{At, Budget, Limit, Problem, budgets, instant, limits, schema};

const KEY_BYTES_MIN: usize = 16;
const KEY_BYTES_MAX: usize = 128;
/// Most former keys of one virtual key.
const PREVIOUS_MAX: usize = 8;

/// One virtual key.
#[derive(Clone, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct VirtualKeyConfig {
    /// The key, 16 to 128 of `A-Z a-z 0-9 _ -`: `"${NAME}"`. Or `key_sha256`. Only its SHA-256 is kept.
    #[schemars(schema_with = "schema::text")]
    pub key: Option<At<[u8; 32]>>,
    /// The SHA-256 of the key, 64 hex digits, in place of `key`.
    #[schemars(schema_with = "schema::text")]
    pub key_sha256: Option<At<[u8; 32]>>,
    /// Former keys, each good until its time: `{key_sha256: HEX, until: 2027-01-31T18:00:00Z}`.
    #[schemars(schema_with = "schema::previous")]
    pub previous: Vec<Previous>,
    /// Its team.
    #[schemars(schema_with = "schema::text")]
    pub team: Option<At<String>>,
    /// Its customer, where it has no team.
    #[schemars(schema_with = "schema::text")]
    pub customer: Option<At<String>>,
    /// The profile that it inherits; its own fields stand in place of the profile's, limits and budgets add up.
    #[schemars(schema_with = "schema::text")]
    pub profile: Option<At<String>>,
    /// Patterns of the models it may ask for, like `openai/*`. Absent: all. Empty: none.
    #[schemars(schema_with = "schema::texts")]
    pub models: Option<Vec<At<String>>>,
    /// Rate limits: `{requests|tokens|input_tokens|output_tokens: N, per: 1m}` or `{concurrent: N}`.
    #[schemars(schema_with = "schema::limits")]
    pub limits: Vec<At<Limit>>,
    /// Budgets: `{usd: "50.00", per: 1d}` or `{tokens: N, per: 1d}`.
    #[schemars(schema_with = "schema::budgets")]
    pub budgets: Vec<At<Budget>>,
    /// `None` where the file says nothing of it.
    #[schemars(flatten, with = "Access")]
    pub access: Option<Box<Access>>,
    /// What is weak about the key, where it was written out.
    #[schemars(skip)]
    pub weakness: Option<Weakness>,
}

/// A former key that still works for a while.
#[derive(Clone, PartialEq)]
pub struct Previous {
    pub sha256: At<[u8; 32]>,
    /// Unix milliseconds.
    pub until_ms: u64,
}

impl VirtualKeyConfig {
    /// The key's SHA-256, whichever way it was written.
    pub fn sha256(&self) -> Option<&At<[u8; 32]>> {
        self.key.as_ref().or(self.key_sha256.as_ref())
    }

    /// Each SHA-256 that it answers to, with the time until which; `u64::MAX` for its own.
    pub fn digests(&self) -> impl Iterator<Item = (&At<[u8; 32]>, u64)> {
        let previous = self.previous.iter().map(|previous| (&previous.sha256, previous.until_ms));
        self.sha256().map(|sha256| (sha256, u64::MAX)).into_iter().chain(previous)
    }
}

impl std::fmt::Debug for VirtualKeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VirtualKeyConfig")
            .field("team", &self.team)
            .field("profile", &self.profile)
            .field("models", &self.models)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// The form in which keys are kept and looked up.
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Reads one virtual key.
pub(super) fn read(name: &At<String>, node: &Node, problems: &mut Vec<Problem>) -> Option<VirtualKeyConfig> {
    let mut fields = Fields::open(node, "a virtual key", problems)?;
    let secret = read_secret(&mut fields, "a virtual key", problems);
    if secret.is_absent {
        let what = format!("the virtual key {:?} has no key; write key: \"${{NAME}}\" or key_sha256: HEX", name.value);
        note(problems, name.place(), what);
    }
    let previous = fields.take("previous").map(|node| read_previous(node, problems)).unwrap_or_default();
    let team = fields.take("team").and_then(|node| read::text(node, "team", problems));
    let customer = fields.take("customer").and_then(|node| read::text(node, "customer", problems));
    if let (Some(_), Some(customer)) = (&team, &customer) {
        note(problems, customer.place(), "a virtual key has team or customer, not both; a team has its own customer");
    }
    let profile = fields.take("profile").and_then(|node| read::text(node, "profile", problems));
    let models = access::read_patterns(&mut fields, "models", problems);
    let (limits, budgets) = (limits::read(&mut fields, problems), budgets::read(&mut fields, problems));
    let access = access::read_access(&mut fields, problems);
    let access = (access != Access::default()).then(|| Box::new(access));
    fields.close(problems);
    let Secret { key, key_sha256, weakness, .. } = secret;
    Some(VirtualKeyConfig { key, key_sha256, previous, team, customer, profile, models, limits, budgets, access, weakness })
}

/// `key` and `key_sha256` of one mapping.
struct Secret {
    key: Option<At<[u8; 32]>>,
    key_sha256: Option<At<[u8; 32]>>,
    weakness: Option<Weakness>,
    is_absent: bool,
}

fn read_secret(fields: &mut Fields<'_>, what: &str, problems: &mut Vec<Problem>) -> Secret {
    let (written, hashed) = (fields.take("key"), fields.take("key_sha256"));
    if let (Some(_), Some(node)) = (written, hashed) {
        note(problems, node.place, format!("{what} has key or key_sha256, not both"));
    }
    let mut weakness = None;
    let key = written.and_then(|node| {
        read::secret(node, "key", problems, |text| {
            let digest = parse_key(text)?;
            weakness = strength::weakness(text);
            Ok(digest)
        })
    });
    let key_sha256 = hashed.and_then(|node| read::secret(node, "key_sha256", problems, parse_sha256));
    Secret { key, key_sha256, weakness, is_absent: written.is_none() && hashed.is_none() }
}

fn read_previous(node: &Node, problems: &mut Vec<Problem>) -> Vec<Previous> {
    let nodes = read::items(node, "previous", problems);
    if nodes.len() > PREVIOUS_MAX {
        note(problems, node.place, format!("a virtual key has at most {PREVIOUS_MAX} former keys; remove those that have ended"));
    }
    let one = |node: &Node| {
        let mut fields = Fields::open(node, "a former key", problems)?;
        let secret = read_secret(&mut fields, "a former key", problems);
        let until = fields.take("until");
        if secret.is_absent || until.is_none() {
            note(problems, node.place, "a former key has a key and an end; write {key_sha256: HEX, until: 2027-01-31T18:00:00Z}");
        }
        let until = until.and_then(|node| read::parsed(node, "until", problems, instant::instant));
        fields.close(problems);
        Some(Previous { sha256: secret.key.or(secret.key_sha256)?, until_ms: until?.value })
    };
    nodes.iter().take(PREVIOUS_MAX).filter_map(one).collect()
}

fn parse_key(key: &str) -> Result<[u8; 32], String> {
    let good = (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if good { Ok(digest(key)) } else { Err(format!("write {KEY_BYTES_MIN} to {KEY_BYTES_MAX} of A-Z a-z 0-9 _ -")) }
}

fn parse_sha256(hex: &str) -> Result<[u8; 32], String> {
    let mut out = [0u8; 32];
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pairs = hex.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    let good = hex.len() == 64 && out.iter_mut().zip(pairs).all(|(byte, pair)| pair.map(|pair| *byte = pair).is_some());
    if good { Ok(out) } else { Err("write the key's SHA-256 as 64 hex digits".to_owned()) }
}
