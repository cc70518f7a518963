//! The bounds that decide verdicts, and most others: of memory, of waits, and of what callers send.
//!
//! A bound that only one file needs may stand there: that of a dialect or a handler, a pause between
//! retries, or a number from which on something is faster.
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
/// Most records that one read of the log returns.
pub const LOG_READ_RECORDS_MAX: usize = 4096;
/// Most bytes of record bodies that one read of the log returns, give or take one record.
pub const LOG_READ_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The room that the disk of the embedded log must have, in bytes. With less, the log refuses records
/// before a write can fail. The read model needs less, so that the fold still folds what the log has.
pub const LOG_ROOM_BYTES_MIN: u64 = 128 * 1024 * 1024;
/// How far the clock may be behind the last record of the embedded log before later records get an
/// earlier time, in microseconds.
pub const LOG_CLOCK_BEHIND_US_MAX: i64 = 300 * 1_000_000;
/// Most published messages of one append that wait for their acknowledgement.
pub const LOG_PUBLISH_IN_FLIGHT_MAX: usize = 256;
/// Most unacknowledged messages of all appends together. The server refuses more than 10,000.
pub const LOG_UNACKNOWLEDGED_MAX: usize = 8192;
/// How long an append waits for its turn while the appends before it have that many messages in flight,
/// in milliseconds. Beyond that, the answer is 503.
pub const LOG_TURN_WAIT_MS: u64 = 1_000;
/// How long to wait for an acknowledgement after a reconnect, in milliseconds. Most are lost with the
/// old connection. Those of messages that were still queued arrive at once.
pub const LOG_RECONNECTED_WAIT_MS: u64 = 250;
/// Most records that are read by position when their deliveries break the connection.
pub const LOG_RESCUED_RECORDS_MAX: usize = 64;
/// How long the server may send nothing to a reader, in milliseconds: two of its heartbeats and some time.
pub const LOG_SILENCE_MS: u64 = 2_500;
/// How long a NATS server must say that records are missing before that is an alarm, in milliseconds. A
/// server that lags behind its cluster may say so for a moment.
pub const LOG_DOUBT_MS: u64 = 5_000;
/// How often a missing record of a stream that goes on is asked for again, within about 140 ms.
///
/// A previous leader learns of the next one with the next record, or with a heartbeat. A backup asks for each
/// of up to [`LOST_RANGES_MAX`] gaps in this way, one after the other, so the time must be short.
pub const LOG_MISSING_RETRIES: u32 = 3;
/// How long closing a connection may take, in milliseconds. A server that hangs does not answer the last ping.
pub const LOG_CLOSE_WAIT_MS: u64 = 1_000;
/// The time that the server needs for an atomic batch of any size, in microseconds: it syncs each batch once.
pub const LOG_BATCH_US: u64 = 12_000;
/// Fewest records that are published as an atomic batch, until the speed of the server is known. A
/// server that syncs every message gets batches from about 40 records on.
pub const LOG_BATCH_RECORDS_MIN: usize = 500;
/// Most records of an atomic batch; the server takes no more.
pub const LOG_BATCH_RECORDS_MAX: usize = 1_000;
/// Most atomic batches of this process that are open at one time. The server takes 50 per stream.
pub const LOG_BATCHES_OPEN_MAX: usize = 8;
/// Most records under a guard that are published one after another, each after the acknowledgement
/// of the one before. For more records, a batch is faster.
pub const LOG_GUARDED_SINGLES_MAX: usize = 40;
/// Most records fetched from the log at a time for one page of history.
pub const LOG_GET_IN_FLIGHT_MAX: usize = 32;
/// Fewest records of NATS that are read as a range: a consumer has to be created for each range.
pub const LOG_RANGE_RECORDS_MIN: u64 = 64;
/// Most records of a range for each one that was asked for.
pub const LOG_RANGE_SPAN_MAX: u64 = 8;
/// How long the next records of a range, and the whole range, may take, in milliseconds. What did not arrive then is
/// read by position.
pub const LOG_RANGE_WAIT_MS: (u64, u64) = (500, 5_000);
/// Most bytes of the newest records that are kept in memory, so that reading them again needs no request to NATS.
pub const LOG_RECENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long an append waits for the log's acknowledgement, in milliseconds.
pub const LOG_APPEND_WAIT_MS: u64 = 5_000;
/// How often the ledger asks the leader of the stream for an answer, in milliseconds: normally, and while
/// none has come for a second.
pub const LOG_PULSE_MS: (u64, u64) = (500, 100);
/// How long the leader of the stream may answer nothing, in milliseconds. After that, the log counts as
/// unavailable, and the ledger connects to another server of the cluster.
pub const LOG_PULSE_LOST_MS: u64 = 2_000;
/// How long the leader of the stream may hear nothing of another copy, in milliseconds, before that copy
/// counts as lost. Copies report every second.
pub const LOG_PEER_LOST_MS: u64 = 3_000;
/// How long the ledger waits for an answer over another server before it tries the next one, in milliseconds.
pub const LOG_MOVE_MS: u64 = 2_500;
/// How long a connection to a server of the log may take to be made, in milliseconds.
pub const LOG_CONNECT_WAIT_MS: u64 = 2_000;
/// How long the ledger avoids a server of the log that it could not reach, in milliseconds, if there is another one.
pub const LOG_SERVER_AVOIDED_MS: u64 = 30_000;
/// How often the ledger pings a silent server of the log, in milliseconds. After the third ping
/// without an answer, the connection counts as lost.
pub const LOG_PING_MS: u64 = 1_000;
/// How often the server asks a log that refuses writes whether it accepts them again, in milliseconds.
pub const LOG_PROBE_MS: u64 = 1_000;
/// How long the log has to answer such a question, in milliseconds.
pub const LOG_PROBE_WAIT_MS: u64 = 2_000;

