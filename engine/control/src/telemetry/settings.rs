//! What the `OTEL_*` variables ask for: where each signal goes, how, and which exchanges are traced.
//!
//! opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables and …/specs/otel/protocol/exporter, read 2026-11-20.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use ringway_policy::trace::{Own, Parent, Sampler};

/// Reads one variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Records that wait for one signal; each is about 1 KiB.
const QUEUE_DEFAULT: u64 = 2_048;
const QUEUE_MAX: u64 = 65_536;
const BATCH_DEFAULT: u64 = 512;
const DELAY_DEFAULT: Duration = Duration::from_secs(5);
const DELAY_MAX: Duration = Duration::from_secs(60);
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);
/// Resource attributes that are taken.
const RESOURCE_MAX: usize = 64;

/// Everything that is exported, and where to.
#[derive(Clone, Debug)]
pub struct Settings {
    pub traces: Option<Target>,
    pub metrics: Option<Target>,
    pub logs: Option<Target>,
    pub sampler: Sampler,
    /// `service.name` first.
    pub resource: Vec<(String, String)>,
    pub traces_queue: Bounds,
    pub logs_queue: Bounds,
    pub metrics_every: Duration,
    pub temporality: Temporality,
}

/// Where a signal goes.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: String,
    /// May hold credentials: they are marked, and never printed.
    pub headers: HeaderMap,
    pub timeout: Duration,
    pub encoding: Encoding,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// What metrics count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// The start.
    Cumulative,
    /// The last export that arrived.
    Delta,
}

/// What may wait, and how much of it goes at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub queue_max: usize,
    pub batch_max: usize,
    pub delay: Duration,
}

/// The three signals, with the word in their variables and the path below the common endpoint.
const SIGNALS: [(&str, &str); 3] = [("TRACES", "v1/traces"), ("METRICS", "v1/metrics"), ("LOGS", "v1/logs")];

impl Settings {
    /// `None` where no endpoint is set, or `OTEL_SDK_DISABLED` is true.
    ///
    /// # Errors
    /// The variable that cannot be used, and what to write.
    pub fn read(lookup: Lookup<'_>) -> Result<Option<Settings>, String> {
        // An empty value is as if it were not set.
        let get = |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let [traces, metrics, logs] = SIGNALS;
        let (traces, metrics, logs) = (target(&get, traces)?, target(&get, metrics)?, target(&get, logs)?);
        if traces.is_none() && metrics.is_none() && logs.is_none() {
            return Ok(None);
        }
        Ok(Some(Settings {
            traces,
            metrics,
            logs,
            sampler: sampler(&get)?,
            resource: resource(&get),
            traces_queue: bounds(&get, "OTEL_BSP")?,
            logs_queue: bounds(&get, "OTEL_BLRP")?,
            metrics_every: duration(&get, "OTEL_METRIC_EXPORT_INTERVAL", INTERVAL_DEFAULT, INTERVAL_MAX)?,
            temporality: match get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE").map(|value| value.to_ascii_lowercase()).as_deref() {
                None | Some("cumulative") => Temporality::Cumulative,
                Some("delta" | "lowmemory") => Temporality::Delta,
                Some(_) => {
                    return Err("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: write cumulative, delta or lowmemory".to_owned());
                }
            },
        }))
    }
}

type Get<'a> = &'a dyn Fn(&str) -> Option<String>;

fn target(get: Get<'_>, (signal, path): (&str, &str)) -> Result<Option<Target>, String> {
    let name = format!("OTEL_{signal}_EXPORTER");
    match get(&name).as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => return Err(format!("{name} is {other:?}; write otlp or none")),
    }
    let of_signal = |what: &str| get(&format!("OTEL_EXPORTER_OTLP_{signal}_{what}"));
    let either = |what: &str| of_signal(what).or_else(|| get(&format!("OTEL_EXPORTER_OTLP_{what}")));
    let common = || get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/{path}", base.trim_end_matches('/')));
    let Some(url) = of_signal("ENDPOINT").or_else(common) else { return Ok(None) };
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) || reqwest::Url::parse(&url).is_err() {
        return Err(format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT is no URL; write http://HOST:4318"));
    }
    let encoding = match either("PROTOCOL").as_deref() {
        None | Some("http/protobuf") => Encoding::Protobuf,
        Some("http/json") => Encoding::Json,
        Some(other) => return Err(format!("OTEL_EXPORTER_OTLP_PROTOCOL is {other:?}; write http/protobuf or http/json")),
    };
    match either("COMPRESSION").as_deref() {
        None | Some("none") => {}
        Some(other) => return Err(format!("OTEL_EXPORTER_OTLP_COMPRESSION is {other:?}; write none")),
    }
    let timeout = match either("TIMEOUT") {
        None => TIMEOUT_DEFAULT,
        Some(text) => milliseconds(&text, TIMEOUT_MAX).ok_or("OTEL_EXPORTER_OTLP_TIMEOUT: write milliseconds from 1 to 120000")?,
    };
    let headers = either("HEADERS").map(|text| headers(&text)).transpose()?.unwrap_or_default();
    Ok(Some(Target { url, headers, timeout, encoding }))
}

