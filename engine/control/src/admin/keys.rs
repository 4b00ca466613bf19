//! `POST /api/v1/keys/{name}/rotate`: another secret for a virtual key, while the former one goes on for a while.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ringway_policy::config;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{JsonBody, Named};
use super::collections::{COLLECTIONS, author, changeable, refused_as};
use super::problem::Problem;
use super::scene::Scene;
use super::{Shared, answer};
use crate::access::Caller;
use crate::objects::{Intent, Kind, Precondition};
use crate::seal;

/// Longest time that a former key goes on working.
const OVERLAP_S_MAX: u64 = 90 * 86_400;
/// Former keys that a key may have; the oldest go first.
const PREVIOUS_MAX: usize = 8;

#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "it describes what callers send")]
struct Rotation {
    /// How long the former key goes on working: `0s` (as without it), `30m`, `1h`, `7d`.
    overlap: Option<String>,
}

#[derive(Debug, serde::Serialize, ToSchema)]
struct Rotated {
    /// The key, shown this once.
    secret: Option<String>,
    /// Until when the former one works.
    until: Option<String>,
    revision: Option<u64>,
}

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(rotate))
}

/// Draws another secret for a key of the store.
#[utoipa::path(post, path = "/api/v1/keys/{name}/rotate", tag = "keys", params(("name" = String, Path, min_length = 1)),
    request_body = Rotation, responses((status = 200, description = "The new key, shown this once", body = Rotated)))]
async fn rotate(
    State(view): State<Shared>,
    caller: Caller,
    Named(name): Named<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let objects = changeable(&view)?;
    let (keys, scene) = (COLLECTIONS.iter().find(|collection| collection.kind == Kind::VirtualKey), Scene::of(&view));
    let is_shown = keys.is_some_and(|keys| keys.shows(&scene, &caller, &name));
    let nothing = || Problem::not_found(format!("there is no virtual key {name:?}; see /api/v1/keys"));
    let object = objects.read(Kind::VirtualKey, &name).filter(|_| is_shown).ok_or_else(nothing)?;
    let overlap_s = match &body["overlap"] {
        Value::Null => 0,
        Value::String(text) => seconds(text).ok_or_else(|| Problem::invalid("overlap", "write a time up to 90d: 0s, 30m, 1h, 7d"))?,
        _ => return Err(Problem::invalid("overlap", "write a time in quotes: \"1h\"")),
    };
    let (now_ms, etag) = (scene.now().unix_ms, object.etag);
    let until = (overlap_s > 0).then(|| answer::time(now_ms + overlap_s * 1_000));
    let mut spec = rotated(object.body, until.as_deref(), &answer::time(now_ms));
    // A put without a key would leave the one that it has.
    let secret = format!("rw-{}", seal::random_hex::<16>().map_err(Problem::unavailable)?);
    spec["key_sha256"] = config::digest(&secret).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    let change = objects.put(&author(&caller), Kind::VirtualKey, &name, spec, Some(Precondition::Etag(etag)), Intent::Apply).await;
    let change = change.map_err(|refused| refused_as(refused, &HeaderMap::new()))?;
    Ok(answer::json(&Rotated { secret: Some(secret), until, revision: change.revision }))
}

/// The key's section without its own secret, which stands among the former ones until its end.
fn rotated(mut spec: Value, until: Option<&str>, now: &str) -> Value {
    let Some(fields) = spec.as_object_mut() else { return spec };
    fields.remove("key");
    let former = fields.remove("key_sha256");
    let mut previous: Vec<Value> = match fields.remove("previous") {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    // Times in RFC 3339 and one form stand in the order of their letters.
    previous.retain(|entry| entry["until"].as_str().is_none_or(|until| until > now));
    if let (Some(sha256), Some(until)) = (former, until) {
        previous.push(json!({"key_sha256": sha256, "until": until}));
    }
    let over = previous.len().saturating_sub(PREVIOUS_MAX);
    previous.drain(..over);
    if !previous.is_empty() {
        fields.insert("previous".into(), Value::Array(previous));
    }
    spec
}

fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|seconds| *seconds <= OVERLAP_S_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_former_key_stands_among_the_former_ones_until_its_end() {
        let spec = json!({"team": "a", "key_sha256": "aa", "previous": [{"key_sha256": "00", "until": "2020-01-01T00:00:00.000Z"}]});
        let after = rotated(spec.clone(), Some("2030-01-01T00:00:00.000Z"), "2026-01-01T00:00:00.000Z");
        assert_eq!(after, json!({"team": "a", "previous": [{"key_sha256": "aa", "until": "2030-01-01T00:00:00.000Z"}]}));
        assert_eq!(rotated(spec, None, "2026-01-01T00:00:00.000Z"), json!({"team": "a"}));
    }

    #[test]
    fn overlaps_have_a_unit_and_a_bound() {
        assert_eq!((seconds("1h"), seconds("0s"), seconds("90d")), (Some(3_600), Some(0), Some(7_776_000)));
        assert!([seconds(""), seconds("1"), seconds("h"), seconds("91d"), seconds("1é")].iter().all(Option::is_none));
    }
}
