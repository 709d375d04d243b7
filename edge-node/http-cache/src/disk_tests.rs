use std::os::unix::fs::FileExt;

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;
use crate::entry::Head;
use crate::key::{KeySettings, Namespace, key};
use crate::purge::Purges;
use crate::storing::judge;

fn a_key(url: &str) -> Key {
    key(Namespace::of(&[]), &KeySettings::default(), url, &HeaderMap::new()).unwrap()
}

fn variants(blob: BlobRef) -> Variants {
    let response = HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"))]);
    let storable = judge(&Method::GET, &HeaderMap::new(), StatusCode::OK, &response, 0, 0).unwrap();
    let head = Arc::new(Head::new(StatusCode::OK, &response, storable, &HeaderMap::new(), "http://a/", 0));
    Variants::new(vec![Arc::new(Entry { head, content: Content { memory: None, disk: Some(blob) } })])
}

fn put(disk: &Disk, url: &str, bytes: &[u8]) {
    let blob = disk.put(bytes).unwrap();
    disk.store(&a_key(url), &variants(blob)).unwrap();
}

fn get(disk: &Disk, url: &str) -> Option<Vec<u8>> {
    let variants = disk.load(&a_key(url))?;
    let entry = variants.select(&HeaderMap::new(), &Purges::default())?;
    let blob = disk.open_blob(entry.content.disk.as_ref()?).ok()?;
    blob.read(0, blob.len()).ok()
}

fn content_files(root: &Path) -> Vec<PathBuf> {
    files(&root.join(CONTENTS)).unwrap()
}

fn large() -> Vec<u8> {
    (0..200_000_u32).map(|number| (number % 251) as u8).collect()
}

#[test]
fn what_is_stored_is_there_at_once_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    put(&disk, "http://a/", &large());
    drop(disk);
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    assert!(disk.may_have(&a_key("http://a/")));
    assert_eq!(get(&disk, "http://a/").unwrap(), large());
    assert_eq!(disk.scan().unwrap(), 0);
    assert!(disk.may_have(&a_key("http://a/")) && !disk.may_have(&a_key("http://b/")));
    assert_eq!(get(&disk, "http://a/").unwrap(), large());
    assert!(disk.used() > 200_000);
}

#[test]
fn any_range_is_read_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    let blob = disk.open_blob(&disk.put(&large()).unwrap()).unwrap();
    for (start, count) in [(0, 0), (0, 1), (65_535, 2), (65_536, 65_536), (199_999, 1), (0, 200_000), (200_000, 0)] {
        let expected = &large()[start as usize..(start + count) as usize];
        assert_eq!(blob.read(start, count).unwrap(), expected, "{start}+{count}");
    }
    assert!(blob.read(199_999, 2).is_err() && blob.read(u64::MAX, 2).is_err());
    let empty = disk.open_blob(&disk.put(b"").unwrap()).unwrap();
    assert!(empty.is_empty() && empty.read(0, 0).unwrap().is_empty());
}

#[test]
fn equal_contents_are_kept_once_and_go_with_the_last_entry() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    disk.scan().unwrap();
    put(&disk, "http://a/", b"same");
    put(&disk, "http://b/", b"same");
    assert_eq!(content_files(dir.path()).len(), 1);
    assert!(disk.forget(&a_key("http://a/")) && !disk.may_have(&a_key("http://a/")));
    assert!(!disk.forget(&a_key("http://a/")));
    disk.remove_forgotten(&a_key("http://a/"));
    assert_eq!(get(&disk, "http://b/").unwrap(), b"same");
    put(&disk, "http://b/", b"new");
    assert_eq!(content_files(dir.path()).len(), 1);
    assert_eq!(get(&disk, "http://b/").unwrap(), b"new");
    assert!(get(&disk, "http://a/").is_none());
}

#[test]
fn torn_and_changed_files_are_dropped_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    put(&disk, "http://a/", &large());
    drop(disk);
    // A bit that turned: the length is right, so only reading finds it.
    let path = content_files(dir.path()).pop().unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.write_all_at(b"\x00\x01\x02", 150_000).unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    assert!(get(&disk, "http://a/").is_none());
    assert!(!path.exists(), "it is not tried again");
    // Cut off: found by the scan, and the entry that named it goes as well.
    put(&disk, "http://a/", &large());
    File::options().write(true).open(&path).unwrap().set_len(100_000).unwrap();
    fs::write(dir.path().join(TEMPORARY).join("7"), b"half").unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    assert_eq!(disk.scan().unwrap(), 2);
    assert_eq!(disk.used(), 0);
    assert!(fs::read_dir(dir.path().join(TEMPORARY)).unwrap().next().is_none());
}

#[test]
fn a_content_that_no_entry_names_is_dropped_by_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    disk.put(b"the process died before the entry was written").unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    assert_eq!(disk.scan().unwrap(), 1);
    assert!(content_files(dir.path()).is_empty());
}

#[test]
fn the_budget_holds() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 50_000).unwrap();
    disk.scan().unwrap();
    for number in 0..20_u8 {
        put(&disk, &format!("http://a/{number}"), &[number; 10_000]);
        assert!(disk.used() <= 50_000);
    }
    assert_eq!(get(&disk, "http://a/19").unwrap(), [19; 10_000]);
    assert!(get(&disk, "http://a/0").is_none());
    assert!(content_files(dir.path()).len() < 5);
}

#[test]
fn a_disk_that_cannot_be_written_fails_the_store_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path(), 1 << 30).unwrap();
    put(&disk, "http://a/", b"there");
    fs::remove_dir_all(dir.path().join(TEMPORARY)).unwrap();
    assert!(disk.put(b"new").is_err());
    assert_eq!(get(&disk, "http://a/").unwrap(), b"there");
}
