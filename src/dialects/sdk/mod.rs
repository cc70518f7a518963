//! The parts from which a dialect is built, and how to write one.
//!
//! A dialect serves the API of another product. It only translates: it reads through `query`,
//! changes through `ledger::Commands`, and uses no other dialect.
//!
//! # The parts
//!
//! - [`definition::Definition`] is the whole dialect: its calls, its credential schemes, its error
//!   style and its CORS rules.
//! - [`calls::Calls`] is a list of routes. `on` adds a route with the role that it needs, and
//!   `open` adds a route without a credential. `tests/it/access` tries every listed route.
//! - `CredentialScheme` says in which headers clients send their credential and their tenant.
//!   `CredentialScheme::usual()` is that of the ledger's own API.
//! - `ErrorStyle` wraps a function that converts a failure to a status and a JSON body. It formats
//!   every failure below the dialect's path, including those of authentication and unknown routes.
//! - [`change::Change`] extracts a request that changes something, with any content type and query.
//!   The handler passes its `command.by()` to a method of `app.commands()`, and the result to
//!   [`change::stepped`] or [`change::stepped_agent`]. These return the changed session or agent,
//!   or `None` while there is no verdict. Convert later failures with [`change::after_writing`].
//! - [`fields::Fields`] reads the fields of a JSON body and ignores unknown ones.
//! - [`whole_list::WholeList`] writes a list of sessions without pages. `whole_list::answer` does
//!   it for other rows.
//! - [`millis::millis`] writes a time with milliseconds. [`cors::Cors`] allows pages of other
//!   sites.
//!
//! A handler that only reads takes `Caller<Read>`. If a query may have parameters that the dialect
//! does not know, use `LenientQuery` instead of `Query`.
//!
//! # A complete dialect with one route
//!
//! `GET /v1/sessions` lists the open sessions of the caller's tenant. `dialects/acme/mod.rs`:
//!
//! ```text
//! //! Acme: lists open sessions.
//!
//! mod failure;
//!
//! use axum::{extract::State, http::Method, response::Response};
//!
//! use crate::dialects::sdk::{calls::Calls, definition::Definition};
//! use crate::dialects::sdk::{millis::millis, whole_list::WholeList};
//! use crate::domain::{SessionFilter, StatusSet, Timestamp, session::Status};
//! use crate::http::layers::authenticate::CredentialScheme;
//! use crate::http::problem::{Problem, style::ErrorStyle};
//! use crate::http::request::caller::{Caller, Read};
//! use crate::http::{response::json::Json, state::App};
//! use crate::projection::SessionRow;
//!
//! pub(super) fn definition() -> Definition {
//!     let known = Calls::default().on(Method::GET, "/v1/sessions", Read, list);
//!     Definition {
//!         known: vec![(known, CredentialScheme::usual())],
//!         open: Calls::default(),
//!         style: ErrorStyle::new(failure::word),
//!         cors: None,
//!     }
//! }
//!
//! async fn list(State(app): State<App>, caller: Caller<Read>) -> Result<Response, Problem> {
//!     let list = WholeList {
//!         principal: caller.principal().clone(),
//!         filter: SessionFilter {
//!             statuses: StatusSet::only(Status::Active),
//!             ..SessionFilter::default()
//!         },
//!         // A session past its deadline may still be stored as active.
//!         shows: |row, now| row.status_at(now) == Status::Active,
//!         write: write_session,
//!         frame: ["{\"sessions\":[".to_owned(), "]}".to_owned()],
//!     };
//!     list.answer(&app)
//! }
//!
//! fn write_session(out: &mut Json, row: &SessionRow<'_>, _now: Timestamp) {
//!     out.raw("{\"id\":");
//!     out.text(row.session_id);
//!     out.raw(",\"startedAt\":");
//!     out.text(&millis(row.created_at));
//!     out.raw("}");
//! }
//! ```
//!
//! `dialects/acme/failure.rs`, the only file of a dialect that names a `StatusCode`:
//!
//! ```text
//! //! Failures in Acme's words: a text and a code.
//!
//! use axum::http::StatusCode;
//! use serde_json::{Value, json};
//!
//! use crate::http::problem::style::Failure;
//!
//! pub(super) fn word(failure: &Failure<'_>) -> (StatusCode, Value) {
//!     let code = failure.problem.code();
//!     (code.status(), json!({"error": failure.text(), "code": code.as_str()}))
//! }
//! ```
//!
//! # Registration and tests
//!
//! 1. `dialects/mod.rs`: declare the module, add a variant to `Dialect`, and add it to `ALL`,
//!    `as_str` and `definition`. The dialect is then at `/compat/acme` and at the addresses of
//!    `--dialect`.
//! 2. `tests/it/tidy.rs`: allow `StatusCode` in the dialect's `failure.rs`.
//! 3. `tests/it/dialects/mounts.rs`: add one path of the dialect, the headers of its credential,
//!    and its statuses for a missing and an ambiguous credential.
//! 4. `tests/it/dialects/views.rs`: add a `View`, so that the sessions of every API are compared.
//! 5. `tests/it/access`: add the bodies of new routes to `world.rs`, and add a rule to `rules.rs`
//!    if an answer follows from no existing rule.
//! 6. Run the vendor's published client, pinned in `scripts/test`, or send the requests of its
//!    documents. Add bad input. Describe the dialect in `docs/dialects.md`.
//!
//! CONTRIBUTING.md, "Add a dialect", has the complete recipe.

pub(crate) mod calls;
pub(super) mod change;
pub(super) mod cors;
pub(super) mod definition;
pub(super) mod fields;
pub(super) mod millis;
mod pieces;
pub(super) mod whole_list;
