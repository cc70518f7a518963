//! The parts from which a dialect is built, and how to write one.
//!
//! A dialect serves the API of another product. It only translates: it reads through `query`,
//! changes through `ledger::Commands`, and uses no other dialect. Almost everything here is
//! `pub(crate)`, so read the documentation of
//! `cargo doc --no-deps --document-private-items --open`.
//!
//! # A complete dialect with one route
//!
//! `sdk/example/` is a whole dialect, and compiled with the tests: `GET /acme/runs?state=live&max=10`
//! answers `{"runs":[..],"total":N}`. Both parameters may be missing. Copy its two files to
//! `dialects/acme/`: `mod.rs` has the route, and `failure.rs` the words for failures. A dialect names
//! `StatusCode` only in `failure.rs`.
//!
//! # Routes
//!
//! - [`definition::Definition`] is the whole dialect: its calls, its credential schemes, its error
//!   style and its CORS rules ([`cors::Cors`]).
//! - [`calls::Calls`] is a list of routes. `on` adds a route with the role that it needs, and
//!   `open` adds a route without a credential. Paths are those of the vendor, with placeholders
//!   such as `{id}`. The server removes `/compat/<name>` before it looks up a route.
//! - `CredentialScheme` says in which headers clients send their credential and their tenant.
//!   `CredentialScheme::usual()` accepts a key or token as `Authorization: Bearer`, a key as
//!   `X-API-Key`, and the tenant as `X-Tenant-ID`.
//! - [`base_url::Base`] is the address that a client called, for vendors whose servers tell it.
//! - `ErrorStyle` wraps a function that converts a failure to a status and a JSON body. It formats
//!   every failure below the dialect's path, including those of authentication and unknown routes.
//!
//! # Parameters
//!
//! A dialect ignores unknown parameters, so its handlers take `LenientQuery<T>`, never `Query<T>`.
//! `T` implements `QueryParams`: `PARAMS` lists the known parameters, and `read` reads their
//! values.
//!
//! - A `Param<S>` has a name, a description (`about`) and a shape `S`. To rename an existing
//!   parameter, override its name: `ROWS_LIMIT` is a number from 1 to 200, and 50 if absent.
//! - `Values` has a method for each shape: `text` (`Text`), `time` (`Time`), `flag` (`Flag`),
//!   `number` and `limit` (`Number`), `optional_number` (`Range`), `word` for one word of an enum
//!   (`Word`), and `words` for a parameter that may be repeated (`Words`). `parsed` calls a parser
//!   of yours, as in `values.parsed(&AGENT_ID, AgentId::parse)`.
//! - An enum of words derives `strum::EnumString` and `strum::VariantNames`.
//! - A method that finds an invalid value stores the error in `Values`, and returns the default or
//!   nothing. So `read` returns `Ok` even then. The extractor then answers one 400 with all errors.
//! - A path parameter is a `Path<T>`, such as `Path<SessionId>`.
//!
//! # Reads
//!
//! - A handler that only reads takes `Caller<Read>`. `caller.sight()` is the part of the tenant's
//!   data that this caller may see: a credential that is bound to an agent sees only that agent and
//!   its sessions.
//! - `query::sessions::list` returns one page: its rows, and the total over all pages.
//! - `http::response::lookup` finds one session or agent, or returns the problem for a 404. A path
//!   parameter is checked by its type: a malformed id is a 400.
//! - `created_at` of a row is the time of the event that opened the session, and `recorded_at` the
//!   time at which the log stored it. A session is open while its status is `Active`.
//! - The filter and the total follow the statuses that the ledger has recorded. The ledger records
//!   an expiry a little after the deadline, so until then the total counts the session as active.
//!   `row.status_at(now)` is already `Expired`. A dialect can show that status or leave out the
//!   row, but it cannot correct the total.
//! - [`whole_list::WholeList`] streams all sessions that match `filter`, without a limit or a
//!   total. Its function `shows` can leave out some of them, such as sessions past their deadline.
//!   For rows other than sessions, call `whole_list::answer` with a function that writes one page.
//! - `json!` sorts the members of an object by name. If clients need another order, write the text
//!   with `http::response::json::Json`, or pass a struct that derives `Serialize` to
//!   `body::json_of`. [`millis::millis`] formats a time with milliseconds.
//!
//! # Changes
//!
//! - A handler that changes something takes [`change::Change`], which accepts any content type and
//!   any query. [`fields::Fields`] reads the JSON body and ignores unknown fields.
//! - The handler passes `command.by()` and a value of `domain::command` to a method of
//!   `app.commands()`. It passes the result to [`change::stepped`] for a session, or to
//!   [`change::stepped_agent`] for an agent. Both return the session or agent after the change.
//!   They return `None` if the ledger has not processed the event yet: then answer 202.
//! - `revocation` in the result of a revocation says how many sessions the ledger ended. If it has
//!   no `settled_position`, some sessions are still active: then answer 202.
//! - Convert each later failure with [`change::after_writing`], so that clients do not send the
//!   change again.
//!
//! # Registration and tests
//!
//! 1. `dialects/mod.rs`: add `mod acme;`, a variant of `Dialect` with a doc comment, and its arm in
//!    `definition`. Without the arm, the crate does not compile. The dialect is then at
//!    `/compat/acme`, and `serve --dialect` knows its name.
//! 2. `tests/it/tidy/tables.rs`, `HOMES`: allow `StatusCode` in `src/dialects/acme/failure`. Otherwise
//!    `tidy::outside_crates_are_used_only_in_their_homes` fails.
//! 3. `tests/it/dialects/mounts.rs`: add the dialect to its four matches: `a_path` (a `GET` path
//!    that answers 200 on an empty ledger, such as a list: every dialect needs one), `shown`,
//!    `refusals` and `clients_name_a_tenant`. Otherwise the tests do not compile.
//! 4. `tests/it/access` tries every route with every kind of credential, and fails if a handler
//!    shows more than `caller.sight()`. Add new bodies to `world.rs`, and new placeholders: the
//!    segment before `{id}` says there what the id names. An unknown placeholder fails the test,
//!    but a missing body may not: the test then sees only a 400. The test also fails if an answer follows from no rule in `rules.rs`: add an exception.
//! 5. `tests/it/dialects/views.rs`: add a `View`, so that the tests compare the sessions of every
//!    API. No test notices if it is missing.
//! 6. Run the vendor's published client, pinned in `scripts/test`, or send the requests of its
//!    documents. Add bad input. Describe the dialect in `docs/dialects.md` and in the table of
//!    README.md. No test notices if one of these is missing.
//!
//! # Try it
//!
//! The first command prints a key. `--dialect` is an option of `serve`, not of `demo`. If the
//! program is not installed, write `cargo run --` instead of `session-ledger`.
//!
//! ```text
//! session-ledger keys issue --data-dir ./ledger --tenant acme \
//!   --role admin --role read --role write
//! session-ledger serve --data-dir ./ledger --dialect acme=127.0.0.1:8788
//! ```
//!
//! In another terminal:
//!
//! ```text
//! export SESSION_LEDGER_KEY=slk_...
//! session-ledger agents register a-1
//! session-ledger sessions create s-1 --agent a-1
//! curl -H "X-API-Key: $SESSION_LEDGER_KEY" 'http://127.0.0.1:8788/acme/runs?state=live&max=10'
//! curl -H "X-API-Key: $SESSION_LEDGER_KEY" http://127.0.0.1:8787/compat/acme/acme/runs
//! ```

pub(super) mod base_url;
pub(crate) mod calls;
pub(super) mod change;
pub(super) mod cors;
pub(super) mod definition;
#[cfg(test)]
mod example;
pub(super) mod fields;
pub(super) mod millis;
mod pieces;
pub(super) mod whole_list;
