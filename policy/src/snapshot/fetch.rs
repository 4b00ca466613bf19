//! Credentials that somebody must fetch: what for, and with what. The control plane does it, ahead of their end.

use std::sync::Arc;

use ringway_adapters::provider::{Auth, Provider, REGION, Tokens};

use super::credential::Signing;
use super::{Credential, Snapshot, Upstream};
use crate::config::{At, Credentials, ProviderConfig};

/// Its name in records.
const NAME: &str = "fetched";

/// What a provider's tokens are fetched with. What is absent comes from the process's surroundings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fetch {
    pub tokens: Tokens,
    /// The text of a service account's file.
    pub account: Option<Arc<str>>,
    pub tenant_id: Option<Arc<str>>,
    pub client_id: Option<Arc<str>>,
    pub client_secret: Option<Arc<str>>,
    /// A profile of the AWS files.
    pub profile: Option<Arc<str>>,
    /// A role to take on with what was found, and the word that its owner wants to hear.
    pub role_arn: Option<Arc<str>>,
    pub external_id: Option<Arc<str>>,
    pub region: Option<Arc<str>>,
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// What was fetched.
#[derive(Clone, PartialEq, Eq)]
pub enum Fetched {
    Bearer(Arc<str>),
    Keys { access_key_id: Arc<str>, secret_access_key: Arc<str>, session_token: Option<Arc<str>> },
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fetched::Bearer(_) => "Bearer",
            Fetched::Keys { .. } => "Keys",
        })
    }
}

/// `None` where the provider has credentials of its own, or is asked with the caller's.
pub(super) fn wanted(config: &ProviderConfig, provider: &Provider) -> Option<Arc<Fetch>> {
    let tokens = provider.tokens.clone()?;
    let text = |at: &Option<At<String>>| at.as_ref().map(|at| Arc::from(at.value.as_str()));
    let account = match config.credentials.as_ref().map(|at| &at.value) {
        Some(Credentials::Caller) => return None,
        Some(Credentials::ServiceAccount(account)) => Some(account.clone()),
        None => None,
    };
    if !config.keys.is_empty() || config.access_token.is_some() || config.access_key_id.is_some() {
        return None;
    }
    let region = config.variables.iter().find(|(name, _)| name.value == REGION);
    Some(Arc::new(Fetch {
        tokens,
        account,
        tenant_id: text(&config.tenant_id),
        client_id: text(&config.client_id),
        client_secret: text(&config.client_secret),
        profile: text(&config.profile),
        role_arn: text(&config.role_arn),
        external_id: text(&config.external_id),
        region: region.map(|(_, value)| value.value.as_str().into()),
    }))
}

impl Snapshot {
    /// What must be fetched, each once.
    pub fn fetches(&self) -> Vec<Arc<Fetch>> {
        let mut all: Vec<Arc<Fetch>> = Vec::new();
        for fetch in self.providers.iter().filter_map(|upstream| upstream.fetch.as_ref()) {
            if !all.contains(fetch) {
                all.push(fetch.clone());
            }
        }
        all
    }

    /// The same snapshot with what was fetched; `None` where it has all of it. A provider whose `Fetch` gives nothing is left
    /// without a credential.
    pub fn with_fetched(&self, revision: u64, fetched: &dyn Fn(&Fetch) -> Option<Fetched>) -> Option<Snapshot> {
        let mut next: Option<Snapshot> = None;
        for (index, upstream) in self.providers.iter().enumerate() {
            let Some(fetch) = &upstream.fetch else { continue };
            let credential = fetched(fetch).and_then(|fetched| upstream.credential_of(fetch, fetched));
            if upstream.credentials.first().map(said) == credential.as_ref().map(said) {
                continue;
            }
            let next = next.get_or_insert_with(|| Snapshot { revision, ..self.clone() });
            next.providers[index].credentials = credential.into_iter().collect();
        }
        next
    }
}

/// By what two credentials are the same.
fn said(credential: &Credential) -> (&str, Option<&str>) {
    let token = credential.signing.as_ref().and_then(|signing| signing.session_token.as_deref());
    (&credential.value, token)
}

impl Upstream {
    /// A fetched credential takes over what its forerunner went through: limits are the account's, not the token's.
    fn credential_of(&self, fetch: &Fetch, fetched: Fetched) -> Option<Credential> {
        let mut credential = match (fetched, &self.provider.auth) {
            (Fetched::Bearer(token), _) => Credential::new(NAME, &token, 1, &Auth::Bearer),
            (Fetched::Keys { access_key_id, secret_access_key, session_token }, Auth::Sigv4 { service }) => {
                let region = fetch.region.clone()?;
                Credential::signing(
                    NAME,
                    Signing { access_key_id, secret_access_key, session_token, region, service: service.as_str().into() },
                )
            }
            _ => return None,
        };
        if let Some(before) = self.credentials.first() {
            credential.state = before.state.clone();
        }
        Some(credential)
    }
}
