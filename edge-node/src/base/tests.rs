use std::cell::Cell;

use atoll_protocol::sync::AppState;

use super::*;
use crate::saved::tests::{app, change};

/// A state as it is after it was written and read, from its index.
pub(crate) fn reread(state: &SavedState) -> SavedState {
    let (text, index) = compose(1, state);
    let read = read(text.into(), |_| index).unwrap();
    assert!(read.indexed);
    read.state
}

/// Apps of all kinds, one of them pending.
fn state() -> SavedState {
    let mut state = SavedState::default();
    state.history = "h".into();
    let routes = |routes: &[&str]| routes.iter().map(|route| (*route).to_owned()).collect();
    let cron = |mut app: AppState| {
        app.versions.values_mut().for_each(|version| version.config.crons = vec!["* * * * *".into()]);
        app
    };
    let apps = [
        app("plain", 1),
        AppState { routes: routes(&["a.com/*", "a.com/x/*", "*.b.com/*", "not*valid.com/"]), ..app("routed", 2) },
        cron(AppState { default_route: false, ..app("silent", 3) }),
        AppState { routes: routes(&["a.com/*"]), ..app("Upper \"quoted\"\n", 4) },
        app("pending", 5),
    ];
    for (revision, app) in (1..).zip(apps) {
        let name = app.name.clone();
        state.take(change(revision, &name, Some(app))).unwrap();
        if name != "pending" {
            state.settle(&name);
        }
    }
    state.kept();
    state
}

#[test]
fn with_an_index_and_without_the_same_is_read() {
    let state = state();
    let (text, index) = compose(7, &state);
    let asked = Cell::new(0);
    let of = |index: Option<Vec<u8>>| {
        let asked = &asked;
        read(text.clone().into(), move |generation| {
            asked.set(generation);
            index
        })
    };
    let (fast, slow) = (of(index).unwrap(), of(None).unwrap());
    assert_eq!((fast.generation, fast.indexed, slow.generation, slow.indexed), (7, true, 7, false));
    assert_eq!(asked.get(), 7);
    assert_eq!((&fast.state, &slow.state), (&state, &state));
    assert!(fast.state.apps.base().is_some() && slow.state.apps.base().is_none());
    assert_eq!((fast.state.apps.len(), fast.state.pending.len()), (4, 1));
    for name in ["plain", "routed", "silent", "Upper \"quoted\"\n"] {
        assert_eq!(fast.state.apps.get(name), slow.state.apps.get(name), "{name}");
        assert_eq!(&*fast.state.apps.get(name).unwrap().name, name);
    }
    assert!(fast.state.apps.get("pending").is_none() && fast.state.apps.get("").is_none());
    assert_eq!(compose(7, &fast.state).0.len(), text.len());
    // Other programs see nothing but JSON.
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&json["generation"], &json["apps"]["plain"]["name"]), (&7.into(), &"plain".into()));
    assert!(reread(&SavedState::default()).apps.is_empty());
}

#[test]
fn a_base_with_one_byte_changed_or_missing_is_not_read() {
    let (text, index) = compose(12, &state());
    for at in 0..text.len() {
        for change in [1, 0x20, 0x80, 0xff] {
            let mut damaged = text.clone();
            damaged[at] ^= change;
            let problem = read(damaged.into(), |_| index.clone()).err();
            assert!(problem.is_some(), "{change:#x} at {at} of {:?}", String::from_utf8_lossy(&text));
        }
        assert!(read(text[..at].to_vec().into(), |_| index.clone()).is_err(), "{at} bytes");
    }
    let mut damaged = text.clone();
    let at = text.len() - 20;
    damaged[at] ^= 1;
    let problem = read(damaged.into(), |_| None).err().unwrap().to_string();
    assert!(problem.contains("checksum") && problem.contains("damaged"), "{problem}");
}

#[test]
fn an_index_with_one_byte_changed_or_missing_is_not_used() {
    let state = state();
    let (text, index) = compose(12, &state);
    let index = index.unwrap();
    let reads = |index: Vec<u8>| {
        let read = read(text.clone().into(), |_| Some(index)).unwrap();
        assert_eq!(read.state, state);
        read.indexed
    };
    assert!(reads(index.clone()));
    for at in 0..index.len() {
        let mut damaged = index.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(!reads(damaged), "{at} changed");
        assert!(!reads(index[..at].to_vec()), "{at} bytes");
    }
    assert!(!reads([&index[..], b"more"].concat()));
}

