//! The web platform of an isolate: extensions, their JavaScript and their ops.

pub mod event;
