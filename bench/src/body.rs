//! A response's body as it comes, compared with what it has to be without being kept.

use anyhow::{Context, ensure};

use crate::http::Framing;

/// A body of which a part has come.
pub struct Body<'a> {
    expect: &'a [u8],
    compared: usize,
    state: State,
}

/// What comes next.
#[derive(Debug, PartialEq)]
enum State {
    /// So many bytes of content, then the end.
    Length(usize),
    /// The line with a chunk's size, of which this has come (RFC 9112 §7.1).
    Size(Vec<u8>),
    /// So many bytes of a chunk and its line end.
    Chunk {
        content: usize,
        end: usize,
    },
    /// So many bytes of the line end after the last chunk.
    Last(usize),
    Done,
}

impl<'a> Body<'a> {
    /// A body of which nothing has come.
    pub fn new(framing: Framing, expect: &'a [u8]) -> anyhow::Result<Self> {
        let state = match framing {
            Framing::Length(length) => {
                ensure!(length == expect.len(), "{length} bytes instead of {}", expect.len());
                if length == 0 { State::Done } else { State::Length(length) }
            }
            Framing::Chunked => State::Size(Vec::new()),
        };
        Ok(Self { expect, compared: 0, state })
    }

    /// Takes what has come. Says whether the body is complete.
    pub fn take(&mut self, mut received: &[u8]) -> anyhow::Result<bool> {
        while !received.is_empty() {
            let used = match &mut self.state {
                State::Length(left) => {
                    let used = received.len().min(*left);
                    *left -= used;
                    let done = *left == 0;
                    self.compare(&received[..used])?;
                    if done {
                        self.state = State::Done;
                    }
                    used
                }
                State::Size(line) => {
                    let end = received.iter().position(|byte| *byte == b'\n');
                    let used = end.map_or(received.len(), |end| end + 1);
                    line.extend_from_slice(&received[..used]);
                    ensure!(line.len() < 64, "a chunk without a size");
                    if end.is_some() {
                        self.state = after_size(line)?;
                    }
                    used
                }
                State::Chunk { content, .. } if *content > 0 => {
                    let used = received.len().min(*content);
                    *content -= used;
                    self.compare(&received[..used])?;
                    used
                }
                State::Chunk { end, .. } | State::Last(end) => {
                    ensure!(received[0] == b"\n\r"[*end - 1], "a chunk that does not end where it says");
                    *end -= 1;
                    match self.state {
                        State::Chunk { end: 0, .. } => self.state = State::Size(Vec::new()),
                        State::Last(0) => self.state = State::Done,
                        _ => {}
                    }
                    1
                }
                State::Done => anyhow::bail!("{} bytes after the answer", received.len()),
            };
            received = &received[used..];
        }
        if self.state != State::Done {
            return Ok(false);
        }
        ensure!(self.compared == self.expect.len(), "{} bytes instead of {}", self.compared, self.expect.len());
        Ok(true)
    }

    /// Whether nothing more comes.
    pub fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    fn compare(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        if self.expect[self.compared..].starts_with(piece) {
            self.compared += piece.len();
            return Ok(());
        }
        let piece = String::from_utf8_lossy(&piece[..piece.len().min(200)]);
        anyhow::bail!("a wrong body after {} bytes: {piece:?}", self.compared)
    }
}

fn after_size(line: &[u8]) -> anyhow::Result<State> {
    let text = std::str::from_utf8(line).ok().and_then(|line| line.trim_end().split(';').next());
    let size = text.and_then(|text| usize::from_str_radix(text, 16).ok()).context("a chunk without a size")?;
    Ok(if size == 0 { State::Last(2) } else { State::Chunk { content: size, end: 2 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(framing: Framing, message: &[u8], expect: &[u8], step: usize) -> anyhow::Result<bool> {
        let mut body = Body::new(framing, expect)?;
        let mut complete = body.is_complete();
        for piece in message.chunks(step) {
            assert!(!complete, "complete before the end");
            complete = body.take(piece)?;
        }
        Ok(complete)
    }

    #[test]
    fn both_framings_are_read_in_pieces_of_any_size() {
        let chunked = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
        for step in 1..=chunked.len() {
            assert!(takes(Framing::Chunked, chunked, b"abcdefg", step).unwrap(), "pieces of {step}");
            assert!(takes(Framing::Length(7), b"abcdefg", b"abcdefg", step).unwrap());
        }
        assert!(takes(Framing::Length(0), b"", b"", 1).unwrap());
        assert!(!takes(Framing::Chunked, &chunked[..chunked.len() - 1], b"abcdefg", 5).unwrap());
    }

    #[test]
    fn what_differs_is_an_error() {
        for (framing, message) in [
            (Framing::Length(3), &b"abd"[..]),
            (Framing::Length(2), b"ab"),
            (Framing::Chunked, b"2\r\nab\r\n0\r\n\r\n"),
            (Framing::Chunked, b"4\r\nabcd\r\n0\r\n\r\n"),
            (Framing::Chunked, b"3\r\nabcX\n"),
            (Framing::Chunked, b"xyz\r\n"),
            (Framing::Length(3), b"abcd"),
        ] {
            assert!(takes(framing, message, b"abc", message.len()).is_err(), "{framing:?} {message:?}");
        }
    }
}
