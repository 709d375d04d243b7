//! What stands between a socket and hyper: passes on the bytes of requests whose framing is beyond doubt, limits how
//! long a slow client is waited for, and turns what is refused into a request that the service knows to refuse.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use atoll_runtime::inline::is_inline;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::config::ConnectionConfig;
use super::frames::Frames;
use super::framing::{Framing, PREFACE};
use super::patience::Patience;
use super::rules::Rule;
use super::stream::Stream;
use crate::client::Client;

/// Stands in the place of a request that was refused, so that its answer comes in its turn and ends the connection.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";
/// Bytes read at once while a head is not complete.
const PIECE: usize = 4096;
/// What a refused client may still send, so that closing does not take the answer from it, and for how long.
const LINGER: (usize, Duration) = (256 << 10, Duration::from_secs(2));

/// A guarded stream.
pub struct Guard {
    stream: Stream,
    client: Arc<Client>,
    framing: Framing,
    header_bytes: u32,
    frames: Option<Frames>,
    /// Bytes that have been read and not been handed on: first `ready` good ones, then an unfinished head.
    held: Vec<u8>,
    ready: usize,
    head: Patience,
    body: Patience,
    write: Patience,
    /// What had reached the client when it was last credited for that.
    credited: Option<u64>,
    lingering: Option<(usize, Patience)>,
    refused: Option<Refused>,
    /// Interim answers that are not sent yet.
    interim: Vec<u8>,
    /// The task is woken when there is something to read.
    awaited: bool,
}

/// What a refusal leaves to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The request in the place of the refused one, then nothing.
    Request,
    /// An error in the place of the rest of a body.
    Body,
}

impl Guard {
    /// A guard for a new connection.
    pub fn new(stream: Stream, client: Arc<Client>, config: &ConnectionConfig) -> Self {
        let patience = |ms| Patience::new(Duration::from_millis(ms), config.min_rate);
        Self {
            stream,
            client,
            framing: Framing::new(config.header_bytes as usize),
            header_bytes: config.header_bytes,
            frames: None,
            held: Vec::new(),
            ready: 0,
            // A head is due at a fixed time, however its bytes arrive.
            head: Patience::new(Duration::from_millis(config.header_timeout_ms), u32::MAX),
            body: patience(config.body_timeout_ms),
            write: patience(config.write_timeout_ms),
            credited: None,
            lingering: None,
            refused: None,
            interim: Vec::new(),
            awaited: false,
        }
    }

    /// Whether the bytes from here on are not HTTP/1.
    fn is_opaque(&self) -> bool {
        self.framing.is_http2() || self.client.has_upgraded()
    }

    /// Reads until it is clear what the connection speaks: true for HTTP/2. What has been read is read again.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.framing.is_http2() {
                let behind = self.held.split_off(PREFACE.len().min(self.held.len()));
                let mut changed = Vec::new();
                let good = self.follow_frames(&behind, &mut changed)?;
                self.held.extend_from_slice(&behind[..good]);
                self.held.extend_from_slice(&changed);
                self.ready = self.held.len();
                return Poll::Ready(Ok(true));
            }
            if self.ready > 0 {
                return Poll::Ready(Ok(false));
            }
            if ready!(self.poll_more(cx))? == 0 {
                // What it has to say of that, HTTP/1 says.
                return Poll::Ready(Ok(false));
            }
        }
    }

    /// Reads on where a head has not come whole. Bytes that came: none at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let start = self.held.len();
            self.held.resize(start + PIECE, 0);
            let mut piece = ReadBuf::new(&mut self.held[start..]);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut piece);
            let filled = piece.filled().len();
            self.held.truncate(start + filled);
            match read {
                Poll::Ready(Ok(())) => {
                    if filled > 0 {
                        self.judge_held()?;
                    }
                    return Poll::Ready(Ok(filled));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.wait(cx))?;
                    if self.ready > 0 {
                        // A request stands in the place of the one that did not come.
                        return Poll::Ready(Ok(self.ready));
                    }
                }
            }
        }
    }

    /// Follows new bytes of an HTTP/2 connection. So many from their beginning go on as they are, and then what is put to
    /// the end of `changed`.
    fn follow_frames(&mut self, bytes: &[u8], changed: &mut Vec<u8>) -> io::Result<usize> {
        if self.client.has_upgraded() {
            return Ok(bytes.len());
        }
        let frames = self.frames.get_or_insert_with(|| Frames::new(self.header_bytes, Instant::now()));
        let good = frames.advance(bytes, changed, Instant::now).map_err(|offence| {
            tracing::info!(client = %self.client.address, rule = offence.as_str(), "connection refused");
            io::Error::new(io::ErrorKind::InvalidData, offence.as_str())
        })?;
        for (stream, rule) in frames.refused() {
            tracing::info!(client = %self.client.address, rule = rule.code(), "request refused");
            self.client.refuse_stream(stream, rule);
        }
        Ok(good)
    }

    /// Refuses what comes next. In the place of a head comes a request to be refused; a body ends with an error.
    fn refuse(&mut self, rule: Rule) -> io::Result<()> {
        tracing::info!(client = %self.client.address, rule = rule.code(), "request refused");
        self.held.truncate(self.ready);
        if self.framing.is_in_body() {
            self.refused = Some(Refused::Body);
            self.client.refuse(rule, None);
            return Err(io::Error::new(io::ErrorKind::InvalidData, rule.code()));
        }
        self.refused = Some(Refused::Request);
        self.client.refuse(rule, Some(self.framing.heads()));
        self.held.extend_from_slice(REFUSED);
        self.ready = self.held.len();
        Ok(())
    }

    /// Reads the framing of `held` beyond what is known to be good.
    fn judge_held(&mut self) -> io::Result<()> {
        let progress = self.framing.advance(&self.held[self.ready..]);
        self.ready += progress.good;
        self.settle(progress.good);
        let Some(rule) = progress.broken else { return Ok(()) };
        let refusal = self.refuse(rule);
        // What is good first; the error, if it is one, shows with the next read.
        if self.ready > 0 { Ok(()) } else { refusal }
    }

    /// Bytes arrived, `good` of which moved a request on.
    fn settle(&mut self, good: usize) {
        if good > 0 {
            self.head.restore();
        }
        self.body.moved(good as u64);
    }

    /// Nothing arrived: how long may that last?
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_opaque() {
            return Poll::Pending;
        }
        if self.framing.is_in_body() {
            ready!(self.body.wait(cx));
            return Poll::Ready(self.refuse(Rule::BodyTimeout));
        }
        if self.framing.is_between_requests() && self.held.is_empty() {
            // An idle connection is the listener's to end.
            return Poll::Pending;
        }
        ready!(self.head.wait(cx));
        Poll::Ready(self.refuse(Rule::HeadTimeout))
    }

    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let taken = self.ready.min(buf.remaining());
        buf.put_slice(&self.held[..taken]);
        self.held.drain(..taken);
        self.ready -= taken;
        if self.held.is_empty() {
            // Most connections need it only at their beginning.
            self.held = Vec::new();
        }
    }
}

