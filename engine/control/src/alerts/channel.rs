//! Channels: what is posted where, in the words that each service documents.
//!
//! docs.slack.dev/messaging/sending-messages-using-incoming-webhooks; learn.microsoft.com/power-automate (Teams: "When a Teams
//! webhook request is received" takes a message with Adaptive Cards); developer.pagerduty.com/docs/send-alert-event (Events API
//! v2); read 2026-11-20.

use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::hmac;
use ringway_policy::config::{ChannelConfig, Config, Severity, word};
use serde_json::{Value, json};

use super::rfc3339;
use super::rule::Rule;
use super::state::{Event, Message};

/// PagerDuty's public address for events.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Subjects that a text lists; the rest is a number.
const LISTED_MAX: usize = 10;
/// Longest summary that PagerDuty takes.
const SUMMARY_CHARS_MAX: usize = 1_024;

/// A channel, ready to be posted to.
pub struct Channel {
    pub name: Arc<str>,
    url: String,
    kind: Kind,
}

enum Kind {
    Webhook { key: Option<Box<hmac::Key>> },
    Slack,
    Teams,
    Pagerduty { routing_key: String },
}

/// What is posted. Its URL and fields may hold secrets: they are never printed.
pub struct Post {
    pub url: String,
    pub fields: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Channel {
    /// All channels of the file.
    pub fn all(config: &Config) -> Vec<Arc<Channel>> {
        config.channels.iter().filter_map(|(name, channel)| Channel::of(&name.value, channel)).map(Arc::new).collect()
    }

    fn of(name: &str, config: &ChannelConfig) -> Option<Channel> {
        let text = |at: &Option<ringway_policy::config::At<String>>| at.as_ref().map(|at| at.value.clone());
        let (url, kind) = if let Some(url) = text(&config.webhook) {
            let key = text(&config.secret).map(|secret| Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())));
            (url, Kind::Webhook { key })
        } else if let Some(url) = text(&config.slack) {
            (url, Kind::Slack)
        } else if let Some(url) = text(&config.teams) {
            (url, Kind::Teams)
        } else {
            let routing_key = text(&config.pagerduty)?;
            (text(&config.url).unwrap_or_else(|| PAGERDUTY_URL.to_owned()), Kind::Pagerduty { routing_key })
        };
        Some(Channel { name: name.into(), url, kind })
    }

    /// Its word in the file.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Webhook { .. } => "webhook",
            Kind::Slack => "slack",
            Kind::Teams => "teams",
            Kind::Pagerduty { .. } => "pagerduty",
        }
    }

    /// What to post for a message; `None` where the channel has no word for it.
    pub fn post(&self, rule: &Rule, message: &Message, id: &str) -> Option<Post> {
        let mut fields = vec![("content-type", "application/json".to_owned())];
        let body = match &self.kind {
            Kind::Webhook { key } => {
                let body = webhook(rule, message, id).to_string();
                fields.push(("x-ringway-event", format!("alert.{}", message.event.name())));
                fields.push(("x-ringway-delivery", id.to_owned()));
                if let Some(key) = key {
                    fields.push(("x-ringway-signature", signature(key, message.at_ms / 1_000, &body)));
                }
                body
            }
            Kind::Slack => slack(rule, message).to_string(),
            Kind::Teams => teams(rule, message).to_string(),
            Kind::Pagerduty { routing_key } => pagerduty(routing_key, rule, message)?.to_string(),
        };
        Some(Post { url: self.url.clone(), fields, body: body.into_bytes() })
    }
}

/// `t=UNIX_SECONDS,v1=HEX`: HMAC-SHA256 over `UNIX_SECONDS.BODY`, so that an old delivery cannot be sent again as new.
pub fn signature(key: &hmac::Key, unix_s: u64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{unix_s}.{body}").as_bytes());
    let mut text = format!("t={unix_s},v1=");
    for byte in tag.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// One line: what, which alert, how many.
pub fn title(rule: &Rule, message: &Message) -> String {
    let what = match message.event {
        Event::Fired => "firing",
        Event::Resolved if message.left > 0 => "partly resolved",
        Event::Resolved => "resolved",
        Event::Test => "test",
    };
    let count = match message.subjects.len() {
        1 => message.subjects.first().map(|(subject, _)| format!(": {subject}")).unwrap_or_default(),
        0 => String::new(),
        count => format!(": {count} at once"),
    };
    format!("[{}] {} {what}{count}", word(Severity::WORDS, rule.severity), rule.name)
}

/// A line a subject.
fn lines(message: &Message) -> Vec<String> {
    let listed = message.subjects.iter().take(LISTED_MAX).map(|(subject, active)| format!("{subject}: {}", active.text));
    let more = message.subjects.len().saturating_sub(LISTED_MAX);
    listed.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

fn webhook(rule: &Rule, message: &Message, id: &str) -> Value {
    let subjects: Vec<Value> = message
        .subjects
        .iter()
        .map(|(subject, active)| json!({"name": subject, "text": active.text, "value": active.value, "since": rfc3339(active.since_ms)}))
        .collect();
    json!({
        "version": 1,
        "id": id,
        "event": format!("alert.{}", message.event.name()),
        "alert": &*rule.name,
        "severity": word(Severity::WORDS, rule.severity),
        "at": rfc3339(message.at_ms),
        "title": title(rule, message),
        "subjects": subjects,
        "firing": message.left,
    })
}

fn slack(rule: &Rule, message: &Message) -> Value {
    // What Slack reads as markup: docs.slack.dev/messaging/formatting-message-text, "escaping text".
    let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut text = vec![format!("*{}*", plain(&title(rule, message)))];
    text.extend(lines(message).iter().map(|line| plain(line)));
    json!({"text": text.join("\n")})
}

fn teams(rule: &Rule, message: &Message) -> Value {
    let head = json!({"type": "TextBlock", "text": title(rule, message), "weight": "Bolder", "size": "Medium", "wrap": true});
    let facts: Vec<Value> = lines(message).into_iter().map(|line| json!({"type": "TextBlock", "text": line, "wrap": true})).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": std::iter::once(head).chain(facts).collect::<Vec<_>>(),
            },
        }],
    })
}

