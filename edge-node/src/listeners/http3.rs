//! HTTP/3 over QUIC (RFC 9114): one endpoint per listener, one task per connection, with all its requests, so that a
//! panic in a young library costs one connection.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use h3::error::Code;
use h3::proto::frame::Frame as QuicFrame;
use h3::server::{RequestResolver, RequestStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderValue, Method, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::time::{sleep, timeout};

use super::config::ConnectionConfig;
use super::connection::{Entry, Shared};
use super::date;
use super::expectation::Expectation;
use super::rules::Rule;
use super::sections::qpack;
use super::taking::Taking;
use super::tls::{Current, Tls};
use crate::answer::Answer;
use crate::client::{Client, Transport};
use crate::headers::has_connection_fields;
use crate::hints::Hints;

/// Between two attempts to have the port, which the process before may still hold.
const BIND_AGAIN: Duration = Duration::from_secs(1);
/// Streams that only the protocol itself uses: control, QPACK, and some to spare.
const UNI_STREAMS: u32 = 16;
/// For the last bytes of a draining connection to arrive.
const LAST_BYTES: Duration = Duration::from_secs(2);
/// Requests of a connection that may come to nothing before that counts as a flood.
const MAX_VAIN: u32 = 500;

/// At least and at most so much of an answer is waited for at once, bytes.
const PIECE: (usize, usize) = (4 << 10, 64 << 10);

/// The section of a request that stands in the place of one that is refused: `GET https://refused.invalid/`.
const REFUSED: &[u8] = b"\0\0\xd1\xd7\xc1\x50\x0frefused.invalid";

type Resolver = RequestResolver<h3_quinn::Connection, Bytes>;
type Receiving = RequestStream<h3_quinn::RecvStream, Bytes>;
type Sending = RequestStream<h3_quinn::SendStream<Bytes>, Bytes>;

/// Binds the UDP port, at once if it is free.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Serves until draining begins and all connections have ended. Without a socket, waits until the port is free.
pub async fn run(
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    tls: Arc<Tls>,
    address: SocketAddr,
    socket: Option<UdpSocket>,
) {
    let socket = match socket {
        Some(socket) => socket,
        None => loop {
            if let Ok(socket) = bind(address) {
                break socket;
            }
            tokio::select! {
                () = sleep(BIND_AGAIN) => {}
                () = shared.drain.cancelled() => return,
            }
        },
    };
    let mut current = tls.current();
    let config = match server_config(&shared, &current) {
        Ok(config) => config,
        Err(error) => return tracing::error!(%error, "HTTP/3 cannot be served"),
    };
    let endpoint = match Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime)) {
        Ok(endpoint) => endpoint,
        Err(error) => return tracing::error!(%error, "HTTP/3 cannot be served"),
    };
    loop {
        let incoming = tokio::select! {
            biased;
            () = shared.drain.cancelled() => break,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        // A new certificate holds from the next connection on.
        let now = tls.current();
        if !Arc::ptr_eq(&current, &now) {
            match server_config(&shared, &now) {
                Ok(config) => {
                    endpoint.set_server_config(Some(config));
                    current = now;
                }
                Err(error) => tracing::error!(%error, "HTTP/3 goes on with the certificates before"),
            }
        }
        // RFC 9000 §8.1.2: when it is busy, the node wants to see that the address is the client's own.
        if shared.connections.is_busy() && !incoming.remote_address_validated() {
            // One that has been validated already cannot be asked again, and has just been seen not to be.
            let _ = incoming.retry();
            continue;
        }
        let connection = connection(shared.clone(), entry.clone(), tls.clone(), current.clone(), incoming);
        shared.tasks.spawn(connection);
    }
    tokio::select! {
        () = endpoint.wait_idle() => {}
        () = shared.kill.cancelled() => endpoint.close(Code::H3_NO_ERROR.value().try_into().unwrap_or_default(), b""),
    }
}

