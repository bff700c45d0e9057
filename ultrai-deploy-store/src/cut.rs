//! Cuts content where its own bytes say so, so that what moved is still cut in the same places.

use std::mem;

use fastcdc::v2020::FastCDC;
use sha2::{Digest, Sha256};

use crate::chunk::{Chunk, ChunkId, MAX_CHUNK};

/// Chunks are about `AVERAGE` bytes: shorter ones find more of what did not change, longer ones
/// compress better and need a shorter index. Changing these only stores everything once more.
const MINIMUM: usize = 128 << 10;
const AVERAGE: usize = 512 << 10;
const MAXIMUM: usize = 2 << 20;
const _: () = assert!(MAXIMUM <= MAX_CHUNK, "what is written must be readable");

/// Cuts one part.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// What is not cut yet.
    rest: Vec<u8>,
    hash: Sha256,
    size: u64,
}

/// The whole of a part.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
}

impl Cutter {
    pub(crate) fn new() -> Self {
        Self { rest: Vec::new(), hash: Sha256::new(), size: 0 }
    }

    /// Takes what comes next; gives the chunks that are certain.
    pub(crate) fn push(&mut self, block: &[u8]) -> Vec<Chunk> {
        self.hash.update(block);
        self.size += block.len() as u64;
        self.rest.extend_from_slice(block);
        self.cut(MAXIMUM)
    }

    /// The last chunks, and what all of them are together.
    pub(crate) fn finish(mut self) -> (Vec<Chunk>, Whole) {
        let chunks = self.cut(1);
        (chunks, Whole { size: self.size, sha256: self.hash.finalize().into() })
    }

    /// Cuts as long as there are `least` bytes: with fewer than the longest chunk, what comes next
    /// could still move the cut.
    fn cut(&mut self, least: usize) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut start = 0;
        while self.rest.len() - start >= least {
            let rest = &self.rest[start..];
            let (_, length) = FastCDC::new(rest, MINIMUM, AVERAGE, MAXIMUM).cut(0, rest.len());
            // The end is never before the start, and nothing is cut of nothing.
            let length = length.clamp(1, rest.len());
            chunks.push(Chunk { id: ChunkId::of(&rest[..length]), bytes: rest[..length].to_vec() });
            start += length;
        }
        if start == self.rest.len() {
            mem::take(&mut self.rest);
        } else {
            self.rest.drain(..start);
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, mut seed: u64) -> Vec<u8> {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            u8::try_from(seed >> 56).unwrap()
        };
        (0..length).map(|_| next()).collect()
    }

    fn cut(content: &[u8], block: usize) -> Vec<Chunk> {
        let mut cutter = Cutter::new();
        let mut chunks: Vec<_> =
            content.chunks(block).flat_map(|block| cutter.push(block)).collect();
        let (last, whole) = cutter.finish();
        chunks.extend(last);
        assert_eq!(whole.size, content.len() as u64);
        assert_eq!(whole.sha256, ChunkId::of(content).0);
        assert_eq!(
            chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>(),
            content
        );
        chunks
    }

    #[test]
    fn how_it_is_read_does_not_matter() {
        let content = noise(5 << 20, 7);
        let ids = |block| cut(&content, block).iter().map(|chunk| chunk.id).collect::<Vec<_>>();
        assert_eq!(ids(64 << 10), ids(4 << 20));
        assert!(ids(1 << 20).len() > 3);
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_beside_it() {
        let mut content = noise(8 << 20, 7);
        let before: Vec<_> = cut(&content, 1 << 20).iter().map(|chunk| chunk.id).collect();
        content.splice(3_000_000..3_000_000, *b"something new");
        let after = cut(&content, 1 << 20);
        let new = after.iter().filter(|chunk| !before.contains(&chunk.id)).count();
        assert!((1..=2).contains(&new), "{new} of {} are new", after.len());
    }

    #[test]
    fn nothing_is_cut_of_nothing() {
        assert!(cut(b"", 1).is_empty());
        assert_eq!(cut(b"x", 1).len(), 1);
    }
}
