//! Apps, their versions, deployments and routes.

use std::collections::{BTreeMap, HashSet};

use atoll_bundle::BundleHash;
use atoll_protocol::api::{Deployment, Target, UnixMillis, Version};
use atoll_protocol::sync::VersionState;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::changes::{self, Kind};
use super::{parse, purges, secrets, to_json};
use crate::{AppRecord, Deployed, NewDeploy, NewVersion, StoreError};

/// A row of the table of apps.
pub(super) struct AppRow {
    pub(super) id: i64,
    pub(super) name: String,
    created_at: UnixMillis,
    revision: u64,
    default_route: bool,
    deleted: bool,
    last_version: u64,
    last_deployment: u64,
    pub(super) data_key: Option<Vec<u8>>,
}

/// The query for rows that [`AppRow::read`] reads, with a condition.
pub(super) fn select(condition: &str) -> String {
    format!(
        "SELECT id, name, created_at, revision, default_route, deleted, last_version, last_deployment, data_key \
         FROM apps {condition}"
    )
}

impl AppRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            created_at: row.get(2)?,
            revision: row.get(3)?,
            default_route: row.get(4)?,
            deleted: row.get(5)?,
            last_version: row.get(6)?,
            last_deployment: row.get(7)?,
            data_key: row.get(8)?,
        })
    }
}

fn row(tx: &Transaction<'_>, app: &str) -> rusqlite::Result<Option<AppRow>> {
    tx.prepare_cached(&select("WHERE name = ?1"))?.query_row([app], AppRow::read).optional()
}

/// The app of this name, if it exists and is not deleted.
pub(super) fn find(tx: &Transaction<'_>, app: &str) -> Result<AppRow, StoreError> {
    let row = row(tx, app)?.filter(|row| !row.deleted);
    row.ok_or_else(|| StoreError::AppNotFound { app: app.to_owned() })
}

/// The app of this name, and whether it has just been created (with a revision that is recorded by the caller).
fn find_or_create(tx: &Transaction<'_>, app: &str, now: UnixMillis) -> Result<(AppRow, bool), StoreError> {
    match row(tx, app)? {
        Some(row) if !row.deleted => return Ok((row, false)),
        Some(tombstone) => {
            tx.execute(
                "UPDATE apps SET deleted = 0, created_at = ?2, default_route = 1 WHERE id = ?1",
                params![tombstone.id, now],
            )?;
        }
        None => {
            tx.execute(
                "INSERT INTO apps (name, created_at, revision, default_route) VALUES (?1, ?2, ?3, 1)",
                params![app, now, changes::next_revision(tx)?],
            )?;
        }
    }
    Ok((find(tx, app)?, true))
}

