use std::os::unix::fs::FileExt;

use rustix::fs::{SealFlags, fcntl_add_seals};

use super::*;

fn registry() -> &'static Registry {
    Box::leak(Box::new(Registry::new()))
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7) as u8).collect()
}

fn sealed(registry: &'static Registry, content: &[u8]) -> Bytes {
    registry.seal(9, |file| file.write_all(content)).expect("there is memory")
}

/// What the file has where bytes are found to be.
fn in_file(registry: &Registry, bytes: &[u8]) -> Option<Vec<u8>> {
    let (file, offset) = registry.find(bytes)?;
    let mut read = vec![0; bytes.len()];
    file.0.read_exact_at(&mut read, offset).expect("it is that long");
    Some(read)
}

#[test]
fn a_slice_is_found_where_its_file_has_it() {
    let registry = registry();
    let (first, second) = (content(300_000), content(70_001));
    let (one, other) = (sealed(registry, &first), sealed(registry, &second));
    assert_eq!((&one[..], &other[..]), (&first[..], &second[..]));
    for part in [0..300_000, 0..1, 4096..8192, 1..299_999, 299_999..300_000] {
        assert_eq!(in_file(registry, &one[part.clone()]).as_deref(), Some(&first[part]));
    }
    assert_eq!(in_file(registry, &other.slice(70_000..)).as_deref(), Some(&second[70_000..]));
    assert!(registry.find(&first).is_none() && registry.find(b"elsewhere").is_none());
}

#[test]
fn a_slice_beyond_the_end_is_not_of_the_file() {
    // Places as they might lie side by side: nothing of what is behind a mapping is taken for it, nor what is across two.
    let registry = registry();
    let memory = content(12_288);
    let file = SealedFile(Arc::new(File::open("/dev/null").unwrap()));
    let start = memory.as_ptr().addr();
    for at in [0, 4096] {
        registry.places.write().unwrap().insert(start + at, Place { length: 4096, file: file.clone() });
    }
    let offset = |part: Range<usize>| registry.find(&memory[part]).map(|(_, offset)| offset);
    assert_eq!((offset(0..4096), offset(4096..8192), offset(8191..8192)), (Some(0), Some(0), Some(4095)));
    assert_eq!((offset(0..4097), offset(4095..4097), offset(4096..8193), offset(8192..8193)), (None, None, None, None));
}

#[test]
fn what_is_dropped_is_forgotten_with_its_last_slice() {
    let registry = registry();
    let one = sealed(registry, &content(100_000));
    let (file, _) = registry.find(&one).unwrap();
    let slice = one.slice(50_000..);
    drop(one);
    assert!(registry.find(&slice).is_some());
    drop(slice);
    assert_eq!((registry.len(), Arc::strong_count(&file.0)), (0, 1));
    // Whoever sends it goes on all the same.
    let mut byte = [0];
    file.0.read_exact_at(&mut byte, 99_999).unwrap();
    assert_eq!(byte[0], content(100_000)[99_999]);
}

#[test]
fn nobody_can_change_what_is_sealed() {
    let registry = registry();
    let one = sealed(registry, &content(100_000));
    let (file, _) = registry.find(&one).unwrap();
    let mut file = file.0.try_clone().unwrap();
    assert!(file.write_all(b"x").is_err() && file.write_all_at(b"x", 0).is_err());
    assert!(file.set_len(0).is_err() && file.set_len(200_000).is_err());
    assert!(fcntl_add_seals(&file, SealFlags::FUTURE_WRITE).is_err());
    // Another way to the same file.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    assert!(File::options().write(true).truncate(true).open(path).is_err());
    assert_eq!(one, content(100_000));
}

/// Whether this machine gives large pages to files in memory.
fn has_large_pages() -> bool {
    Shelf::new(&in_memory().unwrap()).is_some()
}

#[test]
fn contents_on_a_shelf_are_found_stay_and_go_with_the_last() {
    if !has_large_pages() {
        return;
    }
    let registry = registry();
    let contents: Vec<_> = (0..45).map(|at| content(100_000 + at)).collect();
    let mut kept: Vec<_> = contents.iter().map(|content| registry.shelve(9, content).expect("there is room")).collect();
    // 20 of them have room on one.
    assert_eq!(registry.len(), 3);
    for (content, kept) in contents.iter().zip(&kept) {
        assert!(kept == content && in_file(registry, kept).as_ref() == Some(content));
        assert_eq!(in_file(registry, &kept[1..]).as_deref(), Some(&content[1..]));
    }
    let (file, _) = registry.find(&kept[0]).unwrap();
    let last = kept.swap_remove(19);
    kept.truncate(1);
    assert_eq!((registry.len(), &last[..]), (1, &contents[19][..]));
    // The room of those that are gone is not used again.
    let more = registry.shelve(9, &contents[0]).unwrap();
    assert_eq!(registry.len(), 2);
    assert!(last == contents[19] && kept[0] == contents[0] && more == contents[0]);
    drop((kept, last, more));
    assert_eq!((registry.len(), Arc::strong_count(&file.0)), (0, 1));
}

