//! The decisions of the cache against the RFCs, through the crate's public interface alone.
//!
//! [`model`] is a second, naive cache, written from the text of RFC 9111, RFC 5861 and RFC 9213; [`properties`] compares the
//! two on random histories. [`accounting`] has how memory is counted. [`musts`] has what the RFC says with MUST that no test of a single module shows. Where each
//! requirement on caches is shown:
//!
//! | RFC 9111 | Requirement | Shown by |
//! |---|---|---|
//! | 2 | The key is at least method and URI | `src/key.rs`, `musts::other_methods_are_neither_stored_nor_answered` |
//! | 3 | What must not be stored | `src/storing_tests.rs`, `properties::the_core_does_what_the_model_says` |
//! | 3.1 | All fields are stored, known or not, but those of the connection and of proxies | `musts::all_fields_are_stored_but_those_of_the_connection` |
//! | 3.2, 4.3.4 | A 304 updates the fields of what it names, and of nothing else | `src/conditional.rs` |
//! | 3.3, 3.4 | What is incomplete is not used as if it were whole; parts are not stored | `src/fill_tests.rs`, `src/storing_tests.rs` |
//! | 3.5 | Answers to requests with `Authorization` | `src/storing_tests.rs`, `properties::the_core_does_what_the_model_says` |
//! | 4 | The newest of several that match; `Age` on each answer | `src/entry.rs`, `src/answer_tests.rs` |
//! | 4, 4.4 | Unsafe methods are written through and invalidate, on the same origin only | `src/safety.rs`, `edge-node/tests/node/cache.rs` |
//! | 4.1 | `Vary` | `src/entry.rs`, `musts::a_field_that_is_missing_matches_only_where_it_was_missing`, `properties` |
//! | 4.2, 4.2.1, 4.2.3 | Lifetime and age | `src/freshness_tests.rs`, `src/storing_tests.rs`, `properties` |
//! | 4.2.4 | Nothing stale unless it is allowed, and never against the origin's word | `src/freshness_tests.rs`, `properties` |
//! | 4.3.1 | A validation carries the stored entity tag | `src/conditional.rs` |
//! | 4.3.2 | A client's conditions; `If-None-Match` before `If-Modified-Since`; `If-Match` is the origin's | `src/conditional.rs`, `src/safety.rs`, `properties::entity_tags_match_as_lists_say` |
//! | 4.3.3 | 304, another answer, a server error | `edge-node/tests/node/cache.rs` |
//! | 5.1 | `Age` is read as delta-seconds, else ignored | `src/storing_tests.rs` |
//! | 5.2 | Unknown directives are ignored; names in any case, arguments in both forms | `src/cache_control.rs`, `properties::directives_are_read_however_they_are_written` |
//! | 5.2.1.5 | `no-store` in a request: nothing of the answer is stored | `musts::an_answer_to_a_request_with_no_store_is_not_stored` |
//! | 5.2.1.7 | `only-if-cached` | `edge-node/tests/node/cache.rs` |
//! | 5.2.2.1–10 | Directives of responses | `src/storing_tests.rs`, `src/freshness_tests.rs`, `properties` |
//! | 5.3 | An `Expires` that is no date is in the past; `max-age` goes before it | `src/storing_tests.rs` |
//! | 5.4 | `Pragma` | `src/cache_control.rs` |
//! | RFC 9110, 14.2 | Ranges | `src/range.rs`, `properties::ranges_are_the_bytes_they_name` |

mod accounting;
mod model;
mod musts;
mod properties;

/// Says how much is allocated, for [`accounting`].
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);
