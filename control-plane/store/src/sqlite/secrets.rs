//! Sealed secrets, and the rule that no secret has the name of a variable.

use atoll_protocol::api::{SecretInfo, UnixMillis};
use atoll_protocol::config::VersionConfig;
use rusqlite::{OptionalExtension, Transaction, params};

use super::apps::{self, AppRow};
use super::changes::{self, Kind};
use crate::{MAX_SECRETS, SealFailed, Sealer, StoreError, StoredSecret};

pub(super) fn stored(tx: &Transaction<'_>, app: &AppRow) -> Result<Vec<StoredSecret>, StoreError> {
    let secrets = tx
        .prepare_cached("SELECT name, version, sealed FROM secrets WHERE app = ?1 ORDER BY name")?
        .query_map([app.id], |row| Ok(StoredSecret { name: row.get(0)?, version: row.get(1)?, sealed: row.get(2)? }))?
        .collect::<Result<_, _>>()?;
    Ok(secrets)
}

pub(super) fn list(tx: &Transaction<'_>, app: &str) -> Result<Vec<SecretInfo>, StoreError> {
    let app = apps::find(tx, app)?;
    let secrets = tx
        .prepare_cached("SELECT name, version, updated_at FROM secrets WHERE app = ?1 ORDER BY name")?
        .query_map([app.id], |row| Ok(SecretInfo { name: row.get(0)?, version: row.get(1)?, updated_at: row.get(2)? }))?
        .collect::<Result<_, _>>()?;
    Ok(secrets)
}

pub(super) fn set(
    tx: &Transaction<'_>,
    app: &str,
    name: &str,
    seal: &Sealer,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let row = apps::find(tx, app)?;
    let record = apps::load(tx, &row)?;
    if let Some((version, _)) = record.versions.iter().find(|(_, state)| state.config.names().any(|own| own == name)) {
        return Err(StoreError::BindingConflict { app: app.to_owned(), name: name.to_owned(), version: *version });
    }
    let is_new = record.secrets.iter().all(|secret| secret.name != name);
    if is_new && record.secrets.len() >= MAX_SECRETS {
        return Err(StoreError::TooManySecrets { app: app.to_owned(), limit: MAX_SECRETS });
    }
    let revision = changes::record(tx, &row, Kind::Secret, now)?;
    let sealed = seal(row.data_key.as_deref(), revision).map_err(|SealFailed(problem)| StoreError::Seal(problem))?;
    tx.execute("UPDATE apps SET data_key = ?2 WHERE id = ?1", params![row.id, sealed.data_key])?;
    tx.execute(
        "INSERT INTO secrets (app, name, version, sealed, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (app, name) DO UPDATE SET version = ?3, sealed = ?4, updated_at = ?5",
        params![row.id, name, revision, sealed.value, now],
    )?;
    Ok(revision)
}

pub(super) fn delete(tx: &Transaction<'_>, app: &str, name: &str, now: UnixMillis) -> Result<u64, StoreError> {
    let row = apps::find(tx, app)?;
    if tx.execute("DELETE FROM secrets WHERE app = ?1 AND name = ?2", params![row.id, name])? == 0 {
        return Err(StoreError::SecretNotFound { app: app.to_owned(), name: name.to_owned() });
    }
    changes::record(tx, &row, Kind::Secret, now)
}

/// An error when a variable or binding of a version has the name of one of the app's secrets.
pub(super) fn check_variables(
    tx: &Transaction<'_>,
    app: &AppRow,
    version: u64,
    config: &VersionConfig,
) -> Result<(), StoreError> {
    let mut query = tx.prepare_cached("SELECT 1 FROM secrets WHERE app = ?1 AND name = ?2")?;
    for name in config.names() {
        if query.query_row(params![app.id, name], |_| Ok(())).optional()?.is_some() {
            return Err(StoreError::BindingConflict { app: app.name.clone(), name: name.to_owned(), version });
        }
    }
    Ok(())
}
