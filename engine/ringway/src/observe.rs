//! What looks on: telemetry, as the environment asks for it, and alerts, as the file does.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ringway_control::alerts::{self, Alerts, EVALUATE_EVERY};
use ringway_control::health::{Health, Part};
use ringway_control::publish::Publisher;
use ringway_control::reload::Clock;
use ringway_control::store::Database;
use ringway_control::telemetry::Telemetry;
use ringway_control::telemetry::settings::Settings;
use ringway_policy::config::Config;

/// How long the end waits for collectors.
pub const END_WAIT: Duration = Duration::from_secs(5);

/// Telemetry, where an endpoint is set. A variable that cannot be used turns it off and is told: traffic is worth more.
pub fn telemetry(version: &'static str, publisher: &Publisher, health: &Arc<Health>) -> Option<Telemetry> {
    let settings = Settings::read(&|name| std::env::var(name).ok());
    let started = settings
        .and_then(|settings| settings.map(|settings| Telemetry::start(settings, version, publisher.clone(), health.clone())).transpose());
    started.unwrap_or_else(|error| {
        tracing::warn!(error, "telemetry is off");
        health.degrade(Part::Telemetry, error);
        None
    })
}

/// The alerts of the configuration that is served, now and after each reload.
pub async fn alerts(served: &Arc<ArcSwap<Config>>, publisher: &Publisher, clock: Clock, database: &Database, gateway: String) -> Alerts {
    let (served, publisher, database) = (served.clone(), publisher.clone(), database.clone());
    Alerts::start(alerts::Setup { served, publisher, clock, every: EVALUATE_EVERY, database, gateway }).await
}
