//! A whole generateContent answer against events.

use std::collections::BTreeMap;

use serde_json::Value;

use super::chunk::{Answer, BLOCKED, FINISH_REASON, Texts, malformed};
use super::fold::Folded;
use super::name::get;
use super::{ID, error, finish, logprobs, usage};
use crate::dialect::Client;
use crate::event::{Block, Delta, Event, Finish};
use crate::fault::Fault;
use crate::ir::Extra;
use crate::json::build::{Array, Object};
use crate::json::tree::Tree;

/// Members that only an answer has.
const OF_ANSWERS: &[&str] = &["candidates", "promptFeedback", "usageMetadata", "error"];

pub(super) fn decode(body: &mut [u8], events: &mut Vec<Event>) -> Result<(), Fault> {
    let tree = Tree::parse(body).map_err(|_| malformed("answer is not valid JSON"))?;
    let root = tree.root();
    let mut answer = Answer::default();
    // A stream that was asked for as an array may come whole.
    if let Some(chunks) = root.array() {
        chunks.into_iter().try_for_each(|chunk| answer.apply(chunk, Texts::Joined, events))?;
    } else {
        if !OF_ANSWERS.iter().any(|name| get(root, name).is_some()) {
            return Err(malformed("answer has no candidates"));
        }
        answer.apply(root, Texts::Apart, events)?;
    }
    if !answer.is_over {
        answer.end(events);
    }
    Ok(())
}

#[derive(Default)]
struct Choice<'e> {
    blocks: BTreeMap<u32, Folded>,
    finish: Option<(&'e Finish, &'e Extra)>,
    logprobs: Option<Value>,
}

pub(super) fn encode(events: &[Event], client: &Client<'_>, out: &mut Vec<u8>) {
    let mut choices: BTreeMap<u32, Choice<'_>> = BTreeMap::new();
    let (mut id, mut model, mut fields, mut is_own) = ("", "", None, false);
    let mut tokens = None;
    for event in events {
        match event {
            Event::Start { id: its_id, model: its_model, extra, .. } => {
                (id, model, fields, is_own) = (its_id, its_model, extra.of(ID), extra.dialect == Some(ID));
            }
            Event::Open { choice, block, kind } => {
                choices.entry(*choice).or_default().blocks.insert(*block, Folded::open(kind));
            }
            Event::Delta { choice, delta: Delta::Logprobs(extra), .. } => {
                choices.entry(*choice).or_default().logprobs = logprobs::of_hub(extra);
            }
            Event::Delta { choice, block, delta } => {
                if let Some(folded) = choices.entry(*choice).or_default().blocks.get_mut(block) {
                    folded.add(delta);
                }
            }
            Event::Close { choice, block, extra } => {
                if let Some(folded) = choices.entry(*choice).or_default().blocks.get_mut(block) {
                    folded.close(extra);
                }
            }
            Event::Finish { choice, reason, extra } => choices.entry(*choice).or_default().finish = Some((reason, extra)),
            Event::Usage { usage, extra } => tokens = Some((usage, extra)),
            Event::Fault(fault) => return error::encode(fault, out),
            Event::Ping | Event::End => {}
        }
    }
    let mut body = Object::begin(out);
    if !is_blocked(&choices) {
        let mut candidates = body.array("candidates");
        choices.iter().for_each(|(index, choice)| encode_candidate(*index, choice, is_own, &mut candidates));
        candidates.end();
    }
    if let Some((usage, extra)) = tokens {
        usage::encode(usage, extra, body.object("usageMetadata"));
    }
    let model = if client.model.is_empty() { model } else { &client.model };
    if !model.is_empty() {
        body.str("modelVersion", model);
    }
    if !id.is_empty() {
        body.str("responseId", id);
    }
    fields.into_iter().flatten().for_each(|(name, value)| body.value(name, value));
    body.end();
}

/// The prompt was refused: such an answer has no candidates.
fn is_blocked(choices: &BTreeMap<u32, Choice<'_>>) -> bool {
    let marked =
        |choice: &Choice<'_>| choice.finish.is_some_and(|(_, extra)| extra.of(ID).is_some_and(|fields| fields.contains_key(BLOCKED)));
    !choices.is_empty() && choices.values().all(marked)
}

fn encode_candidate(index: u32, choice: &Choice<'_>, is_own: bool, candidates: &mut Array<'_>) {
    let mut candidate = candidates.object();
    let mut content = candidate.object("content");
    let mut parts = Vec::new();
    let mut array = Array::begin(&mut parts);
    choice.blocks.values().for_each(|folded| folded.encode(is_own, &mut array));
    array.end();
    if parts != b"[]" {
        content.raw("parts", &parts);
    }
    content.str("role", "model");
    content.end();
    let own = choice.finish.and_then(|(_, extra)| extra.of(ID));
    if let Some((reason, _)) = choice.finish
        && !own.is_some_and(|fields| fields.contains_key(FINISH_REASON))
    {
        let has_refusal = choice.blocks.values().any(|folded| folded.kind == Block::Refusal);
        candidate.str(FINISH_REASON, finish::word_with(reason, has_refusal));
    }
    candidate.u64("index", index.into());
    match &choice.logprobs {
        Some(result) if own.is_none() => candidate.value("logprobsResult", result),
        _ => {}
    }
    own.into_iter().flatten().for_each(|(name, value)| candidate.value(name, value));
    candidate.end();
}
