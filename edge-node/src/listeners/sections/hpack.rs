//! Sections of HTTP/2, with the table that a connection's sections have in common (RFC 7541 §2.3).

use std::collections::VecDeque;

use super::{Entry, Known, Reader, Section, Unreadable, Value, known};

/// What the table may hold at most, as nobody has told a client otherwise (RFC 9113 §6.5.2), bytes.
const MOST: u32 = 4096;

/// RFC 7541 appendix A, from 1.
const STATIC: [Known; 61] = [
    (":authority", 0),
    (":method", 3),
    (":method", 4),
    (":path", 1),
    (":path", 11),
    (":scheme", 4),
    (":scheme", 5),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    ("accept-charset", 0),
    ("accept-encoding", 13),
    ("accept-language", 0),
    ("accept-ranges", 0),
    ("accept", 0),
    ("access-control-allow-origin", 0),
    ("age", 0),
    ("allow", 0),
    ("authorization", 0),
    ("cache-control", 0),
    ("content-disposition", 0),
    ("content-encoding", 0),
    ("content-language", 0),
    ("content-length", 0),
    ("content-location", 0),
    ("content-range", 0),
    ("content-type", 0),
    ("cookie", 0),
    ("date", 0),
    ("etag", 0),
    ("expect", 0),
    ("expires", 0),
    ("from", 0),
    ("host", 0),
    ("if-match", 0),
    ("if-modified-since", 0),
    ("if-none-match", 0),
    ("if-range", 0),
    ("if-unmodified-since", 0),
    ("last-modified", 0),
    ("link", 0),
    ("location", 0),
    ("max-forwards", 0),
    ("proxy-authenticate", 0),
    ("proxy-authorization", 0),
    ("range", 0),
    ("referer", 0),
    ("refresh", 0),
    ("retry-after", 0),
    ("server", 0),
    ("set-cookie", 0),
    ("strict-transport-security", 0),
    ("transfer-encoding", 0),
    ("user-agent", 0),
    ("vary", 0),
    ("via", 0),
    ("www-authenticate", 0),
];

/// What the sections of a connection have left for those that follow.
#[derive(Debug)]
pub struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: u64,
    most: u32,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: MOST }
    }
}

impl Table {
    /// What its entries count together (§4.1), bytes.
    #[cfg(test)]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads a whole section. After one that is unreadable the table is not to be used any more.
    pub fn read(&mut self, section: &[u8]) -> Result<Section, Unreadable> {
        let (mut reader, mut read) = (Reader(section), Section::default());
        while let Some(first) = reader.peek() {
            match first {
                // An indexed field (§6.1).
                0x80.. => {
                    let entry = self.entry(reader.integer(7)?)?;
                    read.add(&entry);
                }
                // A literal that is added to the table (§6.2.1).
                0x40..=0x7f => {
                    let entry = self.literal(&mut reader, 6)?;
                    read.add(&entry);
                    self.insert(entry);
                }
                // A change of the table's size (§6.3).
                0x20..=0x3f => {
                    self.most = Some(reader.integer(5)?).filter(|most| *most <= MOST).ok_or(Unreadable)?;
                    self.evict();
                }
                // A literal that is not (§6.2.2, §6.2.3).
                0..=0x1f => {
                    let entry = self.literal(&mut reader, 4)?;
                    read.add(&entry);
                }
            }
        }
        Ok(read)
    }

    fn entry(&self, index: u32) -> Result<Entry, Unreadable> {
        let at = (index as usize).checked_sub(1).ok_or(Unreadable)?;
        match at.checked_sub(STATIC.len()) {
            None => known(&STATIC, at),
            Some(at) => self.entries.get(at).copied().ok_or(Unreadable),
        }
    }

    fn literal(&self, reader: &mut Reader<'_>, bits: u32) -> Result<Entry, Unreadable> {
        let (name, name_length) = match reader.integer(bits)? {
            0 => reader.name(7)?,
            index => {
                let Entry { name, name_length, .. } = self.entry(index)?;
                (name, name_length)
            }
        };
        let value: Value = reader.value(name)?;
        Ok(Entry { name, name_length, value })
    }

    fn insert(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
        // One that is larger than the table empties it (§4.4), and is the last to go.
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > u64::from(self.most)
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }
}