/// An incident is one alert: it is resolved when nothing of it fires any more.
fn pagerduty(routing_key: &str, rule: &Rule, message: &Message) -> Option<Value> {
    let dedup_key = format!("ringway/{}", rule.name);
    if message.event == Event::Resolved {
        let resolve = json!({"routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key});
        return (message.left == 0).then_some(resolve);
    }
    let summary: String = title(rule, message).chars().take(SUMMARY_CHARS_MAX).collect();
    let dedup_key = if message.event == Event::Test { format!("{dedup_key}/test") } else { dedup_key };
    Some(json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "payload": {
            "summary": summary,
            "source": "ringway",
            "severity": word(Severity::WORDS, rule.severity),
            "timestamp": rfc3339(message.at_ms),
            "class": &*rule.name,
            "custom_details": {"subjects": lines(message)},
        },
    }))
}

#[cfg(test)]
mod tests {
    use ringway_policy::config;

    use super::*;
    use crate::alerts::state::Active;

    const FILE: &str = "
channels:
  hook: {webhook: \"https://a/b\", secret: s3cret}
  ops: {slack: \"https://c/d\"}
  room: {teams: \"https://e/f\"}
  page: {pagerduty: routing-key-1}
alerts: {a: {watch: down, severity: critical}}
";

    fn message(event: Event, left: usize) -> Message {
        let active = Active { since_ms: 1_000, last_ms: 2_000, text: "a <b> & c".to_owned(), value: 1.0, told: true };
        Message { rule: "a".into(), event, at_ms: 1_700_000_000_000, subjects: vec![("target x".to_owned(), active)], left }
    }

    fn post(name: &str, message: &Message) -> Option<(Post, Value)> {
        let config = config::parse(FILE, &|_| None).unwrap();
        let rule = Rule::all(&config).remove(0);
        let channel = Channel::all(&config).into_iter().find(|channel| &*channel.name == name).unwrap();
        let post = channel.post(&rule, message, "id-1")?;
        let body = serde_json::from_slice(&post.body).unwrap();
        Some((post, body))
    }

    #[test]
    fn a_webhook_is_signed_over_time_and_body() {
        let (post, body) = post("hook", &message(Event::Fired, 1)).unwrap();
        assert_eq!(
            (&body["event"], &body["alert"], &body["subjects"][0]["name"]),
            (&"alert.fired".into(), &"a".into(), &"target x".into())
        );
        assert_eq!(body["at"], "2023-11-14T22:13:20.000Z");
        let sent = post.fields.iter().find(|(name, _)| *name == "x-ringway-signature").unwrap().1.clone();
        // printf '1.{}' | openssl dgst -sha256 -hmac s3cret
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
        assert_eq!(signature(&key, 1_700_000_000, std::str::from_utf8(&post.body).unwrap()), sent);
        assert!(sent.starts_with("t=1700000000,v1=") && sent.len() == 16 + 64, "{sent}");
        assert_ne!(signature(&key, 1, "{}"), signature(&key, 2, "{}"));
    }

    #[test]
    fn each_service_gets_its_own_shape() {
        let (slack, body) = post("ops", &message(Event::Fired, 1)).unwrap();
        assert_eq!(
            (slack.url.as_str(), body["text"].as_str()),
            ("https://c/d", Some("*[critical] a firing: target x*\ntarget x: a &lt;b&gt; &amp; c"))
        );
        let (_, body) = post("room", &message(Event::Resolved, 0)).unwrap();
        let card = &body["attachments"][0];
        assert_eq!((&body["type"], &card["contentType"]), (&"message".into(), &"application/vnd.microsoft.card.adaptive".into()));
        assert_eq!(card["content"]["body"][0]["text"], "[critical] a resolved: target x");
        let (page, body) = post("page", &message(Event::Fired, 1)).unwrap();
        assert_eq!((page.url.as_str(), &body["event_action"], &body["dedup_key"]), (PAGERDUTY_URL, &"trigger".into(), &"ringway/a".into()));
        assert_eq!((&body["routing_key"], &body["payload"]["severity"]), (&"routing-key-1".into(), &"critical".into()));
        assert!(post("page", &message(Event::Resolved, 3)).is_none(), "three still fire");
        assert_eq!(post("page", &message(Event::Resolved, 0)).unwrap().1["event_action"], "resolve");
    }
}
