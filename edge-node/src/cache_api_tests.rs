use atoll_http_cache::entry::MAX_VARIANTS;
use atoll_http_cache::purge::Scope;
use atoll_http_cache::sealed;
use atoll_runtime::BodyError;
use bytes::{Bytes, BytesMut};
use http::header::{AGE, CONTENT_RANGE};

use super::*;
use crate::config::FrontCacheConfig;

fn caches(store: &Arc<FrontCache>, app: &str) -> AppCaches {
    AppCaches::new(store.clone(), Namespace::of(&[app.as_bytes()]), 1 << 20, Arc::default())
}

fn store() -> Arc<FrontCache> {
    FrontCache::new(&FrontCacheConfig { memory_mb: 64, ..FrontCacheConfig::default() }, 0, None).unwrap()
}

fn request(url: &str, fields: &[(&'static str, &'static str)]) -> CacheRequest {
    let headers = fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
    CacheRequest { cache: None, url: url.parse().unwrap(), headers }
}

fn response(fields: &[(&'static str, &'static str)], body: impl Into<Bytes>) -> CachedResponse {
    let headers = fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
    CachedResponse { status: StatusCode::OK, headers, body: Body::Full(body.into()) }
}

async fn text(found: Option<CachedResponse>) -> Option<(u16, String)> {
    let found = found?;
    let bytes = match found.body {
        Body::Empty => Bytes::new(),
        Body::Full(bytes) => bytes,
        Body::Stream { mut stream, .. } => {
            let mut all = BytesMut::new();
            while let Some(chunk) = stream.next().await {
                all.extend_from_slice(&chunk.unwrap());
            }
            all.freeze()
        }
        Body::Socket(_) => panic!("a socket is not stored"),
    };
    Some((found.status.as_u16(), String::from_utf8(bytes.to_vec()).unwrap()))
}

const URL: &str = "https://a.example/x";

#[tokio::test]
async fn apps_and_caches_do_not_see_each_other() {
    let store = store();
    let (one, two) = (caches(&store, "one"), caches(&store, "two"));
    one.put(request(URL, &[]), response(&[("age", "7")], "1")).await.unwrap();
    let found = one.find(request(URL, &[])).await.unwrap();
    assert_eq!(found.headers["cf-cache-status"], "HIT");
    assert_eq!((&found.headers[AGE], &found.headers[CONTENT_LENGTH]), (&"7".parse().unwrap(), &"1".parse().unwrap()));
    assert_eq!(text(Some(found)).await, Some((200, "1".into())));
    assert!(two.find(request(URL, &[])).await.is_none());
    let named = || CacheRequest { cache: Some("default".into()), ..request(URL, &[]) };
    assert!(one.find(named()).await.is_none());
    assert!(!one.delete(named()).await);
    assert!(one.delete(request(URL, &[])).await);
    assert!(!one.delete(request(URL, &[])).await);
    assert!(one.find(request(URL, &[])).await.is_none());
}

#[tokio::test]
async fn variants_are_kept_apart_and_bounded() {
    let app = caches(&store(), "app");
    let vary = &[("vary", "Accept-Language")];
    for (language, body) in [("de", "hallo"), ("en", "hello"), ("en", "hi")] {
        app.put(request(URL, &[("accept-language", language)]), response(vary, body)).await.unwrap();
    }
    let find =
        async |language: &'static str| text(app.find(request(URL, &[("accept-language", language)])).await).await;
    assert_eq!(find("de").await, Some((200, "hallo".into())));
    assert_eq!(find("en").await, Some((200, "hi".into())));
    assert_eq!(find("fr").await, None);
    for n in 0..100 {
        let mut request = request(URL, &[]);
        request.headers.insert("accept-language", HeaderValue::from(n));
        app.put(request, response(vary, "n")).await.unwrap();
    }
    assert_eq!(find("de").await, None);
    let key = app.key(&request(URL, &[])).unwrap();
    assert_eq!(app.store.variants(&key).await.unwrap().entries().len(), MAX_VARIANTS);
}

#[tokio::test]
async fn what_is_too_large_refused_or_broken_off_is_not_kept() {
    let app = caches(&store(), "app");
    app.put(request(URL, &[]), response(&[], vec![b'x'; (1 << 20) + 1])).await.unwrap();
    assert!(app.find(request(URL, &[])).await.is_none());
    let chunks = |last: Result<Bytes, BodyError>| {
        let chunks = (0..16).map(|_| Ok(Bytes::from(vec![b'x'; 1 << 16]))).chain([last]);
        let stream = Box::pin(futures::stream::iter(chunks.collect::<Vec<_>>()));
        CachedResponse {
            body: Body::Stream { stream, length: None, trailers: Default::default() },
            ..response(&[], "")
        }
    };
    app.put(request(URL, &[]), chunks(Ok(Bytes::from_static(b"x")))).await.unwrap();
    assert!(app.find(request(URL, &[])).await.is_none());
    let broken = app.put(request(URL, &[]), chunks(Err(BodyError::Closed))).await;
    assert_eq!(broken.unwrap_err().code, "cache-body");
    app.put(request(URL, &[]), response(&[("cache-control", "no-store")], "x")).await.unwrap();
    assert!(app.find(request(URL, &[])).await.is_none());
    app.put(request(URL, &[]), chunks(Ok(Bytes::new()))).await.unwrap();
    let part = app.find(request(URL, &[("range", "bytes=3-4")])).await;
    assert_eq!(text(part).await, Some((206, "xx".into())));
    let outside = app.find(request(URL, &[("range", "bytes=9999999-")])).await.unwrap();
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.headers[CONTENT_RANGE], "bytes */1048576");
}

