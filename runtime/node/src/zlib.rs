//! Compression and decompression, fed piece by piece. A piece is small enough that what comes out of it is bounded, and
//! what the coders of an isolate hold beside that is counted and limited.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;

use deno_core::convert::Uint8Array;
use deno_core::{GarbageCollected, OpState, op2, v8};
use deno_error::JsErrorBox;
use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder, GzEncoder, MultiGzDecoder, ZlibDecoder, ZlibEncoder};

/// What the coders of an isolate may hold together, in bytes.
const BUDGET: usize = 32 << 20;

/// The longest piece in bytes; DEFLATE expands it to at most 1032 times as much.
const LONGEST_PIECE: usize = 16 << 10;

/// What the coders of an isolate hold, in bytes.
#[derive(Clone, Default)]
pub(crate) struct Held(Rc<Cell<usize>>);

enum Inner {
    Deflate(ZlibEncoder<Vec<u8>>),
    Inflate(ZlibDecoder<Vec<u8>>),
    DeflateRaw(DeflateEncoder<Vec<u8>>),
    InflateRaw(DeflateDecoder<Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
    Gunzip(Box<MultiGzDecoder<Vec<u8>>>),
    BrotliEncode(Box<brotli::CompressorWriter<Vec<u8>>>),
    BrotliDecode(Box<brotli::DecompressorWriter<Vec<u8>>>),
}

struct State {
    inner: Inner,
    weight: usize,
    held: Held,
}

impl Drop for State {
    fn drop(&mut self) {
        self.held.0.set(self.held.0.get() - self.weight);
    }
}

/// A coder under way; nothing once it is finished.
pub(crate) struct Coder(RefCell<Option<State>>);

// SAFETY: it holds no reference to anything the engine collects.
unsafe impl GarbageCollected for Coder {
    fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Coder"
    }
}

impl Inner {
    fn new(kind: &str, level: u32, window: u32) -> Option<Self> {
        let out = Vec::new();
        let compression = Compression::new(level.min(9));
        Some(match kind {
            "deflate" => Self::Deflate(ZlibEncoder::new(out, compression)),
            "inflate" => Self::Inflate(ZlibDecoder::new(out)),
            "deflateRaw" => Self::DeflateRaw(DeflateEncoder::new(out, compression)),
            "inflateRaw" => Self::InflateRaw(DeflateDecoder::new(out)),
            "gzip" => Self::Gzip(GzEncoder::new(out, compression)),
            "gunzip" => Self::Gunzip(Box::new(MultiGzDecoder::new(out))),
            "brotliCompress" => {
                let coder = brotli::CompressorWriter::new(out, 4096, level.min(11), window.clamp(10, 22));
                Self::BrotliEncode(Box::new(coder))
            }
            "brotliDecompress" => Self::BrotliDecode(Box::new(brotli::DecompressorWriter::new(out, 4096))),
            _ => return None,
        })
    }

    /// About what it holds, in bytes.
    fn weight(&self, window: u32) -> usize {
        match self {
            Self::Deflate(_) | Self::DeflateRaw(_) | Self::Gzip(_) => 512 << 10,
            Self::Inflate(_) | Self::InflateRaw(_) | Self::Gunzip(_) => 64 << 10,
            Self::BrotliEncode(_) => 6 * (1 << window.clamp(16, 22)),
            Self::BrotliDecode(_) => 6 << 20,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Deflate(coder) => coder,
            Self::Inflate(coder) => coder,
            Self::DeflateRaw(coder) => coder,
            Self::InflateRaw(coder) => coder,
            Self::Gzip(coder) => coder,
            Self::Gunzip(coder) => coder,
            Self::BrotliEncode(coder) => coder,
            Self::BrotliDecode(coder) => coder,
        }
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Deflate(coder) => coder.get_mut(),
            Self::Inflate(coder) => coder.get_mut(),
            Self::DeflateRaw(coder) => coder.get_mut(),
            Self::InflateRaw(coder) => coder.get_mut(),
            Self::Gzip(coder) => coder.get_mut(),
            Self::Gunzip(coder) => coder.get_mut(),
            Self::BrotliEncode(coder) => coder.get_mut(),
            Self::BrotliDecode(coder) => coder.get_mut(),
        })
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Deflate(coder) => coder.finish(),
            Self::Inflate(coder) => coder.finish(),
            Self::DeflateRaw(coder) => coder.finish(),
            Self::InflateRaw(coder) => coder.finish(),
            Self::Gzip(coder) => coder.finish(),
            Self::Gunzip(coder) => coder.finish(),
            Self::BrotliEncode(coder) => Ok(coder.into_inner()),
            Self::BrotliDecode(coder) => coder.into_inner().map_err(|_| io::ErrorKind::InvalidData.into()),
        }
    }
}

