//! Every bound of the ledger, in one place.
//!
//! The first part decides verdicts: a change of any of these numbers is a new version of the
//! [`Rules`](crate::domain::Rules), because two nodes that disagree on one would fold the same log into
//! different read models.

// --- Limits that decide verdicts -----------------------------------------------------------------

/// Longest event body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest session, agent, project or event id, in characters.
pub const ID_CHARS_MAX: usize = 256;
/// Longest tenant id, in characters; all of them are ASCII.
pub const TENANT_CHARS_MAX: usize = 64;
/// Longest `source` of an event, in characters.
pub const SOURCE_CHARS_MAX: usize = 512;
/// Longest descriptive text of a session or agent (names, user agent and the like), in characters.
pub const TEXT_CHARS_MAX: usize = 512;
/// Longest `reason` of an ending, in characters.
pub const REASON_CHARS_MAX: usize = 1024;
/// Longest `display_name` of an agent, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 256;
/// Longest `public_key` of an agent, in characters: RSA of 8192 bits in PEM fits.
pub const PUBLIC_KEY_CHARS_MAX: usize = 2048;
/// Longest `description` of an agent, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 2048;
/// Largest metadata object, in bytes of its JSON text, also after a merge.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of a metadata object, and of any other value in an event's data.
pub const METADATA_DEPTH_MAX: usize = 32;
/// Most scopes of a session or agent.
pub const SCOPES_MAX: usize = 64;
/// Longest scope, in characters.
pub const SCOPE_CHARS_MAX: usize = 128;
/// Longest time to live, in seconds: a hundred years, so that no deadline overflows.
pub const TTL_SECONDS_MAX: u64 = 3_155_760_000;
/// How far an event's time may lie after the log's own before it is replaced, in microseconds.
pub const TIME_AHEAD_US_MAX: i64 = 5 * 60 * 1_000_000;
/// The earliest time that an event may claim, in microseconds since 1970: 2000-01-01T00:00:00Z. Nothing
/// that this ledger records happened before, so an earlier time is a clock that was never set.
pub const TIME_EARLIEST_US: i64 = 946_684_800_000_000;
/// Most events that wait for one session to open.
pub const PARKED_PER_SESSION_MAX: usize = 64;
/// How long an event waits for its session to open, in microseconds of the log's own time.
pub const PARKED_US_MAX: i64 = 24 * 3600 * 1_000_000;

/// Most parked events that are rejected as overdue with one record.
pub const PARKED_ENDED_PER_RECORD_MAX: usize = 64;

// --- Limits of the log ---------------------------------------------------------------------------

/// Largest message on the stream, in bytes: a body plus its headers.
pub const LOG_MESSAGE_BYTES_MAX: usize = 68 * 1024;
/// Longest private part of a record, in bytes.
pub const PRIVATE_BYTES_MAX: usize = 2 * 1024;
/// Longest subject, in bytes. The server drops the whole connection at about 4,050.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Most appends waiting for the embedded log's next group commit.
pub const LOG_APPEND_QUEUE_MAX: usize = 1024;
/// Most records in one group commit of the embedded log.
pub const LOG_GROUP_RECORDS_MAX: usize = 4096;
/// Most records that one read of the log hands over.
pub const LOG_READ_RECORDS_MAX: usize = 4096;
/// Most bytes of record bodies that one read of the log hands over, give or take one record.
pub const LOG_READ_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most published messages of one append that wait for their acknowledgement.
pub const LOG_PUBLISH_IN_FLIGHT_MAX: usize = 256;
/// How long an atomic batch takes the server whatever is in it, in microseconds: it syncs a batch once.
pub const LOG_BATCH_US: u64 = 12_000;
/// Fewest records that are published as an atomic batch, until the speed of the server is known. A
/// server that syncs every message gets batches from about 40 records on.
pub const LOG_BATCH_RECORDS_MIN: usize = 500;
/// Most records of an atomic batch; the server takes no more.
pub const LOG_BATCH_RECORDS_MAX: usize = 1_000;
/// Most atomic batches of this process that are open at one time. The server takes 50 per stream.
pub const LOG_BATCHES_OPEN_MAX: usize = 8;
/// Most records under a guard that are published one after another, each awaited: more take longer
/// than a batch.
pub const LOG_GUARDED_SINGLES_MAX: usize = 40;
/// Most records fetched from the log at a time for one page of history.
pub const LOG_GET_IN_FLIGHT_MAX: usize = 32;
/// How long an append waits for the log's acknowledgement, in milliseconds.
pub const LOG_APPEND_WAIT_MS: u64 = 5_000;
/// How often a server of the log that says nothing is asked whether it is there, in milliseconds. After
/// the third time without an answer the connection counts as lost.
pub const LOG_PING_MS: u64 = 1_000;
/// How often the server asks a log that refuses writes whether it accepts them again, in milliseconds.
pub const LOG_PROBE_MS: u64 = 1_000;
/// How long the log has to answer such a question, in milliseconds.
pub const LOG_PROBE_WAIT_MS: u64 = 2_000;

