use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;

use super::*;
use crate::rt::Io;

fn at(port: u16) -> Address {
    Address::Ip(SocketAddr::from(([10, 0, 0, 1], port)))
}

async fn write_all(stream: &SimStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(&[IoSlice::new(bytes)]) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read_all(stream: &SimStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let (result, buf) = stream.read(Vec::with_capacity(1000)).await;
        if result? == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&buf);
    }
}

#[test]
fn bytes_arrive_whole_and_in_order_however_rough_the_wire() {
    for seed in 0..64 {
        run(seed, |sim| async move {
            sim.inject(Faults::ROUGH);
            let sent: Vec<u8> = (0..200_000u32).map(|number| number as u8).collect();
            let listener = sim.listen(at(80));
            let expected = sent.clone();
            let done = Rc::new(Cell::new(false));
            let flag = done.clone();
            sim.spawn(async move {
                let stream = listener.accept().await;
                assert_eq!(read_all(&stream).await.unwrap(), expected);
                flag.set(true);
            });
            let stream = sim.connect(&at(80)).await.unwrap();
            write_all(&stream, &sent).await.unwrap();
            stream.shutdown();
            let (result, _) = stream.read(Vec::with_capacity(1)).await;
            assert_eq!(result.unwrap(), 0);
            assert!(done.get());
        });
    }
}

#[test]
fn the_clock_jumps_and_one_seed_gives_one_run() {
    let times = |seed| {
        run(seed, |sim| async move {
            sim.inject(Faults::ROUGH);
            let start = sim.now_ns();
            sim.sleep(Duration::from_secs(3600)).await;
            assert_eq!(sim.now_ns() - start, 3_600_000_000_000);
            let listener = sim.listen(at(1));
            for _ in 0..20 {
                drop(sim.connect(&at(1)).await);
            }
            drop(listener);
            (sim.now_ns(), sim.random())
        })
    };
    assert_eq!(times(7), times(7));
    assert_ne!(times(7), times(8));
}

#[test]
fn a_deadlock_is_found() {
    let stuck = try_run(1, |sim| async move {
        let listener = sim.listen(at(1));
        listener.accept().await;
    });
    assert!(stuck.unwrap_err().starts_with("deadlock"));
}

#[test]
fn nobody_listening_refuses_and_a_reset_reaches_both_sides() {
    run(3, |sim| async move {
        assert_eq!(sim.connect(&at(9)).await.err().unwrap().kind(), io::ErrorKind::ConnectionRefused);
        let (left, right) = pair(&sim);
        assert!(left.is_idle_and_open());
        write_all(&left, b"x").await.unwrap();
        right.reset();
        assert!(left.has_ended() && !left.is_idle_and_open());
        let (result, _) = left.read(Vec::with_capacity(1)).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        sim.inject(Faults { connect_emfile_in: 1, ..Faults::NONE });
        assert_eq!(sim.connect(&at(9)).await.err().unwrap().raw_os_error(), Some(libc::EMFILE));
    });
}
