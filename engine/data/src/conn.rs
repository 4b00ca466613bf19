//! One downstream connection: waits for a request, gathers it whole, hands it to the exchange, and again.
//!
//! Per request, same connection: no allocation but the boxed turn (its future is too big to sit in every idle
//! connection); one read, and one more for each 16 KiB of body; the body lies behind its head in the buffer of the read.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::operation::Operation;

use crate::ahead::Ahead;
use crate::downstream::Downstream;
use crate::exchange;
use crate::http1::head::{Framing, HeadLimits, RequestHead, parse_request};
use crate::listener::Peer;
use crate::race::{Either, Watch, race};
use crate::request::{Gathering, Request};
use crate::rt::{Io, Rt};
use crate::shard::Shard;
use crate::tls::Stream;
use crate::upload::{BEGINNING_BYTES, Beginning, Upload};
use crate::wheel::within;

/// Bytes that are still read after a refusal, so that the client gets to read the answer.
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// How long a connection that was just used keeps the memory of its exchange.
const BUSY: Duration = Duration::from_secs(1);

/// A request in the buffer, whole.
struct Whole {
    head: RequestHead,
    body: std::ops::Range<usize>,
    /// Where the next request begins.
    next: usize,
    /// What follows `body`, where that is only the beginning.
    upload: Option<Upload>,
}

/// How waiting for a request ended, where it did not end with one.
enum End {
    /// The connection is over: nothing to say.
    Quiet,
    /// The client gets this fault, and nothing of the connection is parsed any more.
    Refuse(u16, Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> End {
        End::Refuse(fault.status(), fault)
    }
}

/// Serves a connection until it ends. The caller counts connections.
pub(crate) async fn serve<R: Rt>(shard: Rc<Shard<R>>, stream: Stream<R>, peer: Peer) {
    let make = |buffer: Vec<u8>| arrive(&shard, &stream, buffer);
    let read = pin!(make(Vec::new()));
    let mut ahead = Ahead::new(make, read);
    let mut carry = Vec::new();
    let mut idle = shard.tuning.keep_alive_idle;
    loop {
        if carry.is_empty() && first_bytes(&shard, &mut ahead, &mut carry, idle).await.is_err() {
            break;
        }
        let after = Box::pin(busy(&shard, &stream, &peer, &mut ahead, &mut carry)).await;
        match after {
            Ok(exchange::After::KeepAlive) => idle = shard.tuning.keep_alive_idle.saturating_sub(BUSY),
            Ok(exchange::After::Close) => {
                Box::pin(linger(&shard, &stream, &mut ahead, &mut carry)).await;
                return;
            }
            Ok(exchange::After::Reset) => {
                stream.reset();
                return;
            }
            Err(_) => break,
        }
    }
    shard.buffers.give(carry);
    stream.shutdown();
}

/// Requests and their answers, until the connection has been quiet for `BUSY`: making the exchange's big future anew for each
/// request would copy it each time, and keeping it would cost every idle connection its size.
async fn busy<R, F, M>(
    shard: &Shard<R>,
    stream: &Stream<R>,
    peer: &Peer,
    ahead: &mut Ahead<'_, F, M>,
    carry: &mut Vec<u8>,
) -> Result<exchange::After, End>
where
    R: Rt,
    F: Future<Output = (std::io::Result<usize>, Vec<u8>)>,
    M: Fn(Vec<u8>) -> F,
{
    loop {
        match turn(shard, stream, peer, ahead, carry).await {
            Ok(exchange::After::KeepAlive) => {}
            ended => return ended,
        }
        if carry.is_empty() && first_bytes(shard, ahead, carry, BUSY.min(shard.tuning.keep_alive_idle)).await.is_err() {
            // Whether it is quiet, ended or drained, the small wait will tell.
            return Ok(exchange::After::KeepAlive);
        }
    }
}

/// One request and its answer, from the first bytes on.
async fn turn<R, F, M>(
    shard: &Shard<R>,
    stream: &Stream<R>,
    peer: &Peer,
    ahead: &mut Ahead<'_, F, M>,
    carry: &mut Vec<u8>,
) -> Result<exchange::After, End>
where
    R: Rt,
    F: Future<Output = (std::io::Result<usize>, Vec<u8>)>,
    M: Fn(Vec<u8>) -> F,
{
    let whole = match next_request(shard, stream, ahead, carry).await {
        Ok(whole) => whole,
        Err(End::Quiet) => return Err(End::Quiet),
        Err(End::Refuse(status, fault)) => {
            // A head that is whole says in which API the refusal is to be written.
            let head = parse_request(carry, head_limits(shard)).ok().flatten();
            let request = head.as_ref().map(|head| Request { head, bytes: &carry[..head.len], body: &[], upload: None });
            let mut down = downstream(shard, stream, ahead, head.as_ref());
            exchange::refuse(&mut down, peer, request.as_ref(), status, fault).await;
            return Ok(exchange::After::Close);
        }
    };
    // Arms the read that watches the client, and serves the next request.
    ahead.arm(Vec::new);
    let mut watch = Watch { peer: ahead, cut: shard.cut_off() };
    let mut down = downstream(shard, stream, &mut watch, Some(&whole.head));
    let (bytes, rest) = carry.split_at(whole.head.len);
    let body = &rest[whole.body.start - whole.head.len..whole.body.end - whole.head.len];
    let request = Request { head: &whole.head, bytes, body, upload: whole.upload.as_ref() };
    let after = exchange::exchange(&mut down, peer, &request).await;
    let Some(upload) = whole.upload else {
        *carry = leftover(shard, std::mem::take(carry), whole.next);
        return Ok(after);
    };
    shard.buffers.give(std::mem::take(carry));
    match upload.into_leftover() {
        Some(left) => *carry = left,
        // Nobody read the body: what comes next on this connection is no request.
        None if after == exchange::After::KeepAlive => return Ok(exchange::After::Close),
        None => {}
    }
    Ok(after)
}

fn head_limits<R: Rt>(shard: &Shard<R>) -> HeadLimits {
    HeadLimits { bytes_max: shard.tuning.head_bytes_max, fields_max: shard.tuning.head_fields_max }
}

/// Reads into `buffer`; without one, waits first and rents one when bytes are there: an idle connection holds none.
pub(crate) async fn arrive<R: Rt>(shard: &Shard<R>, stream: &Stream<R>, mut buffer: Vec<u8>) -> (std::io::Result<usize>, Vec<u8>) {
    if buffer.capacity() == 0 {
        if let Err(error) = stream.readable().await {
            return (Err(error), buffer);
        }
        buffer = shard.buffers.rent();
    }
    stream.read(buffer).await
}

fn downstream<'a, R: Rt>(
    shard: &'a Shard<R>,
    stream: &'a Stream<R>,
    gone: &'a mut dyn crate::race::Gone,
    head: Option<&RequestHead>,
) -> Downstream<'a, R> {
    Downstream {
        shard,
        stream,
        gone,
        minor_version: head.map_or(1, |head| head.minor_version),
        head_only: head.is_some_and(|head| head.method == http::Method::HEAD),
        keep_alive: head.is_some_and(|head| head.keep_alive),
        committed: false,
        written_bytes: 0,
        outgoing: None,
    }
}

