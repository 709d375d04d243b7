//! The tables, their format number, and what is done when a database is opened.

use rusqlite::{Connection, TransactionBehavior};

/// The format this program writes, kept in SQLite's `user_version`. One of format 1, in which every change is an app's,
/// is brought to it when it is opened.
pub(super) const FORMAT: i64 = 2;

/// SQLite's `application_id` of our databases: "ATOL".
const APPLICATION_ID: i64 = 0x4154_4f4c;

const TABLES: &str = "
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A deleted app keeps its row as a tombstone, with its revision and its counters.
CREATE TABLE apps (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    default_route INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    last_version INTEGER NOT NULL DEFAULT 0,
    last_deployment INTEGER NOT NULL DEFAULT 0,
    data_key BLOB
) STRICT;

CREATE TABLE versions (
    app INTEGER NOT NULL REFERENCES apps,
    number INTEGER NOT NULL,
    bundle TEXT NOT NULL,
    config TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    message TEXT,
    PRIMARY KEY (app, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployments (
    app INTEGER NOT NULL REFERENCES apps,
    number INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (app, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE targets (
    app INTEGER NOT NULL,
    deployment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    version INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    PRIMARY KEY (app, deployment, position),
    FOREIGN KEY (app, deployment) REFERENCES deployments ON DELETE CASCADE,
    FOREIGN KEY (app, version) REFERENCES versions
) STRICT, WITHOUT ROWID;

CREATE TABLE routes (
    pattern TEXT PRIMARY KEY,
    app INTEGER NOT NULL REFERENCES apps,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX routes_by_app ON routes (app, position);

CREATE TABLE secrets (
    app INTEGER NOT NULL REFERENCES apps,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

-- The log that allocates revisions: one row for each, in commit order, without gaps. A change that is no app's has none.
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    app INTEGER REFERENCES apps,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
";

/// Tables and indices that a database of this format may lack, because a program from before them made it.
const ADDED: &str = "
-- The scope is JSON. Those of one revision are one change.
CREATE TABLE IF NOT EXISTS purges (
    app INTEGER NOT NULL REFERENCES apps,
    scope TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (app, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deletions ON changes (app, revision) WHERE kind = 'delete';

-- Who runs what is due: the times of the last hour.
CREATE TABLE IF NOT EXISTS cron_claims (
    due INTEGER NOT NULL,
    app TEXT NOT NULL,
    cron TEXT NOT NULL,
    holder TEXT NOT NULL,
    PRIMARY KEY (due, app, cron)
) STRICT, WITHOUT ROWID;

-- A deleted certificate keeps its row as a tombstone. Source, facts and challenges are JSON. Without a chain it has not
-- been issued.
CREATE TABLE IF NOT EXISTS certificates (
    name TEXT PRIMARY KEY,
    revision INTEGER NOT NULL UNIQUE,
    source TEXT NOT NULL,
    chain TEXT,
    key BLOB,
    facts TEXT,
    updated_at INTEGER,
    challenges TEXT NOT NULL DEFAULT '[]',
    deleted INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What the control plane notes for itself.
CREATE TABLE IF NOT EXISTS notes (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// From format 1 to 2: changes need not be an app's.
const FROM_1: &str = "
CREATE TABLE changes_2 (
    revision INTEGER PRIMARY KEY,
    app INTEGER REFERENCES apps,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
INSERT INTO changes_2 SELECT revision, app, kind, at FROM changes;
DROP TABLE changes;
ALTER TABLE changes_2 RENAME TO changes;
";

/// What a database file turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Ours, of this format (after creation, if it was empty).
    Ready,
    /// Ours, of a newer format.
    Newer(i64),
    /// Somebody else's.
    Foreign,
}

/// Looks at the database, and creates the tables and the history word in an empty one. Changes nothing in a database
/// that is not ours or is of a newer format.
pub(super) fn prepare(connection: &mut Connection, history: &str) -> rusqlite::Result<Found> {
    let pragma = |connection: &Connection, name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let format = pragma(connection, "user_version")?;
    let application = pragma(connection, "application_id")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 || format != 0 || application != 0 {
        return Ok(match format {
            _ if application != APPLICATION_ID => Found::Foreign,
            FORMAT => {
                connection.execute_batch(ADDED)?;
                Found::Ready
            }
            1 => {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                transaction.execute_batch(FROM_1)?;
                transaction.execute_batch(ADDED)?;
                transaction.pragma_update(None, "user_version", FORMAT)?;
                transaction.commit()?;
                Found::Ready
            }
            newer if newer > FORMAT => Found::Newer(newer),
            _ => Found::Foreign,
        });
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(ADDED)?;
    transaction.execute("INSERT INTO meta (key, value) VALUES ('history', ?1)", [history])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(Found::Ready)
}

/// Settings that hold for a connection, not for the file. `FULL` makes every commit wait until it is on the disk.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