// --- Limits of the projection --------------------------------------------------------------------

/// A transaction takes no more records once it has this many.
pub const FOLD_BATCH_RECORDS_MAX: usize = 100_000;
/// Limit of records in a transaction while a request waits for the fold.
pub const FOLD_AWAITED_RECORDS_MAX: usize = 20_000;
/// A transaction takes no more records once their bodies and the rows that they are about have this many
/// bytes.
pub const FOLD_BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How long a fold that is behind waits, during one batch, for more to fold at once, in milliseconds.
pub const FOLD_LINGER_MS: u64 = 200;
/// How many records may follow a batch on the log before its verdicts are no longer published.
pub const NOTICES_BEHIND_MAX: u64 = 1_000;
/// Most verdicts of one batch that are published.
pub const NOTICES_MAX: usize = 1_000;
/// With this many tenants that missed verdicts, gap messages are published although the fold is behind.
pub const NOTICE_GAPS_MAX: usize = 10_000;
/// Longest wait for verdicts to be handed to the connection, in milliseconds.
pub const NOTICES_WAIT_MS: u64 = 50;
/// Most chunks of the log that are decoded and wait for the fold.
pub const FOLD_QUEUE_CHUNKS_MAX: usize = 2;
/// Replay debt: most records that a crash may take from the read model (the log has them).
pub const FOLD_DURABLE_RECORDS_MAX: u64 = 200_000;
/// Replay debt: most batches that are not durable yet.
pub const FOLD_DURABLE_BATCHES_MAX: u32 = 12;
/// Replay debt in time: the longest wait before a durable commit, in milliseconds.
pub const FOLD_DURABLE_MS_MAX: u64 = 5_000;
/// The wait before the first durable commit after a start, in milliseconds. It doubles with each one.
pub const FOLD_DURABLE_MS_MIN: u64 = 250;
/// How long the log must be quiet before the fold commits durably ahead of time, in milliseconds.
pub const FOLD_IDLE_MS: u64 = 250;
/// Events of a session's history that its row holds; older ones move to a table of their own.
pub const HISTORY_INLINE_MAX: usize = 32;
/// Keys of a tally bucket above which the bucket is counted by its next byte.
pub const TALLY_BUCKET_KEYS_MAX: u64 = 64;
/// Memory for the read model's page cache, in bytes.
pub const STORE_CACHE_BYTES: usize = 128 * 1024 * 1024;
/// Memory for the embedded log's page cache, in bytes.
pub const LOG_CACHE_BYTES: usize = 32 * 1024 * 1024;

// --- Limits of the reactors ----------------------------------------------------------------------

/// Most events that a reactor writes in one append. While the fold takes its first records, the log
/// takes the next.
pub const REACTOR_BATCH_MAX: usize = 4_000;
/// First and longest wait before a reactor tries again what did not take effect, in milliseconds.
pub const REACTOR_RETRY_MS: (u64, u64) = (50, 5_000);
/// How long a reactor waits after the log did not accept its records, in milliseconds.
pub const REACTOR_FAILED_MS: u64 = 200;
/// How long a reactor that found nothing due waits at least before it looks again, in milliseconds.
pub const REACTOR_LOOK_MS: u64 = 10;
/// How long a reactor waits for a ledger that was faster before, in milliseconds.
pub const REACTOR_YIELD_MS: u64 = 100;

// --- Limits of the API ---------------------------------------------------------------------------

