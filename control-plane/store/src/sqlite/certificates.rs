//! Certificates, and the notes that the control plane keeps of getting them.

use std::collections::BTreeMap;

use atoll_protocol::api::UnixMillis;
use atoll_protocol::certificates::{CertificateSource, Challenge};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::changes::{self, Kind};
use super::{parse, to_json};
use crate::{CertificateRecord, StoreError, StoredCertificate};

const COLUMNS: &str = "name, revision, source, chain, key, facts, updated_at, challenges, deleted";

/// A row, with its JSON not read yet.
struct CertificateRow {
    record: CertificateRecord,
    source: String,
    issued: Option<(String, Vec<u8>, String, UnixMillis)>,
    challenges: String,
}

impl CertificateRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let chain: Option<String> = row.get(3)?;
        let issued = chain.map(|chain| Ok::<_, rusqlite::Error>((chain, row.get(4)?, row.get(5)?, row.get(6)?)));
        let record = CertificateRecord {
            name: row.get(0)?,
            revision: row.get(1)?,
            source: CertificateSource::Upload,
            issued: None,
            challenges: Vec::new(),
            deleted: row.get(8)?,
        };
        Ok(Self { record, source: row.get(2)?, issued: issued.transpose()?, challenges: row.get(7)? })
    }

    fn record(self) -> Result<CertificateRecord, StoreError> {
        let issued = |(chain, key, facts, updated_at): (String, Vec<u8>, String, UnixMillis)| {
            Ok::<_, StoreError>(StoredCertificate { chain, key, facts: parse("a certificate", &facts)?, updated_at })
        };
        Ok(CertificateRecord {
            source: parse("a certificate's source", &self.source)?,
            issued: self.issued.map(issued).transpose()?,
            challenges: parse("a challenge", &self.challenges)?,
            ..self.record
        })
    }
}

/// All that are not deleted, by name.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<CertificateRecord>, StoreError> {
    let rows = tx
        .prepare_cached(&format!("SELECT {COLUMNS} FROM certificates WHERE NOT deleted ORDER BY name"))?
        .query_map([], CertificateRow::read)?
        .collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(CertificateRow::record).collect()
}

/// Those whose last change is after `since`, with tombstones unless `since` is 0.
pub(super) fn since(tx: &Transaction<'_>, since: u64) -> Result<Vec<CertificateRecord>, StoreError> {
    let query =
        format!("SELECT {COLUMNS} FROM certificates WHERE revision > ?1 AND (?1 > 0 OR NOT deleted) ORDER BY revision");
    let rows = tx.prepare_cached(&query)?.query_map([since], CertificateRow::read)?.collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(CertificateRow::record).collect()
}

fn find(tx: &Transaction<'_>, name: &str) -> Result<Option<CertificateRecord>, StoreError> {
    let row = tx
        .prepare_cached(&format!("SELECT {COLUMNS} FROM certificates WHERE name = ?1 AND NOT deleted"))?
        .query_row([name], CertificateRow::read)
        .optional()?;
    row.map(CertificateRow::record).transpose()
}

/// Takes the place of what the name stood for, and of its challenges.
pub(super) fn put(
    tx: &Transaction<'_>,
    name: &str,
    source: &CertificateSource,
    issued: &StoredCertificate,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let revision = changes::record_other(tx, Kind::Certificate, now)?;
    tx.execute(
        "INSERT INTO certificates (name, revision, source, chain, key, facts, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (name) DO UPDATE SET revision = ?2, source = ?3, chain = ?4, key = ?5, facts = ?6, \
         updated_at = ?7, challenges = '[]', deleted = 0",
        params![name, revision, to_json(source)?, issued.chain, issued.key, to_json(&issued.facts)?, issued.updated_at],
    )?;
    Ok(revision)
}

/// Sets the challenges of a certificate that is got by ACME. The revision is the old one when they are the same.
pub(super) fn set_challenges(
    tx: &Transaction<'_>,
    name: &str,
    challenges: &[Challenge],
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let known = find(tx, name)?;
    match &known {
        Some(known) if known.challenges == challenges => return Ok(known.revision),
        None if challenges.is_empty() => return Ok(changes::revision(tx)?),
        _ => {}
    }
    let revision = changes::record_other(tx, Kind::Challenge, now)?;
    // A tombstone has no chain; what is there keeps its own.
    tx.execute(
        "INSERT INTO certificates (name, revision, source, challenges) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET revision = ?2, challenges = ?4, deleted = 0",
        params![name, revision, to_json(&CertificateSource::Acme)?, to_json(&challenges)?],
    )?;
    Ok(revision)
}

pub(super) fn delete(tx: &Transaction<'_>, name: &str, now: UnixMillis) -> Result<u64, StoreError> {
    if find(tx, name)?.is_none() {
        return Err(StoreError::CertificateNotFound { name: name.to_owned() });
    }
    let revision = changes::record_other(tx, Kind::Certificate, now)?;
    tx.execute(
        "UPDATE certificates SET revision = ?2, deleted = 1, chain = NULL, key = NULL, facts = NULL, \
         updated_at = NULL, challenges = '[]' WHERE name = ?1",
        params![name, revision],
    )?;
    Ok(revision)
}

/// All notes by key.
pub(super) fn notes(tx: &Transaction<'_>) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
    let notes = tx
        .prepare_cached("SELECT key, value FROM notes")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(notes)
}

pub(super) fn set_note(tx: &Transaction<'_>, key: &str, value: Option<&[u8]>) -> Result<(), StoreError> {
    match value {
        Some(value) => tx.execute("INSERT OR REPLACE INTO notes (key, value) VALUES (?1, ?2)", params![key, value])?,
        None => tx.execute("DELETE FROM notes WHERE key = ?1", [key])?,
    };
    Ok(())
}

/// The route patterns of all apps.
pub(super) fn routes(tx: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    let patterns = tx
        .prepare_cached("SELECT pattern FROM routes ORDER BY pattern")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(patterns)
}
