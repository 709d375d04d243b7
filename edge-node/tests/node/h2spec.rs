//! The cases of h2spec, the conformance test of HTTP/2 servers, that [`crate::conformance`] has not: by the sections of
//! RFC 9113 (RFC 7541 for HPACK), each a connection of raw frames, and those that take turns each a dialogue.

use std::net::SocketAddr;
use std::time::Duration;

use atoll_edge_node::EdgeNode;
use atoll_runtime::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::conformance::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY,
    HEADERS, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, STREAM_CLOSED, Seen, WINDOW_UPDATE,
    body, field, fields, frame, get_on, head, hello, next, post_on, sends, setting,
};
use crate::support::{config, get, node};

/// The flag of a frame that says on what its stream depends.
const PRIORITIZED: u8 = 0x20;

/// What is to come of a case.
enum Due {
    /// Its stream or the connection ends, with one of these codes.
    End(&'static [u32]),
    /// The request that follows is answered.
    GoesOn,
}
use Due::{End, GoesOn};

/// Answers with what it was sent, when that was all; with `hello` where it was sent nothing. It waits for bodies.
const APP: &str = "export default { async fetch(request) {
    return new Response((await request.text()) || 'hello');
} };";

async fn serving(engine: &Engine) -> EdgeNode {
    node(config(), engine, &[("a", APP)]).await
}

fn whole(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A good head but for its path, which stands here as HPACK has it.
fn path(literal: &[u8]) -> Vec<u8> {
    [&[0x82, 0x86][..], &field(":authority", "a.localhost"), &[0x04], literal].concat()
}

/// A PRIORITY or the beginning of HEADERS that depends on a stream.
fn on(stream: u32) -> Vec<u8> {
    [&stream.to_be_bytes()[..], &[9]].concat()
}

/// A request with a body to come, whose authority goes to the table of HPACK.
fn tabled(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[&[0x83, 0x86, 0x84, 0x41, 11][..], b"a.localhost"].concat())
}

/// A request with a body and these trailers.
fn trailers(block: &[u8]) -> Vec<u8> {
    [tabled(1), frame(DATA, 0, 1, b"x"), whole(1, block)].concat()
}