/// `name=value,name=value`, values percent-encoded where they need it (W3C Baggage). Never repeats a value.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(text) {
        let wrong = || format!("OTEL_EXPORTER_OTLP_HEADERS: the field {name:?} cannot be sent; write NAME=VALUE,NAME=VALUE");
        let field = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(field, value);
    }
    Ok(headers)
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.split(',').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim(), decoded(value.trim())))
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match hex.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn sampler(get: Get<'_>) -> Result<Sampler, String> {
    let ratio = || match get("OTEL_TRACES_SAMPLER_ARG").map(|text| text.parse::<f64>()) {
        None => Ok(1.0),
        Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        Some(_) => Err("OTEL_TRACES_SAMPLER_ARG: write a number from 0 to 1"),
    };
    let (own, parent) = match get("OTEL_TRACES_SAMPLER").as_deref() {
        None | Some("parentbased_always_on") => (Own::Always, Parent::Decides),
        Some("always_on") => (Own::Always, Parent::Ignored),
        Some("always_off") => (Own::Never, Parent::Ignored),
        Some("traceidratio") => (Own::ratio(ratio()?), Parent::Ignored),
        Some("parentbased_always_off") => (Own::Never, Parent::Decides),
        Some("parentbased_traceidratio") => (Own::ratio(ratio()?), Parent::Decides),
        Some(other) => {
            let known = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio";
            return Err(format!("OTEL_TRACES_SAMPLER is {other:?}; write one of {known}"));
        }
    };
    Ok(Sampler { own, parent })
}

fn resource(get: Get<'_>) -> Vec<(String, String)> {
    let text = get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut of_variable: Vec<(String, String)> = pairs(&text).map(|(name, value)| (name.to_owned(), value)).take(RESOURCE_MAX).collect();
    let named = of_variable.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone());
    let service = get("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "ringway".to_owned());
    of_variable.retain(|(name, _)| name != "service.name");
    std::iter::once(("service.name".to_owned(), service)).chain(of_variable).collect()
}

fn bounds(get: Get<'_>, prefix: &str) -> Result<Bounds, String> {
    let count = |what: &str, default: u64| match get(&format!("{prefix}_{what}")).map(|text| text.parse::<u64>()) {
        None => Ok(default),
        Some(Ok(count)) if (1..=QUEUE_MAX).contains(&count) => Ok(count),
        Some(_) => Err(format!("{prefix}_{what}: write a whole number from 1 to {QUEUE_MAX}")),
    };
    let queue_max = count("MAX_QUEUE_SIZE", QUEUE_DEFAULT)?;
    let batch_max = count("MAX_EXPORT_BATCH_SIZE", BATCH_DEFAULT)?.min(queue_max);
    let delay = duration(get, &format!("{prefix}_SCHEDULE_DELAY"), DELAY_DEFAULT, DELAY_MAX)?;
    Ok(Bounds { queue_max: queue_max as usize, batch_max: batch_max as usize, delay })
}

fn duration(get: Get<'_>, name: &str, default: Duration, max: Duration) -> Result<Duration, String> {
    let Some(text) = get(name) else { return Ok(default) };
    milliseconds(&text, max).ok_or_else(|| format!("{name}: write milliseconds from 1 to {}", max.as_millis()))
}

fn milliseconds(text: &str, max: Duration) -> Option<Duration> {
    text.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis).filter(|duration| *duration <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_set() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none());
        assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
    }

    #[test]
    fn one_signals_own_variables_go_before_the_common_ones() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/custom"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20YTpi, x-two = 2"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-t=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
            ("OTEL_LOGS_EXPORTER", "none"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.name=other"),
            ("OTEL_SERVICE_NAME", "gateway"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ]);
        let settings = settings.unwrap().unwrap();
        let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
        assert_eq!((traces.url.as_str(), metrics.url.as_str()), ("http://t:1/custom", "https://c/otlp/v1/metrics"));
        assert_eq!(metrics.headers["authorization"], "Basic YTpi");
        assert_eq!((traces.headers.len(), traces.headers["x-t"].to_str().unwrap()), (1, "1"));
        assert_eq!(
            (metrics.timeout, metrics.encoding, traces.encoding),
            (Duration::from_millis(2_500), Encoding::Json, Encoding::Protobuf)
        );
        assert!(settings.logs.is_none());
        assert_eq!(settings.resource, [("service.name".into(), "gateway".into()), ("deployment.environment.name".into(), "prod".into())]);
        assert_eq!(settings.sampler, Sampler { own: Own::Below(1 << 62), parent: Parent::Decides });
        assert!(!format!("{metrics:?}").contains("YTpi"), "headers are never printed");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "x"),
        ] {
            let error = read(&[(name, value), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]).err();
            // The pair that is looked for first wins.
            assert!(error.is_some_and(|error| error.contains(name)), "{name}");
        }
    }
}
