//! Tests that need more than one module, or files, sockets and servers: the real ones.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod cli_commands;
mod cli_demo;
mod cli_help;
mod cli_nats;
mod cli_offline;
mod cli_serve;
mod expiry;
mod fold;
mod fold_runner;
mod http_agents;
mod http_append;
mod http_bad_input;
mod http_commands;
mod http_connections;
mod http_history;
mod http_operations;
mod http_races;
mod http_sessions;
mod ledger_on_nats;
mod log_admin;
mod log_conformance;
mod log_embedded;
mod log_jetstream;
mod openapi;
mod revocation;
mod schemas;
mod secrets;
mod support;
mod tidy;
mod transitions;
mod two_servers;
mod wire;
