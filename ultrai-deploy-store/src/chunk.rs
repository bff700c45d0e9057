//! Chunks: what content is cut into, each compressed by itself and named by its SHA-256.

use std::{fmt, io};

use sha2::{Digest, Sha256};
use ultrai_deploy_core::digest::hex;

/// No chunk is longer. What says otherwise is damaged.
pub(crate) const MAX_CHUNK: usize = 4 << 20;

/// Length of an entry as it is stored.
pub(crate) const ENTRY: usize = 48;

/// Compression costs more than everything else together; the fastest level keeps up with disks and
/// loses little on dumps, which are compressed already or compress well at any level.
const LEVEL: i32 = 1;

/// SHA-256 of a chunk's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChunkId(pub(crate) [u8; 32]);

/// Where a chunk is and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: ChunkId,
    pub(crate) at: Location,
    /// Length of the content.
    pub(crate) size: u32,
}

/// A place in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Number of the pack in the backup's table.
    pub(crate) pack: u32,
    /// Where the compressed chunk begins in the pack's plain text.
    pub(crate) offset: u32,
    /// Its length there.
    pub(crate) length: u32,
}

impl ChunkId {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Entry {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.id.0);
        for number in [self.at.pack, self.at.offset, self.at.length, self.size] {
            into.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Entries, if that is what the bytes are.
    pub(crate) fn decode_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let (entries, rest) = bytes.as_chunks::<ENTRY>();
        rest.is_empty().then(|| entries.iter().map(Self::decode).collect())
    }

    fn decode(bytes: &[u8; ENTRY]) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(&bytes[..32]);
        let number = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let at = Location { pack: number(32), offset: number(36), length: number(40) };
        Self { id: ChunkId(id), at, size: number(44) }
    }
}

/// Compresses chunks, one after the other, in memory of its own.
pub(crate) struct Press {
    compressor: zstd::bulk::Compressor<'static>,
    room: Vec<u8>,
}

impl Press {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { compressor: zstd::bulk::Compressor::new(LEVEL)?, room: Vec::new() })
    }

    pub(crate) fn compress(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.room.clear();
        self.room.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.compressor.compress_to_buffer(bytes, &mut self.room).map(drop)
    }

    /// What was compressed last.
    pub(crate) fn compressed(&self) -> &[u8] {
        &self.room
    }
}

impl fmt::Debug for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Press").finish_non_exhaustive()
    }
}

/// The content of a compressed chunk in `room`, which is memory that was used before or none. What
/// is longer than it says, or than any chunk, is never expanded.
pub(crate) fn expand(bytes: &[u8], size: u32, mut room: Vec<u8>) -> Result<Vec<u8>, String> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size == 0 || size > MAX_CHUNK {
        return Err(format!("a chunk is said to have {size} bytes"));
    }
    room.clear();
    room.reserve(size);
    zstd::bulk::Decompressor::new()
        .and_then(|mut decompressor| decompressor.decompress_to_buffer(bytes, &mut room))
        .map_err(|error| error.to_string())?;
    if room.len() == size {
        return Ok(room);
    }
    Err(format!("a chunk has {} bytes in place of {size}", room.len()))
}
