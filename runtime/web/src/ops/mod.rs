//! What the JavaScript of this crate calls: one module per capability.

pub(crate) mod app;
pub(crate) mod body;
pub(crate) mod cache;
pub(crate) mod decode;
pub(crate) mod digest;
pub(crate) mod fetch;
pub(crate) mod form;
pub(crate) mod function;
pub(crate) mod gcm;
pub(crate) mod request;
pub(crate) mod rewriter;
pub(crate) mod service;
pub(crate) mod websocket;