// --- Limits of backups ---------------------------------------------------------------------------

/// Most records of a segment of a backup.
pub const BACKUP_SEGMENT_RECORDS_MAX: u64 = 100_000;
/// A segment takes no more records once its lines have this many bytes.
pub const BACKUP_SEGMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A slice of a log for a backup takes no more records once its lines have this many bytes.
pub const BACKUP_SLICE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest line of a segment, in bytes: the largest record, if JSON escapes each of its bytes.
pub const BACKUP_LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Most records that a restore reads and writes at once.
pub const RESTORE_RECORDS_MAX: usize = 4096;
/// Most bytes of records that a restore reads and writes at once, give or take one record.
pub const RESTORE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most ranges of lost records that an error names.
pub const LOST_RANGES_MAX: usize = 100;

// --- Limits of exports ---------------------------------------------------------------------------

/// Most events of a segment of an export.
pub const EXPORT_SEGMENT_EVENTS_MAX: u64 = 100_000;
/// A segment of an export takes no more events once its lines have this many bytes.
pub const EXPORT_SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most events of a page for an export.
pub const EXPORT_PAGE_EVENTS_MAX: u16 = 5_000;
/// Events of a page for an export if the request has no limit.
pub const EXPORT_PAGE_EVENTS_DEFAULT: u16 = 1_000;
/// A page for an export takes no more events once its lines have this many bytes.
pub const EXPORT_PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest line of an export, in bytes: the largest event, if JSON escapes each of its bytes, and its other members.
pub const EXPORT_LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest manifest of an export, in bytes: about 100,000 segments.
pub const EXPORT_MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

// --- Limits of the projection --------------------------------------------------------------------

