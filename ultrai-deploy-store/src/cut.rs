//! Cuts content where its own bytes say so, so that what moved is still cut in the same places.

use std::{ops::Range, sync::Arc};

use fastcdc::v2020::FastCDC;
use sha2::{Digest, Sha256};

use crate::chunk::{ChunkId, MAX_CHUNK};

/// Chunks are about `AVERAGE` bytes: shorter ones find more of what did not change, longer ones
/// compress better and need a shorter index. Changing these only stores everything once more.
const MINIMUM: usize = 128 << 10;
const AVERAGE: usize = 512 << 10;
const MAXIMUM: usize = 2 << 20;
const _: () = assert!(MAXIMUM <= MAX_CHUNK, "what is written must be readable");
/// What is read at once.
const BLOCK: usize = 2 << 20;

/// Memory that content is read into. Chunks are cut in place, so that they are never copied; what
/// could not be cut yet moves in front of what is read next.
#[derive(Debug)]
pub(crate) struct Window {
    /// `MAXIMUM` bytes for what was left, then a block.
    bytes: Vec<u8>,
    filled: usize,
}

/// A chunk in its window.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) id: ChunkId,
    window: Arc<Window>,
    range: Range<usize>,
}

/// Windows that were lent, used again once all their chunks are gone.
#[derive(Debug, Default)]
pub(crate) struct Windows(Vec<Arc<Window>>);

impl Window {
    /// The room for a block.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[MAXIMUM + self.filled..]
    }

    /// Says how many bytes were put into the room.
    pub(crate) fn fill(&mut self, length: usize) {
        self.filled = (self.filled + length).min(BLOCK);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

impl Windows {
    pub(crate) fn take(&mut self) -> Window {
        let free = self.0.iter().position(|window| Arc::strong_count(window) == 1);
        let free = free.and_then(|at| Arc::try_unwrap(self.0.swap_remove(at)).ok());
        let mut window =
            free.unwrap_or_else(|| Window { bytes: vec![0; MAXIMUM + BLOCK], filled: 0 });
        window.filled = 0;
        window
    }

    pub(crate) fn lend(&mut self, window: Arc<Window>) {
        self.0.push(window);
    }
}

impl Chunk {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.window.bytes[self.range.clone()]
    }
}

/// Cuts one part.
#[derive(Debug)]
pub(crate) struct Cutter {
    hash: Sha256,
    size: u64,
    /// The last window, and what in it is not cut yet.
    rest: Option<(Arc<Window>, Range<usize>)>,
}

/// The whole of a part.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
}

impl Cutter {
    pub(crate) fn new() -> Self {
        Self { hash: Sha256::new(), size: 0, rest: None }
    }

    /// Takes what comes next; gives the chunks that are certain, and the window to lend again.
    pub(crate) fn push(&mut self, mut window: Window) -> (Vec<Chunk>, Arc<Window>) {
        let end = MAXIMUM + window.filled;
        self.hash.update(&window.bytes[MAXIMUM..end]);
        self.size += window.filled as u64;
        let mut start = MAXIMUM;
        if let Some((last, range)) = self.rest.take() {
            // What is left is always shorter than the longest chunk.
            start = MAXIMUM.saturating_sub(range.len());
            window.bytes[start..MAXIMUM].copy_from_slice(&last.bytes[range]);
        }
        let window = Arc::new(window);
        let (chunks, rest) = cut(&window, start..end);
        self.rest = Some((Arc::clone(&window), rest));
        (chunks, window)
    }

    /// The last chunk, and what all of them are together.
    pub(crate) fn finish(self) -> (Option<Chunk>, Whole) {
        let last = self.rest.filter(|(_, range)| !range.is_empty());
        let chunk = last.map(|(window, range)| Chunk {
            id: ChunkId::of(&window.bytes[range.clone()]),
            window,
            range,
        });
        (chunk, Whole { size: self.size, sha256: self.hash.finalize().into() })
    }
}

/// Cuts as long as more content cannot move the cut: it is before the end, or the chunk has the
/// greatest length.
fn cut(window: &Arc<Window>, mut left: Range<usize>) -> (Vec<Chunk>, Range<usize>) {
    let mut chunks = Vec::new();
    loop {
        let bytes = &window.bytes[left.clone()];
        let (_, length) = FastCDC::new(bytes, MINIMUM, AVERAGE, MAXIMUM).cut(0, bytes.len());
        if length == 0 || length >= bytes.len() && length < MAXIMUM {
            return (chunks, left);
        }
        let range = left.start..left.start + length;
        let id = ChunkId::of(&window.bytes[range.clone()]);
        left.start = range.end;
        chunks.push(Chunk { id, window: Arc::clone(window), range });
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

    fn cut(content: &[u8], block: usize) -> Vec<(ChunkId, Vec<u8>)> {
        let (mut cutter, mut windows) = (Cutter::new(), Windows::default());
        let mut all = Vec::new();
        for block in content.chunks(block) {
            let mut window = windows.take();
            window.room()[..block.len()].copy_from_slice(block);
            window.fill(block.len());
            let (chunks, window) = cutter.push(window);
            all.extend(chunks.iter().map(|chunk| (chunk.id, chunk.bytes().to_vec())));
            drop(chunks);
            windows.lend(window);
        }
        assert!(windows.0.len() <= 2, "windows are used again");
        let (last, whole) = cutter.finish();
        all.extend(last.iter().map(|chunk| (chunk.id, chunk.bytes().to_vec())));
        assert_eq!(whole.size, content.len() as u64);
        assert_eq!(whole.sha256, ChunkId::of(content).0);
        assert!(all.iter().flat_map(|(_, bytes)| bytes).eq(content));
        assert!(all.iter().all(|(id, bytes)| *id == ChunkId::of(bytes)));
        all
    }

    #[test]
    fn how_it_is_read_does_not_matter() {
        let content = noise(5 << 20, 7);
        let whole = cut(&content, BLOCK);
        assert!(whole.len() > 3);
        for block in [100_001, 1 << 20] {
            assert_eq!(cut(&content, block), whole);
        }
        let long = vec![0; 5 << 20];
        assert_eq!(cut(&long, BLOCK).len(), 3);
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_beside_it() {
        let mut content = noise(8 << 20, 7);
        let before = cut(&content, BLOCK);
        content.splice(3_000_000..3_000_000, *b"something new");
        let after = cut(&content, BLOCK);
        let new = after.iter().filter(|chunk| !before.contains(chunk)).count();
        assert!((1..=2).contains(&new), "{new} of {} are new", after.len());
    }

    #[test]
    fn nothing_is_cut_of_nothing() {
        assert!(cut(b"", 1).is_empty());
        assert_eq!(cut(b"x", 1).len(), 1);
    }
}
