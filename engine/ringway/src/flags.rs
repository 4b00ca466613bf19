//! The command line. Every flag is also an environment variable, and `--help` states each default with its unit.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringway_control::ledger::share;
use ringway_control::request_log::{BYTES_DEFAULT, DAYS_DEFAULT};
use ringway_policy::config::Listen;
use ringway_policy::tuning::Tuning;

use crate::client::{self, Connection};
use crate::units::{Size, Span};

/// An AI gateway: one binary between applications and LLM providers.
///
/// Without arguments it takes ./ringway.yaml if it is there, else a provider for each well-known key in the
/// environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, …). The model ringway/echo is always there.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub struct Flags {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a configuration file: exit 0 with every warning, or 1 with every problem as FILE:line:column: message
    Check {
        /// The file
        #[arg(default_value = crate::DEFAULT_FILE)]
        file: PathBuf,
        /// Folder of provider files (NAME.toml) beside the built-in ones
        #[arg(long, env = "RINGWAY_PROVIDERS_DIR", value_name = "DIRECTORY")]
        providers_dir: Option<PathBuf>,
        #[command(flatten)]
        store: StorePlace,
    },
    /// Seal every secret in the store anew, with a new data key and, where one is named, a new master key
    Rekey {
        /// The configuration file that names the store; default: as the gateway itself would start
        #[arg(long, env = "RINGWAY_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        store: StorePlace,
        /// File of the master key from now on, 32 bytes as base64 or hex; the gateway is then started with it
        #[arg(long, value_name = "FILE")]
        new_master_key_file: Option<PathBuf>,
    },
    /// Print the JSON Schema of the configuration file
    Schema,
    /// List the providers that a configuration may name: operations, dialects, auth, the key's variable, the date of the facts
    Providers {
        /// Tell everything that is known of this one
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Ask a running gateway for those that it has, and how they stand
        #[arg(long, conflicts_with = "providers_dir")]
        live: bool,
        #[command(flatten)]
        gateway: Connection,
        /// Folder of provider files (NAME.toml) beside the built-in ones
        #[arg(long, env = "RINGWAY_PROVIDERS_DIR", value_name = "DIRECTORY")]
        providers_dir: Option<PathBuf>,
    },
    /// Make virtual keys
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Tell what would become of a request, without sending it: key, route, conditions, targets, bounds, cost
    Explain {
        /// The configuration file; default: as the gateway itself would start
        #[arg(short, long, env = "RINGWAY_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// The virtual key's name (not the key itself)
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
        /// A tag of the request; may be repeated
        #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = pair)]
        tags: Vec<(String, String)>,
        /// A field of the request's head; may be repeated
        #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
        headers: Vec<(String, String)>,
        /// The path that is asked
        #[arg(long, value_name = "PATH", default_value = "/v1/chat/completions")]
        path: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Folder of provider files (NAME.toml) beside the built-in ones
        #[arg(long, env = "RINGWAY_PROVIDERS_DIR", value_name = "DIRECTORY")]
        providers_dir: Option<PathBuf>,
        /// Ask a running gateway, as it stands now
        #[arg(long, conflicts_with_all = ["config", "providers_dir"])]
        live: bool,
        #[command(flatten)]
        gateway: Connection,
        /// The request's body; - reads it from stdin
        request: PathBuf,
    },
    /// List the models and routes that clients may ask for, with context window and prices
    Models {
        /// Search the catalog instead: part of a provider's or model's name, or a pattern with * [default: all]
        #[arg(long, value_name = "PATTERN", num_args = 0..=1, default_missing_value = "", conflicts_with = "config")]
        catalog: Option<String>,
        /// The configuration file; default: as the gateway itself would start
        #[arg(long, env = "RINGWAY_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Folder of provider files (NAME.toml) beside the built-in ones
        #[arg(long, env = "RINGWAY_PROVIDERS_DIR", value_name = "DIRECTORY")]
        providers_dir: Option<PathBuf>,
    },
    #[command(flatten)]
    Client(client::Command),
    /// Print the completions of a shell
    Completions {
        /// bash, zsh or fish
        #[arg(value_parser = ["bash", "zsh", "fish"])]
        shell: String,
    },
    /// Print the manual page, or write those of all subcommands
    Man {
        /// Write ringway.1, ringway-keys.1, … into this folder
        #[arg(long, value_name = "DIRECTORY")]
        folder: Option<PathBuf>,
    },
}

