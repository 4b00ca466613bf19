//! What providers and clients speak: wire formats, providers as data, translation and faults.
//!
//! Pure: bytes and values in, bytes and values out. No socket, clock, file, lock or random source.

pub mod dialect;
pub mod door;
pub mod echo;
pub mod event;
pub mod fault;
pub mod frame;
pub mod ir;
pub mod json;
pub mod multipart;
pub mod needs;
pub mod operation;
pub mod path;
pub mod provider;
mod provider_file;
pub mod quirk;
pub mod rate_limit;
pub mod shape;
pub mod splice;
pub mod tokens;
pub mod usage;
