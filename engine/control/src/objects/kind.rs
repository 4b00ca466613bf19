//! The kinds of objects: what they are called in URLs and in the file, and which of their fields are secrets.

use ringway_policy::config::Section;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Provider,
    Route,
    Alias,
    VirtualKey,
    Profile,
    Team,
    Customer,
    Channel,
    Alert,
}

struct RowOfKind {
    kind: Kind,
    /// In URLs and in the database.
    plural: &'static str,
    section: Section,
    /// Fields that hold secrets: `a.b`, `list[]`, `map{}`; sealed at rest and masked in every answer.
    secrets: &'static [&'static str],
    /// Fields that hold a virtual key, which is kept as its SHA-256 alone.
    keys: &'static [&'static str],
}

const KINDS: &[RowOfKind] = &[
    RowOfKind {
        kind: Kind::Provider,
        plural: "providers",
        section: Section::Providers,
        secrets: &[
            "keys[]",
            "keys[].value",
            "secret_access_key",
            "session_token",
            "client_secret",
            "access_token",
            "credentials",
            "headers[][1]",
        ],
        keys: &[],
    },
    RowOfKind { kind: Kind::Route, plural: "routes", section: Section::Routes, secrets: &[], keys: &[] },
    RowOfKind { kind: Kind::Alias, plural: "aliases", section: Section::Aliases, secrets: &[], keys: &[] },
    RowOfKind {
        kind: Kind::VirtualKey,
        plural: "keys",
        section: Section::VirtualKeys,
        secrets: &["credentials{}"],
        keys: &["key", "previous[].key"],
    },
    RowOfKind { kind: Kind::Profile, plural: "profiles", section: Section::Profiles, secrets: &["credentials{}"], keys: &[] },
    RowOfKind { kind: Kind::Team, plural: "teams", section: Section::Teams, secrets: &[], keys: &[] },
    RowOfKind { kind: Kind::Customer, plural: "customers", section: Section::Customers, secrets: &[], keys: &[] },
    RowOfKind {
        kind: Kind::Channel,
        plural: "channels",
        section: Section::Channels,
        // Whoever knows such a URL may write there.
        secrets: &["webhook", "secret", "slack", "teams", "pagerduty"],
        keys: &[],
    },
    RowOfKind { kind: Kind::Alert, plural: "alerts", section: Section::Alerts, secrets: &[], keys: &[] },
];

impl Kind {
    pub fn all() -> impl Iterator<Item = Kind> {
        KINDS.iter().map(|row| row.kind)
    }

    /// Its word in URLs: `providers`, `keys`.
    pub fn plural(self) -> &'static str {
        self.row().plural
    }

    /// The kind of a word in a URL.
    pub fn find(plural: &str) -> Option<Kind> {
        KINDS.iter().find(|row| row.plural == plural).map(|row| row.kind)
    }

    /// Its section of the file.
    pub fn section(self) -> Section {
        self.row().section
    }

    pub fn of_section(section: Section) -> Option<Kind> {
        KINDS.iter().find(|row| row.section == section).map(|row| row.kind)
    }

    pub(super) fn secrets(self) -> &'static [&'static str] {
        self.row().secrets
    }

    pub(super) fn keys(self) -> &'static [&'static str] {
        self.row().keys
    }

    fn row(self) -> &'static RowOfKind {
        // A test holds every kind to its row.
        &KINDS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_kinds_and_every_section_has_one() {
        for (index, row) in KINDS.iter().enumerate() {
            assert_eq!(row.kind as usize, index);
            assert_eq!((Kind::find(row.plural), Kind::of_section(row.section)), (Some(row.kind), Some(row.kind)));
        }
        assert!(Section::ALL.into_iter().all(|section| Kind::of_section(section).is_some()));
    }
}