#[test]
fn an_index_of_another_base_is_not_used() {
    let (before, after) = (state(), {
        let mut after = state();
        after.apps.remove("plain");
        after
    });
    let (text, _) = compose(3, &after);
    for (generation, of) in [(3, &before), (2, &after)] {
        let (_, index) = compose(generation, of);
        let read = read(text.clone().into(), |_| index).unwrap();
        assert!(!read.indexed && read.state == after);
    }
}

#[test]
fn what_versions_before_have_written_is_read_and_what_is_neither_is_not() {
    let fields = r#""history":"h","revision":3,"apps":{},"pending":{}}"#;
    let of = |beginning: &str| read(format!("{beginning}{fields}").into(), |_| None);
    for (beginning, generation) in [("{", 0), ("{\"generation\":5,", 5)] {
        let read = of(beginning).unwrap();
        assert_eq!((read.generation, read.state.revision, read.indexed), (generation, 3, false));
    }
    for other in ["", "{\"generation\":5", "{\"generation\":-5,", "{\"generation\":5,\"checksum\":\"0000000\","] {
        assert!(of(other).is_err(), "{other}");
    }
    assert!(read(Bytes::from_static(b"null"), |_| None).is_err());
}

#[test]
fn routes_are_found_by_host_and_path() {
    let kept = reread(&state());
    let base = kept.apps.base().unwrap();
    let everybody = |_| true;
    let name = |found: Option<(Order<'_>, u32)>| found.map(|(_, app)| base.name(app).to_owned());
    assert_eq!(name(base.exact("a.com", "/x/y", everybody)).unwrap(), "routed", "the longer path");
    assert_eq!(name(base.exact("a.com", "/", everybody)).unwrap(), "Upper \"quoted\"\n", "the lesser name");
    let routed = base.find("routed").unwrap();
    let others = |app| app != routed;
    assert_eq!(name(base.exact("a.com", "/x/y", others)).unwrap(), "Upper \"quoted\"\n");
    assert!(base.exact("b.com", "/", everybody).is_none() && base.exact("c.com", "/", everybody).is_none());
    assert!(base.below("b.com", "/", true, everybody).is_none() && base.has_wildcards());
    assert_eq!(name(base.below("b.com", "/", false, everybody)).unwrap(), "routed");
    assert!(base.below("b.com", "/", false, others).is_none());
    assert_eq!(name(base.by_default("plain", "/", everybody)).unwrap(), "plain");
    assert!(base.by_default("plain", "*", everybody).is_none() && base.by_default("silent", "/", everybody).is_none());
    let names = |apps: &mut dyn Iterator<Item = u32>| apps.map(|app| base.name(app).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&mut base.with_crons()), ["silent"]);
    assert_eq!(names(&mut base.unlike_their_hosts()), ["Upper \"quoted\"\n"]);
}

#[test]
fn what_changes_takes_the_place_of_what_was_read() {
    let mut kept = reread(&state());
    kept.apps.insert("plain".into(), Source::new(app("plain", 9)));
    kept.apps.insert("new".into(), Source::new(app("new", 9)));
    assert!(kept.apps.remove("routed").is_some() && kept.apps.remove("routed").is_none());
    assert!(kept.apps.remove("never").is_none());
    let names = |kept: &SavedState| {
        let mut names: Vec<_> = kept.apps.iter().map(|app| app.name().to_owned()).collect();
        names.sort();
        assert_eq!(kept.apps.len(), names.len());
        names
    };
    let expected = ["Upper \"quoted\"\n", "new", "plain", "silent"];
    assert_eq!((names(&kept), kept.apps.len()), (expected.map(str::to_owned).into(), 4));
    assert_eq!(kept.apps.get("plain").unwrap().revision(), 9);
    assert!(!kept.apps.contains("routed"));
    let again = reread(&kept);
    assert_eq!(again.apps, kept.apps);
    assert_eq!(again.apps.base().unwrap().len(), 4);
    kept.apps.retain(|name| name == "silent");
    assert_eq!(names(&kept), ["silent"]);
    // An app that comes again is there again.
    kept.apps.insert("routed".into(), Source::new(app("routed", 10)));
    assert_eq!(names(&reread(&kept)), ["routed", "silent"]);
}
