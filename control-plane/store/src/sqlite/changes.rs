//! Revisions: how they are allocated, and what changed since one.

use atoll_protocol::api::UnixMillis;
use rusqlite::{Connection, Transaction, params};

use super::apps::{self, AppRow};
use super::certificates;
use crate::{Changes, StoreError};

/// The kind of a change, as the log keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Create,
    Deploy,
    Deployment,
    Routes,
    Secret,
    Purge,
    Delete,
    Certificate,
    Challenge,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Deploy => "deploy",
            Self::Deployment => "deployment",
            Self::Routes => "routes",
            Self::Secret => "secret",
            Self::Purge => "purge",
            Self::Delete => "delete",
            Self::Certificate => "certificate",
            Self::Challenge => "challenge",
        }
    }
}

/// The last revision; 0 before the first change.
pub(super) fn revision(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT coalesce(max(revision), 0) FROM changes")?.query_row([], |row| row.get(0))
}

/// The revision that the running transaction's change gets. Nobody else can take it: there is one writer, and it holds
/// the write lock from the transaction's start.
pub(super) fn next_revision(tx: &Transaction<'_>) -> rusqlite::Result<u64> {
    Ok(revision(tx)? + 1)
}

/// Writes a change of an app to the log and makes its revision the app's.
pub(super) fn record(tx: &Transaction<'_>, app: &AppRow, kind: Kind, now: UnixMillis) -> Result<u64, StoreError> {
    let revision = next_revision(tx)?;
    tx.prepare_cached("INSERT INTO changes (revision, app, kind, at) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        revision,
        app.id,
        kind.as_str(),
        now
    ])?;
    tx.prepare_cached("UPDATE apps SET revision = ?2 WHERE id = ?1")?.execute(params![app.id, revision])?;
    Ok(revision)
}

/// The revision in which an app of this row's name was deleted last; 0 if none was.
pub(super) fn deleted(tx: &Transaction<'_>, app: &AppRow) -> Result<u64, StoreError> {
    let revision = tx
        .prepare_cached("SELECT coalesce(max(revision), 0) FROM changes WHERE app = ?1 AND kind = 'delete'")?
        .query_row([app.id], |row| row.get(0))?;
    Ok(revision)
}

/// Writes a change that is no app's to the log and gives its revision.
pub(super) fn record_other(tx: &Transaction<'_>, kind: Kind, now: UnixMillis) -> Result<u64, StoreError> {
    let revision = next_revision(tx)?;
    tx.prepare_cached("INSERT INTO changes (revision, kind, at) VALUES (?1, ?2, ?3)")?.execute(params![
        revision,
        kind.as_str(),
        now
    ])?;
    Ok(revision)
}

/// The apps and certificates whose last change is after `since`; see [`Store::changes`](crate::Store::changes).
pub(super) fn since(tx: &Transaction<'_>, since: u64) -> Result<Changes, StoreError> {
    let revision = revision(tx)?;
    let apps = tx
        .prepare_cached(&apps::select("WHERE revision > ?1 AND (?1 > 0 OR NOT deleted) ORDER BY revision"))?
        .query_map([since], AppRow::read)?
        .collect::<Result<Vec<_>, _>>()?;
    let apps = apps.iter().map(|app| apps::load(tx, app)).collect::<Result<_, _>>()?;
    Ok(Changes { revision, apps, certificates: certificates::since(tx, since)? })
}
