//! Files that are whole on disk or not there.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

/// Writes a file so that it is whole on disk, or not there, whatever happens.
pub fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole(path, content, true)
}

/// The same; unless `durably`, it may be gone after a crash, as long as its directory is not on disk.
pub fn write_whole(path: &Path, content: &[u8], durably: bool) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}.{unique}.tmp", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(parent) if durably => fs::File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
