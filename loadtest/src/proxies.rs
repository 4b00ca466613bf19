//! Configurations of the two reverse proxies that the gateway is compared with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

/// Flags of `loadtest proxies`.
#[derive(Args, Debug)]
pub(crate) struct ProxiesArgs {
    /// The mock behind them
    #[arg(long)]
    upstream: SocketAddr,
    /// Where nginx.conf and haproxy.cfg go; nginx also keeps its pid file there
    #[arg(long)]
    dir: PathBuf,
    /// Where nginx listens
    #[arg(long, default_value = "127.0.0.1:9201")]
    nginx: SocketAddr,
    /// Where haproxy listens
    #[arg(long, default_value = "127.0.0.1:9202")]
    haproxy: SocketAddr,
    /// Worker processes of nginx and threads of haproxy
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// Writes both files and prints how to start each.
pub(crate) fn write_configurations(args: &ProxiesArgs) -> Result<ExitCode, String> {
    let dir = std::path::absolute(&args.dir).map_err(|error| format!("{}: {error}", args.dir.display()))?;
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for (name, text) in [("nginx.conf", nginx(args, &dir)), ("haproxy.cfg", haproxy(args))] {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!("nginx -c {}/nginx.conf", dir.display());
    println!("haproxy -f {}/haproxy.cfg", dir.display());
    Ok(ExitCode::SUCCESS)
}

/// Keep-alive on both sides, no buffering, nothing written to disk.
fn nginx(args: &ProxiesArgs, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "daemon off;
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {dir}/nginx-body;
    proxy_temp_path {dir}/nginx-proxy;
    fastcgi_temp_path {dir}/nginx-fastcgi;
    uwsgi_temp_path {dir}/nginx-uwsgi;
    scgi_temp_path {dir}/nginx-scgi;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream mock {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} reuseport backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
",
        workers = args.workers,
        upstream = args.upstream,
        listen = args.nginx,
    )
}

fn haproxy(args: &ProxiesArgs) -> String {
    format!(
        "global
    nbthread {workers}
    maxconn 4096
defaults
    mode http
    option http-no-delay
    option http-keep-alive
    http-reuse always
    timeout connect 2s
    timeout client 300s
    timeout server 300s
frontend in
    bind {listen}
    default_backend mock
backend mock
    server mock {upstream} pool-max-conn 1024
",
        workers = args.workers,
        upstream = args.upstream,
        listen = args.haproxy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_proxies_keep_connections_and_do_not_buffer() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let args = ProxiesArgs { upstream: address(1), dir: PathBuf::from("d"), nginx: address(2), haproxy: address(3), workers: 2 };
        let text = nginx(&args, Path::new("/d"));
        assert!(text.contains("keepalive 256;") && text.contains("proxy_buffering off;") && text.contains("server 127.0.0.1:1;"));
        assert!(haproxy(&args).contains("http-reuse always") && haproxy(&args).contains("option http-no-delay"));
    }
}
