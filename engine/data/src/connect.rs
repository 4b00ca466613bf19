//! Connecting to an upstream: its addresses in their order, through a proxy where one is set, TLS where it is asked for.
//!
//! Never resolves a name: addresses come with the snapshot.

use std::io::{self, IoSlice};
use std::sync::Arc;

use ringway_adapters::fault::{Fault, Kind};
use ringway_policy::snapshot::{Endpoint, Proxy, Upstream};

use crate::rt::{Address, Io, Rt};
use crate::shard::Shard;
use crate::tls::{self, Stream};
use crate::wheel::within;

/// Addresses tried for one connection.
const ADDRESSES_MAX: usize = 8;
/// Longest answer of a proxy to CONNECT.
const PROXY_HEAD_BYTES_MAX: usize = 8 * 1024;
const PROXY_FIELDS_MAX: usize = 64;

/// A fresh connection, ready for a request.
///
/// # Errors
/// `UpstreamConnect` (unresolved, refused, proxy or TLS failure), `UpstreamTimeout` at `deadline_ns`, `Overloaded` where
/// this process is out of descriptors.
pub async fn connect<R: Rt>(shard: &Shard<R>, upstream: &Upstream, deadline_ns: u64) -> Result<Stream<R>, Fault> {
    let started_ns = shard.now_ns();
    let opened = match &upstream.proxy {
        Proxy::Via(proxy) => through(shard, upstream, proxy, deadline_ns).await,
        // The control plane turns `Environment` into one of the others before it publishes.
        Proxy::Direct | Proxy::Environment => reach(shard, &upstream.endpoint, deadline_ns).await,
    };
    let stream = opened.map_err(|trouble| fault(shard, upstream, trouble, started_ns))?;
    if !upstream.endpoint.tls {
        return Ok(Stream::Plain(stream));
    }
    seal(shard, upstream, stream, deadline_ns).await.map_err(|trouble| fault(shard, upstream, trouble, started_ns))
}

/// Why there is no connection.
enum Trouble {
    Unresolved(Arc<str>),
    Io(io::Error),
    Proxy(String),
    Tls(io::Error),
}

async fn reach<R: Rt>(shard: &Shard<R>, endpoint: &Endpoint, deadline_ns: u64) -> Result<R::Stream, Trouble> {
    if let Some(path) = &endpoint.unix {
        return attempt(shard, &Address::Unix(path.clone()), deadline_ns).await.map_err(Trouble::Io);
    }
    let addresses = &endpoint.addresses[..endpoint.addresses.len().min(ADDRESSES_MAX)];
    let mut trouble = Trouble::Unresolved(endpoint.host.clone());
    for (index, address) in addresses.iter().enumerate() {
        // A silent address may use up its share of the time, not that of those behind it.
        let now_ns = shard.now_ns();
        let share_ns = deadline_ns.saturating_sub(now_ns) / (addresses.len() - index) as u64;
        match attempt(shard, &Address::Ip(*address), now_ns + share_ns).await {
            Ok(stream) => return Ok(stream),
            Err(error) => trouble = Trouble::Io(error),
        }
    }
    Err(trouble)
}

async fn attempt<R: Rt>(shard: &Shard<R>, address: &Address, deadline_ns: u64) -> io::Result<R::Stream> {
    within(&shard.wheel, deadline_ns, shard.rt.connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn seal<R: Rt>(shard: &Shard<R>, upstream: &Upstream, stream: R::Stream, deadline_ns: u64) -> Result<Stream<R>, Trouble> {
    let config = tls::client_config(&upstream.tls).map_err(Trouble::Tls)?;
    let sealed = tls::connect(&shard.wheel, stream, config, &upstream.endpoint.host, deadline_ns).await;
    sealed.map(Stream::Tls).map_err(Trouble::Tls)
}

/// A tunnel through an HTTP proxy (RFC 9110 §9.3.6), for plain upstreams too: what goes through it is then the same.
async fn through<R: Rt>(shard: &Shard<R>, upstream: &Upstream, proxy: &Endpoint, deadline_ns: u64) -> Result<R::Stream, Trouble> {
    if proxy.tls {
        return Err(Trouble::Proxy("a proxy is reached by http://, not https://".to_owned()));
    }
    let stream = reach(shard, proxy, deadline_ns).await?;
    let endpoint = &upstream.endpoint;
    let host = if endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    };
    let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    match within(&shard.wheel, deadline_ns, tunnel(&stream, request.as_bytes())).await {
        Ok(result) => result.map(|()| stream),
        Err(_) => Err(Trouble::Io(io::ErrorKind::TimedOut.into())),
    }
}

async fn tunnel(stream: &impl Io, mut request: &[u8]) -> Result<(), Trouble> {
    while !request.is_empty() {
        match stream.try_write(&[IoSlice::new(request)]) {
            Ok(count) => request = &request[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await.map_err(Trouble::Io)?,
            Err(error) => return Err(Trouble::Io(error)),
        }
    }
    let mut head = Vec::with_capacity(PROXY_HEAD_BYTES_MAX);
    loop {
        let result;
        (result, head) = stream.read(head).await;
        if result.map_err(Trouble::Io)? == 0 {
            return Err(Trouble::Proxy("the proxy closed the connection".to_owned()));
        }
        let mut fields = [httparse::EMPTY_HEADER; PROXY_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(len)) => {
                return match response.code {
                    // Neither TLS nor HTTP lets the far side speak first.
                    Some(200..=299) if len == head.len() => Ok(()),
                    Some(200..=299) => Err(Trouble::Proxy("the proxy sent bytes behind its answer".to_owned())),
                    code => Err(Trouble::Proxy(format!("the proxy answered {}", code.unwrap_or(0)))),
                };
            }
            Ok(httparse::Status::Partial) if head.len() < PROXY_HEAD_BYTES_MAX => {}
            _ => return Err(Trouble::Proxy("the proxy's answer is no HTTP".to_owned())),
        }
    }
}

fn fault<R: Rt>(shard: &Shard<R>, upstream: &Upstream, trouble: Trouble, started_ns: u64) -> Fault {
    let name = &upstream.name;
    let timeout = || {
        let waited_ms = shard.now_ns().saturating_sub(started_ns) / 1_000_000;
        Fault::new(Kind::UpstreamTimeout, format!("upstream {name}: no connection within {waited_ms} ms"))
    };
    match trouble {
        Trouble::Io(error) | Trouble::Tls(error) if error.kind() == io::ErrorKind::TimedOut => timeout(),
        Trouble::Io(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => {
            Fault::new(Kind::Overloaded, format!("upstream {name}: no free descriptor for a connection; raise the open files limit"))
        }
        Trouble::Io(error) => Fault::new(Kind::UpstreamConnect, format!("upstream {name}: {}", phrase(&error))),
        Trouble::Unresolved(host) => Fault::new(Kind::UpstreamConnect, format!("upstream {name}: {host} is not resolved")),
        Trouble::Proxy(reason) => Fault::new(Kind::UpstreamConnect, format!("upstream {name}: {reason}")),
        Trouble::Tls(error) => Fault::new(Kind::UpstreamConnect, format!("upstream {name}: TLS handshake: {error}")),
    }
}

fn phrase(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::NotFound => "no such socket".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    }
}
