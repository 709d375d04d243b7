use super::*;

fn policy(lifetime: u64) -> Policy {
    Policy {
        response_time: 1_000_000,
        initial_age_ms: 0,
        lifetime,
        validate_always: false,
        must_revalidate: false,
        strict: false,
        stale_while_revalidate: 0,
        stale_if_error: 0,
    }
}

fn at(seconds: u64) -> UnixMillis {
    1_000_000 + seconds * 1000
}

const NOTHING: RequestDirectives = RequestDirectives {
    max_age: None,
    min_fresh: None,
    max_stale: None,
    stale_if_error: None,
    no_cache: false,
    no_store: false,
    only_if_cached: false,
};

#[test]
fn age_is_what_it_came_with_and_what_it_stayed() {
    let aged = Policy { initial_age_ms: 7_000, ..policy(60) };
    assert_eq!((aged.age(at(0)), aged.age(at(5)), aged.ttl(at(5))), (7, 12, 48));
    assert_eq!(aged.age(0), 7, "a clock that goes back makes nothing younger");
    assert_eq!(aged.usable_until(), at(53));
}

#[test]
fn fresh_ends_at_the_lifetime_and_not_after_it() {
    let policy = policy(60);
    assert_eq!(assess(&policy, &NOTHING, at(60) - 1), Use::Fresh);
    assert_eq!(assess(&policy, &NOTHING, at(60)), Use::Validate);
    assert!(!usable_on_error(&policy, &NOTHING, at(60)));
}

#[test]
fn no_cache_is_validated_however_fresh() {
    let policy = Policy { validate_always: true, stale_if_error: 99, stale_while_revalidate: 99, ..policy(60) };
    assert_eq!(assess(&policy, &NOTHING, at(0)), Use::Validate);
    assert!(!usable_on_error(&policy, &NOTHING, at(0)));
}

#[test]
fn stale_uses_have_their_windows() {
    let policy = Policy { stale_while_revalidate: 10, stale_if_error: 20, ..policy(60) };
    assert_eq!(assess(&policy, &NOTHING, at(69)), Use::WhileRevalidating);
    assert_eq!(assess(&policy, &NOTHING, at(70)), Use::Validate);
    assert!(usable_on_error(&policy, &NOTHING, at(79)));
    assert!(!usable_on_error(&policy, &NOTHING, at(80)));
    let strict = Policy { must_revalidate: true, ..policy.clone() };
    assert_eq!(assess(&strict, &NOTHING, at(61)), Use::Validate);
    assert!(!usable_on_error(&strict, &NOTHING, at(61)));
    let shared = Policy { strict: true, ..policy };
    assert_eq!(assess(&shared, &NOTHING, at(69)), Use::WhileRevalidating, "the origin's explicit word stands");
}

#[test]
fn a_client_can_ask_for_more_and_for_less() {
    let policy = policy(60);
    let asks = |directives: RequestDirectives, now| assess(&policy, &directives, now);
    assert_eq!(asks(RequestDirectives { no_cache: true, ..NOTHING }, at(0)), Use::Validate);
    assert_eq!(asks(RequestDirectives { max_age: Some(5), ..NOTHING }, at(5)), Use::Fresh);
    assert_eq!(asks(RequestDirectives { max_age: Some(5), ..NOTHING }, at(6)), Use::Validate);
    assert_eq!(asks(RequestDirectives { min_fresh: Some(30), ..NOTHING }, at(30)), Use::Fresh);
    assert_eq!(asks(RequestDirectives { min_fresh: Some(30), ..NOTHING }, at(31)), Use::Validate);
    assert_eq!(asks(RequestDirectives { max_stale: Some(30), ..NOTHING }, at(90)), Use::Stale);
    assert_eq!(asks(RequestDirectives { max_stale: Some(30), ..NOTHING }, at(91)), Use::Validate);
    let shared = Policy { strict: true, ..policy.clone() };
    let stale = RequestDirectives { max_stale: Some(30), ..NOTHING };
    assert_eq!(assess(&shared, &stale, at(61)), Use::Validate, "s-maxage forbids it");
    let on_error = RequestDirectives { stale_if_error: Some(10), ..NOTHING };
    assert!(usable_on_error(&policy, &on_error, at(69)) && !usable_on_error(&policy, &on_error, at(70)));
}