/// All that belongs to an app.
pub(super) fn load(tx: &Transaction<'_>, app: &AppRow) -> Result<AppRecord, StoreError> {
    let routes = tx
        .prepare_cached("SELECT pattern FROM routes WHERE app = ?1 ORDER BY position")?
        .query_map([app.id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let deployment = if app.deleted { None } else { read_deployments(tx, app, 1)?.pop() };
    let mut versions = BTreeMap::new();
    for target in deployment.iter().flat_map(|deployment| &deployment.targets) {
        let version = read_version(tx, app, target.version)?;
        versions.insert(version.number, VersionState { bundle: version.bundle, config: version.config.into() });
    }
    Ok(AppRecord {
        name: app.name.clone(),
        created_at: app.created_at,
        revision: app.revision,
        predecessor: changes::deleted(tx, app)?,
        routes,
        default_route: app.default_route,
        deployment,
        versions,
        secrets: secrets::stored(tx, app)?,
        purges: purges::of(tx, app)?,
        data_key: app.data_key.clone(),
        deleted: app.deleted,
    })
}

pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<AppRecord>, StoreError> {
    let rows = tx
        .prepare_cached(&select("WHERE NOT deleted ORDER BY name"))?
        .query_map([], AppRow::read)?
        .collect::<Result<Vec<_>, _>>()?;
    rows.iter().map(|row| load(tx, row)).collect()
}

pub(super) fn delete(tx: &Transaction<'_>, app: &str, now: UnixMillis) -> Result<u64, StoreError> {
    let app = find(tx, app)?;
    // Deployments take their targets along, and these refer to versions: so deployments go first.
    for table in ["deployments", "versions", "routes", "secrets", "purges"] {
        tx.execute(&format!("DELETE FROM {table} WHERE app = ?1"), [app.id])?;
    }
    tx.execute("UPDATE apps SET deleted = 1, data_key = NULL WHERE id = ?1", [app.id])?;
    changes::record(tx, &app, Kind::Delete, now)
}

pub(super) fn deploy(
    tx: &Transaction<'_>,
    app: &str,
    deploy: &NewDeploy,
    now: UnixMillis,
) -> Result<Deployed, StoreError> {
    let (row, _) = find_or_create(tx, app, now)?;
    let version = insert_version(tx, &row, &deploy.version, now)?;
    replace_routes(tx, &row, &deploy.routes, deploy.default_route)?;
    let revision = changes::record(tx, &row, Kind::Deploy, now)?;
    insert_deployment(tx, &row, &[Target { version, weight: 100 }], revision, now)?;
    Ok(Deployed { version, app: load(tx, &find(tx, app)?)? })
}

pub(super) fn create_version(
    tx: &Transaction<'_>,
    app: &str,
    version: &NewVersion,
    now: UnixMillis,
) -> Result<Version, StoreError> {
    let (row, created) = find_or_create(tx, app, now)?;
    let number = insert_version(tx, &row, version, now)?;
    if created {
        changes::record(tx, &row, Kind::Create, now)?;
    }
    read_version(tx, &row, number)
}

fn insert_version(
    tx: &Transaction<'_>,
    app: &AppRow,
    version: &NewVersion,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let number = app.last_version + 1;
    secrets::check_variables(tx, app, number, &version.config)?;
    tx.prepare_cached(
        "INSERT INTO versions (app, number, bundle, config, created_at, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        app.id,
        number,
        version.bundle.to_string(),
        to_json(&version.config)?,
        now,
        version.message
    ])?;
    tx.prepare_cached("UPDATE apps SET last_version = ?2 WHERE id = ?1")?.execute(params![app.id, number])?;
    Ok(number)
}

const VERSION: &str = "SELECT number, bundle, config, created_at, message FROM versions WHERE app = ?1";

type RawVersion = (u64, String, String, UnixMillis, Option<String>);

fn raw_version(row: &Row<'_>) -> rusqlite::Result<RawVersion> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn version_of(raw: RawVersion) -> Result<Version, StoreError> {
    let (number, bundle, config, created_at, message) = raw;
    Ok(Version {
        number,
        bundle: parse_hash(&bundle)?,
        config: parse("a version's settings", &config)?,
        created_at,
        message,
    })
}

fn parse_hash(text: &str) -> Result<BundleHash, StoreError> {
    text.parse().map_err(|error| StoreError::Corrupt(format!("a version's bundle: {error}")))
}

/// A version that must exist: [`StoreError::VersionNotFound`] otherwise.
pub(super) fn read_version(tx: &Transaction<'_>, app: &AppRow, number: u64) -> Result<Version, StoreError> {
    // A number from a request may be larger than SQLite's integers.
    let key = i64::try_from(number).unwrap_or(-1);
    let raw = tx
        .prepare_cached(&format!("{VERSION} AND number = ?2"))?
        .query_row(params![app.id, key], raw_version)
        .optional()?;
    let not_found = || StoreError::VersionNotFound { app: app.name.clone(), version: number, newest: app.last_version };
    version_of(raw.ok_or_else(not_found)?)
}

pub(super) fn versions(tx: &Transaction<'_>, app: &str) -> Result<Vec<Version>, StoreError> {
    let app = find(tx, app)?;
    let raw = tx
        .prepare_cached(&format!("{VERSION} ORDER BY number DESC"))?
        .query_map([app.id], raw_version)?
        .collect::<Result<Vec<_>, _>>()?;
    raw.into_iter().map(version_of).collect()
}

pub(super) fn create_deployment(
    tx: &Transaction<'_>,
    app: &str,
    targets: &[Target],
    now: UnixMillis,
) -> Result<Deployment, StoreError> {
    let app = find(tx, app)?;
    for target in targets {
        let version = read_version(tx, &app, target.version)?;
        secrets::check_variables(tx, &app, version.number, &version.config)?;
    }
    let revision = changes::record(tx, &app, Kind::Deployment, now)?;
    insert_deployment(tx, &app, targets, revision, now)
}

fn insert_deployment(
    tx: &Transaction<'_>,
    app: &AppRow,
    targets: &[Target],
    revision: u64,
    now: UnixMillis,
) -> Result<Deployment, StoreError> {
    let number = app.last_deployment + 1;
    tx.prepare_cached("INSERT INTO deployments (app, number, created_at, revision) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![app.id, number, now, revision])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO targets (app, deployment, position, version, weight) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (position, target) in targets.iter().enumerate() {
        insert.execute(params![app.id, number, position, target.version, target.weight])?;
    }
    tx.prepare_cached("UPDATE apps SET last_deployment = ?2 WHERE id = ?1")?.execute(params![app.id, number])?;
    Ok(Deployment { number, targets: targets.to_vec(), created_at: now, revision })
}

pub(super) fn deployments(tx: &Transaction<'_>, app: &str) -> Result<Vec<Deployment>, StoreError> {
    read_deployments(tx, &find(tx, app)?, i64::MAX)
}

fn read_deployments(tx: &Transaction<'_>, app: &AppRow, limit: i64) -> Result<Vec<Deployment>, StoreError> {
    let mut deployments = tx
        .prepare_cached(
            "SELECT number, created_at, revision FROM deployments WHERE app = ?1 ORDER BY number DESC LIMIT ?2",
        )?
        .query_map(params![app.id, limit], |row| {
            Ok(Deployment { number: row.get(0)?, targets: Vec::new(), created_at: row.get(1)?, revision: row.get(2)? })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut query =
        tx.prepare_cached("SELECT version, weight FROM targets WHERE app = ?1 AND deployment = ?2 ORDER BY position")?;
    for deployment in &mut deployments {
        deployment.targets = query
            .query_map(params![app.id, deployment.number], |row| {
                Ok(Target { version: row.get(0)?, weight: row.get(1)? })
            })?
            .collect::<Result<_, _>>()?;
    }
    Ok(deployments)
}

pub(super) fn set_routes(
    tx: &Transaction<'_>,
    app: &str,
    routes: &[String],
    default_route: bool,
    now: UnixMillis,
) -> Result<AppRecord, StoreError> {
    let row = find(tx, app)?;
    replace_routes(tx, &row, routes, default_route)?;
    changes::record(tx, &row, Kind::Routes, now)?;
    load(tx, &find(tx, app)?)
}

fn replace_routes(
    tx: &Transaction<'_>,
    app: &AppRow,
    routes: &[String],
    default_route: bool,
) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM routes WHERE app = ?1")?.execute([app.id])?;
    let mut owner = tx.prepare_cached("SELECT apps.name FROM routes JOIN apps ON apps.id = app WHERE pattern = ?1")?;
    let mut insert = tx.prepare_cached("INSERT INTO routes (pattern, app, position) VALUES (?1, ?2, ?3)")?;
    let mut seen = HashSet::new();
    for (position, pattern) in routes.iter().enumerate().filter(|(_, pattern)| seen.insert(pattern.as_str())) {
        if let Some(owner) = owner.query_row([pattern], |row| row.get(0)).optional()? {
            return Err(StoreError::RouteTaken { pattern: pattern.clone(), owner });
        }
        insert.execute(params![pattern, app.id, position])?;
    }
    tx.prepare_cached("UPDATE apps SET default_route = ?2 WHERE id = ?1")?.execute(params![app.id, default_route])?;
    Ok(())
}

pub(super) fn bundles(tx: &Transaction<'_>) -> Result<HashSet<BundleHash>, StoreError> {
    let hashes = tx
        .prepare_cached("SELECT DISTINCT bundle FROM versions")?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    hashes.iter().map(|hash| parse_hash(hash)).collect()
}

pub(super) fn manifests(tx: &Transaction<'_>) -> Result<HashSet<BundleHash>, StoreError> {
    let hashes = tx
        .prepare_cached(
            "SELECT DISTINCT json_extract(config, '$.assets.manifest') AS manifest FROM versions
             WHERE manifest IS NOT NULL",
        )?
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    hashes.iter().map(|hash| parse_hash(hash)).collect()
}
