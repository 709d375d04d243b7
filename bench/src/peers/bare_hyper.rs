//! The bare hyper server: what a request costs without routing, limits and JavaScript. The floor the other figures are
//! measured from, and the origin that handlers fetch from.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::peers::programs::Written;
use crate::peers::{Peer, Prepared};
use crate::site::{HELLO, Site};

/// This program, as a server.
pub struct BareHyper;

impl Peer for BareHyper {
    fn name(&self) -> &'static str {
        "bare hyper"
    }

    fn version(&self) -> String {
        format!("hyper, built with this program {}", env!("CARGO_PKG_VERSION"))
    }

    fn prepare(&self, site: &Site) -> anyhow::Result<Box<dyn Prepared>> {
        let directory = Arc::new(tempfile::tempdir().context("cannot make a directory")?);
        let mut command = Command::new(std::env::current_exe().context("cannot find this program's own path")?);
        command.arg("bare-hyper");
        Ok(Box::new(Written { name: site.fleets[0].name().to_owned(), command, directory }))
    }
}

/// Serves HTTP/1.1 until it is ended, on one thread, as a server pinned to one core best does: [`HELLO`] for GET, its own
/// body for any other request. Prints its port.
#[expect(clippy::print_stdout, reason = "a command-line program")]
pub fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("port {}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(request))));
                // A connection that breaks is the load generator's to report.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

fn answer(request: Request<Incoming>) -> Response<Either<Full<Bytes>, Incoming>> {
    if request.method() != Method::GET {
        return Response::new(Either::Right(request.into_body()));
    }
    let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(HELLO.as_bytes()))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
    response
}
