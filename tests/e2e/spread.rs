//! Fresh connections go to the least loaded shard.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use crate::client::{connect, read, request};
use crate::process::Ringway;

#[test]
fn eight_connections_on_two_shards_land_four_and_four() {
    let ringway = Ringway::start("{}");
    // The start's own probing connections must be gone first.
    std::thread::sleep(Duration::from_millis(200));
    let mut streams: Vec<_> = (0..8).map(|_| connect(ringway.address)).collect();
    std::thread::sleep(Duration::from_millis(200));
    for stream in &mut streams {
        let body = r#"{"model":"ringway/echo","messages":[{"role":"user","content":"hi"}]}"#;
        stream.write_all(&request("/v1/chat/completions", "", body)).expect("written");
        assert_eq!(read(stream).status, 200);
    }
    let mut shards: HashMap<u64, usize> = HashMap::new();
    for record in ringway.records(Duration::from_millis(500)) {
        *shards.entry(record["shard"].as_u64().expect("a shard")).or_default() += 1;
    }
    assert_eq!(shards, HashMap::from([(0, 4), (1, 4)]));
}
