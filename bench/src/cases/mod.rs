//! The cases, by the part that they measure.

pub mod http1;
pub mod json;
pub mod policy;
pub mod stream;
pub mod translate;
