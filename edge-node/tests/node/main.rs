//! The node as a whole: real listeners, real isolates, real files; a control plane played by [`plane::Plane`].

#![allow(clippy::print_stdout, reason = "the report of the tests")]

mod assets;
mod cache;
mod certificates;
mod compression;
mod conformance;
mod egress;
mod expectation;
mod faults;
mod following;
mod h2spec;
mod heads;
mod hints;
mod http3;
mod large;
mod listeners;
mod origin_connections;
mod origins;
mod plane;
mod platform;
mod refusals;
mod scaling;
mod services;
mod serving;
mod slow;
mod support;
mod websocket;
mod windows;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use atoll_runtime::{Engine, EngineOptions};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

/// A test by name.
type Test = (&'static str, fn(Engine) -> LocalBoxFuture<'static, ()>);

/// Names test functions.
macro_rules! tests {
    ($($module:ident: $($test:ident),+ $(,)?;)+) => {
        &[$($((
            concat!(stringify!($module), "::", stringify!($test)),
            |engine| $module::$test(engine).boxed_local(),
        ),)+)+]
    };
}

const TESTS: &[Test] = tests! {
    serving: answers_over_http1_and_http2, tells_the_app_who_asked, refuses_what_is_no_request, tells_of_cookies_in_one_field, bounds_the_headers_of_apps, limits_bodies,
        answers_head_and_bodiless_statuses, says_what_went_wrong, finishes_requests_when_draining,
        names_a_port_in_use, says_how_an_answer_was_made, replaces_an_installed_app,
        tells_the_app_that_its_client_has_gone, keeps_the_lengths_of_bodies, splits_clients_by_weight,
        says_that_connections_end_when_draining, drains_no_longer_than_it_may;
    scaling: starts_more_isolates_when_one_is_busy, a_connection_does_not_wait_for_an_app_it_has_asked_before,
        starts_the_code_beside_the_request, ends_idle_isolates, keeps_to_the_number_of_isolates, caps_the_requests_of_an_app,
        replaces_an_isolate_that_broke_a_limit, stops_the_largest_when_all_are_too_large,
        remembers_that_code_does_not_start;
    egress: reaches_only_what_is_allowed, streams_both_ways, passes_through_to_the_origin, cuts_loops;
    conformance: refuses_what_the_rfc_forbids, takes_what_the_rfc_allows;
    h2spec: every_frame_is_judged, dialogues_go_as_they_should;
    heads: are_refused_over_http2, are_refused_over_http3;
    origins: forwards_to_the_origin, obeys_the_address_policy, caches_what_the_origin_allows, carries_websockets,
        passes_trailers_on, goes_on_and_waits_for_the_answer, says_what_is_wrong_with_an_origin, breaks_the_circuit, counts_websockets,
        sends_again_where_that_is_safe, caps_connections, streams_and_cancels, is_replaced_like_any_app;
    origin_connections: opens_as_the_origin_takes_requests;
    cache: answers_from_what_is_stored, says_why_it_does_not_store, keeps_apart_what_differs, is_not_poisoned,
        validates_what_is_stale, serves_stale_as_the_app_allows, forgets_what_a_change_makes_old,
        streams_to_all_who_ask_and_asks_once, stores_nothing_that_breaks_off, obeys_the_app_and_the_operator,
        stores_by_default_what_is_for_shared_caches,
        is_purged_by_the_control_plane, finds_on_disk_what_a_killed_node_stored, keeps_what_neighbours_of_a_hog_stored;
    large: are_sent_as_they_were_stored, outlive_their_place_in_the_cache, wait_for_clients_that_go_on;
    assets: come_before_the_code, leave_to_the_code_what_is_its, answer_conditions_and_ranges,
        have_a_variant_for_every_coding, outlive_the_control_plane;
    compression: is_as_the_client_takes_it, leaves_alone_what_it_should, does_not_delay_streams,
        is_kept_with_what_is_cached;
    faults: stores_nothing_that_an_origin_cuts_short, waits_for_a_slow_origin_only_where_it_must,
        stands_in_for_a_dead_origin, goes_on_when_the_disk_is_full;
    websocket: carries_messages, refuses_wrong_handshakes, refuses_hostile_frames, outlives_the_limits_of_requests,
        closes_when_the_isolate_dies, gives_up_a_client_that_does_not_read, says_that_it_goes, reaches_other_hosts,
        keeps_memory_for_other_apps, speaks_over_http2;
    platform: keeps_what_apps_cache, keeps_large_bodies_as_they_come, sets_off_scheduled_handlers, keeps_scheduled_handlers_to_itself;
    listeners: serves_tls, takes_client_hellos_as_they_come, chooses_certificates_by_name, reloads_certificates, watches_certificates,
        tells_of_client_certificates, refuses_misdirected_requests, redirects_to_https, believes_trusted_proxies_only,
        listens_on_every_kind_of_address, tells_health_on_a_private_listener,
        serves_http3, finishes_http3_requests_when_draining, starts_isolates_at_the_client_hello;
    expectation: over_http2_is_met_when_the_body_is_wanted, over_http3_is_met_when_the_body_is_wanted;
    slow: readers_get_all, those_who_take_next_to_nothing_are_given_up;
    windows: grow_while_uploads_are_read, are_given_back_with_requests;
    http3: ends_floods_of_resets, refuses_what_is_malformed, gives_slow_clients_up, waits_for_clients_that_go_on;
    hints: of_an_origin_go_to_navigations, of_an_origin_that_speaks_http2_go_on, of_an_origin_go_out_over_http2, of_an_origin_go_out_over_http3, tell_what_a_page_needed_before;
    certificates: serves_what_the_control_plane_sends, keeps_the_certificate_before_one_it_cannot_serve,
        answers_challenges_before_anything_else, answers_challenges_in_handshakes;
    refusals: refuses_ambiguous_requests_and_closes, takes_bodies_in_any_pieces, gives_slow_clients_up, ends_idle_connections,
        limits_connections_per_client, sheds_load, ends_http2_floods,
        takes_no_body_for_frames;
    following: serves_what_it_is_told, compiles_what_begins_to_be_served,
        has_compiled_code_at_hand_when_it_starts_again, brings_up_many_at_once, refuses_what_is_not_signed, keeps_the_old_version_when_a_bundle_is_wrong,
        serves_from_disk_and_catches_up, opens_secrets, forwards_tailed_logs, survives_a_damaged_state,
        is_as_it_was_when_it_starts_again,
        asks_again_when_frames_go_back, runs_what_is_due_once;
    services: fetch_each_other, call_methods_of_each_other, come_to_an_end, keep_their_own_limits, end_with_the_client;
};

