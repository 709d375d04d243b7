//! What a node finds on its disk: a base, a zero byte, the log of changes to it, a zero byte, the base's index.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use atoll_fuzz::journal::{Journal, LoadError};
use libfuzzer_sys::fuzz_target;

/// A folder of this process alone, in memory where the system has that.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = parent.join(format!("atoll-fuzz-journal-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (base, rest) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let at = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let (log, index) = (&rest[..at], rest.get(at + 1..).unwrap_or_default());
    for entry in fs::read_dir(&*FOLDER).expect("its entries").flatten() {
        fs::remove_file(entry.path()).expect("it is a file");
    }
    fs::write(FOLDER.join("state.json"), base).expect("a base");
    // The log of the generation that the base names, and that of bases without one.
    let text = String::from_utf8_lossy(base);
    let named = text.strip_prefix("{\"generation\":").map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    for generation in
        [Some("0"), named.flatten().filter(|digits| (1..20).contains(&digits.len()))].into_iter().flatten()
    {
        let number = generation.parse::<u64>().unwrap_or_default();
        fs::write(FOLDER.join(format!("state-{number}.log")), log).expect("a log");
        fs::write(FOLDER.join(format!("state-{number}.index")), index).expect("an index");
    }
    let mut journal = Journal::new(&FOLDER);
    let state = match journal.load() {
        Ok(state) => state.expect("there is a base"),
        Err(LoadError::Damaged(_)) => {
            journal.put_aside();
            assert!(journal.wants_base());
            return assert!(journal.load().expect("the damaged base is out of the way").is_none());
        }
        Err(LoadError::Io(error)) => panic!("{error}"),
    };
    // What is cut off a log is not missed, and what is read can be kept and read again.
    let again = |journal: &mut Journal| journal.load().expect("it was read before").expect("it is there");
    assert_eq!(again(&mut journal), state);
    journal.write(&state).expect("a new base");
    let mut journal = Journal::new(&FOLDER);
    let read = again(&mut journal);
    assert!(read.apps.base().is_some() && !journal.is_slow());
    assert_eq!(read.apps, state.apps);
    // By the index everything is what it is without it, and can be written again.
    for app in read.apps.iter() {
        assert_eq!(Some(app.source()), state.apps.get(app.name()));
    }
    journal.write(&read).expect("a new base");
    assert_eq!(again(&mut journal).apps, state.apps);
});
