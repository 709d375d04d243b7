//! Requests with bodies and the answers they must get, for the load generator: a list that each connection goes through
//! again and again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::body::Body;
use crate::cached::Object;
use crate::http;

/// A request's body up to this size, bytes, is sent before the answer is read; larger ones while it is.
const AT_ONCE: usize = 16 << 10;

/// A request and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// The host to name.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// Header fields beside `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The request's body.
    pub body: Content,
    /// The status that the answer must have.
    pub status: u16,
    /// The body that the answer must have.
    pub expect: Content,
}

/// A body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Content {
    /// This text.
    Text(String),
    /// The [`Object`] of so many bytes.
    Object(usize),
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Object(size) => Object::new(*size).bytes().to_vec(),
        }
    }
}

impl Exchange {
    /// A request without a body that is answered with 200 and this text.
    pub fn get(host: &str, path: &str, expect: &str) -> Self {
        Self {
            host: host.to_owned(),
            method: "GET".into(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Content::Text(String::new()),
            status: 200,
            expect: Content::Text(expect.to_owned()),
        }
    }
}

/// An exchange in the bytes of HTTP/1.1.
pub struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
    status: u16,
    expect: Vec<u8>,
}

impl Message {
    /// The bytes of an exchange.
    pub fn new(exchange: &Exchange) -> Self {
        let Exchange { host, method, path, headers, status, .. } = exchange;
        let body = exchange.body.bytes();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        Self { head: head.into_bytes(), body, status: *status, expect: exchange.expect.bytes() }
    }
}

/// One connection: the messages in turn, beginning with number `first`, until it is time. Notes each latency,
/// microseconds. A message with a large body has a connection of its own: servers differ in whether they keep one whose
/// request they were reading when the answer ended, and may.
pub async fn connection(
    address: SocketAddr,
    messages: &[Message],
    first: usize,
    until: Instant,
    latencies: &RefCell<Vec<f64>>,
) -> anyhow::Result<()> {
    let mut kept = connect(address).await?;
    let mut received = Vec::with_capacity(256 << 10);
    for message in messages.iter().cycle().skip(first % messages.len()) {
        if Instant::now() >= until {
            break;
        }
        let sent = Instant::now();
        if message.body.len() <= AT_ONCE {
            send(&mut kept, message).await?;
            receive(&mut kept, &mut received, message).await?;
        } else {
            let mut stream = connect(address).await?;
            let (mut from, mut to) = stream.split();
            tokio::try_join!(send(&mut to, message), receive(&mut from, &mut received, message))?;
        }
        latencies.borrow_mut().push(sent.elapsed().as_secs_f64() * 1e6);
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &Message) -> anyhow::Result<()> {
    if message.body.len() <= AT_ONCE {
        let whole = [&message.head[..], &message.body].concat();
        return stream.write_all(&whole).await.context("cannot send");
    }
    stream.write_all(&message.head).await.context("cannot send")?;
    stream.write_all(&message.body).await.context("cannot send a body")
}

async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
    message: &Message,
) -> anyhow::Result<()> {
    received.clear();
    let head = loop {
        more(stream, received).await?;
        if let Some(head) = http::parse_head(received)? {
            break head;
        }
    };
    let text = || String::from_utf8_lossy(received).into_owned();
    ensure!(head.status == message.status, "status {} instead of {}: {}", head.status, message.status, text());
    let mut body = Body::new(head.framing, &message.expect).with_context(text)?;
    let mut complete = body.is_complete();
    if received.len() > head.length {
        complete = body.take(&received[head.length..])?;
    }
    while !complete {
        received.clear();
        more(stream, received).await?;
        complete = body.take(received)?;
    }
    Ok(())
}

async fn more(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> anyhow::Result<()> {
    let read = stream.read_buf(received).await.context("cannot receive")?;
    ensure!(read > 0, "the server closed a connection within an answer");
    Ok(())
}
