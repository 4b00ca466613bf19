//! `logprobsResult` against OpenAI's `logprobs`, which is the hub's shape.

use serde_json::{Map, Value, json};

use crate::dialect::DialectId;
use crate::ir::Extra;

/// `{"content": [{"token", "logprob", "bytes", "top_logprobs"}]}` of a `logprobsResult`.
pub(super) fn to_hub(result: &Value) -> Extra {
    let list = |name: &str| result[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = |candidate: &Value| json!({"token": candidate["token"], "logprob": candidate["logProbability"], "bytes": null});
    let mut tops = list("topCandidates").iter();
    let content: Vec<Value> = list("chosenCandidates")
        .iter()
        .map(|chosen| {
            let top = tops.next().and_then(|top| top["candidates"].as_array()).map(Vec::as_slice).unwrap_or_default();
            let mut token = entry(chosen);
            token["top_logprobs"] = top.iter().map(entry).collect();
            token
        })
        .collect();
    let mut fields = Map::new();
    fields.insert("content".to_owned(), content.into());
    Extra { dialect: Some(DialectId::OpenaiChat), fields }
}

/// The `logprobsResult` of the hub's shape.
pub(super) fn of_hub(extra: &Extra) -> Option<Value> {
    let content = extra.of(DialectId::OpenaiChat)?.get("content")?.as_array()?;
    let entry = |token: &Value| json!({"token": token["token"], "logProbability": token["logprob"]});
    let top = |token: &Value| {
        let tops = token["top_logprobs"].as_array().map(Vec::as_slice).unwrap_or_default();
        json!({"candidates": tops.iter().map(entry).collect::<Vec<_>>()})
    };
    let chosen: Vec<Value> = content.iter().map(entry).collect();
    let top: Vec<Value> = content.iter().map(top).collect();
    Some(json!({"topCandidates": top, "chosenCandidates": chosen}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_say_the_same() {
        let result = json!({
            "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}, {"token": "Ho", "logProbability": -1.5}]}],
            "chosenCandidates": [{"token": "Hi", "logProbability": -0.5}],
        });
        let hub = to_hub(&result);
        assert_eq!(hub.fields["content"][0]["top_logprobs"][1]["token"], "Ho");
        assert_eq!(of_hub(&hub), Some(result));
        assert_eq!(of_hub(&Extra::default()), None);
    }
}