fn server_config(
    shared: &Shared,
    current: &Current,
) -> Result<ServerConfig, quinn::crypto::rustls::NoInitialCipherSuite> {
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(current.quic.clone())?));
    let mut transport = TransportConfig::default();
    let idle = VarInt::try_from(shared.config.idle_timeout_ms).unwrap_or(VarInt::MAX);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(shared.config.streams))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .max_idle_timeout(Some(IdleTimeout::from(idle)))
        .stream_receive_window(VarInt::from_u32(256 << 10))
        .receive_window(VarInt::from_u32(1 << 20))
        .send_window(1 << 20)
        .datagram_receive_buffer_size(None);
    config.transport_config(Arc::new(transport));
    Ok(config)
}

async fn connection(shared: Arc<Shared>, entry: Arc<Entry>, tls: Arc<Tls>, current: Arc<Current>, incoming: Incoming) {
    let address = incoming.remote_address().ip();
    let Some(_place) = shared.connections.admit(address) else {
        tracing::debug!(client = %address, rule = "connections-limit", "connection refused");
        return incoming.refuse();
    };
    let head = Duration::from_millis(shared.config.header_timeout_ms);
    let handshake = async {
        let quic = incoming.accept()?.await?;
        Ok::<_, quinn::ConnectionError>(quic)
    };
    let quic = match timeout(head, handshake).await {
        Ok(Ok(quic)) => quic,
        Ok(Err(error)) => return tracing::debug!(client = %address, %error, "connection refused"),
        Err(_) => return tracing::debug!(client = %address, rule = "handshake-timeout", "connection refused"),
    };
    let agreed = quic.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let peer = quic.peer_identity().and_then(|peer| peer.downcast::<Vec<CertificateDer<'static>>>().ok());
    let sni = agreed.as_ref().and_then(|agreed| agreed.server_name.as_deref());
    let facts = tls.quic_facts(&current, sni, peer.as_ref().map(|peer| peer.as_slice()));
    let transport = Transport { tls: Some(facts), ..entry.transport.clone() };
    let client = Arc::new(Client::new(address, transport, shared.load.clone()));
    tokio::select! {
        () = requests(&shared, quic, &client) => {}
        () = shared.kill.cancelled() => {}
    }
}

async fn requests(shared: &Shared, quic: quinn::Connection, client: &Arc<Client>) {
    let mut builder = h3::server::builder();
    builder.max_field_section_size(shared.config.header_bytes.into());
    let mut connection = match builder.build::<_, Bytes>(h3_quinn::Connection::new(quic.clone())).await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(client = %client.address, %error, "connection ended"),
    };
    let drain = shared.drain.clone();
    let (mut under_way, mut ending, mut vain) = (FuturesUnordered::new(), false, 0u32);
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Ok(Some(resolver)) => under_way.push(request(shared, client, resolver)),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(client = %client.address, %error, "connection ended");
                    // Requests end with their connection.
                    return;
                }
            },
            Some(answered) = under_way.next(), if !under_way.is_empty() => {
                vain = if answered { vain / 2 } else { vain + 1 };
                if vain > MAX_VAIN {
                    tracing::info!(client = %client.address, rule = "http3-reset-flood", "connection refused");
                    let code = Code::H3_EXCESSIVE_LOAD.value().try_into().unwrap_or_default();
                    return quic.close(code, b"too many requests come to nothing");
                }
            }
            () = drain.cancelled(), if !ending => {
                ending = true;
                // GOAWAY: what is under way is answered, what comes later is not.
                if connection.shutdown(0).await.is_err() {
                    return;
                }
            }
        }
        if ending && under_way.is_empty() {
            break;
        }
    }
    while under_way.next().await.is_some() {}
    // What was sent last is on its way, and dropping the connection would cut it off: the client closes when it has all,
    // or time does.
    let _ = timeout(LAST_BYTES, quic.closed()).await;
}

/// What there is to say of a request's head beside h3, which answers one that is too large itself, lets pseudo-fields come twice
/// or late, and cuts a path at a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Nothing, or h3 says it.
    Good,
    TooLarge,
    Malformed,
    Fragment,
}

