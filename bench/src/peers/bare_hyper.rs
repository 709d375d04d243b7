//! The bare hyper server: what a request costs without routing, limits and JavaScript. The floor the other figures are
//! measured from.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What to answer.
#[derive(clap::Args)]
pub struct Options {
    /// A file that holds the body of every answer, as a JSON string.
    #[arg(long)]
    program: PathBuf,
}

/// Serves HTTP/1.1 until it is ended, on one thread, as a server pinned to one core best does. Prints its port.
#[expect(clippy::print_stdout, reason = "a command-line program")]
pub fn main(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text: String = serde_json::from_slice(&std::fs::read(&options.program)?)?;
    let answer = Bytes::from(text);
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("port {}", listener.local_addr()?.port());
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
