//! Is a browser's request one of our own pages'? Told by `Origin` and `Sec-Fetch-Site`, which no page can set.

use axum::http::{HeaderMap, header};

/// How the admin listener is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP on loopback or a Unix socket; the port tells the cookies of several gateways apart.
    Loopback {
        port: u16,
    },
    Tls,
    /// A proxy ends TLS and speaks plain HTTP to us.
    BehindTls,
}

impl Transport {
    /// The scheme that browsers see.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Transport::Loopback { .. } => "http",
            Transport::Tls | Transport::BehindTls => "https",
        }
    }
}

/// What the fields say of the page that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// One of ours, or the person at the address bar.
    ByUs,
    /// A page of somebody else, or a frame without an origin.
    ByOthers,
    /// No browser of the last years asked.
    Unsaid,
}

/// `host` is the one that the request was sent to, and known to be ours.
pub(super) fn asked(headers: &HeaderMap, transport: Transport, host: &str) -> Asked {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    // Fetch Metadata, w3.org/TR/fetch-metadata. `same-site` is not enough: every port of localhost is the same site.
    let site = text("sec-fetch-site").map(|site| matches!(site, "same-origin" | "none"));
    let origin = text(header::ORIGIN.as_str()).map(|origin| is_own(origin, transport, host));
    match (site, origin) {
        (Some(false), _) | (_, Some(false)) => Asked::ByOthers,
        (None, None) => Asked::Unsaid,
        _ => Asked::ByUs,
    }
}

fn is_own(origin: &str, transport: Transport, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let bare = |authority: &str| authority.strip_suffix(default_port(scheme)).unwrap_or(authority).to_ascii_lowercase();
    scheme == transport.scheme() && bare(authority) == bare(host)
}

fn default_port(scheme: &str) -> &'static str {
    if scheme == "https" { ":443" } else { ":80" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Transport = Transport::Loopback { port: 8081 };

    fn told(fields: &[(&'static str, &str)], transport: Transport) -> Asked {
        let headers = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        asked(&headers, transport, "localhost:8081")
    }

    #[test]
    fn only_the_very_same_origin_is_ours() {
        assert_eq!(told(&[("origin", "http://localhost:8081")], LOCAL), Asked::ByUs);
        assert_eq!(told(&[("sec-fetch-site", "same-origin")], LOCAL), Asked::ByUs);
        for origin in
            ["http://localhost:3000", "https://localhost:8081", "http://localhost", "http://evil.example", "null", "localhost:8081"]
        {
            assert_eq!(told(&[("origin", origin)], LOCAL), Asked::ByOthers, "{origin}");
        }
        for site in ["same-site", "cross-site", "odd"] {
            assert_eq!(told(&[("sec-fetch-site", site)], LOCAL), Asked::ByOthers, "{site}");
            assert_eq!(told(&[("origin", "http://localhost:8081"), ("sec-fetch-site", site)], LOCAL), Asked::ByOthers, "{site}");
        }
        assert_eq!(told(&[], LOCAL), Asked::Unsaid);
    }

    #[test]
    fn the_default_port_may_be_left_out() {
        let ours = |origin: &str, host: &str| {
            let headers = [(header::ORIGIN, origin.parse().unwrap())].into_iter().collect();
            asked(&headers, Transport::Tls, host) == Asked::ByUs
        };
        assert!(ours("https://gateway.example", "gateway.example:443") && ours("https://gateway.example", "Gateway.Example"));
        assert!(!ours("https://gateway.example", "gateway.example:80") && !ours("http://gateway.example", "gateway.example"));
    }
}