/// A transaction takes no more records once it has this many.
pub const FOLD_BATCH_RECORDS_MAX: usize = 100_000;
/// Limit of records in a transaction while a request waits for the fold.
pub const FOLD_AWAITED_RECORDS_MAX: usize = 20_000;
/// A transaction takes no more records once their bodies and the rows that they are about have this many bytes.
pub const FOLD_BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How long a fold that is behind waits during one batch for more records, in milliseconds.
pub const FOLD_LINGER_MS: u64 = 200;
/// How many records may follow a batch on the log before its verdicts are no longer published.
pub const NOTICES_BEHIND_MAX: u64 = 1_000;
/// Most verdicts of one batch that are published.
pub const NOTICES_MAX: usize = 1_000;
/// If this many tenants missed verdicts, gap messages are published even while the fold is behind.
pub const NOTICE_GAPS_MAX: usize = 10_000;
/// Longest wait until the connection accepts verdicts, in milliseconds.
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
/// The room that the disk of the read model must have, in bytes. With less, the fold waits, and readers
/// see the last state. What redb has not written yet is at most half of its cache.
pub const FOLD_ROOM_BYTES_MIN: u64 = 48 * 1024 * 1024 + STORE_CACHE_BYTES as u64 / 2;
/// How often the fold looks whether there is room, in milliseconds.
pub const FOLD_ROOM_WAIT_MS: u64 = 500;
/// Most times that one process mends its read model because bytes of it were damaged or could not be read.
/// A disk that damages files again and again needs an operator.
pub const FOLD_MENDS_MAX: u32 = 3;
/// How many of the last records a start looks at for tokens that were made from another secret.
pub const SECRET_RECORDS_MAX: u64 = 100;
/// Snapshots of the read model that stay in the shared directory.
pub const SNAPSHOTS_KEPT: usize = 2;
/// The pause before a server reads the log of keys again after a failed read, in milliseconds.
pub const KEYS_RETRY_MS: u64 = 500;
/// The longest pause before a node writes a snapshot that is due, in milliseconds. Of several nodes, one
/// usually writes it before the others look again.
pub const SNAPSHOT_SPREAD_MS: u64 = 2_000;
/// How old a half written snapshot must be before another node removes it, in milliseconds. Until then, no
/// other node writes one.
pub const SNAPSHOT_LEFTOVER_MS: u64 = 600_000;
/// How long a node waits after a snapshot that it could not write, in milliseconds.
pub const SNAPSHOT_RETRY_MS: u64 = 60_000;
/// After a snapshot, a node waits this many times as long as the snapshot took.
pub const SNAPSHOT_REST_TIMES: u32 = 20;
/// The cache of the file that a snapshot is written to, in bytes.
pub const SNAPSHOT_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Events of a session's history that its row holds; older ones move to a table of their own.
pub const HISTORY_INLINE_MAX: usize = 32;
/// Most keys of a tally bucket. A bucket with more is split by the next byte of its keys.
pub const TALLY_BUCKET_KEYS_MAX: u64 = 64;
/// After so many events of a tenant, the read model keeps a mark of its chain. To find the chain at another
/// position, the server reads at most so many events. Another number is another layout.
pub const CHAIN_MARK_EVENTS: u64 = 256;
/// Memory for the read model's page cache, in bytes.
pub const STORE_CACHE_BYTES: usize = 128 * 1024 * 1024;
/// Memory for the embedded log's page cache, in bytes.
pub const LOG_CACHE_BYTES: usize = 32 * 1024 * 1024;

// --- Limits of the history file ------------------------------------------------------------------

/// Most records whose changes one pass takes.
pub const PAST_BATCH_RECORDS_MAX: u64 = 50_000;
/// The shortest pause between two passes, in milliseconds, unless a request waits.
pub const PAST_REST_MS: u64 = 100;
/// The pause after a failed pass, in milliseconds. It doubles with each one.
pub const PAST_RETRY_MS_MIN: u64 = 250;
/// The longest pause after a failed pass, in milliseconds.
pub const PAST_RETRY_MS_MAX: u64 = 30_000;
/// After so many failed passes, one after the other, the file is made again.
pub const PAST_FAILURES_MAX: u32 = 3;
/// Most times that one process makes the file again because it fails.
pub const PAST_REMAKES_MAX: u32 = 3;
/// The longest time between two durable commits, in milliseconds.
pub const PAST_DURABLE_MS: u64 = 10_000;
/// Most records between two durable commits.
pub const PAST_DURABLE_RECORDS_MAX: u64 = 200_000;
/// Memory for the page cache of the file, in bytes.
pub const PAST_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Room that must be left on the disk for a pass, in bytes.
pub const PAST_ROOM_BYTES_MIN: u64 = 64 * 1024 * 1024 + FOLD_ROOM_BYTES_MIN;
/// Most entries that a page at a past position reads, if it does not start at an offset.
///
/// An entry is a time that a session or agent spent in a listing. A hundred thousand take about 10 ms.
pub const PAST_PAGE_ENTRIES_MAX: u64 = 40_000;
/// Most entries that an offset or a range of creation times at a past position reads.
pub const PAST_COUNT_ENTRIES_MAX: u64 = 500_000;

