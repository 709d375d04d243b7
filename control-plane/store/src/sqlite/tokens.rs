//! Tokens: who may ask the control plane for what.

use atoll_protocol::api::TokenInfo;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{parse, to_json};
use crate::{StoreError, StoredToken};

const TOKEN: &str = "SELECT id, name, scope, created_at, expires_at, digest FROM tokens";

type Raw = (String, String, String, u64, Option<u64>, Vec<u8>);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn token_of((id, name, scope, created_at, expires_at, digest): Raw) -> Result<StoredToken, StoreError> {
    let scope = parse("a token's scope", &scope)?;
    let digest = digest.try_into().map_err(|_| StoreError::Corrupt(format!("digest of token {id:?}")))?;
    Ok(StoredToken { info: TokenInfo { id, name, scope, created_at, expires_at }, digest })
}

pub(super) fn create(tx: &Transaction<'_>, token: &StoredToken, replace: bool) -> Result<(), StoreError> {
    let StoredToken { info, digest } = token;
    if replace {
        tx.execute("DELETE FROM tokens WHERE name = ?1", [&info.name])?;
    }
    tx.execute(
        "INSERT INTO tokens (id, name, scope, created_at, expires_at, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![info.id, info.name, to_json(&info.scope)?, info.created_at, info.expires_at, digest.as_slice()],
    )?;
    Ok(())
}

pub(super) fn get(tx: &Transaction<'_>, id: &str) -> Result<Option<StoredToken>, StoreError> {
    let raw = tx.prepare_cached(&format!("{TOKEN} WHERE id = ?1"))?.query_row([id], raw).optional()?;
    raw.map(token_of).transpose()
}

pub(super) fn list(tx: &Transaction<'_>) -> Result<Vec<StoredToken>, StoreError> {
    let raw = tx
        .prepare_cached(&format!("{TOKEN} ORDER BY created_at, id"))?
        .query_map([], raw)?
        .collect::<Result<Vec<_>, _>>()?;
    raw.into_iter().map(token_of).collect()
}

pub(super) fn delete(tx: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM tokens WHERE id = ?1", [id])? {
        0 => Err(StoreError::TokenNotFound { id: id.to_owned() }),
        _ => Ok(()),
    }
}
