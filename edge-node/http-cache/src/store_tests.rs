use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;
use crate::key::{KeySettings, Namespace, key};
use crate::purge::Purges;
use crate::storing::judge;

fn a_key(url: &str) -> Key {
    key(Namespace::of(&[]), &KeySettings::default(), url, &HeaderMap::new()).unwrap()
}

fn entry(content: Vec<u8>, control: &'static str) -> Entry {
    let response = HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::from_static(control))]);
    let storable = judge(&Method::GET, &HeaderMap::new(), StatusCode::OK, &response, 0, 0).unwrap();
    let head = Arc::new(Head::new(StatusCode::OK, &response, storable, &HeaderMap::new(), "http://a/", 0));
    Entry { head, content: Content::in_memory(content.into()) }
}

fn selected(variants: Option<Arc<Variants>>) -> Option<Arc<Entry>> {
    variants?.select(&HeaderMap::new(), &Purges::default()).cloned()
}

#[test]
fn memory_stays_within_its_budget() {
    let store = Store::new(StoreOptions { memory: 1 << 20, ..StoreOptions::default() });
    for number in 0..100 {
        store.insert(&a_key(&format!("http://a/{number}")), entry(vec![0; 100 << 10], "max-age=60"));
        assert!(store.memory_used() <= 1 << 20);
    }
    assert!(store.memory_used() > 512 << 10);
    assert!(!store.insert(&a_key("http://a/"), entry(vec![0; 9 << 20], "max-age=60")), "too large for memory alone");
}

#[test]
fn large_and_long_lived_responses_survive_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { memory_object: 100_000, ..StoreOptions::default() };
    let open = || Store::new(options.clone()).with_disk(dir.path(), 1 << 30).unwrap();
    let store = open();
    for (url, size, control) in [
        ("http://a/large", 150_000, "max-age=60"),
        ("http://a/middle", 70_000, "max-age=60"),
        ("http://a/long", 10, "max-age=86400"),
        ("http://a/small", 10, "max-age=60"),
    ] {
        let entry = entry(vec![7; size], control);
        let content = entry.content.memory.clone().unwrap();
        let (head, key) = (entry.head.clone(), a_key(url));
        let fits = store.insert(&key, entry);
        assert_eq!(fits, size <= 100_000);
        assert_eq!(store.wants_disk(&head, size as u64), url != "http://a/small", "{url}");
        if store.wants_disk(&head, size as u64) {
            store.persist(&key, &head, &content, || true).unwrap();
        }
    }
    drop(store);
    let store = open();
    for (url, in_memory) in [("http://a/large", false), ("http://a/middle", true), ("http://a/long", true)] {
        let key = a_key(url);
        assert!(store.lookup(&key).is_none() && store.may_load(&key));
        let loaded = selected(store.load(&key)).unwrap();
        assert_eq!(loaded.content.memory.is_some(), in_memory, "{url}");
        assert!(selected(store.lookup(&key)).is_some());
    }
    assert!(store.load(&a_key("http://a/small")).is_none());
    let key = a_key("http://a/long");
    assert!(store.remove(&key));
    // At once, not only when the disk has done it.
    assert!(store.lookup(&key).is_none() && !store.may_load(&key) && store.load(&key).is_none());
    store.remove_from_disk(&key);
    assert!(store.lookup(&key).is_none() && store.load(&key).is_none());
    let late = a_key("http://a/late");
    let put = entry(vec![7; 150_000], "max-age=60");
    store.persist(&late, &put.head, &put.content.memory.unwrap(), || false).unwrap();
    assert!(store.lookup(&late).is_none() && store.load(&late).is_none(), "invalidated while it was written");
}

#[test]
fn a_key_whose_answer_could_not_be_stored_is_remembered_for_a_while() {
    let store = Store::new(StoreOptions::default());
    let key = a_key("http://a/");
    store.note_uncacheable(&key, 1000);
    assert!(store.is_uncacheable(&key, 10_999) && !store.is_uncacheable(&key, 11_000));
    store.note_cacheable(&key);
    assert!(!store.is_uncacheable(&key, 1000));
}

/// A key of an app.
fn key_of(app: &[u8], url: &str) -> Key {
    key(Namespace::of(&[app]), &KeySettings::default(), url, &HeaderMap::new()).unwrap()
}

#[test]
fn an_app_that_stores_without_end_pushes_out_only_its_own() {
    let store = Store::new(StoreOptions { memory: 1 << 20, ..StoreOptions::default() });
    let neighbours: Vec<Key> = (0..10).map(|number| key_of(b"quiet", &format!("http://a/{number}"))).collect();
    for key in &neighbours {
        store.insert(key, entry(vec![0; 20 << 10], "max-age=60"));
    }
    for number in 0..1000 {
        // What it stores it also asks for, all of it, while nobody asks for the neighbour's.
        let key = key_of(if number % 3 == 0 { b"hog 1" } else { b"hog 2" }, &format!("http://a/{number}"));
        store.insert(&key, entry(vec![0; 20 << 10], "max-age=60"));
        assert!(store.lookup(&key).is_some(), "what was stored is there");
        assert!(store.memory_used() <= 1 << 20);
    }
    assert!(neighbours.iter().all(|key| store.lookup(key).is_some()));
}

#[test]
fn variants_of_one_key_stay_within_the_budget_too() {
    let store = Store::new(StoreOptions { memory: 1 << 20, ..StoreOptions::default() });
    let key = a_key("http://a/");
    for number in 0..20 {
        let request = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from(number))]);
        let response = HeaderMap::from_iter([
            (http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=60")),
            (http::header::VARY, HeaderValue::from_static("accept")),
        ]);
        let storable = judge(&Method::GET, &request, StatusCode::OK, &response, 0, 0).unwrap();
        let head = Arc::new(Head::new(StatusCode::OK, &response, storable, &request, "http://a/", 0));
        store.insert(&key, Entry { head, content: Content::in_memory(vec![0; 100 << 10].into()) });
        assert!(store.memory_used() <= 1 << 20);
        let found = store.lookup(&key).unwrap();
        assert!(found.select(&request, &Purges::default()).is_some(), "the newest is there");
    }
    assert_eq!(store.lookup(&key).unwrap().entries().len(), 10);
}