// --- Limits of the reactors ----------------------------------------------------------------------

/// Most events that a reactor writes in one append. The fold can then take these records while the
/// log stores the next ones.
pub const REACTOR_BATCH_MAX: usize = 4_000;
/// First and longest wait before a reactor retries an event that did not take effect, in milliseconds.
pub const REACTOR_RETRY_MS: (u64, u64) = (50, 5_000);
/// How long a reactor waits after the log did not accept its records, in milliseconds.
pub const REACTOR_FAILED_MS: u64 = 200;
/// Shortest wait of a reactor that found nothing due, in milliseconds.
pub const REACTOR_LOOK_MS: u64 = 10;
/// How long a reactor leaves due events to a node that was faster the last time, in milliseconds.
pub const REACTOR_YIELD_MS: u64 = 100;

// --- Limits of the API ---------------------------------------------------------------------------

/// Rows of a page if the request has no limit.
pub const PAGE_ROWS_DEFAULT: u16 = 50;
/// Most rows of a page.
pub const PAGE_ROWS_MAX: u16 = 200;
/// Most events of a page of history.
pub const EVENTS_PAGE_MAX: u16 = 1000;
/// Most events that one page reads to compare attributes that no index has.
pub const EVENTS_COMPARED_MAX: usize = 1_000;
/// Most index entries that one page of filtered history reads. The page says where to continue.
pub const EVENTS_SCAN_MAX: usize = 20_000;
/// Most ancestors in the lineage of a session: the nearest ones.
pub const LINEAGE_ANCESTORS_MAX: usize = 200;
/// How deep the descendants in a lineage go. Deeper ones are in the lineage of those at this depth.
pub const LINEAGE_DEPTH_MAX: usize = 1_000;
/// Most hand-offs that a lineage follows to find the session that goes on now.
pub const LINEAGE_HANDOFFS_MAX: usize = 10_000;
/// Most sessions of a tree that is listed. A tree has no index, so each page reads it whole. Not more than
/// [`LINEAGE_DEPTH_MAX`], so that every path in such a tree is followed to its end.
pub const TREE_SESSIONS_MAX: usize = 1_000;
/// Most sessions of other agents that a page of a lineage skips, for a credential that is bound to an agent.
pub const LINEAGE_SKIPPED_MAX: usize = 10_000;
/// Most events of one batch.
pub const BATCH_EVENTS_MAX: usize = 1000;
/// Longest request body, in bytes.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a request waits for its events to be folded, in milliseconds. A revocation then waits as long
/// again until the sessions of the agent have ended.
pub const VERDICT_WAIT_MS: u64 = 2_000;
/// How long a read waits for the position that it asks for, in milliseconds.
pub const MIN_POSITION_WAIT_MS: u64 = 2_000;
/// Longest text that the server reads as a token, in characters: the longest ids of tenant and
/// session (64 and 256 characters of up to four bytes) in base64, and the secret part.
pub const TOKEN_CHARS_MAX: usize = 1536;
/// How often the ledger appends an event that the log does not confirm, if its caller cannot safely retry.
pub const UNCONFIRMED_TRIES_MAX: usize = 3;
/// Longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Most verdicts that an append reads on the thread of its request. More are read on the blocking pool.
pub const VERDICTS_INLINE_MAX: usize = 50;
/// Most reads that wait for the fold at one time.
pub const WAITERS_MAX: usize = 4096;
/// Most writes that wait for their verdicts at one time. With more, an overloaded server answers reads
/// later, because each batch of the fold wakes all of them; `docs/testing.md` compares.
pub const WRITERS_MAX: usize = 256;
/// Most writes that wait for their turn to be one of [`WRITERS_MAX`].
pub const WRITERS_QUEUED_MAX: usize = 512;
/// How long a write waits for its turn, in milliseconds.
pub const WRITER_TURN_WAIT_MS: u64 = 1_000;
/// How long a write may wait for its body during its turn, in milliseconds. Then others have their turn
/// until the body is there.
pub const WRITER_BODY_WAIT_MS: u64 = 100;
/// Most streams that clients follow at one time.
pub const FOLLOWERS_MAX: usize = 4096;
/// Most different listings that clients follow at one time, of all tenants together. Each keeps its rows in memory.
pub const SESSION_FEEDS_MAX: usize = 1024;
/// Most different histories that clients follow at one time, of all tenants together. Each keeps its last
/// batches in memory.
pub const EVENT_FEEDS_MAX: usize = 128;
/// Most events of a batch that all clients of a history share.
pub const FEED_BATCH_EVENTS_MAX: usize = 128;
/// Longest batch that clients share, in bytes. One event may be longer.
pub const FEED_BATCH_BYTES_MAX: usize = 64 * 1024;
/// How many batches are kept for clients that are slower than others.
pub const FEED_BATCHES_MAX: usize = 16;
/// Most feeds of a kind that read at one time.
pub const FEED_LOOKS_MAX: usize = 4;
/// How long a feed waits before it tries again to read what has failed, in milliseconds.
pub const FEED_RETRY_MS: u64 = 1_000;
/// Most events that a stream reads at once for a client that is behind.
pub const STREAM_PAGE_EVENTS_MAX: usize = 500;
/// Longest page that a stream reads at once, in bytes. One event may be longer.
pub const STREAM_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// How long after its last frame a stream sends one that says up to where nothing has happened, in milliseconds.
pub const BOOKMARK_EVERY_MS: u64 = 5_000;
/// How long a stream lasts at most, in milliseconds.
pub const STREAM_TIME_MS: u64 = 240_000;
/// How much earlier a stream may end, in milliseconds, so that not all end together.
pub const STREAM_TIME_SPREAD_MS: u64 = 60_000;
/// How long a client should wait before it connects again to a server that stops, in milliseconds.
pub const STREAM_RESTART_WAIT_MS: u64 = 1_000;
/// After so many turns of tasks, a thread looks which sockets can be read.
///
/// On an overloaded server, a turn can answer hundreds of requests of one connection, and the requests of
/// others are not noticed until then.
pub const RUNTIME_EVENT_INTERVAL: u32 = 8;
/// How far the fold may lag, in milliseconds, before the server rejects new events with a 503.
pub const FOLD_LAG_MS_MAX: u64 = 1_000;
/// Most agents that a filter of sessions names.
pub const FILTER_AGENTS_MAX: usize = 16;
/// Most requests that read the read model at one time.
pub const READS_MAX: usize = 256;
/// Most open connections of all addresses together. For one more, the server closes those that were idle longest.
pub const CONNECTIONS_MAX: usize = 8192;
/// Most connections beyond [`CONNECTIONS_MAX`], while none of those is idle. The server answers health
/// checks on them, and 503 to every other request.
pub const CONNECTIONS_HEALTH_MAX: usize = 64;
/// Most idle connections that the server closes at one time to make room: to find them costs more than to close one.
pub const CONNECTIONS_CLOSED_AT_ONCE: usize = 16;
/// How long a new connection waits until the connections that make room for it are closed, in milliseconds.
pub const CONNECTION_ROOM_WAIT_MS: u64 = 100;
/// The server closes a connection to make room only if its client has read nothing for this long, in milliseconds.
pub const CONNECTION_STALLED_MS: u64 = 1_000;
/// File descriptors that connections leave to files, to the connection to NATS and to startup.
pub const DESCRIPTORS_KEPT: usize = 256;
/// Most unsent bytes of answers on one connection. A connection without unsent bytes may exceed it with one answer.
pub const UNSENT_PER_CONNECTION_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most unsent bytes of answers on all connections together.
pub const UNSENT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// With this many unsent bytes or more, the server may close a connection to free memory.
pub const UNSENT_LARGE_BYTES: usize = 1024 * 1024;
/// Most bytes of an answer that its connection gets at once. A client that reads less than this in
/// [`WRITE_WAIT_MS`] counts as reading nothing.
pub const UNSENT_PIECE_BYTES: usize = 64 * 1024;
/// Most unsent bytes of a connection that the operating system buffers.
pub const SOCKET_UNSENT_BYTES: u32 = 128 * 1024;
/// How long a client may read nothing of its answers, in milliseconds.
pub const WRITE_WAIT_MS: u64 = 30_000;
/// How long a client may take to read one answer, in milliseconds.
pub const ANSWER_WAIT_MS: u64 = 300_000;
/// Most long pages of history that the server builds at one time.
pub const HISTORY_PAGES_MAX: usize = 8;
/// How often at most the log says that the server is full, in milliseconds.
pub const FULL_WARNING_MS: u64 = 10_000;
/// How long a new connection may take until its first request's head is complete, in milliseconds. On
/// TLS, this includes the handshake.
pub const HEAD_WAIT_MS: u64 = 10_000;
/// How often the server reads the files of its TLS certificate again, in milliseconds.
pub const TLS_FILES_MS: u64 = 2_000;
/// Longest file with certificates or a private key, in bytes. A bundle of all public CAs has 250 kB.
pub const TLS_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most encrypted bytes of a connection that wait for the socket.
pub const TLS_UNSENT_BYTES: usize = 32 * 1024;
/// How long the server waits for a client to read why its handshake failed, in milliseconds.
pub const TLS_GOODBYE_MS: u64 = 1_000;
/// How long before its end a certificate counts as expiring soon, in microseconds.
pub const TLS_EXPIRY_NEAR_US: i64 = 14 * 86_400 * 1_000_000;
/// Shortest time between two warnings that the certificate expires soon, in microseconds.
pub const TLS_EXPIRY_WARNING_US: i64 = 86_400 * 1_000_000;
/// How long a connection may take from one answer to the next request's head, in milliseconds.
///
/// Longer than the 60 s after which load balancers close idle connections: they must
/// not send on one that the server is closing.
pub const CONNECTION_IDLE_MS: u64 = 75_000;
/// How long a connection of HTTP/1 keeps its buffers after an answer, in milliseconds. Clients that make
/// many requests need them again within this time.
pub const CONNECTION_BUFFERS_MS: u64 = 1_000;
/// How long a request's body may take to arrive, in milliseconds.
pub const REQUEST_BODY_WAIT_MS: u64 = 30_000;
/// How long an answer waits for a request body that no handler reads, in milliseconds.
pub const UNREAD_BODY_WAIT_MS: u64 = 1_000;
/// Most requests at one time on a connection of HTTP/2.
pub const HTTP2_STREAMS_MAX: u32 = 256;
/// Unsent bytes of an answer over HTTP/2 with which its next part is not made yet.
///
/// A stream of sessions that waits skips to the newest state. Without this bound, hyper would keep 400 kB of older ones.
pub const HTTP2_UNSENT_BYTES: usize = 16 * 1024;
/// How often the server pings an HTTP/2 connection, and how long the client has to answer, in milliseconds.
pub const HTTP2_KEEP_ALIVE_MS: (u64, u64) = (20_000, 10_000);
/// How long shutdown waits for requests under way, in milliseconds.
pub const SHUTDOWN_WAIT_MS: u64 = 10_000;
/// How long shutdown waits for requests that have not arrived completely, in milliseconds.
pub const SHUTDOWN_ARRIVAL_MS: u64 = 1_000;

