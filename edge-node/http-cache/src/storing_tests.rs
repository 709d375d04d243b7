use http::HeaderValue;

use super::*;

const NOW: UnixMillis = 784_111_777_000;
const DATE_NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DATE_LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

fn judged(fields: &[(&'static str, &'static str)]) -> Result<Storable, Refusal> {
    judge(&Method::GET, &HeaderMap::new(), StatusCode::OK, &headers(fields), NOW, NOW)
}

fn control(value: &'static str) -> Result<Storable, Refusal> {
    judged(&[("cache-control", value)])
}

/// RFC 9111 §3: every condition under which a shared cache must not store.
#[test]
fn what_must_not_be_stored_is_not() {
    for (value, refusal) in [
        ("no-store, max-age=60", Refusal::NoStore),
        ("max-age=60, NO-STORE", Refusal::NoStore),
        ("private, max-age=60", Refusal::Private),
        ("no-cache", Refusal::NoFreshness),
        ("public", Refusal::NoFreshness),
        ("max-age=0", Refusal::NoFreshness),
        ("must-revalidate", Refusal::NoFreshness),
        ("stale-if-error=60", Refusal::NoFreshness),
        ("", Refusal::NoFreshness),
    ] {
        assert_eq!(control(value), Err(refusal), "{value}");
    }
    assert_eq!(judged(&[]), Err(Refusal::NoFreshness));
    assert_eq!(judged(&[("last-modified", DATE_NOW)]), Err(Refusal::NoFreshness), "no heuristics");
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::OPTIONS] {
        let fields = headers(&[("cache-control", "max-age=60")]);
        let result = judge(&method, &HeaderMap::new(), StatusCode::OK, &fields, NOW, NOW);
        assert_eq!(result, Err(Refusal::Method), "{method}");
    }
}

#[test]
fn cookies_are_not_stored_unless_they_are_left_out() {
    let cookie = ("set-cookie", "session=1");
    assert_eq!(judged(&[("cache-control", "public, max-age=60"), cookie]), Err(Refusal::SetCookie));
    assert_eq!(judged(&[("cdn-cache-control", "max-age=60"), cookie]), Err(Refusal::SetCookie));
    for value in ["max-age=60, no-cache=\"Set-Cookie\"", "max-age=60, private=\"set-cookie\""] {
        assert_eq!(judged(&[("cache-control", value), cookie]).unwrap().withheld, [SET_COOKIE], "{value}");
    }
}

/// RFC 9111 §3.5.
#[test]
fn answers_to_authorized_requests_need_a_word_that_they_are_for_others() {
    let request = headers(&[("authorization", "Bearer x")]);
    let asked = |value| {
        let response = headers(&[("cache-control", value)]);
        judge(&Method::GET, &request, StatusCode::OK, &response, NOW, NOW).map(|_| ())
    };
    assert_eq!(asked("max-age=60"), Err(Refusal::Authorization));
    assert_eq!(asked("max-age=60, proxy-revalidate"), Err(Refusal::Authorization));
    for value in ["max-age=60, public", "s-maxage=60", "max-age=60, must-revalidate"] {
        assert_eq!(asked(value), Ok(()), "{value}");
    }
}

#[test]
fn statuses_that_depend_on_more_than_the_resource_are_not_stored() {
    let response = headers(&[("cache-control", "max-age=60")]);
    let status = |status: u16, fields: &HeaderMap| {
        let status = StatusCode::from_u16(status).unwrap();
        judge(&Method::GET, &HeaderMap::new(), status, fields, NOW, NOW).map(|_| ())
    };
    for refused in [101, 103, 206, 304, 412, 416] {
        assert_eq!(status(refused, &response), Err(Refusal::Status), "{refused}");
    }
    for stored in [200, 203, 204, 299, 301, 302, 404, 410, 451, 500, 503] {
        assert_eq!(status(stored, &response), Ok(()), "{stored}");
    }
    // RFC 9111 §5.2.2.3: must-understand goes before no-store for statuses that are known.
    let understand = headers(&[("cache-control", "max-age=60, no-store, must-understand")]);
    assert_eq!((status(200, &understand), status(299, &understand)), (Ok(()), Err(Refusal::NoStore)));
}

