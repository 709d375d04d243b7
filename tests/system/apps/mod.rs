//! Applications on packages that nobody here wrote: each project of `tests/apps` is deployed as it is and asked over
//! HTTP, put together by esbuild and by the command line alone.

mod clients;
mod express;
mod frameworks;
mod hono;
mod identity;
mod nodejs;
mod packages;
mod rendering;
mod services;
mod tools;
