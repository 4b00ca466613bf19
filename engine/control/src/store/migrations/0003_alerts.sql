-- What fires at each gateway, and the spend by hour that anomalies are held against.
CREATE TABLE alert_states (
    gateway TEXT NOT NULL,
    alert TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (gateway, alert)
);
-- What people were told, and how each channel took it.
CREATE TABLE alert_messages (
    id TEXT NOT NULL PRIMARY KEY,
    alert TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    deliveries TEXT NOT NULL
);
CREATE INDEX alert_messages_at ON alert_messages (at_ms);