#[tokio::test]
async fn what_the_app_purges_is_not_found_and_what_comes_after_is() {
    let app = caches(&store(), "app");
    let tagged = || response(&[("cache-tag", "news, sport")], "1");
    let other = "https://a.example/y";
    app.put(request(URL, &[]), tagged()).await.unwrap();
    app.put(request(other, &[]), response(&[], "2")).await.unwrap();
    app.purges.store(Purges::new(0, vec![(5, Scope::Tag("News".into()))]).into());
    assert!(app.find(request(URL, &[])).await.is_none() && !app.delete(request(URL, &[])).await);
    assert!(app.find(request(other, &[])).await.is_some());
    app.put(request(URL, &[]), tagged()).await.unwrap();
    assert!(app.find(request(URL, &[])).await.is_some());
    app.purges
        .store(Purges::new(0, vec![(5, Scope::Tag("News".into())), (6, Scope::Prefix("a.example/y".into()))]).into());
    assert!(app.find(request(URL, &[])).await.is_some() && app.find(request(other, &[])).await.is_none());
}

#[tokio::test]
async fn what_is_large_is_kept_on_disk_and_deleted_there() {
    let dir = tempfile::tempdir().unwrap();
    let config = FrontCacheConfig { memory_mb: 1, disk_mb: 64, ..FrontCacheConfig::default() };
    let open = || FrontCache::new(&config, 0, Some(dir.path())).unwrap();
    let body = || "0123456789".repeat(40_000);
    let first = caches(&open(), "app");
    first.put(request(URL, &[]), response(&[("cache-control", "max-age=60")], body())).await.unwrap();
    assert_eq!(text(first.find(request(URL, &[])).await).await, Some((200, body())));
    let second = caches(&open(), "app");
    assert_eq!(text(second.find(request(URL, &[])).await).await, Some((200, body())));
    let part = second.find(request(URL, &[("range", "bytes=-3")])).await.unwrap();
    assert_eq!(part.headers[CONTENT_LENGTH], "3");
    assert_eq!(text(Some(part)).await, Some((206, "789".into())));
    assert!(second.delete(request(URL, &[])).await && !second.delete(request(URL, &[])).await);
    assert!(second.find(request(URL, &[])).await.is_none());
    assert!(caches(&open(), "app").find(request(URL, &[])).await.is_none());
}

fn streamed(pieces: Vec<Bytes>, length: Option<u64>) -> CachedResponse {
    let stream = Box::pin(futures::stream::iter(pieces.into_iter().map(Ok)));
    CachedResponse { body: Body::Stream { stream, length, trailers: Default::default() }, ..response(&[], "") }
}

#[tokio::test]
async fn what_is_large_is_sent_from_where_it_was_gathered() {
    let app = AppCaches { largest: 64 << 20, ..caches(&store(), "app") };
    let pieces: Vec<Bytes> = (0..100u8).map(|n| Bytes::from(vec![n; 30_000])).collect();
    let content = pieces.concat();
    for response in [streamed(pieces.clone(), Some(3_000_000)), response(&[], content.clone())] {
        app.put(request(URL, &[]), response).await.unwrap();
        let Body::Full(found) = app.find(request(URL, &[])).await.unwrap().body else { panic!("it is in memory") };
        assert!(found == content && sealed::find(&found).is_some());
        assert!(app.delete(request(URL, &[])).await);
    }
    // No more than is too large for memory is kept without a disk.
    app.put(request(URL, &[]), response(&[], vec![1; 9 << 20])).await.unwrap();
    assert!(app.find(request(URL, &[])).await.is_none());
}

#[tokio::test]
async fn what_comes_in_crumbs_counts_as_what_it_takes() {
    let config = FrontCacheConfig { memory_mb: 64, fill_mb: 1, ..FrontCacheConfig::default() };
    let app = caches(&FrontCache::new(&config, 0, None).unwrap(), "app");
    let crumbs = |count| streamed(vec![Bytes::from_static(b"x"); count], None);
    app.put(request(URL, &[]), crumbs(10_000)).await.unwrap();
    assert!(app.find(request(URL, &[])).await.is_none());
    app.put(request(URL, &[]), crumbs(1_000)).await.unwrap();
    assert_eq!(text(app.find(request(URL, &[])).await).await, Some((200, "x".repeat(1_000))));
}

#[tokio::test]
async fn what_is_not_as_long_as_it_says_is_an_error_and_not_kept() {
    let app = caches(&store(), "app");
    for said in [3, 5] {
        let put = app.put(request(URL, &[]), streamed(vec!["ab".into(), "cd".into()], Some(said))).await;
        assert_eq!(put.unwrap_err().code, "cache-body", "{said}");
        assert!(app.find(request(URL, &[])).await.is_none());
    }
}
