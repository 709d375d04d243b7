//! Random histories and inputs: the core against the model, and parsers against what was written.

use std::sync::Arc;

use atoll_http_cache::cache_control::{self, RequestDirectives};
use atoll_http_cache::entry::{Content, Entry, Head, Variants};
use atoll_http_cache::freshness::{Use, assess};
use atoll_http_cache::purge::{Purges, Scope};
use atoll_http_cache::range::{self, Selected};
use atoll_http_cache::storing::judge;
use atoll_http_cache::{conditional, date};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;

use crate::model::{Directives, Done, Model, Request, Response};

/// When the histories begin, seconds since the Unix epoch.
const BEGIN: u64 = 784_111_777;

#[derive(Clone, Debug)]
enum Step {
    /// A request so many seconds after the last step, and what the origin says if it is asked.
    Request(u64, Request, Box<Response>),
    Purge(Option<u8>),
}

fn few_seconds() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(prop_oneof![Just(0), 1..20_u64])
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

prop_compose! {
    fn directives()(
        (max_age, s_maxage, stale_while_revalidate) in (few_seconds(), few_seconds(), few_seconds()),
        (no_store, no_cache, private, public) in (rarely(), rarely(), rarely(), any::<bool>()),
        (must_revalidate, proxy_revalidate, must_understand) in (rarely(), rarely(), rarely()),
    ) -> Directives {
        Directives {
            max_age, s_maxage, stale_while_revalidate, no_store, no_cache, private, public, must_revalidate,
            proxy_revalidate, must_understand,
        }
    }
}

