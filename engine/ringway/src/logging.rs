//! The log lines for people who must act: on stderr, in the form of the access log.

use tracing::level_filters::LevelFilter;

use crate::flags::{Level, LogFormat};

/// Takes all log lines from here on.
pub fn start(format: LogFormat, level: Level) {
    let filter = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt().with_max_level(filter).with_writer(std::io::stderr).with_target(false);
    // It fails only where a subscriber is set already, which then takes the lines.
    let _ = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}
