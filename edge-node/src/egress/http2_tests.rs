use atoll_runtime::{Body as Content, BodyError, Trailers};
use futures::{StreamExt, stream};
use h2::server::{Connection as Server, SendResponse};
use http_body_util::BodyExt;
use tokio::io::DuplexStream;

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

fn request(method: Method, body: Content) -> Request<Sending> {
    let mut request = Request::new(Sending::new(Outgoing::new(body), Progress::new()));
    (*request.method_mut(), *request.uri_mut()) = (method, "http://origin.example/".parse().unwrap());
    request
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
        let (mut connection, origin) = connected().await;
        let origin = async {
            let (_request, mut respond) = accepted(origin).await;
            let mut body = respond.send_response(answer(length), false).unwrap();
            body.send_data("four".into(), false).unwrap();
            body
        };
        let (answered, mut sent) = tokio::join!(connection.send(request(Method::GET, Content::Empty), None), origin);
        let mut body = answered.ok().unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "four");
        sent.send_reset(reason);
        assert_eq!(body.frame().await.is_none(), whole, "{length:?}, {reason:?}");
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn what_is_given_up_is_reset() {
    let (mut connection, origin) = connected().await;
    let never = Content::Stream { stream: stream::pending().boxed(), length: None, trailers: Trailers::default() };
    let origin = async {
        let (request, mut respond) = accepted(origin).await;
        (request, respond.send_response(answer(None), false).unwrap())
    };
    let (answered, (_request, mut body)) = tokio::join!(connection.send(request(Method::POST, never), None), origin);
    drop(answered.ok().unwrap());
    let reason = poll_fn(|cx| body.poll_reset(cx)).await.unwrap();
    assert_eq!(reason, Reason::CANCEL);
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn a_body_that_fails_is_not_the_origins_fault() {
    let (mut connection, origin) = connected().await;
    let parts = stream::iter([Ok("part".into()), Err(BodyError::Closed)]);
    let broken = Content::Stream { stream: parts.boxed(), length: None, trailers: Trailers::default() };
    let (answered, _taken) = tokio::join!(connection.send(request(Method::POST, broken), None), accepted(origin));
    let broken = answered.err().unwrap();
    assert!(matches!(broken.failure, Failure::Body) && !broken.failure.is_origins());
    assert_eq!((broken.lost, broken.unsent.is_none()), (Lost::Otherwise, true));
}

#[tokio::test]
async fn a_connection_that_shuts_down_refuses_what_it_does_not_answer() {
    let (mut connection, mut origin) = connected().await;
    let refused = async {
        let (_, mut respond) = origin.accept().await.unwrap().unwrap();
        respond.send_reset(Reason::REFUSED_STREAM);
        origin.abrupt_shutdown(Reason::NO_ERROR);
        while origin.accept().await.is_some() {}
    };
    let mut other = connection.clone();
    let (answered, ()) = tokio::join!(connection.send(request(Method::GET, Content::Empty), None), refused);
    assert_eq!(answered.err().unwrap().lost, Lost::Unanswered);
    let broken = other.send(request(Method::POST, Content::Full("four".into())), None).await.err().unwrap();
    assert!(broken.lost == Lost::Unsent && other.is_closed());
    let unsent = broken.unsent.unwrap().into_body();
    assert_eq!(unsent.collect().await.unwrap().to_bytes(), "four");
}
