//! Who the client is behind trusted proxies: `Forwarded` (RFC 7239) and `X-Forwarded-For`, pure.
//!
//! The lists grow to the right, so they are read from the right: each entry was written by the hop behind it, and is
//! believed as long as that hop is trusted. The first address outside the trusted networks is the client.

use std::net::{IpAddr, SocketAddr};

use crate::listener::Peer;
use crate::networks::Networks;
use crate::request::Request;

/// Entries looked at, from the right.
const HOPS_MAX: usize = 32;

/// The client of one request; `None` on a Unix socket whose proxy does not tell.
pub(crate) fn client_of(peer: &Peer, trusted: &Networks, request: Option<&Request<'_>>) -> Option<IpAddr> {
    let address = peer.address.map(|address| address.ip());
    let Some(request) = request.filter(|_| peer.trusted) else { return address };
    let values = |name: &'static str| {
        request.head.fields.list.iter().filter_map(move |field| {
            let text = |(start, end): (u32, u32)| &request.bytes[start as usize..end as usize];
            text(field.name).eq_ignore_ascii_case(name.as_bytes()).then(|| text(field.value))
        })
    };
    client(address, trusted, values("forwarded"), values("x-forwarded-for"))
}

/// The client's address, where a trusted `peer` (`None`: a Unix socket) speaks. The fields' values come in the order of
/// the head. `Forwarded` wins over `X-Forwarded-For`.
fn client<'a, F, X>(peer: Option<IpAddr>, trusted: &Networks, forwarded: F, x_forwarded_for: X) -> Option<IpAddr>
where
    F: DoubleEndedIterator<Item = &'a [u8]>,
    X: DoubleEndedIterator<Item = &'a [u8]>,
{
    let entries = |value: &'a [u8]| value.rsplit(|byte| *byte == b',');
    let mut standard = forwarded.rev().flat_map(entries).map(for_parameter).peekable();
    if standard.peek().is_some() {
        return walk(peer, trusted, standard);
    }
    walk(peer, trusted, x_forwarded_for.rev().flat_map(entries).map(address))
}

fn walk(peer: Option<IpAddr>, trusted: &Networks, hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
    let mut client = peer;
    for hop in hops.take(HOPS_MAX) {
        // An unreadable or hidden hop ends what we know.
        let Some(hop) = hop else { return client };
        client = Some(hop);
        if !trusted.contains(hop) {
            return client;
        }
    }
    client
}

/// The `for=` of one element of `Forwarded`.
fn for_parameter(element: &[u8]) -> Option<IpAddr> {
    let pair = element
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .find(|pair| pair.len() >= 4 && pair[..4].eq_ignore_ascii_case(b"for="))?;
    let value = pair[4..].trim_ascii();
    address(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str], x_forwarded_for: &[&str]) -> String {
        let trusted = Networks::parse(["10.0.0.0/8", "fd00::/8"]).unwrap();
        let bytes = |list: &[&str]| list.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        let (forwarded, x_forwarded_for) = (bytes(forwarded), bytes(x_forwarded_for));
        let (forwarded, x_forwarded_for) = (forwarded.iter().map(Vec::as_slice), x_forwarded_for.iter().map(Vec::as_slice));
        let client = client(peer.parse().ok(), &trusted, forwarded, x_forwarded_for);
        client.map_or_else(String::new, |client| client.to_string())
    }

    #[test]
    fn the_first_untrusted_hop_from_the_right_is_the_client() {
        for (peer, forwarded, x_forwarded_for, client) in [
            ("10.0.0.1", &[][..], &[][..], "10.0.0.1"),
            ("unix", &[], &["198.51.100.1"], "198.51.100.1"),
            ("unix", &[], &[], ""),
            ("10.0.0.1", &[], &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &[], &["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &[], &["1.1.1.1", "198.51.100.1,10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &[], &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &[], &["[2001:db8::1]:80"], "2001:db8::1"),
            ("10.0.0.1", &[], &["1.1.1.1, junk, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[], &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["for=198.51.100.2;proto=https, for=10.0.0.7"], &["1.1.1.1"], "198.51.100.2"),
            ("10.0.0.1", &["proto=https;For=\"[2001:db8::2]:99\""], &[], "2001:db8::2"),
            ("10.0.0.1", &["for=_hidden"], &["1.1.1.1"], "10.0.0.1"),
        ] {
            assert_eq!(found(peer, forwarded, x_forwarded_for), client, "{forwarded:?} {x_forwarded_for:?}");
        }
    }
}
