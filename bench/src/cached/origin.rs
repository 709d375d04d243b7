//! The origin of the proxies: answers with the objects from memory, on a thread of this process.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::object::{self, Object};

/// An origin that serves for as long as this process lives.
pub struct Origin {
    /// Where it answers.
    pub address: SocketAddr,
}

impl Origin {
    /// Starts one with objects of these sizes.
    pub fn start(sizes: &[usize]) -> anyhow::Result<Self> {
        let objects = sizes.iter().map(|&size| (object::path(size), Bytes::copy_from_slice(Object::new(size).bytes())));
        let objects = Arc::new(objects.collect::<HashMap<_, _>>());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.context("cannot listen for the origin")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || runtime.block_on(serve(&listener, &objects)));
        Ok(Self { address })
    }
}

async fn serve(listener: &TcpListener, objects: &Arc<HashMap<String, Bytes>>) {
    // When no more connections can be taken, the proxies' answers say so.
    while let Ok((stream, _)) = listener.accept().await {
        let objects = objects.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&objects, request.uri().path());
                async move { Ok::<_, Infallible>(response) }
            });
            // A connection that breaks is the proxy's to report.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(objects: &HashMap<String, Bytes>, path: &str) -> Response<Full<Bytes>> {
    let Some(object) = objects.get(path) else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Full::new(object.clone()));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(object::CACHE_CONTROL));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(object::CONTENT_TYPE));
    response
}
