use std::collections::HashSet;

use atoll_runtime::{Body as Content, BodyError, Trailers};
use futures::{StreamExt, stream};
use h2::server::{Connection as Server, SendResponse};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::body::Outgoing;
use crate::egress::pace::Progress;

/// A connection and the origin at its other end.
async fn connected() -> (Http2, Server<DuplexStream, Bytes>) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (opened, origin) = tokio::join!(Http2::open(near), h2::server::handshake(far));
    let (connection, running) = opened.unwrap();
    tokio::spawn(running);
    (connection, origin.unwrap())
}

fn slot(connection: &Http2) -> Slot {
    connection.slot().expect("it takes a request")
}

fn request(method: Method, body: Content) -> Request<Sending> {
    let mut request = Request::new(Sending::new(Outgoing::new(body), Progress::new()));
    (*request.method_mut(), *request.uri_mut()) = (method, "http://origin.example/".parse().unwrap());
    request
}

async fn send(slot: Slot, method: Method, body: Content) -> Result<Response<Arriving>, Box<Broken>> {
    slot.send(request(method, body), None).await
}

async fn ask(slot: Slot) -> Result<Response<Arriving>, Box<Broken>> {
    send(slot, Method::GET, Content::Empty).await
}

/// The next request, with the origin's connection running on.
async fn accepted(mut origin: Server<DuplexStream, Bytes>) -> (Request<RecvStream>, SendResponse<Bytes>) {
    let taken = origin.accept().await.unwrap().unwrap();
    tokio::spawn(async move { while origin.accept().await.is_some() {} });
    taken
}

fn answer(length: Option<u64>) -> Response<()> {
    let mut answer = Response::new(());
    answer.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
    answer
}

