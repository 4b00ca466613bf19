//! Credentials of a provider: drawn by weight at each attempt; one that is refused, limited or used up is benched.
//!
//! One word of atomic state each; a draw looks at each once or twice and allocates nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringway_adapters::fault::{Fault, Kind};
use ringway_adapters::provider::Auth;

use crate::plan;
use crate::quota;

/// One request in so long tries a credential that was refused with 401 or 403.
pub const PROBE_EVERY: Duration = Duration::from_secs(60);
/// A 403 to a credential that did well in this time is about what was asked, not about the credential.
pub const PROVEN_FOR: Duration = Duration::from_secs(60);
/// How long one is benched whose money or quota is used up.
pub const SPENT_BENCH: Duration = Duration::from_secs(600);
/// How long one rests that is rate limited, where the provider says nothing.
pub const LIMITED_REST: Duration = Duration::from_secs(1);
/// The longest rest that a provider can order.
pub const REST_MAX: Duration = Duration::from_secs(3600);
/// The longest rest on the word of a good answer that nothing is left of a limit. Its reset says when the limit is full again, not
/// when the next request fits.
pub const READ_AHEAD_MAX: Duration = Duration::from_secs(10);

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
    /// What each request is signed with, where the key itself does not travel.
    pub signing: Option<Arc<Signing>>,
    pub quotas: quota::List,
    /// Process-wide; outlives snapshots.
    pub state: Arc<CredentialState>,
}

/// A key that signs requests (AWS Signature Version 4). The secret is never printed.
#[derive(Clone)]
pub struct Signing {
    pub access_key_id: Arc<str>,
    pub secret_access_key: Arc<str>,
    /// Of a temporary key.
    pub session_token: Option<Arc<str>>,
    pub region: Arc<str>,
    pub service: Arc<str>,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing").field("region", &self.region).field("service", &self.service).finish_non_exhaustive()
    }
}

/// What became of a credential: until when it is benched, in milliseconds (upper 61 bits), and why (lower 3 bits).
#[derive(Debug, Default)]
pub struct CredentialState {
    bench: AtomicU64,
    /// When it was last seen to do well, about.
    proven_ns: AtomicU64,
    /// Of the model whose answer benched it last: a hash.
    model: AtomicU64,
}

/// Why a credential is benched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Limited, and nobody said for how long: used where nothing else is there.
    Limited = 1,
    /// Limited until then, by the provider's word.
    Ordered = 2,
    /// 401 or 403: probed until one succeeds.
    Refused = 3,
    /// Its money or quota is used up.
    Spent = 4,
}

impl Why {
    const ALL: [Why; 4] = [Why::Limited, Why::Ordered, Why::Refused, Why::Spent];

    /// For people and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Why::Limited | Why::Ordered => "limited",
            Why::Refused => "refused",
            Why::Spent => "spent",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Why::Limited | Why::Ordered => Kind::UpstreamRateLimited,
            Why::Refused => Kind::UpstreamAuth,
            Why::Spent => Kind::UpstreamSpendCap,
        }
    }
}

/// All states of a credential, for metrics: a closed set.
pub const STATES: [&str; 4] = ["ready", "limited", "refused", "spent"];

