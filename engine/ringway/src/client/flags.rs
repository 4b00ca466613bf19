//! The subcommands that ask a running gateway, as they are written.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Connection;

/// What can be asked of a running gateway.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of it in a process")]
pub enum Command {
    /// Virtual keys of a running gateway: list, make, change, rotate, delete
    Keys {
        #[command(subcommand)]
        command: Option<Keys>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Routes of a running gateway with the health of their targets
    Routes {
        /// Tell everything of this one, as JSON
        name: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Limits and budgets of a running gateway: used, remaining, when they begin anew
    Budgets {
        /// Only of owners whose name holds this
        search: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// What became of requests: the last ones, or each one as it ends
    Logs {
        #[command(flatten)]
        filter: Filter,
        /// Go on with each one as it ends
        #[arg(long, short)]
        follow: bool,
        /// How many
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        #[command(flatten)]
        ask: Ask,
    },
    /// Traffic of the last minute, again and again: requests, errors, latency, tokens, cost
    Top {
        /// What is told apart: provider, model, team, key, route, tag:NAME
        #[arg(long, value_name = "WORD", default_value = "model")]
        by: String,
        /// Seconds between two looks
        #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
        every: u64,
        /// Looks; 0 goes on for ever
        #[arg(long, value_name = "N", default_value_t = 0)]
        count: u64,
        #[command(flatten)]
        ask: Ask,
    },
    /// Who did what to a running gateway
    Audit {
        #[command(subcommand)]
        command: Option<Audit>,
        #[command(flatten)]
        ask: Ask,
    },
    /// What the store of a running gateway holds, as YAML; secrets are masked
    Export {
        #[command(flatten)]
        ask: Ask,
    },
    /// Take objects of a YAML file into the store of a running gateway, all or none
    Apply {
        /// The file, in the sections of a configuration file; - reads stdin
        file: PathBuf,
        /// Take away the store's objects that the file does not name
        #[arg(long)]
        prune: bool,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// How a running gateway stands
    Status {
        #[command(flatten)]
        ask: Ask,
    },
    /// Who may log in to a running gateway
    Users {
        #[command(subcommand)]
        command: Option<Users>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Tokens of its admin API
    Tokens {
        #[command(subcommand)]
        command: Option<Tokens>,
        #[command(flatten)]
        ask: Ask,
    },
}

/// Whom to ask, and how to show the answer.
#[derive(Clone, Debug, Args)]
pub struct Ask {
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(flatten)]
    pub connection: GlobalConnection,
}

/// `Connection`, behind the words of a subcommand, too.
#[derive(Clone, Debug, Args)]
pub struct GlobalConnection {
    /// The gateway's admin listener: URL or unix:/path
    #[arg(
        long,
        env = "RINGWAY_ADMIN_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8081",
        help_heading = "Gateway",
        global = true
    )]
    pub admin_url: String,
    /// Its admin token, or an API token [default: none]
    #[arg(long, env = "RINGWAY_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true, help_heading = "Gateway", global = true)]
    pub admin_token: Option<String>,
}

impl From<&GlobalConnection> for Connection {
    fn from(from: &GlobalConnection) -> Connection {
        Connection { admin_url: from.admin_url.clone(), admin_token: from.admin_token.clone() }
    }
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// All of them, with what is left of their limits and budgets
    List {
        /// Only names that hold this
        search: Option<String>,
    },
    /// Everything about one, as JSON
    Show { name: String },
    /// Make one: the key is printed this once
    New {
        name: String,
        #[command(flatten)]
        fields: Box<KeyFields>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Change one: what is not named stays
    Set {
        name: String,
        #[command(flatten)]
        fields: Box<KeyFields>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take one away: its requests are refused from then on
    Delete { name: String },
    /// Draw another key in its place: it is printed this once
    Rotate {
        name: String,
        /// How long the former key goes on working
        #[arg(long, value_name = "TIME", default_value = "0s")]
        overlap: String,
    },
}

/// What is said of a virtual key.
#[derive(Debug, Args)]
pub struct KeyFields {
    #[arg(long, value_name = "TEAM")]
    pub team: Option<String>,
    #[arg(long, value_name = "CUSTOMER")]
    pub customer: Option<String>,
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Patterns of models that it may ask for; may be repeated
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub models: Vec<String>,
    /// A rate limit: requests=60/1m, tokens=200000/1m, concurrent=20; may be repeated
    #[arg(long = "limit", value_name = "WHAT=N/TIME")]
    pub limits: Vec<String>,
    /// A budget: usd=50.00/1d, tokens=1000000/1mo; may be repeated
    #[arg(long = "budget", value_name = "WHAT=N/TIME")]
    pub budgets: Vec<String>,
    /// When it ends, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Whether it works
    #[arg(long, value_name = "BOOL")]
    pub enabled: Option<bool>,
    /// Any other field of the file's section: NAME=JSON; may be repeated
    #[arg(long = "field", value_name = "NAME=JSON")]
    pub others: Vec<String>,
}

/// Which records are meant.
#[derive(Debug, Args)]
pub struct Filter {
    #[arg(long)]
    pub key: Option<String>,
    #[arg(long)]
    pub team: Option<String>,
    #[arg(long)]
    pub customer: Option<String>,
    #[arg(long)]
    pub provider: Option<String>,
    #[arg(long)]
    pub model: Option<String>,
    #[arg(long)]
    pub route: Option<String>,
    /// NAME or NAME=VALUE
    #[arg(long)]
    pub tag: Option<String>,
    /// A status like 429, or a class like 5xx
    #[arg(long)]
    pub status: Option<String>,
    #[arg(long)]
    pub fault: Option<String>,
    #[arg(long)]
    pub operation: Option<String>,
    /// Words that a logged body holds
    #[arg(long)]
    pub text: Option<String>,
    /// Only those that took so many milliseconds
    #[arg(long, value_name = "MS")]
    pub min_ms: Option<u64>,
    /// Only those that cost so many dollars
    #[arg(long, value_name = "USD")]
    pub min_cost_usd: Option<String>,
    /// Only those of the last TIME: 15m, 2h, 24h
    #[arg(long, value_name = "TIME")]
    pub since: Option<crate::units::Span>,
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// The last acts
    List {
        /// How many
        #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Find any act that was removed, changed, moved or put in, and a cut end: exit 0 where there is none, else 1
    Verify {
        /// Read the files of this data directory in place of asking a gateway
        #[arg(long, value_name = "DIRECTORY")]
        data_dir: Option<PathBuf>,
        /// Read an export in place of asking a gateway
        #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
        file: Option<PathBuf>,
        /// Of files: the key that must have signed, in hex [default: any]
        #[arg(long, value_name = "HEX")]
        public_key: Option<String>,
    },
    /// Print all of it
    Export {
        #[arg(long, value_name = "FORM", default_value = "jsonl", value_parser = ["jsonl", "syslog"])]
        format: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Users {
    List,
    /// Make one, or change one: the password is read from stdin
    Set {
        name: String,
        /// owner, admin, operator, viewer
        #[arg(long, value_name = "ROLE")]
        role: String,
        /// Sees and changes what is of this team alone
        #[arg(long, value_name = "TEAM")]
        team: Option<String>,
        /// Read the password from stdin (one line)
        #[arg(long)]
        password_stdin: bool,
    },
    Delete {
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Tokens {
    List,
    /// Make one: it is printed this once
    New {
        name: String,
        /// owner, admin, operator, viewer
        #[arg(long, value_name = "ROLE")]
        role: String,
        /// Sees and changes what is of this team alone
        #[arg(long, value_name = "TEAM")]
        team: Option<String>,
    },
    Delete {
        id: String,
    },
}
