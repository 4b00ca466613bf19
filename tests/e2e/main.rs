//! The whole gateway on real sockets, against mock providers on loopback.
//!
//! `RINGWAY_BIN` and `LOADTEST_BIN` name the binaries (else those beside this test's own), `RINGWAY_TEST_DRIVER` the
//! driver (else `auto`).

mod admin_api;
mod audit;
mod bedrock;
mod carried;
mod carried_keys;
mod cli;
mod cluster;
mod cohere;
mod conditions;
mod disconnect;
mod drain;
mod driver;
mod extras;
mod first;
mod gemini;
mod keys;
mod limits;
mod ollama;
mod own_providers;
mod priority;
mod prometheus;
mod quotas;
mod realtime;
mod reload;
mod request_log;
mod rescue;
mod routing;
mod spread;
mod telemetry;
mod tenants;
mod tokens;
mod translate;
mod typed;
mod wall;

use ringway_tests::{client, process};
