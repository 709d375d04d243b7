//! HTTP/2 (RFC 9113): frames are h2's business, requests that of the connection's task, which answers those that need not
//! wait, all that have come before anything is sent; each of the others goes on in a task of its own.

mod body;
mod coalesced;
mod stream;
mod tunnel;
mod windows;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;
use tokio::time::sleep;

use self::coalesced::Coalesced;
pub use self::tunnel::{Tunnel, TunnelOnAnswer};
use self::windows::{STREAM_WINDOW, STREAMS, Windows};
use super::connection::Shared;
use super::guard::Guard;
use super::heads;
use super::taking::Taking;
use crate::client::Client;

/// What waits to be sent on a stream at most, bytes.
const SEND_BUFFER: usize = 400 << 10;
/// Requests that are taken at once.
const BATCH: usize = 64;

type Io = Coalesced<Guard>;
type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

/// Why a connection broke off.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a ping was not answered")]
    Ping,
}

/// Serves a connection to its end.
pub async fn serve(shared: &Shared, stream: Guard, client: &Arc<Client>) {
    let config = &shared.config;
    let mut builder = Builder::new();
    builder
        // What is larger than a head may be is refused as over HTTP/1, and so h2 has to take it first.
        .max_header_list_size(heads::most(config.header_bytes))
        .max_concurrent_streams(config.streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * STREAMS)
        .max_send_buffer_size(SEND_BUFFER)
        // WebSockets over HTTP/2 (RFC 8441).
        .enable_connect_protocol();
    match requests(shared, &builder, Coalesced::new(stream, config.header_bytes), client).await {
        Ok(()) => {}
        Err(Lost::Ping) => tracing::debug!(client = %client.address, rule = "ping-timeout", "connection given up"),
        Err(error) => tracing::debug!(client = %client.address, %error, "connection ended"),
    }
}

async fn requests(shared: &Shared, builder: &Builder, io: Io, client: &Arc<Client>) -> Result<(), Lost> {
    let mut handshake = pin!(builder.handshake(io.clone()));
    let mut connection: Connection<Io, Bytes> = tokio::select! {
        connection = poll_fn(|cx| written(&io, handshake.as_mut().poll(cx), cx)) => connection?,
        () = shared.kill.cancelled() => return Ok(()),
    };
    let mut windows = Windows::new(connection.ping_pong(), shared.load.clone());
    let idle = shared.config.idle_timeout_ms;
    let mut idle_check = pin!(sleep(Duration::from_millis(idle)));
    let (mut batch, mut ending, mut asked) = (Vec::new(), false, false);
    loop {
        let going_on = tokio::select! {
            biased;
            taken = poll_fn(|cx| {
                let taken = take(&mut connection, &mut batch, cx);
                if taken.is_pending() && windows.poll(&mut connection, client.is_idle(), cx).is_ready() {
                    return Poll::Ready(Err(Lost::Ping));
                }
                written(&io, taken, cx)
            }) => taken?,
            () = shared.drain.cancelled(), if !ending => {
                ending = true;
                // GOAWAY tells the client which requests are still answered.
                connection.graceful_shutdown();
                true
            }
            () = shared.kill.cancelled() => return Ok(()),
            () = idle_check.as_mut(), if !ending => {
                let left = idle.saturating_sub(client.idle_ms());
                if left > 0 {
                    idle_check.set(sleep(Duration::from_millis(left)));
                } else if asked {
                    ending = true;
                    connection.graceful_shutdown();
                } else {
                    // A connection without a request has nothing to finish.
                    return Ok(());
                }
                true
            }
        };
        asked |= !batch.is_empty();
        for (request, respond) in batch.drain(..) {
            // Most requests have no body.
            let read = (!request.body().is_end_stream()).then(|| windows.read().clone());
            let taking = Taking::new(&shared.config);
            let refusal = client.refusal_of_stream(request.body().stream_id().as_u32());
            let answer =
                stream::answer(shared.service.clone(), client.clone(), read, taking, refusal, request, respond);
            // It is some KiB, and would be moved into its task.
            let mut answer = Box::pin(answer);
            if poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await.is_pending() {
                tokio::spawn(answer);
            }
        }
        if !going_on {
            return Ok(());
        }
    }
}

/// Takes the requests that are there. Whether there can be more.
fn take(
    connection: &mut Connection<Io, Bytes>,
    batch: &mut Vec<Incoming>,
    cx: &mut Context<'_>,
) -> Poll<Result<bool, h2::Error>> {
    while batch.len() < BATCH {
        match pin!(connection.accept()).poll(cx) {
            Poll::Ready(Some(Ok(incoming))) => batch.push(incoming),
            // What has been taken can no more be answered.
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(None) => return Poll::Ready(Ok(false)),
            Poll::Pending if batch.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(true))
}

/// Where h2 can go no further, sends what it has written.
fn written<T>(io: &Io, polled: Poll<Result<T, h2::Error>>, cx: &mut Context<'_>) -> Poll<Result<T, Lost>> {
    match polled {
        Poll::Ready(result) => Poll::Ready(result.map_err(Lost::from)),
        Poll::Pending => match io.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            _ => Poll::Pending,
        },
    }
}
