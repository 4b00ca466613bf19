//! Where an upstream is: a base URL taken apart once.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub tls: bool,
    /// Without brackets; also the TLS server name.
    pub host: Arc<str>,
    pub port: u16,
    /// `host` or `host:port`, as the Host header wants it.
    pub authority: Arc<str>,
    /// The base URL's path without a trailing slash: `/v1`.
    pub prefix: Arc<str>,
    /// Resolved by the control plane, last good answer kept; empty until the first one. An IP address is its own answer.
    pub addresses: Arc<[SocketAddr]>,
    /// `unix:/path` endpoints.
    pub unix: Option<Arc<str>>,
}

impl Endpoint {
    /// Takes a base URL apart: `http://host[:port][/prefix]`, `https://…`, `unix:/path[:/prefix]`.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn parse(url: &str) -> Result<Endpoint, String> {
        if let Some(rest) = url.strip_prefix("unix:") {
            return parse_unix(rest);
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| "a URL begins with http://, https:// or unix:/".to_owned())?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(format!("the scheme {other:?} is not known; write http://, https:// or unix:/")),
        };
        let (authority, path) = match rest.find('/') {
            Some(index) => rest.split_at(index),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("a URL holds no user and password; write the key under keys".to_owned());
        }
        let prefix = parse_prefix(path)?;
        let (host, port) = parse_authority(authority)?;
        let default_port = if tls { 443 } else { 80 };
        let port = port.unwrap_or(default_port);
        let literal: Option<IpAddr> = host.parse().ok();
        let shown = if literal.is_some_and(|ip| ip.is_ipv6()) { format!("[{host}]") } else { host.clone() };
        let authority = if port == default_port { shown } else { format!("{shown}:{port}") };
        let addresses: Arc<[SocketAddr]> = literal.map(|ip| SocketAddr::new(ip, port)).into_iter().collect();
        Ok(Endpoint { tls, host: host.into(), port, authority: authority.into(), prefix, addresses, unix: None })
    }

    /// The name that the control plane must resolve; `None` for IP addresses and Unix sockets.
    pub fn name_to_resolve(&self) -> Option<&str> {
        (self.unix.is_none() && self.host.parse::<IpAddr>().is_err()).then_some(&self.host)
    }
}

fn parse_unix(rest: &str) -> Result<Endpoint, String> {
    let (path, prefix) = rest.split_once(':').unwrap_or((rest, ""));
    if !path.starts_with('/') || path.len() < 2 {
        return Err("a Unix socket is an absolute path: unix:/run/name.sock".to_owned());
    }
    Ok(Endpoint {
        tls: false,
        host: "localhost".into(),
        port: 80,
        authority: "localhost".into(),
        prefix: parse_prefix(prefix)?,
        addresses: Arc::default(),
        unix: Some(path.into()),
    })
}

fn parse_prefix(path: &str) -> Result<Arc<str>, String> {
    if let Some(found) = path.chars().find(|c| matches!(c, '?' | '#')) {
        return Err(format!("a base URL ends before its {found:?}; write the path alone"));
    }
    if !path.is_empty() && !path.starts_with('/') {
        return Err("the path of a base URL begins with /".to_owned());
    }
    if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("a base URL holds printable ASCII alone; percent-encode the rest".to_owned());
    }
    Ok(path.trim_end_matches('/').into())
}

/// The host without brackets, and the port where one is given.
fn parse_authority(authority: &str) -> Result<(String, Option<u16>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| "an IPv6 address ends with ]".to_owned())?;
        host.parse::<Ipv6Addr>().map_err(|_| format!("{host:?} is not an IPv6 address"))?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host.to_owned(), Some(parse_port(port)?))),
            None if after.is_empty() => Ok((host.to_owned(), None)),
            None => Err("after ] comes :PORT or the path".to_owned()),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => return Err("an IPv6 address stands in brackets: http://[::1]:8080".to_owned()),
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err("the host is missing: http://HOST:PORT/…".to_owned());
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
        return Err(format!("{host:?} is not a host name; write letters, digits, dots and hyphens"));
    }
    Ok((host.to_ascii_lowercase(), port))
}

fn parse_port(port: &str) -> Result<u16, String> {
    match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(format!("{port:?} is not a port; write a number from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let endpoint = Endpoint::parse("https://API.example.com/openai/v1/").unwrap();
        assert_eq!((endpoint.tls, &*endpoint.host, endpoint.port), (true, "api.example.com", 443));
        assert_eq!((&*endpoint.authority, &*endpoint.prefix), ("api.example.com", "/openai/v1"));
        assert_eq!(endpoint.name_to_resolve(), Some("api.example.com"));
        let endpoint = Endpoint::parse("http://127.0.0.1:9100").unwrap();
        assert_eq!((&*endpoint.authority, &*endpoint.prefix), ("127.0.0.1:9100", ""));
        assert_eq!(&*endpoint.addresses, ["127.0.0.1:9100".parse().unwrap()]);
        assert_eq!(endpoint.name_to_resolve(), None);
    }

    #[test]
    fn ipv6_stands_in_brackets_and_the_host_without() {
        let endpoint = Endpoint::parse("http://[::1]:8000/v1").unwrap();
        assert_eq!((&*endpoint.host, &*endpoint.authority), ("::1", "[::1]:8000"));
        assert_eq!(&*Endpoint::parse("http://[::1]").unwrap().authority, "[::1]");
    }

    #[test]
    fn a_unix_socket_may_have_a_prefix() {
        let endpoint = Endpoint::parse("unix:/run/vllm.sock:/v1").unwrap();
        assert_eq!((endpoint.unix.as_deref(), &*endpoint.prefix, &*endpoint.authority), (Some("/run/vllm.sock"), "/v1", "localhost"));
    }

    #[test]
    fn what_is_not_a_base_url_says_what_to_write() {
        for (url, word) in [
            ("api.openai.com", "http://"),
            ("ftp://x", "scheme"),
            ("http://", "host is missing"),
            ("http://u:p@x", "user and password"),
            ("http://x:0", "port"),
            ("http://x:+1", "port"),
            ("http://::1/", "brackets"),
            ("http://[::1/", "]"),
            ("http://[zz]/", "IPv6"),
            ("http://[::1]x", "PORT"),
            ("http://x/v1?a=b", "ends before"),
            ("http://a b/", "host name"),
            ("http://x/é", "ASCII"),
            ("unix:run", "absolute"),
        ] {
            let message = Endpoint::parse(url).unwrap_err();
            assert!(message.contains(word), "{url}: {message}");
        }
    }
}