prop_compose! {
    fn response()(
        status in prop_oneof![8 => Just(200), 1 => prop::sample::select(vec![206, 299, 304, 404, 412, 416, 500])],
        cache_control in prop::option::weighted(0.9, directives()),
        targeted in prop::option::weighted(0.2, directives()),
        (expires, clock_behind, age) in (prop::option::of(-5..20_i64), prop::option::of(0..5_u64), prop::option::of(0..9_u64)),
        (etag, set_cookie, vary_star) in (any::<bool>(), rarely(), rarely()),
        vary in any::<[bool; 2]>(),
        (tag, delay) in (prop::option::of(0..2_u8), 0..3_u64),
    ) -> Response {
        Response { status, cache_control, targeted, expires, clock_behind, age, etag, set_cookie, vary, vary_star, tag, delay }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let field = || prop::option::of(0..2_u8);
    let request = (field(), field(), rarely(), prop::option::weighted(0.2, 0..20_u64));
    let request =
        request.prop_map(|(a, b, authorization, max_stale)| Request { fields: [a, b], authorization, max_stale });
    prop_oneof![
        12 => (0..8_u64, request, response()).prop_map(|(wait, request, response)| Step::Request(wait, request, Box::new(response))),
        1 => prop::option::of(0..2_u8).prop_map(Step::Purge),
    ]
}

/// The directives as a field; `None` when none is set, since an empty field is not sent.
fn written(directives: &Directives) -> String {
    let mut members = Vec::new();
    for (name, seconds) in [
        ("max-age", directives.max_age),
        ("s-maxage", directives.s_maxage),
        ("stale-while-revalidate", directives.stale_while_revalidate),
    ] {
        members.extend(seconds.map(|seconds| format!("{name}={seconds}")));
    }
    for (name, set) in [
        ("no-store", directives.no_store),
        ("no-cache", directives.no_cache),
        ("private", directives.private),
        ("public", directives.public),
        ("must-revalidate", directives.must_revalidate),
        ("proxy-revalidate", directives.proxy_revalidate),
        ("must-understand", directives.must_understand),
    ] {
        members.extend(set.then(|| name.to_owned()));
    }
    // A directive that nobody knows, so that the field is not empty.
    members.push("x-other".to_owned());
    members.join(", ")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

fn fields(response: &Response, arrived: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, text: String| headers.append(HeaderName::from_static(name), value(&text));
    if let Some(directives) = &response.cache_control {
        add("cache-control", written(directives));
    }
    if let Some(directives) = &response.targeted {
        add("cdn-cache-control", written(directives));
    }
    // The origin dated its answer when it was asked.
    let clock = arrived - response.delay - response.clock_behind.unwrap_or(0);
    if response.clock_behind.is_some() {
        add("date", date::format(clock).unwrap().to_str().unwrap().to_owned());
    }
    if let Some(seconds) = response.expires {
        let base = if response.clock_behind.is_some() { clock } else { arrived };
        add("expires", date::format(base.checked_add_signed(seconds).unwrap()).unwrap().to_str().unwrap().to_owned());
    }
    response.age.map(|age| add("age", age.to_string()));
    response.etag.then(|| add("etag", "\"v\"".into()));
    response.set_cookie.then(|| add("set-cookie", "a=b".into()));
    response.tag.map(|tag| add("cache-tag", format!("x, t{tag}")));
    for (name, named) in ["a", "b"].iter().zip(response.vary) {
        named.then(|| add("vary", (*name).to_owned()));
    }
    response.vary_star.then(|| add("vary", "*".into()));
    headers
}

fn asked(request: &Request) -> (HeaderMap, RequestDirectives) {
    let mut headers = HeaderMap::new();
    for (name, field) in ["a", "b"].into_iter().zip(request.fields) {
        field.map(|field| headers.insert(HeaderName::from_static(name), value(&field.to_string())));
    }
    request.authorization.then(|| headers.insert("authorization", value("Basic eDp5")));
    request.max_stale.map(|seconds| headers.insert("cache-control", value(&format!("max-stale={seconds}"))));
    let directives = cache_control::of_request(&headers);
    (headers, directives)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_core_does_what_the_model_says(steps in prop::collection::vec(step(), 1..24)) {
        let (mut model, mut variants) = (Model::default(), Variants::default());
        let (mut now, mut purges) = (BEGIN, Vec::new());
        for (number, step) in steps.iter().enumerate() {
            let (wait, request, response) = match step {
                Step::Purge(tag) => {
                    model.purge(*tag);
                    let scope = tag.map_or(Scope::Everything, |tag| Scope::Tag(format!("T{tag}").into()));
                    purges.push((purges.len() as u64 + 1, scope));
                    continue;
                }
                Step::Request(wait, request, response) => (wait, request, response),
            };
            now += wait;
            let known = Purges::new(0, purges.clone());
            let (headers, directives) = asked(request);
            let done = variants.select(&headers, &known).and_then(|entry| {
                let used = assess(&entry.head.policy, &directives, now * 1000);
                let body = entry.content.memory.as_ref().unwrap();
                let number = std::str::from_utf8(body).unwrap().parse().unwrap();
                (used != Use::Validate).then(|| Done::Answered(number, entry.head.policy.age(now * 1000)))
            });
            let done = done.unwrap_or(Done::Asked);
            prop_assert_eq!(done, model.ask(request, now), "step {}: {:?}", number, steps);
            if done != Done::Asked {
                continue;
            }
            let sent = now * 1000;
            now += response.delay;
            model.take(request, response, now, number);
            let (status, answer) = (StatusCode::from_u16(response.status).unwrap(), fields(response, now));
            if let Ok(storable) = judge(&Method::GET, &headers, status, &answer, sent, now * 1000) {
                let head = Head::new(status, &answer, storable, &headers, "http://a/", known.last());
                let content = Content::in_memory(number.to_string().into());
                variants = variants.with(Arc::new(Entry { head: Arc::new(head), content }));
            }
        }
    }

    #[test]
    fn directives_are_read_however_they_are_written(
        said in directives(),
        order in any::<prop::sample::Index>(),
        upper in any::<bool>(),
        quoted in any::<bool>(),
        space in "[ \t]{0,2}",
        other in prop::sample::select(vec!["x", "x=1", "x=\"a, no-store, b\"", "x=\"\\\"\"", "immutable", ""]),
        split in any::<bool>(),
    ) {
        let mut members: Vec<String> = written(&said).split(", ").map(str::to_owned).collect();
        members.push(other.to_owned());
        let at = order.index(members.len());
        members.rotate_left(at);
        for member in &mut members {
            if upper && !member.contains('"') {
                *member = member.to_ascii_uppercase();
            }
            if let Some((name, seconds)) = member.clone().split_once('=').filter(|(_, text)| quoted && !text.contains('"')) {
                *member = format!("{name}=\"{seconds}\"");
            }
        }
        let mut headers = HeaderMap::new();
        let lines = if split { members.chunks(2) } else { members.chunks(members.len()) };
        for line in lines {
            headers.append(http::header::CACHE_CONTROL, value(&line.join(&format!("{space},{space}"))));
        }
        let read = cache_control::of_response(&headers).unwrap();
        prop_assert_eq!(
            (read.max_age, read.s_maxage, read.stale_while_revalidate),
            (said.max_age, said.s_maxage, said.stale_while_revalidate)
        );
        prop_assert_eq!(
            (read.no_store, read.no_cache, read.private, read.public, read.must_revalidate, read.proxy_revalidate),
            (said.no_store, said.no_cache, said.private, said.public, said.must_revalidate, said.proxy_revalidate)
        );
        prop_assert_eq!(read.must_understand, said.must_understand);
    }

    #[test]
    fn ranges_are_the_bytes_they_name(
        length in 0..40_u64,
        specs in prop::collection::vec((prop::option::of(0..50_u64), prop::option::of(0..50_u64)), 1..5),
    ) {
        // Which bytes each part has, one by one.
        let bytes = |(first, last): &(Option<u64>, Option<u64>)| -> Vec<u64> {
            (0..length).filter(|byte| match (first, last) {
                (Some(first), Some(last)) => first <= byte && byte <= last,
                (Some(first), None) => first <= byte,
                (None, Some(suffix)) => byte + suffix >= length,
                (None, None) => false,
            }).collect()
        };
        let number = |number: &Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let text: Vec<String> = specs.iter().map(|(first, last)| format!("{}-{}", number(first), number(last))).collect();
        let selected = range::parse(format!("bytes={}", text.join(", ")).as_bytes(), length);
        let wrong = specs.iter().any(|(first, last)| match (first, last) {
            (Some(first), Some(last)) => last < first,
            (first, last) => first.is_none() && last.is_none(),
        });
        let parts: Vec<Vec<u64>> = specs.iter().map(bytes).filter(|bytes| !bytes.is_empty()).collect();
        let mut all: Vec<u64> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        let overlap = all.windows(2).any(|pair| pair[0] == pair[1]);
        match selected {
            Selected::Whole => prop_assert!(wrong || overlap),
            Selected::Unsatisfiable => prop_assert!(!wrong && parts.is_empty()),
            Selected::Parts(selected) => {
                prop_assert!(!wrong && !overlap);
                let selected: Vec<Vec<u64>> =
                    selected.iter().map(|part| (part.start..part.start + part.length).collect()).collect();
                prop_assert_eq!(selected, parts);
            }
        }
    }

    #[test]
    fn entity_tags_match_as_lists_say(
        stored in ("[a-c,]{0,2}", any::<bool>()),
        list in prop::collection::vec(("[a-c,]{0,2}", any::<bool>()), 0..4),
        space in "[ ]{0,2}",
    ) {
        let tag = |(opaque, weak): &(String, bool)| format!("{}\"{opaque}\"", if *weak { "W/" } else { "" });
        let response = HeaderMap::from_iter([(http::header::ETAG, value(&tag(&stored)))]);
        let text: Vec<String> = list.iter().map(tag).collect();
        let request = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, value(&text.join(&format!("{space},{space}"))))]);
        let named = list.iter().any(|(opaque, _)| *opaque == stored.0);
        prop_assert_eq!(conditional::not_modified(&request, StatusCode::OK, &response, 0), named);
    }
}
