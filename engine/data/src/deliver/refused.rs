//! A provider's refusal: its status and reason, read within bounds.

use ringway_adapters::fault::{Blame, Fault, Kind};
use ringway_policy::snapshot::credential::Credential;

use super::{Delivery, limits};
use crate::answer::Refusal;
use crate::downstream::Downstream;
use crate::events::Source;
use crate::incoming::{Incoming, ReadEnd, Room};
use crate::relay::Delivered;
use crate::rt::Rt;

/// Bytes of a provider's error body that are read for its reason.
const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;

impl Delivery<'_> {
    /// A provider's refusal: its status and reason become the attempt's fault.
    pub(super) async fn refused<R: Rt>(
        &mut self,
        down: &mut Downstream<'_, R>,
        incoming: &mut Incoming<R>,
        source: &Source<'_>,
        credential: Option<&Credential>,
        model: &str,
    ) -> Delivered {
        let shard = down.shard;
        let mut body = Vec::new();
        // A reason that is cut or garbled is no reason; the status speaks for itself.
        while let Ok(()) = incoming.decode(source.name) {
            incoming.pieces().iter().for_each(|piece| body.extend_from_slice(piece));
            if incoming.is_ended() || body.len() >= ERROR_BODY_BYTES_MAX {
                break;
            }
            // The head stays in front of the buffer: Retry-After is still to be read.
            match incoming.read(shard, down.gone, source.first_ns, Room::Behind, source.name).await {
                Ok(()) => {}
                Err(ReadEnd::Gone) => return Delivered::Gone,
                Err(ReadEnd::Fault(_)) => break,
            }
        }
        let is_whole = incoming.is_ended() && body.len() <= ERROR_BODY_BYTES_MAX;
        body.truncate(ERROR_BODY_BYTES_MAX);
        let status = incoming.head.status;
        let mut fault = match status {
            400.. => (source.dialect.decode_error)(status, &body),
            _ => Fault::new(Kind::MalformedResponse, format!("upstream {} answered {status}, which is no answer to this", source.name)),
        };
        fault.upstream_status = Some(status);
        fault.retry_after = fault.retry_after.or_else(|| limits::retry_after(incoming));
        if fault.kind == Kind::UpstreamAuth {
            fault.message =
                format!("upstream {} refused the gateway's credential with {status}; check its key in the configuration", source.name)
                    .into();
        }
        if let Some(credential) = credential {
            credential.tell_of(model, &fault, shard.rt.now_ns());
        }
        let is_clients = fault.kind.blame() == Blame::Client && std::ptr::eq(source.dialect, self.door.dialect.row());
        // A page of some proxy is no error of the dialect.
        if is_clients && is_whole && body.first() == Some(&b'{') {
            let content_type = incoming.field("content-type").unwrap_or(b"application/json").to_vec();
            self.refusal = Some(Refusal { content_type, body, dialect: source.dialect.id });
        }
        Delivered::Failed(fault)
    }
}
