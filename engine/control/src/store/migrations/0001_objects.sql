CREATE TABLE objects (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    revision BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);
CREATE TABLE revisions (
    number BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    author TEXT NOT NULL,
    role TEXT NOT NULL,
    address TEXT NOT NULL,
    summary TEXT NOT NULL
);
CREATE TABLE revision_changes (
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body_before TEXT,
    body_after TEXT,
    PRIMARY KEY (number, kind, name)
);
CREATE TABLE seals (
    id TEXT NOT NULL PRIMARY KEY,
    wrapped BYTES NOT NULL,
    master TEXT NOT NULL,
    made_at_ms BIGINT NOT NULL,
    is_current BIGINT NOT NULL
);
