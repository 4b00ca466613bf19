//! Waking a shard from another thread: an eventfd.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use super::check;
use super::socket::Core;

/// The end that any thread may hold.
#[derive(Clone)]
pub struct Wake {
    fd: Arc<OwnedFd>,
}

/// The end that the shard waits on.
pub struct WakeReceiver {
    fd: OwnedFd,
}

/// A fresh pair. The receiver may travel to its shard's thread before it is used.
///
/// # Errors
/// Where the process is out of descriptors.
pub fn wake_pair() -> io::Result<(Wake, WakeReceiver)> {
    // SAFETY: a plain system call; its result is checked.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: `fd` is fresh and ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((Wake { fd: Arc::new(fd.try_clone()?) }, WakeReceiver { fd }))
}

impl Wake {
    /// Never blocks: a full counter means that the shard is being woken anyway.
    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes, as eventfd(2) asks for.
        unsafe { libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

impl WakeReceiver {
    /// Calls `on_wake` after every wake-up (several may come as one), until it says to stop.
    ///
    /// # Errors
    /// Where the driver refuses the descriptor.
    pub async fn listen(self, mut on_wake: impl FnMut() -> std::ops::ControlFlow<()>) -> io::Result<()> {
        let core = Core::adopt(self.fd)?;
        loop {
            core.readable().await?;
            let mut count = 0u64;
            // SAFETY: eight bytes of room.
            unsafe { libc::read(core.fd(), (&raw mut count).cast(), 8) };
            if on_wake().is_break() {
                return Ok(());
            }
        }
    }
}
