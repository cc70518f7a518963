//! Tests against the real thing: files, sockets, servers.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod log_conformance;
mod log_embedded;
mod log_jetstream;
mod schemas;
mod support;
mod wire;