impl AsyncRead for Guard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if is_inline() {
            // The thread of an isolate writes its answer. To read is for the connection's own runtime, which is woken when there is
            // something, if that has been waited for.
            if !this.awaited {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        this.awaited = false;
        loop {
            if this.ready > 0 {
                this.hand_over(buf);
                return Poll::Ready(Ok(()));
            }
            match this.refused {
                // What the client sends after a refusal is read only to let the answer arrive.
                Some(Refused::Request) => return Poll::Pending,
                Some(Refused::Body) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                None => {}
            }
            if !this.held.is_empty() {
                if this.client.has_upgraded() {
                    this.ready = this.held.len();
                    continue;
                }
                if ready!(this.poll_more(cx))? == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let before = buf.filled().len();
            let read = Pin::new(&mut this.stream).poll_read(cx, buf);
            this.awaited = read.is_pending();
            match read {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(this.wait(cx))?;
                    continue;
                }
            }
            let new = &buf.filled()[before..];
            if new.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if this.is_opaque() {
                let mut changed = std::mem::take(&mut this.held);
                let good = this.follow_frames(new, &mut changed)?;
                this.ready = changed.len();
                this.held = changed;
                buf.set_filled(before + good);
                if good == 0 {
                    continue;
                }
                return Poll::Ready(Ok(()));
            }
            let progress = this.framing.advance(new);
            this.settle(progress.good);
            let rest = &new[progress.good..];
            if let Some(rule) = progress.broken {
                let refusal = this.refuse(rule);
                buf.set_filled(before + progress.good);
                if progress.good == 0 {
                    refusal?;
                    continue;
                }
                // What is good first; the error, if it is one, shows with the next read.
                return Poll::Ready(Ok(()));
            }
            if !rest.is_empty() {
                this.held.extend_from_slice(rest);
                buf.set_filled(before + progress.good);
                if progress.good == 0 {
                    continue;
                }
            }
            return Poll::Ready(Ok(()));
        }
    }
}

impl Guard {
    /// Sends what stands before all that is written from here on.
    fn send_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.interim);
            let sent = ready!(self.written(cx, written))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }

    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) if self.write.is_waiting() => {
                let moved = self.newly_acknowledged().unwrap_or(bytes as u64);
                self.write.moved(moved);
            }
            Poll::Pending => {
                if !self.write.is_waiting() {
                    self.credited = self.stream.acknowledged();
                }
                while self.write.wait(cx).is_ready() {
                    // The kernel has so much that a client may read all the time before it takes more.
                    let moved = self.newly_acknowledged().unwrap_or(0);
                    if moved == 0 {
                        tracing::info!(client = %self.client.address, rule = "write-timeout", "connection given up");
                        self.stream.give_up();
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    self.write.moved(moved);
                }
            }
            Poll::Ready(_) => {}
        }
        written
    }

    /// What has reached the client since this was last asked while it is waited for, bytes.
    fn newly_acknowledged(&mut self) -> Option<u64> {
        let acknowledged = self.stream.acknowledged()?;
        Some(acknowledged.saturating_sub(self.credited.replace(acknowledged)?))
    }

    /// Reads and forgets what a refused client still sends, until it stops or there is no patience left.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (left, patience) = self.lingering.get_or_insert_with(|| (LINGER.0, Patience::new(LINGER.1, u32::MAX)));
        let mut buffer = [0; PIECE];
        loop {
            let mut piece = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.stream).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() && *left >= piece.filled().len() => {
                    *left -= piece.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return patience.wait(cx).map(|()| Ok(())),
            }
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.send_interim(cx))?;
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.send_interim(cx))?;
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Whoever flushes has written all it had. Over HTTP/1 that is all of the answers before, because requests are
        // answered one after another; and as long as hints are taken, nothing of this request's answer is made.
        if !this.is_opaque() {
            this.client.hints.write(cx, &mut this.interim);
        }
        ready!(this.send_interim(cx))?;
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.written(cx, flushed.map_ok(|()| 0)).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        if this.refused.is_some() || this.client.must_close() { this.linger(cx) } else { Poll::Ready(Ok(())) }
    }
}