fn invalid(error: &io::Error) -> JsErrorBox {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => JsErrorBox::generic("unexpected end of file"),
        _ => JsErrorBox::generic("invalid data"),
    }
}

/// A coder. `level` is the level of DEFLATE or the quality of Brotli, `window` the logarithm of Brotli's window. Throws
/// when the isolate has too many.
#[op2]
#[cppgc]
pub(crate) fn op_node_zlib_open(
    state: &mut OpState,
    #[string] kind: &str,
    #[smi] level: u32,
    #[smi] window: u32,
) -> Result<Coder, JsErrorBox> {
    let held = state.borrow::<Held>().clone();
    let inner = Inner::new(kind, level, window).ok_or_else(|| JsErrorBox::generic("Initialization failed"))?;
    let weight = inner.weight(window);
    if held.0.get() + weight > BUDGET {
        return Err(JsErrorBox::range_error("too many compressions at once: finish or close some first"));
    }
    held.0.set(held.0.get() + weight);
    Ok(Coder(RefCell::new(Some(State { inner, weight, held }))))
}

/// Codes a piece of at most 16 KiB and gives what comes out.
#[op2]
pub(crate) fn op_node_zlib_write(#[cppgc] coder: &Coder, #[buffer] data: &[u8]) -> Result<Uint8Array, JsErrorBox> {
    let mut state = coder.0.borrow_mut();
    let Some(State { inner, .. }) = &mut *state else { return Ok(Vec::new().into()) };
    let mut rest = &data[..data.len().min(LONGEST_PIECE)];
    while !rest.is_empty() {
        match inner.writer().write(rest) {
            // The compressed data has ended; what follows is not part of it.
            Ok(0) => break,
            Ok(amount) => rest = &rest[amount..],
            Err(error) => return Err(invalid(&error)),
        }
    }
    // A decoder of DEFLATE keeps what it has decoded until it is asked for it.
    if matches!(inner, Inner::Inflate(_) | Inner::InflateRaw(_) | Inner::Gunzip(_)) {
        inner.writer().flush().map_err(|error| invalid(&error))?;
    }
    Ok(inner.take().into())
}

/// Gives out all that was put in so far.
#[op2]
pub(crate) fn op_node_zlib_flush(#[cppgc] coder: &Coder) -> Result<Uint8Array, JsErrorBox> {
    let mut state = coder.0.borrow_mut();
    let Some(State { inner, .. }) = &mut *state else { return Ok(Vec::new().into()) };
    inner.writer().flush().map_err(|error| invalid(&error))?;
    Ok(inner.take().into())
}

/// Ends the data and gives the rest. Throws when compressed data ends too early.
#[op2]
pub(crate) fn op_node_zlib_finish(#[cppgc] coder: &Coder) -> Result<Uint8Array, JsErrorBox> {
    let Some(mut state) = coder.0.borrow_mut().take() else { return Ok(Vec::new().into()) };
    // After its end such data takes no byte more; the others tell by themselves.
    let is_cut = matches!(state.inner, Inner::Inflate(_) | Inner::InflateRaw(_))
        && !matches!(state.inner.writer().write(&[0]), Ok(0));
    if is_cut {
        return Err(JsErrorBox::generic("unexpected end of file"));
    }
    let empty = Inner::InflateRaw(DeflateDecoder::new(Vec::new()));
    let inner = std::mem::replace(&mut state.inner, empty);
    inner.finish().map(Into::into).map_err(|_| JsErrorBox::generic("unexpected end of file"))
}

/// Lets a coder go before its end.
#[op2(fast)]
pub(crate) fn op_node_zlib_close(#[cppgc] coder: &Coder) {
    coder.0.borrow_mut().take();
}
