//! A panic ends the connection that it happened in, not the shard.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a connection's future; a panic in it is logged and drops it.
pub async fn contain(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        // What the future leaves half-done is its own: it is dropped. The shard's shared state is changed by short
        // calls that hold no borrow across a point that may panic on outside data.
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))).unwrap_or_else(|_| {
            tracing::error!("a connection ended by a bug in the gateway; please report it");
            Poll::Ready(())
        })
    })
    .await;
}