// --- Limits of credentials -----------------------------------------------------------------------

/// Most keys of a tenant that are not revoked. An expired key counts until it is revoked.
pub const KEYS_PER_TENANT_MAX: usize = 1_000;
/// How many revoked keys of a tenant are listed. Older ones are only on the log.
pub const KEYS_REVOKED_MAX: usize = 1_000;
/// Longest name of a key, in characters.
pub const KEY_NAME_CHARS_MAX: usize = 256;
/// Longest credential that the server reads, in bytes. A token of Entra ID has about 12 kB with 200
/// groups, the most that it names.
pub const CREDENTIAL_BYTES_MAX: usize = 32 * 1024;
/// Longest head of an HTTP/2 request, in bytes: the longest credential, and twice as much for other
/// headers. HTTP/1 accepts more.
pub const REQUEST_HEAD_BYTES_MAX: u32 = 96 * 1024;
/// Longest id of a credential, in bytes: `iss|sub` of a token. Every event that the credential
/// sends to a ledger is stored with it.
pub const CREDENTIAL_ID_BYTES_MAX: usize = 512;
/// How far the clocks of token issuers may differ from ours, in microseconds.
pub const TOKEN_LEEWAY_US: i64 = 30 * 1_000_000;
/// Most tenants that one token may speak for.
pub const TOKEN_TENANTS_MAX: usize = 256;
/// Longest name of a claim in the settings, in characters.
pub const CLAIM_NAME_CHARS_MAX: usize = 256;
/// Most dots of such a name: each may lead into an object within the claims, or be part of a name.
pub const CLAIM_NAME_DOTS_MAX: usize = 8;
/// Most claims that the server reads for a token's tenants, or for its roles.
pub const CLAIM_NAMES_MAX: usize = 8;
/// Most pairs of a word of an identity provider and the role that the word means.
pub const ROLE_WORDS_MAX: usize = 256;
/// Most keys with which the server checks one token's signature. With ES256 this takes a millisecond.
pub const TOKEN_KEYS_TRIED_MAX: usize = 16;
/// Most words of a token, or keys of a key set, that a line of the server's log names.
pub const LOGGED_WORDS_MAX: usize = 16;
/// Most characters of each such word or key.
pub const LOGGED_WORD_CHARS_MAX: usize = 128;
/// Shortest time between two lines of the server's log about rejected requests of one kind, in milliseconds.
pub const REFUSALS_TOLD_MS: u64 = 10_000;
/// Shortest secret for tokens signed with HS256, in bytes: as long as the hash, see RFC 7518, 3.2.
pub const HS256_SECRET_BYTES_MIN: usize = 32;
/// Longest key set for tokens, in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Most keys of a key set.
pub const JWKS_KEYS_MAX: usize = 128;
/// How often a key set is fetched from its URL, in milliseconds.
pub const JWKS_FETCH_MS: u64 = 5 * 60_000;
/// How often the server checks the file of a key set, in milliseconds.
pub const JWKS_FILE_MS: u64 = 1_000;
/// Shortest time from the end of a fetch to the next fetch for a token with an unknown key, in milliseconds.
pub const JWKS_REFETCH_MS: u64 = 5_000;
/// How long a fetch of a key set may take, and how long a token with an unknown key may wait for it, in milliseconds.
pub const JWKS_WAIT_MS: u64 = 5_000;
/// How long a sign-in code is valid, in microseconds. A person opens the link with it at once.
pub const SIGN_IN_CODE_US: i64 = 60 * 1_000_000;
/// Most sign-in codes of one caller that are valid at one time.
pub const SIGN_IN_CODES_PER_CALLER_MAX: usize = 4;
/// Most sign-in codes of all callers together that are valid at one time.
pub const SIGN_IN_CODES_MAX: usize = 1_024;
/// How many requests the server counts between two sweeps that remove idle rate limits.
pub const RATE_SWEEP_REQUESTS: u64 = 65_536;

