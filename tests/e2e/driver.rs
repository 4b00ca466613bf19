//! Where the kernel forbids the ring, as a container's seccomp filter does.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::client::post;
use crate::process::{Process, Ringway, ringway_binary};

/// The binary under a filter that refuses `io_uring_setup` with EPERM, as Docker's default profile does.
fn without_ring() -> Command {
    let mut command = Command::new(ringway_binary());
    // SAFETY: between fork and exec `forbid_ring` makes two system calls and allocates nothing.
    unsafe { command.pre_exec(forbid_ring) };
    command
}

fn forbid_ring() -> std::io::Result<()> {
    const SYSCALL_NUMBER_AT: u32 = 0;
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let filter = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, SYSCALL_NUMBER_AT),
        filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_io_uring_setup as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call, which copies it.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn epoll_takes_over_with_one_line_where_the_ring_is_forbidden() {
    let ringway = Ringway::launch("{}", without_ring().args(["--driver", "auto"]));
    let ask = json!({"model": "ringway/echo", "stream": true, "messages": [{"role": "user", "content": "one two"}]});
    let answer = post(ringway.address, "/v1/chat/completions", &ask);
    assert_eq!((answer.status, answer.chat_text().as_str(), answer.complete), (200, "one two", true));
    let lines = ringway.process.errors_with("io_uring is not available, running on epoll");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_demanded_ring_that_is_forbidden_is_an_error() {
    let mut process = Process::start(without_ring().args(["--driver", "uring", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]));
    assert_eq!(process.exit(Duration::from_secs(10)), Some(1));
}
