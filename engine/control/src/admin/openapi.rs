//! The description of the API (OpenAPI 3.1), made from the routes themselves.

use std::collections::BTreeMap;

use axum::response::Response;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer;
use super::collections::{Changed, DifferenceShown, Item, ItemOrChange};
use super::problem::{FieldError, OlderError, ProblemDocument};
use super::{Shared, paging};

/// The scheme's name within the document.
const SCHEME: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ringway admin API",
        description = "See, change and prove what a Ringway gateway does. Times in queries are Unix milliseconds, times in answers \
                       RFC 3339, money is decimal text in US dollars. Errors are RFC 9457 problems.",
    ),
    components(schemas(ProblemDocument, FieldError, OlderError, paging::List, Item, Changed, DifferenceShown, ItemOrChange))
)]
struct Head;

pub(super) fn head() -> Document {
    Head::openapi()
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(document))
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "api", responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
async fn document() -> Response {
    answer::json(&describe())
}

/// The whole document. It is made anew for whoever asks, which is seldom: kept, it would be a part of every gateway's memory.
pub(super) fn describe() -> Document {
    finish(super::api().into_openapi())
}

/// Problems that any operation may answer.
const ALWAYS: &[(&str, &str)] = &[
    ("400", "What was asked cannot be understood; `errors` says where and what to write instead"),
    ("401", "The token is missing, wrong or has ended"),
    ("403", "The caller's role does not allow it"),
    ("404", "There is no such thing"),
    ("409", "It is not possible as things stand: the file says it, or the gateway was started without that part"),
    ("429", "Too often; wait as `retry-after` says"),
    ("503", "A part that is needed is out of order now; traffic goes on"),
];

/// Problems that a change may answer beside those.
const OF_CHANGES: &[(&str, &str)] = &[
    ("412", "It is not as the precondition says"),
    ("413", "The body is too large"),
    ("415", "The body is of another type"),
    ("422", "The configuration would not be valid; `errors` says where and what to write instead"),
];

/// Adds what is the same for every operation: problems and how to prove who asks.
fn finish(mut document: Document) -> Document {
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(SCHEME, bearer);
    document.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get].into_iter().flatten() {
            add_problems(operation, &[ALWAYS]);
        }
        for operation in [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten() {
            add_problems(operation, &[ALWAYS, OF_CHANGES]);
        }
    }
    document
}

fn add_problems(operation: &mut Operation, sets: &[&[(&str, &str)]]) {
    let answers: &mut BTreeMap<String, RefOr<utoipa::openapi::Response>> = &mut operation.responses.responses;
    for (status, description) in sets.iter().copied().flatten() {
        answers.entry((*status).to_owned()).or_insert_with(|| {
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            ResponseBuilder::new().description(*description).content("application/problem+json", content).build().into()
        });
    }
}