/// Rows of a page when the caller names no number.
pub const PAGE_ROWS_DEFAULT: u16 = 50;
/// Most rows of a page.
pub const PAGE_ROWS_MAX: u16 = 200;
/// Most events of a page of history.
pub const EVENTS_PAGE_MAX: u16 = 1000;
/// Most index entries that one page of filtered history looks at; the page says where to go on.
pub const EVENTS_SCAN_MAX: usize = 20_000;
/// Most events of one batch.
pub const BATCH_EVENTS_MAX: usize = 1000;
/// Longest request body, in bytes.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a request waits for its events to be folded, in milliseconds.
pub const VERDICT_WAIT_MS: u64 = 2_000;
/// How long a read waits for the position that it asks for, in milliseconds.
pub const MIN_POSITION_WAIT_MS: u64 = 2_000;
/// Longest text that is looked at as a token, in characters: the longest ids of tenant and session
/// (64 and 256 characters of up to four bytes) in base64, and the secret part.
pub const TOKEN_CHARS_MAX: usize = 1536;
/// How often an event is given to a log that does not say whether it has it, if its caller cannot
/// send it again safely.
pub const UNCONFIRMED_TRIES_MAX: usize = 3;
/// Longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Most requests that wait for the fold at one time.
pub const WAITERS_MAX: usize = 4096;
/// How far the fold may lag, in milliseconds, before new events are refused with 503.
pub const FOLD_LAG_MS_MAX: u64 = 1_000;
/// Most requests that read the read model at one time.
pub const READS_MAX: usize = 256;
/// Most open connections of all addresses together. For one more, those that were idle longest are
/// closed.
pub const CONNECTIONS_MAX: usize = 8192;
/// Most connections beyond [`CONNECTIONS_MAX`], while none of those is idle. The server answers health
/// checks on them, and 503 to every other request.
pub const CONNECTIONS_HEALTH_MAX: usize = 64;
/// Most idle connections that are closed at one time to make room: to look for them costs more than
/// to close one.
pub const CONNECTIONS_CLOSED_AT_ONCE: usize = 16;
/// How long a new connection waits for the end of those that are closed for it, in milliseconds.
pub const CONNECTION_ROOM_WAIT_MS: u64 = 100;
/// How long the client of a connection must have read nothing before the connection is closed to
/// make room, in milliseconds.
pub const CONNECTION_STALLED_MS: u64 = 1_000;
/// File descriptors that connections leave to files, to the connection to NATS and to startup.
pub const DESCRIPTORS_KEPT: usize = 256;
/// Most bytes of answers of one connection that are made and not sent. A connection without
/// unsent bytes may exceed it with one answer.
pub const UNSENT_PER_CONNECTION_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most bytes of answers of all connections together that are made and not sent.
pub const UNSENT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// From so many unsent bytes on, a connection may be ended for the room that it takes, in bytes.
pub const UNSENT_LARGE_BYTES: usize = 1024 * 1024;
/// Longest piece in which an answer is given to its connection, in bytes. A client that reads less
/// than this in [`WRITE_WAIT_MS`] reads nothing.
pub const UNSENT_PIECE_BYTES: usize = 64 * 1024;
/// How much the system keeps of a connection that its client has no room for, in bytes.
pub const SOCKET_UNSENT_BYTES: u32 = 128 * 1024;
/// How long a client may read nothing of its answers, in milliseconds.
pub const WRITE_WAIT_MS: u64 = 30_000;
/// How long a client may take to read one answer, in milliseconds.
pub const ANSWER_WAIT_MS: u64 = 300_000;
/// Most long pages of history that are made at one time.
pub const HISTORY_PAGES_MAX: usize = 8;
/// How often at most the log says that the server is full, in milliseconds.
pub const FULL_WARNING_MS: u64 = 10_000;
/// How long a new connection may take until its first request's head is complete, in milliseconds.
pub const HEAD_WAIT_MS: u64 = 10_000;
/// How long a connection may take from one answer to the next request's head, in milliseconds.
///
/// Longer than the 60 s after which load balancers close idle connections: they must
/// not send on one that the server is closing.
pub const CONNECTION_IDLE_MS: u64 = 75_000;
/// How long a request's body may take to arrive, in milliseconds.
pub const REQUEST_BODY_WAIT_MS: u64 = 30_000;
/// How long an answer waits for a request body that no handler reads, in milliseconds.
pub const UNREAD_BODY_WAIT_MS: u64 = 1_000;
/// Most requests at one time on a connection of HTTP/2.
pub const HTTP2_STREAMS_MAX: u32 = 256;
/// How often a connection of HTTP/2 is asked whether it is alive, and how long it has to answer, in
/// milliseconds.
pub const HTTP2_KEEP_ALIVE_MS: (u64, u64) = (20_000, 10_000);
/// How long shutdown waits for requests under way, in milliseconds.
pub const SHUTDOWN_WAIT_MS: u64 = 10_000;
/// How long shutdown waits for requests that have not arrived to their end, in milliseconds.
pub const SHUTDOWN_ARRIVAL_MS: u64 = 1_000;

