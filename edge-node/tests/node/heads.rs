//! What a request's head may be over HTTP/2 and HTTP/3: no larger than over HTTP/1, and refused with the same words; and a path
//! without a fragment, whoever cuts it there.

use std::time::Duration;

use atoll_runtime::Engine;
use bytes::Bytes;
use h2::client::SendRequest;
use h3::error::Code;
use http::{Request, Response, StatusCode};
use quinn::{ReadError, ReadToEndError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::conformance::{
    CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, SETTINGS, Seen, body, field, fields, frame, get_on, hello,
    next, sends,
};
use crate::http3::serving;
use crate::listeners::http3;
use crate::support::{config, node, raw};

/// How long anything may take.
const LONG: Duration = Duration::from_secs(120);
/// What a head may have by default, bytes.
const LIMIT: usize = 64 << 10;
const NO_FRAGMENT: &str = "or with a fragment";
const TOO_LARGE: &str = "head is larger";

const APP: &str = "export default { fetch(request) { return new Response('saw ' + request.url); } };";

async fn connect(address: std::net::SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

/// Asks with a field of so many bytes.
async fn ask(sender: &mut SendRequest<Bytes>, bytes: usize) -> Result<Response<h2::RecvStream>, h2::Error> {
    let request = Request::get("http://a.localhost/").header("x", "a".repeat(bytes)).body(()).unwrap();
    let mut ready = sender.clone().ready().await?;
    ready.send_request(request, true)?.0.await
}

/// A head that is too large gets 431 with its code, whatever else it says, and its connection goes on; one that is several times
/// as large ends it. A path with a fragment gets 400, as over HTTP/1.
pub async fn are_refused_over_http2(engine: Engine) {
    let node = node(config(), &engine, &[("a", APP)]).await;
    let address = node.local_addr();
    let mut sender = connect(address).await;
    for (bytes, status) in [(10, 200), (LIMIT + 100, 431), (LIMIT - 1000, 200), (3 * LIMIT, 431), (10, 200)] {
        let response = timeout(LONG, ask(&mut sender, bytes)).await.unwrap().unwrap();
        assert_eq!(response.status(), status, "{bytes}");
        if status == 431 {
            assert_eq!(response.headers()["atoll-error"], "head-too-large");
            assert!(response.headers().contains_key("atoll-request-id"));
        }
    }
    // Many small fields that are written once and then referred to.
    let many = (0..1000).fold(Request::get("http://a.localhost/"), |request, _| request.header("x", "1".repeat(100)));
    let (response, _) = sender.send_request(many.body(()).unwrap(), true).unwrap();
    assert_eq!(timeout(LONG, response).await.unwrap().unwrap().status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    timeout(LONG, ask(&mut connect(address).await, 5 * LIMIT)).await.unwrap().expect_err("the connection ends");
    assert_eq!(ask(&mut sender, 10).await.unwrap().status(), 200);
    // One that has no end is not waited for.
    let mut endless = hello(address, &[]).await;
    let more = frame(CONTINUATION, 0, 1, &field("x", &"a".repeat(100)).repeat(150));
    let flood = async {
        endless.write_all(&frame(HEADERS, END_STREAM, 1, &field(":method", "GET"))).await?;
        loop {
            endless.write_all(&more).await?;
        }
    };
    let flood: Result<(), std::io::Error> = timeout(LONG, flood).await.unwrap();
    flood.expect_err("the connection ends");

    let mut stream = hello(address, &[]).await;
    let (kind, _, _, settings) = next(&mut stream).await.unwrap();
    let said = settings.chunks(6).find(|setting| setting[..2] == [0, 6]).expect("how large a head may be");
    assert_eq!((kind, &said[2..]), (SETTINGS, &(LIMIT as u32).to_be_bytes()[..]));

    let (method, http, host) = ((":method", "GET"), (":scheme", "http"), (":authority", "a.localhost"));
    for path in ["/#a", "/a?b#c", "/#"] {
        let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&[method, http, (":path", path), host]));
        assert_eq!(sends(address, &head).await, Seen::BadRequest, "{path}");
        let answer = raw(&node, format!("GET {path} HTTP/1.1\r\nHost: a.localhost\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("request-line-invalid"), "{answer}");
    }
    // From the table that the connection's heads share, and in pieces.
    let start = fields(&[method, http, host]);
    let on = |stream, block: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, stream, &[&start, block].concat());
    for (id, head, expected) in [
        (1, on(1, b"\x44\x03/#a"), NO_FRAGMENT),
        (3, on(3, &[0xbe]), NO_FRAGMENT),
        (5, get_on(5), "saw http://a.localhost/"),
        (7, on(7, &[0xbe]), NO_FRAGMENT),
    ] {
        stream.write_all(&head).await.unwrap();
        let answer = timeout(LONG, body(&mut stream, id)).await.unwrap();
        assert!(answer.contains(expected), "{id}: {answer}");
    }
    let pieces = [
        frame(HEADERS, END_STREAM, 9, &start),
        frame(CONTINUATION, 0, 9, b"\x04\x03/"),
        frame(CONTINUATION, END_HEADERS, 9, b"#b"),
    ];
    for piece in pieces.concat().chunks(5) {
        stream.write_all(piece).await.unwrap();
    }
    assert!(timeout(LONG, body(&mut stream, 9)).await.unwrap().contains(NO_FRAGMENT));
    // Trailers that are too large end the connection.
    let post = frame(HEADERS, END_HEADERS, 11, &fields(&[(":method", "POST"), http, (":path", "/"), host]));
    stream.write_all(&post).await.unwrap();
    let large = field("x", &"a".repeat(100)).repeat(150);
    stream.write_all(&frame(HEADERS, END_STREAM, 11, &large)).await.unwrap();
    for _ in 0..3 {
        let _ = stream.write_all(&frame(CONTINUATION, 0, 11, &large)).await;
    }
    let _ = stream.write_all(&frame(CONTINUATION, END_HEADERS, 11, &large)).await;
    let over = async { while !matches!(next(&mut stream).await, None | Some((GOAWAY, ..))) {} };
    timeout(LONG, over).await.expect("the connection ends");
}

/// A frame (RFC 9114 §7.1).
fn frame3(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &(payload.len() as u32 | 2 << 30).to_be_bytes(), payload].concat()
}

/// A section of fields that are neither in a table nor compressed (RFC 9204 §4.5.6).
fn section(list: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in list {
        match u8::try_from(name.len()).unwrap() {
            length @ 0..7 => section.push(0x20 | length),
            length => section.extend([0x27, length - 7]),
        }
        section.extend(name.as_bytes());
        let length = value.len();
        match length {
            0..127 => section.push(length as u8),
            _ => section.extend([
                0x7f,
                (length - 127) as u8 | 0x80,
                ((length - 127) >> 7) as u8 | 0x80,
                ((length - 127) >> 14) as u8,
            ]),
        }
        section.extend(value.as_bytes());
    }
    section
}

/// What comes of a request with these fields: the text of the answer, or the code with which its stream is reset.
async fn ask3(quic: &quinn::Connection, list: &[(&str, &str)]) -> Result<String, u64> {
    let (mut to, mut from) = quic.open_bi().await.unwrap();
    // It may be reset before all of it is written.
    let _ = to.write_all(&frame3(1, &section(list))).await;
    let _ = to.finish();
    let all = match timeout(LONG, from.read_to_end(1 << 20)).await.expect("something comes") {
        Ok(all) => all,
        Err(ReadToEndError::Read(ReadError::Reset(code))) => return Err(code.into_inner()),
        Err(error) => panic!("{error}"),
    };
    let (mut rest, mut text) = (&all[..], Vec::new());
    let number = |rest: &mut &[u8]| {
        let length = 1 << (rest[0] >> 6);
        let (bytes, behind) = rest.split_at(length);
        *rest = behind;
        bytes[1..].iter().fold(u64::from(bytes[0] & 0x3f), |number, byte| number << 8 | u64::from(*byte))
    };
    while !rest.is_empty() {
        let kind = number(&mut rest);
        let length = number(&mut rest) as usize;
        if kind == 0 {
            text.extend(&rest[..length]);
        }
        rest = &rest[length..];
    }
    Ok(String::from_utf8(text).unwrap())
}

/// The same over HTTP/3; and pseudo-fields that come twice, late, not at all or in a request that has none reset the stream (RFC
/// 9114 §4.3).
pub async fn are_refused_over_http3(engine: Engine) {
    let (node, authority) = serving(config(), &engine, APP).await;
    let (quic, _sender) = http3(&authority, node.local_addr(), "a.localhost").await;
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "a.localhost"), (":path", "/x")];
    let good = Ok("saw https://a.localhost/x".to_owned());
    assert_eq!(ask3(&quic, &get).await, good);
    let with = |at: usize, field| {
        let mut list = get.to_vec();
        list.insert(at, field);
        list
    };
    let malformed = Err(Code::H3_MESSAGE_ERROR.value());
    for at in 0..=4 {
        for twice in get {
            assert_eq!(ask3(&quic, &with(at, twice)).await, malformed, "{at} {twice:?}");
        }
        for strange in [(":status", "200"), (":protocol", "websocket"), (":x", "y")] {
            assert_eq!(ask3(&quic, &with(at, strange)).await, malformed, "{at} {strange:?}");
        }
        let expected = if at == 4 { &good } else { &malformed };
        assert_eq!(&ask3(&quic, &with(at, ("x", "y"))).await, expected, "{at}");
    }
    for (at, missing) in get.iter().enumerate() {
        let mut list = get.to_vec();
        list.remove(at);
        assert_eq!(ask3(&quic, &list).await, malformed, "{missing:?}");
    }
    assert_eq!(ask3(&quic, &[&get[..2], &[(":path", "/x"), ("host", "a.localhost")]].concat()).await, good);
    for path in ["/#a", "/a?b#c", "/#"] {
        let list = [get[0], get[1], get[2], (":path", path)];
        let answer = ask3(&quic, &list).await.unwrap();
        assert!(answer.contains(NO_FRAGMENT), "{path}: {answer}");
    }
    let large = "a".repeat(LIMIT);
    let answer = ask3(&quic, &with(4, ("x", &large))).await.unwrap();
    assert!(answer.contains(TOO_LARGE), "{answer}");
    assert_eq!(ask3(&quic, &with(4, ("x", &large[1000..]))).await, good);
    assert_eq!(ask3(&quic, &get).await, good);
}
