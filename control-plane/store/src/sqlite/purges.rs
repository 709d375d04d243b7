//! Purges of what nodes have cached of an app.

use atoll_protocol::api::UnixMillis;
use atoll_protocol::sync::{Purge, PurgeScope};
use rusqlite::{Transaction, params};

use super::apps::{self, AppRow};
use super::changes::{self, Kind};
use super::{parse, to_json};
use crate::{MAX_PURGES, StoreError};

/// An app's purges by revision.
pub(super) fn of(tx: &Transaction<'_>, app: &AppRow) -> Result<Vec<Purge>, StoreError> {
    let rows = tx
        .prepare_cached("SELECT revision, scope FROM purges WHERE app = ?1 ORDER BY revision, scope")?
        .query_map([app.id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let purge = |(revision, scope): (u64, String)| Ok(Purge { revision, scope: parse("a purge", &scope)? });
    rows.into_iter().map(purge).collect()
}

/// Notes what is to be purged as one change.
pub(super) fn purge(
    tx: &Transaction<'_>,
    app: &str,
    scopes: &[PurgeScope],
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let app = apps::find(tx, app)?;
    let revision = changes::record(tx, &app, Kind::Purge, now)?;
    for scope in scopes {
        put(tx, &app, scope, revision)?;
    }
    if scopes.contains(&PurgeScope::Everything) {
        tx.execute("DELETE FROM purges WHERE app = ?1 AND scope <> ?2", params![app.id, everything()?])?;
    }
    // What is too much to keep apart covers more than it said, never less.
    let beyond: Option<u64> = tx.query_row(
        "SELECT max(revision) FROM (SELECT revision FROM purges WHERE app = ?1 AND scope <> ?2 \
         ORDER BY revision DESC LIMIT -1 OFFSET ?3)",
        params![app.id, everything()?, MAX_PURGES],
        |row| row.get(0),
    )?;
    if let Some(beyond) = beyond {
        tx.execute("DELETE FROM purges WHERE app = ?1 AND revision <= ?2", params![app.id, beyond])?;
        put(tx, &app, &PurgeScope::Everything, beyond)?;
    }
    Ok(revision)
}

fn everything() -> Result<String, StoreError> {
    to_json(&PurgeScope::Everything)
}

fn put(tx: &Transaction<'_>, app: &AppRow, scope: &PurgeScope, revision: u64) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR REPLACE INTO purges (app, scope, revision) VALUES (?1, ?2, ?3)")?.execute(params![
        app.id,
        to_json(scope)?,
        revision
    ])?;
    Ok(())
}
