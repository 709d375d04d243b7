//! Compressing bytes: whole contents, and streams of them piece by piece.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::negotiate::Coding;

/// How much work is put into compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Once for many answers.
    Once,
    /// For every answer.
    EveryTime,
}

/// Compresses pieces. What comes out is taken from time to time; nothing is lost between.
pub enum Coder {
    /// Brotli.
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    /// Zstandard.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    /// Gzip.
    Gzip(GzEncoder<Vec<u8>>),
}

impl Coder {
    /// A coder that has compressed nothing. Streams have small windows, so that many of them fit into memory: 256 KiB
    /// with Brotli, 512 KiB with Zstandard, 32 KiB with gzip.
    pub fn new(coding: Coding, effort: Effort) -> io::Result<Self> {
        let once = effort == Effort::Once;
        Ok(match coding {
            Coding::Brotli => {
                let (quality, window) = if once { (9, 22) } else { (4, 18) };
                Self::Brotli(Box::new(brotli::CompressorWriter::new(Vec::new(), 16 << 10, quality, window)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), if once { 15 } else { 3 })?;
                if !once {
                    encoder.window_log(19)?;
                }
                Self::Zstd(encoder)
            }
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(if once { 9 } else { 5 }))),
        })
    }

    /// Takes a piece in.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.writer().write_all(piece)
    }

    /// Brings everything out that was taken in, so that a receiver can decode it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Brotli(writer) => writer.as_mut(),
            Self::Zstd(writer) => writer,
            Self::Gzip(writer) => writer,
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Brotli(writer) => writer.get_mut(),
            Self::Zstd(writer) => writer.get_mut(),
            Self::Gzip(writer) => writer.get_mut(),
        }
    }

    /// How much can be taken.
    pub fn ready(&mut self) -> usize {
        self.out().len()
    }

    /// Takes what has come out.
    pub fn take(&mut self) -> Bytes {
        std::mem::take(self.out()).into()
    }

    /// The rest, with the end of the format.
    pub fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Brotli(writer) => writer.into_inner(),
            Self::Zstd(writer) => writer.finish()?,
            Self::Gzip(writer) => writer.finish()?,
        }
        .into())
    }
}

/// All of `content` compressed. Blocks for as long as that takes.
pub fn compress(coding: Coding, effort: Effort, content: &[u8]) -> io::Result<Bytes> {
    let mut coder = Coder::new(coding, effort)?;
    coder.write(content)?;
    coder.finish()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Read;

    use super::*;

    /// What a receiver makes of bytes, which may end early.
    pub(crate) fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // What is decoded before the end of the input is there even when the input is cut off.
        let _ = match coding {
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out),
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        };
        out
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let content = "a platform for functions at the edge; ".repeat(2000).into_bytes();
        for coding in Coding::SMALLEST {
            for effort in [Effort::Once, Effort::EveryTime] {
                let compressed = compress(coding, effort, &content).unwrap();
                assert!(compressed.len() < content.len() / 10);
                assert_eq!(decoded(coding, &compressed), content, "{coding:?}");
            }
        }
    }

    #[test]
    fn what_is_flushed_can_be_decoded_at_once() {
        for coding in Coding::SMALLEST {
            let mut coder = Coder::new(coding, Effort::EveryTime).unwrap();
            let mut sent = Vec::new();
            for piece in ["data: 1\n\n", "data: 2\n\n"] {
                coder.write(piece.as_bytes()).unwrap();
                coder.flush().unwrap();
                sent.extend_from_slice(&coder.take());
                assert!(decoded(coding, &sent).ends_with(piece.as_bytes()), "{coding:?}");
            }
            sent.extend_from_slice(&coder.finish().unwrap());
            assert_eq!(decoded(coding, &sent), b"data: 1\n\ndata: 2\n\n");
        }
    }
}
