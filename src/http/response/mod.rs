//! Writes answers: rows, pages, and outcomes of commands.

pub(crate) mod agent_row;
pub(crate) mod body;
pub(crate) mod command;
pub(crate) mod event_match;
pub(crate) mod event_row;
pub(crate) mod json;
pub(crate) mod links;
pub(crate) mod lookup;
pub(crate) mod session_row;
pub(crate) mod success;
pub(crate) mod totals;
pub(crate) mod validator;
