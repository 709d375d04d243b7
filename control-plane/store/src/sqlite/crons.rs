//! Which node runs what is due. A due time is given to whoever asks first, once.

use atoll_protocol::api::{CRON_KEPT_MS, CronClaim, UnixMillis};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::StoreError;

/// Whether each of the due times is the holder's: nobody had asked before, or the holder itself had.
pub(super) fn claim(
    tx: &Transaction<'_>,
    holder: &str,
    claims: &[CronClaim],
    now: UnixMillis,
) -> Result<Vec<bool>, StoreError> {
    // What is forgotten is not given out any more.
    let oldest = now.saturating_sub(CRON_KEPT_MS);
    tx.execute("DELETE FROM cron_claims WHERE due < ?1", [oldest])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO cron_claims (app, cron, due, holder) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    let mut select = tx.prepare_cached("SELECT holder FROM cron_claims WHERE app = ?1 AND cron = ?2 AND due = ?3")?;
    let mut granted = Vec::with_capacity(claims.len());
    for CronClaim { app, cron, due } in claims {
        if *due < oldest {
            granted.push(false);
            continue;
        }
        insert.execute(params![app, cron, due, holder])?;
        let owner: Option<String> = select.query_row(params![app, cron, due], |row| row.get(0)).optional()?;
        granted.push(owner.as_deref() == Some(holder));
    }
    Ok(granted)
}
