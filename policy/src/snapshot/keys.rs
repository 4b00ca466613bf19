//! Virtual keys of the configuration → the table of the snapshot.

use std::sync::Arc;

use ahash::AHashMap;

use super::{Credential, Snapshot};
use crate::config::{self, At, Config, ProfileConfig, TeamConfig, VirtualKeyConfig};
use crate::key::{Access, Coverage, KeyChange, KeyTable, Permits, Principal};
use crate::pattern::Pattern;
use crate::quota::{self, Accounts};

/// Makes the principal of each key, in the order of the file. `snapshot` knows the providers already; what credentials and
/// accounts went through lives on from `previous`.
pub(super) fn compile<'c>(
    config: &'c Config,
    snapshot: &Snapshot,
    previous: Option<&Snapshot>,
    quotas: &mut quota::Compiler<'c>,
) -> Vec<Arc<Principal>> {
    let (teams, profiles) = (config.teams.by_name(), config.profiles.by_name());
    let find = Find { team: &|name| teams.get(name).copied(), profile: &|name| profiles.get(name).copied() };
    let mut shared = Shared { snapshot, previous, latest: None };
    let mut names = Names::default();
    let mut before = Before { keys: previous.map(|previous| &*previous.keys), by_name: None };
    let principals = config.virtual_keys.iter().map(|(name, key)| {
        let accounts = before.of(&name.value, key).and_then(|before| before.quotas.accounts());
        Arc::new(principal(&name.value, key, &find, accounts, &mut names, &mut shared, quotas))
    });
    principals.collect()
}

/// What keys refer to, by name.
struct Find<'f, 'c> {
    team: &'f dyn Fn(&str) -> Option<&'c TeamConfig>,
    profile: &'f dyn Fn(&str) -> Option<&'c ProfileConfig>,
}

fn principal<'c: 's, 's>(
    name: &'c str,
    key: &'c VirtualKeyConfig,
    find: &Find<'_, 'c>,
    accounts: Option<&Arc<Accounts>>,
    names: &mut Names<'c>,
    shared: &mut Shared<'s>,
    quotas: &mut quota::Compiler<'c>,
) -> Principal {
    let team = key.team.as_ref().map(|team| team.value.as_str());
    let of_team = team.and_then(|team| (find.team)(team)?.customer.as_ref());
    let customer = key.customer.as_ref().or(of_team).map(|customer| customer.value.as_str());
    let profile = key.profile.as_ref().and_then(|profile| (find.profile)(&profile.value));
    let expires = key.access.as_ref().and_then(|access| access.expires.as_ref());
    let expires = expires.or_else(|| profile?.access.expires.as_ref());
    let name: Arc<str> = name.into();
    Principal {
        team: team.map(|team| names.share(team)),
        customer: customer.map(|customer| names.share(customer)),
        expires_ms: expires.map_or(u64::MAX, |at| at.value),
        access: shared.access(key, profile),
        quotas: quotas.of_key(&name, key, profile, team, customer, accounts),
        key: name,
    }
}

impl Snapshot {
    /// This snapshot with some virtual keys changed, as `revision`: all else is shared. `before` and `after` are the configurations,
    /// which differ in these keys alone. `None` where a whole compilation is due.
    pub fn with_keys(&self, before: &Config, after: &Config, changed: &[&str], revision: u64) -> Option<Snapshot> {
        let mut keys = self.keys.clone();
        for name in changed {
            keys = Arc::new(keys.with(self.key_change(&keys, before, after, name, revision)?)?);
        }
        // Without any key everyone is let in, and is asked for one as soon as there is one: shards look at the table alone.
        Some(Snapshot { revision, keys, ..self.clone() })
    }

    /// This snapshot with a table of keys that says of itself whether it has them all, as `revision`.
    pub fn covering(&self, coverage: Coverage, revision: u64) -> Option<Snapshot> {
        let is_other = self.keys.coverage() != coverage;
        is_other.then(|| Snapshot { revision, keys: Arc::new(self.keys.covering(coverage)), ..self.clone() })
    }