// --- Limits of credentials -----------------------------------------------------------------------

/// Most keys of a tenant that are not revoked; expired ones count until they are.
pub const KEYS_PER_TENANT_MAX: usize = 1_000;
/// How many revoked keys of a tenant are listed; older ones are forgotten, on the log they stay.
pub const KEYS_REVOKED_MAX: usize = 1_000;
/// Longest name of a key, in characters.
pub const KEY_NAME_CHARS_MAX: usize = 256;
/// Longest credential that is looked at, in bytes. A token of Entra ID with the 200 groups that it names
/// at most has about 12 kB.
pub const CREDENTIAL_BYTES_MAX: usize = 32 * 1024;
/// Longest head of a request of HTTP/2, in bytes: a credential and twice as much beside it. HTTP/1 takes
/// more.
pub const REQUEST_HEAD_BYTES_MAX: u32 = 96 * 1024;
/// Longest id of a credential, in bytes: `iss|sub` of a token. It stands beside every event that the
/// credential gives to a ledger.
pub const CREDENTIAL_ID_BYTES_MAX: usize = 512;
/// How far the clocks of token issuers may differ from ours, in microseconds.
pub const TOKEN_LEEWAY_US: i64 = 30 * 1_000_000;
/// Most tenants that one token may speak for.
pub const TOKEN_TENANTS_MAX: usize = 256;
/// Longest name of a claim in the settings, in characters.
pub const CLAIM_NAME_CHARS_MAX: usize = 256;
/// Most dots of such a name: each may lead into an object within the claims, or be part of a name.
pub const CLAIM_NAME_DOTS_MAX: usize = 8;
/// Most claims that are looked at for a token's tenants, or for its roles.
pub const CLAIM_NAMES_MAX: usize = 8;
/// Most pairs of an identity provider's word and the role that it gives.
pub const ROLE_WORDS_MAX: usize = 256;
/// Most keys that one token's signature is checked with. With ES256 they take a millisecond.
pub const TOKEN_KEYS_TRIED_MAX: usize = 16;
/// Most words of a token, or keys of a key set, that a line of the server's log names.
pub const LOGGED_WORDS_MAX: usize = 16;
/// Most characters of each.
pub const LOGGED_WORD_CHARS_MAX: usize = 128;
/// How much time there is at least between two lines of the server's log about refused requests of one
/// kind, in milliseconds.
pub const REFUSALS_TOLD_MS: u64 = 10_000;
/// Shortest secret for tokens signed with HS256, in bytes: as long as the hash, see RFC 7518, 3.2.
pub const HS256_SECRET_BYTES_MIN: usize = 32;
/// Longest key set for tokens, in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Most keys of a key set.
pub const JWKS_KEYS_MAX: usize = 128;
/// How often a key set is fetched from its URL, in milliseconds.
pub const JWKS_FETCH_MS: u64 = 5 * 60_000;
/// How often the file of a key set is looked at, in milliseconds.
pub const JWKS_FILE_MS: u64 = 1_000;
/// How much time there is at least from the end of a fetch to the next one for tokens with an
/// unknown key, in milliseconds.
pub const JWKS_REFETCH_MS: u64 = 5_000;
/// How long a fetch of a key set may take, and a token with an unknown key wait for one, in
/// milliseconds.
pub const JWKS_WAIT_MS: u64 = 5_000;
/// How many requests are counted between two sweeps of the rate limits that are at rest again.
pub const RATE_SWEEP_REQUESTS: u64 = 65_536;

// --- Limits of the command line ------------------------------------------------------------------

/// How long a command waits for a connection, in milliseconds.
pub const CLI_CONNECT_WAIT_MS: u64 = 3_000;
/// How long a server may be silent while a command waits for its answer, in milliseconds. A server
/// itself waits up to 7 s for the log and the fold.
pub const CLI_SILENCE_MS: u64 = 10_000;
/// How long an answer may take from its start to its end, in milliseconds.
pub const CLI_ANSWER_MS: u64 = 60_000;
/// First and longest pause before a call is made again, in milliseconds.
pub const CLI_RETRY_MS: (u64, u64) = (100, 2_000);
/// How long after the first try a call is made again, in milliseconds.
pub const CLI_RETRIES_MS: u64 = 15_000;
