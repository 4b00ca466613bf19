//! What a start prints for the person who started it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ringway_control::access::LINK_LIFETIME;

/// Where a listener is, as a client would reach it.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(String),
}

/// Everything that the banner tells.
pub struct Banner {
    pub version: &'static str,
    pub data: Vec<Place>,
    pub tls: Scheme,
    pub admin: Place,
    pub admin_tls: Scheme,
    /// `None` where the operator set it: it is not repeated.
    pub fresh_token: Option<String>,
    /// While there is no user: the secret of the link that makes its first opener the owner.
    pub link: Option<String>,
    pub driver: &'static str,
    pub threads: usize,
    pub providers: Vec<String>,
    /// The file, or the environment.
    pub origin: String,
    pub keys: Keys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// Who may send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Anonymous,
    Virtual,
}

impl Banner {
    pub fn render(&self) -> String {
        let mut out = format!("ringway {}\n\n", self.version);
        for place in &self.data {
            let _ = writeln!(out, "  data       {}", place.url(self.tls));
        }
        let _ = writeln!(out, "  admin      {}", self.admin.url(self.admin_tls));
        let _ = match &self.fresh_token {
            Some(token) => writeln!(out, "  token      {token} (admin; new at each start, or set --admin-token)"),
            None => writeln!(out, "  token      as set by --admin-token or RINGWAY_ADMIN_TOKEN (admin)"),
        };
        if let Some(link) = &self.link {
            // A browser opens no Unix socket: there the token makes the first owner.
            if let Place::Tcp(_) = self.admin {
                let minutes = LINK_LIFETIME.as_secs() / 60;
                let _ = writeln!(
                    out,
                    "  start      {}/start?link={link} (once, within {minutes} minutes: makes you the owner)",
                    self.admin.url(self.admin_tls)
                );
            }
        }
        let plural = if self.threads == 1 { "thread" } else { "threads" };
        let _ = writeln!(out, "  driver     {}, {} {plural}", self.driver, self.threads);
        let _ = writeln!(out, "  providers  {} (from {})", self.providers.join(", "), self.origin);
        out.push_str("\nA first request:\n\n");
        out.push_str(&self.first_request());
        out.push('\n');
        out
    }

    /// A command that works as pasted, but for the virtual key that only the operator knows.
    fn first_request(&self) -> String {
        let mut out = "  curl".to_owned();
        if self.tls == Scheme::Https {
            out.push_str(" --insecure");
        }
        let url = match self.data.first() {
            Some(Place::Unix(path)) => {
                let _ = write!(out, " --unix-socket {path}");
                format!("{}localhost", self.tls.prefix())
            }
            Some(place) => place.url(self.tls),
            None => String::new(),
        };
        let _ = write!(out, " {url}/v1/chat/completions -H 'content-type: application/json'");
        if self.keys == Keys::Virtual {
            out.push_str(" -H 'authorization: Bearer YOUR_VIRTUAL_KEY'");
        }
        out.push_str(" \\\n    -d '{\"model\":\"ringway/echo\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n");
        out
    }
}

impl Scheme {
    fn prefix(self) -> &'static str {
        match self {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        }
    }
}

impl Place {
    /// A URL that can be opened on this machine: an unspecified address is shown as loopback.
    fn url(&self, scheme: Scheme) -> String {
        match self {
            Place::Unix(path) => format!("unix:{path}"),
            Place::Tcp(address) => {
                let ip = match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                    ip => ip,
                };
                format!("{}{}", scheme.prefix(), SocketAddr::new(ip, address.port()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner() -> Banner {
        Banner {
            version: "0.1.0",
            data: vec![Place::Tcp("0.0.0.0:8080".parse().unwrap()), Place::Unix("/run/r.sock".into())],
            tls: Scheme::Http,
            admin: Place::Tcp("127.0.0.1:8081".parse().unwrap()),
            admin_tls: Scheme::Http,
            fresh_token: Some("rw-abc".into()),
            link: None,
            driver: "uring",
            threads: 2,
            providers: vec!["ringway".into(), "acme".into()],
            origin: "./ringway.yaml".into(),
            keys: Keys::Anonymous,
        }
    }

    #[test]
    fn it_tells_both_urls_driver_threads_providers_and_token() {
        let text = banner().render();
        for part in [
            "http://127.0.0.1:8080",
            "unix:/run/r.sock",
            "http://127.0.0.1:8081",
            "rw-abc",
            "uring, 2 threads",
            "ringway, acme",
            "ringway/echo",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("authorization"), "{text}");
    }

    #[test]
    fn the_first_request_fits_the_listener() {
        let tls = Banner { tls: Scheme::Https, keys: Keys::Virtual, ..banner() }.render();
        assert!(tls.contains("curl --insecure https://127.0.0.1:8080/v1/chat/completions"), "{tls}");
        assert!(tls.contains("Bearer YOUR_VIRTUAL_KEY"), "{tls}");
        let unix = Banner { data: vec![Place::Unix("/run/r.sock".into())], ..banner() }.render();
        assert!(unix.contains("curl --unix-socket /run/r.sock http://localhost/v1/chat/completions"), "{unix}");
    }

    #[test]
    fn a_link_is_shown_while_there_is_no_user() {
        let text = Banner { link: Some("abc".into()), ..banner() }.render();
        assert!(text.contains("http://127.0.0.1:8081/start?link=abc (once, within 60 minutes"), "{text}");
        let tls = Banner { link: Some("abc".into()), admin_tls: Scheme::Https, ..banner() }.render();
        assert!(tls.contains("https://127.0.0.1:8081/start?link=abc"), "{tls}");
        assert!(!banner().render().contains("/start"));
    }

    #[test]
    fn a_token_that_was_given_is_not_repeated() {
        let text = Banner { fresh_token: None, ..banner() }.render();
        assert!(text.contains("as set by --admin-token"), "{text}");
    }
}
