//! Bodies whose bytes come from outside the isolate: of requests, and of the responses to outbound requests.
//!
//! JavaScript names a body by a handle and reads it chunk by chunk, as a whole, or passes it on unread, in which case
//! no byte of it enters the isolate. Content codings are undone when a body is read and left alone when it is passed on.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tokio::sync::Notify;

use crate::coding::{Coding, Decoder};
use crate::connections::Permit;
use crate::event::{Body, BodyError, BodyStream, Trailers};
use crate::handles::Handles;
use crate::memory::Counted;

/// A body of so many bytes that is here and that nobody reads may wait for its request's end, bytes.
const SHORT: u64 = 8 << 10;

/// The bodies of an isolate that are not consumed yet.
#[derive(Default)]
pub(crate) struct Bodies {
    table: Handles<Entry>,
}

struct Entry {
    /// `None` while a read is under way.
    body: Option<HostBody>,
    /// Stops the read under way.
    dropped: Rc<Notify>,
    slot: u32,
}

/// One body.
pub(crate) struct HostBody {
    source: Source,
    length: Option<u64>,
    trailers: Trailers,
    coding: Option<Coding>,
    decoder: Option<Decoder>,
    permit: Option<Permit>,
    /// Its bytes, where it is here as a whole and came from another host.
    counted: Option<Counted>,
    slot: u32,
}

enum Source {
    Full(Bytes),
    Stream(BodyStream),
}

impl HostBody {
    /// The body of the request `slot`, or of a response to one of its outbound requests; `None` for no body.
    pub(crate) fn new(body: Body, slot: u32) -> Option<Self> {
        let (source, length, trailers) = match body {
            Body::Empty | Body::Socket(_) => return None,
            Body::Full(bytes) => {
                let length = bytes.len() as u64;
                (Source::Full(bytes), Some(length), Trailers::default())
            }
            Body::Stream { stream, length, trailers } => (Source::Stream(stream), length, trailers),
        };
        Some(Self { source, length, trailers, coding: None, decoder: None, permit: None, counted: None, slot })
    }

    /// Says how the bytes are coded and what is held until they are consumed.
    pub(crate) fn with(mut self, coding: Option<Coding>, permit: Option<Permit>) -> Self {
        self.coding = coding;
        // A body that is here already keeps no connection busy.
        self.permit = permit.filter(|_| matches!(self.source, Source::Stream(_)));
        self
    }

    /// Has its bytes counted as long as they are held here.
    pub(crate) fn counted(mut self, mut counted: Counted) -> Self {
        if let Source::Full(bytes) = &self.source {
            counted.add(bytes.len());
            self.counted = Some(counted);
        }
        self
    }

    /// Says how the bytes are coded.
    pub(crate) fn coded(mut self, coding: Option<Coding>) -> Self {
        self.coding = coding;
        self
    }

