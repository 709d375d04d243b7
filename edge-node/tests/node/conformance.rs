//! What RFC 9113 and RFC 7541 say a server must do with frames that are wrong, frame by frame: each case opens a
//! connection, sends bytes, and looks at what comes back before the answer to a good request that follows them.

use std::net::SocketAddr;
use std::time::Duration;

use atoll_runtime::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{config, get, node};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
pub const COMPRESSION_ERROR: u32 = 9;

/// The stream of the good request.
const LAST: u32 = 2001;

/// A frame (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field, neither indexed nor compressed (RFC 7541 §6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

pub fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    list.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// The head of a good request, with more fields.
pub fn head(more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.localhost")]);
    block.extend(fields(more));
    block
}

/// A request without a body.
pub fn get_on(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(&[]))
}

/// A request whose body is still to come.
pub fn post_on(stream: u32) -> Vec<u8> {
    let mut block = fields(&[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a.localhost")]);
    block.extend(field("x-waits", "1"));
    frame(HEADERS, END_HEADERS, stream, &block)
}

pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// What a server did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// GOAWAY with this code, or the connection's end without one.
    Connection(Option<u32>),
    /// RST_STREAM with this code.
    Stream(u32),
    /// An answer with the status 400.
    BadRequest,
    /// It went on, having sent these kinds of frames before it answered the good request.
    Went(Vec<u8>),
}

/// A connection that has said hello.
pub async fn hello(address: SocketAddr, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await.unwrap();
    stream
}

/// The next frame; none at the connection's end.
pub async fn next(stream: &mut TcpStream) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    timeout(Duration::from_secs(120), stream.read_exact(&mut head)).await.expect("something comes").ok()?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// Sends bytes and a good request, and sees what comes before that is answered.
pub async fn sends(address: SocketAddr, bytes: &[u8]) -> Seen {
    let mut stream = hello(address, &[]).await;
    let code = |payload: &[u8], at: usize| payload[at..at + 4].try_into().map(u32::from_be_bytes).unwrap();
    // What is wrong may end the connection before all of it is written.
    let _ = stream.write_all(&[bytes, &get_on(LAST)].concat()).await;
    let mut kinds = Vec::new();
    while let Some((kind, _, on, payload)) = next(&mut stream).await {
        match kind {
            GOAWAY => return Seen::Connection(Some(code(&payload, 4))),
            RST_STREAM => return Seen::Stream(code(&payload, 0)),
            HEADERS if on == LAST => return Seen::Went(kinds),
            // `:status 400` is in the static table.
            HEADERS if payload.first() == Some(&0x8c) => return Seen::BadRequest,
            kind => kinds.push(kind),
        }
    }
    Seen::Connection(None)
}

/// Frames that are wrong end their stream or the connection, with the code the RFC has for them.
pub async fn refuses_what_the_rfc_forbids(engine: Engine) {
    // It waits where a request has `x-waits`, so that streams stay open.
    let code = "export default { async fetch(request) {
        if (request.headers.has('x-waits')) await request.arrayBuffer();
        return new Response('hello');
    } };";
    let node = node(config(), &engine, &[("a", code)]).await;
    let address = node.local_addr();
    let idle = 1;
    let long = vec![0; 16_385];
    let uppercase = frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(&[("X-Upper", "1")]));
    let request = |list: &[(&str, &str)]| frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(list));
    let with = |name: &str, value: &str| frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(&[(name, value)]));
    let (method, http, root) = ((":method", "GET"), (":scheme", "http"), (":path", "/"));
    let host = (":authority", "a.localhost");
    let cases: Vec<(&str, Vec<u8>, &[u32])> = vec![
        ("4.2: a frame that is too long", frame(DATA, 0, 0, &long), &[FRAME_SIZE_ERROR]),
        ("4.3: a header block that is none", frame(HEADERS, 5, 1, &[0x80]), &[COMPRESSION_ERROR]),
        ("4.3: an index beyond the table", frame(HEADERS, 5, 1, &[0xff, 0x80, 0x02]), &[COMPRESSION_ERROR]),
        ("5.1: DATA on an idle stream", frame(DATA, 0, idle, b"x"), &[PROTOCOL_ERROR]),
        ("5.1: RST_STREAM on an idle stream", frame(RST_STREAM, 0, idle, &[0, 0, 0, 8]), &[PROTOCOL_ERROR]),
        ("5.1: WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, idle, &[0, 0, 0, 1]), &[PROTOCOL_ERROR]),
        ("5.1: CONTINUATION on an idle stream", frame(CONTINUATION, END_HEADERS, 1, &head(&[])), &[PROTOCOL_ERROR]),
        (
            "5.1: DATA after the end of a stream",
            [post_on(1), frame(DATA, END_STREAM, 1, b"x"), frame(DATA, END_STREAM, 1, b"x")].concat(),
            &[STREAM_CLOSED],
        ),
        ("5.1.1: a stream of the server's", get_on(2), &[PROTOCOL_ERROR]),
        ("5.1.1: a stream below the last one", [post_on(5), get_on(3)].concat(), &[PROTOCOL_ERROR, STREAM_CLOSED]),
        (
            "5.1.2: more streams than allowed",
            (0..400).flat_map(|at| post_on(2 * at + 1)).collect(),
            &[PROTOCOL_ERROR, REFUSED_STREAM],
        ),
        ("6.1: DATA without a stream", frame(DATA, 0, 0, b"x"), &[PROTOCOL_ERROR]),
        ("6.1: more padding than there is", [post_on(1), frame(DATA, PADDED, 1, &[9, 0])].concat(), &[PROTOCOL_ERROR]),
        ("6.2: HEADERS without a stream", frame(HEADERS, 5, 0, &head(&[])), &[PROTOCOL_ERROR]),
        ("6.2: more padding than there is", frame(HEADERS, PADDED | 5, 1, &[200, 0x82]), &[PROTOCOL_ERROR]),
        (
            "6.2: a frame between HEADERS and CONTINUATION",
            [frame(HEADERS, END_STREAM, 1, &head(&[])), frame(PING, 0, 0, &[0; 8])].concat(),
            &[PROTOCOL_ERROR],
        ),
        ("6.3: PRIORITY without a stream", frame(PRIORITY, 0, 0, &[0; 5]), &[PROTOCOL_ERROR]),
        ("6.3: PRIORITY of the wrong length", frame(PRIORITY, 0, 1, &[0; 4]), &[FRAME_SIZE_ERROR]),
        ("6.4: RST_STREAM without a stream", frame(RST_STREAM, 0, 0, &[0, 0, 0, 8]), &[PROTOCOL_ERROR]),
        ("6.4: RST_STREAM of the wrong length", [post_on(1), frame(3, 0, 1, &[0; 3])].concat(), &[FRAME_SIZE_ERROR]),
        ("6.5: an acknowledgement with settings", frame(SETTINGS, ACK, 0, &setting(3, 1)), &[FRAME_SIZE_ERROR]),
        ("6.5: SETTINGS on a stream", frame(SETTINGS, 0, 1, &setting(3, 1)), &[PROTOCOL_ERROR]),
        ("6.5: SETTINGS of the wrong length", frame(SETTINGS, 0, 0, &[0; 5]), &[FRAME_SIZE_ERROR]),
        ("6.5.2: ENABLE_PUSH 2", frame(SETTINGS, 0, 0, &setting(2, 2)), &[PROTOCOL_ERROR]),
        ("6.5.2: a window beyond 2^31-1", frame(SETTINGS, 0, 0, &setting(4, 1 << 31)), &[FLOW_CONTROL_ERROR]),
        ("6.5.2: frames below 2^14", frame(SETTINGS, 0, 0, &setting(5, 16_383)), &[PROTOCOL_ERROR]),
        ("6.5.2: frames beyond 2^24-1", frame(SETTINGS, 0, 0, &setting(5, 1 << 24)), &[PROTOCOL_ERROR]),
        ("6.6: PUSH_PROMISE of a client", [post_on(1), frame(PUSH_PROMISE, 4, 1, &[0; 4])].concat(), &[PROTOCOL_ERROR]),
        ("6.7: PING on a stream", frame(PING, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("6.7: PING of the wrong length", frame(PING, 0, 0, &[0; 6]), &[FRAME_SIZE_ERROR]),
        ("6.8: GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("6.9: WINDOW_UPDATE by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), &[PROTOCOL_ERROR]),
        ("6.9: the same on a stream", [post_on(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(), &[PROTOCOL_ERROR]),
        ("6.9: WINDOW_UPDATE of the wrong length", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), &[FRAME_SIZE_ERROR]),
        ("6.9.1: a window too large", frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes()), &[FLOW_CONTROL_ERROR]),
        (
            "6.9.1: a stream's window too large",
            [post_on(1), frame(WINDOW_UPDATE, 0, 1, &0x7fff_ffff_u32.to_be_bytes())].concat(),
            &[FLOW_CONTROL_ERROR],
        ),
        ("6.10: CONTINUATION without a stream", frame(CONTINUATION, 4, 0, &[0x82]), &[PROTOCOL_ERROR]),
        (
            "6.10: CONTINUATION after the end of the headers",
            [post_on(1), frame(CONTINUATION, END_HEADERS, 1, &field("x-late", "1"))].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "8.1: a second head that does not end the stream",
            [post_on(1), frame(HEADERS, END_HEADERS, 1, &field("x-late", "1"))].concat(),
            &[PROTOCOL_ERROR],
        ),
        ("8.2.1: an upper-case name", uppercase, &[PROTOCOL_ERROR]),
        ("8.2.1: a line break in a value", with("x", "a\r\nb"), &[PROTOCOL_ERROR]),
        ("8.2.2: a field of the connection", with("connection", "keep-alive"), &[PROTOCOL_ERROR]),
        ("8.2.2: TE other than trailers", with("te", "gzip"), &[PROTOCOL_ERROR]),
        (
            "8.3: a pseudo-field of a response",
            request(&[method, http, root, host, (":status", "200")]),
            &[PROTOCOL_ERROR],
        ),
        ("8.3: an unknown pseudo-field", request(&[method, http, root, host, (":new", "1")]), &[PROTOCOL_ERROR]),
        ("8.3: a pseudo-field after others", request(&[method, http, ("a", "b"), root, host]), &[PROTOCOL_ERROR]),
        ("8.3.1: no method", request(&[http, root, host]), &[PROTOCOL_ERROR]),
        ("8.3.1: two methods", request(&[method, method, http, root, host]), &[PROTOCOL_ERROR]),
        ("8.3.1: no scheme", request(&[method, root, host]), &[PROTOCOL_ERROR]),
        ("8.3.1: no path", request(&[method, http, host]), &[PROTOCOL_ERROR]),
        ("8.3.1: an empty path", request(&[method, http, (":path", ""), host]), &[PROTOCOL_ERROR]),
        ("8.3.1: a path that is none", request(&[method, http, (":path", "?a"), host]), &[PROTOCOL_ERROR]),
        ("8.3.1: a URL in place of a path", request(&[method, http, (":path", "http://a/"), host]), &[PROTOCOL_ERROR]),
        (
            "8.3.1: an asterisk that is no path of GET",
            request(&[method, http, (":path", "*"), host]),
            &[PROTOCOL_ERROR],
        ),
        ("8.3.1: no authority", request(&[method, http, root]), &[PROTOCOL_ERROR]),
        ("8.3.1: an empty authority", request(&[method, http, root, (":authority", "")]), &[PROTOCOL_ERROR]),
        ("8.3.1: a user in the authority", request(&[method, http, root, (":authority", "u@a")]), &[PROTOCOL_ERROR]),
        ("8.3.1: another host", with("host", "b.localhost"), &[PROTOCOL_ERROR]),
        (
            "8.3.1: a protocol, and no CONNECT",
            request(&[method, (":protocol", "websocket"), http, root, host]),
            &[PROTOCOL_ERROR],
        ),
        ("8.2.1: a value that begins with a space", with("x", " a"), &[PROTOCOL_ERROR]),
        ("8.2.1: a value that ends in a tab", with("x", "a\t"), &[PROTOCOL_ERROR]),
        ("8.2.2: TE with more than trailers", with("te", "trailers, gzip"), &[PROTOCOL_ERROR]),
        (
            "8.1.1: two lengths",
            [
                frame(HEADERS, 4, 1, &head(&[("content-length", "1"), ("content-length", "1")])),
                frame(DATA, END_STREAM, 1, b"x"),
            ]
            .concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "8.1.1: less than the announced length",
            [frame(HEADERS, 4, 1, &head(&[("content-length", "5")])), frame(DATA, END_STREAM, 1, b"x")].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "8.1.1: more than the announced length",
            [frame(HEADERS, 4, 1, &head(&[("content-length", "1")])), frame(DATA, END_STREAM, 1, b"xxxxx")].concat(),
            &[PROTOCOL_ERROR],
        ),
    ];
    let mut wrong = Vec::new();
    for (what, bytes, codes) in cases {
        let seen = sends(address, &bytes).await;
        let right = match &seen {
            // A generic code can stand for any other (RFC 9113 §5.4).
            Seen::Connection(Some(code)) | Seen::Stream(code) => *code == PROTOCOL_ERROR || codes.contains(code),
            // A malformed request may be answered instead of reset (RFC 9113 §8.1.1).
            Seen::BadRequest => what.starts_with('8'),
            Seen::Connection(None) => true,
            Seen::Went(_) => false,
        };
        if !right {
            wrong.push(format!("{what}: {seen:?} in place of {codes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(get_whole(address).await, "hello");
    assert_eq!(get(&node, "a", "/").await.body, "hello");
}

/// The body of one good request.
async fn get_whole(address: SocketAddr) -> String {
    let mut stream = hello(address, &[]).await;
    stream.write_all(&get_on(1)).await.unwrap();
    body(&mut stream, 1).await
}

/// A stream's body to its end.
pub async fn body(stream: &mut TcpStream, id: u32) -> String {
    let mut all = Vec::new();
    loop {
        let (kind, flags, on, payload) = next(stream).await.expect("the body ends before the connection");
        assert!(kind != GOAWAY && kind != RST_STREAM, "{kind} {payload:?}");
        if kind == DATA && on == id {
            all.extend(payload);
            if flags & END_STREAM != 0 {
                return String::from_utf8(all).unwrap();
            }
        }
    }
}

/// What the RFC tells a server to take, it takes: unknown frames and settings, padding, priorities, header blocks in
/// pieces; and it sends no more than the client's windows have room for.
pub async fn takes_what_the_rfc_allows(engine: Engine) {
    let node = node(config(), &engine, &[("a", "export default { fetch() { return new Response('hello'); } };")]).await;
    let address = node.local_addr();
    for (what, bytes) in [
        ("5.5: an unknown frame", frame(0x16, 0xff, 0, &[0; 8])),
        ("6.5.2: an unknown setting", frame(SETTINGS, 0, 0, &setting(0xff, 1))),
        ("6.3: PRIORITY on an idle stream", frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 9])),
        ("6.7: an acknowledgement of nothing", frame(PING, ACK, 0, b"whatever")),
    ] {
        let seen = sends(address, &bytes).await;
        assert!(matches!(seen, Seen::Went(_)), "{what}: {seen:?}");
    }

    // A head in three pieces, with padding, on a connection with a window of two bytes.
    let mut stream = hello(address, &setting(4, 2)).await;
    let block = head(&[]);
    let padded = [&[3], &block[..10], &[0; 3]].concat();
    stream.write_all(&frame(HEADERS, END_STREAM | PADDED, 1, &padded)).await.unwrap();
    stream.write_all(&frame(CONTINUATION, 0, 1, &block[10..20])).await.unwrap();
    stream.write_all(&frame(CONTINUATION, END_HEADERS, 1, &block[20..])).await.unwrap();
    let mut received = Vec::new();
    while received.len() < 5 {
        let (kind, _, _, payload) = next(&mut stream).await.expect("an answer");
        if kind == DATA {
            assert!(payload.len() <= 2, "the window has room for two bytes");
            received.extend(payload);
            // Nothing more comes before there is room: what comes next answers the PING.
            stream.write_all(&frame(PING, 0, 0, b"sentinel")).await.unwrap();
            while received.len() < 5 {
                let (kind, flags, _, _) = next(&mut stream).await.expect("an answer");
                assert_ne!(kind, DATA, "there is no room");
                if kind == PING && flags & ACK != 0 {
                    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2])).await.unwrap();
                    break;
                }
            }
        }
    }
    assert_eq!(received, b"hello");
    assert_eq!(get(&node, "a", "/").await.body, "hello");
}
