//! Socket activation: listening sockets that systemd opened for us (sd_listen_fds(3), read 2026-11-20).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The first one that is handed over.
const FD_FIRST: RawFd = 3;
/// Most sockets that are taken.
const FDS_MAX: RawFd = 64;

/// Takes the sockets over; none where the variables are absent or meant for another process. Call it once, before anything
/// else opens a file.
pub fn inherited() -> Vec<OwnedFd> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<RawFd>().ok());
    let is_ours = number("LISTEN_PID").is_some_and(|pid| pid as u32 == std::process::id());
    let count = if is_ours { number("LISTEN_FDS").unwrap_or(0).clamp(0, FDS_MAX) } else { 0 };
    (FD_FIRST..FD_FIRST + count).filter_map(take).collect()
}

fn take(fd: RawFd) -> Option<OwnedFd> {
    if !is_listening(fd) {
        return None;
    }
    // SAFETY: `fcntl` on a number takes no memory of ours; `is_listening` saw that the descriptor is open.
    let marked = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    if marked < 0 {
        return None;
    }
    // SAFETY: the descriptor is open, systemd gave it to this process alone, and `inherited` runs once, so nothing else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn is_listening(fd: RawFd) -> bool {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` and `len` live through the call, and `len` says how large `value` is.
    let outcome = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, (&raw mut value).cast(), &raw mut len) };
    outcome == 0 && value != 0
}

/// The address that a taken socket listens on; `None` for a Unix socket.
pub fn address(fd: &OwnedFd) -> Option<std::net::SocketAddr> {
    std::net::TcpListener::from(fd.try_clone().ok()?).local_addr().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn only_a_listening_socket_is_taken() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(is_listening(listener.as_raw_fd()));
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!is_listening(client.as_raw_fd()));
        assert!(!is_listening(-1));
    }

    #[test]
    fn a_taken_socket_tells_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let expected = listener.local_addr().unwrap();
        assert_eq!(address(&OwnedFd::from(listener)), Some(expected));
    }
}
