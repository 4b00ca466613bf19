//! What earlier requests stored at a provider: which target has it, and whose it is.
//!
//! Estimate: nothing for a request whose path and dialect name no such thing; else a look at its path, and one pass over its body where
//! that may name one.

use ringway_adapters::door::Door;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::json::peek;
use ringway_adapters::operation::Operation;
use ringway_adapters::path;
use ringway_policy::key::Principal;
use ringway_policy::plan::{Plan, Step};
use ringway_policy::snapshot::Snapshot;

use crate::owners::{self, Owner};

/// Where a request names what is stored.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

/// What is stored at a provider is nowhere else: of the plan stays the one that made what the request names, where that is remembered; all
/// that may have made it, where it is not; the first one, where it names nothing. What another key made is not there.
///
/// # Errors
/// `NotFound` where another key made what the path names, `InvalidRequest` where the body names it; of answers and conversations also where
/// nobody knows who did.
pub(crate) fn keep_maker(
    plan: &mut Plan,
    snapshot: &Snapshot,
    door: &Door<'_>,
    principal: &Principal,
    names: Names<'_>,
) -> Result<(), Fault> {
    let has_keys = !snapshot.keys.is_empty();
    let is_bound = door.binds_to_key() && has_keys;
    let mut owner = door.id.filter(|_| is_bound || door.stored_id().is_some()).and_then(owners::find);
    if is_bound && !owner.is_some_and(|owner| owner.is_of_key(&principal.key)) {
        return Err(unknown_id(door.id.unwrap_or_default()));
    }
    let is_stored = matches!(door.operation, Operation::Files | Operation::Batch | Operation::Passthrough);
    if is_stored && has_keys {
        check_path(names.path, principal)?;
    }
    if let Some(referred) = referred(door, snapshot, principal, names.body)? {
        owner = Some(referred);
    }
    let made = |step: &Step| owner.is_some_and(|owner| owner.is_of_provider(&snapshot.providers[step.provider].name));
    if let Some(index) = plan.steps.iter().position(made) {
        plan.steps.swap(0, index);
        plan.steps.truncate(1);
    } else if is_stored && door.stored_id().is_none() {
        plan.steps.truncate(1);
    }
    Ok(())
}

/// No part of the path may name what another key made, however it is spelled.
fn check_path(path: &str, principal: &Principal) -> Result<(), Fault> {
    let mut fault = None;
    path::each_segment(path, &mut |segment| {
        if owners::find(segment).is_some_and(|owner| owner.is_of_another(&principal.key)) {
            fault.get_or_insert_with(|| unknown_id(segment));
        }
    });
    fault.map_or(Ok(()), Err)
}

/// Who made what the body names; of several the last.
fn referred(door: &Door<'_>, snapshot: &Snapshot, principal: &Principal, body: &[u8]) -> Result<Option<Owner>, Fault> {
    let members = door.references();
    // With one provider and without keys there is nothing to choose and nobody to keep it from.
    if members.is_empty() || body.is_empty() || (snapshot.keys.is_empty() && snapshot.providers.len() <= 2) {
        return Ok(None);
    }
    let binds = door.dialect.row().stored_id().is_some() && !snapshot.keys.is_empty();
    let (mut owner, mut fault) = (None, None);
    peek::references(body, members, &mut |id| {
        let found = owners::find(id);
        let is_others = match found {
            Some(owner) if binds => !owner.is_of_key(&principal.key),
            Some(owner) => !snapshot.keys.is_empty() && owner.is_of_another(&principal.key),
            None => binds,
        };
        match is_others {
            true => fault = Some(not_found(id)),
            false => owner = found.or(owner),
        }
    });
    fault.map_or(Ok(owner), Err)
}

/// Why a search for an id ends here without it.
fn unknown_id(id: &str) -> Fault {
    Fault::new(Kind::NotFound, format!("{:?} is not known to this key: another one made it, or the gateway was started since", shown(id)))
}

/// In the words and with the code of platform.openai.com/docs/api-reference/responses, read 2026-11-20.
fn not_found(id: &str) -> Fault {
    let message =
        format!("{:?} is not known to this key: another one made it, or the gateway was started since; send the whole input", shown(id));
    let mut fault = Fault::new(Kind::InvalidRequest, message);
    fault.code = Some("previous_response_not_found".into());
    fault
}

fn shown(id: &str) -> String {
    id.chars().filter(|character| !character.is_control()).take(100).collect()
}
