//! One request over HTTP/2, from its head to the end of its answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, DATE, TE};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as HttpBody;

use super::body::RequestBody;
use super::tunnel::{Tunnel, TunnelOnAnswer};
use super::windows::BytesRead;
use crate::answer::Answer;
use crate::client::Client;
use crate::headers::remove_hop_by_hop;
use crate::hints::Hints;
use crate::listeners::date;
use crate::listeners::expectation::Expectation;
use crate::listeners::rules::Rule;
use crate::listeners::taking::Taking;
use crate::service::Service;

/// What a stream claims of its connection's window at once, bytes.
const PIECE: usize = 256 << 10;

/// Why an answer cannot be sent on.
enum Broken {
    /// The client has reset the stream, or the connection is gone.
    Gone,
    /// The client takes nothing.
    Stalled,
    /// The answer broke off.
    Answer,
}

impl From<h2::Error> for Broken {
    fn from(_: h2::Error) -> Self {
        Self::Gone
    }
}

/// Answers one request. A client that takes too little of the answer has its stream reset (RFC 9113 §10.5): its windows
/// are closed, so nothing shows on the socket.
pub async fn answer(
    service: Arc<Service>,
    client: Arc<Client>,
    read: Option<BytesRead>,
    taking: Taking,
    refusal: Option<Rule>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (mut parts, stream) = request.into_parts();
    let hints = Hints::wanted(&parts.method, parts.version, &parts.headers);
    if let Some(hints) = &hints {
        parts.extensions.insert(hints.clone());
    }
    let (mut expects, refusal) = match (refusal, Expectation::of(&parts.headers)) {
        (None, Ok(expects)) => (expects, None),
        (None, Err(rule)) | (Some(rule), _) => (None, Some(rule)),
    };
    let (body, tunnel) = if parts.method == Method::CONNECT {
        let (taker, tunnel) = TunnelOnAnswer::pair();
        parts.extensions.insert(taker);
        (RequestBody::empty(), Some((tunnel, stream)))
    } else {
        (RequestBody::new(stream, &parts.headers, expects.clone(), read), None)
    };
    let rest = body.rest();
    let give_up = || {
        if let Some(rest) = &rest {
            rest.give_up();
        }
    };
    let response = {
        let mut answer = pin!(service.answer(Request::from_parts(parts, body), &client, refusal));
        poll_fn(|cx| {
            if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(response));
            }
            if let Some(hints) = &hints {
                while let Poll::Ready(Some(interim)) = hints.poll_next(cx) {
                    // What hinders it hinders the answer too, which has its own way to say so.
                    let _ = respond.send_informational(interim);
                }
            }
            if let Some(Poll::Ready(interim)) = expects.as_ref().map(|expects| expects.poll_wanted(cx)) {
                expects = None;
                let _ = respond.send_informational(interim);
            }
            // Dropping the request tells the app.
            respond.poll_reset(cx).map(|_| None)
        })
        .await
    };
    let Some(response) = response else { return give_up() };
    let (mut parts, body) = response.into_parts();
    // RFC 9113 §8.2.2.
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.remove(TE);
    parts.headers.entry(DATE).or_insert_with(date::now);
    if let Some((tunnel, from)) = tunnel.filter(|_| parts.status.is_success()) {
        if let Ok(to) = respond.send_response(Response::from_parts(parts, ()), false) {
            tunnel.set(Tunnel::new(from, to));
        }
        return;
    }
    let ends = body.is_end_stream();
    if !ends && let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    let mut to = match respond.send_response(Response::from_parts(parts, ()), ends) {
        Ok(to) => to,
        // The answer's head is nothing that HTTP/2 can carry, or the client is gone.
        Err(_) => return respond.send_reset(Reason::INTERNAL_ERROR),
    };
    if ends {
        return;
    }
    match send(&mut to, body, taking, &client).await {
        Ok(()) => {}
        Err(Broken::Gone) => give_up(),
        Err(Broken::Answer) => to.send_reset(Reason::INTERNAL_ERROR),
        Err(Broken::Stalled) => {
            tracing::info!(client = %client.address, rule = "stream-stalled", "stream given up");
            to.send_reset(Reason::CANCEL);
        }
    }
}

async fn send(to: &mut SendStream<Bytes>, mut body: Answer, mut taking: Taking, client: &Client) -> Result<(), Broken> {
    loop {
        let frame = poll_fn(|cx| {
            if to.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Broken::Gone));
            }
            Pin::new(&mut body).poll_frame(cx).map(Ok)
        });
        let frame = match frame.await? {
            Some(frame) => frame.map_err(|_| Broken::Answer)?,
            None => return Ok(to.send_data(Bytes::new(), true)?),
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send_data(to, data, last, &mut taking, client).await?;
                if last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Ok(to.send_trailers(trailers)?);
                }
            }
        }
    }
}

async fn send_data(
    to: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
    taking: &mut Taking,
    client: &Client,
) -> Result<(), Broken> {
    if data.is_empty() {
        return Ok(to.send_data(data, last)?);
    }
    while !data.is_empty() {
        // No more than is there: what a stream claims and does not use, others lack.
        to.reserve_capacity(data.len().min(PIECE));
        while to.capacity() == 0 {
            let room = poll_fn(|cx| {
                if to.poll_reset(cx).is_ready() {
                    return Poll::Ready(None);
                }
                to.poll_capacity(cx)
            });
            taking.wait(client, room).await.ok_or(Broken::Stalled)?.ok_or(Broken::Gone)??;
        }
        let piece = data.split_to(to.capacity().min(data.len()));
        taking.sent(piece.len(), client);
        to.send_data(piece, last && data.is_empty())?;
    }
    Ok(())
}
