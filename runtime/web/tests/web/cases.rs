//! The cases, by subject.

mod bodies;
mod caches;
mod handler;
mod html_rewriter;
mod outbound;
mod platform;
mod websocket;
mod workers;

use std::pin::Pin;

use crate::support::Source;

/// A case: what it shows, and how.
pub type Case = (&'static str, fn(Source) -> Pin<Box<dyn Future<Output = ()>>>);

/// Names async functions as cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub fn cases() -> Vec<crate::cases::Case> {
            vec![$((concat!(module_path!(), "::", stringify!($name)), |source| Box::pin($name(source)))),*]
        }
    };
}
pub(crate) use cases;

pub fn all() -> Vec<Case> {
    [
        handler::cases(),
        bodies::cases(),
        caches::cases(),
        html_rewriter::cases(),
        outbound::cases(),
        platform::cases(),
        websocket::cases(),
        workers::cases(),
    ]
    .concat()
}
