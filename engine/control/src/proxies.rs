//! `HTTPS_PROXY` and `NO_PROXY`: which providers are reached through a proxy.
//!
//! There is no standard; this follows what curl and Go agree on (about.gitlab.com/blog/we-need-to-talk-no-proxy, read
//! 2026-11-20): lower case wins over upper, `*` is everything, a name stands for itself and what is below it, an address
//! may be a CIDR, a port may follow. Loopback is never proxied.

use std::net::IpAddr;

use ringway_policy::snapshot::{Endpoint, Proxy, Snapshot};

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    https: Option<Endpoint>,
    exceptions: Vec<Exception>,
}

#[derive(Clone, Debug, PartialEq)]
struct Exception {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq)]
enum Host {
    Any,
    /// Lower case, without a leading dot.
    Name(String),
    Network(IpAddr, u8),
}

impl Proxies {
    /// Reads both variables; `lookup` is the environment.
    ///
    /// # Errors
    /// What is wrong with the proxy's URL. It holds no password: a proxy that wants one is refused.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Proxies, String> {
        let variable = |names: [&str; 2]| names.iter().find_map(|name| lookup(name)).map(|value| value.trim().to_owned());
        let https = match variable(["https_proxy", "HTTPS_PROXY"]).filter(|url| !url.is_empty()) {
            Some(url) if url.contains("://") => Some(url),
            Some(url) => Some(format!("http://{url}")),
            None => None,
        };
        if https.as_ref().is_some_and(|url| url.contains('@')) {
            return Err(
                "HTTPS_PROXY: a proxy that wants a user and a password is not carried; write http://HOST:PORT of one that wants none, \
                        or unset HTTPS_PROXY"
                    .to_owned(),
            );
        }
        let https = https.map(|url| Endpoint::parse(&url)).transpose().map_err(|message| format!("HTTPS_PROXY: {message}"))?;
        if https.as_ref().is_some_and(|proxy| proxy.tls || proxy.unix.is_some()) {
            return Err("HTTPS_PROXY: a proxy is reached by http://, not https:// or unix:/".to_owned());
        }
        let list = variable(["no_proxy", "NO_PROXY"]).unwrap_or_default();
        let exceptions = list.split([',', ' ']).filter(|entry| !entry.is_empty()).filter_map(parse_exception).collect();
        Ok(Proxies { https, exceptions })
    }

    /// Decides for every provider whose configuration left it to the environment.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        for upstream in &mut snapshot.providers {
            if upstream.proxy == Proxy::Environment {
                upstream.proxy = self.decide(&upstream.endpoint);
            }
        }
    }

    fn decide(&self, endpoint: &Endpoint) -> Proxy {
        match &self.https {
            Some(proxy) if endpoint.tls && !self.is_direct(endpoint) => Proxy::Via(proxy.clone()),
            _ => Proxy::Direct,
        }
    }

    fn is_direct(&self, endpoint: &Endpoint) -> bool {
        let ip = endpoint.host.parse::<IpAddr>().ok();
        if endpoint.unix.is_some() || &*endpoint.host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        self.exceptions.iter().any(|exception| {
            exception.port.is_none_or(|port| port == endpoint.port)
                && match &exception.host {
                    Host::Any => true,
                    Host::Name(name) => {
                        endpoint.host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                    }
                    Host::Network(network, bits) => ip.is_some_and(|ip| is_in(ip, *network, *bits)),
                }
        })
    }
}

/// `None` for an entry that stands for nothing.
fn parse_exception(entry: &str) -> Option<Exception> {
    if entry == "*" {
        return Some(Exception { host: Host::Any, port: None });
    }
    let whole = |host| Some(Exception { host, port: None });
    if let Some((address, bits)) = entry.split_once('/') {
        return whole(Host::Network(address.parse().ok()?, bits.parse().ok()?));
    }
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return whole(Host::Network(address, 128));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    let host = host.trim_start_matches("*.").trim_matches(['.', '[', ']']).to_ascii_lowercase();
    let host = host.parse().map_or_else(|_| Host::Name(host.clone()), |address| Host::Network(address, 128));
    (host != Host::Name(String::new())).then_some(Exception { host, port })
}

/// Is `ip` in the network of the first `bits` bits? More bits than an address has are all of them.
fn is_in(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            (ip.to_bits() ^ network.to_bits()) & mask == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            (ip.to_bits() ^ network.to_bits()) & mask == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(no_proxy: &str, url: &str) -> bool {
        let proxies = Proxies::read(&|name| match name {
            "HTTPS_PROXY" => Some("proxy.test:3128".to_owned()),
            "no_proxy" => Some(no_proxy.to_owned()),
            _ => None,
        })
        .unwrap();
        matches!(proxies.decide(&Endpoint::parse(url).unwrap()), Proxy::Via(proxy) if &*proxy.host == "proxy.test" && proxy.port == 3128)
    }

    #[test]
    fn https_goes_through_the_proxy_and_http_does_not() {
        assert!(via("", "https://api.acme.test/v1"));
        assert!(!via("", "http://api.acme.test/v1"));
        assert!(!via("", "https://127.0.0.1:9100"));
        assert!(!via("", "https://localhost:9100"));
    }

    #[test]
    fn no_proxy_names_hosts_networks_and_ports() {
        for (no_proxy, url, expected) in [
            ("*", "https://api.acme.test", false),
            ("acme.test", "https://api.acme.test", false),
            (".acme.test", "https://api.acme.test", false),
            ("*.acme.test", "https://api.acme.test", false),
            ("acme.test", "https://badacme.test", true),
            ("other.test, ACME.test", "https://acme.test", false),
            ("acme.test:8443", "https://acme.test", true),
            ("acme.test:8443", "https://acme.test:8443", false),
            ("10.0.0.0/8", "https://10.9.8.7", false),
            ("10.0.0.0/8", "https://11.9.8.7", true),
            ("10.1.2.3", "https://10.1.2.3", false),
            ("fd00::/8", "https://[fd12::1]", false),
            ("10.0.0.0/999,:,.", "https://10.9.8.7", true),
            ("0.0.0.0/0", "https://10.9.8.7", false),
        ] {
            assert_eq!(via(no_proxy, url), expected, "{no_proxy} {url}");
        }
    }

    #[test]
    fn a_proxy_with_a_password_is_refused_without_repeating_it() {
        let error = Proxies::read(&|name| (name == "HTTPS_PROXY").then(|| "http://u:hunter2@proxy".to_owned())).unwrap_err();
        assert!(error.starts_with("HTTPS_PROXY: ") && !error.contains("hunter2") && error.contains("http://HOST:PORT"), "{error}");
    }

    #[test]
    fn a_proxy_that_wants_tls_is_refused() {
        let error = Proxies::read(&|name| (name == "https_proxy").then(|| "https://proxy.test".to_owned())).unwrap_err();
        assert!(error.contains("http://"), "{error}");
    }

    #[test]
    fn without_the_variable_all_is_direct() {
        let proxies = Proxies::read(&|_| None).unwrap();
        assert_eq!(proxies.decide(&Endpoint::parse("https://acme.test").unwrap()), Proxy::Direct);
    }
}
