//! The admin listener at the start: its address, its certificate, its gate, its audit log.

use std::path::Path;
use std::time::{Duration, SystemTime};

use ringway_control::access::{self, Access, Hosts, Origins, Token, Transport};
use ringway_control::admin;
use ringway_control::audit::{self, Audit, SyslogTarget};
use ringway_control::certificates::Certificates;
use ringway_control::reload::Source;
use ringway_control::store::Database;
use ringway_policy::config::{AuditConfig, Config, Listen};

use crate::banner::{Place, Scheme};
use crate::flags::Serve;
use crate::{serve, token};

const ADDRESS_DEFAULT: &str = "127.0.0.1:8081";

/// Everything that the admin listener stands on.
pub struct Administration {
    pub listener: admin::Listener,
    /// As it was asked for.
    pub address: String,
    pub place: Place,
    pub scheme: Scheme,
    pub certificates: Option<Certificates>,
    pub access: Access,
    pub audit: Audit,
    /// `None` where the operator set it.
    pub fresh_token: Option<String>,
    /// The secret of the first owner's link, while there is no user.
    pub link: Option<String>,
}

/// Binds the listener and makes its gate.
///
/// # Errors
/// What is in the way, and what to do about it.
pub async fn open(flags: &Serve, config: &Config, source: &Source, database: Database) -> Result<Administration, String> {
    let certificates = certificates(flags, config)?;
    let address = match flags.admin.as_ref().or(config.admin.as_ref().map(|at| &at.value)) {
        Some(listen) => listen.clone(),
        None => Listen::parse(ADDRESS_DEFAULT)?,
    };
    if certificates.is_none() && !flags.admin_plain_http && !address.is_local() {
        return Err(format!(
            "the admin listener would speak plain HTTP on {}, and passwords and tokens could be read on their way; give it a certificate \
             (--admin-tls-cert, --admin-tls-key, or admin_tls in the file), listen on 127.0.0.1, or pass --admin-plain-http where a \
             proxy ends TLS",
            serve::shown(&address)
        ));
    }
    let text = serve::shown(&address);
    let listener =
        admin::Listener::bind(&text).await.map_err(|error| format!("admin listener {text}: {error}; choose another with --admin"))?;
    let listener = listener.with_tls(certificates.as_ref().map(Certificates::shared));
    let port = listener.address().map_or(0, |address| address.port());
    let transport = match (&certificates, flags.admin_plain_http) {
        (Some(_), _) => Transport::Tls,
        (None, true) => Transport::BehindTls,
        (None, false) => Transport::Loopback { port },
    };
    let (token, fresh_token) = admin_token(flags)?;
    let audit = open_audit(flags, config.audit.as_ref(), source)?;
    let named = config.admin_hosts.iter().map(|at| at.value.clone());
    let origins = config.admin_cors.iter().flat_map(|cors| &cors.origins).map(|at| at.value.clone());
    let access = Access::new(access::Setup {
        token,
        hosts: Hosts::new(flags.admin_hosts.iter().cloned().chain(named)),
        origins: Origins::new(origins),
        transport,
        database,
        audit: audit.clone(),
        clock: unix_ms,
    });
    // Without it somebody can still be made an owner with the token.
    let link = access.first_link().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "no link for a first owner: the users cannot be counted");
        None
    });
    let place = listener.address().map_or_else(|| Place::Unix(text.trim_start_matches("unix:").to_owned()), Place::Tcp);
    let scheme = if certificates.is_some() { Scheme::Https } else { Scheme::Http };
    Ok(Administration { listener, address: text, place, scheme, certificates, access, audit, fresh_token, link })
}

fn certificates(flags: &Serve, config: &Config) -> Result<Option<Certificates>, String> {
    let named = config.admin_tls.as_ref().map(|tls| (Path::new(&tls.cert.value), Path::new(&tls.key.value)));
    let (cert, key) = match (&flags.admin_tls_cert, &flags.admin_tls_key, named) {
        (Some(cert), Some(key), _) => (cert.as_path(), key.as_path()),
        (_, _, Some(named)) => named,
        _ => return Ok(None),
    };
    Certificates::open(cert, key).map(Some).map_err(|error| format!("certificate of the admin listener: {error}"))
}

fn open_audit(flags: &Serve, config: Option<&AuditConfig>, source: &Source) -> Result<Audit, String> {
    if flags.no_store {
        return Ok(Audit::none());
    }
    let directory = flags.data_dir.clone().unwrap_or_else(|| serve::default_directory(source));
    let syslog = config.and_then(|config| config.syslog.as_ref()).map(|at| SyslogTarget::parse(&at.value)).transpose()?;
    let settings = audit::Settings {
        folder: directory.join(audit::FOLDER),
        key_file: config.and_then(|config| config.key_file.as_ref()).map(|at| at.value.clone().into()),
        retention: config.and_then(|config| config.retention.as_ref()).map(|at| at.value),
        syslog,
    };
    Ok(Audit::new(settings, unix_ms))
}

fn admin_token(flags: &Serve) -> Result<(Token, Option<String>), String> {
    let fresh = match flags.admin_token {
        Some(_) => None,
        None => Some(token::fresh().map_err(|error| format!("{error}; set --admin-token"))?),
    };
    let value = flags.admin_token.as_deref().or(fresh.as_deref()).unwrap_or_default();
    Ok((Token::new(value)?, fresh))
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
}