// --- Limits of the command line ------------------------------------------------------------------

/// Longest line of a stream that a command reads, in bytes.
pub const CLI_LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a command waits for a connection, in milliseconds.
pub const CLI_CONNECT_WAIT_MS: u64 = 3_000;
/// How long a server may be silent while a command waits for its answer, in milliseconds. A server
/// itself waits up to 9 s for the log and the fold.
pub const CLI_SILENCE_MS: u64 = 10_000;
/// How long an answer may take from its start to its end, in milliseconds.
pub const CLI_ANSWER_MS: u64 = 60_000;
/// First and longest pause before a command retries a call, in milliseconds.
pub const CLI_RETRY_MS: (u64, u64) = (100, 2_000);
/// How long after the first try a command still retries a call, in milliseconds.
pub const CLI_RETRIES_MS: u64 = 15_000;

// --- Limits of hooks -----------------------------------------------------------------------------

/// Longest id of a session or subagent that a runtime may use in its hooks, in characters. The ids of
/// events have both, a number and the name of a hook, and must fit into [`ID_CHARS_MAX`].
pub const HOOK_ID_CHARS_MAX: usize = 100;
/// Longest word of a runtime that an event keeps, such as the name of a model, in characters.
pub const HOOK_WORD_CHARS_MAX: usize = 64;
/// Two calls of a hook that nothing tells apart count as one within a span of the clock, in microseconds. A
/// prompt that comes so long after the end of a session is not late: the session goes on.
pub const HOOK_MARK_US: i64 = 10 * 1_000_000;
/// The default time to live of a session that hooks open, in seconds: a killed runtime calls no hook, so only
/// the deadline ends its sessions.
pub const HOOK_TTL_SECONDS: u64 = 8 * 3600;
/// Most runs of one session of a runtime that the server looks up.
pub const HOOK_RUNS_MAX: u32 = 1_000;
/// Longest input of a hook, in bytes: it has the prompt, and maybe the last answer of the model.
pub const HOOK_INPUT_BYTES_MAX: u64 = 1024 * 1024;
/// How long the command `hook` may take in all, in milliseconds. The process needs some time to start and to
/// end, and the runtime waits for it: one second together.
pub const HOOK_BUDGET_MS: u64 = 850;
/// How long the command waits for its input, in milliseconds.
pub const HOOK_INPUT_WAIT_MS: u64 = 600;
/// How long the command waits for another call of a hook that writes to the spool, in milliseconds.
pub const HOOK_LOCK_WAIT_MS: u64 = 600;
/// Pause before the command tries a lock again, in milliseconds.
pub const HOOK_LOCK_RETRY_MS: u64 = 5;
/// Largest spool of unsent events, in bytes. The command reads all of it while it holds the lock.
pub const HOOK_SPOOL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most events that the command sends in one request.
pub const HOOK_BATCH_EVENTS_MAX: usize = 500;
/// Most sessions whose runs the command remembers. It forgets those that changed longest ago.
pub const HOOK_SESSIONS_MAX: usize = 1_000;

