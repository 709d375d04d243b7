//! The bare hyper server: what a request costs without routing, limits and JavaScript. The floor the other figures are
//! measured from.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What to listen on and to answer.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    listen: SocketAddr,
    /// The body of every answer.
    #[arg(long)]
    answer: String,
}

/// Serves HTTP/1.1 until it is ended, on one thread, as a server pinned to one core best does.
pub fn main(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = Bytes::copy_from_slice(options.answer.as_bytes());
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |_: Request<Incoming>| {
                    let mut response = Response::new(Full::new(answer.clone()));
                    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
                    async move { Ok::<_, Infallible>(response) }
                });
                // A connection that breaks is the load generator's to report.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