/// One connection each: what is sent, and what is to come of it.
fn cases() -> Vec<(&'static str, Vec<u8>, Due)> {
    let block = head(&[]);
    let (first, rest) = block.split_at(12);
    let closed: &[u32] = &[STREAM_CLOSED];
    let protocol: &[u32] = &[PROTOCOL_ERROR];
    let ended = |more: Vec<u8>| [get_on(1), more].concat();
    let was_reset = |more: Vec<u8>| [post_on(1), reset(1, 8), more].concat();
    let request = |list: &[(&str, &str)]| whole(1, &fields(list));
    let (method, http, root) = ((":method", "GET"), (":scheme", "http"), (":path", "/"));
    let host = (":authority", "a.localhost");
    let announced = |length: &str| frame(HEADERS, END_HEADERS, 1, &head(&[("content-length", length)]));
    vec![
        ("4.1: flags that mean nothing", frame(PING, 0x16, 0, &[0; 8]), GoesOn),
        ("4.1: the reserved bit of a stream", frame(PING, 0, 1 << 31, &[0; 8]), GoesOn),
        ("4.2: as much DATA as is allowed", [post_on(1), frame(DATA, END_STREAM, 1, &[120; 16_384])].concat(), GoesOn),
        (
            "4.2: more DATA than is allowed",
            [post_on(1), frame(DATA, 1, 1, &[120; 16_385])].concat(),
            End(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.2: more HEADERS than are allowed",
            whole(1, &head(&[("x-a", &"a".repeat(127))]).repeat(100)),
            End(&[FRAME_SIZE_ERROR]),
        ),
        (
            "4.3: PRIORITY within a head",
            [frame(HEADERS, END_STREAM, 1, first), frame(PRIORITY, 0, 1, &on(0))].concat(),
            End(protocol),
        ),
        (
            "4.3: another stream's head within a head",
            [frame(HEADERS, END_STREAM, 1, first), get_on(3)].concat(),
            End(protocol),
        ),
        (
            "4.3: a CONTINUATION of another stream",
            [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 3, rest)].concat(),
            End(protocol),
        ),
        ("5.1: DATA on a stream that has ended", ended(frame(DATA, END_STREAM, 1, b"x")), End(closed)),
        ("5.1: HEADERS on a stream that has ended", ended(get_on(1)), End(closed)),
        (
            "5.1: CONTINUATION on a stream that has ended",
            ended(frame(CONTINUATION, END_HEADERS, 1, rest)),
            End(protocol),
        ),
        ("5.1: DATA on a stream that was reset", was_reset(frame(DATA, END_STREAM, 1, b"x")), End(closed)),
        ("5.1: HEADERS on a stream that was reset", was_reset(get_on(1)), End(closed)),
        (
            "5.1: CONTINUATION on a stream that was reset",
            was_reset(frame(CONTINUATION, END_HEADERS, 1, rest)),
            End(protocol),
        ),
        ("5.1: RST_STREAM on a stream that has ended", ended(reset(1, 8)), GoesOn),
        ("5.1: WINDOW_UPDATE on a stream that has ended", ended(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])), GoesOn),
        ("5.1: PRIORITY on a stream that has ended", ended(frame(PRIORITY, 0, 1, &on(0))), GoesOn),
        ("5.1: PRIORITY on a stream that is open", [post_on(1), frame(PRIORITY, 0, 1, &on(0))].concat(), GoesOn),
        (
            "5.3.1: a head that depends on its own stream",
            frame(HEADERS, PRIORITIZED | 5, 1, &[on(1), block.clone()].concat()),
            End(protocol),
        ),
        ("5.3.1: PRIORITY that depends on its own stream", frame(PRIORITY, 0, 1, &on(1)), End(protocol)),
        ("5.3.2: a head with a priority", frame(HEADERS, PRIORITIZED | 5, 1, &[on(0), block.clone()].concat()), GoesOn),
        ("5.5: an unknown frame on a stream", [post_on(1), frame(0x42, 0, 1, b"whatever")].concat(), GoesOn),
        (
            "5.5: an unknown frame within a head",
            [
                frame(HEADERS, END_STREAM, 1, first),
                frame(0x42, 0, 0, b"whatever"),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ]
            .concat(),
            End(protocol),
        ),
        (
            "6.1: DATA with padding",
            [post_on(1), frame(DATA, PADDED | END_STREAM, 1, &[2, b'x', 0, 0])].concat(),
            GoesOn,
        ),
        (
            "6.1: DATA that is padding alone",
            [post_on(1), frame(DATA, PADDED | END_STREAM, 1, &[2, 0, 0])].concat(),
            GoesOn,
        ),
        (
            "6.1: padding as long as its frame",
            [post_on(1), frame(DATA, PADDED | END_STREAM, 1, &[3, 0, 0])].concat(),
            End(protocol),
        ),
        ("6.2: padding as long as its frame", frame(HEADERS, PADDED | 5, 1, &[2, 0x82]), End(protocol)),
        ("6.2: a priority that is cut off", frame(HEADERS, PRIORITIZED | 5, 1, &[0, 0]), End(&[FRAME_SIZE_ERROR])),
        ("6.4: a reset of a stream that is open", was_reset(vec![]), GoesOn),
        ("6.5: settings of no kind", frame(SETTINGS, 0, 0, &[]), GoesOn),
        (
            "6.5.2: all settings",
            frame(
                SETTINGS,
                0,
                0,
                &[(1, 0), (2, 0), (3, 100), (4, 1 << 20), (5, 1 << 15), (6, 1 << 20)]
                    .map(|(id, value)| setting(id, value))
                    .concat(),
            ),
            GoesOn,
        ),
        ("6.9: a reserved bit in WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0x80, 0, 0, 1]), GoesOn),
        (
            "6.9.1: windows that grow too large together",
            frame(WINDOW_UPDATE, 0, 0, &0x4000_0000_u32.to_be_bytes()).repeat(2),
            End(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.9.1: a stream's windows that do",
            [post_on(1), frame(WINDOW_UPDATE, 0, 1, &0x4000_0000_u32.to_be_bytes()).repeat(2)].concat(),
            End(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.9.2: a setting that makes a window too large",
            [
                frame(SETTINGS, 0, 0, &setting(4, 1)),
                post_on(1),
                frame(WINDOW_UPDATE, 0, 1, &0x7fff_fffe_u32.to_be_bytes()),
                frame(SETTINGS, 0, 0, &setting(4, 2)),
            ]
            .concat(),
            End(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.10: many CONTINUATIONs",
            [
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, 0, 1, &rest[..9]),
                frame(CONTINUATION, 0, 1, &[]),
                frame(CONTINUATION, END_HEADERS, 1, &rest[9..]),
            ]
            .concat(),
            GoesOn,
        ),
        (
            "6.10: another frame after CONTINUATION",
            [
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, 0, 1, &rest[..9]),
                frame(DATA, END_STREAM, 1, b"x"),
            ]
            .concat(),
            End(protocol),
        ),
        (
            "6.10: CONTINUATION after the last one",
            [
                frame(HEADERS, 0, 1, first),
                frame(CONTINUATION, END_HEADERS, 1, rest),
                frame(CONTINUATION, END_HEADERS, 1, &field("x", "1")),
            ]
            .concat(),
            End(protocol),
        ),
        (
            "6.10: CONTINUATION after DATA",
            [post_on(1), frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, &field("x", "1"))].concat(),
            End(protocol),
        ),
        ("7: RST_STREAM with an unknown code", [post_on(1), reset(1, 0xff)].concat(), GoesOn),
        ("8.1: trailers", [post_on(1), frame(DATA, 0, 1, b"x"), whole(1, &field("x-sum", "1"))].concat(), GoesOn),
        ("8.1: a pseudo-field in trailers", trailers(&fields(&[(":path", "/other"), ("x-sum", "1")])), End(protocol)),
        ("8.1: nothing but a pseudo-field in trailers", trailers(&field(":authority", "b.localhost")), End(protocol)),
        ("8.1: an indexed pseudo-field in trailers", trailers(&[0x82]), End(protocol)),
        ("8.1: an unknown pseudo-field in trailers", trailers(&field(":new", "1")), End(protocol)),
        ("8.1: a pseudo-field that the head has left in the table", trailers(&[0xbe]), End(protocol)),
        ("8.1: trailers that are empty", trailers(&[]), GoesOn),
        ("8.1: trailers after the table's size", trailers(&[&[0x20][..], &field("x-sum", "1")].concat()), GoesOn),
        (
            "8.1: trailers with padding, in pieces",
            [
                tabled(1),
                frame(HEADERS, END_STREAM | PADDED, 1, &[3, 0, 3, b'x', 0, 0, 0]),
                frame(CONTINUATION, 0, 1, b"-a"),
                frame(CONTINUATION, END_HEADERS, 1, &[1, b'1']),
            ]
            .concat(),
            GoesOn,
        ),
        (
            "8.1: trailers as long as a frame may be",
            trailers(&[field("x-sum", &"a".repeat(126)).repeat(122), field("x", &"b".repeat(32))].concat()),
            GoesOn,
        ),
        (
            "8.1: a pseudo-field in a later piece of trailers",
            [
                tabled(1),
                frame(HEADERS, END_STREAM, 1, &field("x-sum", "1")),
                frame(CONTINUATION, END_HEADERS, 1, &[0x84]),
            ]
            .concat(),
            End(protocol),
        ),
        ("8.2.1: an empty name", whole(1, &head(&[("", "1")])), End(protocol)),
        ("8.2.1: a space in a name", whole(1, &head(&[("x a", "1")])), End(protocol)),
        ("8.2.1: a NUL in a value", whole(1, &head(&[("x", "a\0b")])), End(protocol)),
        ("8.2.2: Transfer-Encoding", whole(1, &head(&[("transfer-encoding", "chunked")])), End(protocol)),
        ("8.2.2: Upgrade", whole(1, &head(&[("upgrade", "h2c")])), End(protocol)),
        ("8.2.2: Proxy-Connection", whole(1, &head(&[("proxy-connection", "close")])), End(protocol)),
        ("8.2.2: Keep-Alive", whole(1, &head(&[("keep-alive", "1")])), End(protocol)),
        ("8.2.2: TE with trailers", whole(1, &head(&[("te", "trailers")])), GoesOn),
        ("8.3.1: two schemes", request(&[method, http, http, root, host]), End(protocol)),
        ("8.3.1: two paths", request(&[method, http, root, root, host]), End(protocol)),
        ("8.3.1: two authorities", request(&[method, http, root, host, host]), End(protocol)),
        (
            "8.1.1: several DATA that are less",
            [announced("9"), frame(DATA, 0, 1, b"xx"), frame(DATA, END_STREAM, 1, b"xx")].concat(),
            End(protocol),
        ),
        (
            "8.1.1: several DATA that are more",
            [announced("3"), frame(DATA, 0, 1, b"xx"), frame(DATA, END_STREAM, 1, b"xx")].concat(),
            End(protocol),
        ),
        (
            "8.1.1: several DATA that are as many",
            [announced("4"), frame(DATA, 0, 1, b"xx"), frame(DATA, END_STREAM, 1, b"xx")].concat(),
            GoesOn,
        ),
        ("8.1.1: a length and no body", whole(1, &head(&[("content-length", "1")])), End(protocol)),
        ("8.5: CONNECT with a path", request(&[(":method", "CONNECT"), root, host]), End(protocol)),
        ("HPACK 2.3.3: an index that is none", whole(1, &[0x80]), End(&[COMPRESSION_ERROR])),
        (
            "HPACK 2.3.3: a name beyond the table",
            whole(1, &[&block[..], &[0x7f, 0xff, 0x01, 1, b'a']].concat()),
            End(&[COMPRESSION_ERROR]),
        ),
        ("HPACK 4.2: the table's size at a head's beginning", whole(1, &[&[0x20], &block[..]].concat()), GoesOn),
        (
            "HPACK 4.2: the table's size at a head's end",
            whole(1, &[&block[..], &[0x20]].concat()),
            End(&[COMPRESSION_ERROR]),
        ),
        (
            "HPACK 6.3: a table larger than allowed",
            whole(1, &[&[0x3f, 0xe2, 0x1f], &block[..]].concat()),
            End(&[COMPRESSION_ERROR]),
        ),
        (
            "HPACK 5.1: an integer that has no end",
            whole(1, &[&[0xff; 12][..], &block[..]].concat()),
            End(&[COMPRESSION_ERROR]),
        ),
        ("HPACK 5.2: a string longer than its head", whole(1, &path(&[9, b'/'])), End(&[COMPRESSION_ERROR])),
        ("HPACK 5.2: a path in Huffman's code", whole(1, &path(&[0x81, 0x63])), GoesOn),
        ("HPACK 5.2: padding longer than 7 bits", whole(1, &path(&[0x82, 0x63, 0xff])), End(&[COMPRESSION_ERROR])),
        ("HPACK 5.2: padding that is not of ones", whole(1, &path(&[0x81, 0x60])), End(&[COMPRESSION_ERROR])),
        (
            "HPACK 5.2: the symbol for the end",
            whole(1, &path(&[0x84, 0xff, 0xff, 0xff, 0xff])),
            End(&[COMPRESSION_ERROR]),
        ),
    ]
}

