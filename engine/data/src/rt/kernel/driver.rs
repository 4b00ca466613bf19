//! Choosing a driver and running a shard on it.

use std::future::Future;
use std::io;

use io_uring::IoUring;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::Monoio;

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The ring where the kernel lets us, else epoll.
    #[default]
    Auto,
    Uring,
    Epoll,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uring,
    Epoll,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Uring => "uring",
            Kind::Epoll => "epoll",
        }
    }
}

/// Ring set-ups, best first: the kernel's release that has it, and what it saves.
const SETUPS: &[fn(&mut io_uring::Builder)] = &[
    // 6.1: completions are worked on when we wait for them, not by interrupting us.
    |ring| {
        ring.setup_single_issuer().setup_defer_taskrun();
    },
    // 5.19: no inter-processor interrupt for a completion while we run.
    |ring| {
        ring.setup_coop_taskrun();
    },
    |_| {},
];

/// Decides once, before the shards start.
///
/// # Errors
/// Where the ring was demanded and the kernel (or a container's seccomp) forbids it.
pub fn choose(driver: Driver, ring_entries: u32) -> io::Result<Kind> {
    if driver == Driver::Epoll {
        return Ok(Kind::Epoll);
    }
    match ring(ring_entries, SETUPS) {
        Ok(_) if monoio::utils::detect_uring() => Ok(Kind::Uring),
        Ok(_) if driver == Driver::Uring => Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel's io_uring lacks operations")),
        Err(error) if driver == Driver::Uring => Err(error),
        refused => {
            let reason = refused.err().map_or_else(|| "operations are missing".to_owned(), |error| error.to_string());
            tracing::warn!(reason, "io_uring is not available, running on epoll");
            Ok(Kind::Epoll)
        }
    }
}

/// Runs `main` on this thread until it completes, and looks for work for `busy_poll_us` after the last bytes before it sleeps. Tasks
/// that are still there are dropped.
///
/// # Errors
/// Where the driver cannot be set up.
pub fn run<F, T>(kind: Kind, ring_entries: u32, busy_poll_us: u32, main: impl FnOnce(Monoio) -> F) -> io::Result<T>
where
    F: Future<Output = T>,
{
    match kind {
        Kind::Uring => {
            // An enter that does not wait leaves deferred work undone (io_uring_enter(2), IORING_SETUP_DEFER_TASKRUN).
            let setups = if busy_poll_us > 0 { &SETUPS[1..] } else { SETUPS };
            let ring = ring(ring_entries, setups)?;
            let mut runtime = RuntimeBuilder::<IoUringDriver>::new().with_entries(ring_entries).uring_builder(ring).build()?;
            runtime.block_on(async { Ok(main(Monoio::new(kind, busy_poll_us)?).await) })
        }
        Kind::Epoll => {
            let mut runtime = RuntimeBuilder::<LegacyDriver>::new().with_entries(ring_entries).build()?;
            runtime.block_on(async { Ok(main(Monoio::new(kind, busy_poll_us)?).await) })
        }
    }
}

/// The first of the set-ups that this kernel takes.
fn ring(entries: u32, setups: &[fn(&mut io_uring::Builder)]) -> io::Result<io_uring::Builder> {
    let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
    for setup in setups {
        let mut builder = IoUring::builder();
        setup(&mut builder);
        // One wake-up may complete a poll of every connection; the kernel keeps what does not fit, but slowly.
        builder.setup_clamp().setup_cqsize(entries.max(256).saturating_mul(4));
        match builder.build(entries.max(256)) {
            Ok(_) => return Ok(builder),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}