#[test]
fn nobody_else_can_change_what_is_on_a_shelf() {
    if !has_large_pages() {
        return;
    }
    let registry = registry();
    let one = registry.shelve(9, &content(100_000)).unwrap();
    let (file, _) = registry.find(&one).unwrap();
    let mut file = file.0.try_clone().unwrap();
    assert!(file.write_all(b"x").is_err() && file.write_all_at(b"x", 0).is_err());
    assert!(file.set_len(0).is_err() && file.set_len(8 << 20).is_err());
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    assert!(File::options().write(true).truncate(true).open(&path).is_err());
    let other = File::options().write(true).open(path);
    assert!(other.is_err() || other.is_ok_and(|other| other.write_all_at(b"x", 0).is_err()));
    assert_eq!(one, content(100_000));
}

#[test]
fn shelves_are_bounded() {
    if !has_large_pages() {
        return;
    }
    let registry = registry();
    let content = content(128 << 10);
    let kept: Vec<_> = (0..).map_while(|_| registry.shelve(99, &content)).collect();
    assert_eq!((kept.len(), registry.len()), (SHELVES * map::HUGE / content.len(), SHELVES));
    let few = self::registry();
    let kept: Vec<_> = (0..).map_while(|_| few.shelve(1, &content)).collect();
    assert_eq!((kept.len(), few.len()), (16, 1));
}

#[test]
fn what_cannot_be_had_is_no_error() {
    let registry = registry();
    let write = |file: &mut File| file.write_all(&content(10_000));
    let kept: Vec<_> = (0..3).map_while(|_| registry.seal(3, write)).collect();
    assert_eq!((kept.len(), registry.len()), (3, 3));
    assert!(registry.seal(3, write).is_none());
    drop(kept);
    assert!(registry.seal(3, write).is_some());
    assert!(registry.seal(3, |_| Err(io::ErrorKind::StorageFull.into())).is_none());
    assert_eq!(registry.len(), 0);
}

#[test]
fn large_contents_are_sealed_and_others_are_not() {
    let large = content(LARGE as usize + 3 * PIECE as usize);
    let kept = keep(large.clone().into());
    assert!(kept == large && find(&kept).is_some());
    assert_eq!(keep(kept.clone()).as_ptr(), kept.as_ptr(), "once");
    let small = Bytes::from(content(LARGE as usize - 1));
    assert_eq!(keep(small.clone()).as_ptr(), small.as_ptr());
    assert_eq!(keep_often(small.clone()).as_ptr(), small.as_ptr());
    assert_eq!(keep_often(kept.clone()).as_ptr(), kept.as_ptr(), "once");

    let medium = Bytes::from(content(*MEDIUM.start() as usize));
    assert_eq!(keep(medium.clone()).as_ptr(), medium.as_ptr());
    let often = keep_often(medium.clone());
    assert!(often == medium && find(&often).is_some());
    assert_eq!(keep_often(often.clone()).as_ptr(), often.as_ptr(), "once");

    let part = |start: u64, count: u64| Ok(large[start as usize..(start + count) as usize].to_vec());
    let kept = read(large.len() as u64, part).unwrap();
    assert!(kept == large && find(&kept).is_some());
    let small = read(100_000, part).unwrap();
    assert!(small == large[..100_000] && find(&small).is_none());
    let torn =
        read(
            large.len() as u64,
            |start, count| if start == 0 { part(start, count) } else { Err(io::ErrorKind::NotFound.into()) },
        );
    assert_eq!(torn.unwrap_err().kind(), io::ErrorKind::NotFound);
}

/// Bytes of memory that are mapped from an address on, as the kernel counts them for this process.
fn resident(from: *const u8) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let from = format!("{:x}-", from.addr());
    let its = maps.lines().skip_while(|line| !line.starts_with(&from));
    let rss = its.filter_map(|line| line.strip_prefix("Rss:")?.strip_suffix("kB")).next().expect("it is mapped");
    rss.trim().parse::<usize>().unwrap() << 10
}

#[test]
fn what_is_on_large_pages_is_the_same_and_counted() {
    let registry = registry();
    // Less than one of them, whole ones, and what is behind the last.
    for length in [map::HUGE - 1, map::HUGE, 2 * map::HUGE + 5000] {
        let content = content(length);
        let one = sealed(registry, &content);
        assert!(one == content && in_file(registry, &one).as_ref() == Some(&content), "{length}");
        assert!(in_file(registry, &one[length - 1..]).as_deref() == Some(&content[length - 1..]), "{length}");
        assert!(resident(one.as_ptr()) >= length, "{length}");
    }
    assert_eq!(registry.len(), 0);
}