impl Head {
    fn of(section: &[u8], limit: u32) -> Self {
        match qpack::read(section) {
            Ok(read) if read.size > u64::from(limit) => Self::TooLarge,
            Ok(read) if !read.is_head() => Self::Malformed,
            Ok(read) if read.has_fragment => Self::Fragment,
            _ => Self::Good,
        }
    }

    /// Why it is refused with an answer.
    fn refusal(self) -> Option<Rule> {
        match self {
            Self::TooLarge => Some(Rule::HeadTooLarge),
            Self::Fragment => Some(Rule::RequestLine),
            Self::Good | Self::Malformed => None,
        }
    }
}

/// Answers one request. Says whether it came to an answer.
async fn request(shared: &Shared, client: &Arc<Client>, mut resolver: Resolver) -> bool {
    let head = Duration::from_millis(shared.config.header_timeout_ms);
    let Ok(frame) = timeout(head, poll_fn(|cx| resolver.frame_stream.poll_next(cx))).await else { return false };
    let (frame, head) = match frame {
        Ok(Some(QuicFrame::Headers(section))) => {
            let head = Head::of(&section, shared.config.header_bytes);
            let section = if head == Head::TooLarge { Bytes::from_static(REFUSED) } else { section };
            (Ok(Some(QuicFrame::Headers(section))), head)
        }
        other => (other, Head::Good),
    };
    // One that h3 finds malformed resets its stream, or the connection.
    let Ok(resolved) = resolver.accept_with_frame(frame) else { return false };
    let Ok((request, stream)) = resolved.resolve().await else { return false };
    let (mut sending, receiving) = stream.split();
    let (parts, ()) = request.into_parts();
    let length = parts.headers.get(CONTENT_LENGTH).map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    let (expects, refusal) = match (head.refusal(), Expectation::of(&parts.headers)) {
        (None, Ok(expects)) => (expects, None),
        (None, Err(rule)) => (None, Some(rule)),
        (Some(rule), _) => {
            tracing::info!(client = %client.address, rule = rule.code(), "request refused");
            (None, Some(rule))
        }
    };
    let body = match length {
        // RFC 9114 §4.1.2, §4.2, §4.3: malformed.
        _ if head == Head::Malformed || has_connection_fields(&parts.headers) => {
            sending.stop_stream(Code::H3_MESSAGE_ERROR);
            return false;
        }
        Some(None) => {
            sending.stop_stream(Code::H3_MESSAGE_ERROR);
            return false;
        }
        None if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) => RequestBody::Empty,
        Some(Some(0)) => RequestBody::Empty,
        Some(Some(length)) => RequestBody::stream(receiving, Some(length), &expects),
        None => RequestBody::stream(receiving, None, &expects),
    };
    let is_head = parts.method == Method::HEAD;
    let hints = Hints::wanted(&parts.method, parts.version, &parts.headers);
    let mut request = Request::from_parts(parts, body);
    if let Some(hints) = &hints {
        request.extensions_mut().insert(hints.clone());
    }
    let patience = Duration::from_millis(shared.config.write_timeout_ms);
    let piece = piece(&shared.config);
    let answer = shared.service.answer(request, client, refusal);
    let response = match (&hints, &expects) {
        (None, None) => answer.await,
        _ => after_interims(&mut sending, hints.as_ref(), expects.as_ref(), answer, patience).await,
    };
    let taking = Taking::new(&shared.config);
    match send(&mut sending, response, is_head, client, taking, piece).await {
        Ok(()) => true,
        Err(code) => {
            sending.stop_stream(code);
            false
        }
    }
}

