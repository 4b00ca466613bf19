//! The server that mock and replay share: an epoll loop a thread, scripts to play, a request log.
//!
//! Estimate for a plain request on a warm connection: one `epoll_wait` (shared by all that are ready), one `recv`, one
//! `send`; no allocation, no copy of the body; the answer is a prebuilt `Script` behind an `Rc`.

mod connection;
mod event_loop;
mod log;
mod script;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::http::Request;
pub(crate) use log::RequestLog;
pub(crate) use script::{Script, ScriptBuilder};

/// Decides what a request gets.
pub(crate) trait Handler {
    fn answer(&mut self, request: &Request<'_>) -> Rc<Script>;
}

/// Where and how to serve.
pub(crate) struct ServerOptions {
    pub(crate) listen: SocketAddr,
    pub(crate) thread_count: usize,
    pub(crate) log: Option<Arc<RequestLog>>,
}

/// Serves until the process ends: one loop a thread, each with its own SO_REUSEPORT listener and handler.
pub(crate) fn serve<H: Handler>(options: &ServerOptions, make_handler: impl Fn() -> H + Sync) -> io::Result<()> {
    let first = listen(options.listen)?;
    let address = first.local_addr()?;
    println!("listening on http://{address}");
    let mut listeners = vec![first];
    for _ in 1..options.thread_count.max(1) {
        listeners.push(listen(address)?);
    }
    std::thread::scope(|scope| {
        let loops: Vec<_> = listeners
            .into_iter()
            .map(|listener| scope.spawn(|| event_loop::serve_connections(listener, make_handler(), options.log.clone())))
            .collect();
        loops.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a server thread panicked"))))
    })
}

/// Connections that the kernel may hold before we accept them.
const BACKLOG: i32 = 4096;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
