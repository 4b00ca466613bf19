//! AWS's chain, by its own crate: environment, profiles, web identity, containers, instances; then a role, where one is asked for.

use std::time::SystemTime;

use aws_config::BehaviorVersion;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use ringway_policy::snapshot::fetch::{Fetch, Fetched};

use super::Fresh;

/// The name under which a taken-on role shows up in the account's log.
const SESSION: &str = "ringway";
/// STS without a region.
const REGION_DEFAULT: &str = "us-east-1";

/// # Errors
/// Why there are no credentials.
pub(super) async fn get(fetch: &Fetch) -> Result<Fresh, String> {
    let region = fetch.region.as_deref().unwrap_or(REGION_DEFAULT).to_owned();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(aws_config::Region::new(region));
    if let Some(profile) = &fetch.profile {
        loader = loader.profile_name(&**profile);
    }
    let config = loader.load().await;
    let credentials = match &fetch.role_arn {
        Some(role) => {
            let mut role = AssumeRoleProvider::builder(&**role).configure(&config).session_name(SESSION);
            if let Some(external_id) = &fetch.external_id {
                role = role.external_id(&**external_id);
            }
            role.build().await.provide_credentials().await
        }
        None => {
            let provider = config.credentials_provider().ok_or("no credentials are configured")?;
            provider.provide_credentials().await
        }
    };
    credentials.map(fresh).map_err(|error| reason(&error))
}

fn fresh(credentials: Credentials) -> Fresh {
    let life = credentials.expiry().and_then(|end| end.duration_since(SystemTime::now()).ok());
    let fetched = Fetched::Keys {
        access_key_id: credentials.access_key_id().into(),
        secret_access_key: credentials.secret_access_key().into(),
        session_token: credentials.session_token().map(Into::into),
    };
    Fresh { fetched, life }
}

/// The whole chain of causes: the first one alone says little.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