/// RFC 9111 §4.2.1: the first of these that is there.
#[test]
fn lifetimes_come_from_the_first_word_that_counts() {
    let lifetime = |fields: &[(&'static str, &'static str)]| judged(fields).unwrap().policy.lifetime;
    let expires = ("expires", DATE_LATER);
    let date = ("date", DATE_NOW);
    assert_eq!(lifetime(&[("cache-control", "s-maxage=1, max-age=2"), expires, date]), 1);
    assert_eq!(lifetime(&[("cache-control", "max-age=2"), expires, date]), 2);
    assert_eq!(lifetime(&[expires, date]), 60);
    assert_eq!(lifetime(&[expires]), 60, "without Date, when it came");
    assert_eq!(lifetime(&[("expires", "0"), ("etag", "\"a\"")]), 0);
    assert_eq!(lifetime(&[("expires", DATE_LATER), ("expires", DATE_LATER), ("etag", "\"a\"")]), 0);
    assert_eq!(lifetime(&[("cache-control", "max-age=x"), expires, ("etag", "\"a\"")]), 0);
    assert_eq!(lifetime(&[("cache-control", "max-age=99999999999")]), MAX_SECONDS);
}

/// RFC 9213 §2.2.
#[test]
fn a_targeted_field_goes_before_all_others() {
    let fields =
        |targeted| judged(&[("cdn-cache-control", targeted), ("cache-control", "no-store"), ("expires", DATE_LATER)]);
    assert_eq!(fields("max-age=9").unwrap().policy.lifetime, 9);
    assert_eq!(fields("max-age=9,"), Err(Refusal::NoStore), "invalid: as if it were not there");
    assert_eq!(fields("public"), Err(Refusal::NoFreshness), "Expires does not count beside it");
    assert_eq!(judged(&[("cdn-cache-control", "no-store"), ("cache-control", "max-age=9")]), Err(Refusal::NoStore));
    let own = [("atoll-cdn-cache-control", "max-age=1"), ("cdn-cache-control", "max-age=2")];
    assert_eq!(judged(&own).unwrap().policy.lifetime, 1);
}

/// RFC 9111 §4.2.3.
#[test]
fn the_initial_age_is_the_larger_of_two_estimates() {
    let age = |fields: &[(&'static str, &'static str)], sent, received| {
        let mut all = vec![("cache-control", "max-age=60")];
        all.extend_from_slice(fields);
        let judged = judge(&Method::GET, &HeaderMap::new(), StatusCode::OK, &headers(&all), sent, received);
        judged.unwrap().policy.initial_age_ms
    };
    assert_eq!(age(&[], NOW, NOW), 0);
    assert_eq!(age(&[("age", "7")], NOW - 2000, NOW), 9_000, "corrected by the delay");
    assert_eq!(age(&[("date", DATE_NOW)], NOW, NOW + 30_000), 30_000);
    assert_eq!(age(&[("date", DATE_NOW), ("age", "50")], NOW + 30_000, NOW + 30_000), 50_000);
    assert_eq!(age(&[("date", DATE_LATER)], NOW, NOW), 0, "a clock ahead");
    assert_eq!(age(&[("age", "x")], NOW, NOW), 0);
    assert_eq!(age(&[("age", "99999999999")], NOW, NOW), MAX_SECONDS * 1000);
}

#[test]
fn vary_names_the_fields_and_too_much_of_it_is_refused() {
    let vary = |value| judged(&[("cache-control", "max-age=60"), ("vary", value)]).map(|stored| stored.vary);
    let names = [http::header::ACCEPT, http::header::COOKIE];
    assert_eq!(vary("Cookie, accept,, COOKIE").unwrap(), names);
    for value in ["*", "accept, *", "a b", "a1,a2,a3,a4,a5,a6,a7,a8,a9,b1,b2,b3,b4,b5,b6,b7,b8"] {
        assert_eq!(vary(value), Err(Refusal::Vary), "{value}");
    }
}

#[test]
fn the_uses_are_what_the_directives_say() {
    let policy = |value| judged(&[("cache-control", value), ("etag", "\"a\"")]).unwrap().policy;
    assert!(policy("no-cache, max-age=5").validate_always);
    assert!(policy("max-age=5, must-revalidate").must_revalidate);
    assert!(policy("max-age=5, proxy-revalidate").must_revalidate);
    assert!(policy("s-maxage=5").strict && !policy("max-age=5").strict);
    let grace = policy("max-age=5, stale-while-revalidate=6, stale-if-error=7");
    assert_eq!((grace.stale_while_revalidate, grace.stale_if_error), (6, 7));
    assert!(control("max-age=0, stale-while-revalidate=5").is_ok());
}