#[tokio::test]
async fn what_an_origin_takes_back_is_not_the_whole() {
    // Before the end, and after all that was announced; a length that is not said leaves that open.
    for (length, reason, whole) in [
        (None, Reason::CANCEL, false),
        (Some(9), Reason::CANCEL, false),
        (Some(9), Reason::NO_ERROR, false),
        (Some(4), Reason::CANCEL, true),
        (Some(4), Reason::NO_ERROR, true),
    ] {
        let (connection, origin) = connected().await;
        let origin = async {
            let (_request, mut respond) = accepted(origin).await;
            let mut body = respond.send_response(answer(length), false).unwrap();
            body.send_data("four".into(), false).unwrap();
            body
        };
        let (answered, mut sent) = tokio::join!(ask(slot(&connection)), origin);
        let mut body = answered.ok().unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "four");
        sent.send_reset(reason);
        assert_eq!(body.frame().await.is_none(), whole, "{length:?}, {reason:?}");
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn what_is_given_up_is_reset() {
    let (connection, origin) = connected().await;
    let never = Content::Stream { stream: stream::pending().boxed(), length: None, trailers: Trailers::default() };
    let origin = async {
        let (request, mut respond) = accepted(origin).await;
        (request, respond.send_response(answer(None), false).unwrap())
    };
    let (answered, (_request, mut body)) = tokio::join!(send(slot(&connection), Method::POST, never), origin);
    drop(answered.ok().unwrap());
    let reason = poll_fn(|cx| body.poll_reset(cx)).await.unwrap();
    assert_eq!(reason, Reason::CANCEL);
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn a_body_that_fails_is_not_the_origins_fault() {
    let (connection, origin) = connected().await;
    let parts = stream::iter([Ok("part".into()), Err(BodyError::Closed)]);
    let broken = Content::Stream { stream: parts.boxed(), length: None, trailers: Trailers::default() };
    let (answered, _taken) = tokio::join!(send(slot(&connection), Method::POST, broken), accepted(origin));
    let broken = answered.err().unwrap();
    assert!(matches!(broken.failure, Failure::Body) && !broken.failure.is_origins());
    assert_eq!((broken.lost, broken.unsent.is_none()), (Lost::Otherwise, true));
}

#[tokio::test]
async fn a_connection_that_shuts_down_refuses_what_it_does_not_answer() {
    let (connection, mut origin) = connected().await;
    let refused = async {
        let (_, mut respond) = origin.accept().await.unwrap().unwrap();
        respond.send_reset(Reason::REFUSED_STREAM);
        origin.abrupt_shutdown(Reason::NO_ERROR);
        while origin.accept().await.is_some() {}
    };
    let other = slot(&connection);
    let (answered, ()) = tokio::join!(ask(slot(&connection)), refused);
    assert_eq!(answered.err().unwrap().lost, Lost::Unanswered);
    let broken = send(other, Method::POST, Content::Full("four".into())).await.err().unwrap();
    assert!(broken.lost == Lost::Unsent && connection.is_closed());
    let unsent = broken.unsent.unwrap().into_body();
    assert_eq!(unsent.collect().await.unwrap().to_bytes(), "four");
    assert!(connection.slot().is_none());
}

#[tokio::test]
async fn what_is_not_read_of_some_answers_keeps_no_other_waiting() {
    let (connection, mut origin) = connected().await;
    tokio::spawn(async move {
        // Each but the last has more to send than its window takes.
        let more = Bytes::from(vec![0; WINDOW as usize + 1]);
        let mut sending = Vec::new();
        while let Some(Ok((asked, mut respond))) = origin.accept().await {
            let mut body = respond.send_response(answer(None), false).unwrap();
            let last = asked.method() == Method::DELETE;
            let content = if last { "last".into() } else { more.clone() };
            body.send_data(content, last).unwrap();
            sending.push((asked, body));
        }
    });
    let mut unread = Vec::new();
    for _ in 0..20 {
        unread.push(ask(slot(&connection)).await.ok().unwrap().into_body());
    }
    let last = send(slot(&connection), Method::DELETE, Content::Empty).await.ok().unwrap();
    assert_eq!(last.into_body().collect().await.unwrap().to_bytes(), "last");
    assert_eq!(connection.load(), unread.len());
    // Each of the others has had room for all its window.
    for mut body in unread {
        let mut left = WINDOW as usize;
        while left > 0 {
            left = left.saturating_sub(body.frame().await.unwrap().unwrap().into_data().unwrap().len());
        }
    }
}

#[tokio::test]
async fn a_connection_carries_as_many_requests_as_the_origin_takes() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut builder = h2::server::Builder::new();
    let (opened, origin) =
        tokio::join!(Http2::open(near), builder.max_concurrent_streams(2).handshake::<_, Bytes>(far));
    let (connection, running) = opened.unwrap();
    tokio::spawn(running);
    let mut origin = origin.unwrap();
    let (told, mut asked) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(Ok((_, respond))) = origin.accept().await {
            told.send(respond).await.unwrap();
        }
    });
    let answered = |mut respond: SendResponse<Bytes>| respond.send_response(answer(None), true).unwrap();
    // What it takes is known by the time it has answered something.
    let first = async { answered(asked.recv().await.unwrap()) };
    let (first, _) = tokio::join!(ask(slot(&connection)), first);
    drop(first.ok().unwrap());
    let two = [slot(&connection), slot(&connection)];
    assert!(connection.slot().is_none());
    let crowded = connection.crowded_slot();
    assert_eq!(connection.load(), 3);
    let [one, other] = two.map(|slot| tokio::spawn(ask(slot)));
    let (one_asked, other_asked) = (asked.recv().await.unwrap(), asked.recv().await.unwrap());
    let mut waits = tokio::spawn(ask(crowded));
    answered(one_asked);
    let third = async { answered(asked.recv().await.unwrap()) };
    let (third, _) = tokio::join!(&mut waits, third);
    answered(other_asked);
    for answer in [one.await, other.await, third] {
        assert_eq!(answer.unwrap().ok().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(connection.load(), 0);
    assert!(connection.slot().is_some());
}

fn frame(kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [[0, 0, length, kind, flags].as_slice(), stream.as_slice(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING_FRAME: u8 = 6;
/// Of headers that they are whole, of settings and pings that they answer.
const END: u8 = 4;
const ACK: u8 = 1;
/// `:status: 200`.
const OK: &[u8] = &[0x88];

/// An origin frame by frame: `answer` says what to send for each that is no acknowledgement, by its kind, stream and
/// payload.
async fn frames(mut far: DuplexStream, mut answer: impl FnMut(u8, [u8; 4], &[u8]) -> Vec<u8>) {
    far.read_exact(&mut [0; 24]).await.unwrap();
    far.write_all(&frame(SETTINGS, 0, [0; 4], &[])).await.unwrap();
    let mut head = [0; 9];
    while far.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        far.read_exact(&mut payload).await.unwrap();
        let sent = match (head[3], head[4] & ACK) {
            (SETTINGS, 0) => frame(SETTINGS, ACK, [0; 4], &[]),
            (SETTINGS | PING_FRAME, _) if head[4] & ACK > 0 => continue,
            (kind, _) => answer(kind, [head[5], head[6], head[7], head[8]], &payload),
        };
        if far.write_all(&sent).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn what_was_on_its_way_for_requests_given_up_ends_no_connection() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let mut given_up = HashSet::new();
    tokio::spawn(frames(far, move |kind, stream, _| match kind {
        HEADERS => frame(HEADERS, END, stream, OK),
        // It was on its way by then, once.
        RST_STREAM if given_up.insert(stream) => frame(DATA, 0, stream, b"late"),
        _ => Vec::new(),
    }));
    let (connection, running) = Http2::open(near).await.unwrap();
    let running = tokio::spawn(running);
    for _ in 0..1500 {
        drop(ask(slot(&connection)).await.ok().expect("an answer"));
    }
    assert!(!running.is_finished());
}

const SOON: Duration = Duration::from_millis(20);

#[tokio::test]
async fn an_origin_that_falls_silent_is_given_up() {
    for answers in [false, true] {
        let (near, far) = tokio::io::duplex(64 << 10);
        // It says that it is there, or begins to answer, and is not heard of again.
        tokio::spawn(frames(far, move |kind, stream, _| match kind {
            HEADERS if answers => frame(HEADERS, END, stream, OK),
            _ => Vec::new(),
        }));
        let (connection, running) = Http2::with_pings(near, (SOON, SOON)).await.unwrap();
        let running = tokio::spawn(running);
        match ask(slot(&connection)).await {
            Ok(answer) if answers => assert!(answer.into_body().frame().await.unwrap().is_err()),
            Err(broken) if !answers => {
                assert!(matches!(broken.failure, Failure::Late) && broken.lost == Lost::Otherwise);
            }
            _ => panic!("it should have answered: {answers}"),
        }
        running.await.unwrap();
        assert!(connection.slot().is_none());
    }
}

#[tokio::test]
async fn an_origin_that_is_slow_and_there_is_waited_for() {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (mut asked, mut pings) = (None, 0);
    tokio::spawn(frames(far, move |kind, stream, payload| match kind {
        HEADERS => {
            asked = Some(stream);
            Vec::new()
        }
        PING_FRAME => {
            pings += 1;
            let pong = frame(PING_FRAME, ACK, [0; 4], payload);
            let stream = asked.filter(|_| pings == 3);
            stream.map_or(pong.clone(), |stream| [pong, frame(HEADERS, END, stream, OK)].concat())
        }
        _ => Vec::new(),
    }));
    let (connection, running) = Http2::with_pings(near, (SOON, PING.1)).await.unwrap();
    tokio::spawn(running);
    assert_eq!(ask(slot(&connection)).await.ok().unwrap().status(), StatusCode::OK);
    assert!(!connection.is_closed());
}
