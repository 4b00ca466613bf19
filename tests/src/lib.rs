//! What the suites on real sockets share: the processes under test and a client that shows every byte.

pub mod client;
pub mod process;
pub mod standin;
