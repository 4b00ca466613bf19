//! The Host allow-list: a page of another site that points its own name at this machine reaches nothing (DNS rebinding).

use std::net::IpAddr;

/// Most names that may be configured.
pub const NAMES_MAX: usize = 64;

/// The names that the admin listener answers to.
///
/// An address is always taken: whoever rebinds has a name to rebind, and a page that was loaded from an address is
/// of that address. So are `localhost` and what ends in `.localhost`, which no server of names is asked for.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    pub fn new(names: impl IntoIterator<Item = String>) -> Hosts {
        Hosts { names: names.into_iter().take(NAMES_MAX).map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Is `host`, as in the field `Host` (with or without a port), one of them?
    pub(super) fn hold(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else { return false };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_address = name.parse::<IpAddr>().is_ok();
        is_address || name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
    }
}

/// The name or address of `NAME:PORT`, `NAME`, `[ADDRESS]:PORT`.
fn name_of(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            name.parse::<std::net::Ipv6Addr>().ok()?;
            (name, port.strip_prefix(':').or(port.is_empty().then_some(""))?)
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    (!name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_loopback_names_and_configured_names_are_taken() {
        let hosts = Hosts::new(["Gateway.Example".to_owned()]);
        for host in ["127.0.0.1:8081", "127.0.0.1", "[::1]:8081", "[::1]", "localhost:8081", "LOCALHOST", "a.localhost", "10.1.2.3:80"] {
            assert!(hosts.hold(host), "{host}");
        }
        assert!(hosts.hold("gateway.example:443") && hosts.hold("gateway.example."));
    }

    #[test]
    fn other_names_are_refused() {
        let hosts = Hosts::new(["gateway.example".to_owned()]);
        let others = [
            "",
            "evil.example",
            "evil.example:8081",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "xgateway.example",
            "[::1",
            "a:b",
            "[evil.example]:1",
            "127.0.0.1@evil.example",
            "evil.example/localhost",
            ":8081",
        ];
        for host in others {
            assert!(!hosts.hold(host), "{host}");
        }
    }
}
