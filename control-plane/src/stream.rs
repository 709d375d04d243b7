//! Answers without an end: one line after another, until the client goes or the control plane closes.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many lines, or pieces of several, wait for the connection.
const QUEUE: usize = 16;

/// Lines that are sent at once are handed to the connection in pieces of this size, bytes.
const CHUNK: usize = 32 << 10;

/// How long a client may read nothing at all while lines wait for it.
const STALL: Duration = Duration::from_secs(60);

/// Where a stream's lines go.
pub(crate) struct Lines {
    sender: mpsc::Sender<Bytes>,
    closing: CancellationToken,
}

/// The stream is at its end: the client is gone or stuck, or the control plane closes.
pub(crate) struct Ended;

/// A stream's writing end, and the answer that carries it. It ends when `closing` is cancelled.
pub(crate) fn open(closing: CancellationToken) -> (Lines, Response) {
    let (sender, receiver) = mpsc::channel::<Bytes>(QUEUE);
    let lines = futures::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|line| (Ok::<_, std::convert::Infallible>(line), receiver))
    });
    let mut response = Response::new(Body::from_stream(lines));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (Lines { sender, closing }, response)
}

impl Lines {
    /// Sends a value as one line of JSON.
    pub(crate) async fn send(&self, value: &impl serde::Serialize) -> Result<(), Ended> {
        let mut line = serde_json::to_vec(value).map_err(|_| Ended)?;
        line.push(b'\n');
        self.send_bytes(line.into()).await
    }

    /// Sends values as one line of JSON each, many of them at once.
    pub(crate) async fn send_all(&self, values: &[impl serde::Serialize]) -> Result<(), Ended> {
        let mut lines = Vec::new();
        for value in values {
            serde_json::to_writer(&mut lines, value).map_err(|_| Ended)?;
            lines.push(b'\n');
            if lines.len() >= CHUNK {
                self.send_bytes(std::mem::take(&mut lines).into()).await?;
            }
        }
        if lines.is_empty() { Ok(()) } else { self.send_bytes(lines.into()).await }
    }

    /// Sends an empty line, which says only that the stream is there.
    pub(crate) async fn keep_alive(&self) -> Result<(), Ended> {
        self.send_bytes(Bytes::from_static(b"\n")).await
    }

    async fn send_bytes(&self, line: Bytes) -> Result<(), Ended> {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Err(Ended),
            sent = self.sender.send_timeout(line, STALL) => sent.map_err(|_| Ended),
        }
    }

    /// Waits until the client is gone or the control plane closes.
    pub(crate) async fn ended(&self) {
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = self.sender.closed() => {}
        }
    }
}
