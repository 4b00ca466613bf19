//! Microsoft Entra's chain: an application's secret, a federated token's file, a managed identity.
//!
//! learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and
//! /entra/identity/managed-identities-azure-resources/how-to-use-vm-token, read 2026-11-20.

use ringway_policy::snapshot::fetch::Fetch;

use super::Fresh;
use super::http::{self, Answer};
use crate::environment;

const AUTHORITY: &str = "https://login.microsoftonline.com";
const MACHINE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const MACHINE_VERSION: &str = "2018-02-01";
const SERVICE_VERSION: &str = "2019-08-01";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// # Errors
/// Why there is no token.
pub(super) async fn get(fetch: &Fetch) -> Result<Fresh, String> {
    let set = |given: &Option<std::sync::Arc<str>>, name: &str| {
        given.as_deref().map(str::to_owned).or_else(|| environment::lookup(name)).filter(|value| !value.is_empty())
    };
    let tenant = set(&fetch.tenant_id, "AZURE_TENANT_ID");
    let client = set(&fetch.client_id, "AZURE_CLIENT_ID");
    let secret = set(&fetch.client_secret, "AZURE_CLIENT_SECRET");
    let scope = fetch.tokens.scope.as_str();
    let federated = environment::lookup("AZURE_FEDERATED_TOKEN_FILE").filter(|path| !path.is_empty());
    match (&tenant, &client, secret, federated) {
        (Some(tenant), Some(client), Some(secret), _) => {
            posted(tenant, &[("grant_type", "client_credentials"), ("client_id", client), ("client_secret", &secret), ("scope", scope)])
                .await
        }
        (Some(tenant), Some(client), None, Some(path)) => {
            // The file is renewed under the same name.
            let token = std::fs::read_to_string(&path).map_err(|error| format!("AZURE_FEDERATED_TOKEN_FILE: {path}: {error}"))?;
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_id", client.as_str()),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", token.trim()),
                ("scope", scope),
            ];
            posted(tenant, &fields).await
        }
        _ if fetch.client_secret.is_some() => Err("client_secret needs tenant_id and client_id beside it".to_owned()),
        _ => managed(client.as_deref(), scope).await,
    }
}

async fn posted(tenant: &str, fields: &[(&str, &str)]) -> Result<Fresh, String> {
    let authority = environment::lookup("AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
    let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'));
    let body = http::send(http::form(http::client()?.post(url), fields)).await?;
    Answer::read(&body).map(Answer::fresh)
}

/// The identity of the service or the machine that the process runs on. It knows resources, not scopes.
async fn managed(client: Option<&str>, scope: &str) -> Result<Fresh, String> {
    let resource = scope.trim_end_matches("/.default");
    let service = environment::lookup("IDENTITY_ENDPOINT").zip(environment::lookup("IDENTITY_HEADER"));
    let (endpoint, version) = match &service {
        Some((endpoint, _)) => (endpoint.as_str(), SERVICE_VERSION),
        None => (MACHINE, MACHINE_VERSION),
    };
    let chosen = client.map(|client| format!("&client_id={client}")).unwrap_or_default();
    let request = http::client()?.get(format!("{endpoint}?api-version={version}&resource={resource}{chosen}"));
    let request = match &service {
        Some((_, secret)) => request.header("x-identity-header", secret),
        None => request.header("metadata", "true"),
    };
    let body = http::send(request).await.map_err(|error| {
        format!(
            "no tenant_id, client_id and client_secret are configured, no federated token is there, and the managed identity says: {error}"
        )
    })?;
    Answer::read(&body).map(Answer::fresh)
}
