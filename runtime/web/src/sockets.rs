//! The ends of WebSockets that an isolate's code holds.

use std::rc::Rc;

use crate::handles::Handles;
use crate::memory::{Counted, Meter};
use crate::socket::Socket;

/// WebSockets to other hosts that an isolate may have open at once.
pub(crate) const MOST_OUTBOUND: usize = 128;
/// Bytes that may wait to be sent in all WebSockets of an isolate together before those are refused more in which more
/// than their share waits: slow clients cost an app some of its memory, not its isolate.
const MOST_TOGETHER: usize = 32 << 20;
/// What an end counts of the isolate's memory besides the messages that wait in it, bytes.
const SIZE: usize = 1 << 10;

/// All ends in an isolate.
#[derive(Default)]
pub(crate) struct Sockets {
    table: Handles<End>,
    outbound: usize,
    /// Bytes that wait to be sent.
    waiting: Meter,
}

/// One end.
pub(crate) struct End {
    socket: Rc<Socket>,
    /// The other end, when it is in this isolate too.
    partner: u32,
    /// The code has taken it up, and reads from it.
    accepted: bool,
    /// The request it belongs to: the one it was the answer to, or the one it was opened in. 0 for none.
    slot: u32,
    /// It leads to another host, or to another worker.
    is_outbound: bool,
    /// What comes in gives its request no more CPU time.
    quiet: bool,
    _counted: Counted,
}

/// What has become of an end that was [removed](Sockets::remove).
pub(crate) struct Removed {
    /// The handle of its request; 0 for none.
    pub(crate) slot: u32,
    /// It led to another host.
    pub(crate) is_outbound: bool,
}

impl Sockets {
    /// Two ends that are connected to each other; `None` when there are too many.
    pub(crate) fn pair(&mut self, meter: &Meter) -> Option<(u32, u32)> {
        let (one, other) = Socket::pair();
        let one = self.insert(one, 0, false, meter)?;
        let Some(other) = self.insert(other, 0, false, meter) else {
            self.remove(one);
            return None;
        };
        self.table.get_mut(one)?.partner = other;
        self.table.get_mut(other)?.partner = one;
        Some((one, other))
    }

    /// Whether another WebSocket to another host may be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.outbound < MOST_OUTBOUND
    }

    /// Takes an end that leads to another host in; `None` when there are too many.
    pub(crate) fn adopt(&mut self, socket: Socket, slot: u32, meter: &Meter) -> Option<u32> {
        let handle = self.insert(socket, slot, true, meter)?;
        self.outbound += 1;
        Some(handle)
    }

    fn insert(&mut self, socket: Socket, slot: u32, is_outbound: bool, meter: &Meter) -> Option<u32> {
        let mut counted = meter.start();
        counted.add(SIZE);
        let end = End {
            socket: Rc::new(socket),
            partner: 0,
            accepted: false,
            slot,
            is_outbound,
            quiet: false,
            _counted: counted,
        };
        self.table.insert(end).ok()
    }

    /// Takes an end that the code does not use itself out, to hand it on. Gives back the handle of the other end, 0 when
    /// that is not in this isolate; it belongs to `slot` from now on.
    pub(crate) fn take(&mut self, handle: u32, slot: u32) -> Option<(Socket, u32)> {
        if self.table.get(handle)?.accepted {
            return None;
        }
        let end = self.table.remove(handle)?;
        self.outbound -= usize::from(end.is_outbound);
        if let Some(partner) = self.table.get_mut(end.partner) {
            partner.partner = 0;
            partner.slot = slot;
        }
        let kept = if self.table.get(end.partner).is_some() { end.partner } else { 0 };
        // Only an accepted end is shared.
        Rc::try_unwrap(end.socket).ok().map(|socket| (socket, kept))
    }

    /// As [`take`](Self::take) of an end whose other end is elsewhere; `None`, and nothing is changed, for others.
    pub(crate) fn take_outbound(&mut self, handle: u32) -> Option<(Socket, Removed)> {
        let end = self.table.get(handle)?;
        if end.accepted || !end.is_outbound || self.table.get(end.partner).is_some() {
            return None;
        }
        let end = self.table.remove(handle)?;
        self.outbound -= 1;
        let removed = Removed { slot: end.slot, is_outbound: true };
        // Only an accepted end is shared.
        Rc::try_unwrap(end.socket).ok().map(|socket| (socket, removed))
    }

    /// As [`take`](Self::take), and the other end is one that leads out of the request `slot`, and ends with it.
    pub(crate) fn lend(&mut self, handle: u32, slot: u32) -> Option<(Socket, u32)> {
        let (socket, kept) = self.take(handle, slot)?;
        if let Some(end) = self.table.get_mut(kept) {
            end.is_outbound = true;
            self.outbound += 1;
        }
        Some((socket, kept))
    }

    /// What comes in at an end gives its request no more CPU time.
    pub(crate) fn quiet(&mut self, handle: u32) {
        if let Some(end) = self.table.get_mut(handle) {
            end.quiet = true;
        }
    }

    /// The request whose CPU time begins anew when something comes in at an end; 0 for none.
    pub(crate) fn refreshed(&self, handle: u32) -> u32 {
        self.table.get(handle).filter(|end| !end.quiet).map_or(0, |end| end.slot)
    }

    /// Counts the bytes that wait to be sent.
    pub(crate) fn waiting(&self) -> &Meter {
        &self.waiting
    }

    /// Whether too much waits in all ends together, and in `socket` more than its share of it.
    pub(crate) fn is_crowded(&self, socket: &Socket) -> bool {
        self.waiting.bytes() > MOST_TOGETHER && socket.buffered() > MOST_TOGETHER / self.table.len().max(1)
    }

    /// The code takes an end up: it will read from it.
    pub(crate) fn accept(&mut self, handle: u32) {
        if let Some(end) = self.table.get_mut(handle) {
            end.accepted = true;
        }
    }

    /// Whether the code has taken an end up.
    pub(crate) fn is_accepted(&self, handle: u32) -> bool {
        self.table.get(handle).is_some_and(|end| end.accepted)
    }

    /// An end and the request it belongs to.
    pub(crate) fn get(&self, handle: u32) -> Option<(&Rc<Socket>, u32)> {
        self.table.get(handle).map(|end| (&end.socket, end.slot))
    }

    /// Forgets an end. The other end learns that it is lost, unless it was closed.
    pub(crate) fn remove(&mut self, handle: u32) -> Option<Removed> {
        let end = self.table.remove(handle)?;
        self.outbound -= usize::from(end.is_outbound);
        Some(Removed { slot: end.slot, is_outbound: end.is_outbound })
    }

    /// The request that these ends belong to is over: they are closed from both sides.
    pub(crate) fn abandon(&mut self, handles: impl IntoIterator<Item = u32>) {
        for handle in handles {
            if let Some(end) = self.table.remove(handle) {
                self.outbound -= usize::from(end.is_outbound);
                // Whoever reads from it holds it too.
                end.socket.abandon("the request it belonged to has ended");
            }
        }
    }
}
