use atoll_protocol::sync::Frame;

use super::*;
use crate::saved::tests::{app, change};

/// A state of this many apps, kept as a base.
fn kept(folder: &Path, apps: u64) -> (Journal, SavedState) {
    let mut state = SavedState::default();
    let all = (0..apps).map(|n| app(&format!("app-{n}"), 1)).collect();
    state.take(Frame::Snapshot { history: "h".into(), revision: 1, apps: all, certificates: vec![] }).unwrap();
    for n in 0..apps {
        state.settle(&format!("app-{n}"));
    }
    let mut journal = Journal::new(folder);
    assert!(journal.wants_base());
    journal.write(&state).unwrap();
    state.kept();
    (journal, state)
}

/// Takes a change of `name` in and keeps it.
fn deploy(journal: &mut Journal, state: &mut SavedState, name: &str, revision: u64) {
    state.take(change(revision, name, Some(app(name, revision)))).unwrap();
    state.settle(name);
    journal.append(&state.change()).unwrap();
    state.kept();
}

fn loaded(folder: &Path) -> SavedState {
    let mut state = Journal::new(folder).load().unwrap().unwrap();
    state.kept();
    state
}

#[test]
fn changes_are_kept_and_cost_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut state) = kept(dir.path(), 1000);
    let base = fs::metadata(dir.path().join("state.json")).unwrap().len();
    for revision in 2..12 {
        deploy(&mut journal, &mut state, &format!("app-{revision}"), revision);
    }
    state.take(change(12, "app-2", None)).unwrap();
    state.take(change(13, "app-3", Some(app("app-3", 13)))).unwrap();
    journal.append(&state.change()).unwrap();
    state.kept();
    let log = fs::metadata(dir.path().join("state-1.log")).unwrap().len();
    assert!(log < base / 20, "{log} bytes of changes to {base}");
    assert_eq!(fs::metadata(dir.path().join("state.json")).unwrap().len(), base);
    let loaded = loaded(dir.path());
    assert_eq!(loaded, state);
    assert!(!loaded.apps.contains("app-2") && loaded.pending["app-3"].revision() == 13);
}

#[test]
fn half_a_line_is_cut_off_and_gone_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut state) = kept(dir.path(), 2);
    deploy(&mut journal, &mut state, "a", 2);
    let before = state.clone();
    deploy(&mut journal, &mut state, "b", 3);
    drop(journal);
    let path = dir.path().join("state-1.log");
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in first..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(loaded(dir.path()), before, "{length} of {} bytes", whole.len());
    }
    let mut journal = Journal::new(dir.path());
    let mut state = journal.load().unwrap().unwrap();
    deploy(&mut journal, &mut state, "c", 4);
    let again = loaded(dir.path());
    assert_eq!((again.revision, again.apps.len()), (4, 4), "a and c beside the base's two");
}

#[test]
fn a_new_base_ends_the_old_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut state) = kept(dir.path(), 2);
    deploy(&mut journal, &mut state, "a", 2);
    let old = fs::read(dir.path().join("state-1.log")).unwrap();
    journal.write(&state).unwrap();
    assert!(!dir.path().join("state-1.log").exists());
    // As if the crash had come before the log was removed.
    fs::write(dir.path().join("state-1.log"), old).unwrap();
    deploy(&mut journal, &mut state, "b", 3);
    assert_eq!(loaded(dir.path()), state);
}

#[test]
fn a_long_log_asks_for_a_new_base() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut state) = kept(dir.path(), 2);
    let mut revision = 1;
    while !journal.wants_base() {
        revision += 1;
        state.take(change(revision, "a", Some(app(&"long".repeat(5000), revision)))).unwrap();
        journal.append(&state.change()).unwrap();
        state.kept();
        assert!(revision < 100, "it is never long enough");
    }
    journal.write(&state).unwrap();
    assert!(!journal.wants_base());
    assert_eq!(loaded(dir.path()), state);
}

#[test]
fn what_cannot_be_understood_is_named_and_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut state) = kept(dir.path(), 2);
    deploy(&mut journal, &mut state, "a", 2);
    fs::write(dir.path().join("state-1.log"), "{\"revision\":\n").unwrap();
    let mut journal = Journal::new(dir.path());
    let error = journal.load().unwrap_err();
    assert!(error.to_string().contains("state-1.log"), "{error}");
    journal.put_aside();
    assert!(journal.wants_base() && !dir.path().join("state.json").exists());
    journal.write(&state).unwrap();
    assert_eq!(loaded(dir.path()), state);
    assert!(!dir.path().join("state-1.log").exists());
}

#[test]
fn a_base_of_an_earlier_version_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"{"history":"h","revision":3,"apps":{},"pending":{}}"#;
    fs::write(dir.path().join("state.json"), text).unwrap();
    let mut journal = Journal::new(dir.path());
    let mut state = journal.load().unwrap().unwrap();
    assert_eq!(state.revision, 3);
    deploy(&mut journal, &mut state, "a", 4);
    assert_eq!(loaded(dir.path()), state);
}

#[test]
fn a_base_is_read_by_its_index_and_without_it_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, mut state) = kept(dir.path(), 20);
    let index = |generation| dir.path().join(format!("state-{generation}.index"));
    deploy(&mut journal, &mut state, "app-3", 2);
    deploy(&mut journal, &mut state, "new", 3);
    state.take(change(4, "app-4", None)).unwrap();
    journal.append(&state.change()).unwrap();
    state.kept();
    let mut again = Journal::new(dir.path());
    let read = again.load().unwrap().unwrap();
    assert!(read.apps.base().is_some() && !again.is_slow());
    assert_eq!(read, state);
    assert_eq!((read.apps.get("app-3").unwrap().revision(), read.apps.len()), (2, 20));
    assert!(!read.apps.contains("app-4"));
    // What was read by its index is written anew, and the old index goes with the old base.
    again.write(&read).unwrap();
    assert_eq!((loaded(dir.path()), index(1).exists(), index(2).exists()), (state.clone(), false, true));
    for damage in [None, Some(&b"half an index"[..])] {
        match damage {
            None => fs::remove_file(index(2)).unwrap(),
            Some(bytes) => fs::write(index(2), bytes).unwrap(),
        }
        let mut journal = Journal::new(dir.path());
        assert_eq!(journal.load().unwrap().unwrap(), state);
        assert!(journal.is_slow() && !journal.wants_base(), "what is there is not in danger");
    }
}

#[test]
fn a_changed_byte_of_the_base_is_named() {
    let dir = tempfile::tempdir().unwrap();
    kept(dir.path(), 2);
    let path = dir.path().join("state.json");
    let mut text = fs::read(&path).unwrap();
    let at = text.windows(5).rposition(|window| window == b"app-1").unwrap();
    text[at + 4] = b'2';
    fs::write(&path, text).unwrap();
    let error = Journal::new(dir.path()).load().unwrap_err().to_string();
    assert!(error.contains("state.json") && error.contains("damaged"), "{error}");
}
