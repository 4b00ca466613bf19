//! The text of the file in force, for whoever asks what an object of it says.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ringway_policy::config::{digest, objects};
use serde_json::Value;

use super::Kind;
use crate::reload::{FILE_BYTES_MAX, read_bounded};

/// A longer file is not kept in memory: it is read again when somebody asks, and believed where it is still the one in force.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The file that the configuration in force was read from.
#[derive(Clone, Debug, Default)]
pub(crate) enum FileText {
    /// It was none.
    #[default]
    None,
    Kept(Arc<str>),
    OnDisk {
        path: PathBuf,
        sha256: [u8; 32],
    },
}

impl FileText {
    pub fn new(path: PathBuf, text: &str) -> FileText {
        match text.len() {
            0..=KEPT_BYTES_MAX => FileText::Kept(text.into()),
            _ => FileText::OnDisk { path, sha256: digest(text) },
        }
    }

    /// What the file says of the objects that are wanted, as it is written. Empty where a long file was changed and not taken.
    pub fn bodies(&self, kind: Kind, wanted: &dyn Fn(&str) -> bool) -> HashMap<String, Value> {
        let text: Arc<str> = match self {
            FileText::None => return HashMap::new(),
            FileText::Kept(text) => text.clone(),
            FileText::OnDisk { path, sha256 } => match read_bounded(path, FILE_BYTES_MAX) {
                Ok(text) if digest(&text) == *sha256 => text.into(),
                _ => return HashMap::new(),
            },
        };
        objects::written_of(&text, kind.section(), wanted).into_iter().map(|object| (object.name, object.body)).collect()
    }
}
