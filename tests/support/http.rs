//! A blocking HTTP/1.1 client that shows what is on the wire: heads, single chunks, truncated bodies.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A response, read whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing said.
    pub complete: bool,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The code in `Atoll-Error`, or nothing.
    pub fn error(&self) -> &str {
        self.header("atoll-error").unwrap_or_default()
    }

    /// Panics unless status and body are these.
    #[track_caller]
    pub fn expect(&self, status: u16, body: &str) {
        let seen = (self.status, self.text());
        assert_eq!(seen, (status, body.to_owned()), "Atoll-Error: {:?}", self.error());
    }

    /// Panics unless the status and the `Atoll-Error` code are these.
    #[track_caller]
    pub fn expect_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.error()), (status, code), "body: {}", self.text());
    }
}

/// A connection that is kept alive.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// How the rest of a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes are left.
    Length(usize),
    /// Chunked; the next chunk's size line is next.
    Chunked,
    /// Until the connection closes.
    Close,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        stream.set_write_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// The socket, for time-outs and half-closing.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Writes a request head. `headers` must say how the body is framed, if there is one.
    pub fn send_head(&mut self, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> std::io::Result<()> {
        let mut message = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in headers {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        message.push_str("\r\n");
        self.stream.write_all(message.as_bytes())
    }

    /// Writes one chunk of a chunked body; an empty one ends it.
    pub fn send_chunk(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        let mut message = format!("{:x}\r\n", chunk.len()).into_bytes();
        message.extend_from_slice(chunk);
        message.extend_from_slice(b"\r\n");
        self.stream.write_all(&message)
    }

    /// Sends a request with a body of known length and reads the whole response.
    pub fn request(
        &mut self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Response> {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !body.is_empty() || method == "POST" || method == "PUT" {
            headers.push(("content-length", &length));
        }
        self.send_head(method, host, path, &headers)?;
        // A server that refuses may answer and close before it has read everything: the answer is what counts.
        let sent = self.stream.write_all(body);
        let answer = self.read_response(method == "HEAD");
        match (sent, answer) {
            (_, Ok(response)) => Ok(response),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        }
    }

    /// Reads a whole response; a truncated body is not an error, see [`Response::complete`].
    pub fn read_response(&mut self, without_body: bool) -> std::io::Result<Response> {
        let (mut response, mut framing) = self.read_head()?;
        if without_body {
            framing = Framing::Length(0);
        }
        loop {
            match self.read_body(&mut framing) {
                Ok(Some(chunk)) => response.body.extend_from_slice(&chunk),
                Ok(None) => break response.complete = true,
                Err(_) => break,
            }
        }
        Ok(response)
    }

    /// Reads a response's head; interim (1xx) responses are skipped.
    pub fn read_head(&mut self) -> std::io::Result<(Response, Framing)> {
        loop {
            let end = loop {
                if let Some(end) = find(&self.received, b"\r\n\r\n") {
                    break end;
                }
                self.fill()?;
            };
            let text = String::from_utf8_lossy(&self.received[..end]).into_owned();
            self.received.drain(..end + 4);
            let mut lines = text.split("\r\n");
            let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
            let status: u16 = status.ok_or_else(|| invalid(format!("status line of {text:?}")))?;
            if (100..200).contains(&status) {
                continue;
            }
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let response = Response { status, headers, body: Vec::new(), complete: false };
            let framing = if matches!(status, 204 | 304) {
                Framing::Length(0)
            } else if response.header("transfer-encoding") == Some("chunked") {
                Framing::Chunked
            } else if let Some(length) = response.header("content-length") {
                Framing::Length(length.parse().map_err(|_| invalid(format!("content-length {length:?}")))?)
            } else {
                Framing::Close
            };
            return Ok((response, framing));
        }
    }

    /// The next piece of a body: one chunk, or what has arrived. `None` at its end.
    pub fn read_body(&mut self, framing: &mut Framing) -> std::io::Result<Option<Vec<u8>>> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.received.is_empty() {
                    self.fill()?;
                }
                let take = self.received.len().min(*left);
                *left -= take;
                Ok(Some(self.received.drain(..take).collect()))
            }
            Framing::Close => {
                if self.received.is_empty() {
                    match self.fill() {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                        Err(error) => return Err(error),
                    }
                }
                Ok(Some(std::mem::take(&mut self.received)))
            }
            Framing::Chunked => {
                let end = self.wait_for(|received| find(received, b"\r\n"))?;
                let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
                let size = line.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
                let size = size.ok_or_else(|| invalid(format!("chunk size {line:?}")))?;
                self.wait_for(|received| (received.len() >= end + 4 + size).then_some(0))?;
                let chunk = self.received[end + 2..end + 2 + size].to_vec();
                self.received.drain(..end + 4 + size);
                if size == 0 {
                    *framing = Framing::Length(0);
                    return Ok(None);
                }
                Ok(Some(chunk))
            }
        }
    }

    fn wait_for(&mut self, mut found: impl FnMut(&[u8]) -> Option<usize>) -> std::io::Result<usize> {
        loop {
            if let Some(at) = found(&self.received) {
                return Ok(at);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 64 << 10];
        match self.stream.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.received.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn invalid(text: String) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, text)
}

/// One request on a connection of its own.
pub fn try_request(
    address: SocketAddr,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    Connection::open(address)?.request(method, host, path, headers, body)
}

/// `GET` on a connection of its own.
#[track_caller]
pub fn get(address: SocketAddr, host: &str, path: &str) -> Response {
    try_request(address, "GET", host, path, &[], b"").unwrap_or_else(|error| panic!("GET {host}{path}: {error}"))
}

/// `POST` on a connection of its own.
#[track_caller]
pub fn post(address: SocketAddr, host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let answer = try_request(address, "POST", host, path, headers, body);
    answer.unwrap_or_else(|error| panic!("POST {host}{path}: {error}"))
}

/// Sends these bytes and returns all that comes back until the server closes or a response is there.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Response> {
    let mut connection = Connection::open(address)?;
    connection.stream.write_all(bytes)?;
    connection.read_response(false)
}
