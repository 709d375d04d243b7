//! How many connections an origin that speaks HTTP/2 gets.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atoll_protocol::config::{ProxyProtocol, ProxySettings};
use atoll_runtime::Engine;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Semaphore;

use crate::origins::{open, proxy, raw_origin, settings, whole};
use crate::support::{eventually, get};

/// An origin that takes two requests of an HTTP/2 connection at once gets another connection for more. When there are as
/// many as there may be, requests wait.
pub async fn opens_as_the_origin_takes_requests(engine: Engine) {
    let (free, asked) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
    let opened = Arc::new(AtomicUsize::new(0));
    let (go, counted, connections) = (free.clone(), asked.clone(), opened.clone());
    let address = raw_origin(move |stream, _| {
        let (go, counted) = (go.clone(), counted.clone());
        connections.fetch_add(1, Ordering::SeqCst);
        let service = service_fn(move |_: Request<Incoming>| {
            let (go, counted) = (go.clone(), counted.clone());
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                go.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(whole("done")))
            }
        });
        async move {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // The node closes it when it ends.
            let _ = builder.max_concurrent_streams(2).serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    let mut config = open();
    config.egress.origin_connections = 2;
    let h2 = ProxySettings { protocol: ProxyProtocol::Http2, ..settings(address) };
    let node = Arc::new(proxy(config, &engine, h2).await);
    assert_eq!(get(&node, "p", "/").await.body, "done");
    let answers: Vec<_> = (0..5)
        .map(|_| {
            let node = node.clone();
            tokio::spawn(async move { get(&node, "p", "/").await })
        })
        .collect();
    eventually("four are under way", async || asked.load(Ordering::SeqCst) == 5).await;
    assert_eq!(opened.load(Ordering::SeqCst), 2);
    free.add_permits(5);
    for answer in answers {
        assert_eq!(answer.await.unwrap().body, "done");
    }
    assert_eq!((asked.load(Ordering::SeqCst), opened.load(Ordering::SeqCst)), (6, 2));
}