// --- Limits of the server's own spans ------------------------------------------------------------

/// How long a request to the collector of spans may take, in milliseconds.
pub const TRACES_EXPORT_WAIT_MS: u64 = 10_000;
/// How long shutdown waits until the last spans are exported, in milliseconds.
pub const TRACES_FLUSH_WAIT_MS: u64 = 5_000;
/// Longest answer of the collector, in bytes.
pub const TRACES_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest path that a span shows, in characters: more than any route has.
pub const TRACES_PATH_CHARS_MAX: usize = 1_024;

// --- Limits of traces ----------------------------------------------------------------------------

/// Most spans of one request that the ledger reads. A collector sends 8,192 at a time, and a program 512.
pub const OTLP_SPANS_MAX: usize = 10_000;
/// Most events that the spans of one request mean.
pub const OTLP_EVENTS_MAX: usize = 1_000;
/// Most sessions that the ledger looks up for one request. Each takes some microseconds.
pub const OTLP_LOOKS_MAX: usize = 20_000;
/// Longest id of a conversation, in characters. The ids of its sessions have a number or the id of a span
/// behind it, and must fit into [`ID_CHARS_MAX`].
pub const OTLP_CONVERSATION_CHARS_MAX: usize = 200;
/// Shortest time between two signs of life of a session that its spans show, in microseconds.
pub const OTLP_REFRESH_US: i64 = 30 * 1_000_000;
/// The default time to live of a session that spans open, in seconds. Nothing says that a conversation has
/// ended, so only the deadline ends it.
pub const OTLP_TTL_SECONDS: u64 = 8 * 3600;
/// Most spans between the tool that passes a conversation on and the agent that takes over.
pub const OTLP_ANCESTORS_MAX: usize = 16;
/// Most hand-offs of a conversation that the ledger follows to its current session.
pub const OTLP_HAND_OFFS_MAX: usize = 1_000;
/// Most reasons for rejected spans that an answer names.
pub const OTLP_REASONS_MAX: usize = 5;
/// Longest reason that an answer names, in characters: it may repeat what the exporter sent.
pub const OTLP_REASON_CHARS_MAX: usize = 300;
