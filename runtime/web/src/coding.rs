//! Undoes the content codings of HTTP (RFC 9110, section 8.4.1) chunk by chunk, with bounded output per step: a small
//! input that expands to gigabytes fills no more than one buffer at a time.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use crate::event::BodyError;

/// The most a step gives out, in bytes.
const STEP: usize = 64 << 10;

/// A content coding this crate can undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    DeflateRaw,
    Brotli,
}

impl Coding {
    /// The coding of a response with these headers, when it is exactly one of those known.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let value = values.next()?.to_str().ok()?.trim();
        if values.next().is_some() {
            return None;
        }
        let is = |name: &str| value.eq_ignore_ascii_case(name);
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else if is("br") {
            Some(Self::Brotli)
        } else {
            None
        }
    }

    /// Whether a client that sent these headers takes the coding (`Accept-Encoding`, RFC 9110, section 12.5.3).
    pub(crate) fn accepted_by(self, headers: &HeaderMap) -> bool {
        let name = match self {
            Self::Gzip => "gzip",
            Self::Deflate | Self::DeflateRaw => "deflate",
            Self::Brotli => "br",
        };
        let mut any = None;
        for value in headers.get_all(ACCEPT_ENCODING) {
            for item in value.to_str().unwrap_or_default().split(',') {
                let mut parts = item.split(';').map(str::trim);
                let coding = parts.next().unwrap_or_default();
                let refused = parts.any(|p| {
                    p.strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|quality| quality == 0.0))
                });
                if coding.eq_ignore_ascii_case(name) {
                    return !refused;
                }
                if coding == "*" {
                    any = Some(!refused);
                }
            }
        }
        any.unwrap_or(false)
    }
}

/// What came in and was not decoded yet. Asks for more with [`io::ErrorKind::WouldBlock`].
#[derive(Default)]
struct Input {
    chunk: Bytes,
    ended: bool,
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount);
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

/// Decodes one body.
pub(crate) struct Decoder {
    inner: Inner,
    buffer: Box<[u8]>,
    done: bool,
}

enum Inner {
    Gzip(Box<MultiGzDecoder<Input>>),
    Deflate(Box<ZlibDecoder<Input>>),
    DeflateRaw(Box<DeflateDecoder<Input>>),
    Brotli(Box<brotli::Decompressor<Input>>),
}

impl Decoder {
    pub(crate) fn new(coding: Coding) -> Self {
        let input = Input::default();
        let inner = match coding {
            Coding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(input))),
            Coding::Deflate => Inner::Deflate(Box::new(ZlibDecoder::new(input))),
            Coding::DeflateRaw => Inner::DeflateRaw(Box::new(DeflateDecoder::new(input))),
            Coding::Brotli => Inner::Brotli(Box::new(brotli::Decompressor::new(input, 4096))),
        };
        Self { inner, buffer: vec![0; STEP].into_boxed_slice(), done: false }
    }

    /// Adds input. Only after [`read`](Self::read) has asked for it.
    pub(crate) fn write(&mut self, chunk: Bytes) {
        self.input().chunk = chunk;
    }

    /// Says that there is no more input.
    pub(crate) fn finish(&mut self) {
        self.input().ended = true;
    }

    /// The next decoded bytes; `None` when it needs input, or [is done](Self::is_done).
    pub(crate) fn read(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.done {
            return Ok(None);
        }
        let read = match &mut self.inner {
            Inner::Gzip(decoder) => decoder.read(&mut self.buffer),
            Inner::Deflate(decoder) => decoder.read(&mut self.buffer),
            Inner::DeflateRaw(decoder) => decoder.read(&mut self.buffer),
            Inner::Brotli(decoder) => decoder.read(&mut self.buffer),
        };
        match read {
            Ok(0) => {
                self.done = true;
                Ok(None)
            }
            Ok(amount) => Ok(Some(Bytes::copy_from_slice(&self.buffer[..amount]))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => {
                self.done = true;
                Err(BodyError::Failed(format!("the body is not valid compressed data: {error}")))
            }
        }
    }

    /// Whether input is left over after the end of the coded data.
    pub(crate) fn has_rest(&mut self) -> bool {
        !self.input().chunk.is_empty()
    }

    /// Whether everything is decoded.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    fn input(&mut self) -> &mut Input {
        match &mut self.inner {
            Inner::Gzip(decoder) => decoder.get_mut(),
            Inner::Deflate(decoder) => decoder.get_mut(),
            Inner::DeflateRaw(decoder) => decoder.get_mut(),
            Inner::Brotli(decoder) => decoder.get_mut(),
        }
    }
}

#[cfg(test)]
#[path = "coding_tests.rs"]
mod tests;