/// A bench: why, and how long still. A refused one is probed at its end and stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bench {
    pub why: Why,
    pub until_ns: u64,
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
            Auth::Bearer | Auth::Sigv4 { .. } => format!("authorization: Bearer {value}\r\n"),
            Auth::Scheme(scheme) => format!("authorization: {scheme} {value}\r\n"),
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
            signing: None,
            quotas: Arc::from([]),
            state: Arc::default(),
        }
    }

    /// A credential that signs.
    pub fn signing(name: &str, signing: Signing) -> Credential {
        let value = signing.secret_access_key.clone();
        Credential { value, signing: Some(Arc::new(signing)), ..Credential::new(name, "", 1, &Auth::None) }
    }

    /// Benches it where the fault of a request for `model` says that it is refused, limited or used up.
    pub fn tell_of(&self, model: &str, fault: &Fault, now_ns: u64) {
        self.tell(fault, now_ns);
        if self.bench(now_ns).is_some() {
            self.state.model.store(hash(model), Ordering::Relaxed);
        }
    }

    fn tell(&self, fault: &Fault, now_ns: u64) {
        let (why, rest) = match (fault.kind, fault.retry_after) {
            (Kind::UpstreamAuth, _) if fault.upstream_status == Some(403) && self.is_proven(now_ns) => return,
            (Kind::UpstreamAuth, _) => (Why::Refused, PROBE_EVERY),
            (Kind::UpstreamSpendCap, after) => (Why::Spent, after.unwrap_or(SPENT_BENCH).max(SPENT_BENCH)),
            (Kind::UpstreamRateLimited, Some(after)) => (Why::Ordered, after),
            (Kind::UpstreamRateLimited, None) => (Why::Limited, LIMITED_REST),
            _ => return,
        };
        self.bench_for(why, rest.min(REST_MAX), now_ns);
    }

    /// A good answer: a probe has succeeded.
    pub fn heal(&self, now_ns: u64) {
        const SECOND_NS: u64 = 1_000_000_000;
        // Looked at first: a write would take the cache line from the other shards at every success.
        if now_ns.saturating_sub(self.state.proven_ns.load(Ordering::Relaxed)) > SECOND_NS {
            self.state.proven_ns.store(now_ns, Ordering::Relaxed);
        }
        let word = self.state.bench.load(Ordering::Relaxed);
        if unpack(word).is_some_and(|bench| bench.why == Why::Refused) {
            let _ = self.state.bench.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A good answer said that nothing is left of a limit until then.
    pub fn read_ahead(&self, rest: Duration, now_ns: u64) {
        self.bench_for(Why::Limited, rest.min(READ_AHEAD_MAX), now_ns);
    }

    /// `None` where it may be used like any other.
    pub fn bench(&self, now_ns: u64) -> Option<Bench> {
        // Zero is by far the most frequent.
        match self.state.bench.load(Ordering::Relaxed) {
            0 => None,
            word => unpack(word).filter(|bench| bench.why == Why::Refused || bench.until_ns > now_ns),
        }
    }

    fn was_benched_by(&self, model: &str) -> bool {
        self.state.model.load(Ordering::Relaxed) == hash(model)
    }

    fn is_proven(&self, now_ns: u64) -> bool {
        let proven_ns = self.state.proven_ns.load(Ordering::Relaxed);
        proven_ns != 0 && now_ns.saturating_sub(proven_ns) < PROVEN_FOR.as_nanos() as u64
    }

    /// The worse reason stays, of one reason the later end.
    fn bench_for(&self, why: Why, rest: Duration, now_ns: u64) {
        let word = pack(Bench { why, until_ns: now_ns.saturating_add(rest.as_nanos() as u64) });
        let worse = |old: u64| match unpack(old).filter(|bench| bench.why == Why::Refused || bench.until_ns > now_ns) {
            Some(bench) if (bench.why as u8) > why as u8 => None,
            Some(bench) if bench.why == why && old >= word => None,
            _ => Some(word),
        };
        let _ = self.state.bench.fetch_update(Ordering::Relaxed, Ordering::Relaxed, worse);
    }

    /// May it be drawn? A refused one whose probe is due may.
    fn is_drawable(&self, now_ns: u64) -> bool {
        self.bench(now_ns).is_none_or(|bench| bench.why == Why::Refused && bench.until_ns <= now_ns)
    }

    /// `false` where it is refused and somebody else probes it.
    fn take(&self, now_ns: u64) -> bool {
        let word = self.state.bench.load(Ordering::Relaxed);
        let Some(bench) = unpack(word).filter(|bench| bench.why == Why::Refused) else { return true };
        let next = pack(Bench { why: Why::Refused, until_ns: now_ns.saturating_add(PROBE_EVERY.as_nanos() as u64) });
        bench.until_ns <= now_ns && self.state.bench.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Whether a plan has another target than the one that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    Nowhere,
    AnotherTarget,
}

/// FNV-1a. Two models that share one share a bench, no more.
fn hash(model: &str) -> u64 {
    model.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

const NS_PER_MS: u64 = 1_000_000;

fn pack(bench: Bench) -> u64 {
    ((bench.until_ns / NS_PER_MS) << 3) | bench.why as u64
}

fn unpack(word: u64) -> Option<Bench> {
    let why = Why::ALL.into_iter().find(|why| *why as u64 == word & 7)?;
    Some(Bench { why, until_ns: (word >> 3) * NS_PER_MS })
}

/// Draws by weight among those that are not benched. Where all are, the one that comes back first of those of which nobody said when.
/// `None` where there is none that may be used. A lone one is always drawn: `refusal` says where it is not to be used.
pub fn draw(credentials: &[Credential], now_ns: u64, random: u64) -> Option<&Credential> {
    if let [lone] = credentials {
        return Some(lone);
    }
    let by_weight = |may: &dyn Fn(&Credential) -> bool| {
        plan::draw(credentials.iter().map(|credential| may(credential).then_some(credential.weight)), &mut || random)
    };
    if let Some(index) = by_weight(&|credential| credential.is_drawable(now_ns)) {
        if credentials[index].take(now_ns) {
            return credentials.get(index);
        }
        // Somebody else was faster with its probe.
        if let Some(index) = by_weight(&|credential| credential.bench(now_ns).is_none()) {
            return credentials.get(index);
        }
    }
    let soft = credentials.iter().filter_map(|credential| Some((credential.bench(now_ns)?, credential)));
    soft.filter(|(bench, _)| bench.why == Why::Limited).min_by_key(|(bench, _)| bench.until_ns).map(|(_, credential)| credential)
}

/// None of them is as good as ever for `model`: the target is tried after others.
pub fn are_resting(credentials: &[Credential], model: &str, now_ns: u64) -> bool {
    match credentials {
        [] => false,
        [lone] => !lone.is_drawable(now_ns) && lone.was_benched_by(model),
        several => several.iter().all(|credential| !credential.is_drawable(now_ns)),
    }
}

/// Why no attempt may be made with any of them: the fault of the one that comes back first. `None` where one may be used, or where there
/// are none.
///
/// A lone credential is passed over for the model alone whose answer benched it, and only where the plan has somewhere else to go:
/// limits and rights often are a model's, and without another target nothing is won by not asking.
pub fn refusal(credentials: &[Credential], provider: &str, model: &str, elsewhere: Elsewhere, now_ns: u64) -> Option<Fault> {
    if let [lone] = credentials
        && (elsewhere == Elsewhere::Nowhere || !lone.was_benched_by(model))
    {
        return None;
    }
    let is_usable =
        |credential: &Credential| credential.is_drawable(now_ns) || credential.bench(now_ns).is_none_or(|bench| bench.why == Why::Limited);
    if credentials.iter().any(is_usable) {
        return None;
    }
    let first = credentials.iter().filter_map(|credential| credential.bench(now_ns)).min_by_key(|bench| bench.until_ns)?;
    let rest = Duration::from_nanos(first.until_ns.saturating_sub(now_ns));
    let message = format!("every credential of {provider} is benched ({}); the first comes back in {} s", first.why.name(), rest.as_secs());
    let mut fault = Fault::new(first.why.kind(), message);
    fault.retry_after = Some(rest);
    Some(fault)
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

    fn limited(seconds: Option<u64>) -> Fault {
        Fault { retry_after: seconds.map(Duration::from_secs), ..Fault::new(Kind::UpstreamRateLimited, "429") }
    }

    #[test]
    fn a_refused_credential_is_probed_by_one_request_an_interval_until_a_probe_succeeds() {
        let credentials = three();
        let (minute, random) = (PROBE_EVERY.as_nanos() as u64, 0);
        credentials[0].tell(&Fault::new(Kind::UpstreamAuth, "401"), 0);
        assert_eq!((share(&credentials, "a", 1), share(&credentials, "b", 1)), (0, 100));
        for interval in 1..5 {
            let now_ns = interval * minute;
            assert_eq!(&*draw(&credentials, now_ns, random).unwrap().name, "a", "the probe of interval {interval}");
            assert_eq!(share(&credentials, "a", now_ns), 0, "and no other request");
        }
        credentials[0].heal(4 * minute);
        assert_eq!(share(&credentials, "a", 4 * minute), 75);
    }

    #[test]
    fn a_403_to_a_credential_that_does_well_is_about_the_request() {
        let credentials = three();
        let forbidden = Fault { upstream_status: Some(403), ..Fault::new(Kind::UpstreamAuth, "403") };
        credentials[0].heal(5_000_000_000);
        credentials[0].tell(&forbidden, 6_000_000_000);
        assert_eq!(credentials[0].bench(6_000_000_000), None);
        credentials[1].tell(&forbidden, 6_000_000_000);
        assert_eq!(credentials[1].bench(6_000_000_000).map(|bench| bench.why), Some(Why::Refused));
    }

    #[test]
    fn a_limited_credential_rests_as_long_as_the_provider_says() {
        let credentials = three();
        credentials[1].tell(&limited(Some(5)), 0);
        assert_eq!(share(&credentials, "b", 4_999_999_999), 0);
        assert_eq!(share(&credentials, "b", 5_000_000_000), 25);
        credentials[1].tell(&limited(Some(1 << 40)), 0);
        assert_eq!(credentials[1].bench(1).unwrap().until_ns, REST_MAX.as_nanos() as u64);
        credentials[1].tell(&limited(None), 0);
        assert_eq!(credentials[1].bench(1).unwrap().why, Why::Ordered, "a weaker word does not end it");
    }

    #[test]
    fn a_spent_credential_is_not_asked_before_its_bench_ends() {
        let credentials = &three()[..1];
        let spent = Fault { retry_after: Some(Duration::from_secs(2)), ..Fault::new(Kind::UpstreamSpendCap, "429") };
        credentials[0].tell_of("m", &spent, 0);
        let end_ns = SPENT_BENCH.as_nanos() as u64;
        let fault = refusal(credentials, "p", "m", Elsewhere::AnotherTarget, end_ns - 1_000_000_000).unwrap();
        assert_eq!((fault.kind, fault.retry_after), (Kind::UpstreamSpendCap, Some(Duration::from_secs(1))));
        assert!(refusal(credentials, "p", "m", Elsewhere::AnotherTarget, end_ns).is_none());
    }

    #[test]
    fn a_lone_credential_is_passed_over_for_one_model_and_where_there_is_another_target() {
        let credentials = &three()[..1];
        credentials[0].tell_of("m", &Fault::new(Kind::UpstreamAuth, "401"), 0);
        assert!(refusal(credentials, "p", "m", Elsewhere::AnotherTarget, 1).is_some() && are_resting(credentials, "m", 1));
        assert!(refusal(credentials, "p", "m", Elsewhere::Nowhere, 1).is_none());
        assert!(refusal(credentials, "p", "other", Elsewhere::AnotherTarget, 1).is_none() && !are_resting(credentials, "other", 1));
        assert!(draw(credentials, 1, 0).is_some());
    }

    #[test]
    fn where_all_rest_only_one_of_which_nobody_said_when_is_taken() {
        let credentials = three();
        credentials.iter().zip([9, 5, 7]).for_each(|(credential, seconds)| credential.tell(&limited(Some(seconds)), 0));
        assert!(draw(&credentials, 1, 0).is_none() && are_resting(&credentials, "m", 1));
        assert_eq!(refusal(&credentials, "p", "m", Elsewhere::Nowhere, 0).unwrap().retry_after, Some(Duration::from_secs(5)));
        let credentials = three();
        credentials.iter().for_each(|credential| credential.tell(&limited(None), 0));
        assert_eq!(&*draw(&credentials, 1, 0).unwrap().name, "a");
        assert!(are_resting(&credentials, "m", 1) && refusal(&credentials, "p", "m", Elsewhere::Nowhere, 1).is_none());
        assert!(!are_resting(&[], "m", 1));
    }

    #[test]
    fn what_a_good_answer_says_of_a_limit_is_believed_for_a_while() {
        let credentials = three();
        credentials[0].read_ahead(Duration::from_secs(360), 0);
        assert_eq!(share(&credentials, "a", 1), 0);
        assert_eq!(share(&credentials, "a", READ_AHEAD_MAX.as_nanos() as u64), 75);
    }

    #[test]
    fn one_of_many_callers_gets_the_probe() {
        let credentials = &three()[..2];
        credentials.iter().for_each(|credential| credential.tell(&Fault::new(Kind::UpstreamAuth, "401"), 0));
        let now_ns = PROBE_EVERY.as_nanos() as u64;
        let count: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| usize::from(draw(credentials, now_ns, 0).is_some()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!((1..=2).contains(&count), "one for each: {count}");
    }

    #[test]
    fn a_fault_of_the_client_lets_nothing_rest() {
        let credentials = three();
        credentials[0].tell(&Fault::new(Kind::UpstreamRefused, "400"), 0);
        assert_eq!(credentials[0].bench(1), None);
    }

    #[test]
    fn the_bytes_are_made_ready_and_never_printed() {
        let bearer = Credential::new("n", "s3cret", 1, &Auth::Bearer);
        assert_eq!(&*bearer.header_line, b"authorization: Bearer s3cret\r\n");
        assert!(!format!("{bearer:?}").contains("s3cret"));
        assert_eq!(&*Credential::new("n", "k", 1, &Auth::Header("X-Api-Key".into())).header_line, b"x-api-key: k\r\n");
        assert_eq!(&*Credential::new("n", "k", 1, &Auth::Scheme("Token".into())).header_line, b"authorization: Token k\r\n");
        let query = Credential::new("n", "a b&c", 1, &Auth::Query("key".into()));
        assert_eq!((&*query.query_pair, query.header_line.len()), ("key=a%20b%26c", 0));
    }
}
