//! The origin that the cases of `fetch` and of WebSockets talk to: each path answers in a way of its own.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::origin::{Received, start_raw};

/// Starts it; it ends with the test process.
pub fn start() -> SocketAddr {
    let mailboxes = Mailboxes::default();
    start_raw(move |received, stream| answer(received, stream, &mailboxes))
}

/// What was put, by path.
type Mailboxes = Arc<Mutex<HashMap<String, Vec<String>>>>;

fn answer(received: &Received, stream: &mut TcpStream, mailboxes: &Mailboxes) -> std::io::Result<()> {
    let (path, query) = received.path.split_once('?').unwrap_or((&received.path, ""));
    match path {
        "/echo" => send(stream, 200, "Content-Type: application/json\r\n", echo(received).as_bytes()),
        "/json" => send(stream, 200, "Content-Type: application/json\r\n", b"{\"a\":[1,2]}"),
        "/headers" => {
            let head =
                b"HTTP/1.1 200 Origin\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Latin: \xe9\r\n";
            stream.write_all(head)?;
            stream.write_all(b"Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        }
        "/gzip" => send(stream, 200, "Content-Encoding: gzip\r\nContent-Type: text/plain\r\n", &gzip()),
        "/gzip-broken" => send(stream, 200, "Content-Encoding: gzip\r\n", b"this is not gzip"),
        "/chunked" => {
            stream.write_all(b"HTTP/1.1 200 Origin\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")?;
            stream.write_all(b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n")
        }
        "/truncated" => {
            stream.write_all(b"HTTP/1.1 200 Origin\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort")
        }
        "/events/plain" => events(stream, "id: 7\ndata: one\n\ndata: two\n\n"),
        "/events/fields" => events(
            stream,
            ": a comment\ndata: one\ndata:two\ndata:  three\n\nevent: named\nid: a\ndata\n\nid\ndata: x\n\nunknown: y\n\nevent: named\ndata: z\nretry: 5\n\n",
        ),
        "/events/lines" => events(stream, "\u{feff}data: one\r\n\r\ndata: two\r\rdata: three\n\n"),
        "/events/again" => send(stream, 200, EVENTS, b"retry: 10\nid: 1\ndata: once\n\n"),
        "/silent" => until_gone(stream),
        "/stalled" => {
            stream.write_all(b"HTTP/1.1 200 Origin\r\nContent-Length: 100\r\n\r\nbegin")?;
            until_gone(stream)
        }
        "/endless" => send(stream, 302, "Location: /endless\r\n", b""),
        _ if path.starts_with("/kept/") => {
            let mut mailboxes = mailboxes.lock().unwrap();
            let letters = mailboxes.entry(path.to_owned()).or_default();
            if received.method == "PUT" {
                letters.push(String::from_utf8_lossy(&received.body).into_owned());
            }
            send(stream, 200, "Content-Type: application/json\r\n", serde_json::to_string(letters).unwrap().as_bytes())
        }
        _ if path.starts_with("/socket/") => socket(path, received, stream),
        _ => match path.strip_prefix("/status/").and_then(|status| status.parse().ok()) {
            Some(status) => {
                let location = query.strip_prefix("location=").map(decode);
                let header = location.map(|location| format!("Location: {location}\r\n")).unwrap_or_default();
                send(stream, status, &header, b"status body")
            }
            None => send(stream, 404, "", b"nothing here"),
        },
    }
}

/// A WebSocket whose other end is the runtime's.
fn socket(path: &str, received: &Received, stream: &mut TcpStream) -> std::io::Result<()> {
    let header = |name: &str| received.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let Some(key) = header("sec-websocket-key").filter(|_| path != "/socket/refused") else {
        return send(stream, 403, "", b"refused");
    };
    let protocol = match header("sec-websocket-protocol").and_then(|list| list.split(',').next()) {
        Some(first) if path == "/socket/chosen" => format!("Sec-WebSocket-Protocol: {first}\r\n"),
        _ => String::new(),
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket";
    stream.write_all(format!("{upgrade}\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}\r\n").as_bytes())?;
    // That the other end goes away, in order or not, is how each of these ends.
    let _ = talk(path, WebSocket::from_raw_socket(stream, Role::Server, None));
    Ok(())
}

fn talk(path: &str, mut socket: WebSocket<&mut TcpStream>) -> Result<(), Error> {
    if path == "/socket/says" {
        socket.send(Message::text("one"))?;
        socket.send(Message::binary(vec![1, 2]))?;
        socket.close(Some(CloseFrame { code: 4100.into(), reason: "said".into() }))?;
    }
    loop {
        let message = socket.read()?;
        match &message {
            Message::Text(text) if text.as_str() == "break" => return Ok(()),
            Message::Text(text) if text.as_str() == "close" => {
                socket.close(Some(CloseFrame { code: 4001.into(), reason: "as asked".into() }))?;
            }
            Message::Text(_) | Message::Binary(_) => socket.send(message)?,
            _ => {}
        }
    }
}

const EVENTS: &str = "Content-Type: text/event-stream\r\n";

/// Sends events, and nothing more until the client has gone.
fn events(stream: &mut TcpStream, events: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 Origin\r\n{EVENTS}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(events.as_bytes())?;
    until_gone(stream)
}

/// `headers` are whole lines. Statuses that have no body get none.
fn send(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let without_body = matches!(status, 204 | 304);
    let length = if without_body { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("HTTP/1.1 {status} Origin\r\n{headers}{length}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(if without_body { b"" } else { body })
}

/// Waits until the client closes the connection.
fn until_gone(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read(&mut [0]).map(drop)
}

fn echo(received: &Received) -> String {
    let mut headers = serde_json::Map::new();
    for (name, value) in &received.headers {
        let joined = headers.get(name).and_then(|old| old.as_str()).map(|old| format!("{old}, {value}"));
        headers.insert(name.clone(), joined.unwrap_or_else(|| value.clone()).into());
    }
    let body = String::from_utf8_lossy(&plain(received)).into_owned();
    serde_json::json!({ "method": received.method, "path": received.path, "headers": headers, "body": body })
        .to_string()
}

/// The body without its chunks' frames.
fn plain(received: &Received) -> Vec<u8> {
    let chunked = received.headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    if !chunked {
        return received.body.clone();
    }
    let (mut rest, mut body) = (received.body.as_slice(), Vec::new());
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// Percent-decoding.
fn decode(text: &str) -> String {
    let query = format!("x={text}");
    url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// `squeezed ` a hundred times, stored without compression in the gzip format (RFC 1952, RFC 1951 section 3.2.4).
fn gzip() -> Vec<u8> {
    let text = "squeezed ".repeat(100);
    let length = u16::try_from(text.len()).unwrap();
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    let mut crc = !0_u32;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&u32::from(length).to_le_bytes());
    out
}
