//! A blocking HTTP/1.1 client on one connection that notes when the first byte of an answer came.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How long an answer is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kept-alive connection.
pub struct Connection {
    stream: TcpStream,
}

/// A whole answer.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// From just before the request was written to the first byte read.
    pub first_byte: Duration,
}

/// What a response head says of the body that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Length of the head, blank line included.
    pub length: usize,
    /// How the body is framed.
    pub framing: Framing,
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`, bytes.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Connection {
    /// Connects, without Nagle's delay.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// Sends one request and reads the whole answer.
    pub fn request(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut message = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        for (name, value) in headers {
            message.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !body.is_empty() {
            message.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(body);
        let sent = Instant::now();
        self.stream.write_all(&message).context("cannot send a request")?;
        let mut received = Vec::new();
        let mut first_byte = None;
        loop {
            let mut chunk = [0; 16 << 10];
            let read = self.stream.read(&mut chunk).context("no answer")?;
            first_byte.get_or_insert_with(|| sent.elapsed());
            let before = String::from_utf8_lossy(&received[..received.len().min(300)]);
            ensure!(
                read > 0,
                "the server closed the connection to {host} within an answer to {method} {path}: {before:?}"
            );
            received.extend_from_slice(&chunk[..read]);
            if let Some((head, body)) = parse(&received)? {
                let first_byte = first_byte.unwrap_or_default();
                let text = String::from_utf8_lossy(&received[..head.length]).into_owned();
                return Ok(Answer { status: head.status, head: text, body, first_byte });
            }
        }
    }
}

/// The head and the whole body, or `None` when more bytes are needed.
pub fn parse(received: &[u8]) -> anyhow::Result<Option<(Head, Vec<u8>)>> {
    let Some(head) = parse_head(received)? else { return Ok(None) };
    let rest = &received[head.length..];
    let body = match head.framing {
        Framing::Length(length) => rest.get(..length).map(<[u8]>::to_vec),
        Framing::Chunked => dechunk(rest)?,
    };
    Ok(body.map(|body| (head, body)))
}

/// The head, or `None` when it is not complete.
pub fn parse_head(received: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&received[..end]).context("a response head that is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status = status.context("no HTTP/1.1 status line")?;
    let mut framing = Framing::Length(0);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { bail!("a response header without a colon: {line}") };
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.trim().parse().context("content-length")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            framing = Framing::Chunked;
        }
    }
    Ok(Some(Head { status, length: end + 4, framing }))
}

/// The value of a header in the text of a head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    values.next()
}

/// A chunked body (RFC 9112 §7.1) without trailers, or `None` when it is not complete.
fn dechunk(mut rest: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.context("a chunk without a size")?;
        let Some(chunk) = rest.get(end + 2..end + 2 + size + 2) else { return Ok(None) };
        ensure!(chunk.ends_with(b"\r\n"), "a chunk that does not end where it says");
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_in_both_framings() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n";
        for message in [&plain[..], chunked] {
            for cut in 0..message.len() {
                assert!(parse(&message[..cut]).unwrap().is_none(), "complete after {cut} bytes");
            }
            assert_eq!(parse(message).unwrap().unwrap().1, b"hi");
        }
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let head = "HTTP/1.1 200 OK\r\nX-Varnish: 5 3 \r\nAge: 1\r\n\r\n";
        assert_eq!(header(head, "x-varnish"), Some("5 3"));
        assert_eq!(header(head, "x-cache"), None);
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(parse(b"SSH-2.0\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n").is_err());
    }
}
