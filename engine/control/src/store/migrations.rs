//! The schema of the database: numbered steps, each run once, forward only.
//!
//! A step is written in the words that SQLite and Postgres share: `BIGINT`, `TEXT`, and `BYTES`, which each calls its own way. A
//! statement ends with `;` at the end of a line. A step that is in a release is never changed: what is to change is a new one.

/// One step.
pub struct Migration {
    pub number: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

/// In their order, without a gap.
pub const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "objects", sql: include_str!("migrations/0001_objects.sql") },
    Migration { number: 2, name: "access", sql: include_str!("migrations/0002_access.sql") },
    Migration { number: 3, name: "alerts", sql: include_str!("migrations/0003_alerts.sql") },
];

/// The schema that this binary knows.
pub fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

/// The statements of a step, with the database's own word for bytes.
pub(super) fn statements(migration: &Migration, bytes: &str) -> String {
    migration.sql.replace(" BYTES", &format!(" {bytes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_without_a_gap() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.number, index as i64 + 1, "{}", migration.name);
        }
    }
}