/// Where the store is, for what looks at it without a gateway.
#[derive(Debug, Default, Args)]
pub struct StorePlace {
    /// Where the store is kept [default: a folder of the configuration in ./ringway-data]
    #[arg(long, env = "RINGWAY_DATA_DIR", value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
    /// No store: the file alone
    #[arg(long, env = "RINGWAY_NO_STORE", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_store: bool,
    /// File of the master key; or the variable RINGWAY_MASTER_KEY [default: master.key beside the store]
    #[arg(long, env = "RINGWAY_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Draw a virtual key: prints it once, and the line that stands for it in the file
    New,
}

/// `NAME=VALUE`, or a header as it is written, `NAME: VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(['=', ':']).ok_or("write NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Which kernel interface the data plane runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverChoice {
    /// io_uring, or epoll where the kernel or a container forbids it
    Auto,
    Uring,
    Epoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration file (YAML or JSON) [default: ./ringway.yaml if it is there, else the environment]
    #[arg(long, env = "RINGWAY_CONFIG", value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,
    /// Folder of provider files (NAME.toml) beside the built-in ones; read again at each reload [default: none]
    #[arg(long, env = "RINGWAY_PROVIDERS_DIR", value_name = "DIRECTORY", help_heading = "Configuration")]
    pub providers_dir: Option<PathBuf>,
    /// Where clients connect: IP:PORT or unix:/path; may be repeated [default: the file's listen, else 127.0.0.1:8080]
    #[arg(long, env = "RINGWAY_LISTEN", value_name = "ADDRESS", value_delimiter = ',', value_parser = Listen::parse, help_heading = "Configuration")]
    pub listen: Vec<Listen>,
    /// Where the admin API listens: IP:PORT or unix:/path [default: the file's admin, else 127.0.0.1:8081]
    #[arg(long, env = "RINGWAY_ADMIN", value_name = "ADDRESS", value_parser = Listen::parse, help_heading = "Configuration")]
    pub admin: Option<Listen>,

    /// Token of the admin API [default: a new random one, printed at start]
    #[arg(long, env = "RINGWAY_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = "Access")]
    pub admin_token: Option<String>,
    /// Certificate chain of the admin listener, PEM; off loopback it insists on one [default: the file's admin_tls]
    #[arg(long, env = "RINGWAY_ADMIN_TLS_CERT", value_name = "FILE", requires = "admin_tls_key", help_heading = "Access")]
    pub admin_tls_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM [default: the file's admin_tls]
    #[arg(long, env = "RINGWAY_ADMIN_TLS_KEY", value_name = "FILE", requires = "admin_tls_cert", help_heading = "Access")]
    pub admin_tls_key: Option<PathBuf>,
    /// Speak plain HTTP on the admin listener off loopback: a proxy in front of it ends TLS
    #[arg(long, env = "RINGWAY_ADMIN_PLAIN_HTTP", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Access")]
    pub admin_plain_http: bool,
    /// Names that browsers reach the admin listener by, beside addresses and localhost; may be repeated [default: the file's admin_hosts]
    #[arg(long, env = "RINGWAY_ADMIN_HOSTS", value_name = "NAME", value_delimiter = ',', help_heading = "Access")]
    pub admin_hosts: Vec<String>,
    /// Listen beyond this machine although no virtual key is configured
    #[arg(long, env = "RINGWAY_ALLOW_ANONYMOUS", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Access")]
    pub allow_anonymous: bool,
    /// Networks whose X-Forwarded-For, Forwarded and PROXY headers are believed: CIDR, may be repeated [default: none]
    #[arg(long, env = "RINGWAY_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',', help_heading = "Access")]
    pub trusted_proxies: Vec<String>,
    /// Expect a PROXY protocol header (v1 or v2) from trusted proxies on each connection
    #[arg(long, env = "RINGWAY_PROXY_PROTOCOL", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Access")]
    pub proxy_protocol: bool,

    /// Form of the access log (stdout) and of the other log lines (stderr)
    #[arg(long, env = "RINGWAY_LOG_FORMAT", value_enum, value_name = "FORM", default_value_t = LogFormat::Json, help_heading = "Logs")]
    pub log_format: LogFormat,
    /// One line per exchange on stdout
    #[arg(long, env = "RINGWAY_ACCESS_LOG", value_enum, value_name = "SWITCH", default_value_t = Switch::On, help_heading = "Logs")]
    pub access_log: Switch,
    /// The least urgent of the other log lines
    #[arg(long, env = "RINGWAY_LOG_LEVEL", value_enum, value_name = "LEVEL", default_value_t = Level::Info, help_heading = "Logs")]
    pub log_level: Level,

    /// Where the store, spend and the request log are kept [default: a folder of the configuration in ./ringway-data, once there is something to keep]
    #[arg(long, env = "RINGWAY_DATA_DIR", value_name = "DIRECTORY", help_heading = "Store")]
    pub data_dir: Option<PathBuf>,
    /// No store: the configuration is changed in the file alone; records are kept in memory; spend ends with the process unless --data-dir is given
    #[arg(long, env = "RINGWAY_NO_STORE", value_parser = clap::builder::FalseyValueParser::new(), help_heading = "Store")]
    pub no_store: bool,
    /// File of the master key that secrets in the store are sealed with, 32 bytes as base64 or hex; or the variable
    /// RINGWAY_MASTER_KEY [default: master.key beside the store, made when the first secret is kept]
    #[arg(long, env = "RINGWAY_MASTER_KEY_FILE", value_name = "FILE", conflicts_with = "no_store", help_heading = "Store")]
    pub master_key_file: Option<PathBuf>,
    /// Make the store and its master key now, where they are not there
    #[arg(long, env = "RINGWAY_INIT", value_parser = clap::builder::FalseyValueParser::new(), conflicts_with = "no_store", help_heading = "Store")]
    pub init: bool,

    /// Keep every record beyond the last thousand, in the data directory; off with --no-store
    #[arg(long, env = "RINGWAY_REQUEST_LOG", value_enum, value_name = "SWITCH", default_value_t = Switch::On, help_heading = "Store")]
    pub request_log: Switch,
    /// Days of the request log that are kept, today included
    #[arg(long, env = "RINGWAY_REQUEST_LOG_DAYS", value_name = "N", default_value_t = DAYS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=3_650), help_heading = "Store")]
    pub request_log_days: u32,
    /// What the request log may take; beyond it the oldest part is dropped
    #[arg(long, env = "RINGWAY_REQUEST_LOG_BYTES", value_name = "SIZE", default_value_t = Size(BYTES_DEFAULT as usize), help_heading = "Store")]
    pub request_log_bytes: Size,

    #[command(flatten)]
    pub threads: Threads,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub timeouts: Timeouts,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Threads and kernel")]
pub struct Threads {
    /// Data-plane threads [default: one per core]
    #[arg(long, env = "RINGWAY_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Kernel interface of the data plane
    #[arg(long, env = "RINGWAY_DRIVER", value_enum, value_name = "DRIVER", default_value_t = DriverChoice::Auto)]
    pub driver: DriverChoice,
    /// Bind each data-plane thread to its core
    #[arg(long, env = "RINGWAY_PIN", value_enum, value_name = "SWITCH", num_args = 0..=1, default_missing_value = "on", default_value_t = Switch::On)]
    pub pin: Switch,
    /// Entries of each thread's io_uring submission queue
    #[arg(long, env = "RINGWAY_RING_ENTRIES", value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(32..=32_768))]
    pub ring_entries: u32,
    /// Microseconds that a thread looks for work before it sleeps; costs CPU, saves wake-ups
    #[arg(long, env = "RINGWAY_BUSY_POLL_US", value_name = "US", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub busy_poll_us: u32,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Open client connections per thread; further ones are refused
    #[arg(long, env = "RINGWAY_MAX_CONNECTIONS", value_name = "N", default_value_t = Tuning::default().connections_max)]
    pub max_connections: usize,
    /// Requests under way per thread; further ones get 503
    #[arg(long, env = "RINGWAY_MAX_IN_FLIGHT", value_name = "N", default_value_t = Tuning::default().in_flight_max)]
    pub max_in_flight: usize,
    /// Largest request head; beyond it 431
    #[arg(long, env = "RINGWAY_HEAD_BYTES", value_name = "SIZE", default_value_t = Size(Tuning::default().head_bytes_max))]
    pub head_bytes: Size,
    /// Most header fields of a request; beyond it 431
    #[arg(long, env = "RINGWAY_HEAD_FIELDS", value_name = "N", default_value_t = Tuning::default().head_fields_max)]
    pub head_fields: usize,
    /// Largest request body, where the route has no bound of its own; beyond it 413
    #[arg(long, env = "RINGWAY_BODY_BYTES", value_name = "SIZE", default_value_t = Size(Tuning::default().body_bytes_max))]
    pub body_bytes: Size,
    /// Whole answers up to this size are held until complete, so that they can be retried
    #[arg(long, env = "RINGWAY_HOLD_BYTES", value_name = "SIZE", default_value_t = Size(Tuning::default().hold_bytes_max))]
    pub hold_bytes: Size,
    /// Idle provider connections kept per thread and provider
    #[arg(long, env = "RINGWAY_POOL_IDLE", value_name = "N", default_value_t = Tuning::default().pool_idle_max)]
    pub pool_idle: usize,
    /// Spare read buffers kept per thread
    #[arg(long, env = "RINGWAY_BUFFERS", value_name = "N", default_value_t = Tuning::default().buffers_max)]
    pub buffers: usize,
    /// Milliseconds between two rounds in which threads give back what they hold of limits and budgets and do not use
    #[arg(long, env = "RINGWAY_RECONCILE_MS", value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub reconcile_ms: u64,
    /// Most series on /metrics, however many keys, models and targets there are; the rest is counted as `other`
    #[arg(long, env = "RINGWAY_METRICS_SERIES", value_name = "N", default_value_t = share::SERIES_MAX as u32, value_parser = clap::value_parser!(u32).range(share::SERIES_MIN as i64..=1_000_000))]
    pub metrics_series: u32,
    /// Size of a read buffer
    #[arg(long, env = "RINGWAY_BUFFER_BYTES", value_name = "SIZE", default_value_t = Size(Tuning::default().read_buffer_bytes))]
    pub buffer_bytes: Size,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts")]
pub struct Timeouts {
    /// From a request's first byte to the end of its head; beyond it 408
    #[arg(long, env = "RINGWAY_HEAD_TIMEOUT", value_name = "TIME", default_value_t = Span(Tuning::default().head_timeout))]
    pub head_timeout: Span,
    /// Longest silence within a request body; beyond it 408
    #[arg(long, env = "RINGWAY_BODY_IDLE", value_name = "TIME", default_value_t = Span(Tuning::default().body_idle))]
    pub body_idle: Span,
    /// How long an idle client connection is kept
    #[arg(long, env = "RINGWAY_KEEP_ALIVE_IDLE", value_name = "TIME", default_value_t = Span(Tuning::default().keep_alive_idle))]
    pub keep_alive_idle: Span,
    /// How long a client may take no byte of its answer
    #[arg(long, env = "RINGWAY_WRITE_STALL", value_name = "TIME", default_value_t = Span(Tuning::default().write_stall))]
    pub write_stall: Span,
    /// Oldest provider connection that is used again (each is aged a little differently)
    #[arg(long, env = "RINGWAY_POOL_AGE", value_name = "TIME", default_value_t = Span(Tuning::default().pool_age_max))]
    pub pool_age: Span,
    /// On SIGTERM, how long /readyz is false before connections are closed
    #[arg(long, env = "RINGWAY_DRAIN_DELAY", value_name = "TIME", default_value_t = Span(DRAIN_DELAY))]
    pub drain_delay: Span,
    /// On SIGTERM, how long live requests may go on
    #[arg(long, env = "RINGWAY_DRAIN", value_name = "TIME", default_value_t = Span(Tuning::default().drain))]
    pub drain: Span,
}

/// Long enough for a probe that is under way; a load balancer's probing interval is the operator's to add.
const DRAIN_DELAY: std::time::Duration = std::time::Duration::from_millis(250);

impl Serve {
    /// The bounds of the data plane that the flags say.
    pub fn tuning(&self) -> Tuning {
        let (limits, timeouts) = (&self.limits, &self.timeouts);
        Tuning {
            head_bytes_max: limits.head_bytes.0,
            head_fields_max: limits.head_fields,
            body_bytes_max: limits.body_bytes.0,
            head_timeout: timeouts.head_timeout.0,
            body_idle: timeouts.body_idle.0,
            keep_alive_idle: timeouts.keep_alive_idle.0,
            write_stall: timeouts.write_stall.0,
            drain: timeouts.drain.0,
            connections_max: limits.max_connections,
            in_flight_max: limits.max_in_flight,
            hold_bytes_max: limits.hold_bytes.0,
            pool_idle_max: limits.pool_idle,
            pool_age_max: timeouts.pool_age.0,
            buffers_max: limits.buffers,
            read_buffer_bytes: limits.buffer_bytes.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Serve {
        Flags::try_parse_from(std::iter::once(&"ringway").chain(words)).unwrap().serve
    }

    #[test]
    fn the_command_line_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        assert_eq!(format!("{:?}", parse(&[]).tuning()), format!("{:?}", Tuning::default()));
    }

    #[test]
    fn every_flag_is_also_an_environment_variable_of_its_name() {
        for argument in Flags::command().get_arguments().filter(|argument| argument.get_id() != "help" && argument.get_id() != "version") {
            let expected = format!("RINGWAY_{}", argument.get_long().unwrap().replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(expected.as_str()), "{}", argument.get_id());
        }
    }

    #[test]
    fn every_flag_with_a_value_states_its_default_in_a_group() {
        for argument in Flags::command().get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let help = argument.get_help().unwrap().to_string();
            assert!(help.contains("[default:") || !argument.get_default_values().is_empty(), "{}", argument.get_id());
            assert!(argument.get_help_heading().is_some(), "{}", argument.get_id());
        }
    }

    #[test]
    fn the_flags_of_the_contract_are_there() {
        let words = "--config f --listen 127.0.0.1:1 --listen unix:/s --admin 127.0.0.1:2 --threads 3 --driver epoll --log-format text \
            --admin-token t --allow-anonymous --pin --ring-entries 64 --busy-poll-us 5 --buffers 6 --pool-idle 7 --max-connections 8 \
            --max-in-flight 9 --data-dir d --trusted-proxies 10.0.0.0/8,192.0.2.0/24 --proxy-protocol";
        let flags = parse(&words.split_whitespace().collect::<Vec<_>>());
        assert_eq!(flags.listen, vec![Listen::Ip("127.0.0.1:1".parse().unwrap()), Listen::Unix("/s".into())]);
        assert_eq!((flags.tuning().buffers_max, flags.tuning().pool_idle_max), (6, 7));
        assert_eq!((flags.tuning().connections_max, flags.tuning().in_flight_max), (8, 9));
        assert_eq!((flags.threads.threads, flags.threads.pin, flags.threads.driver), (Some(3), Switch::On, DriverChoice::Epoll));
        assert_eq!(flags.trusted_proxies.len(), 2);
        assert_eq!(flags.data_dir, Some(PathBuf::from("d")));
        assert!(parse(&["--no-store"]).no_store);
    }

    #[test]
    fn a_subcommand_takes_no_serving_flags() {
        assert!(Flags::try_parse_from(["ringway", "--threads", "1", "check", "x.yaml"]).is_err());
        let flags = Flags::try_parse_from(["ringway", "check", "x.yaml"]).unwrap();
        assert!(matches!(flags.command, Some(Command::Check { file, .. }) if file == *"x.yaml"));
        let flags = Flags::try_parse_from(["ringway", "key", "new"]).unwrap();
        assert!(matches!(flags.command, Some(Command::Key { command: KeyCommand::New })));
    }
}
