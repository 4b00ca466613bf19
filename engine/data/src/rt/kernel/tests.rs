use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::*;
use crate::race::{Either, race};
use crate::rt::Io;

fn on_both(test: impl AsyncFn(Monoio)) {
    for kind in [Kind::Uring, Kind::Epoll] {
        if kind == Kind::Uring && choose(Driver::Uring, 256).is_err() {
            eprintln!("io_uring is forbidden here: epoll alone is tested");
            continue;
        }
        run(kind, 256, 0, |rt| {
            let test = &test;
            async move { test(rt).await }
        })
        .unwrap();
    }
}

fn here() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Ip(listener.local_addr().unwrap());
    (listener, address)
}

#[test]
fn bytes_go_both_ways_and_the_end_is_seen() {
    on_both(async |rt| {
        let (listener, address) = here();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = [0; 5];
            stream.read_exact(&mut got).unwrap();
            stream.write_all(b"answer").unwrap();
            got
        });
        let stream = rt.connect(&address).await.unwrap();
        assert!(stream.is_idle_and_open());
        assert_eq!(stream.try_write(&[IoSlice::new(b"he"), IoSlice::new(b"llo")]).unwrap(), 5);
        let mut buf = b"> ".to_vec();
        buf.reserve(64);
        let mut result;
        while buf.len() < 8 {
            (result, buf) = stream.read(buf).await;
            result.unwrap();
        }
        assert_eq!(buf, b"> answer");
        stream.readable().await.unwrap();
        assert!(stream.has_ended() && !stream.is_idle_and_open());
        let (result, _) = stream.read(Vec::with_capacity(1)).await;
        assert_eq!(result.unwrap(), 0);
        assert_eq!(&peer.join().unwrap(), b"hello");
    });
}

#[test]
fn a_dropped_wait_for_readability_is_taken_up_again() {
    on_both(async |rt| {
        let (listener, address) = here();
        let stream = rt.connect(&address).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        for round in 0..3u8 {
            for _ in 0..3 {
                let nothing = race(stream.readable(), rt.sleep(Duration::from_millis(2))).await;
                assert!(matches!(nothing, Either::Right(())), "round {round}");
            }
            peer.write_all(&[round]).unwrap();
            stream.readable().await.unwrap();
            let (result, buf) = stream.read(Vec::with_capacity(8)).await;
            assert_eq!((result.unwrap(), &buf[..]), (1, &[round][..]));
        }
    });
}

#[test]
fn a_read_makes_an_older_watch_worthless() {
    on_both(async |rt| {
        let (listener, address) = here();
        let stream = rt.connect(&address).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let armed = race(stream.readable(), rt.sleep(Duration::from_millis(2))).await;
        assert!(matches!(armed, Either::Right(())));
        peer.write_all(b"x").unwrap();
        let (result, _) = stream.read(Vec::with_capacity(8)).await;
        assert_eq!(result.unwrap(), 1);
        let nothing = race(stream.readable(), rt.sleep(Duration::from_millis(5))).await;
        assert!(matches!(nothing, Either::Right(())), "the watch fired for bytes already read");
    });
}

#[test]
fn a_full_socket_says_would_block_and_then_writable() {
    on_both(async |rt| {
        let (listener, address) = here();
        let stream = rt.connect(&address).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let chunk = vec![7u8; 64 * 1024];
        let mut sent = 0;
        loop {
            match stream.try_write(&[IoSlice::new(&chunk)]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let drain = thread::spawn(move || {
            let mut count = 0;
            let mut buf = vec![0; 64 * 1024];
            while count < sent {
                count += peer.read(&mut buf).unwrap();
            }
            count
        });
        stream.writable().await.unwrap();
        assert!(stream.try_write(&[IoSlice::new(b"")]).is_ok());
        assert_eq!(drain.join().unwrap(), sent);
    });
}

#[test]
fn a_refused_connect_says_so() {
    on_both(async |rt| {
        let (listener, address) = here();
        drop(listener);
        assert_eq!(rt.connect(&address).await.err().unwrap().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn sleep_keeps_time_and_another_thread_wakes_us() {
    on_both(async |rt| {
        let start_ns = rt.now_ns();
        rt.sleep(Duration::from_millis(20)).await;
        assert!(rt.now_ns() - start_ns >= 20_000_000);
        let (wake, receiver) = wake_pair().unwrap();
        let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
        thread::spawn(move || wake.wake());
        let seen = count.clone();
        receiver
            .listen(move || {
                seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                std::ops::ControlFlow::Break(())
            })
            .await
            .unwrap();
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
}

#[test]
fn an_accepted_socket_closes_on_exec_and_does_not_delay() {
    on_both(async |rt| {
        let fd = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let bound = Bound::new(&rt, fd).unwrap();
        assert_eq!(bound.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let client = TcpStream::connect(bound.local().unwrap()).unwrap();
        bound.readable().await.unwrap();
        let (fd, peer) = bound.accept().unwrap();
        assert_eq!(peer, Some(client.local_addr().unwrap()));
        let socket = socket2::SockRef::from(&fd);
        assert!(socket.tcp_nodelay().unwrap());
        // SAFETY: a plain query of an open descriptor.
        let flags = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&fd), libc::F_GETFD) };
        assert_ne!(flags & libc::FD_CLOEXEC, 0);
    });
}

#[test]
fn a_reset_reaches_the_peer() {
    on_both(async |rt| {
        let (listener, address) = here();
        let stream = rt.connect(&address).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let _ = race(stream.readable(), rt.sleep(Duration::from_millis(1))).await;
        stream.reset();
        drop(stream);
        rt.sleep(Duration::from_millis(5)).await;
        assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

/// Times that this thread gave its core up by itself.
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

/// How often the thread slept while a peer answered `ROUNDS` times.
fn waits_of_rounds(kind: Kind, busy_poll_us: u32) -> u64 {
    const ROUNDS: u64 = 100;
    run(kind, 256, busy_poll_us, |rt| async move {
        let (listener, address) = here();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = [0];
            while stream.read(&mut got).unwrap() == 1 {
                thread::sleep(Duration::from_micros(200));
                stream.write_all(&got).unwrap();
            }
        });
        let stream = rt.connect(&address).await.unwrap();
        let mut begin = 0;
        for round in 0..=ROUNDS {
            stream.try_write(&[IoSlice::new(b"x")]).unwrap();
            let (result, _) = stream.read(Vec::with_capacity(8)).await;
            assert_eq!(result.unwrap(), 1);
            // The first answer begins the spinning.
            begin = if round == 0 { waits() } else { begin };
        }
        let count = waits() - begin;
        // Closing would wait for the driver, which the join keeps from running.
        stream.shutdown();
        peer.join().unwrap();
        count
    })
    .unwrap()
}

#[test]
fn a_busy_polling_thread_does_not_sleep_between_bytes() {
    // Longer than any answer takes on a machine that others share.
    const LONG_US: u32 = 2_000_000;
    for (driver, kind) in [(Driver::Uring, Kind::Uring), (Driver::Epoll, Kind::Epoll)] {
        if choose(driver, 256).is_ok() {
            let (sleeping, polling) = (waits_of_rounds(kind, 0), waits_of_rounds(kind, LONG_US));
            assert!(sleeping > 50 && polling < sleeping / 4, "{}: {sleeping} waits, {polling} where it polls", kind.name());
        }
    }
}
