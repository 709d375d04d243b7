//! A content's file: its length, a checksum for each block, then its bytes. Any range can be read and checked by itself.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"ATOLLB1\n";
/// Bytes under one checksum.
pub const BLOCK: u64 = 64 << 10;
/// Magic, length, and the checksum of what precedes the bytes.
const FIXED: u64 = 8 + 8 + 4;

/// Writes the file of a content.
pub(super) fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let mut head = Vec::with_capacity(64);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    for block in bytes.chunks(BLOCK as usize) {
        head.extend_from_slice(&crc32fast::hash(block).to_le_bytes());
    }
    let checksum = crc32fast::hash(&head);
    head.extend_from_slice(&checksum.to_le_bytes());
    file.write_all(&head)?;
    file.write_all(bytes)
}

/// Length of the content and size of the file, when the file is as long as it has to be.
pub(super) fn check(path: &Path) -> io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let length = read_length(&mut file)?;
    if data_start(length).checked_add(length) == Some(size) { Ok((length, size)) } else { Err(torn()) }
}

fn read_length(file: &mut File) -> io::Result<u64> {
    let mut start = [0; 16];
    file.read_exact(&mut start).map_err(|_| torn())?;
    let (magic, length) = start.split_at(8);
    if magic != MAGIC {
        return Err(torn());
    }
    Ok(u64::from_le_bytes(length.try_into().map_err(|_| torn())?))
}

fn data_start(length: u64) -> u64 {
    FIXED.saturating_add(length.div_ceil(BLOCK).saturating_mul(4))
}

fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a cached content is not as it was written")
}

/// A content that can be read.
#[derive(Debug)]
pub struct Blob {
    path: PathBuf,
    file: File,
    length: u64,
    checksums: Vec<u32>,
}

impl Blob {
    /// Opens a file and checks all but the bytes themselves.
    pub(super) fn open(path: &Path, length: u64) -> io::Result<Self> {
        if check(path)?.0 != length {
            return Err(torn());
        }
        let file = File::open(path)?;
        let mut head = vec![0; usize::try_from(data_start(length)).map_err(|_| torn())?];
        file.read_exact_at(&mut head, 0)?;
        let (head, checksum) = head.split_last_chunk::<4>().ok_or_else(torn)?;
        if crc32fast::hash(head) != u32::from_le_bytes(*checksum) {
            return Err(torn());
        }
        let checksums = head[16..].chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        Ok(Self { path: path.to_owned(), file, length, checksums: checksums.collect() })
    }

    /// Bytes of the content.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads `count` bytes from `start` on, every block of them checked. What is beyond the end is an error. A file with a
    /// block that is not as it was written is deleted, so that nobody begins to read it again.
    pub fn read(&self, start: u64, count: u64) -> io::Result<Vec<u8>> {
        let end = start.checked_add(count).filter(|end| *end <= self.length).ok_or_else(torn)?;
        let first = start / BLOCK * BLOCK;
        let last = end.div_ceil(BLOCK).saturating_mul(BLOCK).min(self.length);
        let mut bytes = vec![0; usize::try_from(last.saturating_sub(first)).map_err(|_| torn())?];
        self.file.read_exact_at(&mut bytes, data_start(self.length) + first)?;
        for (index, block) in bytes.chunks(BLOCK as usize).enumerate() {
            let number = usize::try_from(first / BLOCK).unwrap_or(usize::MAX).saturating_add(index);
            if self.checksums.get(number) != Some(&crc32fast::hash(block)) {
                // If it cannot be deleted, the next one who reads it finds the same.
                let _ = fs::remove_file(&self.path);
                return Err(torn());
            }
        }
        bytes.truncate(usize::try_from(end - first).map_err(|_| torn())?);
        bytes.drain(..usize::try_from(start - first).map_err(|_| torn())?);
        Ok(bytes)
    }
}
