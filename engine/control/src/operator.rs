//! The key that this process asks its own data plane with, for its operator: drawn when first needed, never shown, gone with it.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use ringway_policy::config;
use ringway_policy::key::Principal;
use ringway_policy::snapshot::Snapshot;

/// Its name in records, which no virtual key can have: a colon stands in none.
pub const NAME: &str = "ringway:operator";
const KEY_BYTES: usize = 32;

/// The key and its digest.
pub struct Operator {
    key: String,
    sha256: [u8; 32],
}

/// This process's.
pub fn operator() -> &'static Operator {
    static OPERATOR: OnceLock<Operator> = OnceLock::new();
    OPERATOR.get_or_init(|| {
        let mut bytes = [0; KEY_BYTES];
        // It fails only where the system has no random bytes; then nothing else would run either, and a digest that
        // stands for no key lets nobody in.
        let has_bytes = SystemRandom::new().fill(&mut bytes).is_ok();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("rw-operator-{hex}");
        let sha256 = if has_bytes { config::digest(&key) } else { [0; 32] };
        Operator { key, sha256 }
    })
}

impl Operator {
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Lets the key in where keys are asked for. It is held to what everyone is held to, and may ask for any model.
    pub fn admit(&self, snapshot: &mut Snapshot) {
        let principal = Arc::new(Principal { key: NAME.into(), ..(*snapshot.anonymous).clone() });
        if let Some(keys) = Arc::get_mut(&mut snapshot.keys) {
            keys.admit_operator(self.sha256, principal);
        }
    }
}

#[cfg(test)]
mod tests {
    use ringway_policy::pipeline::Pipeline;

    use super::*;
    use crate::reload::Source;

    fn snapshot(text: &str) -> Snapshot {
        let config = config::parse(text, &|_| None).unwrap();
        Source::environment().compile(&config, None).unwrap()
    }

    #[test]
    fn the_operator_is_let_in_beside_the_configured_keys_and_asks_for_no_key_where_there_is_none() {
        let keyed = snapshot("virtual_keys: {a: {key: 0123456789abcdef}}");
        let let_in = |snapshot: &Snapshot, key| Pipeline::authenticate(snapshot, key, None, 0).is_ok();
        assert!(let_in(&keyed, Some(operator().key())) && !let_in(&keyed, None) && !let_in(&keyed, Some("rw-operator-00")));
        let open = snapshot("{}");
        assert!(open.keys.is_empty() && let_in(&open, None));
    }
}
