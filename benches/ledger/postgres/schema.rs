//! Tables, indexes and triggers.
//!
//! Times are microseconds and documents are text, as in the ledger. Both are cheaper than `timestamptz`
//! and `jsonb`.

/// The tables. Ids compare by bytes, which is faster than any language's collation. Pages leave room, so
/// that a refreshed row stays on its page and no index changes.
pub(super) const TABLES: &str = r#"
CREATE TABLE events (
    position bigint NOT NULL, tenant text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL, kind smallint NOT NULL, session text COLLATE "C" NOT NULL,
    time bigint NOT NULL, body text NOT NULL);
CREATE TABLE sessions (
    tenant text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, agent text COLLATE "C" NOT NULL,
    status smallint NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL,
    last_activity_at bigint NOT NULL, refreshed_at bigint, expires_at bigint, terminated_at bigint,
    position bigint NOT NULL, phase smallint, outcome smallint, scopes text, metadata text,
    user_id text, parent text, handed_off_to text, child text) WITH (fillfactor = 80);
"#;

pub(super) const EVENT_INDEXES: &str = "
ALTER TABLE events ADD PRIMARY KEY (position);
CREATE UNIQUE INDEX events_key ON events (tenant, source, id);
";

pub(super) const SESSION_INDEXES: &str = "
ALTER TABLE sessions ADD PRIMARY KEY (tenant, id);
CREATE INDEX sessions_status ON sessions (tenant, status, created_at DESC, id);
CREATE INDEX sessions_all ON sessions (tenant, created_at DESC, id);
CREATE INDEX sessions_agent_status ON sessions (tenant, agent, status, created_at DESC, id);
CREATE INDEX sessions_agent ON sessions (tenant, agent, created_at DESC, id);
";

/// The table that receives a batch. The planner has no statistics for it, so settings make it look up
/// sessions by their index.
pub(super) const STAGE: &str = r#"
CREATE TEMP TABLE stage (
    position bigint, tenant text COLLATE "C", source text COLLATE "C", id text COLLATE "C",
    kind smallint, session text COLLATE "C", time bigint, body text, agent text COLLATE "C",
    expires_at bigint, scopes text, metadata text, user_id text, child text COLLATE "C")
    ON COMMIT DELETE ROWS;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
"#;

/// Counts by tenant, agent and status, and with an empty agent by tenant and status.
pub(super) const COUNTS: &str = r#"
CREATE TABLE counts (
    tenant text COLLATE "C", agent text COLLATE "C", status smallint, n bigint NOT NULL,
    PRIMARY KEY (tenant, agent, status)) WITH (fillfactor = 50);
INSERT INTO counts
    SELECT tenant, coalesce(agent, ''), status, count(*) FROM sessions
    GROUP BY GROUPING SETS ((tenant, agent, status), (tenant, status));
CREATE FUNCTION count_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO counts AS c
        SELECT tenant, coalesce(agent, ''), status, count(*) FROM added
        GROUP BY GROUPING SETS ((tenant, agent, status), (tenant, status))
    ON CONFLICT (tenant, agent, status) DO UPDATE SET n = c.n + excluded.n;
    RETURN NULL;
END $$;
CREATE FUNCTION count_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO counts AS c
        SELECT tenant, coalesce(agent, ''), status, sum(n) FROM (
            SELECT tenant, agent, status, 1 AS n FROM after
            UNION ALL SELECT tenant, agent, status, -1 FROM before) AS both_states
        GROUP BY GROUPING SETS ((tenant, agent, status), (tenant, status))
        HAVING sum(n) <> 0
    ON CONFLICT (tenant, agent, status) DO UPDATE SET n = c.n + excluded.n;
    RETURN NULL;
END $$;
CREATE TRIGGER added AFTER INSERT ON sessions REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added();
CREATE TRIGGER changed AFTER UPDATE ON sessions
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed();
"#;
