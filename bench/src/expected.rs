//! What an answer under load must be, and how one is read and compared.

use anyhow::{Context, ensure};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::cached::Object;
use crate::http::{self, Framing};
use crate::load::Options;

/// What every answer must be.
pub enum Expected {
    /// This body, in whichever framing.
    Body(String),
    /// This object, of a known length, and a hit of the cache.
    Hit {
        /// The object.
        object: Object,
        /// The header that says that it is a hit.
        header: String,
        /// What that has in a hit.
        part: String,
    },
}

impl Expected {
    /// What the options say.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        match (&options.expect, options.object, &options.hit_header, &options.hit_part) {
            (Some(expect), ..) => Ok(Self::Body(expect.clone())),
            (None, Some(size), Some(header), Some(part)) => {
                Ok(Self::Hit { object: Object::new(size), header: header.clone(), part: part.clone() })
            }
            _ => anyhow::bail!("nothing says what to expect"),
        }
    }

    /// The path to ask for.
    pub fn path(&self) -> String {
        match self {
            Self::Body(_) => "/".into(),
            Self::Hit { object, .. } => object.path(),
        }
    }

    /// How large a buffer to read into, bytes. Large objects are read in pieces of that size.
    pub fn buffer(&self) -> usize {
        match self {
            Self::Body(_) => 4096,
            Self::Hit { object, .. } => (object.bytes().len() + 4096).min(256 << 10),
        }
    }

    /// Reads one answer, with `received` as an empty buffer, and compares it.
    pub async fn receive(&self, stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> anyhow::Result<()> {
        match self {
            Self::Body(expect) => receive_body(stream, received, expect.as_bytes()).await,
            Self::Hit { object, header, part } => {
                let hit = |head: &str| http::header(head, header).is_some_and(|value| value.contains(part));
                receive_hit(stream, received, object.bytes(), hit).await
            }
        }
    }
}

async fn receive_body(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
    expect: &[u8],
) -> anyhow::Result<()> {
    let (head, body) = loop {
        more(stream, received).await?;
        if let Some(answer) = http::parse(received)? {
            break answer;
        }
    };
    ensure!(head.status == 200, "status {}: {}", head.status, String::from_utf8_lossy(&body));
    ensure!(body == expect, "a wrong answer: {:?}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Compares what has come as it comes, so that no whole body is kept.
async fn receive_hit(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
    expect: &[u8],
    hit: impl Fn(&str) -> bool,
) -> anyhow::Result<()> {
    let head = loop {
        more(stream, received).await?;
        if let Some(head) = http::parse_head(received)? {
            break head;
        }
    };
    let text = String::from_utf8_lossy(&received[..head.length]);
    ensure!(head.status == 200 && hit(&text), "no hit: {text}");
    ensure!(head.framing == Framing::Length(expect.len()), "not of {} bytes: {text}", expect.len());
    let mut rest = expect;
    received.drain(..head.length);
    loop {
        ensure!(rest.starts_with(received), "a wrong body after {} bytes", expect.len() - rest.len());
        rest = &rest[received.len()..];
        if rest.is_empty() {
            return Ok(());
        }
        received.clear();
        more(stream, received).await?;
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> anyhow::Result<()> {
    let read = stream.read_buf(received).await.context("cannot receive")?;
    ensure!(read > 0, "the server closed a connection within an answer");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(message: &[u8], expect: &[u8]) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let hit = |head: &str| http::header(head, "x-cache") == Some("HIT");
        let mut stream = message;
        runtime.block_on(receive_hit(&mut stream, &mut Vec::with_capacity(64), expect, hit))
    }

    #[test]
    fn only_a_hit_with_the_right_bytes_will_do() {
        let answer = |cache: &str, body: &str| {
            format!("HTTP/1.1 200 OK\r\nX-Cache: {cache}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        };
        let body = "0123456789".repeat(40);
        receive(&answer("HIT", &body), body.as_bytes()).unwrap();
        let error = |message: &[u8]| receive(message, body.as_bytes()).unwrap_err().to_string();
        assert!(error(&answer("MISS", &body)).starts_with("no hit"));
        assert!(error(&answer("HIT", &body[1..])).starts_with("not of 400 bytes"));
        assert!(error(&answer("HIT", &body.replace('9', "8"))).starts_with("a wrong body"));
        let cut = answer("HIT", &body);
        assert!(error(&cut[..cut.len() - 1]).contains("closed a connection"));
    }
}
