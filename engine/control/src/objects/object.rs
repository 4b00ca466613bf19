//! What callers see of objects and their changes.

use serde_json::Value;

use super::Kind;

/// Where an object comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Read-only here: it is changed in the file.
    File {
        line: usize,
    },
    Store,
    /// A key in the environment; an object of this name takes its place.
    Environment,
}

impl Origin {
    pub fn word(self) -> &'static str {
        match self {
            Origin::File { .. } => "file",
            Origin::Store => "store",
            Origin::Environment => "environment",
        }
    }
}

/// One object, for whoever may read.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub kind: Kind,
    pub name: String,
    pub origin: Origin,
    /// As in the file's section; secrets are masked as `{"secret": "…1234"}`, references stand as they are.
    pub body: Value,
    /// Changes whenever the object does.
    pub etag: String,
    pub changed_at_ms: Option<u64>,
    pub changed_by: Option<String>,
}

/// Who makes a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub role: String,
    /// Of the client.
    pub address: String,
}

/// What must be true of an object for it to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Match`.
    Etag(String),
    /// `If-None-Match: *`.
    Absent,
}

/// Whether to do it, or to say what it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    Apply,
    DryRun,
}

/// What `apply` does with objects of the store that are not in what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    Keep,
    Remove,
}

/// One object before and after; secrets are masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub kind: Kind,
    pub name: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// What a change did, or would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// The new revision; `None` where nothing was to be changed, and for a dry run.
    pub revision: Option<u64>,
    /// What is different now.
    pub diff: Vec<Difference>,
    /// The etag of the object that was put, where it was one.
    pub etag: Option<String>,
    /// A virtual key that was drawn, shown this once.
    pub secret: Option<String>,
}

/// One mistake in what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// `routes.chat.targets[0].model`; empty where it is no part of an object.
    pub path: String,
    pub message: String,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is the file's, or there is no store; says what to do.
    ReadOnly(String),
    /// It was changed since it was read.
    Conflict(String),
    NotFound(String),
    Invalid(Vec<Flaw>),
    /// The store cannot be written now. Traffic goes on.
    Unavailable(String),
}

impl Refused {
    pub(super) fn flaw(path: impl Into<String>, message: impl Into<String>) -> Refused {
        Refused::Invalid(vec![Flaw { path: path.into(), message: message.into() }])
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::ReadOnly(reason) | Refused::Conflict(reason) | Refused::NotFound(reason) | Refused::Unavailable(reason) => {
                f.write_str(reason)
            }
            Refused::Invalid(flaws) => {
                for (index, flaw) in flaws.iter().enumerate() {
                    let line_break = if index > 0 { "\n" } else { "" };
                    let colon = if flaw.path.is_empty() { "" } else { ": " };
                    write!(f, "{line_break}{}{colon}{}", flaw.path, flaw.message)?;
                }
                Ok(())
            }
        }
    }
}

/// One numbered change of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    pub number: u64,
    pub at_ms: u64,
    pub author: Author,
    pub summary: String,
    /// Empty in lists.
    pub diff: Vec<Difference>,
}
