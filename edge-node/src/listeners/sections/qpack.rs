//! Sections of HTTP/3. The node lets clients fill no table (RFC 9204 §3.2.3), so that each is read by itself.

use super::{Entry, Known, Reader, Section, Unreadable, known};

/// RFC 9204 appendix A, from 0.
const STATIC: [Known; 99] = [
    (":authority", 0),
    (":path", 1),
    ("age", 1),
    ("content-disposition", 0),
    ("content-length", 1),
    ("cookie", 0),
    ("date", 0),
    ("etag", 0),
    ("if-modified-since", 0),
    ("if-none-match", 0),
    ("last-modified", 0),
    ("link", 0),
    ("location", 0),
    ("referer", 0),
    ("set-cookie", 0),
    (":method", 7),
    (":method", 6),
    (":method", 3),
    (":method", 4),
    (":method", 7),
    (":method", 4),
    (":method", 3),
    (":scheme", 4),
    (":scheme", 5),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    ("accept", 3),
    ("accept", 23),
    ("accept-encoding", 17),
    ("accept-ranges", 5),
    ("access-control-allow-headers", 13),
    ("access-control-allow-headers", 12),
    ("access-control-allow-origin", 1),
    ("cache-control", 9),
    ("cache-control", 15),
    ("cache-control", 14),
    ("cache-control", 8),
    ("cache-control", 8),
    ("cache-control", 24),
    ("content-encoding", 2),
    ("content-encoding", 4),
    ("content-type", 23),
    ("content-type", 22),
    ("content-type", 16),
    ("content-type", 33),
    ("content-type", 9),
    ("content-type", 10),
    ("content-type", 9),
    ("content-type", 8),
    ("content-type", 24),
    ("content-type", 10),
    ("content-type", 24),
    ("range", 8),
    ("strict-transport-security", 16),
    ("strict-transport-security", 35),
    ("strict-transport-security", 44),
    ("vary", 15),
    ("vary", 6),
    ("x-content-type-options", 7),
    ("x-xss-protection", 13),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    (":status", 3),
    ("accept-language", 0),
    ("access-control-allow-credentials", 5),
    ("access-control-allow-credentials", 4),
    ("access-control-allow-headers", 1),
    ("access-control-allow-methods", 3),
    ("access-control-allow-methods", 18),
    ("access-control-allow-methods", 7),
    ("access-control-expose-headers", 14),
    ("access-control-request-headers", 12),
    ("access-control-request-method", 3),
    ("access-control-request-method", 4),
    ("alt-svc", 5),
    ("authorization", 0),
    ("content-security-policy", 53),
    ("early-data", 1),
    ("expect-ct", 0),
    ("forwarded", 0),
    ("if-range", 0),
    ("origin", 0),
    ("purpose", 8),
    ("server", 0),
    ("timing-allow-origin", 1),
    ("upgrade-insecure-requests", 1),
    ("user-agent", 0),
    ("x-forwarded-for", 0),
    ("x-frame-options", 4),
    ("x-frame-options", 10),
];

/// `:method` with `CONNECT`.
const CONNECT: usize = 15;

/// Reads a whole section.
pub fn read(section: &[u8]) -> Result<Section, Unreadable> {
    let (mut reader, mut read) = (Reader(section), Section::default());
    // A section that refers to the table (§4.5.1) refers to what is not there.
    if reader.integer(8)? != 0 {
        return Err(Unreadable);
    }
    reader.integer(7)?;
    while let Some(first) = reader.peek() {
        let entry = match first {
            // An indexed field of the table that everybody has (§4.5.2).
            0xc0.. => entry(reader.integer(6)? as usize)?,
            // A literal whose name is one of that table (§4.5.4).
            0x50..=0x5f | 0x70..=0x7f => {
                let Entry { name, name_length, .. } = entry(reader.integer(4)? as usize)?;
                Entry { name, name_length, value: reader.value(name)? }
            }
            // A literal with its name (§4.5.6).
            0x20..=0x3f => {
                let (name, name_length) = reader.name(3)?;
                Entry { name, name_length, value: reader.value(name)? }
            }
            // What is in the other table.
            _ => return Err(Unreadable),
        };
        read.add(&entry);
    }
    Ok(read)
}

fn entry(index: usize) -> Result<Entry, Unreadable> {
    let mut entry = known(&STATIC, index)?;
    entry.value.is_connect = index == CONNECT;
    Ok(entry)
}