    fn key_change(&self, keys: &KeyTable, before: &Config, after: &Config, name: &str, revision: u64) -> Option<KeyChange> {
        let digests = |config: &VirtualKeyConfig| -> Vec<[u8; 32]> { config.digests().map(|(sha256, _)| sha256.value).collect() };
        let former = before.virtual_keys.get(name).map(digests).unwrap_or_default();
        let was = former.first().and_then(|sha256| keys.by_sha256(sha256));
        if let Some(was) = was {
            was.quotas.retire();
        }
        let Some((at, key)) = after.virtual_keys.entry(name) else {
            return Some(KeyChange { before: former, after: Vec::new(), principal: None });
        };
        let accounts = was.or_else(|| keys.gone(name)).and_then(|principal| principal.quotas.accounts()).cloned();
        let quota::Held::Shared(of_all) = &self.anonymous.quotas else { return None };
        let mut quotas = quota::Compiler::beside(after, &self.quotas, of_all.clone(), revision, key);
        let find = Find { team: &|name| after.teams.get(name), profile: &|name| after.profiles.get(name) };
        let mut shared = Shared { snapshot: self, previous: Some(self), latest: None };
        let principal = principal(&at.value, key, &find, accounts.as_ref(), &mut Names::default(), &mut shared, &mut quotas);
        // Where nothing was bounded so far, exchanges do not even look.
        if self.quotas.is_empty() && !principal.quotas.is_empty() {
            return None;
        }
        let after = key.digests().map(|(sha256, until_ms)| (sha256.value, until_ms)).collect();
        Some(KeyChange { before: former, after, principal: Some(Arc::new(principal)) })
    }
}

/// Makes the table of the principals of `compile`.
pub(super) fn table(config: &Config, principals: Vec<Arc<Principal>>) -> KeyTable {
    let keys = config.virtual_keys.iter().zip(principals);
    let entries =
        keys.flat_map(|((_, key), principal)| key.digests().map(move |(sha256, until_ms)| (sha256.value, principal.clone(), until_ms)));
    KeyTable::new(entries)
}

/// The keys of the snapshot before.
struct Before<'p> {
    keys: Option<&'p KeyTable>,
    /// Made for the first key that answers to none of its former digests.
    by_name: Option<AHashMap<&'p str, &'p Arc<Principal>>>,
}

impl<'p> Before<'p> {
    /// The key of this name.
    fn of(&mut self, name: &str, key: &VirtualKeyConfig) -> Option<&'p Arc<Principal>> {
        let keys = self.keys.filter(|keys| !keys.is_empty())?;
        let by_digest = key.sha256().and_then(|sha256| keys.by_sha256(&sha256.value));
        by_digest.filter(|principal| *principal.key == *name).or_else(|| {
            let by_name = self.by_name.get_or_insert_with(|| keys.principals().map(|principal| (&*principal.key, principal)).collect());
            by_name.get(name).copied()
        })
    }
}

/// Names of teams and customers, each kept once.
#[derive(Default)]
struct Names<'c>(AHashMap<&'c str, Arc<str>>);

impl<'c> Names<'c> {
    fn share(&mut self, name: &'c str) -> Arc<str> {
        self.0.entry(name).or_insert_with(|| name.into()).clone()
    }
}

/// What the key before was given: keys of one kind stand together in a file, and share it.
struct Shared<'c> {
    snapshot: &'c Snapshot,
    previous: Option<&'c Snapshot>,
    latest: Option<(&'c VirtualKeyConfig, Arc<Access>)>,
}

impl<'c> Shared<'c> {
    fn access(&mut self, key: &'c VirtualKeyConfig, profile: Option<&'c ProfileConfig>) -> Arc<Access> {
        if let Some((before, access)) = &self.latest
            && says_the_same(before, key)
        {
            return access.clone();
        }
        let access = Arc::new(self.compile(key, profile));
        self.latest = Some((key, access.clone()));
        access
    }