/// What a pipelining client sent behind this request; the buffer goes back where there is nothing.
fn leftover<R: Rt>(shard: &Shard<R>, mut carry: Vec<u8>, next: usize) -> Vec<u8> {
    if carry.len() <= next {
        shard.buffers.give(carry);
        return Vec::new();
    }
    carry.drain(..next);
    carry
}

/// Gathers the request that has begun.
async fn next_request<R, F, M>(shard: &Shard<R>, stream: &Stream<R>, ahead: &mut Ahead<'_, F, M>, carry: &mut Vec<u8>) -> Result<Whole, End>
where
    R: Rt,
    F: Future<Output = (std::io::Result<usize>, Vec<u8>)>,
    M: Fn(Vec<u8>) -> F,
{
    let tuning = &shard.tuning;
    let limits = head_limits(shard);
    let mut head_deadline_ns = None;
    let head = loop {
        match parse_request(carry, limits) {
            Ok(Some(head)) => break head,
            Ok(None) => {}
            Err(refusal) => return Err(End::Refuse(refusal.status, refused(refusal))),
        }
        let deadline_ns = *head_deadline_ns.get_or_insert_with(|| shard.rt.now_ns() + tuning.head_timeout.as_nanos() as u64);
        reserve(carry, 0);
        if gather(shard, ahead, carry, deadline_ns).await? == 0 {
            return Err(End::Quiet);
        }
    };
    let mut beginning = beginning(&head, carry);
    // Of a body that streams through, the announced length is no bound of what is gathered.
    let bytes_max = if beginning.is_some() { usize::MAX } else { tuning.body_bytes_max };
    let mut gathering = Gathering::new(&head, bytes_max)?;
    let mut may_continue = head.expects_continue;
    loop {
        if let Some((body, next)) = gathering.advance(carry)? {
            return Ok(Whole { head, body, next, upload: None });
        }
        if let Some(beginning) = &mut beginning {
            let body = gathering.gathered(carry);
            if beginning.is_enough(body) {
                let (body, upload) = gathering.into_upload(carry)?;
                return Ok(Whole { head, next: body.end, body, upload: Some(upload) });
            }
            if body.len() > tuning.body_bytes_max {
                return Err(Fault::new(Kind::RequestTooLarge, FORM_WITHOUT_MODEL).into());
            }
        }
        if std::mem::take(&mut may_continue) && carry.len() == head.len {
            downstream(shard, stream, ahead, None).go_on().await.map_err(|_| End::Quiet)?;
        }
        reserve(carry, if beginning.is_some() { 0 } else { gathering.missing(carry.len()) });
        let deadline_ns = shard.rt.now_ns() + tuning.body_idle.as_nanos() as u64;
        if gather(shard, ahead, carry, deadline_ns).await? == 0 {
            return Err(End::Quiet);
        }
    }
}

const FORM_WITHOUT_MODEL: &str =
    "the form's model does not stand in what may be gathered of a body; put the field model before the file, or raise body_bytes_max";

/// `None` where the body must be whole before the exchange begins: where it is short, compressed, or read by the gateway.
fn beginning(head: &RequestHead, carry: &[u8]) -> Option<Beginning> {
    let is_long = match head.framing {
        Framing::Length(length) => length > BEGINNING_BYTES as u64,
        Framing::Chunked => true,
        _ => false,
    };
    if !is_long || carry.len() < head.len {
        return None;
    }
    let request = Request { head, bytes: &carry[..head.len], body: &[], upload: None };
    let door = request.door()?;
    if request.field("content-encoding").is_some() && door.operation != Operation::Passthrough {
        return None;
    }
    Beginning::of(&door, request.field("content-type"))
}

/// Room for what is announced; at least a page. Announced lengths are within `body_bytes_max` here, but memory is only
/// taken in steps, so that an announcement alone costs little.
fn reserve(carry: &mut Vec<u8>, missing: usize) {
    const STEP_BYTES: usize = 1024 * 1024;
    let spare = carry.capacity() - carry.len();
    if spare < missing.clamp(1, STEP_BYTES) {
        carry.reserve(missing.clamp(4096, STEP_BYTES));
    }
}

/// Waits on an idle connection: for its first bytes, the end of `idle`, or the drain.
async fn first_bytes<R, F, M>(shard: &Shard<R>, ahead: &mut Ahead<'_, F, M>, carry: &mut Vec<u8>, idle: Duration) -> Result<(), End>
where
    R: Rt,
    F: Future<Output = (std::io::Result<usize>, Vec<u8>)>,
    M: Fn(Vec<u8>) -> F,
{
    ahead.arm(Vec::new);
    let deadline_ns = shard.rt.now_ns() + idle.as_nanos() as u64;
    match race(within(&shard.wheel, deadline_ns, ahead.more(carry)), shard.drained()).await {
        Either::Left(Ok((Ok(count), _))) if count > 0 => Ok(()),
        _ => Err(End::Quiet),
    }
}

async fn gather<R, F, M>(shard: &Shard<R>, ahead: &mut Ahead<'_, F, M>, carry: &mut Vec<u8>, deadline_ns: u64) -> Result<usize, End>
where
    R: Rt,
    F: Future<Output = (std::io::Result<usize>, Vec<u8>)>,
    M: Fn(Vec<u8>) -> F,
{
    match within(&shard.wheel, deadline_ns, ahead.more(carry)).await {
        Ok((Ok(count), spare)) => {
            if let Some(buffer) = spare {
                shard.buffers.give(buffer);
            }
            Ok(count)
        }
        Ok((Err(_), _)) => Err(End::Quiet),
        Err(_) => Err(Fault::new(Kind::RequestTimeout, "the request did not arrive whole in time; send it without pauses").into()),
    }
}

fn refused(refusal: crate::http1::head::Refusal) -> Fault {
    let kind = match refusal.status {
        431 => Kind::HeadTooLarge,
        _ => Kind::InvalidRequest,
    };
    Fault::new(kind, refusal.reason)
}

/// Ends our side and reads what the client still sends, bounded, so that a reset does not destroy the answer on its way.
async fn linger<R, F, M>(shard: &Shard<R>, stream: &Stream<R>, ahead: &mut Ahead<'_, F, M>, carry: &mut Vec<u8>)
where
    R: Rt,
    F: Future<Output = (std::io::Result<usize>, Vec<u8>)>,
    M: Fn(Vec<u8>) -> F,
{
    stream.shutdown();
    let deadline_ns = shard.rt.now_ns() + LINGER.as_nanos() as u64;
    let mut seen_bytes = 0;
    while seen_bytes < LINGER_BYTES_MAX {
        carry.clear();
        reserve(carry, 0);
        match within(&shard.wheel, deadline_ns, ahead.more(carry)).await {
            Ok((Ok(count), _)) if count > 0 => seen_bytes += count,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::kernel::Monoio;

    fn size_of_output<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// 10,000 idle connections in 60 MiB leave 6 KiB for each, the kernel's part aside.
    #[test]
    fn an_idle_connection_is_small() {
        let bytes = size_of_output(serve::<Monoio>);
        assert!(bytes <= 2048, "the future of a connection has {bytes} bytes");
    }
}
