//! The PROXY protocol, versions 1 and 2, pure.
// haproxy.org/download/3.2/doc/proxy-protocol.txt, read 2026-11-20

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The version 2 signature.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses of a version 2 header.
const FIXED_LEN: usize = 16;
/// The shortest header of either version, `PROXY UNKNOWN` and a line end: so many bytes are always the header's.
pub const SHORTEST_LEN: usize = 15;
/// The longest version 1 line.
const LINE_BYTES_MAX: usize = 107;
/// The longest version 2 header that we read; the standard asks for 536 at least, the rest are extensions.
const BINARY_BYTES_MAX: usize = 4096;

/// Where the header stands after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many more bytes are the header's for certain.
    More(usize),
    /// The header ends with the next line feed, at most so many bytes on.
    Line(usize),
    /// It is whole. `None`: the proxy speaks for itself (a health check), the socket's own address stands.
    Done(Option<SocketAddr>),
    /// It is no PROXY header: the connection is to be closed.
    Malformed,
}

/// Looks at the bytes read so far, from the connection's first on.
pub fn step(bytes: &[u8]) -> Step {
    if bytes.len() < SHORTEST_LEN {
        return Step::More(SHORTEST_LEN - bytes.len());
    }
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    if !bytes.starts_with(b"PROXY ") {
        return Step::Malformed;
    }
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end + 1 == bytes.len() => line(&bytes[..end]).map_or(Step::Malformed, Step::Done),
        None if bytes.len() < LINE_BYTES_MAX => Step::Line(LINE_BYTES_MAX - bytes.len()),
        _ => Step::Malformed,
    }
}

/// `PROXY TCP4 SOURCE DESTINATION PORT PORT\r`.
fn line(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\r')?.strip_prefix("PROXY ")?;
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let port: u16 = words.next()?.parse().ok()?;
    let _: u16 = words.next()?.parse().ok()?;
    let v4 = match family {
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    (words.next().is_none() && source.is_ipv4() == v4 && destination.is_ipv4() == v4).then(|| Some(SocketAddr::new(source, port)))
}

fn binary(bytes: &[u8]) -> Step {
    if bytes.len() < FIXED_LEN {
        return Step::More(FIXED_LEN - bytes.len());
    }
    let len = FIXED_LEN + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if bytes[12] >> 4 != 2 || len > BINARY_BYTES_MAX || bytes.len() > len {
        return Step::Malformed;
    }
    if bytes.len() < len {
        return Step::More(len - bytes.len());
    }
    let body = &bytes[FIXED_LEN..];
    match (bytes[12] & 0xf, bytes[13]) {
        // LOCAL: whatever follows is to be skipped.
        (0, _) => Step::Done(None),
        (1, 0x11) => v4(body).map_or(Step::Malformed, |source| Step::Done(Some(source))),
        (1, 0x21) => v6(body).map_or(Step::Malformed, |source| Step::Done(Some(source))),
        // Unspecified, datagrams, Unix sockets: nothing that we could use.
        (1, _) => Step::Done(None),
        _ => Step::Malformed,
    }
}

fn v4(body: &[u8]) -> Option<SocketAddr> {
    let source: [u8; 4] = body.get(..4)?.try_into().ok()?;
    let port: [u8; 2] = body.get(8..10)?.try_into().ok()?;
    (body.len() >= 12).then(|| SocketAddr::from((Ipv4Addr::from(source), u16::from_be_bytes(port))))
}

fn v6(body: &[u8]) -> Option<SocketAddr> {
    let source: [u8; 16] = body.get(..16)?.try_into().ok()?;
    let port: [u8; 2] = body.get(32..34)?.try_into().ok()?;
    (body.len() >= 36).then(|| SocketAddr::from((Ipv6Addr::from(source), u16::from_be_bytes(port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary_header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// Feeds as the listener does: exactly what each step asks for.
    fn feed(header: &[u8], behind: &[u8]) -> (Step, usize) {
        let all = [header, behind].concat();
        let mut read = 0;
        loop {
            let next = match step(&all[..read]) {
                Step::More(count) => count,
                Step::Line(most) => {
                    all[read..].iter().take(most).position(|byte| *byte == b'\n').map_or(most.min(all.len() - read), |at| at + 1)
                }
                done => return (done, read),
            };
            if next == 0 || read + next > all.len() {
                return (step(&all[..read]), read);
            }
            read += next;
        }
    }

    #[test]
    fn whole_headers_give_the_source_and_take_no_byte_behind_them() {
        let v4: &[u8] = &[192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let v6: Vec<u8> = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 16], &[0, 99, 0, 80], b"extension"].concat();
        for (header, source) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(), Some("192.0.2.1:4711")),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n".to_vec(), Some("[2001:db8::1]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN some thing\r\n".to_vec(), None),
            (binary_header(1, 0x11, v4), Some("192.0.2.1:4711")),
            (binary_header(1, 0x21, &v6), Some("[::1]:99")),
            (binary_header(0, 0, b""), None),
            (binary_header(1, 0, b"xyz"), None),
        ] {
            let expected = Step::Done(source.map(|source| source.parse().unwrap()));
            assert_eq!(feed(&header, b"GET / HTTP/1.1\r\n"), (expected, header.len()), "{header:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 9\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 99999 80\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n".to_vec(),
            [b"PROXY ", &[b'x'; 200][..]].concat(),
            binary_header(1, 0x11, &[1, 2, 3]),
            binary_header(2, 0x11, &[0; 12]),
            binary_header(1, 0x11, &[0; 5000]),
            [&SIGNATURE[..], &[0x11, 0x11, 0, 12], &[0; 12]].concat(),
        ] {
            assert_eq!(feed(&bytes, b"").0, Step::Malformed, "{bytes:?}");
        }
    }
}
