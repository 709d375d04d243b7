use atoll_runtime::BodyError;

use super::*;

fn store() -> CacheStore {
    CacheStore::new(&CacheConfig { memory_mb: 8, object_mb: 1 })
}

fn request(url: &str, fields: &[(&'static str, &'static str)]) -> CacheRequest {
    let headers = fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
    CacheRequest { cache: None, url: url.parse().unwrap(), headers }
}

fn response(fields: &[(&'static str, &'static str)], body: impl Into<Bytes>) -> CachedResponse {
    let headers = fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
    CachedResponse { status: StatusCode::OK, headers, body: Body::Full(body.into()) }
}

fn text(found: Option<CachedResponse>) -> Option<(u16, String)> {
    found.map(|found| match found.body {
        Body::Empty => (found.status.as_u16(), String::new()),
        Body::Full(bytes) => (found.status.as_u16(), String::from_utf8(bytes.to_vec()).unwrap()),
        Body::Stream { .. } | Body::Socket(_) => panic!("what is stored is here"),
    })
}

const URL: &str = "https://a.example/x";

#[tokio::test]
async fn apps_and_caches_do_not_see_each_other() {
    let store = store();
    let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
    store.put(one.clone(), request(URL, &[]), response(&[("age", "7")], "1")).await.unwrap();
    let found = store.find(&one, request(URL, &[])).unwrap();
    assert_eq!(found.headers["cf-cache-status"], "HIT");
    assert_eq!(found.headers[AGE], "7");
    assert_eq!(text(Some(found)), Some((200, "1".into())));
    assert!(store.find(&two, request(URL, &[])).is_none());
    let named = || CacheRequest { cache: Some("default".into()), ..request(URL, &[]) };
    assert!(store.find(&one, named()).is_none());
    assert!(!store.delete(&one, named()));
    assert!(store.delete(&one, request(URL, &[])));
    assert!(!store.delete(&one, request(URL, &[])));
    assert!(store.find(&one, request(URL, &[])).is_none());
}

#[tokio::test]
async fn variants_are_kept_apart_and_bounded() {
    let store = store();
    let app: Arc<str> = "app".into();
    let vary = &[("vary", "Accept-Language")];
    store.put(app.clone(), request(URL, &[("accept-language", "de")]), response(vary, "hallo")).await.unwrap();
    store.put(app.clone(), request(URL, &[("accept-language", "en")]), response(vary, "hello")).await.unwrap();
    store.put(app.clone(), request(URL, &[("accept-language", "en")]), response(vary, "hi")).await.unwrap();
    let find = |language: &'static str| text(store.find(&app, request(URL, &[("accept-language", language)])));
    assert_eq!(find("de"), Some((200, "hallo".into())));
    assert_eq!(find("en"), Some((200, "hi".into())));
    assert_eq!(find("fr"), None);
    for n in 0..100 {
        let mut request = request(URL, &[]);
        request.headers.insert("accept-language", HeaderValue::from(n));
        store.put(app.clone(), request, response(vary, "n")).await.unwrap();
    }
    assert_eq!(find("de"), None);
    assert_eq!(store.entries.iter().map(|(_, variants)| variants.len()).sum::<usize>(), MOST_VARIANTS);
}

#[tokio::test]
async fn what_is_too_large_refused_or_broken_off_is_not_kept() {
    let store = store();
    let app: Arc<str> = "app".into();
    store.put(app.clone(), request(URL, &[]), response(&[], vec![b'x'; (1 << 20) + 1])).await.unwrap();
    assert!(store.find(&app, request(URL, &[])).is_none());
    let chunks = |last: Result<Bytes, BodyError>| {
        let chunks = (0..16).map(|_| Ok(Bytes::from(vec![b'x'; 1 << 16]))).chain([last]);
        let stream = Box::pin(futures::stream::iter(chunks.collect::<Vec<_>>()));
        CachedResponse {
            body: Body::Stream { stream, length: None, trailers: Default::default() },
            ..response(&[], "")
        }
    };
    store.put(app.clone(), request(URL, &[]), chunks(Ok(Bytes::from_static(b"x")))).await.unwrap();
    assert!(store.find(&app, request(URL, &[])).is_none());
    let broken = store.put(app.clone(), request(URL, &[]), chunks(Err(BodyError::Closed))).await;
    assert_eq!(broken.unwrap_err().code, "cache-body");
    store.put(app.clone(), request(URL, &[]), response(&[("cache-control", "no-store")], "x")).await.unwrap();
    assert!(store.find(&app, request(URL, &[])).is_none());
    store.put(app.clone(), request(URL, &[]), chunks(Ok(Bytes::new()))).await.unwrap();
    assert_eq!(text(store.find(&app, request(URL, &[("range", "bytes=3-4")]))), Some((206, "xx".into())));
    let outside = store.find(&app, request(URL, &[("range", "bytes=9999999-")])).unwrap();
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.headers[CONTENT_RANGE], "bytes */1048576");
}
