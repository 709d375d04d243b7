//! Memory an isolate holds outside of V8's sight: blobs, and bodies while they are read as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deno_core::OpState;
use deno_core::url::Url;
use deno_web::{Blob, BlobPart, BlobStore, BlobStoreTrait};
use futures::FutureExt;
use uuid::Uuid;

/// Counts bytes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<AtomicUsize>);

/// Bytes that are counted until this is dropped.
pub(crate) struct Counted {
    meter: Meter,
    bytes: usize,
}

impl Meter {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The bytes counted now.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A count of zero bytes to add to.
    pub(crate) fn start(&self) -> Counted {
        Counted { meter: self.clone(), bytes: 0 }
    }
}

impl Counted {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.meter.add(bytes);
    }

    /// Counts this many bytes in place of those so far.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.meter.add(bytes);
        self.meter.subtract(self.bytes);
        self.bytes = bytes;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.meter.subtract(self.bytes);
    }
}

/// Bytes the isolate holds that V8 does not know of; to be added to what V8 reports when memory is limited.
pub fn off_heap(state: &OpState) -> usize {
    state.borrow::<Meter>().bytes()
}

/// What [`off_heap`] says, for other threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OffHeap(Meter);

impl OffHeap {
    /// That of an isolate.
    pub fn of(state: &OpState) -> Self {
        Self(state.borrow::<Meter>().clone())
    }

    /// The bytes now.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// A blob store that counts what it holds. Slices and clones of a part share its buffer, which counts once, for as long
/// as any of them is there.
#[derive(Debug, Default)]
pub(crate) struct MeteredBlobs {
    store: BlobStore,
    meter: Meter,
    /// By address.
    buffers: Mutex<BTreeMap<usize, Buffer>>,
}

#[derive(Debug)]
struct Buffer {
    bytes: usize,
    holders: usize,
}

impl MeteredBlobs {
    pub(crate) fn store(meter: Meter) -> Arc<dyn BlobStoreTrait> {
        Arc::new(Self { meter, ..Self::default() })
    }

    fn hold(&self, part: &Part) {
        let Some((address, bytes)) = extent(part) else { return };
        let mut buffers = self.lock();
        match enclosing(&mut buffers, address, bytes) {
            Some((_, buffer)) => buffer.holders += 1,
            None => {
                buffers.insert(address, Buffer { bytes, holders: 1 });
                self.meter.add(bytes);
            }
        }
    }

    fn release(&self, part: &Part) {
        let Some((address, bytes)) = extent(part) else { return };
        let mut buffers = self.lock();
        let Some((start, buffer)) = enclosing(&mut buffers, address, bytes) else { return };
        buffer.holders -= 1;
        if buffer.holders == 0 {
            let bytes = buffer.bytes;
            buffers.remove(&start);
            self.meter.subtract(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Buffer>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Part = Arc<dyn BlobPart + Send + Sync>;

/// Address and length of a part's bytes; `None` when there are none or they are not in memory.
fn extent(part: &Part) -> Option<(usize, usize)> {
    let bytes = part.read().now_or_never()?;
    (!bytes.is_empty()).then(|| (bytes.as_ptr().addr(), bytes.len()))
}

/// The buffer that these bytes are part of.
fn enclosing(buffers: &mut BTreeMap<usize, Buffer>, address: usize, bytes: usize) -> Option<(usize, &mut Buffer)> {
    let (start, buffer) = buffers.range_mut(..=address).next_back()?;
    (address + bytes <= start + buffer.bytes).then_some((*start, buffer))
}

impl BlobStoreTrait for MeteredBlobs {
    fn insert_part(&self, part: Part) -> Uuid {
        self.hold(&part);
        self.store.insert_part(part)
    }

    fn get_part(&self, id: &Uuid) -> Option<Part> {
        self.store.get_part(id)
    }

    fn remove_part(&self, id: &Uuid) -> Option<Part> {
        let part = self.store.remove_part(id)?;
        self.release(&part);
        Some(part)
    }

    fn get_object_url(&self, url: Url) -> Option<Arc<Blob>> {
        self.store.get_object_url(url)
    }

    fn insert_object_url(&self, blob: Blob, location: Option<Url>) -> Url {
        blob.parts.iter().for_each(|part| self.hold(part));
        self.store.insert_object_url(blob, location)
    }

    fn remove_object_url(&self, url: &Url) {
        if let Some(blob) = self.store.get_object_url(url.clone()) {
            blob.parts.iter().for_each(|part| self.release(part));
        }
        self.store.remove_object_url(url);
    }

    fn clear(&self) {
        self.store.clear();
        for buffer in std::mem::take(&mut *self.lock()).into_values() {
            self.meter.subtract(buffer.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use deno_web::InMemoryBlobPart;

    use super::*;

    #[test]
    fn a_buffer_counts_once_until_its_last_holder_goes() {
        let meter = Meter::default();
        let count = || meter.0.load(Ordering::Relaxed);
        let store = MeteredBlobs { meter: meter.clone(), ..MeteredBlobs::default() };
        let part: Part = Arc::new(InMemoryBlobPart::from(vec![0; 100]));
        let first = store.insert_part(part.clone());
        let other = store.insert_part(Arc::new(InMemoryBlobPart::from(vec![0; 7])));
        assert_eq!(count(), 107);
        let clone = store.insert_part(part.clone());
        let url = store.insert_object_url(Blob { media_type: String::new(), parts: vec![part] }, None);
        assert_eq!(count(), 107);
        store.remove_part(&first);
        store.remove_part(&clone);
        store.remove_part(&clone);
        store.remove_part(&other);
        assert_eq!(count(), 100);
        store.remove_object_url(&url);
        store.remove_object_url(&url);
        assert_eq!(count(), 0);
        store.insert_part(Arc::new(InMemoryBlobPart::from(Vec::new())));
        assert_eq!(count(), 0);
    }

    #[test]
    fn counted_bytes_are_forgotten_with_their_owner() {
        let meter = Meter::default();
        let mut counted = meter.start();
        counted.add(3);
        counted.add(4);
        assert_eq!(meter.0.load(Ordering::Relaxed), 7);
        drop(counted);
        assert_eq!(meter.0.load(Ordering::Relaxed), 0);
    }
}
