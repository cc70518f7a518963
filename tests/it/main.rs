//! Tests that need more than one module, or files, sockets and servers: the real ones.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod cli_demo;
mod cli_help;
mod cli_nats;
mod cli_offline;
mod cli_serve;
mod expiry;
mod expiry_nodes;
mod fold;
mod fold_runner;
mod http_append;
mod http_bad_input;
mod http_connections;
mod http_history;
mod http_operations;
mod http_sessions;
mod ledger_on_nats;
mod log_admin;
mod log_batches;
mod log_conformance;
mod log_embedded;
mod log_jetstream;
mod nats_permissions;
mod openapi;
mod schemas;
mod support;
mod tidy;
mod wire;
