//! Every integration test, in one binary: it links once. One file tells one capability, `harness` is what they stand on.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod again;
mod api_document;
mod api_errors;
mod back_pressure;
mod bad_scripts;
mod capture;
mod chaos;
mod cli;
mod clients;
mod conformance;
mod connecting;
mod connection_log;
mod conversation;
mod conversation_rules;
mod documented_scripts;
mod durability;
mod elsewhere;
mod failure;
mod faults;
mod flows;
mod handshake;
mod harness;
mod harness_itself;
mod heartbeat;
mod lanes;
mod licences;
mod live;
mod locks;
mod message_to_job;
mod operations;
mod page;
mod protocol;
mod proxy;
mod recipes;
mod references;
mod replies;
mod rights;
mod said_and_done;
mod schema;
mod secrets;
mod servers;
mod starting;
mod suspended;
mod tidy;
mod tls;
mod tryout;
mod warm_callers;
mod windmill_shapes;
