//! JSON by span: find a few top-level fields without decoding the rest, and edit them without copying the rest.
//! JSON by tree (`node`, `tree`) and by writer (`write`, `build`): for what is translated.

pub(crate) mod build;
mod escape;
pub mod node;
pub mod patch;
pub mod peek;
pub mod scan;
mod short;
pub(crate) mod tree;
pub mod write;
