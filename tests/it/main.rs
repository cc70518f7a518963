//! Tests that need more than one module, or files.
#![allow(clippy::unwrap_used, reason = "a failed test should panic")]

mod schemas;
mod support;
mod wire;
