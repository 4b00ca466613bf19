//! Credentials of a provider: drawn by weight at each attempt; one that is refused or limited rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::provider::Auth;

use crate::plan;

/// How long a credential rests that the provider refused or whose money is used up.
pub const REFUSED_REST: Duration = Duration::from_secs(60);
/// How long one rests that is rate limited, where the provider says nothing.
pub const LIMITED_REST: Duration = Duration::from_secs(1);
/// The longest rest that a provider can order.
pub const REST_MAX: Duration = Duration::from_secs(3600);

/// One key of a provider.
#[derive(Clone)]
pub struct Credential {
    pub name: Arc<str>,
    pub weight: u32,
    /// The secret. Never printed: `Debug` shows the name alone.
    pub value: Arc<str>,
    /// The whole header line with its line end, ready to write: `authorization: Bearer k\r\n`. Empty where the key
    /// travels elsewhere.
    pub header_line: Arc<[u8]>,
    /// `name=value` for a provider that takes its key in the query, percent-encoded; else empty.
    pub query_pair: Arc<str>,
    /// Process-wide; outlives snapshots.
    pub state: Arc<CredentialState>,
}

/// What became of a credential.
#[derive(Debug, Default)]
pub struct CredentialState {
    resting_until_ns: AtomicU64,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Credential {
    /// A credential with its bytes made ready.
    pub fn new(name: &str, value: &str, weight: u32, auth: &Auth) -> Credential {
        let header_line = match auth {
            Auth::Bearer => format!("authorization: Bearer {value}\r\n"),
            Auth::Header(name) => format!("{}: {value}\r\n", name.to_ascii_lowercase()),
            _ => String::new(),
        };
        let query_pair = match auth {
            Auth::Query(name) => format!("{name}={}", percent_encoded(value)),
            _ => String::new(),
        };
        Credential {
            name: name.into(),
            weight,
            value: value.into(),
            header_line: header_line.into_bytes().into(),
            query_pair: query_pair.into(),
            state: Arc::default(),
        }
    }

    /// Lets it rest where `fault` says that it is refused, limited or used up.
    pub fn tell(&self, fault: &Fault, now_ns: u64) {
        let rest = match fault.kind {
            Kind::UpstreamAuth | Kind::UpstreamSpendCap => fault.retry_after.unwrap_or(REFUSED_REST),
            Kind::UpstreamRateLimited => fault.retry_after.unwrap_or(LIMITED_REST),
            _ => return,
        };
        let until = now_ns.saturating_add(rest.min(REST_MAX).as_nanos() as u64);
        self.state.resting_until_ns.fetch_max(until, Ordering::Relaxed);
    }

    /// Zero where it may be used.
    pub fn resting_until_ns(&self, now_ns: u64) -> u64 {
        let until = self.state.resting_until_ns.load(Ordering::Relaxed);
        if until > now_ns { until } else { 0 }
    }
}

/// Draws by weight among those that do not rest; where all do, the one that comes back first. `None` where there are none.
pub fn draw(credentials: &[Credential], now_ns: u64, random: u64) -> Option<&Credential> {
    if let [only] = credentials {
        return Some(only);
    }
    let weights = credentials.iter().map(|credential| (credential.resting_until_ns(now_ns) == 0).then_some(credential.weight));
    match plan::draw(weights, &mut || random) {
        Some(index) => credentials.get(index),
        None => credentials.iter().min_by_key(|credential| credential.resting_until_ns(now_ns)),
    }
}

fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Credential> {
        [("a", 3), ("b", 1), ("c", 0)].map(|(name, weight)| Credential::new(name, name, weight, &Auth::Bearer)).into()
    }

    fn share(credentials: &[Credential], name: &str, now_ns: u64) -> usize {
        (0..100u64).filter(|n| &*draw(credentials, now_ns, (2 * n + 1) * (u64::MAX / 200)).unwrap().name == name).count()
    }

    #[test]
    fn the_draw_follows_the_weights() {
        let credentials = three();
        assert_eq!((share(&credentials, "a", 0), share(&credentials, "b", 0), share(&credentials, "c", 0)), (75, 25, 0));
        assert!(draw(&[], 0, 0).is_none());
    }

    #[test]
    fn a_refused_credential_rests_and_comes_back() {
        let credentials = three();
        credentials[0].tell(&Fault::new(Kind::UpstreamAuth, "401"), 0);
        assert_eq!(share(&credentials, "a", 1), 0);
        assert_eq!(share(&credentials, "b", 1), 100);
        assert_eq!(share(&credentials, "a", REFUSED_REST.as_nanos() as u64), 75);
    }

    #[test]
    fn a_limited_credential_rests_as_long_as_the_provider_says() {
        let credentials = three();
        let mut limited = Fault::new(Kind::UpstreamRateLimited, "429");
        limited.retry_after = Some(Duration::from_secs(5));
        credentials[1].tell(&limited, 0);
        assert_eq!(share(&credentials, "b", 4_999_999_999), 0);
        assert_eq!(share(&credentials, "b", 5_000_000_000), 25);
        limited.retry_after = Some(Duration::from_secs(1 << 40));
        credentials[1].tell(&limited, 0);
        assert_eq!(credentials[1].resting_until_ns(1), REST_MAX.as_nanos() as u64);
    }

    #[test]
    fn where_all_rest_the_first_to_come_back_is_taken() {
        let credentials = three();
        for (credential, seconds) in credentials.iter().zip([9, 5, 7]) {
            let mut limited = Fault::new(Kind::UpstreamRateLimited, "429");
            limited.retry_after = Some(Duration::from_secs(seconds));
            credential.tell(&limited, 0);
        }
        assert_eq!(&*draw(&credentials, 1, 0).unwrap().name, "b");
    }

    #[test]
    fn a_fault_of_the_client_lets_nothing_rest() {
        let credentials = three();
        credentials[0].tell(&Fault::new(Kind::UpstreamRefused, "400"), 0);
        assert_eq!(credentials[0].resting_until_ns(1), 0);
    }

    #[test]
    fn the_bytes_are_made_ready_and_never_printed() {
        let bearer = Credential::new("n", "s3cret", 1, &Auth::Bearer);
        assert_eq!(&*bearer.header_line, b"authorization: Bearer s3cret\r\n");
        assert!(!format!("{bearer:?}").contains("s3cret"));
        assert_eq!(&*Credential::new("n", "k", 1, &Auth::Header("X-Api-Key".into())).header_line, b"x-api-key: k\r\n");
        let query = Credential::new("n", "a b&c", 1, &Auth::Query("key".into()));
        assert_eq!((&*query.query_pair, query.header_line.len()), ("key=a%20b%26c", 0));
    }
}