/// No test may take longer, on however busy a machine.
const DEADLINE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let engine = Engine::init(EngineOptions::default());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What stands behind `--format` says how to list.
    let is_filter = |at: usize| !arguments[at].starts_with('-') && (at == 0 || arguments[at - 1] != "--format");
    let filters: Vec<&String> = (0..arguments.len()).filter(|at| is_filter(*at)).map(|at| &arguments[at]).collect();
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let list = arguments.iter().any(|argument| argument == "--list");
    let ignored = arguments.iter().any(|argument| argument == "--ignored");
    let wanted = |name: &str| {
        !ignored
            && (filters.is_empty()
                || filters.iter().any(|filter| if exact { name == *filter } else { name.contains(*filter) }))
    };
    let mut failed = Vec::new();
    let mut passed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        if list {
            println!("{name}: test");
            continue;
        }
        match run(*test, engine.clone()) {
            Ok(()) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
                println!("test {name} ... FAILED\n    {text}");
                failed.push(*name);
            }
        }
    }
    if list {
        return ExitCode::SUCCESS;
    }
    println!("\ntest result: {passed} passed; {} failed {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(test: fn(Engine) -> LocalBoxFuture<'static, ()>, engine: Engine) -> Result<(), Box<dyn Any + Send>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let limited = async { tokio::time::timeout(DEADLINE, test(engine)).await.expect("the test takes too long") };
    let result = runtime.block_on(AssertUnwindSafe(limited).catch_unwind());
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}
