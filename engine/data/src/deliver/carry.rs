//! Requests whose bodies are not read: where they go, what of them is edited, and what their answers made.

use std::borrow::Cow;

use ringway_adapters::dialect::AsksIn;
use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::ir::Mode;
use ringway_adapters::json::patch::{self, Edit, Edits};
use ringway_adapters::json::peek;
use ringway_adapters::operation::Operation;
use ringway_policy::plan::Step;
use ringway_policy::snapshot::Upstream;
use ringway_policy::snapshot::credential::Credential;

use super::{Delivery, limits};
use crate::attempt::Outbound;
use crate::carried::{self, Carried, Untold};
use crate::classify::BodyForm;
use crate::downstream::Downstream;
use crate::events::Source;
use crate::incoming::Incoming;
use crate::journal::Journal;
use crate::owners::{self, Owner};
use crate::relay::Delivered;
use crate::rt::Rt;

impl Delivery<'_> {
    /// The client's bytes, but for these spans.
    pub(super) fn as_it_came<'o>(&'o self, edits: &'o [Edit]) -> Outbound<'o> {
        match self.request.upload {
            Some(upload) => Outbound::Upload { beginning: self.body, edits, upload },
            None => Outbound::Patched { body: self.body, edits },
        }
    }

    /// The model's name at the provider, where the body names one. A passthrough is the provider's own already.
    pub(super) fn model_edit(&self, step: &Step) -> Edits {
        let edit = match &self.asked.body {
            BodyForm::Form(form) => {
                let span = form.model.clone().filter(|span| self.body[span.clone()] != *step.model.as_bytes());
                span.map(|span| Edit { span, bytes: step.model.as_bytes().into() })
            }
            BodyForm::Carried if self.door.provider.is_none() && !step.model.is_empty() && *self.asked.model != *step.model => {
                self.asked.peek.model.is_some().then(|| patch::set_model(&self.asked.peek, self.body, &step.model)).flatten()
            }
            _ => None,
        };
        patch::combine(edit)
    }

    pub(super) fn cannot_serve(&self, upstream: &Upstream) -> Fault {
        let message = format!("{} cannot serve {} for this client's API; ask in its own API", upstream.name, self.door.operation.name());
        Fault::new(Kind::InvalidRequest, message)
    }

    /// Below the base URL. What follows the operation's own path goes along; a passthrough has nothing else.
    pub(super) fn path<'s>(&'s self, upstream: &Upstream, step: &'s Step) -> Cow<'s, str> {
        let behind = match (self.door.operation, self.door.provider) {
            (Operation::Passthrough, Some(_)) => return Cow::Borrowed(below(&upstream.endpoint.prefix, self.door.upstream_path)),
            (Operation::Passthrough, None) => self.door.upstream_path,
            (Operation::Image | Operation::Files | Operation::Batch | Operation::Realtime, _) => self.door.tail,
            _ => return self.with_verb(step),
        };
        let (path, query) = step.path.split_once('?').unwrap_or((&step.path, ""));
        let mark = if query.is_empty() { "" } else { "?" };
        Cow::Owned(format!("{}{behind}{mark}{query}", path.trim_end_matches('/')))
    }

    /// Where paths end in verbs, the client's own stays within one dialect: `embedContent` asks for one vector, `batchEmbedContents` for
    /// several.
    fn with_verb<'s>(&self, step: &'s Step) -> Cow<'s, str> {
        let path = &*step.path;
        let verb = |path: &str| path.rsplit_once(':').map(|(_, verb)| verb.to_owned()).filter(|verb| !verb.contains('/'));
        let same = step.dialect == self.door.dialect && step.dialect.row().asks_in == AsksIn::Path;
        let (stem, query) = path.split_once('?').unwrap_or((path, ""));
        match (verb(stem), verb(self.door.upstream_path)) {
            (Some(own), Some(asked)) if same && self.door.mode != Some(Mode::Stream) && own != asked => {
                let mark = if query.is_empty() { "" } else { "?" };
                Cow::Owned(format!("{}{asked}{mark}{query}", &stem[..stem.len() - own.len()]))
            }
            _ => Cow::Borrowed(path),
        }
    }

    /// Passes the answer on as it came, and remembers whose it is.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn carry<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        journal: &mut Journal,
        incoming: &mut Incoming<R>,
        source: &Source<'_>,
        upstream: &Upstream,
        credential: Option<&Credential>,
        step: &Step,
    ) -> Delivered {
        let status = incoming.head.status;
        let untold = if matches!(self.door.passes, Some(Operation::Chat | Operation::Complete)) { Untold::Counts } else { Untold::Nothing };
        let Carried { delivered, body } = carried::carry(down, journal, incoming, source, untold).await;
        let body = body.unwrap_or_default();
        if status >= 400 {
            // The client has the provider's own words; whose fault it is counts for the credential.
            let mut fault = (source.dialect.decode_error)(status, &body);
            fault.upstream_status = Some(status);
            fault.retry_after = fault.retry_after.or_else(|| limits::retry_after(incoming));
            if let Some(credential) = credential {
                credential.tell_of(&step.model, &fault, down.shard.rt.now_ns());
            }
            self.told = Some(fault.kind);
        } else {
            self.note_made(&body, &upstream.name);
        }
        delivered
    }

    /// Remembers what the answer made, and what it tells the id of. Only who makes a thing gets it: to look at one makes nobody its owner.
    fn note_made(&self, body: &[u8], provider: &str) {
        let keeps = match self.door.asks() {
            Operation::Files | Operation::Batch | Operation::Passthrough => true,
            Operation::Chat => self.door.dialect.row().stored_id().is_some(),
            _ => false,
        };
        let Some(id) = made(body, "id").filter(|_| keeps) else { return };
        let makes = self.request.head.method == http::Method::POST && self.door.id.is_none();
        let own = Owner::new(provider, &self.principal.key);
        owners::remember(&id, if makes { own } else { Owner::of_provider(provider) });
        if self.door.asks() == Operation::Batch && owners::find(&id) == Some(own) {
            // What a batch of this key wrote is this key's.
            BATCH_FILES.iter().filter_map(|name| made(body, name)).for_each(|file| owners::remember(&file, own));
        }
    }
}

/// `/v1` stands at the end of many base URLs and at the begin of many paths that are written behind them.
fn below<'p>(prefix: &str, path: &'p str) -> &'p str {
    let version = prefix.rfind('/').map_or("", |at| &prefix[at..]);
    let is_version = version.len() > 2 && version.starts_with("/v") && version[2..].starts_with(|c: char| c.is_ascii_digit());
    path.strip_prefix(version).filter(|rest| is_version && rest.starts_with('/')).unwrap_or(path)
}

/// Members of a batch that name files which it made (platform.openai.com/docs/api-reference/batch/object, read 2026-11-20).
const BATCH_FILES: &[&str] = &["output_file_id", "error_file_id"];

/// The id of what an answer made.
fn made(body: &[u8], name: &str) -> Option<String> {
    let span = peek::member(body, name)?;
    peek::string(body, span).ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_not_written_twice() {
        for (prefix, path, below_it) in [
            ("/v1", "/v1/files", "/files"),
            ("/v1", "/files", "/files"),
            ("/openai/v1", "/v1/files", "/files"),
            ("", "/v1/files", "/v1/files"),
            ("/v1", "/v1", "/v1"),
            ("/v1", "/v1beta/x", "/v1beta/x"),
            ("/api", "/api/x", "/api/x"),
        ] {
            assert_eq!(below(prefix, path), below_it, "{prefix} {path}");
        }
    }
}