/// Sends interim answers until the answer is there.
async fn after_interims<A>(
    stream: &mut Sending,
    hints: Option<&Hints>,
    mut expects: Option<&Expectation>,
    answer: impl Future<Output = A>,
    patience: Duration,
) -> A {
    let mut answer = pin!(answer);
    loop {
        let interim = poll_fn(|cx| {
            if let Some(Poll::Ready(interim)) = expects.map(|expects| expects.poll_wanted(cx)) {
                expects = None;
                return Poll::Ready(Some(interim));
            }
            hints.map_or(Poll::Pending, |hints| hints.poll_next(cx))
        });
        tokio::select! {
            biased;
            answer = answer.as_mut() => return answer,
            Some(interim) = interim => {
                // What hinders it hinders the answer too, which has its own way to say so.
                let _ = timeout(patience, stream.send_response(interim)).await;
            }
        }
    }
}

/// What a client has to take of an answer within the time for that, bytes.
fn piece(config: &ConnectionConfig) -> usize {
    let least = u64::from(config.min_rate).saturating_mul(config.write_timeout_ms) / 1000;
    usize::try_from(least).unwrap_or(usize::MAX).clamp(PIECE.0, PIECE.1)
}

async fn send(
    stream: &mut Sending,
    response: Response<Answer>,
    is_head: bool,
    client: &Client,
    mut taking: Taking,
    piece: usize,
) -> Result<(), Code> {
    let (mut parts, mut body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
        && !is_head
        && !parts.headers.contains_key(CONTENT_LENGTH)
        && !matches!(parts.status.as_u16(), 204 | 304)
    {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    parts.headers.entry(DATE).or_insert_with(date::now);
    let late = || {
        tracing::info!(client = %client.address, rule = "stream-stalled", "stream given up");
        Code::H3_REQUEST_CANCELLED
    };
    let gone = |_| Code::H3_REQUEST_CANCELLED;
    let head = stream.send_response(Response::from_parts(parts, ()));
    taking.wait(client, head).await.ok_or_else(late)?.map_err(gone)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Code::H3_INTERNAL_ERROR)?;
        match frame.into_data() {
            Ok(mut data) => {
                while !data.is_empty() {
                    let next = data.split_to(piece.min(data.len()));
                    let length = next.len();
                    taking.wait(client, stream.send_data(next)).await.ok_or_else(late)?.map_err(gone)?;
                    taking.sent(length, client);
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    taking.wait(client, stream.send_trailers(trailers)).await.ok_or_else(late)?.map_err(gone)?;
                }
            }
        }
    }
    taking.wait(client, stream.finish()).await.ok_or_else(late)?.map_err(gone)
}

/// The body of a request.
enum RequestBody {
    Empty,
    Stream {
        stream: Box<Receiving>,
        length: Option<u64>,
        /// The client sends it when it is told to.
        expects: Option<Expectation>,
    },
}

impl RequestBody {
    fn stream(stream: Receiving, length: Option<u64>, expects: &Option<Expectation>) -> Self {
        Self::Stream { stream: Box::new(stream), length, expects: expects.clone() }
    }
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
enum RequestBodyError {
    #[error(transparent)]
    Stream(#[from] h3::error::StreamError),
    /// RFC 9114 §4.1.2.
    #[error("the body is not as long as Content-Length says")]
    Length,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Self::Stream { stream, length, expects } = &mut *self else { return Poll::Ready(None) };
        let data = stream.poll_recv_data(cx);
        // A client that sends already need not be told.
        if let Some(expects) = expects.take()
            && data.is_pending()
        {
            expects.want();
        }
        let item = match std::task::ready!(data) {
            Ok(Some(mut data)) => Some(Ok(data.copy_to_bytes(data.remaining()))),
            Ok(None) => None,
            Err(error) => Some(Err(error.into())),
        };
        let item = match (item, length) {
            (Some(Ok(data)), Some(left)) => match left.checked_sub(data.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    Some(Ok(data))
                }
                None => Some(Err(RequestBodyError::Length)),
            },
            (None, Some(1..)) => Some(Err(RequestBodyError::Length)),
            (item, _) => item,
        };
        Poll::Ready(item.map(|item| item.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream { length, .. } => length.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
