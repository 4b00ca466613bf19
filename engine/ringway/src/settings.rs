//! The flags in force, for the settings page: everything but secrets.

use clap::ValueEnum;
use ringway_data::engine::ListenAddress;
use serde_json::{Value, json};

use crate::flags::{Serve, Switch};

/// What this process was started with.
pub fn of(flags: &Serve, source: &str, listen: &[ListenAddress], admin: &str) -> Value {
    let shown = |address: &ListenAddress| match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    };
    let (threads, limits, timeouts) = (&flags.threads, &flags.limits, &flags.timeouts);
    json!({
        "configuration": {
            "source": source,
            "providers_dir": flags.providers_dir,
            "listen": listen.iter().map(shown).collect::<Vec<_>>(),
            "admin": admin,
        },
        "access": {
            "allow_anonymous": flags.allow_anonymous,
            "trusted_proxies": flags.trusted_proxies,
            "proxy_protocol": flags.proxy_protocol,
        },
        "logs": {"log_format": word(&flags.log_format), "access_log": word(&flags.access_log), "log_level": word(&flags.log_level)},
        "store": {
            "data_dir": flags.data_dir,
            "no_store": flags.no_store,
            "request_log": word(&flags.request_log),
            "request_log_days": flags.request_log_days,
            "request_log_bytes": flags.request_log_bytes.to_string(),
        },
        "threads": {
            "threads": threads.threads,
            "driver": word(&threads.driver),
            "pin": threads.pin == Switch::On,
            "ring_entries": threads.ring_entries,
            "busy_poll_us": threads.busy_poll_us,
        },
        "limits": {
            "max_connections": limits.max_connections,
            "max_in_flight": limits.max_in_flight,
            "head_bytes": limits.head_bytes.to_string(),
            "body_bytes": limits.body_bytes.to_string(),
            "hold_bytes": limits.hold_bytes.to_string(),
            "pool_idle": limits.pool_idle,
            "buffers": limits.buffers,
            "reconcile_ms": limits.reconcile_ms,
        },
        "timeouts": {
            "head_timeout": timeouts.head_timeout.to_string(),
            "body_idle": timeouts.body_idle.to_string(),
            "keep_alive_idle": timeouts.keep_alive_idle.to_string(),
            "write_stall": timeouts.write_stall.to_string(),
            "pool_age": timeouts.pool_age.to_string(),
            "drain": timeouts.drain.to_string(),
        },
    })
}

fn word(choice: &impl ValueEnum) -> Option<String> {
    choice.to_possible_value().map(|value| value.get_name().to_owned())
}