    /// Whether it can be read at once.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.source, Source::Full(_)) && self.coding.is_none()
    }

    /// Whether it has no more than [`SHORT`] bytes, by what is known of its length.
    pub(crate) fn is_short(&self) -> bool {
        self.length.is_some_and(|length| length <= SHORT)
    }

    /// The coding of the bytes as they came.
    pub(crate) fn coding(&self) -> Option<Coding> {
        self.coding
    }

    /// The bytes, when they are all here.
    pub(crate) fn into_bytes(self) -> Option<Bytes> {
        match self.source {
            Source::Full(bytes) if self.coding.is_none() => Some(bytes),
            _ => None,
        }
    }

    /// To pass it on as it came, with what it holds.
    pub(crate) fn into_raw(self) -> (Body, Option<Permit>) {
        match self.source {
            Source::Full(bytes) => (Body::Full(bytes), self.permit),
            Source::Stream(stream) => {
                (Body::Stream { stream, length: self.length, trailers: self.trailers }, self.permit)
            }
        }
    }

    /// To pass it on with its coding undone.
    pub(crate) fn into_decoded(mut self) -> (Body, Option<Permit>) {
        if self.coding.is_none() {
            return self.into_raw();
        }
        let permit = self.permit.take();
        let trailers = self.trailers.clone();
        let chunks = stream::unfold(Some(self), |body| async move {
            let mut body = body?;
            match body.next().await? {
                Ok(chunk) => Some((Ok(chunk), Some(body))),
                Err(error) => Some((Err(error), None)),
            }
        });
        (Body::Stream { stream: Box::pin(chunks), length: None, trailers }, permit)
    }

    /// To pass it on with these headers: as it came where they still name the coding it came with, else decoded.
    pub(crate) fn into_described(self, headers: &mut HeaderMap) -> (Body, Option<Permit>) {
        match self.coding {
            Some(coding) if Coding::of(headers) != Some(coding) => {
                headers.remove(CONTENT_LENGTH);
                self.into_decoded()
            }
            _ => self.into_raw(),
        }
    }

    /// The next chunk, decoded; never empty.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let Some(coding) = self.coding else { return self.next_raw().await };
        loop {
            let decoder = self.decoder.get_or_insert_with(|| Decoder::new(coding));
            match decoder.read() {
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                Ok(None) if decoder.is_done() => {
                    // Bytes after the end of the coded data are not part of the body.
                    self.source = Source::Full(Bytes::new());
                    return None;
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            match self.next_raw().await {
                Some(Ok(chunk)) => self.decoder.as_mut().expect("made above").write(chunk),
                Some(Err(error)) => return Some(Err(error)),
                None => self.decoder.as_mut().expect("made above").finish(),
            }
        }
    }

    async fn next_raw(&mut self) -> Option<Result<Bytes, BodyError>> {
        match &mut self.source {
            Source::Full(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(Ok),
            Source::Stream(stream) => loop {
                match stream.next().await {
                    Some(Ok(chunk)) if chunk.is_empty() => {}
                    chunk => return chunk,
                }
            },
        }
    }

    /// All of it, at most `limit` bytes.
    async fn collect(&mut self, limit: usize, mut counted: Counted) -> Result<Bytes, BodyError> {
        let mut first = None;
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            counted.add(chunk.len());
            if all.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
                return Err(BodyError::TooLarge { limit: limit as u64 });
            }
            match first.take() {
                None if all.is_empty() => first = Some(chunk),
                None => all.extend_from_slice(&chunk),
                Some(start) => {
                    all.reserve(start.len() + chunk.len());
                    all.extend_from_slice(&start);
                    all.extend_from_slice(&chunk);
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    }
}

/// A read under way: the body is out of the table for as long.
pub(crate) struct Reading {
    body: HostBody,
    dropped: Rc<Notify>,
    handle: u32,
}

impl Reading {
    /// The next chunk; `None` at the end, and when the body was dropped meanwhile.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        tokio::select! {
            chunk = self.body.next() => chunk,
            () = self.dropped.notified() => None,
        }
    }

    /// The whole body, at most `limit` bytes.
    pub(crate) async fn collect(mut self, limit: usize, counted: Counted) -> Result<Bytes, BodyError> {
        tokio::select! {
            bytes = self.body.collect(limit, counted) => bytes,
            () = self.dropped.notified() => Err(BodyError::Closed),
        }
    }
}

impl Bodies {
    /// A handle for the body; `None` when there are too many.
    pub(crate) fn insert(&mut self, body: HostBody) -> Option<u32> {
        let slot = body.slot;
        self.table.insert(Entry { body: Some(body), dropped: Rc::default(), slot }).ok()
    }

    /// Takes an unread body out for good.
    pub(crate) fn take(&mut self, handle: u32) -> Option<HostBody> {
        self.table.get(handle)?.body.as_ref()?;
        self.table.remove(handle)?.body
    }

    /// Begins a read.
    pub(crate) fn begin(&mut self, handle: u32) -> Option<Reading> {
        let entry = self.table.get_mut(handle)?;
        let body = entry.body.take()?;
        Some(Reading { body, dropped: entry.dropped.clone(), handle })
    }

    /// Ends a read that has not come to the body's end.
    pub(crate) fn put_back(&mut self, reading: Reading) {
        if let Some(entry) = self.table.get_mut(reading.handle) {
            entry.body = Some(reading.body);
        }
    }

    /// Drops a body, also while it is being read.
    pub(crate) fn remove(&mut self, handle: u32) {
        if let Some(entry) = self.table.remove(handle) {
            entry.dropped.notify_one();
        }
    }

    /// Drops what a finished request has left unread.
    pub(crate) fn drop_of(&mut self, slot: u32) {
        if self.table.len() == 0 {
            return;
        }
        let left: Vec<u32> =
            self.table.iter_mut().filter(|(_, entry)| entry.slot == slot).map(|(handle, _)| handle).collect();
        for handle in left {
            self.remove(handle);
        }
    }

    /// Takes the permit of a body that nobody is reading at the moment; dropping it lets another request begin.
    pub(crate) fn lend_permit(&mut self) -> Option<Permit> {
        self.table.iter_mut().find_map(|(_, entry)| entry.body.as_mut()?.permit.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Meter;

    #[test]
    fn a_body_that_is_here_is_counted_until_it_is_gone() {
        let meter = Meter::default();
        let body = |length: u64| HostBody::new(Body::Full(Bytes::from(vec![0; length as usize])), 1).unwrap();
        let (short, long) = (body(SHORT).counted(meter.start()), body(SHORT + 1).counted(meter.start()));
        assert!(short.is_here() && short.is_short() && long.is_here() && !long.is_short());
        assert_eq!(meter.bytes() as u64, 2 * SHORT + 1);
        let mut bodies = Bodies::default();
        let handle = bodies.insert(short).unwrap();
        bodies.insert(long).unwrap();
        bodies.remove(handle);
        assert_eq!(meter.bytes() as u64, SHORT + 1);
        bodies.drop_of(1);
        assert_eq!(meter.bytes(), 0);
    }
}