/// Each case ends its stream or the connection with its code, or goes on, as it should.
pub async fn every_frame_is_judged(engine: Engine) {
    let node = serving(&engine).await;
    let mut wrong = Vec::new();
    for (what, bytes, due) in cases() {
        let seen = sends(node.local_addr(), &bytes).await;
        let right = match (&seen, &due) {
            // A generic code can stand for any other (RFC 9113 §5.4).
            (Seen::Connection(Some(code)) | Seen::Stream(code), End(codes)) => {
                *code == PROTOCOL_ERROR || codes.contains(code)
            }
            // A connection may end without a word, and a malformed request be answered.
            (Seen::Connection(None), End(_)) => true,
            (Seen::BadRequest, End(_)) => what.starts_with('8'),
            (Seen::Went(_), GoesOn) => true,
            (Seen::Went(_), End(_)) | (_, GoesOn) => false,
        };
        if !right {
            wrong.push(format!("{what}: {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(get(&node, "a", "/").await.body, "hello");
}

/// Reads on until a frame of a kind comes, and says which came before it.
async fn until(stream: &mut TcpStream, wanted: u8) -> (u8, u32, Vec<u8>, Vec<u8>) {
    let mut before = Vec::new();
    loop {
        let (kind, flags, on, payload) = next(stream).await.expect("the connection goes on");
        if kind == wanted {
            return (flags, on, payload, before);
        }
        assert!(kind != GOAWAY && kind != RST_STREAM, "{kind} {payload:?}");
        before.push(kind);
    }
}

/// Everything that was sent before is known to have been read, and no DATA came.
async fn nothing_comes(stream: &mut TcpStream) {
    stream.write_all(&frame(PING, 0, 0, b"sentinel")).await.unwrap();
    loop {
        let (flags, _, payload, before) = until(stream, PING).await;
        assert!(!before.contains(&DATA), "there is no room");
        if flags & ACK != 0 && payload == b"sentinel" {
            return;
        }
    }
}

/// What an app's answer has after its head; all of it fits into the windows.
async fn answer(stream: &mut TcpStream, id: u32) -> String {
    timeout(Duration::from_secs(120), body(stream, id)).await.expect("it comes")
}

/// Everything that comes, to the end of the connection.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // It may be reset.
    let _ = timeout(Duration::from_secs(120), stream.read_to_end(&mut all)).await.expect("it ends");
    all
}

/// What takes turns: prefaces, acknowledgements, windows that change, and whole exchanges.
pub async fn dialogues_go_as_they_should(engine: Engine) {
    let node = serving(&engine).await;
    let address: SocketAddr = node.local_addr();

    // 3.4: a preface that is none ends the connection, and so does one without settings.
    let settings = frame(SETTINGS, 0, 0, &[]);
    for wrong in [
        [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], &settings].concat(),
        [PREFACE, &get_on(1)].concat(),
        [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat(),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&wrong).await.unwrap();
        let seen = rest(stream).await;
        assert!(!seen.windows(5).any(|part| part == b"hello"), "{:?}", String::from_utf8_lossy(&wrong));
    }

    // 3.4, 6.5.3: the first frame is SETTINGS, and settings are acknowledged; 6.7: a PING is answered with what it says, and
    // an acknowledgement with nothing.
    let mut stream = hello(address, &[]).await;
    let (flags, id, _, before) = until(&mut stream, SETTINGS).await;
    assert_eq!((flags & ACK, id, before), (0, 0, vec![]));
    assert_eq!(until(&mut stream, SETTINGS).await.0 & ACK, ACK);
    stream.write_all(&[frame(PING, ACK, 0, b"answered"), frame(PING, 0, 0, b"question")].concat()).await.unwrap();
    let (flags, id, payload, _) = until(&mut stream, PING).await;
    assert_eq!((flags & ACK, id, &payload[..]), (ACK, 0, &b"question"[..]));

    // 6.9.2: a window of nothing that settings open; of settings that say it twice the last counts (6.5.3).
    let mut stream = hello(address, &[setting(4, 100), setting(4, 0)].concat()).await;
    stream.write_all(&get_on(1)).await.unwrap();
    until(&mut stream, HEADERS).await;
    nothing_comes(&mut stream).await;
    stream.write_all(&frame(SETTINGS, 0, 0, &setting(4, 3))).await.unwrap();
    assert_eq!(until(&mut stream, DATA).await.2, b"hel");
    // A window below nothing: what opens it up to nothing sends nothing.
    stream.write_all(&frame(SETTINGS, 0, 0, &setting(4, 1))).await.unwrap();
    nothing_comes(&mut stream).await;
    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2])).await.unwrap();
    nothing_comes(&mut stream).await;
    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await.unwrap();
    assert_eq!(until(&mut stream, DATA).await.2, b"l");
    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9])).await.unwrap();
    assert_eq!(answer(&mut stream, 1).await, "o");

    // 5.4.1: an error of the connection is a GOAWAY that names the last stream, and the end.
    let mut stream = hello(address, &[]).await;
    stream.write_all(&get_on(1)).await.unwrap();
    assert_eq!(answer(&mut stream, 1).await, "hello");
    stream.write_all(&frame(PING, 0, 0, &[0; 6])).await.unwrap();
    let (_, id, payload, _) = until(&mut stream, GOAWAY).await;
    assert_eq!((id, &payload[..7]), (0, &[0, 0, 0, 1, 0, 0, 0][..]));
    assert!([PROTOCOL_ERROR, FRAME_SIZE_ERROR].contains(&payload[7].into()), "{payload:?}");
    rest(stream).await;

    // 6.8, 7: after a client's GOAWAY with whatever code, what it has asked is answered.
    let mut stream = hello(address, &[]).await;
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]);
    stream.write_all(&[post_on(1), goaway, frame(DATA, END_STREAM, 1, b"asked")].concat()).await.unwrap();
    assert_eq!(answer(&mut stream, 1).await, "asked");

    // Many streams at once, bodies with padding and trailers, a HEAD.
    let mut stream = hello(address, &[]).await;
    let ids = [1, 3, 5];
    stream.write_all(&ids.map(post_on).concat()).await.unwrap();
    for id in ids.into_iter().rev() {
        let padded = frame(DATA, PADDED, id, &[&[2][..], format!("body {id}").as_bytes(), &[0, 0]].concat());
        stream.write_all(&[padded, whole(id, &field("x-sum", "1"))].concat()).await.unwrap();
        assert_eq!(answer(&mut stream, id).await, format!("body {id}"));
    }
    let block = fields(&[(":method", "HEAD"), (":scheme", "http"), (":path", "/"), (":authority", "a.localhost")]);
    stream.write_all(&whole(7, &block)).await.unwrap();
    let (flags, id, _, _) = until(&mut stream, HEADERS).await;
    assert_eq!((flags & END_STREAM, id), (END_STREAM, 7));
}
