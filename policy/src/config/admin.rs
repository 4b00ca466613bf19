//! What the file says of the admin listener beside its address, and of the audit log.

use std::time::Duration;

use schemars::JsonSchema;

use super::node::Node;
use super::{At, Problem, read, schema};

/// Sites whose pages may read answers: an allow-list for browsers (CORS). Without it there is none.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// The sites, as browsers write them: `https://app.example`, with a port where it is not the scheme's own.
    #[schemars(schema_with = "schema::texts")]
    pub origins: Vec<At<String>>,
}

/// How the audit log is kept. It is there without this section, too.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// How long rows stay: `400d`. Older ones go, with a signed proof of what went. Default: for ever.
    #[schemars(schema_with = "schema::duration")]
    pub retention: Option<At<Duration>>,
    /// A collector that gets each row besides, as RFC 5424: `tcp://HOST:PORT` or `udp://HOST:PORT`.
    #[schemars(schema_with = "schema::text")]
    pub syslog: Option<At<String>>,
    /// The Ed25519 key that signs, PKCS#8 DER. Default: one that is made beside the log.
    #[schemars(schema_with = "schema::text")]
    pub key_file: Option<At<String>>,
}

/// Most sites of one list.
const ORIGINS_MAX: usize = 64;
/// Most names of the admin listener.
const HOSTS_MAX: usize = 64;
/// Rows are kept at least this long: what is gone sooner audits nothing.
const RETENTION_MIN: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn read_cors(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<CorsConfig> {
    let mut fields = read::Fields::open(node, what, problems)?;
    let mut origins = Vec::new();
    if let Some(node) = fields.take("origins") {
        let items = read::items(node, "origins", problems);
        if items.len() > ORIGINS_MAX {
            read::note(problems, node.place, format!("{} origins are too many; write at most {ORIGINS_MAX}", items.len()));
        }
        origins.extend(items.iter().filter_map(|node| read::parsed(node, "an origin", problems, origin)));
    }
    fields.close(problems);
    Some(CorsConfig { origins })
}

/// As browsers write it, so that it is compared byte by byte.
fn origin(text: &str) -> Result<String, String> {
    let rule = "write scheme and host as browsers do, https://app.example or http://localhost:3000, without a path";
    let (scheme, authority) = text.split_once("://").ok_or(rule)?;
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']' | b'_');
    let is_default = matches!((scheme, authority.rsplit_once(':')), ("https", Some((_, "443"))) | ("http", Some((_, "80"))));
    if !matches!(scheme, "http" | "https") || authority.is_empty() || !authority.bytes().all(good) || is_default {
        return Err(rule.to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn read_hosts(node: &Node, problems: &mut Vec<Problem>) -> Vec<At<String>> {
    let items = read::one_or_many(node);
    if items.len() > HOSTS_MAX {
        read::note(problems, node.place, format!("{} names are too many; write at most {HOSTS_MAX}", items.len()));
    }
    items.iter().filter_map(|node| read::parsed(node, "a name of admin_hosts", problems, host)).collect()
}

fn host(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || text.len() > 253 || !text.bytes().all(good) {
        return Err("write a name without scheme, port and path: gateway.example".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

pub(super) fn read_audit(node: &Node, problems: &mut Vec<Problem>) -> Option<AuditConfig> {
    let mut fields = read::Fields::open(node, "audit", problems)?;
    let retention = fields.take("retention").and_then(|node| read::duration(node, "retention", problems));
    if let Some(retention) = retention.as_ref().filter(|retention| retention.value < RETENTION_MIN) {
        read::note(problems, retention.place(), "the retention of the audit log is shorter than a day; write 1d or more");
    }
    let syslog = fields.take("syslog").and_then(|node| read::parsed(node, "syslog", problems, collector));
    let key_file = fields.take("key_file").and_then(|node| read::text(node, "key_file", problems));
    fields.close(problems);
    Some(AuditConfig { retention, syslog, key_file })
}

fn collector(text: &str) -> Result<String, String> {
    let rule = "write tcp://HOST:PORT or udp://HOST:PORT";
    let address = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("udp://")).ok_or(rule)?;
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err(rule.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn the_sections_are_read() {
        let file = "admin_hosts: [Gateway.Example]\nadmin_cors: {origins: [\"https://a.example\"]}\ncors: {origins: [\"http://localhost:3000\"]}\n\
            audit: {retention: 365d, syslog: \"tcp://10.0.0.1:514\", key_file: /k.der}\n";
        let config = parse(file, &|_| None).unwrap();
        assert_eq!(config.admin_hosts[0].value, "gateway.example");
        assert_eq!(config.admin_cors.unwrap().origins[0].value, "https://a.example");
        assert_eq!(config.cors.unwrap().origins[0].value, "http://localhost:3000");
        let audit = config.audit.unwrap();
        assert_eq!(audit.retention.unwrap().value.as_secs(), 365 * 86_400);
        assert_eq!((audit.syslog.unwrap().value, audit.key_file.unwrap().value), ("tcp://10.0.0.1:514".into(), "/k.der".into()));
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (file, word) in [
            ("cors: {origins: [\"*\"]}", "scheme and host"),
            ("cors: {origins: [\"https://a.example/\"]}", "scheme and host"),
            ("cors: {origins: [\"https://a.example:443\"]}", "scheme and host"),
            ("cors: {origin: []}", "unknown key"),
            ("admin_hosts: [\"https://a.example\"]", "without scheme"),
            ("audit: {retention: 1h}", "1d or more"),
            ("audit: {syslog: \"host:514\"}", "tcp://HOST:PORT"),
        ] {
            let problems = parse(file, &|_| None).unwrap_err();
            assert!(problems.iter().any(|problem| problem.message.contains(word)), "{file}: {problems:?}");
        }
    }
}