    fn compile(&self, key: &VirtualKeyConfig, profile: Option<&ProfileConfig>) -> Access {
        let own = key.access.as_deref();
        let inherited = profile.map(|profile| &profile.access);
        let models = key.models.as_ref().or_else(|| profile?.models.as_ref());
        Access {
            enabled: chosen(own, inherited, |access| access.enabled.as_ref()).is_none_or(|enabled| enabled.value),
            models: permits(models, chosen(own, inherited, |access| access.deny_models.as_ref())),
            providers: permits(
                chosen(own, inherited, |access| access.providers.as_ref()),
                chosen(own, inherited, |access| access.deny_providers.as_ref()),
            ),
            networks: chosen(own, inherited, |access| access.networks.as_ref()).map(|networks| networks.value.clone()),
            tags: tags(own, inherited),
            credentials: self.credentials(key, own, inherited),
            priority: chosen(own, inherited, |access| access.priority.as_ref()).map(|at| at.value),
            audited: chosen(own, inherited, |access| access.audit.as_ref()).is_some_and(|at| at.value == config::Audited::Requests),
            explain: chosen(own, inherited, |access| access.explain.as_ref()).map_or(self.snapshot.anonymous.access.explain, |at| at.value),
        }
    }

    fn credentials(
        &self,
        key: &VirtualKeyConfig,
        own: Option<&config::Access>,
        inherited: Option<&config::Access>,
    ) -> Box<[(usize, Credential)]> {
        let mut credentials: Vec<(usize, Credential)> = Vec::new();
        for (provider, value) in [own, inherited].into_iter().flatten().flat_map(|access| &access.credentials) {
            let Some(index) = self.snapshot.provider_index(&provider.value) else { continue };
            if credentials.iter().any(|(other, _)| *other == index) {
                continue;
            }
            let mut credential = Credential::new(OWN, &value.value, 1, &self.snapshot.providers[index].provider.auth);
            if let Some(before) = self.before(key, &provider.value).filter(|before| before.value == credential.value) {
                credential.state = before.state.clone();
            }
            credentials.push((index, credential));
        }
        credentials.into()
    }

    /// The credential that the key brought to the provider before.
    fn before(&self, key: &VirtualKeyConfig, provider: &str) -> Option<&Credential> {
        let previous = self.previous?;
        previous.keys.by_sha256(&key.sha256()?.value)?.credential(previous.provider_index(provider)?)
    }
}

/// The name of a credential that a virtual key brings along.
const OWN: &str = "virtual-key";

/// Whether two keys are given the same; wrong on the safe side.
fn says_the_same(one: &VirtualKeyConfig, other: &VirtualKeyConfig) -> bool {
    let same_profile = one.profile.as_ref().map(|at| &at.value) == other.profile.as_ref().map(|at| &at.value);
    let same_models = match (&one.models, &other.models) {
        (None, None) => true,
        (Some(one), Some(other)) => one.iter().map(|at| &at.value).eq(other.iter().map(|at| &at.value)),
        _ => false,
    };
    same_profile && same_models && one.access.is_none() && other.access.is_none()
}

/// The key's own value, else the profile's.
fn chosen<'a, T>(
    own: Option<&'a config::Access>,
    inherited: Option<&'a config::Access>,
    field: impl Fn(&'a config::Access) -> Option<&'a T>,
) -> Option<&'a T> {
    own.and_then(&field).or_else(|| inherited.and_then(&field))
}

fn permits(allow: Option<&Vec<At<String>>>, deny: Option<&Vec<At<String>>>) -> Permits {
    let patterns = |texts: &Vec<At<String>>| texts.iter().map(|text| Pattern::new(&text.value)).collect();
    Permits { allow: allow.map(patterns), deny: deny.map(patterns).unwrap_or_default() }
}

/// The key's own tags, then those of the profile that it does not have.
fn tags(own: Option<&config::Access>, inherited: Option<&config::Access>) -> Box<[crate::tags::Tag]> {
    let mut tags: Vec<crate::tags::Tag> = Vec::new();
    for (name, value) in [own, inherited].into_iter().flatten().flat_map(|access| &access.tags) {
        if tags.iter().all(|(other, _)| **other != *name.value) {
            tags.push((name.value.as_str().into(), value.as_str().into()));
        }
    }
    tags.into()
}
